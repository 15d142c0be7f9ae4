//! The plainest store there is: a map of records, and no hurry. Sound, unless it is told to break
//! the contract in one way.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use abide_session::{
    Changes, Clock, Commit, Create, End, IdHash, Listed, Loaded, MAX_RENEWALS_IN_GRACE, OldId,
    Record, Rename, Stamp, Stamped, Standing, Store, StoreError, StoreFuture, Subject,
};
use abide_time::Time;

/// One way to break the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    CommitUpserts,
    SavesWholeRecords,
    NeverExpires,
    IgnoresExpectations,
    AppliesBeforeChecking,
    ForgetsEnded,
    EndsByOneClock,
    ExceptsByTheVeryId,
    NeverFreezes,
    NoGrace,
    RenewsTwice,
    EndAllForgetsTheExcepted,
    NoLimits,
    CountsFromZero,
}

#[derive(Debug)]
pub(crate) struct PlainStore {
    fault: Option<Fault>,
    rows: Mutex<Rows>,
}

#[derive(Debug)]
struct Rows {
    clock: Clock,
    sessions: BTreeMap<IdHash, Row>,
    revoked_before: BTreeMap<Subject, Stamp>,
}

#[derive(Clone, Debug)]
enum Row {
    Here(Record),
    Moved { to: IdHash, until: Time, frozen: Option<Record> },
}

impl PlainStore {
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        let rows = Rows {
            clock: Clock::new(0),
            sessions: BTreeMap::new(),
            revoked_before: BTreeMap::new(),
        };
        Self { fault, rows: Mutex::new(rows) }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn rows<T>(&self, work: impl FnOnce(&mut Rows) -> T) -> T {
        work(&mut self.rows.lock().expect("no test panics in here"))
    }

    /// The session that an id leads to, by its current id, and what that id sees.
    fn find(&self, id: IdHash, now: Time) -> Result<(IdHash, Record, Standing, Record), Loaded> {
        self.rows(|rows| {
            let mut at = id;
            let mut standing = Standing::Current;
            let mut sees = None;
            for _ in 0..=MAX_RENEWALS_IN_GRACE {
                match rows.sessions.get(&at).ok_or(Loaded::Unknown)? {
                    Row::Moved { until, .. } if *until <= now => return Err(Loaded::Ended),
                    Row::Moved { to, frozen, .. } => {
                        at = *to;
                        if standing != Standing::Frozen {
                            standing =
                                if frozen.is_some() { Standing::Frozen } else { Standing::Old };
                            sees.clone_from(frozen);
                        }
                    }
                    Row::Here(record) if record.is_ended() => return Err(Loaded::Ended),
                    Row::Here(record) if rows.is_revoked(record) => return Err(Loaded::Ended),
                    Row::Here(record)
                        if record.is_expired(now) && !self.has(Fault::NeverExpires) =>
                    {
                        return Err(Loaded::Expired);
                    }
                    Row::Here(record) => {
                        let seen = sees.unwrap_or_else(|| record.clone());
                        return Ok((at, record.clone(), standing, seen));
                    }
                }
            }
            Err(Loaded::Ended)
        })
    }

    /// What becomes of a session by these changes, if it may change.
    fn changed(
        &self,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<Result<(IdHash, Record, Stamp), Commit>, StoreError> {
        let (at, mut record) = match self.find(id, now) {
            Ok((at, record, standing, _)) if standing != Standing::Frozen => (at, record),
            Err(_) if self.has(Fault::CommitUpserts) => {
                let mut record = Record::default();
                record.seen = now;
                record.idle_timeout.value = std::time::Duration::MAX;
                record.hard_deadline = Time::MAX;
                (id, record)
            }
            _ => return Ok(Err(Commit::Gone)),
        };
        let stamp = self.rows(|rows| rows.clock.tick(now));
        let counted =
            if self.has(Fault::CountsFromZero) { Record::default() } else { record.clone() };
        let delta = changes.at(stamp, &counted)?;
        let conflicts = changes.conflicts(&record);
        if !conflicts.is_empty() && !self.has(Fault::IgnoresExpectations) {
            if self.has(Fault::AppliesBeforeChecking) {
                record.merge(delta);
                self.rows(|rows| rows.sessions.insert(at, Row::Here(record)));
            }
            return Ok(Err(Commit::Conflict(conflicts)));
        }
        record.merge(delta);
        record.forget_removed();
        if !self.has(Fault::NoLimits) {
            changes.check()?;
            record.check()?;
        }
        Ok(Ok((at, record, stamp)))
    }

    fn end_now(&self, id: IdHash, now: Time) -> End {
        let (at, record) = match self.find(id, now) {
            Ok((at, record, ..)) => (at, record),
            Err(Loaded::Expired) if !self.has(Fault::EndsByOneClock) => {
                self.rows(|rows| {
                    if let Some(Row::Here(record)) = rows.sessions.get_mut(&id) {
                        *record = Record::ended(record.hard_deadline);
                    }
                });
                return End::Gone;
            }
            Err(_) => return End::Gone,
        };
        self.rows(|rows| {
            if self.has(Fault::ForgetsEnded) {
                rows.sessions.remove(&at);
            } else {
                rows.sessions.insert(at, Row::Here(Record::ended(record.hard_deadline)));
            }
        });
        End::Ended
    }

    fn rename_now(&self, id: IdHash, rename: &Rename, now: Time) -> Result<Commit, StoreError> {
        if self.rows(|rows| rows.sessions.contains_key(&rename.to)) {
            return Ok(Commit::Gone);
        }
        let before = self.find(id, now).ok().map(|(_, record, ..)| record);
        let (at, record, stamp) = match self.changed(id, &rename.changes, now)? {
            Ok(changed) => changed,
            Err(outcome) => return Ok(outcome),
        };
        if at != id && rename.old == OldId::Follows && !self.has(Fault::RenewsTwice) {
            return Ok(Commit::Conflict(Vec::new()));
        }
        let frozen = match rename.old {
            OldId::Freezes if !self.has(Fault::NeverFreezes) => before,
            _ => None,
        };
        let until = if self.has(Fault::NoGrace) { now } else { rename.until };
        let old = match rename.old {
            OldId::Ends => Row::Here(Record::ended(record.hard_deadline)),
            _ => Row::Moved { to: rename.to, until, frozen },
        };
        self.rows(|rows| {
            rows.sessions.insert(rename.to, Row::Here(record));
            rows.sessions.insert(at, old);
        });
        Ok(Commit::Committed(stamp))
    }
}

impl Rows {
    fn is_revoked(&self, record: &Record) -> bool {
        let subject = record.subject.value.as_ref();
        let mark = subject.and_then(|subject| self.revoked_before.get(subject));
        mark.is_some_and(|mark| record.subject.stamp <= *mark)
    }
}

impl Store for PlainStore {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        Box::pin(async move {
            self.rows(|rows| {
                if rows.sessions.contains_key(&id) {
                    return Ok(Create::Taken);
                }
                let stamp = rows.clock.tick(now);
                let record = changes.at(stamp, &Record::default())?;
                if !self.has(Fault::NoLimits) {
                    changes.check()?;
                    record.check()?;
                }
                rows.sessions.insert(id, Row::Here(record));
                Ok(Create::Created(stamp))
            })
        })
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(async move {
            Ok(self.find(id, now).map_or_else(
                |absent| absent,
                |(_, _, standing, seen)| Loaded::Live { record: Arc::new(seen), standing },
            ))
        })
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move {
            match self.changed(id, &changes, now)? {
                Ok((at, record, stamp)) => {
                    if self.has(Fault::SavesWholeRecords) {
                        tokio::task::yield_now().await;
                    }
                    self.rows(|rows| rows.sessions.insert(at, Row::Here(record)));
                    Ok(Commit::Committed(stamp))
                }
                Err(outcome) => Ok(outcome),
            }
        })
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        Box::pin(async move { Ok(self.end_now(id, now)) })
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move { self.rename_now(id, &rename, now) })
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        Box::pin(async move {
            let ids: Vec<IdHash> = self.rows(|rows| rows.sessions.keys().copied().collect());
            let mut listed: Vec<Listed> = ids
                .into_iter()
                .filter_map(|id| match self.find(id, now) {
                    Ok((at, record, Standing::Current, _)) => {
                        Some(Listed::new(at, Arc::new(record)))
                    }
                    _ => None,
                })
                .filter(|listed| listed.record.subject.value.as_ref() == Some(subject))
                .collect();
            listed.sort_by_key(|listed| Reverse(listed.record.seen));
            Ok(listed)
        })
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let excepted = except.and_then(|id| Some((id, self.find(id, now).ok()?)));
            let is_meant = |id, at| id == at || !self.has(Fault::ExceptsByTheVeryId);
            let excepted =
                excepted.filter(|(id, found)| is_meant(*id, found.0)).map(|(_, found)| found);
            self.rows(|rows| {
                let mark = rows.clock.tick(now);
                rows.revoked_before.insert(subject.clone(), mark);
                if let Some((at, mut record, ..)) = excepted
                    && record.subject.value.as_ref() == Some(subject)
                    && !self.has(Fault::EndAllForgetsTheExcepted)
                {
                    record.subject = Stamped::new(rows.clock.tick(now), Some(subject.clone()));
                    rows.sessions.insert(at, Row::Here(record));
                }
            });
            Ok(())
        })
    }
}
