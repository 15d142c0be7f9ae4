//! What can be typed.
//!
//! The flags of `balance` come from [`KEYS`], so that a flag and a key of the file can not differ.
//! All of them are read as text here: what they mean is the configuration's business, which reports
//! every error at once, where a parser of flags would stop at the first.

mod node;

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use node::{Node, NodeCertificate};

use crate::configuration::keys::{KEYS, Shape};
use crate::configuration::{Place, Written};

/// The stores, for the end of a help text.
macro_rules! stores {
    () => {
        "  \
        sqlite://FILE                  one file for all servers of a machine; needs nothing installed\n  \
        postgres://USER@HOST/DATABASE  PostgreSQL\n  \
        mysql://USER@HOST/DATABASE     MySQL or MariaDB\n  \
        redis://HOST:PORT              Redis or Valkey; rediss:// with TLS\n  \
        redis+sentinel://HOST:PORT,HOST:PORT/MASTER\n  \
        redis+cluster://HOST:PORT,HOST:PORT\n  \
        memcached://HOST:PORT,HOST:PORT\n\n\
        With sealed+ before a URL, as in sealed+redis://HOST, values are sealed before they leave the\n\
        server: whoever reads the store learns none. It needs keys, as cookies do.\n\n\
        Everybody on this machine can see the flags of a process. A URL with a password belongs into\n\
        the variable that stands with the flag."
    };
}

/// Where sessions can be kept, likewise.
macro_rules! places {
    () => {
        concat!(
            "Where sessions can be kept:\n  \
            memory                         in each server's own memory, lost with it\n  \
            cookie                         in the browser, sealed\n  \
            nodes://a=HOST:PORT,b=HOST:PORT\n                                 \
                                           in the servers themselves, each on two of them;\n                                 \
                                           itself and others, which one is said by --name\n",
            stores!()
        )
    };
}

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "abide",
    version,
    about = "Keeps users signed in, whichever server answers.",
    after_help = "Start here:\n  \
        abide demo                 three shop servers and a balancer, to try in a browser\n  \
        abide balance --server a=127.0.0.1:8081 --server b=127.0.0.1:8082\n\n\
        Data goes to standard output, everything else to standard error.\n\
        Exit status: 0 all well, 1 it failed, 64 wrong usage or configuration.",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Action,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    Balance(Balance),
    Demo(Demo),
    App(App),
    Node(Node),
    Sessions(Sessions),
    Check(Check),
    Explain(Explain),
    Keygen(Keygen),
    Completions(Completions),
}

/// Send each visitor to the server that holds the visitor's session
///
/// A load balancer for HTTP/1.1. Each visitor gets a cookie that names a server; it is sealed, so
/// nobody can read or forge it, and there is no table that a restart could lose. When a server is
/// gone, its visitors go on to the next one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    abide balance --server a=127.0.0.1:8081 --server b=127.0.0.1:8082\n  \
    abide balance --config /etc/abide/abide.toml --listen 0.0.0.0:80\n  \
    abide balance --server a=10.0.0.1:80 --server b=10.0.0.2:80,weight=2 --check-path /health\n\n\
    Every flag is a key of the configuration file too; a flag wins over the file.\n\
    When it accepts it prints one line of JSON on standard output:\n  \
    {\"event\":\"ready\",\"role\":\"balancer\",\"listen\":\"127.0.0.1:8080\",\"pid\":4711,\"admin\":null}")]
pub(crate) struct Balance {
    #[command(flatten)]
    pub(crate) source: Source,
    /// Stop when standard input ends, as it does when the parent dies.
    #[arg(long, hide = true)]
    pub(crate) exit_with_stdin: bool,
    /// The keys stand on standard input, up to an empty line.
    #[arg(long, hide = true)]
    pub(crate) keys_from_stdin: bool,
}

/// A configuration: a file, and flags that win over it.
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// Read the configuration from this file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: Flags,
}

/// Try it: shop servers and a balancer, in a browser
///
/// Starts three small web shops and a balancer in front of them, each a process of its own. Open
/// the address that it prints, sign in, fill a cart, and stop the server that you are on: cart and
/// sign-in are still there.
#[derive(Debug, Args)]
#[command(after_help = concat!("Examples:\n  \
    abide demo\n  \
    abide demo --keep memory                   what it is like without\n  \
    abide demo --keep sqlite://sessions.db\n  \
    abide demo --keep redis://127.0.0.1:6379 --servers 5\n\n\
    Keys while it runs: 1 to 9 stop or start a server, q stops everything.\n\n", places!()))]
pub(crate) struct Demo {
    /// Where browsers connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// How many shop servers to start, 2 to 9
    #[arg(long, value_name = "NUMBER", default_value = "3")]
    pub(crate) servers: String,
    /// Where the shops keep their sessions: nodes, memory, cookie, or the URL of a store (see below). The
    /// variable `ABIDE_KEEP` may hold it instead [default: nodes, at ports that are free]
    #[arg(long, value_name = "WHERE")]
    pub(crate) keep: Option<String>,
}

/// Run one shop server of the demo
///
/// A small web shop that uses the abide library, and a JSON API for tests and benchmarks. It is
/// made for plain http on loopback: its cookie is not marked Secure.
#[derive(Debug, Args)]
#[command(after_help = concat!("Examples:\n  \
    abide app --name a --listen 127.0.0.1:8081\n  \
    abide app --name a --keep redis://127.0.0.1:6379\n  \
    abide app --name a --keep cookie --keys-file keys\n  \
    abide app --name a --keep nodes://a=10.0.0.1:7946,b=10.0.0.2:7946 --keys-file keys\n  \
    curl -c jar -b jar -X POST 'http://127.0.0.1:8081/api/login?user=ada'\n  \
    curl -c jar -b jar 'http://127.0.0.1:8081/api/me'\n\n\
    The JSON API (delay_ms up to 60000, before the session is changed):\n  \
    POST /api/login?user=           sign in; the session gets a new id\n  \
    POST /api/logout                end the session\n  \
    GET  /api/me                    who is signed in, and which server answers\n  \
    POST /api/set?k=&v=&delay_ms=   set a field\n  \
    GET  /api/get?k=                read a field\n  \
    POST /api/incr?k=&delay_ms=     add one to a field, atomically\n  \
    GET  /api/read?delay_ms=        read the session, change nothing\n  \
    GET  /api/plain                 never touch the session\n  \
    POST /api/renew?delay_ms=       give the session a new id\n  \
    POST /api/big?bytes=            set a field of so many bytes; 413 if that is too large\n  \
    GET  /health                    200 while it serves\n  \
    GET  /ready                     200 while the store answers too, else 503; as a node: when\n                                  \
                                    it holds everything that it should\n  \
    GET  /cluster                   as a node: what it holds and leads\n  \
    GET  /cluster/safe-to-stop      as a node: 200 if it may be killed now and nothing is lost\n  \
    GET  /metrics                   what happened to sessions, for Prometheus\n\n", places!()))]
pub(crate) struct App {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) listen: String,
    /// What it calls itself
    #[arg(long, value_name = "NAME", default_value = "a")]
    pub(crate) name: String,
    /// Where it keeps sessions: memory, cookie, or the URL of a store (see below). The variable
    /// `ABIDE_KEEP` may hold it instead
    ///
    /// In cookies they outlive every server, and have a price: of two answers under way at once the
    /// browser keeps the last one's session, and who has copied a cookie can use it until it
    /// expires, signed out or not. In a store they outlive every server too, and nothing is lost
    /// between requests; while the store does not answer, neither do requests that need a session. As
    /// nodes the servers keep copies for each other: any one may die at any moment, and nothing is
    /// lost.
    ///
    /// [default: memory]
    #[arg(long, value_name = "WHERE")]
    pub(crate) keep: Option<String>,
    /// Where sessions were kept before: each moves to --keep when it is first used. The variable
    /// `ABIDE_KEEP_FROM` may hold it instead
    ///
    /// All servers need it at the same time, because one without it does not find what has moved.
    /// Where they are restarted one by one, first give all of them --keep-next.
    /// `abide sessions move` moves the rest and says when this can go. Sessions in cookies move
    /// when their browsers come, so --keep-from cookie has to stay for 14 days, and so has a store
    /// from which sessions move into cookies.
    #[arg(long, value_name = "WHERE")]
    pub(crate) keep_from: Option<String>,
    /// Where sessions are going to be kept: the first phase of a move, in which they stay where they
    /// are and what other servers have moved is found. The variable `ABIDE_KEEP_NEXT` may hold it
    /// instead
    ///
    /// When all servers have it, give them, one by one, the new place by --keep and the old one by
    /// --keep-from.
    #[arg(long, value_name = "URL")]
    pub(crate) keep_next: Option<String>,
    /// The folder in which a server that is a node keeps its sessions, so that they are there again when all
    /// nodes were down. It is made if need be; each node needs its own
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The keys that seal cookies, and values in a sealed+ store, and by which nodes know each other,
    /// one a line as `abide keygen` prints
    /// them: the first seals, all open. Servers behind one balancer need the same keys. The variable
    /// `ABIDE_KEYS` may hold the keys instead
    ///
    /// [default for cookies: a new key at each start, so sessions end with the process]
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_file: Option<String>,
    #[command(flatten)]
    pub(crate) certificate: NodeCertificate,
    /// The demo that started it, which can stop and start servers.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    pub(crate) demo_control: Option<String>,
    /// Stop when standard input ends, as it does when the parent dies.
    #[arg(long, hide = true)]
    pub(crate) exit_with_stdin: bool,
    /// The keys stand on standard input, up to an empty line.
    #[arg(long, hide = true)]
    pub(crate) keys_from_stdin: bool,
}

/// Work on the sessions of a store
#[derive(Debug, Args)]
pub(crate) struct Sessions {
    /// What to do with them.
    #[command(subcommand)]
    pub(crate) action: SessionsAction,
}

/// What can be done with the sessions of a store.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsAction {
    Move(MoveSessions),
}

/// Move sessions from one store to another while their users stay signed in
///
/// First let every server of the app know both stores (for `abide app`: --keep TO --keep-from FROM);
/// from then on a session moves when it is used. This command moves those that nobody uses, and says
/// when the old store can be switched off. It can be stopped at any time, and started again: what has
/// moved has moved, the rest stays where it is.
#[derive(Debug, Args)]
#[command(after_help = concat!("Examples:\n  \
    abide sessions move --from sqlite://sessions.db --to redis://127.0.0.1:6379\n  \
    ABIDE_KEEP=redis://app:secret@cache1 abide sessions move --from sqlite://sessions.db --json\n  \
    abide sessions move --from sqlite://sessions.db --keys-file keys --name mover \\\n    \
    --to nodes://a=10.0.0.1:7946,b=10.0.0.2:7946,mover=10.0.0.1:7947\n\n\
    Exit status: 0 the old store is empty, 1 it is not yet (the text says what to do).\n\n\
    Stores:\n", stores!()))]
pub(crate) struct MoveSessions {
    /// The store that has them. The variable `ABIDE_KEEP_FROM` may hold it instead
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<String>,
    /// The store to move them to. The variable `ABIDE_KEEP` may hold it instead
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// Where one end is nodes://NAME=HOST:PORT,...: which of them this command is while it runs. The
    /// name of no server, with an address of this machine
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The keys of a sealed+ store, or of nodes; those of the app. The variable `ABIDE_KEYS` may hold
    /// them instead
    #[arg(long, value_name = "FILE")]
    pub(crate) keys_file: Option<String>,
    #[command(flatten)]
    pub(crate) certificate: NodeCertificate,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say whether a configuration file is right, and every fault if not
///
/// Reads the file as `abide balance --config FILE` would and starts nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  abide check /etc/abide/abide.toml")]
pub(crate) struct Check {
    /// The configuration file
    pub(crate) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say which server a request would go to, and why
///
/// Takes a configuration and a request and decides as the balancer would, without one running.
/// All servers count as up unless told otherwise.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    abide explain --config abide.toml --cookie 'abide-server=AbC...'\n  \
    abide explain --server a=10.0.0.1:80 --server b=10.0.0.2:80 --affinity query:sid \\\n    \
    --target '/cart?sid=42' --down a")]
pub(crate) struct Explain {
    #[command(flatten)]
    pub(crate) source: Source,
    /// What the request asks for: path and query
    #[arg(long, value_name = "TARGET", default_value = "/", help_heading = "The request")]
    pub(crate) target: String,
    /// Its Cookie field, as the browser sends it
    #[arg(long, value_name = "COOKIES", help_heading = "The request")]
    pub(crate) cookie: Vec<String>,
    /// A field of its header, as in `X-Session-Id: 42`
    #[arg(long, value_name = "FIELD", help_heading = "The request")]
    pub(crate) header: Vec<String>,
    /// The address it comes from
    #[arg(long, value_name = "ADDRESS", help_heading = "The request")]
    pub(crate) client: Option<String>,
    /// Suppose that this server is down
    #[arg(long, value_name = "NAME", help_heading = "The request")]
    pub(crate) down: Vec<String>,
    /// Suppose that this server is being drained
    #[arg(long, value_name = "NAME", help_heading = "The request")]
    pub(crate) draining: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print new keys for the balancer's cookie, or for sessions in cookies
///
/// A key seals two kinds of cookies: the balancer's own, which names a server, and the sessions of
/// apps that keep them in the browser (`abide app --keep cookie`, `SealedCookie` in the library).
/// Whoever has the key can read such cookies and make them, so keep it as you keep a password.
///
/// Put it into a file that only the program can read (mode 0600), the same on every machine, and
/// name that by --keys-file. The file holds 1 to 8 keys, one a line: the first seals, all open.
/// Give the balancers a file of their own: they need not be able to read sessions.
///
/// To change a key without signing anybody out: add the new one as the second line everywhere, make
/// it the first line everywhere, and drop the old one when what it sealed has expired. Keys are read
/// at the start, so each step ends with a restart. docs/operate/rotate-keys.md says how long to wait,
/// and what to do when a key has leaked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    (umask 077; abide keygen > keys)    a file that only you can read\n  \
    abide keygen >> keys                one more key, as the last line")]
pub(crate) struct Keygen {
    /// How many, 1 to 8
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) count: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  abide completions bash > ~/.local/share/bash-completion/completions/abide"
)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
}

/// The flags that `-h` shows; `--help` shows all.
const SHORT_HELP: &[&str] = &[
    "listen",
    "admin",
    "server",
    "check-path",
    "affinity",
    "balance",
    "strict",
    "keys-file",
    "trusted-proxy",
    "access-log",
    "verdict-header",
];

/// The flags that are keys of the configuration, as they were typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags(pub(crate) Vec<Written>);

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        KEYS.iter().fold(command, |command, key| {
            let again = if key.shape == Shape::Many { " Can be given several times." } else { "" };
            let arg = Arg::new(key.name)
                .long(key.name)
                .value_name(key.value)
                .help_heading(key.heading)
                .hide_short_help(!SHORT_HELP.contains(&key.name))
                .help(format!("{}{again} [default: {}]", key.meaning, key.default))
                .long_help(format!(
                    "{}{again}\n[default: {}]\n[values: {}]",
                    key.meaning, key.default, key.limit
                ));
            command.arg(match key.shape {
                Shape::Many => arg.action(ArgAction::Append),
                Shape::Switch => {
                    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
                }
                Shape::Text | Shape::Number => arg.allow_hyphen_values(true),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of_key = |name: &'static str| {
            let texts = matches.get_many::<String>(name).into_iter().flatten();
            texts.map(move |text| Written { key: name, text: text.clone(), place: Place::Flag })
        };
        Ok(Self(KEYS.iter().flat_map(|key| of_key(key.name)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_are_the_keys_and_keep_their_order() {
        let typed = "abide balance --server b=1 --server a=2 --strict --threads 2 --listen x";
        let parsed = Arguments::try_parse_from(typed.split(' ')).unwrap();
        let Action::Balance(balance) = parsed.command else { panic!("not balance: {parsed:?}") };
        let texts: Vec<(&str, &str)> =
            balance.source.flags.0.iter().map(|w| (w.key, w.text.as_str())).collect();
        let expected = [
            ("listen", "x"),
            ("threads", "2"),
            ("server", "b=1"),
            ("server", "a=2"),
            ("strict", "true"),
        ];
        assert_eq!(texts, expected);
    }
}
