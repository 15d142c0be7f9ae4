//! What a store has counted since it was connected.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a store has counted since it was connected. All of them only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections opened, the first ones included.
    pub connections: u64,
    /// Connections given up because they broke or did not answer in time.
    pub disconnections: u64,
    /// Calls repeated because the session was changed by somebody else meanwhile.
    pub contended: u64,
    /// Calls repeated because the database chose them to give way: a deadlock, a lock that was not
    /// got in time.
    pub gave_way: u64,
    /// Rows of sessions that the cleaner of this store has dropped.
    pub cleaned: u64,
    /// Runs of the cleaner that failed. It tries again at the next interval.
    pub cleaning_failures: u64,
}

impl Counters {
    /// These counts by the words that `abide_store_events_total` has for them, always the same ones:
    /// for `abide::Observed::with_counters`.
    pub const fn events(&self) -> [(&'static str, u64); 6] {
        [
            ("connected", self.connections),
            ("disconnected", self.disconnections),
            ("retried_after_change", self.contended),
            ("retried_after_deadlock", self.gave_way),
            ("cleaned", self.cleaned),
            ("cleaning_failed", self.cleaning_failures),
        ]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicU64,
    pub(crate) disconnections: AtomicU64,
    pub(crate) contended: AtomicU64,
    pub(crate) gave_way: AtomicU64,
    pub(crate) cleaned: AtomicU64,
    pub(crate) cleaning_failures: AtomicU64,
}

impl Counts {
    pub(crate) fn read(&self) -> Counters {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            connections: read(&self.connections),
            disconnections: read(&self.disconnections),
            contended: read(&self.contended),
            gave_way: read(&self.gave_way),
            cleaned: read(&self.cleaned),
            cleaning_failures: read(&self.cleaning_failures),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
