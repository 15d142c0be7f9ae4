//! What the store has been through, as numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often things happened since the store was made, in all its clones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Calls that were sent again because the key has another place in the cluster (`MOVED`, `ASK`).
    pub repeated_moved: u64,
    /// Calls that were sent again because the server was not ready (`LOADING`, `CLUSTERDOWN`,
    /// `TRYAGAIN`, `MASTERDOWN`, `BUSY`, `NOREPLICAS`).
    pub repeated_not_ready: u64,
    /// Calls that were sent again because the server had become a replica (`READONLY`).
    pub repeated_read_only: u64,
    /// Calls that were sent again because no connection was to be had, or a read or an end because
    /// its connection broke.
    pub repeated_disconnected: u64,
    /// Scripts that were sent whole because the server did not know them yet (`NOSCRIPT`).
    pub scripts_sent: u64,
    /// Connections that were made in place of one that was lost, or that was not to be had before.
    pub reconnects: u64,
    /// Calls that got no answer in time, or whose connection broke.
    pub unanswered: u64,
    /// Writes refused for want of memory.
    pub full: u64,
    /// Writes that fewer replicas confirmed than were asked for.
    pub too_few_replicas: u64,
}

impl Counters {
    /// These counts by the words that `abide_store_events_total` has for them, always the same ones:
    /// for `abide::Observed::with_counters`.
    pub const fn events(&self) -> [(&'static str, u64); 9] {
        [
            ("reconnected", self.reconnects),
            ("retried_moved", self.repeated_moved),
            ("retried_not_ready", self.repeated_not_ready),
            ("retried_read_only", self.repeated_read_only),
            ("retried_disconnected", self.repeated_disconnected),
            ("script_sent", self.scripts_sent),
            ("unanswered", self.unanswered),
            ("full", self.full),
            ("too_few_replicas", self.too_few_replicas),
        ]
    }
}

/// The same while it is counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) repeated_moved: AtomicU64,
    pub(crate) repeated_not_ready: AtomicU64,
    pub(crate) repeated_read_only: AtomicU64,
    pub(crate) repeated_disconnected: AtomicU64,
    pub(crate) scripts_sent: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) full: AtomicU64,
    pub(crate) too_few_replicas: AtomicU64,
}

impl Tally {
    pub(crate) fn read(&self) -> Counters {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Counters {
            repeated_moved: read(&self.repeated_moved),
            repeated_not_ready: read(&self.repeated_not_ready),
            repeated_read_only: read(&self.repeated_read_only),
            repeated_disconnected: read(&self.repeated_disconnected),
            scripts_sent: read(&self.scripts_sent),
            reconnects: read(&self.reconnects),
            unanswered: read(&self.unanswered),
            full: read(&self.full),
            too_few_replicas: read(&self.too_few_replicas),
        }
    }
}

/// One more.
pub(crate) fn count(number: &AtomicU64) {
    number.fetch_add(1, Ordering::Relaxed);
}
