//! The address of a store: which servers, as whom, and how.
//!
//! ```text
//! redis://[[user]:password@]host[:port][/database][?option=value&…]
//! rediss://…                                            the same over TLS
//! redis+sentinel://[[user]:password@]host[:port],…/primary[/database]
//! redis+cluster://[[user]:password@]host[:port],…
//! ```
//!
//! `valkey` may stand for `redis`, and `rediss` in each. User, password and names are
//! percent-encoded.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::ConnectError;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where the servers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One server.
    Single(Address),
    /// The primary of this name, which these know.
    Sentinel { sentinels: Vec<Address>, primary: String },
    /// A cluster, some of whose nodes are these.
    Cluster(Vec<Address>),
}

/// Who one is to a server.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// What an address says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) login: Login,
    pub(crate) sentinel_login: Login,
    pub(crate) database: u16,
    pub(crate) tls: bool,
    /// A file of certificates to trust in place of the system's.
    pub(crate) authority: Option<PathBuf>,
    /// RESP2, for what stands between and does not know RESP3.
    pub(crate) old_protocol: bool,
}

/// Addresses in one URL: more than anybody has sentinels, and as many seeds as make sense.
pub(crate) const MAX_ADDRESSES: usize = 64;

const SINGLE_EXAMPLE: &str = "redis://user:password@localhost:6379/0";
const SENTINEL_EXAMPLE: &str =
    "redis+sentinel://:password@one:26379,two:26379,three:26379/mymaster";
const CLUSTER_EXAMPLE: &str = "redis+cluster://:password@one:6379,two:6379,three:6379";
const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

impl Target {
    pub(crate) fn parse(url: &str) -> Result<Self, ConnectError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("it has no scheme such as redis://", SINGLE_EXAMPLE))?;
        let (tls, kind) = scheme_of(scheme)?;
        let example = kind.example();
        let servers = rest.find(['/', '?']).unwrap_or(rest.len());
        if rest.split_at(servers).1.contains('@') {
            // What stands there may be half of a password, so nothing of it is shown.
            let part = "there is an @ after the servers; in a user, a password or an option write / \
                        as %2F, ? as %3F and @ as %40";
            return Err(wrong(part, example));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (login_of(login, example)?, hosts),
            None => (Login::default(), authority),
        };
        let addresses = addresses_of(hosts, kind.port(), example)?;
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let place = match kind {
            Kind::Single => match <[Address; 1]>::try_from(addresses) {
                Ok([address]) => Place::Single(address),
                Err(_) => return Err(wrong("it names more than one server", example)),
            },
            Kind::Sentinel => {
                let name = segments.next().ok_or_else(|| {
                    wrong("the name of the primary is missing after the addresses", example)
                })?;
                Place::Sentinel { sentinels: addresses, primary: decoded(name, example)? }
            }
            Kind::Cluster => Place::Cluster(addresses),
        };
        let database = match segments.next() {
            None => 0,
            Some("0") => 0,
            Some(_) if kind == Kind::Cluster => {
                return Err(wrong("a cluster has only database 0", example));
            }
            Some(number) => number.parse().map_err(|_fault| {
                wrong(&format!("the database {number:?} is no number"), example)
            })?,
        };
        if segments.next().is_some() {
            return Err(wrong("the path has too many parts", example));
        }
        let mut target = Self {
            place,
            login,
            sentinel_login: Login::default(),
            database,
            tls,
            authority: None,
            old_protocol: false,
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            target.set(option, example)?;
        }
        Ok(target)
    }

    fn set(&mut self, option: &str, example: &'static str) -> Result<(), ConnectError> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = decoded(value, example)?;
        match (name, &*value) {
            ("ca", _) if self.tls => self.authority = Some(value.into()),
            ("ca", _) => return Err(wrong("ca needs TLS, that is rediss", example)),
            ("protocol", "resp2" | "2") => self.old_protocol = true,
            ("protocol", "resp3" | "3") => self.old_protocol = false,
            ("protocol", _) => return Err(wrong("the protocol is resp2 or resp3", example)),
            ("sentinel_user", _) => self.sentinel_login.user = Some(value),
            ("sentinel_password", _) => self.sentinel_login.password = Some(value),
            _ => {
                let known = "ca, protocol, sentinel_user and sentinel_password";
                let part = format!("the option {name:?} is unknown; there are {known}");
                return Err(wrong(&part, example));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Single,
    Sentinel,
    Cluster,
}

impl Kind {
    const fn example(self) -> &'static str {
        match self {
            Self::Single => SINGLE_EXAMPLE,
            Self::Sentinel => SENTINEL_EXAMPLE,
            Self::Cluster => CLUSTER_EXAMPLE,
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Sentinel => SENTINEL_PORT,
            Self::Single | Self::Cluster => SERVER_PORT,
        }
    }
}

fn scheme_of(scheme: &str) -> Result<(bool, Kind), ConnectError> {
    let (server, kind) = match scheme.split_once('+') {
        None => (scheme, Kind::Single),
        Some((server, "sentinel")) => (server, Kind::Sentinel),
        Some((server, "cluster")) => (server, Kind::Cluster),
        Some(_) => return Err(unknown_scheme(scheme)),
    };
    match server {
        "redis" | "valkey" => Ok((false, kind)),
        "rediss" | "valkeys" => Ok((true, kind)),
        _ => Err(unknown_scheme(scheme)),
    }
}

fn unknown_scheme(scheme: &str) -> ConnectError {
    let known = "redis, rediss, redis+sentinel and redis+cluster";
    // What stands before "://" is no secret, unless something else was pasted there.
    let shown = if scheme.len() < 20 { scheme } else { "it has" };
    wrong(&format!("the scheme {shown:?} is unknown; there are {known}"), SINGLE_EXAMPLE)
}

fn login_of(text: &str, example: &'static str) -> Result<Login, ConnectError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password, example)?)),
        None => (text, None),
    };
    let user = decoded(user, example)?;
    if !user.is_empty() && password.is_none() {
        return Err(wrong("there is a user and no password", example));
    }
    Ok(Login { user: Some(user).filter(|user| !user.is_empty()), password })
}

fn addresses_of(
    hosts: &str,
    port: u16,
    example: &'static str,
) -> Result<Vec<Address>, ConnectError> {
    let addresses: Vec<Address> = hosts
        .split(',')
        .map(|host| {
            address_of(host, port)
                .ok_or_else(|| wrong(&format!("{host:?} is no host:port"), example))
        })
        .collect::<Result<_, _>>()?;
    if addresses.len() > MAX_ADDRESSES {
        return Err(wrong(&format!("it names more than {MAX_ADDRESSES} servers"), example));
    }
    Ok(addresses)
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(crate) fn address_of(text: &str, default_port: u16) -> Option<Address> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
        None => default_port,
    };
    (!host.is_empty()).then(|| Address::new(host, port))
}

/// Percent-decoding (RFC 3986, section 2.1).
fn decoded(text: &str, example: &'static str) -> Result<String, ConnectError> {
    let fault = || wrong("a % is not followed by two hexadecimal digits of UTF-8", example);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
            let (high, low) = (digit().ok_or_else(fault)?, digit().ok_or_else(fault)?);
            bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_fault| fault())
}

fn wrong(part: &str, example: &'static str) -> ConnectError {
    ConnectError::Url { part: part.to_owned(), example }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(url: &str) -> String {
        match Target::parse(url) {
            Err(ConnectError::Url { part, .. }) => part,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn one_server_with_everything_that_can_be_said() {
        let url = "rediss://me:p%40ss%3a@[::1]:7000/3?ca=/etc/ca.pem&protocol=resp2";
        let target = Target::parse(url).unwrap();
        assert_eq!(target.place, Place::Single(Address::new("::1", 7000)));
        assert_eq!(target.login.user.as_deref(), Some("me"));
        assert_eq!(target.login.password.as_deref(), Some("p@ss:"));
        assert!(target.tls && target.old_protocol && target.database == 3);
        assert_eq!(target.authority, Some("/etc/ca.pem".into()));
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let target = Target::parse("valkey://localhost").unwrap();
        assert_eq!(target.place, Place::Single(Address::new("localhost", 6379)));
        assert!(!target.tls && target.database == 0 && target.login == Login::default());
        let target = Target::parse("redis://:secret@h").unwrap();
        assert_eq!((target.login.user, target.login.password), (None, Some("secret".to_owned())));
    }

    #[test]
    fn several_servers() {
        let url = "redis+sentinel://:p@a,b:1/mymaster/2?sentinel_password=q";
        let target = Target::parse(url).unwrap();
        let sentinels = vec![Address::new("a", 26379), Address::new("b", 1)];
        assert_eq!(target.place, Place::Sentinel { sentinels, primary: "mymaster".to_owned() });
        assert_eq!(target.database, 2);
        assert_eq!(target.sentinel_login.password.as_deref(), Some("q"));
        let target = Target::parse("rediss+cluster://a:1,b:2").unwrap();
        assert_eq!(target.place, Place::Cluster(vec![Address::new("a", 1), Address::new("b", 2)]));
    }

    #[test]
    fn what_is_wrong_is_said_and_never_the_password() {
        for (url, expected) in [
            ("localhost", "no scheme"),
            ("http://localhost", "\"http\" is unknown"),
            ("redis+magic://localhost", "\"redis+magic\" is unknown"),
            ("redis://", "\"\" is no host:port"),
            ("redis://:hunter2@host:port", "\"host:port\" is no host:port"),
            ("redis://a,b", "more than one"),
            ("redis://a/x", "\"x\" is no number"),
            ("redis://a/1/2", "too many parts"),
            ("redis+sentinel://a", "name of the primary is missing"),
            ("redis+cluster://a/1", "only database 0"),
            ("redis://:hunter2%zz@a", "two hexadecimal digits"),
            ("redis://hunter2@a", "a user and no password"),
            ("redis://a?ca=x", "needs TLS"),
            ("redis://a?colour=red", "\"colour\" is unknown"),
            ("redis://a?protocol=4", "resp2 or resp3"),
            ("redis://:hunter2/x@a", "/ as %2F"),
            ("redis://me:6379/hunter2@a", "/ as %2F"),
            ("redis://:hunter2?x@a", "? as %3F"),
            ("redis://:p@a?hunter2@a", "@ as %40"),
        ] {
            let part = part(url);
            assert!(part.contains(expected), "{url}: {part}");
            assert!(!part.contains("hunter2"), "{part}");
        }
        assert!(
            part(&format!("redis+cluster://{}", vec!["a"; MAX_ADDRESSES + 1].join(",")))
                .contains("more than 64")
        );
    }
}
