//! The configuration of `abide balance`: from written values to what the balancer takes.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use abide_affinity::{Algorithm, Lifetime, Source, Sources, View, Weight};
use abide_balancer::config::{
    AccessLog, CheckConfig, Config, Network, ServerConfig, StickyConfig, Timeouts,
};
use abide_cookie::{CookieName, Prefix, SameSite};
use abide_keys::KeyRing;

use super::admin::admin;
use super::file;
use super::ring::key_ring;
use super::surroundings::Surroundings;
use super::value::{
    access_log, address, cookie_name, domain, one_of, pool, server_address, server_name, switch,
};
use super::{Fault, Problem, Problems, Reader, Written};
use crate::arguments;
use crate::process::LogFormat;

/// The most trusted ranges: each is compared with each client's address.
const TRUSTED_PROXIES_MAX: usize = 256;
/// The most threads. More than a machine has cores is only waste.
const THREADS_MAX: u64 = 256;
/// A check that waits longer than this for its answer has failed, however rare checks are.
const CHECK_TIMEOUT_MS_MAX: u64 = 5_000;
/// Checks in a row that bring a server up or take it down: one lucky or lost packet is no change.
const CHECKS_UP: u32 = 2;
const CHECKS_DOWN: u32 = 3;

/// What `abide balance` was asked to do.
#[derive(Debug)]
pub(crate) struct Settings {
    /// For the balancer.
    pub(crate) balancer: Config,
    /// For the process.
    pub(crate) log_format: LogFormat,
    /// Whether the keys were drawn just now, and so will not be the same after a restart.
    pub(crate) keys_are_new: bool,
}

/// Reads the configuration that the command line names, from the real files and environment; the
/// keys from standard input if the command line says so.
pub(crate) fn read(
    source: &arguments::Source,
    keys_from_stdin: bool,
) -> Result<Settings, Problems> {
    let surroundings = Surroundings::real(keys_from_stdin)?;
    settle(source.config.as_deref(), &source.flags.0, &surroundings)
}

/// The configuration from a file, if there is one, and flags, which win.
pub(crate) fn settle(
    path: Option<&Path>,
    flags: &[Written],
    surroundings: &Surroundings<'_>,
) -> Result<Settings, Problems> {
    let mut contents = file::Contents::default();
    if let Some(path) = path {
        let name = path.display().to_string();
        match (surroundings.read)(path) {
            Ok(text) => contents = file::read(&name, &text),
            Err(error) => {
                return Err(Problems::one(Problem {
                    file: Some(name),
                    line: None,
                    key: None,
                    fault: format!("can not read this file: {error}"),
                    remedy: "give the path of a TOML file".to_owned(),
                }));
            }
        }
    }
    let file::Contents { values, spoiled, problems } = contents;
    let mut reader = Reader::new([flags.to_vec(), values]).with_faults(spoiled, problems);
    let settings = assemble(&mut reader, surroundings);
    Problems::check(reader.into_problems())?;
    Ok(settings)
}

/// Every part in turn. Wrong values leave their problems with the reader and a default here.
fn assemble(reader: &mut Reader, surroundings: &Surroundings<'_>) -> Settings {
    let listen = reader.one("listen", SocketAddr::from(([127, 0, 0, 1], 8080)), address);
    let cores = u64::try_from(surroundings.cores.get()).unwrap_or(1).min(THREADS_MAX);
    let threads = reader.number("threads", cores, 1..=THREADS_MAX);
    let threads = usize::try_from(threads).ok().and_then(NonZeroUsize::new);
    let (ring, keys_are_new) = key_ring(reader, surroundings);
    let balancer = Config {
        listen,
        admin: admin(reader, surroundings, Some(listen)),
        threads: threads.unwrap_or(NonZeroUsize::MIN),
        pool: reader.one("pool", "default".to_owned(), pool),
        servers: servers(reader, listen),
        affinity: affinity(reader),
        strict: reader.one("strict", false, switch),
        balance: reader.one("balance", Algorithm::default(), |text| {
            text.parse().map_err(|_error| {
                let all = Algorithm::ALL.map(Algorithm::as_str).join(", ");
                Fault::new(format!("`{text}` is no way to balance"), format!("write one of {all}"))
            })
        }),
        sticky: sticky(reader, ring),
        check: check(reader),
        timeouts: timeouts(reader),
        trusted_proxies: trusted_proxies(reader),
        access_log: reader.one("access-log", AccessLog::Off, access_log),
        verdict_header: reader.one("verdict-header", false, switch),
        session_id_cookie: reader
            .optional("session-id-cookie", |text| cookie_name(text).map(|_| text.to_owned())),
    };
    let log_format = reader.one("log-format", LogFormat::Text, |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(one_of(text, "text, json")),
    });
    Settings { balancer, log_format, keys_are_new }
}

fn servers(reader: &mut Reader, listen: SocketAddr) -> Vec<ServerConfig> {
    let written = reader.many("server", server);
    let mut servers: Vec<ServerConfig> = Vec::new();
    for (server, written) in written {
        if servers.iter().any(|other| other.name == server.name) {
            let fault = format!("the name `{}` is taken by another server", server.name);
            reader.refuse(&written, Fault::new(fault, "give each server a name of its own"));
        } else if server.address == listen {
            let fault = format!("{} is this balancer's own address", server.address);
            reader.refuse(&written, Fault::new(fault, "write where the server listens"));
        } else {
            servers.push(server);
        }
    }
    if !reader.has("server") {
        let remedy = "write `--server NAME=ADDRESS`, or `server = [\"NAME=ADDRESS\"]` in the file";
        reader.note(Problem::of_all("there is no server to send requests to", remedy));
    }
    if servers.len() > View::SERVERS_MAX {
        let fault = format!("{} servers are too many", servers.len());
        reader.note(Problem::of_all(&fault, "a balancer takes up to 1000"));
    }
    servers
}

fn server(text: &str) -> Result<ServerConfig, Fault> {
    const FORM: &str = "write NAME=ADDRESS, as in a=127.0.0.1:8081 or a=127.0.0.1:8081,weight=2";
    let Some((name, rest)) = text.split_once('=') else {
        return Err(Fault::new(format!("`{text}` has no name"), FORM));
    };
    let name = server_name(name)?;
    let (place, weight) = match rest.split_once(',') {
        None => (rest, None),
        Some((place, option)) => match option.split_once('=') {
            Some(("weight", weight)) => (place, Some(weight)),
            _ => return Err(Fault::new(format!("`{option}` is no option of a server"), FORM)),
        },
    };
    let address = server_address(place)?;
    if address.port() == 0 {
        return Err(Fault::new(format!("{address} has no port"), "write the port it listens on"));
    }
    let weight = match weight {
        None => Weight::ONE,
        Some(text) => text.parse().ok().and_then(|n| Weight::new(n).ok()).ok_or_else(|| {
            let fault = format!("`{text}` is no weight");
            Fault::new(fault, "write a whole number from 1 to 100, as in weight=2")
        })?,
    };
    Ok(ServerConfig { name, address, weight })
}

fn affinity(reader: &mut Reader) -> Vec<Source> {
    let written = reader.many("affinity", |text| {
        text.parse::<Source>().map_err(|_error| {
            let remedy = "write sticky, address, or cookie:NAME, header:NAME, query:NAME, path:NAME, \
                          each of these with +route if the id ends in a server's name";
            Fault::new(format!("`{text}` is not a source"), remedy)
        })
    });
    if !reader.has("affinity") {
        return vec![Source::Sticky];
    }
    let mut sources: Vec<Source> = Vec::new();
    for (source, written) in written {
        if sources.contains(&source) {
            let fault = format!("`{source}` is named twice");
            reader.refuse(&written, Fault::new(fault, "leave one of them out"));
        } else if sources.len() == Sources::COUNT_MAX {
            let fault = "these are too many sources";
            reader.refuse(&written, Fault::new(fault, "a request is asked for up to 8"));
        } else {
            sources.push(source);
        }
    }
    sources
}

fn sticky(reader: &mut Reader, keys: KeyRing) -> StickyConfig {
    let name = CookieName::new("abide-server").expect("it is a cookie's name");
    let name = reader.one("cookie-name", name, cookie_name);
    let secure = reader.one("cookie-secure", None, |text| match text {
        "by-scheme" => Ok(None),
        "always" => Ok(Some(true)),
        "never" => Ok(Some(false)),
        _ => Err(one_of(text, "by-scheme, always, never")),
    });
    let same_site = reader.one("cookie-same-site", SameSite::Lax, |text| match text {
        "lax" => Ok(SameSite::Lax),
        "strict" => Ok(SameSite::Strict),
        "none" => Ok(SameSite::None),
        _ => Err(one_of(text, "lax, strict, none")),
    });
    let partitioned = reader.one("cookie-partitioned", false, switch);
    let domain = reader.optional("cookie-domain", domain);
    let must_be_secure = [
        ("cookie-same-site", same_site == SameSite::None),
        ("cookie-partitioned", partitioned),
        ("cookie-name", name.prefix() != Prefix::Plain),
    ];
    for (key, is_so) in must_be_secure {
        if is_so
            && secure != Some(true)
            && let Some(place) = reader.place(key)
        {
            let fault = "browsers drop such a cookie unless it is Secure".to_owned();
            let remedy = "write cookie-secure = \"always\", and serve by https".to_owned();
            reader.note(Problem::at(&place, key, fault, remedy));
        }
    }
    if name.prefix() == Prefix::Host
        && let Some(place) = reader.place("cookie-domain")
    {
        let fault = "browsers drop a cookie named __Host-... that has a domain".to_owned();
        let remedy = "leave cookie-domain out, or choose another cookie-name".to_owned();
        reader.note(Problem::at(&place, "cookie-domain", fault, remedy));
    }
    let Lifetime { idle_max, life_max } = Lifetime::default();
    let idle = reader.number("cookie-idle-seconds", idle_max.as_secs(), 60..=31_536_000);
    let life = life_max.as_secs().max(idle);
    let life = reader.number("cookie-life-seconds", life, idle..=31_536_000);
    let (idle, life) = (Duration::from_secs(idle), Duration::from_secs(life));
    StickyConfig { name, keys, idle, life, secure, same_site, partitioned, domain }
}

fn check(reader: &mut Reader) -> Option<CheckConfig> {
    let path = reader.optional("check-path", |text| {
        let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_path.then(|| text.to_owned()).ok_or_else(|| {
            Fault::new(format!("`{text}` is not a path"), "write a path such as /health")
        })
    });
    let interval_ms = reader.number("check-interval-ms", 2_000, 100..=3_600_000);
    let timeout_ms = interval_ms.min(CHECK_TIMEOUT_MS_MAX);
    path.map(|path| CheckConfig {
        path,
        interval: Duration::from_millis(interval_ms),
        timeout: Duration::from_millis(timeout_ms),
        rise: CHECKS_UP,
        fall: CHECKS_DOWN,
    })
}

fn timeouts(reader: &mut Reader) -> Timeouts {
    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    let default = Timeouts::default();
    let mut of = |key, default: Duration, range| {
        let default_ms = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(reader.number(key, default_ms, range))
    };
    Timeouts {
        header: of("header-timeout-ms", default.header, 100..=HOUR),
        connect: of("connect-timeout-ms", default.connect, 10..=HOUR),
        response: of("response-timeout-ms", default.response, 100..=DAY),
        stall: of("stall-timeout-ms", default.stall, 100..=DAY),
        idle: of("idle-timeout-ms", default.idle, 100..=DAY),
        tunnel: of("tunnel-timeout-ms", default.tunnel, 100..=7 * DAY),
        shutdown: of("stop-timeout-ms", default.shutdown, 0..=HOUR),
    }
}

fn trusted_proxies(reader: &mut Reader) -> Vec<Network> {
    let written = reader.many("trusted-proxy", |text| {
        text.parse::<Network>().map_err(|_error| {
            let remedy = "write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32";
            Fault::new(format!("`{text}` is no address or range"), remedy)
        })
    });
    if written.len() > TRUSTED_PROXIES_MAX {
        let fault = format!("{} trusted proxies are too many", written.len());
        reader.note(Problem::of_all(&fault, "name up to 256 ranges"));
    }
    written.into_iter().map(|(network, _)| network).collect()
}

#[cfg(test)]
mod tests;
