//! All entries of a node, by slot.
//!
//! An entry is one block of memory, its bytes as they travel. A slot has its entries in a list in
//! the order of their ids, and of each, beside the block, the beginning of the id and the time when
//! something becomes of it: so a look-up and a look for what is due touch no other blocks. That is 24
//! bytes for each entry and room for an eighth more.
//!
//! What is due is found by slots. `queue` has each slot once, at the earliest time at which something
//! in it may be due: a deadline that moves later moves nothing there, and when its time comes the
//! slot is looked through and queued again.
//!
//! Invariants, which hold between any two calls: a slot's list is in strict order of ids; its digest
//! is the XOR of the hashes of its blocks; it is queued no later than at its earliest time, exactly
//! once, or not at all if that is "never"; `subjects` has each session that belongs to somebody, and
//! nothing else; `count` and `bytes` are the sums of all slots. Whatever it gives is in an order that
//! follows from what is in it.

mod part;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use abide_session::{IdHash, Record, Slot, Subject, Time};
use xxhash_rust::xxh64::xxh64;

use crate::entry::{Entry, Moved};
use crate::journal;
use crate::key::Key;
use crate::packed::{pack, pack_into, unpack_content};

pub use part::Packed;
use part::{Part, Place, Tick};

/// What a node keeps.
#[derive(Clone)]
pub struct Table {
    /// One for each slot.
    parts: Box<[Part]>,
    queue: BTreeSet<(Tick, Slot)>,
    /// Sessions by a hash of whom they belong to, and by id.
    subjects: BTreeSet<([u8; 8], IdHash)>,
    count: usize,
    /// How many of them are sessions, and not where one went or that it ended.
    sessions: usize,
    bytes: usize,
    bytes_max: usize,
    /// Where entries are packed.
    scratch: Vec<u8>,
    /// What has been taken over since somebody asked, if anybody does: see [`crate::journal`].
    news: Option<Vec<u8>>,
}

/// What a merge did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// There was nothing under this id.
    New,
    /// The entry has grown.
    Changed,
    /// The entry had it all.
    Same,
}

/// What became of an entry that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// It was dropped: every copy of it is worthless.
    Dropped,
    /// The grace of an old id is over: it is the mark of an end now, until its hard deadline.
    Ended,
}

/// The table is at its limit, and this would be a new entry. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Table {
    /// An empty table that refuses new entries above so many bytes, as [`Table::bytes`] counts them.
    pub fn new(bytes_max: usize) -> Self {
        Self::of_slots(usize::from(Slot::COUNT), bytes_max)
    }

    /// The same for so many slots, from 0, and for ids in them only.
    pub(crate) fn of_slots(slots: usize, bytes_max: usize) -> Self {
        Self {
            parts: Slot::all().take(slots).map(|_| Part::default()).collect(),
            queue: BTreeSet::new(),
            subjects: BTreeSet::new(),
            count: 0,
            sessions: 0,
            bytes: 0,
            bytes_max,
            scratch: Vec::new(),
            news: None,
        }
    }

    /// From now on notes what it takes over: [`Table::take_news`].
    pub(crate) fn note_news(&mut self) {
        self.news.get_or_insert_default();
    }

    /// Whether it does.
    pub(crate) const fn notes_news(&self) -> bool {
        self.news.is_some()
    }

    /// What it has taken over since this was last called, as content of a journal. None if it does not note it.
    pub(crate) fn take_news(&mut self) -> Option<Vec<u8>> {
        self.news.as_mut().map(core::mem::take)
    }

    /// What is kept under this id, expired or not.
    pub fn get(&self, id: IdHash) -> Option<Entry> {
        self.packed(id)?.entry()
    }

    /// The same as bytes.
    pub fn packed(&self, id: IdHash) -> Option<Packed<'_>> {
        self.part(id.slot())?.get(&Key::of(id))
    }

    /// Takes over whatever is later in `entry` than in what is kept.
    ///
    /// A delta of a session that is not here is kept as it is. It is not live, and it is due at once if
    /// it does not say when it ends: who sends deltas has sent the session before, or sends it after.
    ///
    /// # Errors
    /// [`Full`] if there is nothing under this id and no room for it.
    pub fn merge(&mut self, id: IdHash, entry: Entry) -> Result<Merged, Full> {
        let key = Key::of(id);
        let before = self.part(id.slot()).and_then(|part| part.get(&key)?.entry());
        let Some(mut merged) = before else {
            let entry = entry.normal();
            self.pack(&key, &entry);
            if self.bytes.saturating_add(size(self.scratch.len(), entry.subject())) > self.bytes_max
            {
                return Err(Full);
            }
            self.put(id, &key, &entry, None);
            self.sessions = self.sessions.saturating_add(usize::from(entry.is_session()));
            if let Some(news) = &mut self.news {
                journal::write_entry(news, &self.scratch);
            }
            return Ok(Merged::New);
        };
        // What changes is mostly one field: it is that which is noted, and not the whole.
        let change = self.news.is_some().then(|| pack(id, &entry));
        let was_session = merged.is_session();
        let subject = merged.subject().cloned();
        merged.merge(entry);
        self.pack(&key, &merged);
        let kept = self.part(id.slot()).and_then(|part| part.get(&key));
        if kept.is_some_and(|kept| kept.bytes() == self.scratch) {
            return Ok(Merged::Same);
        }
        self.put(id, &key, &merged, subject.as_ref());
        // An entry moves on from a session to something else, and never back.
        let has_ended = was_session && !merged.is_session();
        self.sessions = self.sessions.saturating_sub(usize::from(has_ended));
        if let (Some(news), Some(change)) = (&mut self.news, change) {
            journal::write_entry(news, &change);
        }
        Ok(Merged::Changed)
    }

    /// Forgets what is kept under this id. False if that was nothing.
    ///
    /// Only for what every node may forget, or what this one is to keep no longer: the next merge
    /// under this id begins from nothing.
    pub fn remove(&mut self, id: IdHash) -> bool {
        let key = Key::of(id);
        let Some(part) = self.parts.get_mut(usize::from(id.slot().number())) else { return false };
        let Some(block) = part.take(&key) else { return false };
        let entry = unpack_content(&block);
        let subject = entry.as_ref().and_then(Entry::subject);
        self.bytes = self.bytes.saturating_sub(size(block.len(), subject));
        self.forget_subject(id, subject);
        self.count = self.count.saturating_sub(1);
        let was_session = entry.as_ref().is_some_and(Entry::is_session);
        self.sessions = self.sessions.saturating_sub(usize::from(was_session));
        true
    }

    /// Looks through what is due at `now`, and does what has to become of it, at most so much: a
    /// session that has expired and a mark that has outlasted every copy are dropped, an old id whose
    /// grace is over becomes a mark. Each waits for `skew` after its time: by so much the clocks of
    /// two nodes may differ, and the other may still take it for good.
    ///
    /// Time is told here in steps of some seconds, so what is due may wait that much longer; it is
    /// expired all the same for whoever looks at it. It looks through no more slots than `at_most`, so
    /// there may be more to do although less was done: [`Table::is_due`] says so.
    pub fn drop_expired(
        &mut self,
        now: Time,
        skew: Duration,
        at_most: usize,
    ) -> Vec<(IdHash, Expired)> {
        let last = Tick::last_due(now, skew);
        let mut done = Vec::new();
        for _ in 0..at_most {
            let Some(&(tick, slot)) = self.queue.first() else { break };
            let room = at_most.saturating_sub(done.len());
            if tick > last || room == 0 {
                break;
            }
            let due = self.part(slot).map(|part| part.due(last, room)).unwrap_or_default();
            for id in due {
                done.push((id, self.expire(id, last)));
            }
            self.queue_again(slot);
        }
        done
    }

    /// Whether [`Table::drop_expired`] would find something to look at.
    pub fn is_due(&self, now: Time, skew: Duration) -> bool {
        self.queue.first().is_some_and(|(tick, _)| *tick <= Tick::last_due(now, skew))
    }

    /// The entries of a slot, in order of id, from the first after `after`.
    pub fn entries(&self, slot: Slot, after: Option<IdHash>) -> impl Iterator<Item = Packed<'_>> {
        let after = after.map(Key::of);
        self.part(slot).into_iter().flat_map(move |part| part.entries(after.as_ref()))
    }

    /// The live sessions of a subject, in order of id.
    pub fn of_subject<'a>(
        &'a self,
        subject: &'a Subject,
        now: Time,
    ) -> impl Iterator<Item = (IdHash, Record)> + 'a {
        let hash = subject_hash(subject);
        // The least of all ids has slot 0, and a hash of zeros.
        let from = Key::from_bytes([0; Key::BYTES]).and_then(|key| key.id());
        let ids = from.into_iter().flat_map(move |from| self.subjects.range((hash, from)..));
        ids.take_while(move |(of, _)| *of == hash).filter_map(move |(_, id)| {
            let entry = self.get(*id).filter(|entry| entry.subject() == Some(subject))?;
            entry.live(now)?;
            match entry {
                Entry::Session(record) => Some((*id, record)),
                Entry::Moved(_) | Entry::Ended { .. } => None,
            }
        })
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// How many of them are sessions. One that has expired counts until it is dropped.
    pub const fn sessions(&self) -> usize {
        self.sessions
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many entries a slot has.
    pub fn len_of(&self, slot: Slot) -> usize {
        self.part(slot).map_or(0, Part::len)
    }

    /// What the entries take in memory, places in lists and in the index included: an estimate that
    /// depends on the entries only.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A number that says what is in a slot: equal for equal content, whatever happened before, and
    /// different for different content but for one chance in 2^64. Zero for an empty slot.
    pub fn digest(&self, slot: Slot) -> u64 {
        self.part(slot).map_or(0, Part::digest)
    }

    fn part(&self, slot: Slot) -> Option<&Part> {
        self.parts.get(usize::from(slot.number()))
    }

    fn pack(&mut self, key: &Key, entry: &Entry) {
        self.scratch.clear();
        // One large entry does not keep its room for ever.
        self.scratch.shrink_to(SCRATCH_BYTES);
        pack_into(&mut self.scratch, key, entry);
    }

    /// Puts what was packed last in place of what is there, which belonged to `before`.
    fn put(&mut self, id: IdHash, key: &Key, entry: &Entry, before: Option<&Subject>) {
        let Some(part) = self.parts.get_mut(usize::from(id.slot().number())) else { return };
        let tick = Tick::of(entry.due());
        let block = Box::from(self.scratch.as_slice());
        match part.put(Place::new(key, tick, block)) {
            Some(length) => self.bytes = self.bytes.saturating_sub(size(length, before)),
            None => self.count = self.count.saturating_add(1),
        }
        self.bytes = self.bytes.saturating_add(size(self.scratch.len(), entry.subject()));
        if part.queued > tick {
            self.queue.remove(&(part.queued, id.slot()));
            self.queue.insert((tick, id.slot()));
            part.queued = tick;
        }
        if before != entry.subject() {
            self.forget_subject(id, before);
            if let Some(subject) = entry.subject() {
                self.subjects.insert((subject_hash(subject), id));
            }
        }
    }

    fn forget_subject(&mut self, id: IdHash, subject: Option<&Subject>) {
        if let Some(subject) = subject {
            self.subjects.remove(&(subject_hash(subject), id));
        }
    }

    /// Does what has to become of an entry that is due.
    fn expire(&mut self, id: IdHash, last: Tick) -> Expired {
        if let Some(Entry::Moved(Moved { hard_deadline, .. })) = self.get(id)
            && Tick::of(hard_deadline) > last
        {
            let (key, after) = (Key::of(id), Entry::Ended { hard_deadline });
            self.pack(&key, &after);
            self.put(id, &key, &after, None);
            return Expired::Ended;
        }
        self.remove(id);
        Expired::Dropped
    }

    /// Queues a slot for the earliest time at which something in it is due.
    fn queue_again(&mut self, slot: Slot) {
        let Some(part) = self.parts.get_mut(usize::from(slot.number())) else { return };
        self.queue.remove(&(part.queued, slot));
        part.queued = part.earliest();
        if part.queued != Tick::NEVER {
            self.queue.insert((part.queued, slot));
        }
    }
}

/// Numbers only: what sessions hold is their owners'.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("count", &self.count)
            .field("bytes", &self.bytes)
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

/// What an entry takes in memory.
fn size(block: usize, subject: Option<&Subject>) -> usize {
    let subject = if subject.is_some() { SUBJECT_BYTES } else { 0 };
    block.saturating_add(ENTRY_BYTES).saturating_add(subject)
}

/// Which bytes of the index a subject is found by. Who makes two names with the same hash has made
/// looking for one of them look at sessions of the other, and no more.
fn subject_hash(subject: &Subject) -> [u8; 8] {
    xxh64(subject.as_str().as_bytes(), 0).to_be_bytes()
}

/// What an entry takes besides its bytes: its place in the list with its share of what is free there,
/// and what an allocator adds to a block. Measured by `examples/memory.rs`.
const ENTRY_BYTES: usize = 48;
/// What a place in the index of subjects takes: 30 bytes in nodes of a tree that are two thirds full.
const SUBJECT_BYTES: usize = 48;
/// Room for packing that is kept from one call to the next.
const SCRATCH_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests;
