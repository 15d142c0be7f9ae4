//! The tables: what they are, and how they come to be.

use abide_session::Store as _;
use abide_store_sql::{ConnectError, Database, SqlStore};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::task::JoinSet;

use super::places::{Folder, MARIADB, PATIENT, POSTGRES, connect, load, make, now, places};

/// What other programs may rely on, and what an older version of this one reads.
const GOLDEN: &str = include_str!("schema.golden");

/// Tables and columns, and which may be null.
async fn columns(url: &str) -> String {
    let lines = if let Some(path) = url.strip_prefix("sqlite://") {
        let mut lines = Vec::new();
        for table in ["abide_fields", "abide_schema", "abide_sessions", "abide_subjects"] {
            let sql = format!("SELECT name, \"notnull\" FROM pragma_table_info('{table}')");
            let mut connection =
                sqlx::SqliteConnection::connect(&format!("sqlite://{path}")).await.expect("a file");
            let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
            for row in rows.expect("columns") {
                let may_be_null = if row.get::<i64, _>(1) == 0 { "YES" } else { "NO" };
                lines.push(format!("{table} {} {may_be_null}", row.get::<String, _>(0)));
            }
        }
        lines.join("\n")
    } else {
        let (_, database) = url.rsplit_once('/').expect("a database");
        let schema = if url.starts_with("postgres") { "public" } else { database };
        let sql = format!(
            "SELECT concat(table_name, ' ', column_name, ' ', is_nullable) \
             FROM information_schema.columns WHERE table_schema = '{schema}' \
             AND table_name LIKE 'abide%' ORDER BY table_name, ordinal_position"
        );
        run_sql(url, &sql)
    };
    lines.trim().to_owned() + "\n"
}

/// Runs SQL as somebody who may do anything.
fn run_sql(url: &str, sql: &str) -> String {
    let (_, database) = url.rsplit_once('/').expect("a database");
    if url.starts_with("postgres") {
        POSTGRES.sql(database, sql)
    } else {
        MARIADB.sql(database, sql)
    }
}

/// Changes a database as the application's user.
pub(crate) async fn change(url: &str, sql: &'static str) {
    let sql = sqlx::raw_sql(sql);
    let outcome = if url.starts_with("sqlite") {
        let mut connection = sqlx::SqliteConnection::connect(url).await.expect("a file");
        sql.execute(&mut connection).await.map(|_| ())
    } else if url.starts_with("postgres") {
        let mut connection = sqlx::PgConnection::connect(url).await.expect("PostgreSQL");
        sql.execute(&mut connection).await.map(|_| ())
    } else {
        let mut connection = sqlx::MySqlConnection::connect(url).await.expect("MariaDB");
        sql.execute(&mut connection).await.map(|_| ())
    };
    outcome.expect("a change");
}

#[tokio::test]
async fn every_database_has_the_tables_that_are_documented() {
    for (url, _folder) in places() {
        connect(&url).await;
        assert_eq!(columns(&url).await, GOLDEN, "{url}");
    }
}

#[tokio::test]
async fn twenty_stores_that_connect_at_once_make_the_tables_once() {
    for (url, _folder) in places() {
        let mut stores = JoinSet::new();
        for _ in 0..20 {
            let builder = SqlStore::builder(&url).cleanup(None).timeout(PATIENT);
            stores.spawn(builder.connect());
        }
        let stores = stores.join_all().await;
        let stores: Vec<_> = stores.into_iter().map(|store| store.expect("a store")).collect();
        let now = now();
        let id = make(&stores[0], now).await;
        load(&stores[19], id, now).await;
    }
}

/// The key of the advisory lock that others hold while they make the tables: the letters `abide`.
const MIGRATION_LOCK: i64 = 0x61_62_69_64_65;

#[tokio::test]
async fn whoever_waits_for_others_that_make_the_tables_is_not_held_to_the_time_of_a_call() {
    let name = super::places::database_name();
    let url = POSTGRES.new_database(&name);
    let mut other = sqlx::PgConnection::connect(&url).await.expect("PostgreSQL");
    let lock = format!("SELECT pg_advisory_lock({MIGRATION_LOCK})");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut other).await.expect("the lock");
    let timeout = std::time::Duration::from_secs(2);
    let builder = SqlStore::builder(&url).cleanup(None).timeout(timeout);
    let waiting = tokio::spawn(builder.connect());
    let waits_long = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND \
                      datname = current_database() AND \
                      clock_timestamp() - query_start > interval '2500 ms'";
    loop {
        let found: i64 =
            sqlx::query_scalar(waits_long).fetch_one(&mut other).await.expect("a count");
        if found > 0 {
            break;
        }
        assert!(!waiting.is_finished(), "it did not wait: {:?}", waiting.await);
    }
    drop(other);
    waiting.await.expect("an end").expect("a store");
}

#[tokio::test]
async fn what_an_old_postgres_was_set_to_does_not_matter() {
    let name = super::places::database_name();
    let url = POSTGRES.new_database(&name);
    for setting in ["standard_conforming_strings = off", "bytea_output = escape"] {
        POSTGRES.sql("postgres", &format!("ALTER DATABASE {name} SET {setting}"));
    }
    let store = connect(&url).await;
    let (now, subject) = (now(), super::places::new_subject());
    let id = super::places::make_of(&store, super::places::bind(&subject), now).await;
    let record = load(&store, id, now).await;
    assert_eq!(record.subject.value.as_ref(), Some(&subject));
    store.end_all(&subject, None, now).await.expect("end all");
    let later = now.after(std::time::Duration::from_hours(48));
    assert_eq!(store.cleanup(later).await.expect("cleanup"), 1);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions() {
    for (url, _folder) in places() {
        drop(connect(&url).await);
        change(&url, "UPDATE abide_schema SET version = 7").await;
        match SqlStore::connect(&url).await {
            Err(ConnectError::Unsuitable(reason)) => {
                assert!(reason.contains("version 7") && reason.contains("knows 1"), "{reason}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_older_schema_is_migrated_and_what_a_newer_build_added_is_no_obstacle() {
    for (url, folder) in places() {
        if folder.is_some() {
            std::fs::File::create(url.trim_start_matches("sqlite://")).expect("a file");
        }
        change(&url, "CREATE TABLE abide_schema (version bigint NOT NULL PRIMARY KEY)").await;
        drop(connect(&url).await);
        change(&url, "ALTER TABLE abide_sessions ADD COLUMN later bigint DEFAULT 5").await;
        change(&url, "ALTER TABLE abide_fields ADD COLUMN later bigint DEFAULT 5").await;
        let store = connect(&url).await;
        let now = now();
        let id = make(&store, now).await;
        load(&store, id, now).await;
    }
}

#[tokio::test]
async fn a_store_that_may_not_migrate_says_what_is_missing() {
    for (url, folder) in places() {
        let unable =
            || SqlStore::builder(&url).migrate(false).cleanup(None).timeout(PATIENT).connect();
        match unable().await {
            Err(ConnectError::Unsuitable(reason)) => {
                assert!(reason.contains("version 0") && reason.contains("needs 1"), "{reason}");
            }
            other => panic!("{url}: {other:?}"),
        }
        if folder.is_some() {
            change(&url, String::leak(SqlStore::schema(Database::Sqlite))).await;
        } else if url.starts_with("postgres") {
            // As an administrator does it, from the text.
            run_sql(&url, &SqlStore::schema(Database::Postgres));
            let grants = "GRANT SELECT, INSERT, UPDATE, DELETE ON abide_sessions, abide_fields, \
                          abide_subjects TO abide; GRANT SELECT ON abide_schema TO abide";
            run_sql(&url, grants);
        } else {
            run_sql(&url, &SqlStore::schema(Database::MySql));
        }
        if let Ok(store) = unable().await {
            make(&store, now()).await;
        } else {
            panic!("{url}: the tables that the text makes were not enough");
        }
    }
}

#[tokio::test]
async fn a_sqlite_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let store = connect(&folder.url()).await;
    make(&store, now()).await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", folder.file().display());
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}
