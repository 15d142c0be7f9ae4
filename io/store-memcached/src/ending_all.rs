//! Ending all sessions of a subject.
//!
//! In this order: the mark of the subject is raised above every binding, and with it read what is
//! bound; the session that is excepted is bound anew, above the mark; each of the others is ended, if
//! it is still bound below the mark; and what has ended is taken out of the index. A session that
//! was renewed meanwhile is followed to its new id. Who dies or fails in between leaves sessions that
//! are live and still in the index, so doing it again ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abide_session::{Changes, IdHash, Stamp, StoreError, Subject};
use abide_time::Time;
use tokio::time::Instant;

use crate::cluster::{Condition, Item, Name, Written, written};
use crate::entry::{Entry, Parts};
use crate::error::Trouble;
use crate::expiry::expires;
use crate::index::{Bound, after};
use crate::moves::Move;
use crate::protocol::{Request, When};
use crate::sessions::{ATTEMPTS, Change, Found, Live, Sessions, contended, pause};
use crate::subjects::{BATCH, Entered, name_of};

/// How often those sessions are looked at again that changed while all were being ended.
const ROUNDS_MAX: u32 = 16;

/// A session that is to be ended, as it was read.
#[derive(Clone, Copy, Debug)]
struct Doomed {
    id: IdHash,
    hard_deadline: Time,
    token: u64,
    at: Instant,
    parts: Option<Parts>,
}

impl Doomed {
    const fn new<T>(id: IdHash, hard_deadline: Time, item: &Item<T>) -> Self {
        let Item { token, at, parts, .. } = *item;
        Self { id, hard_deadline, token, at, parts }
    }
}

impl Sessions {
    pub(crate) async fn end_all(
        self: &Arc<Self>,
        subject: &Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> Result<(), StoreError> {
        let name = name_of(subject);
        let excepted = self.bound_to(except, subject, now).await?;
        let Some((bound, mark, entered)) = self.raise_mark(name, excepted.as_ref(), now).await?
        else {
            return Ok(());
        };
        let excepted = excepted.map(|live| live.id);
        if let (Some(id), Some(entered)) = (excepted, entered) {
            self.bind_anew(id, subject, entered, now).await?;
        }
        let ids = bound.into_keys().filter(|id| Some(*id) != excepted).collect();
        let ended = self.end_bound(ids, excepted, (subject, mark), now).await?;
        let ended: Vec<_> = ended.into_iter().map(|id| (id, mark)).collect();
        if let Err(error) = self.take_out(name, &ended, now).await {
            tracing::debug!(%error, "ended sessions stay in the index of their subject");
        }
        Ok(())
    }

    /// The session under this id, if it is live and of this subject.
    async fn bound_to(
        &self,
        id: Option<IdHash>,
        subject: &Subject,
        now: Time,
    ) -> Result<Option<Live>, StoreError> {
        let Some(id) = id else { return Ok(None) };
        match self.find(id, now).await? {
            Found::Live(live) if live.read.record.subject.value.as_ref() == Some(subject) => {
                Ok(Some(live))
            }
            _ => Ok(None),
        }
    }

    /// Raises the mark of the subject above every binding, and enters the excepted session above the
    /// mark. What was bound below, the mark, and that entry; none if nothing was ever bound.
    async fn raise_mark(
        &self,
        name: Name,
        excepted: Option<&Live>,
        now: Time,
    ) -> Result<Option<(BTreeMap<IdHash, Bound>, Stamp, Option<Entered>)>, StoreError> {
        for attempt in 0..ATTEMPTS {
            let (mut index, condition) = self.read_index(name).await?;
            if matches!(condition, Condition::Absent) {
                return Ok(None);
            }
            let mark = index.revoke(now);
            let bound = index.bound.clone();
            let entered = match excepted {
                Some(Live { id, read, .. }) => {
                    let (least, hard_deadline) =
                        (after(read.record.latest(), now), read.record.hard_deadline);
                    let stamp = index.enter(*id, least, hard_deadline, now);
                    let stamp = stamp.ok_or(StoreError::Full)?;
                    Some(Entered { id: *id, stamp, hard_deadline })
                }
                None => None,
            };
            if self.write_index(name, &index, condition, now).await? {
                return Ok(Some((bound, mark, entered)));
            }
            self.cluster.tally.retries_after_change.one();
            pause(attempt).await;
        }
        Err(contended())
    }

    /// Binds a session to its subject again, later than the mark.
    async fn bind_anew(
        self: &Arc<Self>,
        id: IdHash,
        subject: &Subject,
        entered: Entered,
        now: Time,
    ) -> Result<(), StoreError> {
        let mut changes = Changes::default();
        changes.subject = Some(Some(subject.clone()));
        let mut change = Change::new(&changes, now);
        change.entered = Some(entered);
        for attempt in 0..ATTEMPTS {
            let Some(live) = self.bound_to(Some(id), subject, now).await? else { return Ok(()) };
            if self.put(&live, &mut change).await?.is_some() {
                return Ok(());
            }
            self.cluster.tally.retries_after_change.one();
            pause(attempt).await;
        }
        Err(contended())
    }

    /// Ends every session among these that was bound at the mark or before. Those that are ended
    /// now, whoever ended them.
    async fn end_bound(
        &self,
        mut ids: BTreeSet<IdHash>,
        excepted: Option<IdHash>,
        (subject, mark): (&Subject, Stamp),
        now: Time,
    ) -> Result<Vec<IdHash>, StoreError> {
        let mut ended = Vec::new();
        for round in 0..ROUNDS_MAX {
            if ids.is_empty() {
                return Ok(ended);
            }
            if round > 1 {
                pause(round).await;
            }
            let mut again = BTreeSet::new();
            let mut doomed = Vec::new();
            for (id, seen) in self.look_at(std::mem::take(&mut ids).into_iter()).await? {
                match seen {
                    Ok(None) => {}
                    Err(item) => doomed.push(Doomed::new(id, item.what.hard_deadline(now), &item)),
                    Ok(Some(item)) => match &item.what {
                        Entry::Live(record)
                            if record.subject.value.as_ref() == Some(subject)
                                && record.subject.stamp <= mark =>
                        {
                            doomed.push(Doomed::new(id, record.hard_deadline, &item));
                        }
                        Entry::Live(_) => {}
                        Entry::Moved { stub, hard_deadline, pending } => {
                            if let Some(record) = pending {
                                let (record, hard_deadline) = (Arc::clone(record), *hard_deadline);
                                let Item { token, at, parts, .. } = item;
                                let old = Item { what: id, token, at, parts };
                                let unfinished = Move { old, stub: *stub, hard_deadline, record };
                                self.finish_for_others(&unfinished, now).await?;
                            }
                            // Also if it was looked at before: it may not have been there yet.
                            if Some(stub.to) != excepted {
                                again.insert(stub.to);
                            }
                            ended.push(id);
                        }
                        Entry::Ended { .. } | Entry::Parted { .. } => ended.push(id),
                    },
                }
            }
            for (id, is_ended) in self.put_marks(&doomed, now).await? {
                if is_ended {
                    ended.push(id);
                } else {
                    again.insert(id);
                }
            }
            ids = again;
        }
        Err(contended())
    }

    /// Puts the marks of ended sessions in place of what was read, a round trip for each batch on
    /// each server. Which of them were still what was read.
    async fn put_marks(
        &self,
        doomed: &[Doomed],
        now: Time,
    ) -> Result<Vec<(IdHash, bool)>, StoreError> {
        let mut by_server: BTreeMap<usize, Vec<&Doomed>> = BTreeMap::new();
        for doomed in doomed {
            by_server.entry(self.cluster.place(doomed.id.slot())).or_default().push(doomed);
        }
        let mut marked = Vec::new();
        for batch in by_server.values().flat_map(|doomed| doomed.chunks(BATCH)) {
            let (Some(first), Some(read_at)) =
                (batch.first(), batch.iter().map(|doomed| doomed.at).min())
            else {
                continue;
            };
            let items: Vec<_> = batch.iter().map(|doomed| self.mark_of(doomed, now)).collect();
            let puts = items.iter().zip(batch).map(|((key, value, expires), doomed)| {
                let when = When::Unchanged(doomed.token);
                Request::Put { key, value, expires: *expires, when }
            });
            let puts: Vec<_> = puts.collect();
            let server = self.cluster.owner(first.id.slot())?;
            let replies = match server.ask(&puts, Some(read_at)).await {
                Ok(replies) => replies,
                Err(Trouble::TooNew) => {
                    marked.extend(batch.iter().map(|doomed| (doomed.id, false)));
                    continue;
                }
                Err(trouble) => return Err(trouble.at(server.address())),
            };
            for (doomed, reply) in batch.iter().zip(replies) {
                let Doomed { id, hard_deadline, token, at, parts } = **doomed;
                let is_marked = match written(Some(&reply)) {
                    Ok(Written::Done) => {
                        self.recent.forget(id);
                        self.cluster.delete_parts(Name::session(id), parts).await;
                        true
                    }
                    Ok(Written::Lost) => false,
                    Err(StoreError::Full) => {
                        let condition = Condition::Unchanged { token, at };
                        self.put_mark(id, (hard_deadline, now), condition, parts).await?
                    }
                    Err(error) => return Err(error),
                };
                marked.push((id, is_marked));
            }
        }
        Ok(marked)
    }

    /// The item that is the mark of an ended session: its name, its value, and when it expires.
    fn mark_of(&self, doomed: &Doomed, now: Time) -> (String, Vec<u8>, i32) {
        let hard_deadline = doomed.hard_deadline;
        let key = self.cluster.key(Name::session(doomed.id));
        (key, Entry::Ended { hard_deadline }.encode(), expires(hard_deadline, now))
    }
}
