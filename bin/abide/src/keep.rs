//! Where sessions are kept: what was typed, what it means, and the opening of it.
//!
//! Two stages, as everywhere in this binary. [`Keep::parse`] is pure: it says what kind of place a
//! text names, and refuses what can not be one. [`open`] goes there, before anything of the command
//! has started, and fails with one line that says what to do.
//!
//! Invariant: what shows a [`Keep`], `Display` and `Debug` alike, shows no user, no password and no
//! parameter of a URL. Only the store that is opened sees the whole text.

mod address;
mod certificates;
mod choice;
mod driver;
mod ends;
mod nodes;
mod open;

use std::fmt;

use crate::configuration::Fault;

pub(crate) use address::StoreAddress;
use address::StoreKind;
use choice::Other;
pub(crate) use choice::{
    Choice, KEEP_FROM_VARIABLE, KEEP_NEXT_VARIABLE, KEEP_VARIABLE, environment, warn_of_passwords,
};
pub(crate) use ends::Ends;
pub(crate) use nodes::{NodeList, SCHEME as NODES};
pub(crate) use open::{Kept, Opened, Server, open};

/// A place to keep sessions in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The memory of one server: they end with its process.
    Memory,
    /// The browsers, sealed: servers with the same keys open each other's.
    Cookie,
    /// The servers themselves, each session on two of them.
    Nodes(NodeList),
    /// A store that all servers share.
    Store(StoreAddress),
}

/// What to write, for whoever wrote something else.
const REMEDY: &str = "write memory, cookie, or a URL that begins with nodes://, sqlite://, postgres://, \
                      mysql://, redis://, rediss://, redis+sentinel://, redis+cluster:// or memcached://";

impl Keep {
    /// What was typed.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "memory" => Ok(Self::Memory),
            "cookie" => Ok(Self::Cookie),
            nodes::SCHEME => Err(Fault::new(
                "which servers are nodes, and where they find each other, is missing",
                nodes::EXAMPLE,
            )),
            url if url.contains("://") => match url.split_once("://") {
                Some((nodes::SCHEME, list)) => NodeList::parse(list).map(Self::Nodes),
                _ => StoreAddress::parse(url).map(Self::Store),
            },
            // Whatever has an `@` may hold a password.
            word if word.contains('@') => {
                Err(Fault::new("this is not a place of sessions", REMEDY))
            }
            word => {
                Err(Fault::new(format!("this build can not keep sessions in `{word}`"), REMEDY))
            }
        }
    }

    /// A word for programs: `memory`, `cookie`, `nodes`, or the kind of store.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cookie => "cookie",
            Self::Nodes(_) => nodes::SCHEME,
            Self::Store(address) => address.kind().word(),
        }
    }

    /// Whether it is a store in which values are sealed.
    pub(crate) const fn seals_values(&self) -> bool {
        matches!(self, Self::Store(address) if address.is_sealed())
    }

    /// The text as it was typed, with whatever is secret in it: for a process of our own only.
    pub(crate) fn expose(&self) -> &str {
        match self {
            Self::Memory => "memory",
            Self::Cookie => "cookie",
            Self::Nodes(list) => list.as_str(),
            Self::Store(address) => address.expose(),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Cookie => f.write_str("cookie"),
            Self::Nodes(list) => list.fmt(f),
            Self::Store(address) => address.fmt(f),
        }
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
