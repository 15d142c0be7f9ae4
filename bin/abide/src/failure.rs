//! Why a command ended without success.

use std::fmt;
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::configuration::Problems;

/// Exit status of wrong usage or configuration: `EX_USAGE` of sysexits.h.
pub(crate) const EXIT_USAGE: u8 = 64;

/// Why a command ended without success, by what one does about it.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum Failure {
    /// The command line or the configuration is wrong. Nothing was started.
    Configuration(Problems),
    /// As above, and what is wrong was printed as data already.
    Told,
    /// The URL of a store is not one that the store understands. Nothing was started.
    Address(String),
    /// An address could not be listened on. Nothing is left running.
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// Something else went wrong; the text says what, and what to do if anything can be done.
    Other(String),
}

impl Failure {
    /// The status to exit with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) | Self::Told | Self::Address(_) => ExitCode::from(EXIT_USAGE),
            Self::Listen { .. } | Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use std::io::ErrorKind;
        match self {
            Self::Configuration(problems) => problems.fmt(f),
            Self::Told => f.write_str("error: the configuration is wrong; nothing was started"),
            Self::Listen { address, error } => {
                write!(f, "error: can not listen on {address}: ")?;
                match error.kind() {
                    ErrorKind::AddrInUse => f.write_str(
                        "another program has this port; stop it, or choose another port (0 takes a free one)",
                    ),
                    ErrorKind::AddrNotAvailable => {
                        f.write_str("this machine does not have that address")
                    }
                    ErrorKind::PermissionDenied => f.write_str(
                        "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE); choose a higher port or grant it",
                    ),
                    _ => error.fmt(f),
                }
            }
            Self::Address(text) | Self::Other(text) => write!(f, "error: {text}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Configuration(problems) => Some(problems),
            Self::Listen { error, .. } => Some(error),
            Self::Told | Self::Address(_) | Self::Other(_) => None,
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}
