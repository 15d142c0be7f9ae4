//! Finding, making, changing and ending one session.
//!
//! Every change is read, decided, written: the decision is the same as in every store of abide
//! ([`Changes::conflicts`], [`Changes::apply`], [`Record::check`]), and the write is refused by the
//! server if the item is not what was read any more. Then all of it is done again. A commit that
//! comes late therefore finds the mark of an ended session, or nothing; it never makes an item.
//!
//! Those who were refused once wait for their turn among the calls of this process, so that many
//! writers of one session do not keep refusing each other.

use std::sync::Arc;
use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Loaded, Record, Stamp, Standing, StoreError, Trail,
};
use abide_slots::Slot;
use abide_time::Time;
use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use crate::cluster::{Cluster, Condition, Item, Name, Written};
use crate::entry::{Entry, Parts};
use crate::error::{Trouble, unavailable};
use crate::expiry::expires;
use crate::index::after;
use crate::moves::Move;
use crate::protocol::{Reply, Request};
use crate::recent::{Read, Recent};
use crate::subjects::{CHECKS_AT_ONCE, Entered};

/// How often a change is tried again. Of any number of writers one gets through each time, and those
/// of one process take turns, so this is how many processes may write to one session at once.
pub(crate) const ATTEMPTS: u32 = 64;

/// The pause before a change is tried again is up to this long, and shorter the first few times.
const PAUSE_MS_MAX: u64 = 16;

/// Turns are taken by slot, by so many slots together: enough that two busy sessions seldom share.
const TURNS: usize = 256;

/// How long the mark is kept of an item that can not be read, and so does not say how long the
/// session would have lived: longer than nearly every session does.
const MARK_OF_CORRUPT: Duration = Duration::from_hours(24 * 90);

#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) cluster: Cluster,
    pub(crate) recent: Recent,
    turns: Vec<Mutex<()>>,
    /// Bounds what is done after the answer.
    pub(crate) later: Arc<Semaphore>,
}

/// What an id leads to.
#[derive(Debug)]
pub(crate) enum Found {
    Live(Live),
    Ended,
    /// A session that has expired by the clock that asks. By another one it may be live.
    Expired(Live),
    Unknown,
    /// Something that is no session any more, and can still be ended.
    Damaged(IdHash, Item<Damage>),
}

/// A live session.
#[derive(Debug)]
pub(crate) struct Live {
    /// Its current id.
    pub(crate) id: IdHash,
    pub(crate) read: Read,
    pub(crate) standing: Standing,
    frozen_at: Option<IdHash>,
}

/// Why an item can not be read.
#[derive(Debug)]
pub(crate) enum Damage {
    /// A part of it was evicted. The rest says when the session would have ended.
    PartLost { hard_deadline: Time },
    /// It is not what this store writes.
    Corrupt(StoreError),
}

/// Changes on their way into a session.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) changes: &'a Changes,
    pub(crate) now: Time,
    /// What was entered in the index of the subject for it.
    pub(crate) entered: Option<Entered>,
}

impl Live {
    pub(crate) const fn unchanged(&self) -> Condition {
        Condition::Unchanged { token: self.read.token, at: self.read.at }
    }
}

impl Damage {
    pub(crate) fn hard_deadline(&self, now: Time) -> Time {
        match self {
            Self::PartLost { hard_deadline } => *hard_deadline,
            Self::Corrupt(_) => now.after(MARK_OF_CORRUPT),
        }
    }
}

impl<'a> Change<'a> {
    pub(crate) const fn new(changes: &'a Changes, now: Time) -> Self {
        Self { changes, now, entered: None }
    }
}

impl Sessions {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let turns = (0..TURNS).map(|_| Mutex::new(())).collect();
        let later = Arc::new(Semaphore::new(CHECKS_AT_ONCE));
        Self { cluster, recent: Recent::default(), turns, later }
    }

    pub(crate) async fn create(
        &self,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<Create, StoreError> {
        changes.check()?;
        let mut stamp = after(Stamp::ZERO, now);
        let mut record = changes.at(stamp, &Record::default())?;
        record.forget_removed();
        record.check()?;
        if let Some(subject) = record.subject.value.clone() {
            stamp = self.enter(&subject, id, stamp, (record.hard_deadline, now)).await?;
            record = changes.at(stamp, &Record::default())?;
            record.forget_removed();
        }
        let entry = Entry::Live(Arc::new(record));
        let expires = expires(entry.deadline(), now);
        let written =
            self.cluster.write(Name::session(id), &entry, Condition::Absent, expires).await?;
        if written == Written::Lost {
            return Ok(Create::Taken);
        }
        self.recent.saw_live_until(id, entry.deadline());
        Ok(Create::Created(stamp))
    }

    pub(crate) async fn load(&self, id: IdHash, now: Time) -> Result<Loaded, StoreError> {
        let live = match self.find(id, now).await? {
            Found::Ended => return Ok(Loaded::Ended),
            Found::Expired(_) => return Ok(Loaded::Expired),
            Found::Unknown => return Ok(Loaded::Unknown),
            Found::Damaged(_, item) => return self.report(item.what).map(|()| Loaded::Unknown),
            Found::Live(live) => live,
        };
        let standing = live.standing;
        let Some(frozen_at) = live.frozen_at else {
            let record = Arc::clone(&live.read.record);
            self.recent.saw(live.id, live.read);
            return Ok(Loaded::Live { record, standing });
        };
        match self.cluster.read(Name::frozen(frozen_at)).await?.map(|item| item.what) {
            Some(Entry::Live(record)) => Ok(Loaded::Live { record, standing }),
            _ => Ok(Loaded::Ended),
        }
    }

    pub(crate) async fn commit(
        self: &Arc<Self>,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<Commit, StoreError> {
        changes.check()?;
        let mut change = Change::new(changes, now);
        if let Some(read) = self.recent.hint(id)
            && !read.record.is_expired(now)
            && changes.conflicts(&read.record).is_empty()
        {
            let live = Live { id, read, standing: Standing::Current, frozen_at: None };
            if let Some(commit) = self.put(&live, &mut change).await? {
                self.cluster.tally.commits_without_read.one();
                return Ok(commit);
            }
            self.cluster.tally.retries_after_change.one();
        }
        let mut turn = None;
        for attempt in 0..ATTEMPTS {
            let Some(live) = self.writable(id, now).await? else { return Ok(Commit::Gone) };
            let conflicts = changes.conflicts(&live.read.record);
            if !conflicts.is_empty() {
                return Ok(Commit::Conflict(conflicts));
            }
            if let Some(commit) = self.put(&live, &mut change).await? {
                return Ok(commit);
            }
            self.wait_for_turn(id.slot(), &mut turn, attempt).await;
        }
        Err(contended())
    }

    pub(crate) async fn end(&self, id: IdHash, now: Time) -> Result<End, StoreError> {
        let mut turn = None;
        for attempt in 0..ATTEMPTS {
            let found = self.find(id, now).await?;
            let outcome = if matches!(found, Found::Expired(_)) { End::Gone } else { End::Ended };
            let (id, hard_deadline, condition, parts) = match found {
                Found::Expired(live) if live.read.record.hard_deadline <= now => {
                    return Ok(End::Gone);
                }
                Found::Live(live) | Found::Expired(live) => {
                    let condition = live.unchanged();
                    (live.id, live.read.record.hard_deadline, condition, live.read.parts)
                }
                Found::Damaged(id, item) => {
                    let condition = item.unchanged();
                    (id, item.what.hard_deadline(now), condition, item.parts)
                }
                Found::Ended | Found::Unknown => return Ok(End::Gone),
            };
            if self.put_mark(id, (hard_deadline, now), condition, parts).await? {
                return Ok(outcome);
            }
            self.wait_for_turn(id.slot(), &mut turn, attempt).await;
        }
        Err(contended())
    }

    /// Puts the mark of an ended session in place of what was read. False if it has changed since.
    ///
    /// A server without room for the mark has to let go of the session all the same: then it is
    /// deleted, and the mark is put where it was, if there is room for it now.
    pub(crate) async fn put_mark(
        &self,
        id: IdHash,
        (hard_deadline, now): (Time, Time),
        condition: Condition,
        parts: Option<Parts>,
    ) -> Result<bool, StoreError> {
        let mark = Entry::Ended { hard_deadline };
        let expires = expires(hard_deadline, now);
        let name = Name::session(id);
        let done = match self.cluster.write(name, &mark, condition, expires).await {
            Ok(written) => written == Written::Done,
            Err(StoreError::Full) => {
                let done = self.delete(name, condition).await?;
                if done {
                    let put = self.cluster.write(name, &mark, Condition::Absent, expires).await;
                    if let Err(error) = put {
                        tracing::warn!(%error, "a session ended on a full server, without a mark");
                    }
                }
                done
            }
            Err(error) => return Err(error),
        };
        if done {
            self.recent.forget(id);
            self.cluster.delete_parts(name, parts).await;
        }
        Ok(done)
    }

    /// Deletes what was read. False if it has changed since.
    async fn delete(&self, name: Name, condition: Condition) -> Result<bool, StoreError> {
        let Condition::Unchanged { token, at } = condition else { return Err(StoreError::Full) };
        let server = self.cluster.owner(name.id.slot())?;
        let key = self.cluster.key(name);
        let delete = Request::DeleteUnchanged { key: &key, token };
        match server.ask(&[delete], Some(at)).await {
            Ok(replies) => Ok(replies.first() == Some(&Reply::Done)),
            Err(Trouble::TooNew) => Ok(false),
            Err(trouble) => Err(trouble.at(server.address())),
        }
    }

    /// Follows an id to its session. Whoever meets an unfinished move on the way finishes it.
    pub(crate) async fn find(&self, presented: IdHash, now: Time) -> Result<Found, StoreError> {
        let mut trail = Trail::new(presented);
        loop {
            let id = trail.id();
            let item = match self.read(id).await? {
                Ok(Some(item)) => item,
                Ok(None) => {
                    self.note_if_lost(id, now);
                    return Ok(if trail.is_at_start() { Found::Unknown } else { Found::Ended });
                }
                Err(damaged) => {
                    self.recent.forget(id);
                    return Ok(Found::Damaged(id, damaged));
                }
            };
            let Item { token, at, parts, .. } = item;
            match item.what {
                Entry::Live(record) => {
                    let is_expired = record.is_expired(now);
                    let read = Read { record, token, at, parts };
                    let (standing, frozen_at) = (trail.standing(), trail.frozen_at());
                    let live = Live { id, read, standing, frozen_at };
                    return Ok(if is_expired { Found::Expired(live) } else { Found::Live(live) });
                }
                Entry::Moved { stub, hard_deadline, pending } => {
                    if let Some(record) = pending {
                        let old = Item { what: id, token, at, parts };
                        let unfinished = Move { old, stub, hard_deadline, record };
                        self.finish_for_others(&unfinished, now).await?;
                    }
                    self.recent.forget(id);
                    if !trail.follow(stub, now) {
                        return Ok(Found::Ended);
                    }
                }
                Entry::Ended { .. } | Entry::Parted { .. } => {
                    self.recent.forget(id);
                    return Ok(Found::Ended);
                }
            }
        }
    }

    /// The live session that this id may change.
    pub(crate) async fn writable(&self, id: IdHash, now: Time) -> Result<Option<Live>, StoreError> {
        match self.find(id, now).await? {
            Found::Live(live) if live.standing != Standing::Frozen => Ok(Some(live)),
            Found::Damaged(_, item) => self.report(item.what).map(|()| None),
            _ => Ok(None),
        }
    }

    /// What a record becomes by these changes, at this stamp.
    pub(crate) fn changed(
        record: &Record,
        changes: &Changes,
        stamp: Stamp,
    ) -> Result<Arc<Record>, StoreError> {
        let mut next = record.clone();
        changes.apply(&mut next, stamp)?;
        next.forget_removed();
        next.check()?;
        Ok(Arc::new(next))
    }

    /// Writes what a live session becomes by a change. None if it has changed since it was read.
    pub(crate) async fn put(
        self: &Arc<Self>,
        live: &Live,
        change: &mut Change<'_>,
    ) -> Result<Option<Commit>, StoreError> {
        let Live { id, read, .. } = live;
        // First without telling the index, so that what can not be done is not entered.
        Self::changed(&read.record, change.changes, after(read.record.latest(), change.now))?;
        let stamp = self.stamp_for(live, *id, change).await?;
        let next = Self::changed(&read.record, change.changes, stamp)?;
        let deadline = next.deadline();
        let entry = Entry::Live(Arc::clone(&next));
        let expires = expires(deadline, change.now);
        let name = Name::session(*id);
        match self.cluster.write(name, &entry, live.unchanged(), expires).await? {
            Written::Lost => Ok(None),
            Written::Done => {
                self.cluster.delete_parts(name, read.parts).await;
                self.recent.saw_live_until(*id, deadline);
                self.check_index_later(*id, &next, change);
                Ok(Some(Commit::Committed(stamp)))
            }
        }
    }

    /// Waits until those of this process who were refused before have had their turn, and then a
    /// moment for those of other processes.
    pub(crate) async fn wait_for_turn<'a>(
        &'a self,
        slot: Slot,
        turn: &mut Option<MutexGuard<'a, ()>>,
        attempt: u32,
    ) {
        self.cluster.tally.retries_after_change.one();
        let place = usize::from(slot.number()).checked_rem(TURNS).unwrap_or(0);
        match self.turns.get(place) {
            Some(lock) if turn.is_none() => *turn = Some(lock.lock().await),
            _ => pause(attempt).await,
        }
    }

    /// What is under the id of a session.
    async fn read(
        &self,
        id: IdHash,
    ) -> Result<Result<Option<Item<Entry>>, Item<Damage>>, StoreError> {
        let name = Name::session(id);
        let found = self.cluster.read_bytes(name).await?;
        self.whole(id, found).await
    }

    /// What was found under the id of a session, with its parts.
    pub(crate) async fn whole(
        &self,
        id: IdHash,
        found: Option<Item<Bytes>>,
    ) -> Result<Result<Option<Item<Entry>>, Item<Damage>>, StoreError> {
        let Some(found) = found else { return Ok(Ok(None)) };
        let Item { token, at, .. } = found;
        match self.cluster.whole(Name::session(id), Some(found)).await {
            Ok(Some(Item { what: Entry::Parted { hard_deadline, .. }, token, at, parts })) => {
                Ok(Err(Item { what: Damage::PartLost { hard_deadline }, token, at, parts }))
            }
            Ok(item) => Ok(Ok(item)),
            Err(error @ StoreError::Corrupt(_)) => {
                Ok(Err(Item { what: Damage::Corrupt(error), token, at, parts: None }))
            }
            Err(error) => Err(error),
        }
    }

    /// A session of which a part was evicted is lost like one that was evicted whole.
    fn report(&self, damage: Damage) -> Result<(), StoreError> {
        match damage {
            Damage::Corrupt(error) => Err(error),
            Damage::PartLost { .. } => {
                self.cluster.tally.lost.one();
                tracing::warn!("a part of a live session was evicted by memcached");
                Ok(())
            }
        }
    }

    fn note_if_lost(&self, id: IdHash, now: Time) {
        if self.recent.is_lost(id, now) {
            self.cluster.tally.lost.one();
            tracing::warn!("a live session is gone from memcached: evicted, or it was restarted");
        }
    }
}

/// A pause of random length, so that those who met do not meet again.
pub(crate) async fn pause(attempt: u32) {
    let longest = (1_u64 << attempt.min(10)).min(PAUSE_MS_MAX).saturating_mul(1000);
    let drawn = u64::from(getrandom::u32().unwrap_or(0)).checked_rem(longest).unwrap_or(0);
    tokio::time::sleep(Duration::from_micros(drawn)).await;
}

pub(crate) fn contended() -> StoreError {
    unavailable("too many others change the same item".to_owned())
}
