//! What the memory store knows, without the lock.
//!
//! Every entry stands in two orders: by id, and by the time at which something has to become of it.
//! A session that belongs to somebody stands in a third, by subject. Invariants, which hold between
//! any two calls: each entry has exactly one place in `due`, which for a live session may be earlier
//! than its deadline and never later; `sessions` counts the live entries and `bytes` the sizes of
//! all; a live session with a subject is in that subject's set or in the sweep queue.
//!
//! A session that is used expires later each time. Its place in `due` stays, and moves when its time
//! comes and the session is still there: so a commit is one look-up and no more.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use abide_session::{
    Changes, Clock, Commit, Create, End, IdHash, Listed, Loaded, MAX_LISTED, MAX_RENEWALS_IN_GRACE,
    OldId, Record, Rename, Scanned, Slot, Stamp, Stamped, Standing, StoreError, Subject,
};
use abide_time::Time;
use bytes::Bytes;

/// Entries that one call cleans up at most: more than one call can add, so that cleaning keeps up,
/// and few enough that nobody waits for it.
const CLEANED_PER_CALL: usize = 8;

/// Slots of a page of a walk: each page looks at every entry, so there are few, and it holds the
/// lock, so that a page of a million sessions is some milliseconds.
const SLOTS_PER_PAGE: u16 = 128;
const FOREIGN: &str = "not a cursor of this store";

/// What an entry takes besides its record: its places in the orders.
const ENTRY_BYTES: usize = 200;

pub(super) struct Table {
    clock: Clock,
    entries: HashMap<IdHash, Entry, BuildHasherDefault<Uniform>>,
    due: BTreeSet<(Time, IdHash)>,
    subjects: HashMap<Subject, Bound>,
    /// Sessions that were ended together and still take room.
    sweeping: VecDeque<(Subject, BTreeSet<IdHash>)>,
    sessions: usize,
    bytes: usize,
    sessions_max: usize,
    bytes_max: usize,
}

struct Entry {
    what: What,
    /// Its place in the order of what is due.
    due: Time,
}

/// The hash of an id hash: some of its own bytes. It is uniform already, and nobody can fill the
/// table with ones that collide: what is in it are hashes of ids that were drawn on this side.
#[derive(Default)]
struct Uniform(u64);

impl Hasher for Uniform {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

enum What {
    Live(Arc<Record>),
    /// The session has another id. Once due, this one counts as ended, until the hard deadline.
    Moved {
        to: IdHash,
        /// What this id goes on seeing, if it may not see the session.
        frozen: Option<Arc<Record>>,
        hard_deadline: Time,
    },
    Ended,
}

/// The sessions of a subject.
#[derive(Default)]
struct Bound {
    /// Sessions bound at this stamp or earlier have ended.
    revoked_before: Stamp,
    ids: BTreeSet<IdHash>,
    /// How many sets of this subject wait to be swept; until then the mark has to stay.
    sweeps: usize,
}

/// What an id leads to.
enum Found {
    Live {
        id: IdHash,
        record: Arc<Record>,
        standing: Standing,
        frozen: Option<Arc<Record>>,
    },
    Ended,
    /// The session with this id has expired by the clock that asks. By another one it may be live.
    Expired(IdHash),
    Unknown,
}

/// The slot that a cursor stands for.
fn number_of(cursor: &Bytes) -> Option<u16> {
    Some(u16::from_be_bytes(cursor.as_ref().try_into().ok()?))
}

impl Table {
    pub(super) fn new(sessions_max: usize, bytes_max: usize) -> Self {
        Self {
            clock: Clock::new(0),
            entries: HashMap::default(),
            due: BTreeSet::new(),
            subjects: HashMap::new(),
            sweeping: VecDeque::new(),
            sessions: 0,
            bytes: 0,
            sessions_max,
            bytes_max,
        }
    }

    pub(super) const fn sessions(&self) -> usize {
        self.sessions
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn create(
        &mut self,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<Create, StoreError> {
        changes.check()?;
        if self.entries.contains_key(&id) {
            return Ok(Create::Taken);
        }
        let stamp = self.clock.tick(now);
        let mut record = changes.at(stamp, &Record::default())?;
        record.forget_removed();
        record.check()?;
        self.make_room(1, ENTRY_BYTES.saturating_add(record.size()), now)?;
        self.put(id, What::Live(Arc::new(record)));
        Ok(Create::Created(stamp))
    }

    pub(super) fn load(&self, id: IdHash, now: Time) -> Loaded {
        match self.find(id, now) {
            Found::Live { record, standing, frozen, .. } => {
                Loaded::Live { record: frozen.unwrap_or(record), standing }
            }
            Found::Ended => Loaded::Ended,
            Found::Expired(_) => Loaded::Expired,
            Found::Unknown => Loaded::Unknown,
        }
    }

    pub(super) fn commit(
        &mut self,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<Commit, StoreError> {
        changes.check()?;
        let Some((id, record)) = self.writable(id, now) else { return Ok(Commit::Gone) };
        let conflicts = changes.conflicts(&record);
        if !conflicts.is_empty() {
            return Ok(Commit::Conflict(conflicts));
        }
        let (next, stamp) = self.changed(&record, changes, now)?;
        self.make_room(0, next.size().saturating_sub(record.size()), now)?;
        self.replace(id, next);
        Ok(Commit::Committed(stamp))
    }

    pub(super) fn end(&mut self, id: IdHash, now: Time) -> End {
        match self.find(id, now) {
            Found::Live { id, .. } => {
                self.put(id, What::Ended);
                End::Ended
            }
            Found::Expired(id) => {
                self.put(id, What::Ended);
                End::Gone
            }
            Found::Ended | Found::Unknown => End::Gone,
        }
    }

    pub(super) fn rename(
        &mut self,
        presented: IdHash,
        rename: &Rename,
        now: Time,
    ) -> Result<Commit, StoreError> {
        rename.changes.check()?;
        let Some((id, record)) = self.writable(presented, now) else { return Ok(Commit::Gone) };
        if self.entries.contains_key(&rename.to) {
            return Ok(Commit::Gone);
        }
        let conflicts = rename.changes.conflicts(&record);
        let was_renewed = id != presented && rename.old == OldId::Follows;
        if was_renewed || !conflicts.is_empty() {
            return Ok(Commit::Conflict(conflicts));
        }
        let (next, stamp) = self.changed(&record, &rename.changes, now)?;
        let frozen = match rename.old {
            OldId::Freezes => Some(Arc::clone(&record)),
            _ => None,
        };
        let old_size = frozen.as_ref().map_or(0, |record| record.size());
        let more = next.size().saturating_sub(record.size()).saturating_add(old_size);
        self.make_room(0, more.saturating_add(ENTRY_BYTES), now)?;
        let hard_deadline = next.hard_deadline;
        self.put(rename.to, What::Live(next));
        match rename.old {
            OldId::Follows | OldId::Freezes => {
                self.put_until(
                    id,
                    What::Moved { to: rename.to, frozen, hard_deadline },
                    rename.until,
                );
            }
            _ => self.put_until(id, What::Ended, hard_deadline),
        }
        Ok(Commit::Committed(stamp))
    }

    pub(super) fn list(&self, subject: &Subject, now: Time) -> Vec<Listed> {
        let ids = self.subjects.get(subject).into_iter().flat_map(|bound| &bound.ids);
        let mut listed: Vec<Listed> = ids
            .filter_map(|id| match self.find(*id, now) {
                Found::Live { id, record, .. } => Some(Listed::new(id, record)),
                Found::Ended | Found::Expired(_) | Found::Unknown => None,
            })
            .collect();
        listed.sort_by_key(|listed| (Reverse(listed.record.seen), listed.id));
        listed.truncate(MAX_LISTED);
        listed
    }

    pub(super) fn end_all(&mut self, subject: &Subject, except: Option<IdHash>, now: Time) {
        let excepted = except.and_then(|id| match self.find(id, now) {
            Found::Live { id, record, .. } => {
                (record.subject.value.as_ref() == Some(subject)).then_some((id, record))
            }
            Found::Ended | Found::Expired(_) | Found::Unknown => None,
        });
        let Some(bound) = self.subjects.get_mut(subject) else { return };
        bound.revoked_before = self.clock.tick(now);
        let ended = std::mem::take(&mut bound.ids);
        bound.sweeps = bound.sweeps.saturating_add(1);
        self.sweeping.push_back((subject.clone(), ended));
        if let Some((id, record)) = excepted {
            let mut record = Record::clone(&record);
            record.subject = Stamped::new(self.clock.tick(now), Some(subject.clone()));
            self.put(id, What::Live(Arc::new(record)));
        }
    }

    /// The live sessions of the slots from `cursor` on, a part of all slots at a time: the table is in
    /// no order that a walk could follow while it changes.
    pub(super) fn scan(&self, cursor: Option<&Bytes>, now: Time) -> Result<Scanned, StoreError> {
        let first = match cursor {
            None => 0,
            Some(cursor) => number_of(cursor).ok_or_else(|| StoreError::Corrupt(FOREIGN.into()))?,
        };
        let next = first.saturating_add(SLOTS_PER_PAGE);
        let mut ids = Vec::new();
        for (id, entry) in &self.entries {
            let is_here = (first..next).contains(&id.slot().number());
            if let (true, What::Live(record)) = (is_here, &entry.what)
                && !self.is_revoked(record)
                && !record.is_expired(now)
            {
                ids.push(*id);
            }
        }
        let next = (next < Slot::COUNT).then(|| Bytes::copy_from_slice(&next.to_be_bytes()));
        Ok(Scanned::new(ids, next))
    }

    /// Lets go of what is due, a little at a time.
    pub(super) fn clean(&mut self, now: Time) {
        for _ in 0..CLEANED_PER_CALL {
            if !self.sweep_one() && !self.clean_one(now) {
                return;
            }
        }
    }

    /// The live session that this id may change, and its current id.
    fn writable(&self, id: IdHash, now: Time) -> Option<(IdHash, Arc<Record>)> {
        match self.find(id, now) {
            Found::Live { id, record, standing, .. } if standing != Standing::Frozen => {
                Some((id, record))
            }
            _ => None,
        }
    }

    /// Follows an id to its session.
    fn find(&self, presented: IdHash, now: Time) -> Found {
        let mut id = presented;
        let mut standing = Standing::Current;
        let mut sees = None;
        for _ in 0..=MAX_RENEWALS_IN_GRACE {
            let Some(entry) = self.entries.get(&id) else {
                return if id == presented { Found::Unknown } else { Found::Ended };
            };
            match &entry.what {
                What::Ended => return Found::Ended,
                What::Moved { .. } if entry.due <= now => return Found::Ended,
                What::Moved { to, frozen, .. } => {
                    if standing != Standing::Frozen {
                        standing = Standing::Old;
                        if frozen.is_some() {
                            standing = Standing::Frozen;
                            sees.clone_from(frozen);
                        }
                    }
                    id = *to;
                }
                What::Live(record) if self.is_revoked(record) => return Found::Ended,
                What::Live(record) if record.is_expired(now) => return Found::Expired(id),
                What::Live(record) => {
                    return Found::Live { id, record: Arc::clone(record), standing, frozen: sees };
                }
            }
        }
        Found::Ended
    }

    fn is_revoked(&self, record: &Record) -> bool {
        let bound = record.subject.value.as_ref().and_then(|subject| self.subjects.get(subject));
        bound.is_some_and(|bound| record.subject.stamp <= bound.revoked_before)
    }

    /// What a record becomes by these changes.
    fn changed(
        &mut self,
        record: &Record,
        changes: &Changes,
        now: Time,
    ) -> Result<(Arc<Record>, Stamp), StoreError> {
        let stamp = self.clock.tick(now);
        let mut next = record.clone();
        changes.apply(&mut next, stamp)?;
        next.forget_removed();
        next.check()?;
        Ok((Arc::new(next), stamp))
    }

    /// Makes sure that so many more sessions and bytes fit.
    fn make_room(&mut self, sessions: usize, bytes: usize, now: Time) -> Result<(), StoreError> {
        while self.sessions.saturating_add(sessions) > self.sessions_max
            || self.bytes.saturating_add(bytes) > self.bytes_max
        {
            if (sessions, bytes) == (0, 0) {
                return Ok(());
            }
            if !self.sweep_one() && !self.clean_one(now) {
                return Err(StoreError::Full);
            }
        }
        Ok(())
    }

    /// Marks one session as ended that was ended together with others.
    fn sweep_one(&mut self) -> bool {
        let Some((subject, ids)) = self.sweeping.front_mut() else { return false };
        if let Some(id) = ids.pop_first() {
            if let Some(Entry { what: What::Live(record), .. }) = self.entries.get(&id)
                && self.is_revoked(record)
            {
                self.put(id, What::Ended);
            }
            return true;
        }
        let subject = subject.clone();
        self.sweeping.pop_front();
        if let Some(bound) = self.subjects.get_mut(&subject) {
            bound.sweeps = bound.sweeps.saturating_sub(1);
        }
        self.drop_if_unused(&subject);
        true
    }

    /// Does what is due first, if anything is.
    fn clean_one(&mut self, now: Time) -> bool {
        let Some(&(due, id)) = self.due.first() else { return false };
        if due > now {
            return false;
        }
        match self.entries.get_mut(&id) {
            Some(Entry { what: What::Moved { hard_deadline, .. }, .. }) if *hard_deadline > now => {
                let until = *hard_deadline;
                self.put_until(id, What::Ended, until);
            }
            Some(Entry { what: What::Live(record), due }) if record.deadline() > now => {
                self.due.remove(&(*due, id));
                *due = record.deadline();
                self.due.insert((*due, id));
            }
            _ => self.take(id),
        }
        true
    }

    /// Puts what a live session has become.
    fn replace(&mut self, id: IdHash, next: Arc<Record>) {
        if let Some(Entry { what: What::Live(record), due }) = self.entries.get_mut(&id)
            && record.subject.value == next.subject.value
            && *due <= next.deadline()
        {
            self.bytes = self.bytes.saturating_sub(record.size()).saturating_add(next.size());
            *record = next;
        } else {
            self.put(id, What::Live(next));
        }
    }

    /// Puts an entry, due when its record expires or, for a mark, when the record before would have
    /// ended for good.
    fn put(&mut self, id: IdHash, what: What) {
        let due = match &what {
            What::Live(record) => record.deadline(),
            What::Moved { hard_deadline, .. } => *hard_deadline,
            What::Ended => match self.entries.get(&id).map(|entry| &entry.what) {
                Some(What::Live(record)) => record.hard_deadline,
                _ => Time::EPOCH,
            },
        };
        self.put_until(id, what, due);
    }

    fn put_until(&mut self, id: IdHash, what: What, due: Time) {
        self.take(id);
        self.bytes = self.bytes.saturating_add(size(&what));
        if let What::Live(record) = &what {
            self.sessions = self.sessions.saturating_add(1);
            if let Some(subject) = &record.subject.value {
                self.subjects.entry(subject.clone()).or_default().ids.insert(id);
            }
        }
        self.due.insert((due, id));
        self.entries.insert(id, Entry { what, due });
    }

    fn take(&mut self, id: IdHash) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.due.remove(&(entry.due, id));
        self.bytes = self.bytes.saturating_sub(size(&entry.what));
        if let What::Live(record) = &entry.what {
            self.sessions = self.sessions.saturating_sub(1);
            if let Some(subject) = &record.subject.value {
                if let Some(bound) = self.subjects.get_mut(subject) {
                    bound.ids.remove(&id);
                }
                self.drop_if_unused(subject);
            }
        }
    }

    /// Forgets a subject that no session can be bound to any more.
    fn drop_if_unused(&mut self, subject: &Subject) {
        let unused = |bound: &Bound| bound.ids.is_empty() && bound.sweeps == 0;
        if self.subjects.get(subject).is_some_and(unused) {
            self.subjects.remove(subject);
        }
    }
}

fn size(what: &What) -> usize {
    let record = match what {
        What::Live(record) | What::Moved { frozen: Some(record), .. } => record.size(),
        What::Moved { frozen: None, .. } | What::Ended => 0,
    };
    record.saturating_add(ENTRY_BYTES)
}

#[cfg(test)]
mod tests;
