//! What only PostgreSQL does.
//!
//! A commit is one statement of fixed text. It locks the row of the session (`locked`), looks at its
//! fields as they were when the statement began, and writes in the same step. If somebody else
//! committed while it waited for the lock, the fields it sees are older than the row it has. It knows
//! that from the stamp: every change of a session gives its row a later one, under the row's lock. So
//! if the stamp of the locked row is not the one that the statement's snapshot shows, it changes
//! nothing and the call is made again, this time with the lock taken first.

use abide_session::{FieldName, IdHash, Limit, MAX_FIELDS, MAX_RECORD_BYTES};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use crate::builder::MIGRATION_TIMEOUT;
use crate::decide::{Plain, Verdict};
use crate::error::Fault;
use crate::row::{Kind, Row, SESSION_COLUMNS, put_field, read_session, read_stub, session_columns};
use crate::schema::{Database, SchemaFault, migrations_after};

const COMMIT: &str = include_str!("postgres/commit.sql");
const END: &str = include_str!("postgres/end.sql");

/// The oldest that has `MATERIALIZED`, which keeps the order of a commit's parts.
const OLDEST: i64 = 12;

/// Holds others off while the schema is changed: the letters `abide`.
const MIGRATION_LOCK: i64 = 0x61_62_69_64_65;

/// A session under an id, with its fields as arrays: one row, in which nothing stands twice.
const LOAD: &str = concat!(
    "SELECT ",
    session_columns!(),
    ", f.names, f.stamps, f.contents FROM abide_sessions s \
     LEFT JOIN abide_subjects r ON r.subject = s.subject \
     LEFT JOIN LATERAL (SELECT array_agg(name) AS names, array_agg(stamp) AS stamps, \
     array_agg(value) AS contents FROM abide_fields WHERE id = s.id) f ON true WHERE s.id = $1"
);

pub(crate) async fn load(connection: &mut PgConnection, id: IdHash) -> Result<Option<Row>, Fault> {
    let row = sqlx::query(LOAD).bind(id.to_string()).fetch_optional(connection).await?;
    let Some(row) = row else { return Ok(None) };
    let (session, mut record) = read_session(&row)?;
    let names: Option<Vec<Vec<u8>>> = row.try_get(SESSION_COLUMNS)?;
    let stamps: Option<Vec<i64>> = row.try_get(SESSION_COLUMNS + 1)?;
    let contents: Option<Vec<Vec<u8>>> = row.try_get(SESSION_COLUMNS + 2)?;
    let names = names.unwrap_or_default().into_iter();
    let contents = stamps.unwrap_or_default().into_iter().zip(contents.unwrap_or_default());
    for (name, (stamp, value)) in names.zip(contents) {
        put_field(&mut record, name, stamp, value)?;
    }
    Ok(Some(session.with(record)))
}

pub(crate) async fn commit(
    connection: &mut PgConnection,
    id: IdHash,
    plain: &Plain,
) -> Result<Verdict, Fault> {
    let bytes = |name: &FieldName| name.as_str().as_bytes().to_vec();
    let (expected, stamps): (Vec<_>, Vec<_>) =
        plain.expected.iter().map(|(name, stamp)| (bytes(name), *stamp)).unzip();
    let (puts, values): (Vec<_>, Vec<&[u8]>) =
        plain.puts.iter().map(|(name, value)| (bytes(name), &**value)).unzip();
    let removes: Vec<_> = plain.removes.iter().map(bytes).collect();
    let row = sqlx::query(COMMIT)
        .bind(id.to_string())
        .bind(expected)
        .bind(stamps)
        .bind(puts)
        .bind(values)
        .bind(removes)
        .bind(plain.now)
        .bind(plain.put_count())
        .bind(plain.put_bytes())
        .bind(plain.reading)
        .bind(plain.seen)
        .bind(i64::try_from(MAX_FIELDS).unwrap_or(i64::MAX))
        .bind(i64::try_from(MAX_RECORD_BYTES).unwrap_or(i64::MAX))
        .bind(plain.idle_timeout)
        .bind(plain.hard_deadline)
        .fetch_optional(connection)
        .await?;
    verdict(row.as_ref())
}

pub(crate) async fn end(
    connection: &mut PgConnection,
    id: IdHash,
    now: i64,
    reading: i64,
) -> Result<Verdict, Fault> {
    let query = sqlx::query(END).bind(id.to_string()).bind(now).bind(reading);
    verdict(query.fetch_optional(connection).await?.as_ref())
}

fn verdict(row: Option<&PgRow>) -> Result<Verdict, Fault> {
    let Some(row) = row else { return Ok(Verdict::Gone) };
    match row.try_get::<i64, _>(0)? {
        0 => Ok(Verdict::Done(row.try_get(1)?)),
        // Of 7 an expired session was ended.
        1 | 7 => Ok(Verdict::Gone),
        2 => {
            let to: Option<String> = row.try_get(3)?;
            let stub =
                read_stub(Kind::of_number(row.try_get(2)?)?, to.as_deref(), row.try_get(4)?)?;
            Ok(stub.map_or(Verdict::Gone, Verdict::Moved))
        }
        3 => {
            let names: Vec<Vec<u8>> = row.try_get(5)?;
            let names = names.into_iter().filter_map(|name| String::from_utf8(name).ok());
            let mut names: Vec<_> = names.filter_map(|name| FieldName::new(name).ok()).collect();
            names.sort();
            Ok(Verdict::Conflict(names))
        }
        4 => Ok(Verdict::Contended),
        5 => Ok(Verdict::TooLarge(Limit::Fields)),
        _ => Ok(Verdict::TooLarge(Limit::Record)),
    }
}

pub(crate) async fn is_read_only(connection: &mut PgConnection) -> Result<bool, Fault> {
    const SQL: &str =
        "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'";
    Ok(sqlx::query_scalar(SQL).fetch_one(connection).await?)
}

pub(crate) async fn unsuitable_version(
    connection: &mut PgConnection,
) -> Result<Option<String>, Fault> {
    let sql = "SELECT current_setting('server_version_num')::bigint / 10000";
    let version: i64 = sqlx::query_scalar(sql).fetch_one(connection).await?;
    Ok((version < OLDEST)
        .then(|| format!("it is PostgreSQL {version}, and {OLDEST} is the oldest")))
}

pub(crate) async fn migrate(
    connection: &mut PgConnection,
    may_migrate: bool,
) -> Result<(), SchemaFault> {
    // What is there already needs no lock.
    let pending = migrations_after(Database::Postgres, version(connection).await?, may_migrate)?;
    if pending.is_empty() {
        return Ok(());
    }
    // Whoever waits for others that make the tables, or makes an index, is not held to the time of a
    // call. In a text of its own: before version 13 the time-out of a text is that of its beginning.
    let wait_ms = MIGRATION_TIMEOUT.as_millis();
    let begin = format!("BEGIN; SET LOCAL statement_timeout = {wait_ms}");
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut *connection).await?;
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *connection).await?;
    let outcome = async {
        let version = version(connection).await?;
        for migration in migrations_after(Database::Postgres, version, may_migrate)? {
            sqlx::raw_sql(migration).execute(&mut *connection).await?;
        }
        Ok(())
    }
    .await;
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::raw_sql(end).execute(&mut *connection).await?;
    outcome
}

async fn version(connection: &mut PgConnection) -> Result<i64, Fault> {
    // Not `to_regclass`, which may answer from before a wait for the migration lock.
    let sql = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
               WHERE c.relname = 'abide_schema' AND pg_table_is_visible(c.oid))";
    let exists: bool = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM abide_schema";
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}
