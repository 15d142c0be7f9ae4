//! What can be typed.
//!
//! The flags of `balance` come from [`KEYS`], so that a flag and a key of the file can not differ.
//! All of them are read as text here: what they mean is the configuration's business, which reports
//! every error at once, where a parser of flags would stop at the first.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::configuration::keys::{KEYS, Shape};
use crate::configuration::{Place, Written};

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
/// the address that it prints, sign in, fill a cart, and stop the server that holds it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    abide demo\n  \
    abide demo --listen 127.0.0.1:9000 --servers 5\n\n\
    Keys while it runs: 1 to 9 stop or start a server, q stops everything.")]
pub(crate) struct Demo {
    /// Where browsers connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: String,
    /// How many shop servers to start, 2 to 9
    #[arg(long, value_name = "NUMBER", default_value = "3")]
    pub(crate) servers: String,
    /// Where the shops keep their sessions: memory
    #[arg(long, value_name = "KIND", default_value = "memory")]
    pub(crate) keep: String,
}

/// Run one shop server of the demo
///
/// A small web shop that uses the abide library, and a JSON API for tests and benchmarks. It is
/// made for plain http on loopback: its cookie is not marked Secure.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    abide app --name a --listen 127.0.0.1:8081\n  \
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
    POST /api/big?bytes=            set a field of so many bytes\n  \
    GET  /health                    200 while it serves")]
pub(crate) struct App {
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub(crate) listen: String,
    /// What it calls itself
    #[arg(long, value_name = "NAME", default_value = "a")]
    pub(crate) name: String,
    /// Where it keeps sessions: memory
    #[arg(long, value_name = "KIND", default_value = "memory")]
    pub(crate) keep: String,
    /// The demo that started it, which can stop and start servers.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    pub(crate) demo_control: Option<String>,
    /// Stop when standard input ends, as it does when the parent dies.
    #[arg(long, hide = true)]
    pub(crate) exit_with_stdin: bool,
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

/// Print new keys for the balancer's cookie
///
/// Put them into a file, one a line, readable by the balancer only, and name it by --keys-file.
/// To change keys: add the new one as the last line everywhere, then make it the first line
/// everywhere, and drop the old one when cookies sealed by it are too old to count. A balancer reads
/// its keys when it starts, so each step ends with a restart.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  (umask 077; abide keygen > /etc/abide/keys)")]
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
