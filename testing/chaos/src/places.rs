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
    /// Whether nodes are cut off from each other: then two sides go on, and know nothing of each other.
    pub(crate) is_cut: AtomicBool,
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
