//! The steps of each call. What they rest on is said in [`crate::store`].

use std::sync::Arc;
use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Record, Rename, Scanned, Standing,
    StoreError, Subject, Trail,
};
use abide_time::Time;
use bytes::Bytes;

use crate::connection::{Connection, SCANNED_PER_PAGE};
use crate::counters::{Counts, count};
use crate::decide::{self, Decision, Edit, Plain, Verdict, later};
use crate::error::Fault;
use crate::numbers::{of_time, reading, to_stamp};
use crate::pool::Pool;
use crate::row::{Kind, Row};
use crate::schema::Database;
use crate::statements::Text;

/// How often a call is made again that the database undid to let another one through. Calls that want
/// the same rows take them in one order, so this is for what the database itself locks beside them.
const GAVE_WAY_MAX: u32 = 8;

/// How long a subject's mark is kept at least: longer than any transaction that was under way when it
/// was made, which could bind a session at a stamp before it. After that it is kept as long as there
/// are sessions of this subject.
const MARK_KEPT: Duration = Duration::from_hours(24);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) readers: Arc<Pool>,
    /// The same as `readers`, but for a SQLite file, which has one writer.
    pub(crate) writers: Arc<Pool>,
    pub(crate) timeout: Duration,
    pub(crate) counts: Arc<Counts>,
}

/// What an id leads to.
enum Found {
    Live {
        row: Row,
        standing: Standing,
        /// What the id sees, if that is not the session.
        frozen: Option<Arc<Record>>,
    },
    Ended,
    /// A session that has expired by the clock that asks. By another one it may be live.
    Expired(Row),
    Unknown,
}

/// Makes a call again that gave way to another one.
macro_rules! giving_way {
    ($shared:expr, $call:expr) => {{
        let mut attempt = 0;
        loop {
            match $call.await {
                Err(fault) if fault.gives_way() && attempt < GAVE_WAY_MAX => {
                    attempt += 1;
                    count(&$shared.counts.gave_way, 1);
                }
                outcome => break outcome,
            }
        }
    }};
}

impl Shared {
    pub(crate) async fn health(&self) -> Result<(), Fault> {
        let mut lease = self.writers.lease().await?;
        let outcome = match lease.connection()?.is_read_only().await {
            // Before the connection is given back, so that the next one may lead elsewhere.
            Ok(true) => Err(Fault::unavailable("the database takes no writes: it is read-only")),
            Ok(false) => Ok(()),
            Err(fault) => Err(fault),
        };
        lease.settle(outcome)
    }

    pub(crate) async fn create(
        &self,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<Create, Fault> {
        changes.check()?;
        match giving_way!(self, self.try_create(id, changes, now)) {
            Ok(stamp) => Ok(Create::Created(to_stamp(stamp))),
            Err(fault) if fault.is_taken() => Ok(Create::Taken),
            Err(fault) => Err(fault),
        }
    }

    async fn try_create(&self, id: IdHash, changes: &Changes, now: Time) -> Result<i64, Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let revoked_before = mark_of(connection, changes).await?;
            let edit = Edit::create(id, changes, now, revoked_before)?;
            let mut text = Text::of_call(self.database);
            text.begin().create(&edit).insert_fields(&edit).commit();
            connection.run(text).await?;
            Ok(edit.stamp)
        }
        .await;
        lease.settle_transaction(outcome).await
    }

    pub(crate) async fn load(&self, id: IdHash, now: Time) -> Result<Loaded, Fault> {
        let mut lease = self.readers.lease().await?;
        let outcome = find(lease.connection()?, id, now).await;
        // Of a SQLite, whose two statements are of one moment.
        Ok(match lease.settle_transaction(outcome).await? {
            Found::Live { row, standing, frozen } => {
                Loaded::Live { record: frozen.unwrap_or(row.record), standing }
            }
            Found::Ended => Loaded::Ended,
            Found::Expired(_) => Loaded::Expired,
            Found::Unknown => Loaded::Unknown,
        })
    }

    pub(crate) async fn commit(
        &self,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<Commit, Fault> {
        changes.check()?;
        if self.database != Database::Sqlite
            && let Some(plain) = Plain::of(changes, now)
        {
            match giving_way!(self, self.commit_at_once(id, &plain, now))? {
                Verdict::Done(stamp) => return Ok(Commit::Committed(to_stamp(stamp))),
                Verdict::Conflict(fields) => return Ok(Commit::Conflict(fields)),
                Verdict::TooLarge(limit) => return Err(StoreError::TooLarge(limit).into()),
                Verdict::Contended => count(&self.counts.contended, 1),
                Verdict::Gone | Verdict::Moved(_) => return Ok(Commit::Gone),
            }
        }
        let decide = |row: &Row, _: Standing, revoked_before: Option<i64>| {
            decide::commit(row, changes, now, revoked_before)
        };
        giving_way!(self, self.change(id, changes, now, &decide))
    }

    /// Commits without a look at the session before: one round trip, and one more for each renewal
    /// between this id and the current one.
    async fn commit_at_once(&self, id: IdHash, plain: &Plain, now: Time) -> Result<Verdict, Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let mut trail = Trail::new(id);
            loop {
                match connection.commit(trail.id(), plain).await? {
                    Verdict::Moved(stub)
                        if trail.follow(stub, now) && trail.standing() != Standing::Frozen => {}
                    verdict => return Ok(verdict),
                }
            }
        }
        .await;
        lease.settle_transaction(outcome).await
    }

    pub(crate) async fn rename(
        &self,
        id: IdHash,
        rename: &Rename,
        now: Time,
    ) -> Result<Commit, Fault> {
        rename.changes.check()?;
        let decide = |row: &Row, standing: Standing, revoked_before: Option<i64>| {
            decide::rename(row, standing, rename, now, revoked_before)
        };
        match giving_way!(self, self.change(id, &rename.changes, now, &decide)) {
            Err(fault) if fault.is_taken() => Ok(Commit::Gone),
            outcome => outcome,
        }
    }

    /// Locks a session, and makes of it what is decided then.
    async fn change(
        &self,
        id: IdHash,
        changes: &Changes,
        now: Time,
        decide: &(impl Fn(&Row, Standing, Option<i64>) -> Result<Decision, StoreError> + Sync),
    ) -> Result<Commit, Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let decision = match begin_and_find(connection, id, now).await? {
                Found::Live { row, standing, .. } if standing != Standing::Frozen => {
                    let revoked_before = mark_of(connection, changes).await?;
                    decide(&row, standing, revoked_before)?
                }
                _ => Decision::Refuse(Commit::Gone),
            };
            match decision {
                Decision::Refuse(answer) => {
                    connection.roll_back().await?;
                    Ok(answer)
                }
                Decision::Edit(edit) => {
                    let mut text = Text::of_call(self.database);
                    text.edit(&edit).commit();
                    connection.run(text).await?;
                    Ok(Commit::Committed(to_stamp(edit.stamp)))
                }
            }
        }
        .await;
        lease.settle_transaction(outcome).await
    }

    pub(crate) async fn end(&self, id: IdHash, now: Time) -> Result<End, Fault> {
        if self.database != Database::Sqlite {
            match giving_way!(self, self.end_at_once(id, now))? {
                Verdict::Done(_) => return Ok(End::Ended),
                Verdict::Contended => count(&self.counts.contended, 1),
                _ => return Ok(End::Gone),
            }
        }
        giving_way!(self, self.end_locked(id, now))
    }

    async fn end_at_once(&self, id: IdHash, now: Time) -> Result<Verdict, Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let mut trail = Trail::new(id);
            loop {
                match connection.end(trail.id(), of_time(now), reading(now)).await? {
                    Verdict::Moved(stub) if trail.follow(stub, now) => {}
                    verdict => return Ok(verdict),
                }
            }
        }
        .await;
        lease.settle_transaction(outcome).await
    }

    async fn end_locked(&self, id: IdHash, now: Time) -> Result<End, Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let (row, outcome) = match begin_and_find(connection, id, now).await? {
                Found::Live { row, .. } => (row, End::Ended),
                Found::Expired(row) => (row, End::Gone),
                Found::Ended | Found::Unknown => {
                    connection.roll_back().await?;
                    return Ok(End::Gone);
                }
            };
            let mut text = Text::of_call(self.database);
            text.end(row.id, later(now, row.stamp)).commit();
            connection.run(text).await?;
            Ok(outcome)
        }
        .await;
        lease.settle_transaction(outcome).await
    }

    pub(crate) async fn list(&self, subject: &Subject, now: Time) -> Result<Vec<Listed>, Fault> {
        let mut lease = self.readers.lease().await?;
        let outcome = lease.connection()?.list(subject, of_time(now)).await;
        let rows = lease.settle(outcome)?;
        Ok(rows.into_iter().map(|row| Listed::new(row.id, row.record)).collect())
    }

    pub(crate) async fn end_all(
        &self,
        subject: &Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> Result<(), Fault> {
        giving_way!(self, self.try_end_all(subject, except, now))
    }

    async fn try_end_all(
        &self,
        subject: &Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> Result<(), Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let excepted = match except {
                Some(id) => match begin_and_find(connection, id, now).await? {
                    Found::Live { row, .. } => {
                        (row.record.subject.value.as_ref() == Some(subject)).then_some(row)
                    }
                    _ => None,
                },
                None => {
                    let mut text = Text::of_call(self.database);
                    text.begin();
                    connection.run(text).await?;
                    None
                }
            };
            let Some(last) = connection.last_bound(subject).await? else {
                return connection.roll_back().await;
            };
            let stamp = excepted.as_ref().map_or(last, |row| row.stamp.max(last));
            let name = subject.as_str().as_bytes();
            let mut text = Text::of_call(self.database);
            text.revoke(name, reading(now).max(stamp), of_time(now.after(MARK_KEPT)));
            if let Some(row) = excepted {
                text.rebind(row.id, name);
            }
            text.commit();
            connection.run(text).await
        }
        .await;
        lease.settle_transaction(outcome).await
    }

    pub(crate) async fn scan(&self, cursor: Option<Bytes>, now: Time) -> Result<Scanned, Fault> {
        let after = match &cursor {
            Some(cursor) => {
                let id = IdHash::parse(cursor);
                id.ok_or_else(|| Fault::corrupt("the cursor is none of this store"))?.to_string()
            }
            None => String::new(),
        };
        let mut lease = self.readers.lease().await?;
        let outcome = lease.connection()?.scan(&after, of_time(now)).await;
        let ids = lease.settle(outcome)?;
        let last = ids.last().filter(|_| ids.len() >= SCANNED_PER_PAGE);
        let next = last.map(|id| Bytes::from(id.to_string()));
        Ok(Scanned::new(ids, next))
    }
}

/// Begins a transaction, and follows an id to its session, which nobody else changes until the
/// transaction ends.
async fn begin_and_find(
    connection: &mut Connection,
    id: IdHash,
    now: Time,
) -> Result<Found, Fault> {
    follow(connection, id, now, true).await
}

/// Follows an id to its session.
async fn find(connection: &mut Connection, id: IdHash, now: Time) -> Result<Found, Fault> {
    follow(connection, id, now, false).await
}

async fn follow(
    connection: &mut Connection,
    id: IdHash,
    now: Time,
    locks: bool,
) -> Result<Found, Fault> {
    let mut trail = Trail::new(id);
    let mut frozen = None;
    loop {
        let nothing = || if trail.is_at_start() { Found::Unknown } else { Found::Ended };
        let row = match (locks, trail.is_at_start()) {
            (true, true) => connection.begin_and_load(trail.id()).await?,
            (true, false) => connection.load_locked(trail.id()).await?,
            (false, _) => connection.load(trail.id()).await?,
        };
        let Some(row) = row else { return Ok(nothing()) };
        let Some(stub) = row.stub else {
            return Ok(match row.kind {
                Kind::Live if row.is_live(now) => {
                    Found::Live { row, standing: trail.standing(), frozen }
                }
                Kind::Live if !row.is_revoked() => Found::Expired(row),
                _ => Found::Ended,
            });
        };
        if !trail.follow(stub, now) {
            return Ok(Found::Ended);
        }
        if trail.frozen_at() == Some(row.id) {
            frozen = Some(row.record);
        }
    }
}

/// The mark of the subject that these changes bind a session to.
async fn mark_of(connection: &mut Connection, changes: &Changes) -> Result<Option<i64>, Fault> {
    match &changes.subject {
        Some(Some(subject)) => connection.revoked_before(subject).await,
        Some(None) | None => Ok(None),
    }
}
