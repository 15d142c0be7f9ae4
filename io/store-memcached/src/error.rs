//! What can go wrong between this store and its servers.

use std::{error, fmt, io};

use abide_session::{Limit, StoreError};

use crate::protocol;

/// Why there is no store. Nothing was changed on any server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL, or something else that was configured, can not be meant like that. Correct it; the
    /// text says which part and gives an example.
    BadUrl(String),
    /// No server answered. Check the address, and that a server listens there.
    Unreachable {
        /// The server that was tried last.
        address: String,
        /// What went wrong.
        cause: io::Error,
    },
    /// A server wants a user name and a password, or others than these (`-Y` of memcached). The text
    /// is the server's.
    Refused {
        /// The server that refused.
        address: String,
        /// What it said.
        answer: String,
    },
    /// A server can not keep sessions as it is set up; the text says what to change.
    Unsuitable {
        /// The server.
        address: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUrl(what) => write!(f, "bad memcached configuration: {what}"),
            Self::Unreachable { address, cause } => {
                write!(f, "the memcached server {address} can not be reached: {cause}")
            }
            Self::Refused { address, answer } => {
                write!(
                    f,
                    "the memcached server {address} refuses the user name and password: {answer}"
                )
            }
            Self::Unsuitable { address, reason } => {
                write!(f, "the memcached server {address} can not be used: {reason}")
            }
        }
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreachable { cause, .. } => Some(cause),
            Self::BadUrl(_) | Self::Refused { .. } | Self::Unsuitable { .. } => None,
        }
    }
}

/// Why an exchange with a server did not come to its end.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection could not be made, or broke.
    Io(io::Error),
    /// The server would have nothing of it, or says what is no answer.
    Protocol(protocol::Fault),
    /// The connection was made after the token was read that it was to be used with.
    TooNew,
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

impl From<protocol::Fault> for Trouble {
    fn from(fault: protocol::Fault) -> Self {
        Self::Protocol(fault)
    }
}

impl Trouble {
    /// As the error of a call to the store. The address is one of the configured servers.
    pub(crate) fn at(self, address: &str) -> StoreError {
        unavailable(match self {
            Self::Io(cause) => format!("memcached {address}: {cause}"),
            Self::Protocol(protocol::Fault::Refused(answer)) => {
                format!("memcached {address} answered: {answer}")
            }
            Self::Protocol(protocol::Fault::Garbled) => {
                format!("memcached {address} does not speak the protocol")
            }
            Self::TooNew => format!("memcached {address}: the connection was lost meanwhile"),
        })
    }
}

pub(crate) fn unavailable(text: String) -> StoreError {
    StoreError::Unavailable(text.into())
}

pub(crate) fn corrupt(text: &'static str) -> StoreError {
    StoreError::Corrupt(text.into())
}

/// A session that a server would not take as it is large: what it would become is over the limit of
/// where it is kept.
pub(crate) const fn too_large() -> StoreError {
    StoreError::TooLarge(Limit::Record)
}
