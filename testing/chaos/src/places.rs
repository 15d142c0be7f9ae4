//! What clients are told while they work: where they can ask, and when to look for what they know.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Where clients ask.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) balancer: SocketAddr,
    pub(crate) servers: Vec<Place>,
    /// Since when nodes are cut off from each other: then two sides go on, and know nothing of each other.
    pub(crate) cut: Mutex<Option<Instant>>,
    /// When all servers were last killed at once.
    pub(crate) killed_all: Mutex<Option<Instant>>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Whether it is asked directly. One that was struck is not.
    pub(crate) is_open: AtomicBool,
    /// On which side of a cut it is.
    pub(crate) is_far: AtomicBool,
}

/// A side of a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    /// Which cut: when it began.
    pub(crate) cut: Instant,
    pub(crate) is_far: bool,
}

impl Side {
    /// Whether the other is the other side of the same cut.
    pub(crate) fn is_beyond(self, other: Self) -> bool {
        self.cut == other.cut && self.is_far != other.is_far
    }
}

/// What all clients are told.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) is_over: AtomicBool,
    /// How many audits are due since the start.
    pub(crate) audits: AtomicU64,
    /// How often a client has done one.
    pub(crate) audited: AtomicU64,
}

impl Places {
    /// The name of what is at this address.
    pub(crate) fn name(&self, address: SocketAddr) -> &str {
        let server = self.servers.iter().find(|server| server.address == address);
        server.map_or("the balancer", |server| server.name.as_str())
    }

    /// Nodes are cut off from each other from now on.
    pub(crate) fn begin_cut(&self) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The two sides are one again.
    pub(crate) fn end_cut(&self) {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Since when there is a cut.
    pub(crate) fn cut(&self) -> Option<Instant> {
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On which side of the cut that there is now the server of this name is.
    pub(crate) fn side(&self, server: &str) -> Option<Side> {
        let place = self.servers.iter().find(|place| place.name == server)?;
        Some(Side { cut: self.cut()?, is_far: place.is_far.load(Ordering::Relaxed) })
    }

    /// All servers were killed, beginning at this time.
    pub(crate) fn were_all_killed(&self, at: Instant) {
        *self.killed_all.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// When that last was.
    pub(crate) fn killed_all(&self) -> Option<Instant> {
        *self.killed_all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this server is asked directly from now on.
    pub(crate) fn open(&self, server: usize, is_open: bool) {
        if let Some(place) = self.servers.get(server) {
            place.is_open.store(is_open, Ordering::Relaxed);
        }
    }
}
