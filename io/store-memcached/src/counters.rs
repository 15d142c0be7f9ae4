//! What happened, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a store has seen since it was connected; clones of it count together. The numbers only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Writes made again because somebody else had changed the item between reading and writing.
    pub retries_after_change: u64,
    /// Reads made again on a new connection because the one in use broke.
    pub retries_after_disconnect: u64,
    /// Connections that broke or were found closed, and had to be replaced.
    pub reconnects: u64,
    /// Restarts of a server, as far as [`crate::MemcachedStore::health`] saw them. Each loses every
    /// session of that server.
    pub restarts: u64,
    /// Items that the servers evicted to make room, as far as [`crate::MemcachedStore::health`] saw
    /// them; items of other programs on the same servers included.
    pub evicted: u64,
    /// Sessions that this process knew to be live, and that were gone before their deadline without
    /// having been ended: evicted, or lost with a restart.
    pub lost: u64,
    /// Commits that took one round trip, because this process had just loaded the session.
    pub commits_without_read: u64,
    /// Moves to a new id that somebody had left unfinished and this process finished.
    pub moves_finished: u64,
    /// Sessions that were missing from the list of their subject, and were entered again.
    pub index_restored: u64,
}

impl Counters {
    /// These counts by the words that `abide_store_events_total` has for them, always the same ones:
    /// for `abide::Observed::with_counters`.
    pub const fn events(&self) -> [(&'static str, u64); 9] {
        [
            ("reconnected", self.reconnects),
            ("retried_after_change", self.retries_after_change),
            ("retried_disconnected", self.retries_after_disconnect),
            ("restarted", self.restarts),
            ("evicted", self.evicted),
            ("lost", self.lost),
            ("committed_without_read", self.commits_without_read),
            ("move_finished", self.moves_finished),
            ("index_restored", self.index_restored),
        ]
    }
}

/// The counters while they count.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) retries_after_change: Count,
    pub(crate) retries_after_disconnect: Count,
    pub(crate) reconnects: Count,
    pub(crate) restarts: Count,
    pub(crate) evicted: Count,
    pub(crate) lost: Count,
    pub(crate) commits_without_read: Count,
    pub(crate) moves_finished: Count,
    pub(crate) index_restored: Count,
}

impl Tally {
    pub(crate) fn read(&self) -> Counters {
        Counters {
            retries_after_change: self.retries_after_change.read(),
            retries_after_disconnect: self.retries_after_disconnect.read(),
            reconnects: self.reconnects.read(),
            restarts: self.restarts.read(),
            evicted: self.evicted.read(),
            lost: self.lost.read(),
            commits_without_read: self.commits_without_read.read(),
            moves_finished: self.moves_finished.read(),
            index_restored: self.index_restored.read(),
        }
    }
}

/// One number that grows. Nobody concludes from one to another, so no order between them is kept.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
