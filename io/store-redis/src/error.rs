//! Why there is no store.

use std::{error, fmt};

use abide_session::Cause;

/// Why a connection to the server was not made. There is no store then, and nothing has changed on
/// any server.
///
/// No message holds a password.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address or an option can not be understood. Correct the configuration.
    Url {
        /// Which part of it, and what is wrong with that.
        part: String,
        /// An address as it should look.
        example: &'static str,
    },
    /// There was no answer. Try again later, or correct the address.
    Unreachable {
        /// The server, as `host:port`.
        address: String,
        /// What went wrong.
        cause: Cause,
    },
    /// The server does not let this user in, or does not let him do what a store has to. Correct the
    /// user, the password, the database or the user's rights.
    Refused {
        /// The server, as `host:port`.
        address: String,
        /// What it said.
        reason: String,
    },
    /// The server can not keep sessions: it is a replica, too old, or part of a set-up that the
    /// address does not speak of. Connect to another one, or by another address.
    Unsuitable {
        /// The server, as `host:port`.
        address: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { part, example } => {
                write!(f, "the store's address can not be used: {part}; an example is {example}")
            }
            Self::Unreachable { address, cause } => {
                write!(f, "no answer from the server at {address}: {cause}")
            }
            Self::Refused { address, reason } => {
                write!(f, "the server at {address} refuses: {reason}")
            }
            Self::Unsuitable { address, reason } => {
                write!(f, "the server at {address} can not keep sessions: {reason}")
            }
        }
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Unreachable { cause, .. } => Some(&**cause),
            Self::Url { .. } | Self::Refused { .. } | Self::Unsuitable { .. } => None,
        }
    }
}
