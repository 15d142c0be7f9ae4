//! The sessions of a subject: entering and listing.
//!
//! The sessions of a subject and its index are on different servers, or at least in different items,
//! so no command changes both. What makes it right is the order (see [`crate::index`]): a session is
//! entered before it is bound, and ended before it is taken out.
//!
//! An index that was evicted is rebuilt by use: a commit to a session that is somebody's looks now and
//! then whether it is entered, after it has answered.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use abide_session::{IdHash, Listed, MAX_LISTED, Record, Stamp, StoreError, Subject};
use abide_time::Time;
use tokio::time::Instant;

use crate::cluster::{Condition, Item, Name, Written, unexpected};
use crate::entry::Entry;
use crate::expiry::expires;
use crate::index::{Index, after};
use crate::protocol::{Reply, Request};
use crate::sessions::{ATTEMPTS, Change, Damage, Live, Sessions, contended, pause};

/// How many sessions are asked for in one round trip: what is on its way is bounded by so many items.
pub(crate) const BATCH: usize = 64;

/// How many checks of indexes may be under way after the answers to their commits. When there are
/// more to do, they are left out until the next commit.
pub(crate) const CHECKS_AT_ONCE: usize = 16;

/// What was entered in the index of a subject for a change.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) id: IdHash,
    pub(crate) stamp: Stamp,
    pub(crate) hard_deadline: Time,
}

/// What was found under the id of a session.
pub(crate) type Seen = (IdHash, Result<Option<Item<Entry>>, Item<Damage>>);

impl Sessions {
    /// At which stamp a change is to be made to a session that will be under `id`. If the change
    /// concerns the index of its subject, the index has been told.
    pub(crate) async fn stamp_for(
        &self,
        live: &Live,
        id: IdHash,
        change: &mut Change<'_>,
    ) -> Result<Stamp, StoreError> {
        let (record, now) = (&live.read.record, change.now);
        let stamp = after(record.latest(), now);
        let hard_deadline =
            record.hard_deadline.max(change.changes.hard_deadline.unwrap_or_default());
        let (subject, least) = match (&change.changes.subject, &record.subject.value) {
            (Some(Some(subject)), _) => (subject, stamp),
            (None, Some(subject)) if id != live.id || hard_deadline > record.hard_deadline => {
                (subject, record.subject.stamp)
            }
            _ => return Ok(stamp),
        };
        let binds = change.changes.subject.is_some();
        let entered = match change.entered.take() {
            Some(entered)
                if entered.id == id
                    && entered.stamp >= least
                    && entered.hard_deadline >= hard_deadline =>
            {
                entered
            }
            _ => {
                let stamp = self.enter(subject, id, least, (hard_deadline, now)).await?;
                Entered { id, stamp, hard_deadline }
            }
        };
        let stamp = if binds { entered.stamp } else { stamp };
        change.entered = Some(entered);
        Ok(stamp)
    }

    /// Enters a session in the index of a subject, before it is bound at the stamp that this gives.
    pub(crate) async fn enter(
        &self,
        subject: &Subject,
        id: IdHash,
        least: Stamp,
        (hard_deadline, now): (Time, Time),
    ) -> Result<Stamp, StoreError> {
        let name = name_of(subject);
        let mut is_swept = false;
        for attempt in 0..ATTEMPTS {
            let (mut index, condition) = self.read_index(name).await?;
            let Some(stamp) = index.enter(id, least, hard_deadline, now) else {
                if is_swept {
                    return Err(StoreError::Full);
                }
                is_swept = true;
                let seen = self.look_at(index.bound.keys().copied()).await?;
                let gone = gone(&index, subject, &seen, now);
                self.take_out(name, &gone, now).await?;
                continue;
            };
            if self.write_index(name, &index, condition, now).await? {
                return Ok(stamp);
            }
            self.cluster.tally.retries_after_change.one();
            pause(attempt).await;
        }
        Err(contended())
    }

    /// Looks, after the answer to a commit, whether the index of the session's subject still has it.
    pub(crate) fn check_index_later(
        self: &Arc<Self>,
        id: IdHash,
        record: &Arc<Record>,
        change: &Change<'_>,
    ) {
        let (Some(subject), now) = (record.subject.value.clone(), change.now) else { return };
        if !self.recent.is_index_check_due(id) || change.entered.is_some() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.later).try_acquire_owned() else { return };
        let (sessions, least) = (Arc::clone(self), record.subject.stamp);
        let hard_deadline = record.hard_deadline;
        tokio::spawn(async move {
            let restored = async {
                let (index, _) = sessions.read_index(name_of(&subject)).await?;
                if !index.has(id, hard_deadline) {
                    sessions.enter(&subject, id, least, (hard_deadline, now)).await?;
                    sessions.cluster.tally.index_restored.one();
                }
                Ok::<(), StoreError>(())
            };
            if let Err(error) = restored.await {
                tracing::debug!(%error, "the sessions of a subject could not be checked");
            }
            drop(permit);
        });
    }

    pub(crate) async fn list(
        &self,
        subject: &Subject,
        now: Time,
    ) -> Result<Vec<Listed>, StoreError> {
        let name = name_of(subject);
        let (index, _) = self.read_index(name).await?;
        let seen = self.look_at(index.bound.keys().copied()).await?;
        let live = seen.iter().filter_map(|(id, seen)| match &seen.as_ref().ok()?.as_ref()?.what {
            Entry::Live(record) => Some((*id, record)),
            // The session is where it will be put.
            Entry::Moved { stub, pending: Some(record), .. } => Some((stub.to, record)),
            _ => None,
        });
        let is_of_subject = |record: &Record| {
            record.subject.value.as_ref() == Some(subject) && !record.is_expired(now)
        };
        let live: BTreeMap<IdHash, &Arc<Record>> =
            live.filter(|(_, record)| is_of_subject(record)).collect();
        let mut listed: Vec<Listed> =
            live.into_iter().map(|(id, record)| Listed::new(id, Arc::clone(record))).collect();
        listed.sort_by_key(|listed| (Reverse(listed.record.seen), listed.id));
        listed.truncate(MAX_LISTED);
        let gone = gone(&index, subject, &seen, now);
        if !gone.is_empty()
            && let Err(error) = self.take_out(name, &gone, now).await
        {
            tracing::debug!(%error, "ended sessions stay in the index of their subject");
        }
        Ok(listed)
    }

    /// What is under these ids: a round trip for each batch on each server.
    pub(crate) async fn look_at(
        &self,
        ids: impl Iterator<Item = IdHash>,
    ) -> Result<Vec<Seen>, StoreError> {
        let mut by_server: BTreeMap<usize, Vec<IdHash>> = BTreeMap::new();
        for id in ids {
            by_server.entry(self.cluster.place(id.slot())).or_default().push(id);
        }
        let mut seen = Vec::new();
        for batch in by_server.values().flat_map(|ids| ids.chunks(BATCH)) {
            let Some(first) = batch.first() else { continue };
            let keys: Vec<_> =
                batch.iter().map(|id| self.cluster.key(Name::session(*id))).collect();
            let requests: Vec<_> = keys.iter().map(|key| Request::Get(key)).collect();
            let replies = self.cluster.ask(first.slot(), &requests).await?;
            let at = Instant::now();
            for (id, reply) in batch.iter().zip(replies) {
                let item = match reply {
                    Reply::Value { token, data } => {
                        Some(Item { what: data, token, at, parts: None })
                    }
                    Reply::Missing => None,
                    _ => return Err(unexpected()),
                };
                seen.push((*id, self.whole(*id, item).await?));
            }
        }
        Ok(seen)
    }

    pub(crate) async fn read_index(&self, name: Name) -> Result<(Index, Condition), StoreError> {
        match self.cluster.read_bytes(name).await? {
            Some(item) => Ok((Index::decode(&item.what)?, item.unchanged())),
            None => Ok((Index::default(), Condition::Absent)),
        }
    }

    /// False if it has changed since it was read.
    pub(crate) async fn write_index(
        &self,
        name: Name,
        index: &Index,
        condition: Condition,
        now: Time,
    ) -> Result<bool, StoreError> {
        let expires = expires(index.deadline(), now);
        let written = self.cluster.write_bytes(name, &index.encode(), condition, expires).await?;
        Ok(written == Written::Done)
    }

    /// Takes sessions out of an index, unless they were entered anew since this stamp.
    pub(crate) async fn take_out(
        &self,
        name: Name,
        gone: &[(IdHash, Stamp)],
        now: Time,
    ) -> Result<(), StoreError> {
        for attempt in 0..ATTEMPTS {
            let (mut index, condition) = self.read_index(name).await?;
            let before = index.bound.len();
            for (id, stamp) in gone {
                if index.bound.get(id).is_some_and(|bound| bound.stamp <= *stamp) {
                    index.bound.remove(id);
                }
            }
            if index.bound.len() == before || self.write_index(name, &index, condition, now).await?
            {
                return Ok(());
            }
            pause(attempt).await;
        }
        Err(contended())
    }
}

/// The entries of an index that lead to no session of the subject and never will.
fn gone(index: &Index, subject: &Subject, seen: &[Seen], now: Time) -> Vec<(IdHash, Stamp)> {
    let is_gone = |(id, seen): &Seen| {
        let bound = index.bound.get(id)?;
        let is_gone = match seen {
            Ok(Some(Item { what: Entry::Ended { .. }, .. })) => true,
            Ok(Some(Item { what: Entry::Moved { pending: None, .. }, .. })) => true,
            // Somebody may be about to make it or to bind it.
            Ok(None) => Index::is_settled(bound, now),
            Ok(Some(Item { what: Entry::Live(record), .. })) => {
                record.subject.value.as_ref() != Some(subject) && Index::is_settled(bound, now)
            }
            Ok(Some(_)) | Err(_) => false,
        };
        is_gone.then_some((*id, bound.stamp))
    };
    seen.iter().filter_map(is_gone).collect()
}

/// Subjects are named by a hash: their own names may have any length and any characters, and are
/// nobody's business who can list the keys of a server.
pub(crate) fn name_of(subject: &Subject) -> Name {
    Name::index(IdHash::of_secret("abide subject in memcached", subject.as_str().as_bytes()))
}
