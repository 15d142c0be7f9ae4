//! The URL of a store, as far as this binary has to understand it.
//!
//! Each store reads its own URL and knows best what may stand in it. What is looked at here is what
//! every kind has in common: which store it is for, and which part of it is nobody's business.

use std::fmt;

use crate::configuration::Fault;

/// The URL of a store that servers share.
///
/// Invariant: `shown` holds no user, no password and no parameter.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct StoreAddress {
    kind: StoreKind,
    is_sealed: bool,
    /// As it was typed.
    text: String,
    shown: String,
}

/// A kind of store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StoreKind {
    /// One file, for servers on one machine.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
    /// Redis or Valkey: one server, Sentinel or Cluster.
    Redis,
    /// Memcached, one server or several.
    Memcached,
}

/// Before a URL it says that values are sealed before they get there. It belongs to the place and not
/// to the process, because what is sealed and what is not are two places, even in one store: a move
/// goes from the one to the other.
const SEALED: &str = "sealed+";

/// Each way to begin, what it is for, and how such a URL looks.
const SCHEMES: &[(&str, StoreKind, &str)] = &[
    ("sqlite", StoreKind::Sqlite, "sqlite://sessions.db"),
    ("postgres", StoreKind::Postgres, "postgres://app@db1/shop"),
    ("postgresql", StoreKind::Postgres, "postgresql://app@db1/shop"),
    ("mysql", StoreKind::Mysql, "mysql://app@db1/shop"),
    ("mariadb", StoreKind::Mysql, "mariadb://app@db1/shop"),
    ("redis", StoreKind::Redis, "redis://cache1:6379"),
    ("rediss", StoreKind::Redis, "rediss://cache1:6379"),
    ("redis+sentinel", StoreKind::Redis, "redis+sentinel://cache1:26379,cache2:26379/mymaster"),
    ("redis+cluster", StoreKind::Redis, "redis+cluster://cache1:6379,cache2:6379"),
    ("rediss+sentinel", StoreKind::Redis, "rediss+sentinel://cache1:26379,cache2:26379/mymaster"),
    ("rediss+cluster", StoreKind::Redis, "rediss+cluster://cache1:6379,cache2:6379"),
    ("valkey", StoreKind::Redis, "valkey://cache1:6379"),
    ("valkeys", StoreKind::Redis, "valkeys://cache1:6379"),
    ("valkey+sentinel", StoreKind::Redis, "valkey+sentinel://cache1:26379,cache2:26379/mymaster"),
    ("valkey+cluster", StoreKind::Redis, "valkey+cluster://cache1:6379,cache2:6379"),
    ("memcached", StoreKind::Memcached, "memcached://cache1:11211,cache2:11211"),
];

impl StoreAddress {
    /// A URL. What is wrong with it is said without showing it: it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let url = text.strip_prefix(SEALED).unwrap_or(text);
        let is_sealed = url.len() < text.len();
        let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
        let Some((_, kind, example)) = SCHEMES.iter().find(|(known, ..)| *known == scheme) else {
            let fault = if scheme.contains('@') {
                "this is not the URL of a store".to_owned()
            } else {
                format!("this build can not keep sessions in a `{scheme}://`")
            };
            return Err(Fault::new(fault, super::REMEDY));
        };
        let fault = |what: &str| {
            Err(Fault::new(
                format!("{what} after `{scheme}://`"),
                format!("write it as in {example}"),
            ))
        };
        let end = rest.find(['?', '#']).unwrap_or(rest.len());
        let (place, parameters) = rest.split_at(end);
        let place = if *kind == StoreKind::Sqlite {
            if place.is_empty() || place == ":memory:" {
                return fault("the name of a file is missing");
            }
            place
        } else {
            let path = place.find('/').unwrap_or(place.len());
            let (authority, path) = place.split_at(path);
            // Of a password with a raw `/`, `?` or `#` in it, the end would be taken for something
            // that may be shown.
            if path.contains('@') || parameters.contains('@') {
                let remedy =
                    "in a password write %2F for `/`, %3F for `?`, %23 for `#`, %40 for `@`";
                return Err(Fault::new(
                    format!("an `@` is out of place in the {scheme} URL"),
                    remedy,
                ));
            }
            let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
            // A database may be reached by a socket that the parameters name.
            if hosts.is_empty() && (!kind.is_database() || parameters.is_empty()) {
                return fault("the name of a host is missing");
            }
            if hosts.split(',').any(|host| !is_host(host)) && !hosts.is_empty() {
                return fault("there is something that is neither a host nor a host and a port");
            }
            if scheme.ends_with("+sentinel") && path.len() < "/m".len() {
                return fault("the name of the master is missing");
            }
            &place[authority.len() - hosts.len()..]
        };
        let shown = format!("{}{scheme}://{place}", if is_sealed { SEALED } else { "" });
        Ok(Self { kind: *kind, is_sealed, text: text.to_owned(), shown })
    }

    /// What it is the URL of.
    pub(crate) const fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Whether values are sealed before they get there.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.is_sealed
    }

    /// The whole text, with the password if there is one. Never for a person's eyes.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// What the store itself understands, with the password if there is one.
    pub(crate) fn expose_url(&self) -> &str {
        self.text.strip_prefix(SEALED).unwrap_or(&self.text)
    }

    /// Whether it holds a password, as far as that can be seen.
    pub(crate) fn has_password(&self) -> bool {
        let (_, rest) = self.text.split_once("://").unwrap_or_default();
        let user = rest.split('/').next().and_then(|authority| authority.rsplit_once('@'));
        self.kind != StoreKind::Sqlite
            && (user.is_some_and(|(user, _)| user.contains(':')) || rest.contains("password="))
    }
}

/// A name or an address, and a port if one is given.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_letter = |c: char| c.is_alphanumeric() || "-._%:[]".contains(c);
    let port_is_right = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    !host.is_empty() && host.chars().all(is_letter) && port_is_right
}

impl StoreKind {
    /// The word for programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
        }
    }

    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::Mysql => "MySQL or MariaDB",
            Self::Redis => "Redis",
            Self::Memcached => "Memcached",
        }
    }

    const fn is_database(self) -> bool {
        matches!(self, Self::Postgres | Self::Mysql)
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_a_url_holds_no_secret() {
        for (url, kind, shown) in [
            ("sqlite://sessions.db", StoreKind::Sqlite, "sqlite://sessions.db"),
            ("sqlite:///var/lib/a@b.db?mode=rwc", StoreKind::Sqlite, "sqlite:///var/lib/a@b.db"),
            ("postgres://app:secret@db/shop", StoreKind::Postgres, "postgres://db/shop"),
            (
                "postgresql:///shop?host=/run&password=secret",
                StoreKind::Postgres,
                "postgresql:///shop",
            ),
            ("mariadb://secret@[::1]:3306/shop", StoreKind::Mysql, "mariadb://[::1]:3306/shop"),
            ("mysql://app:se:cr@et@db", StoreKind::Mysql, "mysql://db"),
            ("redis://:secret@c:6379/1?protocol=resp3", StoreKind::Redis, "redis://c:6379/1"),
            ("rediss://u:secret@c", StoreKind::Redis, "rediss://c"),
            ("redis+sentinel://u:secret@a:1,b:2/m", StoreKind::Redis, "redis+sentinel://a:1,b:2/m"),
            ("redis+cluster://a:1,b:2", StoreKind::Redis, "redis+cluster://a:1,b:2"),
            ("memcached://a:1,b:2", StoreKind::Memcached, "memcached://a:1,b:2"),
            ("sealed+redis://u:secret@c", StoreKind::Redis, "sealed+redis://c"),
        ] {
            let address =
                StoreAddress::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault:?}"));
            assert_eq!((address.kind(), address.to_string().as_str()), (kind, shown));
            assert_eq!(format!("{address:?}"), shown);
            assert_eq!(address.expose(), url);
            assert_eq!(address.is_sealed(), url.starts_with("sealed+"));
            assert!(!address.expose_url().starts_with("sealed+"));
            let has_password = url.contains("secret@") && url.contains(":secret")
                || url.contains("password=")
                || url.contains("se:cr@et");
            assert_eq!(address.has_password(), has_password, "{url}");
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_being_shown() {
        for wrong in [
            "http://secret",
            "redis://",
            "redis://:secret@",
            "redis://:se/cret@host",
            "redis://user:12?3secret@host",
            "redis://user:12#3secret@host",
            "redis://user:secret",
            "redis://host:70000/secret",
            "redis://a:0/secret",
            "redis://a:1,,b:2/secret",
            "redis+sentinel://secret:1",
            "redis+sentinel://secret:1/",
            "postgres:///secret",
            "mysql://",
            "sqlite://",
            "sqlite://:memory:",
            "memcached:///secret",
            "memcached://a b/secret",
            "se@cret://host",
        ] {
            let fault = StoreAddress::parse(wrong).expect_err(wrong);
            let told = format!("{} {}", fault.fault, fault.remedy);
            assert!(!told.contains("secret") && !told.contains("cret://"), "{wrong}: {told}");
        }
    }
}
