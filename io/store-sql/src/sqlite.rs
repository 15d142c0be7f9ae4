//! What only SQLite does.
//!
//! It runs in this process, on a thread of its own for each connection, so that a step of a call costs no
//! round trip but the waking of two threads; and it has one writer at a time. So each change of a session
//! takes the whole database and loads it (`BEGIN IMMEDIATE`), decides, and writes: two steps.
//!
//! Several statements are one step, and sqlx keeps what it has made of a text of several.

use std::time::Duration;

use abide_session::IdHash;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use crate::error::Fault;
use crate::row::{Row, SESSION_COLUMNS, put_field, read_session, session_columns};
use crate::schema::{Database, SchemaFault, migrations_after};
use crate::statements::Value;

/// How long to wait for whoever has the file to let go of it: as long as it takes to make it a WAL.
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the file. Who opens it first makes it a WAL, and who closes it last tidies that up; whoever
/// opens it in these moments is told that it is locked, without the waiting of `busy_timeout` (section
/// 8 of SQLite's page about WAL). So this waits, until the caller gives up.
pub(crate) async fn open(options: &SqliteConnectOptions) -> Result<SqliteConnection, Fault> {
    loop {
        match options.connect().await.map_err(Fault::from) {
            Err(fault) if fault.is_busy_file() => tokio::time::sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// A session under an id, and then its fields: rows of their own kind, as sqlx copies each column of each.
macro_rules! load {
    ($begin:literal, $end:literal) => {
        concat!(
            $begin,
            "SELECT ",
            session_columns!(),
            " FROM abide_sessions s LEFT JOIN abide_subjects r ON r.subject = s.subject \
             WHERE s.id = $1; SELECT name, stamp, value FROM abide_fields WHERE id = $1",
            $end
        )
    };
}

/// Both of one moment, as a transaction that has begun to read sees nothing later.
const LOAD: &str = load!("BEGIN; ", "; COMMIT");
const BEGIN_AND_LOAD: &str = load!("BEGIN IMMEDIATE; ", "");
const LOAD_LOCKED: &str = load!("", "");

pub(crate) async fn load(
    connection: &mut SqliteConnection,
    id: IdHash,
) -> Result<Option<Row>, Fault> {
    read(connection, LOAD, id).await
}

pub(crate) async fn begin_and_load(
    connection: &mut SqliteConnection,
    id: IdHash,
) -> Result<Option<Row>, Fault> {
    read(connection, BEGIN_AND_LOAD, id).await
}

/// In a transaction that has the database.
pub(crate) async fn load_locked(
    connection: &mut SqliteConnection,
    id: IdHash,
) -> Result<Option<Row>, Fault> {
    read(connection, LOAD_LOCKED, id).await
}

async fn read(
    connection: &mut SqliteConnection,
    sql: &'static str,
    id: IdHash,
) -> Result<Option<Row>, Fault> {
    let rows = sqlx::query(sql).bind(id.to_string()).fetch_all(connection).await?;
    let Some((first, fields)) = rows.split_first() else { return Ok(None) };
    if first.len() < SESSION_COLUMNS {
        return Err(Fault::corrupt("there are fields of a session that is not there"));
    }
    let (session, mut record) = read_session(first)?;
    for field in fields {
        put_field(
            &mut record,
            field.try_get_unchecked(0)?,
            field.try_get_unchecked(1)?,
            field.try_get_unchecked(2)?,
        )?;
    }
    Ok(Some(session.with(record)))
}

/// Runs statements whose rows nobody needs, with the values for their question marks.
pub(crate) async fn run(
    connection: &mut SqliteConnection,
    sql: String,
    values: Vec<Value>,
) -> Result<(), Fault> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in values {
        query = match value {
            Value::Number(number) => query.bind(number),
            Value::Id(id) => query.bind(id.to_string()),
            Value::Bytes(bytes) => query.bind(bytes),
        };
    }
    query.execute(connection).await?;
    Ok(())
}

pub(crate) async fn is_read_only(connection: &mut SqliteConnection) -> Result<bool, Fault> {
    // Beginning to write is allowed in a file that is read-only; writing is not, not even nothing.
    match sqlx::raw_sql("DELETE FROM abide_schema WHERE version < 0").execute(connection).await {
        Ok(_) => Ok(false),
        Err(sqlx::Error::Database(cause))
            if cause
                .code()
                .is_some_and(|code| code.parse::<i64>().is_ok_and(is_read_only_code)) =>
        {
            Ok(true)
        }
        Err(cause) => Err(cause.into()),
    }
}

/// `SQLITE_READONLY` in the lower 8 bits.
const fn is_read_only_code(code: i64) -> bool {
    code & 0xff == 8
}

pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    may_migrate: bool,
) -> Result<(), SchemaFault> {
    let pending = migrations_after(Database::Sqlite, version(connection).await?, may_migrate)?;
    if pending.is_empty() {
        return Ok(());
    }
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *connection).await?;
    let outcome = async {
        let version = version(connection).await?;
        for migration in migrations_after(Database::Sqlite, version, may_migrate)? {
            sqlx::raw_sql(migration).execute(&mut *connection).await?;
        }
        Ok(())
    }
    .await;
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::raw_sql(end).execute(&mut *connection).await?;
    outcome
}

async fn version(connection: &mut SqliteConnection) -> Result<i64, Fault> {
    let sql = "SELECT count(*) FROM sqlite_master WHERE name = 'abide_schema'";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(version), 0) FROM abide_schema";
    Ok(sqlx::query_scalar(sql).fetch_one(connection).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use abide_session::{
        Changes, Create, FieldChange, FieldName, IdHash, Loaded, Store as _, StoreError,
    };
    use abide_time::Time;

    use crate::SqlStore;
    use crate::schema::Database;
    use crate::statements::Text;

    fn id(number: u64) -> IdHash {
        IdHash::of_secret("test", &number.to_le_bytes())
    }

    fn session_of(bytes: usize, now: Time) -> Changes {
        let mut changes = Changes::default();
        changes.created = Some(now);
        changes.seen = Some(now);
        changes.idle_timeout = Some(Duration::from_mins(10));
        changes.hard_deadline = Some(now.after(Duration::from_mins(10)));
        let value = FieldChange::blind(Some(vec![b'x'; bytes].into()));
        changes.fields.insert(FieldName::new("big").unwrap(), value);
        changes
    }

    /// SQLite itself says when the file is as large as it may be, as it does when the disk is full.
    #[tokio::test]
    async fn a_file_that_may_not_grow_is_full_and_loses_nothing() {
        let name = format!("abide-sql-full-{}.db", std::process::id());
        let file = std::env::temp_dir().join(name);
        let url = format!("sqlite://{}", file.display());
        let builder = SqlStore::builder(&url).cleanup(None).timeout(Duration::from_secs(20));
        let store = builder.connect().await.unwrap();
        let mut lease = store.shared.writers.lease().await.unwrap();
        let mut limit = Text::new(Database::Sqlite);
        limit.raw("PRAGMA max_page_count = 500");
        let limited = lease.connection().unwrap().run(limit).await;
        lease.settle(limited).unwrap();

        let now = Time::from_secs(1_000_000);
        let mut made = 0;
        let refusal = loop {
            match store.create(id(made), session_of(100_000, now), now).await {
                Ok(Create::Created(_)) => made += 1,
                other => break other,
            }
        };
        assert!(matches!(refusal, Err(StoreError::Full)), "{refusal:?}");
        assert!((1..25).contains(&made), "{made} sessions in two megabytes");
        for number in 0..made {
            let loaded = store.load(id(number), now).await.unwrap();
            assert!(matches!(loaded, Loaded::Live { .. }), "{loaded:?}");
        }
        // Room is made by cleaning up, and it is used again.
        let later = now.after(Duration::from_mins(12));
        assert_eq!(store.cleanup(later).await.unwrap(), made);
        let created = store.create(id(made), session_of(100_000, later), later).await;
        assert!(matches!(created, Ok(Create::Created(_))), "{created:?}");
        drop(store);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
        }
    }
}
