//! Every key of the balancer's configuration, once.
//!
//! This table makes the flags of `abide balance`, the keys of the file, the list in
//! `docs/operate/configure.md` and the "did you mean". What is not here does not exist; a test holds
//! the documentation and `examples/abide.toml` to it.

/// One key: `--name` as a flag, `name = …` in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its name, the same everywhere.
    pub(crate) name: &'static str,
    /// What stands behind it.
    pub(crate) shape: Shape,
    /// The part of the help under which it stands.
    pub(crate) heading: &'static str,
    /// What the value is called in the help.
    pub(crate) value: &'static str,
    /// What it means, in a sentence or two.
    pub(crate) meaning: &'static str,
    /// What happens without it.
    pub(crate) default: &'static str,
    /// What values it takes, with the unit.
    pub(crate) limit: &'static str,
    /// A value as it stands in the file.
    pub(crate) example: &'static str,
}

/// The form of a value in the file. On the command line everything is text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// In double quotes.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`; as a flag the mere name says true.
    Switch,
    /// A list of texts; as a flag repeated.
    Many,
}

impl Shape {
    /// What a value of this shape is called.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Switch => "true or false",
            Self::Many => "a list of texts",
        }
    }
}

/// The known key that is most like `name`, if one is near enough to be meant.
pub(crate) fn closest(name: &str) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase().replace('_', "-");
    // A plural or a longer form of a key is as likely as a slip of the finger.
    let near = |key: &'static Key| {
        let distance = edits(&wanted, key.name);
        let limit = 1 + wanted.len().min(key.name.len()) / 4;
        let contained = wanted.len() > 3 && key.name.ends_with(&wanted);
        (distance <= limit || contained).then_some((distance, key.name))
    };
    KEYS.iter().filter_map(near).min().map(|(_, name)| name)
}

/// How many letters have to be added, dropped or changed to make one text of the other
/// (Levenshtein's distance, one row at a time). Long texts are cut: no key is that long.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().take(64).enumerate() {
        let mut diagonal = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, other) in to.iter().enumerate() {
            let change = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

const PLACES: &str = "Where";
const SERVERS: &str = "Servers";
const STICKINESS: &str = "Which server";
const COOKIE: &str = "The cookie";
const CLIENTS: &str = "Clients and time-outs";
const OPERATION: &str = "Operation";

/// All keys, in the order in which the help and the documentation show them.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "listen",
        shape: Shape::Text,
        heading: PLACES,
        value: "ADDRESS",
        meaning: "Where clients connect. Port 0 takes a free one; the ready line says which.",
        default: "127.0.0.1:8080",
        limit: "an IP address and a port",
        example: "\"127.0.0.1:8080\"",
    },
    Key {
        name: "admin",
        shape: Shape::Text,
        heading: PLACES,
        value: "ADDRESS",
        meaning: "Where operators look: /health, /ready, /metrics, /servers.",
        default: "off",
        limit: "an IP address and a port; any but loopback needs admin-token-file",
        example: "\"127.0.0.1:9090\"",
    },
    Key {
        name: "admin-token-file",
        shape: Shape::Text,
        heading: PLACES,
        value: "FILE",
        meaning: "A file whose first line is the token that the admin listener asks for, as \
                  `Authorization: Bearer TOKEN`.",
        default: "no token",
        limit: "a readable file; 16 to 256 visible ASCII characters",
        example: "\"/etc/abide/admin-token\"",
    },
    Key {
        name: "threads",
        shape: Shape::Number,
        heading: PLACES,
        value: "NUMBER",
        meaning: "Threads that serve, each with its own listener and connections.",
        default: "one for each core",
        limit: "1 to 256",
        example: "2",
    },
    Key {
        name: "server",
        shape: Shape::Many,
        heading: SERVERS,
        value: "NAME=ADDRESS[,weight=N]",
        meaning: "A server behind the balancer. Its name is its identity: the address may change, \
                  the name should not. A host name is looked up once, at the start. The weight \
                  is its share of new visitors.",
        default: "none; at least one is needed",
        limit: "1 to 1000 servers; a name of 1 to 64 letters, digits, `.`, `_`, `-`; a weight of 1 to 100",
        example: "[\"a=127.0.0.1:8081\", \"b=127.0.0.1:8082,weight=2\"]",
    },
    Key {
        name: "check-path",
        shape: Shape::Text,
        heading: SERVERS,
        value: "PATH",
        meaning: "Ask each server for this path now and then; a 2xx or 3xx answer means it works. \
                  Without it only real requests tell.",
        default: "no checks",
        limit: "a path that begins with /",
        example: "\"/health\"",
    },
    Key {
        name: "check-interval-ms",
        shape: Shape::Number,
        heading: SERVERS,
        value: "MILLISECONDS",
        meaning: "From one check of a server to the next. An answer that takes longer, or more than 5 s, is a failure.",
        default: "2000",
        limit: "100 to 3600000 milliseconds",
        example: "2000",
    },
    Key {
        name: "affinity",
        shape: Shape::Many,
        heading: STICKINESS,
        value: "SOURCE",
        meaning: "What tells to which server a request belongs, in the order in which it is asked: \
                  sticky (our own cookie), cookie:NAME, header:NAME, query:NAME, path:NAME (as in \
                  /shop;NAME=...), address. `+route` after a NAME says that the id ends in a dot and \
                  its server's name (`id.a`).",
        default: "sticky",
        limit: "1 to 8 sources",
        example: "[\"sticky\"]",
    },
    Key {
        name: "balance",
        shape: Shape::Text,
        heading: STICKINESS,
        value: "METHOD",
        meaning: "How new visitors are spread: round-robin, least-connections or \
                  two-random-choices.",
        default: "round-robin",
        limit: "one of the three",
        example: "\"round-robin\"",
    },
    Key {
        name: "strict",
        shape: Shape::Switch,
        heading: STICKINESS,
        value: "BOOL",
        meaning: "Answer 503 when the server that holds a session can not take the request, rather \
                  than send it to another one.",
        default: "false",
        limit: "true or false",
        example: "false",
    },
    Key {
        name: "keys-file",
        shape: Shape::Text,
        heading: STICKINESS,
        value: "FILE",
        meaning: "The keys of the balancer's cookie, one a line as `abide keygen` prints them: the \
                  first seals, all open. Balancers that share it agree on every cookie. The \
                  variable ABIDE_KEYS may hold the keys instead.",
        default: "a new key at each start, so a restart spreads visitors anew",
        limit: "1 to 8 keys",
        example: "\"/etc/abide/keys\"",
    },
    Key {
        name: "pool",
        shape: Shape::Text,
        heading: STICKINESS,
        value: "NAME",
        meaning: "Names this set of servers. A cookie of another pool is a foreign one, even \
                  under the same keys.",
        default: "default",
        limit: "1 to 64 letters, digits, `.`, `_`, `-`",
        example: "\"default\"",
    },
    Key {
        name: "session-id-cookie",
        shape: Shape::Text,
        heading: STICKINESS,
        value: "NAME",
        meaning: "Give the app the value of this cookie of its own as X-Session-Id too. What a \
                  client sends under that header is dropped then.",
        default: "off",
        limit: "a cookie's name",
        example: "\"JSESSIONID\"",
    },
    Key {
        name: "cookie-name",
        shape: Shape::Text,
        heading: COOKIE,
        value: "NAME",
        meaning: "The name of the balancer's own cookie.",
        default: "abide-server",
        limit: "a cookie's name, up to 256 characters; the prefix __Host- needs cookie-secure = \"always\"",
        example: "\"abide-server\"",
    },
    Key {
        name: "cookie-idle-seconds",
        shape: Shape::Number,
        heading: COOKIE,
        value: "SECONDS",
        meaning: "A cookie unused for so long names no server any more. It should not be shorter \
                  than the app's own sessions live.",
        default: "86400 (a day)",
        limit: "60 to 31536000 seconds",
        example: "86400",
    },
    Key {
        name: "cookie-life-seconds",
        shape: Shape::Number,
        heading: COOKIE,
        value: "SECONDS",
        meaning: "A cookie this old names no server any more, however busy.",
        default: "2592000 (30 days)",
        limit: "cookie-idle-seconds to 31536000 seconds",
        example: "2592000",
    },
    Key {
        name: "cookie-secure",
        shape: Shape::Text,
        heading: COOKIE,
        value: "WHEN",
        meaning: "Whether the cookie is for https only: always, never, or by-scheme (as the client \
                  came, told by a trusted proxy).",
        default: "by-scheme",
        limit: "one of the three",
        example: "\"by-scheme\"",
    },
    Key {
        name: "cookie-same-site",
        shape: Shape::Text,
        heading: COOKIE,
        value: "WORD",
        meaning: "lax, strict or none: whether the cookie comes along from other sites.",
        default: "lax",
        limit: "one of the three; none needs cookie-secure = \"always\"",
        example: "\"lax\"",
    },
    Key {
        name: "cookie-partitioned",
        shape: Shape::Switch,
        heading: COOKIE,
        value: "BOOL",
        meaning: "A jar of its own for each site that frames the app.",
        default: "false",
        limit: "true or false; true needs cookie-secure = \"always\"",
        example: "false",
    },
    Key {
        name: "cookie-domain",
        shape: Shape::Text,
        heading: COOKIE,
        value: "DOMAIN",
        meaning: "Send the cookie to this domain and all hosts below it.",
        default: "only the very host that was asked",
        limit: "a host name",
        example: "\"shop.example\"",
    },
    Key {
        name: "trusted-proxy",
        shape: Shape::Many,
        heading: CLIENTS,
        value: "RANGE",
        meaning: "A proxy in front of this one, whose X-Forwarded-* and Forwarded are believed.",
        default: "none",
        limit: "up to 256 addresses or ranges such as 10.0.0.0/8",
        example: "[\"10.0.0.0/8\"]",
    },
    Key {
        name: "header-timeout-ms",
        shape: Shape::Number,
        heading: CLIENTS,
        value: "MILLISECONDS",
        meaning: "From the first byte of a request to the end of its header; then 408.",
        default: "10000",
        limit: "100 to 3600000 milliseconds",
        example: "10000",
    },
    Key {
        name: "connect-timeout-ms",
        shape: Shape::Number,
        heading: CLIENTS,
        value: "MILLISECONDS",
        meaning: "To open a connection to a server; then the next server is tried.",
        default: "2000",
        limit: "10 to 3600000 milliseconds",
        example: "2000",
    },
    Key {
        name: "response-timeout-ms",
        shape: Shape::Number,
        heading: CLIENTS,
        value: "MILLISECONDS",
        meaning: "From the last byte of a request to the first of the answer; then 504.",
        default: "60000",
        limit: "100 to 86400000 milliseconds",
        example: "60000",
    },
    Key {
        name: "stall-timeout-ms",
        shape: Shape::Number,
        heading: CLIENTS,
        value: "MILLISECONDS",
        meaning: "Without any byte in either direction, inside a request or an answer.",
        default: "60000",
        limit: "100 to 86400000 milliseconds",
        example: "60000",
    },
    Key {
        name: "idle-timeout-ms",
        shape: Shape::Number,
        heading: CLIENTS,
        value: "MILLISECONDS",
        meaning: "Between two requests of a client's connection.",
        default: "75000",
        limit: "100 to 86400000 milliseconds",
        example: "75000",
    },
    Key {
        name: "tunnel-timeout-ms",
        shape: Shape::Number,
        heading: CLIENTS,
        value: "MILLISECONDS",
        meaning: "Without any byte in either direction, after an upgrade (WebSocket).",
        default: "3600000 (an hour)",
        limit: "100 to 604800000 milliseconds",
        example: "3600000",
    },
    Key {
        name: "stop-timeout-ms",
        shape: Shape::Number,
        heading: OPERATION,
        value: "MILLISECONDS",
        meaning: "How long a stop (SIGTERM, Ctrl-C) waits for what is under way.",
        default: "30000",
        limit: "0 to 3600000 milliseconds",
        example: "30000",
    },
    Key {
        name: "access-log",
        shape: Shape::Text,
        heading: OPERATION,
        value: "WHERE",
        meaning: "A line for each request: a file to append to, or stderr.",
        default: "off",
        limit: "off, stderr, or the path of a file",
        example: "\"off\"",
    },
    Key {
        name: "log-format",
        shape: Shape::Text,
        heading: OPERATION,
        value: "FORMAT",
        meaning: "How the log on standard error is written: text or json.",
        default: "text",
        limit: "one of the two",
        example: "\"text\"",
    },
    Key {
        name: "verdict-header",
        shape: Shape::Switch,
        heading: OPERATION,
        value: "BOOL",
        meaning: "Tell clients which server answered and why, in X-Abide-Verdict. For debugging: \
                  it names your servers.",
        default: "false",
        limit: "true or false",
        example: "false",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_key_that_was_meant() {
        for (written, meant) in [
            ("lisen", Some("listen")),
            ("servers", Some("server")),
            ("access_log", Some("access-log")),
            ("keys-fil", Some("keys-file")),
            ("Admin", Some("admin")),
            ("timeout-ms", Some("idle-timeout-ms")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(written), meant, "{written}");
        }
    }

    #[test]
    fn names_are_distinct_and_so_are_meanings() {
        for (i, key) in KEYS.iter().enumerate() {
            for other in KEYS.iter().skip(i + 1) {
                assert_ne!(key.name, other.name);
                assert_ne!(key.meaning, other.meaning);
            }
        }
    }
}
