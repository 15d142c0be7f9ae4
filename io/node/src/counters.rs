//! What a node counts.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abide_replica::{Answer, Fault, Kept, Note, Reply};

/// What a node has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Bytes sent to other nodes, frames and all, before encryption.
    pub bytes_sent: u64,
    /// Bytes received from them.
    pub bytes_received: u64,
    /// Letters sent to other nodes.
    pub letters_sent: u64,
    /// Letters received from them.
    pub letters_received: u64,
    /// Calls answered as kept by all owners; of reads: as the last there was.
    pub answered_full: u64,
    /// Calls answered as kept by as many nodes, and not all of them owners.
    pub answered_spilled: u64,
    /// Calls answered as kept by one node alone.
    pub answered_degraded: u64,
    /// Calls answered while another node may have held more.
    pub answered_sole: u64,
    /// Calls that nobody could do in time.
    pub unavailable: u64,
    /// Calls that were made a second time, as their leader was lost.
    pub sent_again: u64,
    /// Calls that waited until no other node could have gone on without this one.
    pub waited_for_grant: u64,
    /// Reads that waited for a write.
    pub waited_for_write: u64,
    /// How often this node went on without another that was silent.
    pub silences: u64,
    /// How often the process of another node was proved to be dead.
    pub deaths: u64,
    /// How often others had taken this process for dead.
    pub rebirths: u64,
    /// Slots that this node began to lead.
    pub reigns: u64,
    /// Slots that another node was filled with.
    pub fills: u64,
    /// Bytes written to the journal, if it keeps one.
    pub journal_bytes: u64,
    /// How often the disk was asked to keep what was written to it.
    pub journal_syncs: u64,
    /// How long that took at most, in microseconds, since the node started.
    pub journal_sync_max_micros: u64,
    /// Copies of the whole table that were completed.
    pub journal_copies: u64,
    /// How often the disk failed. What the node takes over is in memory alone until a copy is completed.
    pub journal_failures: u64,
}

impl Counters {
    /// These counts by the words that `abide_store_events_total` has for them, always the same ones:
    /// for `abide::Observed::with_counters`.
    pub const fn events(&self) -> [(&'static str, u64); 21] {
        [
            ("kept_by_all_owners", self.answered_full),
            ("kept_by_others", self.answered_spilled),
            ("kept_by_one", self.answered_degraded),
            ("kept_by_one_side", self.answered_sole),
            ("unavailable", self.unavailable),
            ("sent_again", self.sent_again),
            ("waited_for_grant", self.waited_for_grant),
            ("waited_for_write", self.waited_for_write),
            ("silent_nodes", self.silences),
            ("dead_nodes", self.deaths),
            ("begun_again", self.rebirths),
            ("slots_led", self.reigns),
            ("slots_filled", self.fills),
            ("letters_sent", self.letters_sent),
            ("letters_received", self.letters_received),
            ("bytes_sent", self.bytes_sent),
            ("bytes_received", self.bytes_received),
            ("journal_bytes", self.journal_bytes),
            ("journal_synced", self.journal_syncs),
            ("journal_copied", self.journal_copies),
            ("journal_failed", self.journal_failures),
        ]
    }
}

/// The counters while they count. One thread counts, and who looks is rare.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    counters: Mutex<Counters>,
    warned: Mutex<BTreeSet<(String, String)>>,
}

/// Warnings that are remembered, so that each is said once; then all are forgotten.
const MAX_WARNED: usize = 64;

impl Counts {
    pub(crate) fn snapshot(&self) -> Counters {
        *self.counters()
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&mut self.counters().bytes_sent, bytes);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&mut self.counters().bytes_received, bytes);
    }

    pub(crate) fn letter_sent(&self) {
        add(&mut self.counters().letters_sent, 1);
    }

    pub(crate) fn letters_received(&self, letters: usize) {
        add(&mut self.counters().letters_received, letters);
    }

    pub(crate) fn answered(&self, answer: &Answer) {
        let mut counters = self.counters();
        let count = match (&answer.reply, answer.kept) {
            (Reply::Fault(Fault::Unavailable), _) => &mut counters.unavailable,
            (_, Kept::Full) => &mut counters.answered_full,
            (_, Kept::Spilled) => &mut counters.answered_spilled,
            (_, Kept::Degraded) => &mut counters.answered_degraded,
            (_, Kept::Sole) => &mut counters.answered_sole,
        };
        add(count, 1);
    }

    pub(crate) fn note(&self, note: Note) {
        let mut counters = self.counters();
        let count = match note {
            Note::Leads { .. } => &mut counters.reigns,
            Note::Filled(..) => &mut counters.fills,
            Note::Silent(_) => &mut counters.silences,
            Note::Dead(_) => &mut counters.deaths,
            Note::Reborn(_) => &mut counters.rebirths,
            Note::SentAgain => &mut counters.sent_again,
            Note::WaitedForGrant(_) => &mut counters.waited_for_grant,
            Note::WaitedForWrite(_) => &mut counters.waited_for_write,
            Note::SteppedDown(_)
            | Note::Merged(..)
            | Note::Released(..)
            | Note::HandedOver(..)
            | Note::Forgot(_)
            | Note::Admitted(_)
            | Note::Clash(_) => return,
        };
        add(count, 1);
    }

    pub(crate) fn journal_written(&self, bytes: usize) {
        add(&mut self.counters().journal_bytes, bytes);
    }

    pub(crate) fn journal_synced(&self, took: Duration) {
        let mut counters = self.counters();
        add(&mut counters.journal_syncs, 1);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        counters.journal_sync_max_micros = counters.journal_sync_max_micros.max(micros);
    }

    pub(crate) fn journal_copied(&self) {
        add(&mut self.counters().journal_copies, 1);
    }

    pub(crate) fn journal_failed(&self) {
        add(&mut self.counters().journal_failures, 1);
    }

    /// Says something of a node that was not said before.
    pub(crate) fn warn_once(&self, node: &str, reason: &str, warn: impl FnOnce()) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() >= MAX_WARNED {
            warned.clear();
        }
        if warned.insert((node.to_owned(), reason.to_owned())) {
            warn();
        }
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(count: &mut u64, more: usize) {
    *count = count.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_said_once_until_there_were_many_others() {
        let counts = Counts::default();
        let said = |node: usize| {
            let mut is_said = false;
            counts.warn_once(&node.to_string(), "it does not answer", || is_said = true);
            is_said
        };
        assert!(said(0) && !said(0));
        assert_eq!((0..MAX_WARNED).filter(|node| said(*node)).count(), MAX_WARNED - 1);
        assert!(said(MAX_WARNED) && said(0));
    }
}
