//! Why a node can not join, grouped by what there is to do.

use std::path::PathBuf;
use std::{error, fmt, io};

/// Why a node could not start. Nothing is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The configuration can not be right; it says what is wrong. Change it.
    Config(String),
    /// The address that others are to find this node at can not be listened at.
    Listen {
        /// The address.
        address: String,
        /// Why not.
        cause: io::Error,
    },
    /// The folder for its sessions can not be used, and no session in it was changed; it says why. Give another, or
    /// mend it.
    Data {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// The operating system gave no thread.
    Thread(io::Error),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(fault) => f.write_str(fault),
            Self::Listen { address, cause } => {
                write!(f, "can not listen at {address} for the other nodes: {cause}")
            }
            Self::Data { folder, fault } => {
                write!(f, "can not keep sessions in {}: {fault}", folder.display())
            }
            Self::Thread(cause) => write!(f, "can not start the node's thread: {cause}"),
        }
    }
}

impl error::Error for JoinError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Config(_) | Self::Data { .. } => None,
            Self::Listen { cause, .. } | Self::Thread(cause) => Some(cause),
        }
    }
}
