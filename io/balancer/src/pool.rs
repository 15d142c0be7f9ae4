//! One worker's open connections to the servers.
//!
//! Each worker has connections of its own, so no request ever waits for a lock. They are reused
//! youngest first, so that surplus ones grow old and are closed. A server may close an idle
//! connection at the moment a request is written to it, and then nobody can tell whether the request
//! was read; so a request that must not be sent twice only takes a connection that was busy a moment
//! ago, or a new one.

use crate::activity::CoarseClock;
use crate::body::RequestBody;
use crate::io_error::{IoError, Side};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Idle connections kept for one server by one worker.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// An idle connection this old is closed. Below what common servers allow would be better, but those
/// range from 2 s; the rule for unsafe requests is what protects them.
const IDLE_MS_MAX: u64 = 30_000;
/// A request that must not be sent twice takes no connection that was idle for longer.
const IDLE_MS_MAX_UNSAFE: u64 = 1_000;

/// A connection to a server, ready for one request.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) sender: SendRequest<RequestBody>,
    /// It has served a request before, so it may have died in the meantime.
    pub(crate) reused: bool,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<RequestBody>,
    since_ms: u64,
}

/// The idle connections of one worker, by server.
#[derive(Debug)]
pub(crate) struct Pool {
    clock: Arc<CoarseClock>,
    idle: Vec<RefCell<Vec<Idle>>>,
}

impl Pool {
    pub(crate) fn new(servers: usize, clock: Arc<CoarseClock>) -> Self {
        Self { clock, idle: (0..servers).map(|_| RefCell::default()).collect() }
    }

    /// An idle connection to the server, if there is one that the request may use.
    pub(crate) fn take(&self, server: usize, replayable: bool) -> Option<Lease> {
        let oldest_ms = if replayable { IDLE_MS_MAX } else { IDLE_MS_MAX_UNSAFE };
        let now_ms = self.clock.now_ms();
        let mut idle = self.idle[server].borrow_mut();
        while let Some(Idle { sender, since_ms }) = idle.pop() {
            if now_ms.saturating_sub(since_ms) > oldest_ms {
                idle.push(Idle { sender, since_ms });
                return None;
            }
            if sender.is_ready() {
                return Some(Lease { sender, reused: true });
            }
        }
        None
    }

    /// Takes back a connection whose answer has been read whole.
    pub(crate) fn put(&self, server: usize, lease: Lease) {
        let mut idle = self.idle[server].borrow_mut();
        if idle.len() < IDLE_CONNECTIONS_MAX && !lease.sender.is_closed() {
            idle.push(Idle { sender: lease.sender, since_ms: self.clock.now_ms() });
        }
    }

    /// Closes what has been idle for too long or was closed by the server.
    pub(crate) fn prune(&self) {
        let now_ms = self.clock.now_ms();
        for idle in &self.idle {
            idle.borrow_mut().retain(|idle| {
                !idle.sender.is_closed() && now_ms.saturating_sub(idle.since_ms) <= IDLE_MS_MAX
            });
        }
    }
}

/// Opens a connection to a server and starts the task that drives it.
///
/// # Errors
/// [`IoError::Connect`]: nothing was sent.
pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> Result<Lease, IoError> {
    let stream = match tokio::time::timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(IoError::Connect(error)),
        Err(_elapsed) => return Err(IoError::Connect(std::io::ErrorKind::TimedOut.into())),
    };
    stream.set_nodelay(true).map_err(IoError::Connect)?;
    let (sender, connection) = Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| IoError::Broken(Side::Server, error))?;
    tokio::task::spawn_local(async move {
        // Its end shows at the request that uses it, or at the next look into the pool.
        let _ = connection.with_upgrades().await;
    });
    Ok(Lease { sender, reused: false })
}
