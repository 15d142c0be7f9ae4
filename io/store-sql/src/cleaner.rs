//! Drops what nobody needs any more.
//!
//! A row says when to look at it (`check_at`). Only a cleaner changes that: a session that is used
//! lives longer than its row says, and is given a later time when it is looked at. So a commit changes
//! no index, and whoever commits never waits for a cleaner. Cleaners skip rows that others have locked.
//!
//! What is dropped: a session a minute after it expired, the mark of an ended one and the stub of a
//! renewed one a minute after the session's hard deadline, what a frozen id saw a minute after its
//! grace, and a subject's mark when there is no session of this subject any more.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use abide_session::IdHash;
use abide_time::Time;
use sqlx::{AssertSqlSafe, Row as _};
use tokio::task::JoinHandle;

use crate::connection::Connection;
use crate::counters::count;
use crate::error::Fault;
use crate::numbers::of_time;
use crate::row::{Kind, parse_id};
use crate::schema::Database;
use crate::statements::Text;
use crate::steps::Shared;

/// Rows that one transaction cleans up: few enough that it is over in some milliseconds, and enough
/// that a hundred thousand sessions a minute are cleaned up in a fraction of it.
const BATCH_ROWS: usize = 500;

/// Batches of one run, so that it ends: half a million rows.
const BATCHES_MAX: usize = 1000;

/// Names of fields in one text: half a megabyte of the longest, which every server accepts.
const NAMES_PER_TEXT: usize = 1000;

/// How much longer than a call one batch may take: what is dropped may be large. It ends, so that a
/// server that is gone without a word does not end the cleaning for good.
const BATCH_TIMEOUT_CALLS: u32 = 10;

/// How long after its time something is dropped: servers whose clocks differ by less agree that it is
/// over.
const SLACK: Duration = Duration::from_mins(1);

/// When a subject's mark that is still needed is looked at again.
const MARK_CHECKED_AGAIN: Duration = Duration::from_hours(1);

/// Cleans up until it is dropped.
#[derive(Debug)]
pub(crate) struct Cleaner(JoinHandle<()>);

impl Cleaner {
    pub(crate) fn start(shared: Arc<Shared>, interval: Duration) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                if let Err(fault) = shared.clean(wall_clock()).await {
                    count(&shared.counts.cleaning_failures, 1);
                    let error = fault.into_store_error();
                    tracing::warn!(%error, "expired sessions were not cleaned up");
                }
            }
        }))
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "cleaning up is the one thing that no caller times")]
fn wall_clock() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::EPOCH.after(since.unwrap_or_default())
}

/// What came of one batch.
struct Batch {
    /// Rows that were due.
    rows: usize,
    /// Those of them that could not be read.
    unreadable: usize,
    dropped: u64,
}

/// A row that is due.
struct Due {
    id: IdHash,
    kind: Kind,
    deadline: i64,
    hard_deadline: i64,
    moved_until: i64,
}

impl Shared {
    /// Cleans up batch by batch, and gives the number of rows of sessions that were dropped. A row
    /// that can not be read stays, for somebody to look at, and keeps nothing else from being dropped.
    pub(crate) async fn clean(&self, now: Time) -> Result<u64, Fault> {
        let limit = of_time(Time::from_millis(now.as_millis().saturating_sub(millis(SLACK))));
        let (mut dropped, mut is_corrupt): (u64, bool) = (0, false);
        for _ in 0..BATCHES_MAX {
            let batch = self.in_time(self.clean_sessions(limit)).await?;
            dropped = dropped.saturating_add(batch.dropped);
            count(&self.counts.cleaned, batch.dropped);
            is_corrupt |= batch.unreadable > 0;
            if batch.rows < BATCH_ROWS || batch.rows == batch.unreadable {
                break;
            }
        }
        for _ in 0..BATCHES_MAX {
            if self.in_time(self.clean_subjects(limit)).await? < BATCH_ROWS {
                break;
            }
        }
        if is_corrupt {
            return Err(Fault::corrupt(
                "a row of abide_sessions that is due has a kind or id that is none",
            ));
        }
        Ok(dropped)
    }

    /// Holds a batch on a server to its time. One of a SQLite ends by itself.
    async fn in_time<T>(&self, batch: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        if self.database == Database::Sqlite {
            return batch.await;
        }
        let limit = self.timeout.saturating_mul(BATCH_TIMEOUT_CALLS);
        let outcome = tokio::time::timeout(limit, batch).await;
        outcome.unwrap_or_else(|_elapsed| {
            Err(Fault::unavailable(format!("the database did not clean up within {limit:?}")))
        })
    }

    async fn clean_sessions(&self, limit: i64) -> Result<Batch, Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let mut text = Text::new(self.database);
            text.begin();
            if self.database == Database::Postgres {
                let limit = self.timeout.saturating_mul(BATCH_TIMEOUT_CALLS);
                text.raw("SET LOCAL statement_timeout = ");
                text.number(i64::try_from(limit.as_millis()).unwrap_or(0)).raw("; ");
            }
            text.raw(
                "SELECT id, kind, seen + idle_timeout, hard_deadline, coalesce(moved_until, 0) \
                 FROM abide_sessions WHERE check_at <= ",
            );
            text.number(limit).raw(" ORDER BY check_at LIMIT ").number(batch_rows());
            text.raw(match self.database {
                Database::Postgres | Database::MySql => " FOR UPDATE SKIP LOCKED",
                Database::Sqlite => "",
            });
            let (due, unreadable) = connection.due(text.sql()).await?;
            let judged = judge(&due, limit);
            let dropped = u64::try_from(judged.over.len()).unwrap_or(u64::MAX);
            let names = match self.database {
                Database::MySql => connection.names(&judged.emptied()).await?,
                Database::Postgres | Database::Sqlite => Vec::new(),
            };
            for names in names.chunks(NAMES_PER_TEXT) {
                let mut text = Text::new(self.database);
                text.remove_names(names);
                connection.run(text).await?;
            }
            let mut text = Text::new(self.database);
            text.clean(&judged).commit();
            connection.run(text).await?;
            let rows = due.len().saturating_add(unreadable);
            Ok(Batch { rows, unreadable, dropped })
        }
        .await;
        lease.settle_transaction(outcome).await
    }

    async fn clean_subjects(&self, limit: i64) -> Result<usize, Fault> {
        let mut lease = self.writers.lease().await?;
        let connection = lease.connection()?;
        let outcome = async {
            let (subjects, is_needed) = connection.due_subjects(limit).await?;
            if subjects.is_empty() {
                return Ok(0);
            }
            let mut text = Text::new(self.database);
            text.begin();
            let later =
                limit.saturating_add(i64::try_from(millis(MARK_CHECKED_AGAIN)).unwrap_or(0));
            for (subject, is_needed) in subjects.iter().zip(is_needed) {
                if is_needed {
                    text.update("abide_subjects").raw("check_at = ").number(later).raw(" WHERE ");
                } else {
                    text.delete("abide_subjects");
                }
                // Unless the mark was raised meanwhile.
                text.raw("check_at <= ").number(limit).raw(" AND subject = ");
                text.bytes(subject).raw("; ");
            }
            text.commit();
            connection.run(text).await?;
            Ok(subjects.len())
        }
        .await;
        lease.settle_transaction(outcome).await
    }
}

/// What becomes of rows that are due.
#[derive(Default)]
struct Judged {
    /// To be dropped.
    over: Vec<IdHash>,
    /// Frozen ids whose grace is over: marks from now on.
    thawed: Vec<IdHash>,
    /// To be looked at again, and when.
    later: Vec<(IdHash, i64)>,
}

impl Judged {
    /// The rows that lose their fields.
    fn emptied(&self) -> Vec<IdHash> {
        [&self.over[..], &self.thawed].concat()
    }
}

fn judge(due: &[Due], limit: i64) -> Judged {
    let mut judged = Judged::default();
    for row in due {
        let next = match row.kind {
            Kind::Live => row.deadline.min(row.hard_deadline),
            Kind::Moved | Kind::Frozen if row.moved_until > limit => row.moved_until,
            Kind::Moved | Kind::Frozen | Kind::Ended => row.hard_deadline,
        };
        if next <= limit {
            judged.over.push(row.id);
            continue;
        }
        if row.kind == Kind::Frozen && row.moved_until <= limit {
            judged.thawed.push(row.id);
        }
        judged.later.push((row.id, next));
    }
    judged
}

impl Text {
    /// Drops fields by their names: on MySQL, so that no statement looks at another session's.
    fn remove_names(&mut self, names: &[(IdHash, Vec<u8>)]) -> &mut Self {
        for (id, name) in names {
            self.delete("abide_fields").raw("id = ").id(*id).raw(" AND name = ");
            self.bytes(name).raw("; ");
        }
        self
    }

    /// Does what was judged, but for [`Text::remove_names`].
    fn clean(&mut self, judged: &Judged) -> &mut Self {
        for (id, next) in &judged.later {
            self.update("abide_sessions").raw("check_at = ").number(*next);
            self.raw(" WHERE id = ").id(*id).raw("; ");
        }
        for id in &judged.thawed {
            self.update("abide_sessions").raw("kind = ").number(Kind::Ended.number());
            self.raw(", subject = NULL, field_count = 0, field_bytes = 0 WHERE id = ");
            self.id(*id).raw("; ");
        }
        let emptied = judged.emptied();
        if self.database() != Database::MySql && !emptied.is_empty() {
            self.delete("abide_fields").raw("id IN (").ids(&emptied).raw("); ");
        }
        for id in &judged.over {
            self.delete("abide_sessions").raw("id = ").id(*id).raw("; ");
        }
        self
    }
}

impl Connection {
    /// Rows that are due, and how many more of them can not be read.
    async fn due(&mut self, sql: String) -> Result<(Vec<Due>, usize), Fault> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        crate::connection::on!(self, inner => {
            let rows = sql.fetch_all(&mut *inner).await?;
            let read = rows.iter().map(|row| Ok::<_, Fault>(Due {
                id: parse_id(&row.try_get_unchecked::<String, _>(0)?)?,
                kind: Kind::of_number(row.try_get_unchecked(1)?)?,
                deadline: row.try_get_unchecked(2)?,
                hard_deadline: row.try_get_unchecked(3)?,
                moved_until: row.try_get_unchecked(4)?,
            }));
            let due: Vec<Due> = read.flatten().collect();
            let unreadable = rows.len().saturating_sub(due.len());
            Ok((due, unreadable))
        })
    }

    /// The names of the fields of these sessions.
    async fn names(&mut self, ids: &[IdHash]) -> Result<Vec<(IdHash, Vec<u8>)>, Fault> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut text = Text::new(self.database());
        text.raw("SELECT id, name FROM abide_fields WHERE id IN (").ids(ids).raw(")");
        let sql = sqlx::raw_sql(AssertSqlSafe(text.sql()));
        crate::connection::on!(self, inner => {
            let rows = sql.fetch_all(&mut *inner).await?;
            rows.iter().map(|row| {
                let id = parse_id(&row.try_get_unchecked::<String, _>(0)?)?;
                Ok((id, row.try_get_unchecked::<Vec<u8>, _>(1)?))
            }).collect()
        })
    }

    /// Subjects whose mark is due, and whether there are sessions that need it.
    async fn due_subjects(&mut self, limit: i64) -> Result<(Vec<Vec<u8>>, Vec<bool>), Fault> {
        let sql = format!(
            "SELECT m.subject, CASE WHEN EXISTS (SELECT 1 FROM abide_sessions s \
             WHERE s.subject = m.subject) THEN 1 ELSE 0 END FROM abide_subjects m \
             WHERE m.check_at <= {limit} ORDER BY m.check_at, m.subject LIMIT {}",
            batch_rows()
        );
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        crate::connection::on!(self, inner => {
            let rows = sql.fetch_all(&mut *inner).await?;
            let read = rows.iter().map(|row| {
                let is_needed = row.try_get_unchecked::<i32, _>(1)? != 0;
                Ok((row.try_get_unchecked::<Vec<u8>, _>(0)?, is_needed))
            });
            Ok(read.collect::<Result<Vec<_>, sqlx::Error>>()?.into_iter().unzip())
        })
    }
}

fn batch_rows() -> i64 {
    i64::try_from(BATCH_ROWS).unwrap_or(i64::MAX)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use abide_servers::Postgres;

    use super::*;
    use crate::SqlStore;

    #[tokio::test]
    async fn a_server_that_hangs_does_not_end_the_cleaning_for_good() {
        let server = Postgres::fast();
        let builder = SqlStore::builder(&server.url()).cleanup(None);
        let patient = builder.timeout(Duration::from_secs(20)).connect().await.unwrap().shared;
        let shared = Shared {
            database: patient.database,
            readers: Arc::clone(&patient.readers),
            writers: Arc::clone(&patient.writers),
            timeout: Duration::from_millis(20),
            counts: Arc::clone(&patient.counts),
        };
        server.stop();
        let cleaning = shared.clean(wall_clock());
        let outcome = tokio::time::timeout(Duration::from_secs(20), cleaning).await;
        assert!(matches!(outcome, Ok(Err(_))), "{outcome:?}");
        server.cont();
        assert_eq!(patient.clean(wall_clock()).await.unwrap(), 0);
    }
}
