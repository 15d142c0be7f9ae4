//! The sessions of one subject, as one item. The form is in the documentation of the crate.
//!
//! A session is entered before it is bound, with the stamp that it will be bound at. Invariant: no
//! session that is entered was bound later than its entry says, so a mark that is later than every
//! entry is later than every binding, whatever the clocks. Whoever raises the mark and reads the index in one step knows every session that is bound
//! by then; one that is entered and not bound yet is bound after the mark, or stays entered and is
//! found by the next. An entry that leads to nothing is harmless, and goes when somebody notices.

use std::collections::BTreeMap;

use abide_session::{IdHash, Stamp, StoreError};
use abide_time::Time;
use bytes::Bytes;

use crate::entry::{Reader, VERSION, Writer};
use crate::error::corrupt;

/// Sessions that can be bound to one subject at a time: five times what a list shows. An entry takes
/// up to 52 bytes, so that the item stays below the size that every server takes.
pub(crate) const MAX_BOUND: usize = 5000;

/// How young an entry is that nobody may drop because it leads to nothing: whoever made it may still
/// be about to bind the session. No call lasts that long.
const YOUNG_MS: u64 = 60_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// Sessions bound at this stamp or earlier have ended.
    pub(crate) revoked: Stamp,
    /// No stamp in the index is later.
    pub(crate) latest: Stamp,
    pub(crate) bound: BTreeMap<IdHash, Bound>,
}

/// A session of the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// When it was entered.
    pub(crate) stamp: Stamp,
    /// When the session ends at the latest.
    pub(crate) hard_deadline: Time,
}

impl Index {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(64));
        writer.array(4);
        writer.number(VERSION.into());
        writer.stamp(self.revoked);
        writer.stamp(self.latest);
        writer.array(u32::try_from(self.bound.len()).unwrap_or(u32::MAX));
        for (id, bound) in &self.bound {
            writer.array(3);
            writer.text(&id.to_string());
            writer.stamp(bound.stamp);
            writer.number(bound.hard_deadline.as_millis());
        }
        writer.0
    }

    pub(crate) fn decode(data: &Bytes) -> Result<Self, StoreError> {
        let malformed = || corrupt("the sessions of a subject are not in the form of this store");
        let mut reader = Reader { rest: data, all: data };
        let (length, version) = reader.head().ok_or_else(malformed)?;
        if version > u64::from(VERSION) {
            return Err(corrupt("it was written by a newer version of this store"));
        }
        read(&mut reader, length).ok_or_else(malformed)
    }

    /// Whether this session is entered until this deadline.
    pub(crate) fn has(&self, id: IdHash, hard_deadline: Time) -> bool {
        self.bound.get(&id).is_some_and(|bound| bound.hard_deadline >= hard_deadline)
    }

    /// Enters a session that is to be bound, or is bound, at `least` or later: at a stamp that is
    /// also later than all in the index. None if there is no room.
    pub(crate) fn enter(
        &mut self,
        id: IdHash,
        least: Stamp,
        hard_deadline: Time,
        now: Time,
    ) -> Option<Stamp> {
        self.bound.retain(|_, bound| bound.hard_deadline > now);
        if self.bound.len() >= MAX_BOUND && !self.bound.contains_key(&id) {
            return None;
        }
        let stamp = self.next(now).max(least);
        self.latest = stamp;
        let before = self.bound.insert(id, Bound { stamp, hard_deadline });
        if let (Some(before), Some(bound)) = (before, self.bound.get_mut(&id)) {
            bound.hard_deadline = bound.hard_deadline.max(before.hard_deadline);
        }
        Some(stamp)
    }

    /// Raises the mark above everything that is entered.
    pub(crate) fn revoke(&mut self, now: Time) -> Stamp {
        self.revoked = self.next(now);
        self.revoked
    }

    /// Whether whoever made this entry has bound the session by now, or will not.
    pub(crate) fn is_settled(bound: &Bound, now: Time) -> bool {
        let entered = Time::from_millis(bound.stamp.reading() >> 16);
        now.as_millis().saturating_sub(entered.as_millis()) > YOUNG_MS
    }

    /// Until when somebody may need it.
    pub(crate) fn deadline(&self) -> Time {
        let deadlines = self.bound.values().map(|bound| bound.hard_deadline);
        deadlines.max().unwrap_or_default()
    }

    fn next(&mut self, now: Time) -> Stamp {
        self.latest = after(self.latest, now);
        self.latest
    }
}

/// A stamp that is later than this one, and not before `now`. Whoever writes has read what is there,
/// and writes only if it is still there: so no clock is needed to put the writes of many processes
/// in order.
pub(crate) fn after(stamp: Stamp, now: Time) -> Stamp {
    // 48 bits of milliseconds last until the year 10889; and no stamp here reaches the greatest.
    let physical = now.as_millis().min((1 << 48) - 1) << 16;
    let reading = stamp.reading().saturating_add(1).max(physical).min(u64::MAX - 1);
    Stamp::new(reading, 0)
}

fn read(reader: &mut Reader<'_>, length: u32) -> Option<Index> {
    // More elements are additions of a later version.
    (length >= 4).then_some(())?;
    let mut index =
        Index { revoked: reader.stamp()?, latest: reader.stamp()?, bound: BTreeMap::new() };
    let count = usize::try_from(reader.array()?).ok().filter(|count| *count <= MAX_BOUND)?;
    for _ in 0..count {
        (reader.array()? == 3).then_some(())?;
        let id = reader.id()?;
        let bound = Bound { stamp: reader.stamp()?, hard_deadline: reader.time()? };
        index.bound.insert(id, bound);
    }
    Some(index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Time = Time::from_secs(1_700_000_000);
    const LATER: Time = Time::from_secs(1_700_003_600);

    fn id(number: usize) -> IdHash {
        IdHash::of_secret("test", &number.to_le_bytes())
    }

    fn enter(index: &mut Index, number: usize, hard_deadline: Time, now: Time) -> bool {
        index.enter(id(number), Stamp::ZERO, hard_deadline, now).is_some()
    }

    #[test]
    fn a_session_is_entered_no_earlier_than_it_was_bound() {
        let mut index = Index::default();
        let by_a_fast_clock = after(Stamp::ZERO, LATER);
        assert_eq!(index.enter(id(1), by_a_fast_clock, LATER, NOW), Some(by_a_fast_clock));
        assert!(index.revoke(NOW) > by_a_fast_clock);
    }

    #[test]
    fn a_mark_is_later_than_what_was_entered_and_earlier_than_what_will_be() {
        let mut index = Index::default();
        assert!(enter(&mut index, 1, LATER, NOW));
        let mark = index.revoke(NOW);
        assert!(enter(&mut index, 2, LATER, Time::EPOCH), "even if the clock went back");
        assert!(index.bound[&id(1)].stamp < mark && mark < index.bound[&id(2)].stamp);
    }

    #[test]
    fn it_is_full_at_max_bound_until_some_have_expired() {
        let mut index = Index::default();
        for number in 0..MAX_BOUND {
            assert!(enter(&mut index, number, if number == 7 { NOW } else { LATER }, Time::EPOCH));
        }
        assert!(index.encode().len() < crate::entry::PART_BYTES);
        assert!(!enter(&mut index.clone(), MAX_BOUND, LATER, Time::EPOCH));
        assert!(enter(&mut index, 8, LATER, Time::EPOCH), "it is there already");
        assert!(enter(&mut index, MAX_BOUND, LATER, NOW), "one has expired");
    }

    #[test]
    fn a_deadline_moves_later_and_never_earlier() {
        let mut index = Index::default();
        enter(&mut index, 1, LATER, NOW);
        enter(&mut index, 1, NOW, NOW);
        assert!(index.has(id(1), LATER));
        assert_eq!(index.deadline(), LATER);
    }

    #[test]
    fn a_young_entry_is_not_settled() {
        let mut index = Index::default();
        enter(&mut index, 1, LATER, NOW);
        let bound = index.bound[&id(1)];
        assert!(!Index::is_settled(&bound, Time::from_millis(NOW.as_millis() + YOUNG_MS)));
        assert!(Index::is_settled(&bound, Time::from_millis(NOW.as_millis() + YOUNG_MS + 1)));
    }

    #[test]
    fn stamps_never_reach_the_end() {
        let mut stamp = Stamp::new(u64::MAX - 2, 0);
        for _ in 0..3 {
            stamp = after(stamp, Time::MAX);
            assert!(stamp < Stamp::MAX);
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_as_the_same(entered in prop::collection::vec(0..50_usize, 0..20)) {
            let mut index = Index::default();
            for number in entered {
                enter(&mut index, number, LATER, NOW);
                index.revoke(NOW);
            }
            let bytes = Bytes::from(index.encode());
            prop_assert_eq!(Index::decode(&bytes).unwrap(), index);
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes: Vec<u8>) {
            let _ = Index::decode(&Bytes::copy_from_slice(&bytes));
            bytes.splice(..0, [0x94, VERSION, 1, 1]);
            let _ = Index::decode(&Bytes::from(bytes));
        }
    }
}
