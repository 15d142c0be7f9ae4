//! What this process has seen of sessions a moment ago.
//!
//! Two uses, and neither decides anything by itself. A commit that follows a load begins with what
//! was loaded and the token it had, and so takes one round trip instead of two; if the session has
//! changed since, the server refuses the token, and the commit reads first. And a session that is
//! not there any more, though it was seen with a deadline that lies ahead, is lost and not expired.
//!
//! Invariants: at most [`SESSIONS_MAX`] sessions, at most [`HINTS_BYTES_MAX`] bytes of records; those
//! seen longest ago go first.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abide_session::{IdHash, Record};
use abide_time::Time;
use tokio::time::Instant;

use crate::entry::Parts;

/// Sessions of which something is known: about 150 bytes each, 5 MiB in all.
pub(crate) const SESSIONS_MAX: usize = 32_768;

/// Bytes of records that are kept for the commit that may follow: a thousand requests at once with
/// sessions of 16 KiB.
pub(crate) const HINTS_BYTES_MAX: usize = 16 << 20;

/// How old a hint may be. What a request has loaded it commits at once, or after its own time limit.
const HINT_AGE_MAX: Duration = Duration::from_secs(10);

/// How often a session that is used is looked for among those of its subject.
const INDEX_CHECK_EVERY: Duration = Duration::from_mins(5);

/// What was read of a session, with what it takes to write it.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) record: Arc<Record>,
    pub(crate) token: u64,
    /// When the token was read.
    pub(crate) at: Instant,
    pub(crate) parts: Option<Parts>,
}

#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    known: HashMap<IdHash, Known>,
    /// The keys of `known`, the one seen longest ago first.
    by_age: BTreeMap<u64, IdHash>,
    /// Those with a hint, in the same order.
    hinted: BTreeMap<u64, IdHash>,
    hints_bytes: usize,
    count: u64,
}

#[derive(Debug)]
struct Known {
    number: u64,
    deadline: Time,
    hint: Option<Read>,
    index_checked: Option<Instant>,
}

impl Recent {
    /// A live session was read, or written and has this token now.
    pub(crate) fn saw(&self, id: IdHash, read: Read) {
        self.memory().put(id, read.record.deadline(), Some(read));
    }

    /// A live session was written, and its token is not known.
    pub(crate) fn saw_live_until(&self, id: IdHash, deadline: Time) {
        self.memory().put(id, deadline, None);
    }

    /// It has ended, or has another id, or has expired.
    pub(crate) fn forget(&self, id: IdHash) {
        self.memory().take(id);
    }

    /// What was read last. Each hint is given once: it is used up by the write.
    pub(crate) fn hint(&self, id: IdHash) -> Option<Read> {
        let mut memory = self.memory();
        let hint = memory.take_hint(id)?;
        (hint.at.elapsed() <= HINT_AGE_MAX).then_some(hint)
    }

    /// Nothing was found under this id. Whether a live session should have been.
    pub(crate) fn is_lost(&self, id: IdHash, now: Time) -> bool {
        self.memory().take(id).is_some_and(|deadline| deadline > now)
    }

    /// Whether it is time to look for a session among those of its subject. Once yes, then no for
    /// some time.
    pub(crate) fn is_index_check_due(&self, id: IdHash) -> bool {
        let mut memory = self.memory();
        let Some(known) = memory.known.get_mut(&id) else { return false };
        let due = known.index_checked.is_none_or(|at| at.elapsed() >= INDEX_CHECK_EVERY);
        if due {
            known.index_checked = Some(Instant::now());
        }
        due
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // It holds nothing that is relied upon.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn put(&mut self, id: IdHash, deadline: Time, hint: Option<Read>) {
        let index_checked = self.known.get(&id).and_then(|known| known.index_checked);
        self.take(id);
        self.count = self.count.saturating_add(1);
        let number = self.count;
        let hint = hint.filter(|read| read.record.size() <= HINTS_BYTES_MAX);
        if let Some(read) = &hint {
            self.hints_bytes = self.hints_bytes.saturating_add(read.record.size());
            self.hinted.insert(number, id);
        }
        self.known.insert(id, Known { number, deadline, hint, index_checked });
        self.by_age.insert(number, id);
        while self.known.len() > SESSIONS_MAX {
            let Some((_, oldest)) = self.by_age.first_key_value() else { break };
            let oldest = *oldest;
            self.take(oldest);
        }
        while self.hints_bytes > HINTS_BYTES_MAX {
            let Some((_, oldest)) = self.hinted.first_key_value() else { break };
            let oldest = *oldest;
            self.take_hint(oldest);
        }
    }

    fn take_hint(&mut self, id: IdHash) -> Option<Read> {
        let known = self.known.get_mut(&id)?;
        let hint = known.hint.take()?;
        self.hinted.remove(&known.number);
        self.hints_bytes = self.hints_bytes.saturating_sub(hint.record.size());
        Some(hint)
    }

    fn take(&mut self, id: IdHash) -> Option<Time> {
        self.take_hint(id);
        let known = self.known.remove(&id)?;
        self.by_age.remove(&known.number);
        Some(known.deadline)
    }
}

#[cfg(test)]
mod tests {
    use abide_session::{FieldName, Stamp, Stamped};
    use bytes::Bytes;

    use super::*;

    const NOW: Time = Time::from_secs(1000);

    fn id(number: usize) -> IdHash {
        IdHash::of_secret("test", &number.to_le_bytes())
    }

    fn read(bytes: usize) -> Read {
        let mut record = Record::default();
        record.seen = NOW;
        record.hard_deadline = NOW.after(Duration::from_mins(1));
        record.idle_timeout = Stamped::new(Stamp::ZERO, Duration::from_mins(2));
        let value = Some(Bytes::from(vec![0; bytes]));
        record.fields.insert(FieldName::new("a").unwrap(), Stamped::new(Stamp::ZERO, value));
        Read { record: Arc::new(record), token: 1, at: Instant::now(), parts: None }
    }

    #[test]
    fn the_sessions_seen_longest_ago_are_forgotten_first() {
        let recent = Recent::default();
        for number in 0..=SESSIONS_MAX {
            recent.saw(id(number), read(1));
        }
        assert!(!recent.is_lost(id(0), NOW), "nothing is known of it any more");
        assert!(recent.is_lost(id(1), NOW));
        let memory = recent.memory();
        assert_eq!(memory.known.len(), SESSIONS_MAX - 1);
        assert_eq!(memory.by_age.len(), SESSIONS_MAX - 1);
    }

    #[test]
    fn large_records_push_out_hints_and_not_what_is_known() {
        let recent = Recent::default();
        let mebibyte = 1 << 20;
        for number in 0..20 {
            recent.saw(id(number), read(mebibyte));
        }
        assert!(recent.memory().hints_bytes <= HINTS_BYTES_MAX);
        assert!(recent.hint(id(0)).is_none());
        assert!(recent.hint(id(19)).is_some());
        assert!(recent.hint(id(19)).is_none(), "a hint is given once");
        assert!(recent.is_lost(id(0), NOW));
    }

    #[test]
    fn what_has_expired_or_was_forgotten_is_not_lost() {
        let recent = Recent::default();
        recent.saw(id(1), read(1));
        recent.saw(id(2), read(1));
        recent.forget(id(2));
        assert!(!recent.is_lost(id(1), NOW.after(Duration::from_mins(1))));
        assert!(!recent.is_lost(id(2), NOW));
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_hint_is_none_and_the_index_is_checked_now_and_then() {
        let recent = Recent::default();
        recent.saw(id(1), read(1));
        assert!(recent.is_index_check_due(id(1)));
        assert!(!recent.is_index_check_due(id(1)));
        tokio::time::advance(HINT_AGE_MAX + Duration::from_millis(1)).await;
        assert!(recent.hint(id(1)).is_none());
        recent.saw(id(1), read(1));
        tokio::time::advance(INDEX_CHECK_EVERY).await;
        assert!(recent.is_index_check_due(id(1)));
    }
}
