//! What can go wrong between client and server while a request is under way.

use std::fmt;
use std::io;

/// Which of the two connections failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Grouped by what may be done about it.
#[derive(Debug)]
pub(crate) enum IoError {
    /// No connection to the server: nothing was sent, any server may be tried.
    Connect(io::Error),
    /// The connection ended before the answer began. What was sent may have been read.
    Broken(Side, hyper::Error),
    /// The server did not answer in time. It may still be working on the request.
    ResponseTimeout,
    /// The content of the request stopped coming before the answer began.
    Stalled,
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "can not connect: {error}"),
            Self::Broken(Side::Client, error) => write!(f, "the client broke off: {error}"),
            Self::Broken(Side::Server, error) => write!(f, "the server broke off: {error}"),
            Self::Stalled => f.write_str("the request stopped coming"),
            Self::ResponseTimeout => f.write_str("the server did not answer in time"),
        }
    }
}
