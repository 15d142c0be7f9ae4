//! What can be wrong with a configuration of this crate.

use core::fmt;

/// Why a part of a pool can not be made. All of these are faults of the configuration; nothing was
/// changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AffinityError {
    /// A server name is empty, longer than 64 bytes, or has a character other than letters, digits,
    /// `.`, `_` and `-`.
    ServerName,
    /// A weight is zero or over 100.
    Weight,
    /// Two servers have the same name: names are their identity.
    DuplicateServer(crate::ServerName),
    /// More servers than [`View::SERVERS_MAX`](crate::View::SERVERS_MAX).
    TooManyServers,
    /// A source of affinity is not written in a form that
    /// [`Source`](crate::Source) knows.
    Source,
    /// More sources than [`Sources::COUNT_MAX`](crate::Sources::COUNT_MAX), the same one twice, or
    /// `sticky` without a sticky cookie.
    Sources,
}

impl fmt::Display for AffinityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServerName => {
                "a server name needs 1 to 64 letters, digits, dots, underscores or hyphens"
            }
            Self::Weight => "a weight must be from 1 to 100; to take a server out, drain it",
            Self::DuplicateServer(name) => {
                return write!(f, "the server name `{name}` is used twice; names must be unique");
            }
            Self::TooManyServers => "a pool can have at most 1000 servers",
            Self::Source => {
                "a source of affinity is `sticky`, `address`, or one of `cookie:`, `header:`, \
                 `query:` and `path:` with a name, and `+route` if the id ends in a server's name"
            }
            Self::Sources => {
                "there can be at most 8 sources of affinity, each once, and `sticky` needs a sticky cookie"
            }
        })
    }
}

impl core::error::Error for AffinityError {}
