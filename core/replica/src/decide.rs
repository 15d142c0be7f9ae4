//! What a leader answers to a call, and what that changes: as a store in memory would.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use abide_session::{
    Changes, Clock, Commit, Create, End, IdHash, Loaded, OldId, Record, Rename, Stamp, Standing,
    StoreError, Time, Trail,
};

use crate::entry::{Entry, Moved};
use crate::message::{Call, Entries, Fault, Operation, Reply};
use crate::table::Table;

/// What a leader does with a call.
#[derive(Debug)]
pub(crate) struct Decision {
    /// What it answers.
    pub(crate) reply: Reply,
    /// What that rests on.
    pub(crate) ids: Vec<IdHash>,
    /// What has to be kept before.
    pub(crate) entries: Entries,
    /// Whether it says that there is no such session, and not that it has ended.
    pub(crate) is_absence: bool,
}

/// What decides: what is there, the clock that gives stamps, and what time it is.
pub(crate) struct Leader<'a> {
    pub(crate) table: &'a Table,
    pub(crate) clock: &'a mut Clock,
    pub(crate) wall: Time,
    pub(crate) bytes_max: usize,
    /// A mistake of a mutant.
    pub(crate) commits_to_nothing: bool,
}

enum Found {
    Live { id: IdHash, record: Record, standing: Standing, frozen: Option<Box<Record>> },
    Ended,
    Expired(IdHash, Record),
    Unknown,
}

impl Leader<'_> {
    pub(crate) fn decide(&mut self, call: &Call) -> Decision {
        let mut ids = Vec::new();
        let found = find(self.table, call.operation.id(), call.now, &mut ids);
        let is_create = matches!(call.operation, Operation::Create(..));
        let is_absence = !is_create && matches!(found, Found::Unknown | Found::Expired(..));
        let done = match &call.operation {
            Operation::Create(id, changes) => self.create(*id, changes),
            Operation::Load(_) => Ok((Reply::Load(loaded(found)), Vec::new())),
            Operation::Commit(id, changes) => self.commit(*id, found, changes),
            Operation::End(_) => Ok(end(found)),
            Operation::Rename(presented, rename) => {
                ids.push(rename.to);
                self.rename(*presented, found, rename)
            }
        };
        let (reply, entries) = done.unwrap_or_else(|fault| (Reply::Fault(fault), Vec::new()));
        Decision { reply, ids, entries, is_absence }
    }

    fn create(&mut self, id: IdHash, changes: &Changes) -> Result<(Reply, Entries), Fault> {
        changes.check()?;
        if self.table.get(id).is_some() {
            return Ok((Reply::Create(Create::Taken), Vec::new()));
        }
        self.has_room()?;
        let (stamp, record) = self.made(changes)?;
        Ok((Reply::Create(Create::Created(stamp)), vec![(id, Entry::Session(record))]))
    }

    fn made(&mut self, changes: &Changes) -> Result<(Stamp, Record), Fault> {
        let stamp = self.clock.tick(self.wall);
        let mut record = changes.at(stamp, &Record::default())?;
        // What was made knows when: by that it differs from what is known of it somewhere.
        if record.created == Time::MAX {
            record.created = self.wall;
        }
        record.check()?;
        Ok((stamp, record))
    }

    fn commit(
        &mut self,
        presented: IdHash,
        found: Found,
        changes: &Changes,
    ) -> Result<(Reply, Entries), Fault> {
        changes.check()?;
        if self.commits_to_nothing && matches!(found, Found::Unknown) {
            let (stamp, record) = self.made(changes)?;
            let entry = Entry::Session(record);
            return Ok((Reply::Commit(Commit::Committed(stamp)), vec![(presented, entry)]));
        }
        let Some((id, record)) = writable(found) else { return Ok(refused(Commit::Gone)) };
        let conflicts = changes.conflicts(&record);
        if !conflicts.is_empty() {
            return Ok(refused(Commit::Conflict(conflicts)));
        }
        let (stamp, delta, _) = self.changed(&record, changes)?;
        Ok((Reply::Commit(Commit::Committed(stamp)), vec![(id, Entry::Session(delta))]))
    }

    fn rename(
        &mut self,
        presented: IdHash,
        found: Found,
        rename: &Rename,
    ) -> Result<(Reply, Entries), Fault> {
        rename.changes.check()?;
        let Some((id, record)) = writable(found) else { return Ok(refused(Commit::Gone)) };
        if self.table.get(rename.to).is_some() || rename.to.slot() != presented.slot() {
            return Ok(refused(Commit::Gone));
        }
        let conflicts = rename.changes.conflicts(&record);
        let was_renewed = id != presented && rename.old == OldId::Follows;
        if was_renewed || !conflicts.is_empty() {
            return Ok(refused(Commit::Conflict(conflicts)));
        }
        self.has_room()?;
        let (stamp, _, next) = self.changed(&record, &rename.changes)?;
        let hard_deadline = next.hard_deadline;
        let before = (rename.old == OldId::Freezes).then(|| Box::new(record));
        let old = match rename.old {
            OldId::Follows | OldId::Freezes => {
                Entry::Moved(Moved { to: rename.to, until: rename.until, before, hard_deadline })
            }
            _ => Entry::Ended { hard_deadline },
        };
        let entries = vec![(rename.to, Entry::Session(next)), (id, old)];
        Ok((Reply::Commit(Commit::Committed(stamp)), entries))
    }

    /// What a record becomes by these changes: when, by which delta, and the whole.
    fn changed(
        &mut self,
        record: &Record,
        changes: &Changes,
    ) -> Result<(Stamp, Record, Record), Fault> {
        // A record from a clock that is far ahead: nothing can be later than it for now.
        if !self.clock.observe(record.latest(), self.wall) {
            return Err(Fault::Unavailable);
        }
        let stamp = self.clock.tick(self.wall);
        let delta = changes.at(stamp, record)?;
        let mut next = record.clone();
        next.merge(delta.clone());
        next.check()?;
        Ok((stamp, delta, next))
    }

    fn has_room(&self) -> Result<(), Fault> {
        if self.table.bytes() < self.bytes_max { Ok(()) } else { Err(Fault::Full) }
    }
}

fn find(table: &Table, presented: IdHash, now: Time, ids: &mut Vec<IdHash>) -> Found {
    let mut trail = Trail::new(presented);
    let mut frozen = None;
    loop {
        let id = trail.id();
        ids.push(id);
        let Some(entry) = table.get(id) else {
            return if trail.is_at_start() { Found::Unknown } else { Found::Ended };
        };
        if entry.live(now).is_none()
            && let Entry::Session(record) = &entry
        {
            let is_known = record.created != Time::MAX;
            return if is_known { Found::Expired(id, record.clone()) } else { Found::Unknown };
        }
        match entry {
            Entry::Ended { .. } => return Found::Ended,
            Entry::Session(record) => {
                return Found::Live { id, record, standing: trail.standing(), frozen };
            }
            Entry::Moved(moved) => {
                if !trail.follow(moved.stub(), now) {
                    return Found::Ended;
                }
                if trail.frozen_at() == Some(id) {
                    frozen = moved.before;
                }
            }
        }
    }
}

/// The ids that lead from this one to its session, as far as they may be followed, the last of them its own.
pub(crate) fn trail(table: &Table, presented: IdHash, now: Time) -> Vec<IdHash> {
    let mut ids = Vec::new();
    let _ = find(table, presented, now, &mut ids);
    ids
}

fn loaded(found: Found) -> Loaded {
    match found {
        Found::Live { record, standing, frozen, .. } => {
            let record = frozen.map_or(record, |frozen| *frozen);
            Loaded::Live { record: Arc::new(record), standing }
        }
        Found::Ended => Loaded::Ended,
        Found::Expired(..) => Loaded::Expired,
        Found::Unknown => Loaded::Unknown,
    }
}

fn end(found: Found) -> (Reply, Entries) {
    let (end, id, hard_deadline) = match found {
        Found::Live { id, record, .. } => (End::Ended, id, record.hard_deadline),
        // By another clock it may be live.
        Found::Expired(id, record) => (End::Gone, id, record.hard_deadline),
        Found::Ended | Found::Unknown => return (Reply::End(End::Gone), Vec::new()),
    };
    (Reply::End(end), vec![(id, Entry::Ended { hard_deadline })])
}

/// The live session that was found, if the id may change it.
fn writable(found: Found) -> Option<(IdHash, Record)> {
    match found {
        Found::Live { id, record, standing, .. } if standing != Standing::Frozen => {
            Some((id, record))
        }
        _ => None,
    }
}

fn refused(commit: Commit) -> (Reply, Entries) {
    (Reply::Commit(commit), Vec::new())
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::TooLarge(limit) => Self::TooLarge(limit),
            StoreError::Incompatible(field) => Self::Incompatible(field),
            _ => Self::Unavailable,
        }
    }
}
