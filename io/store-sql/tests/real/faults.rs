//! Databases that go away, hang or have no room.

use std::time::Duration;

use abide_servers::{MariaDb, Postgres};
use abide_session::{IdHash, Store as _, StoreError, Time};
use abide_store_sql::{ConnectError, SqlStore};
use sqlx::Connection as _;

use super::places::{Folder, PATIENT, POSTGRES, birth, commit, load, make, new_id, now, set};

/// What both servers can suffer.
enum Server {
    Postgres(Postgres),
    MariaDb(MariaDb),
}

impl Server {
    fn both() -> [Self; 2] {
        [Self::Postgres(Postgres::fast()), Self::MariaDb(MariaDb::fast())]
    }

    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::MariaDb(server) => server.url(),
        }
    }

    fn kill(&mut self) {
        match self {
            Self::Postgres(server) => server.kill(),
            Self::MariaDb(server) => server.kill(),
        }
    }

    fn restart(&mut self) {
        match self {
            Self::Postgres(server) => server.restart(),
            Self::MariaDb(server) => server.restart(),
        }
    }

    fn stop(&self) {
        match self {
            Self::Postgres(server) => server.stop(),
            Self::MariaDb(server) => server.stop(),
        }
    }

    fn cont(&self) {
        match self {
            Self::Postgres(server) => server.cont(),
            Self::MariaDb(server) => server.cont(),
        }
    }
}

async fn assert_unavailable(store: &SqlStore, id: IdHash, now: Time) {
    let loaded = store.load(id, now).await;
    assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
    let outcome = store.commit(id, set("b", "2"), now).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let outcome = store.end(id, now).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(matches!(store.health().await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_server_that_was_killed_and_is_back_needs_no_restart_of_the_store() {
    for mut server in Server::both() {
        let builder = SqlStore::builder(&server.url()).cleanup(None).timeout(PATIENT);
        let store = builder.connect().await.expect("a database");
        let now = now();
        let id = make(&store, now).await;
        store.health().await.expect("it is well");
        server.kill();
        assert_unavailable(&store, id, now).await;
        server.restart();
        commit(&store, id, set("b", "2"), now).await;
        let record = load(&store, id, now).await;
        assert_eq!(record.iter().count(), 2);
        assert!(store.counters().disconnections > 0 && store.counters().connections > 1);
    }
}

#[tokio::test]
async fn a_server_that_hangs_holds_nobody_longer_than_the_timeout() {
    for server in Server::both() {
        let builder = SqlStore::builder(&server.url()).cleanup(None).connections(2);
        // Long enough for a connection on a busy machine, short for those who wait for this test.
        let store = builder.timeout(Duration::from_secs(3)).connect().await.expect("a database");
        let now = now();
        let id = make(&store, now).await;
        server.stop();
        let calls = (0..8).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(id, now).await })
        });
        for call in calls.collect::<Vec<_>>() {
            let loaded = call.await.expect("an answer");
            assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
        }
        server.cont();
        assert!(load(&store, id, now).await.get("a").is_some());
    }
}

#[tokio::test]
async fn a_primary_that_became_read_only_is_left_for_a_new_connection() {
    let server = MariaDb::fast();
    let builder = SqlStore::builder(&server.url()).cleanup(None).timeout(PATIENT);
    let store = builder.connect().await.expect("MariaDB");
    let now = now();
    let id = make(&store, now).await;
    server.sql("", "SET GLOBAL read_only = 1");
    let outcome = store.commit(id, set("b", "2"), now).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert_eq!(store.counters().disconnections, 1);
    let outcome = store.health().await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert_eq!(store.counters().disconnections, 2);
    server.sql("", "SET GLOBAL read_only = 0");
    commit(&store, id, set("b", "2"), now).await;
}

/// What PostgreSQL says when its disk is full, whenever anything is written.
const FULL: &str = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$; \
    CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON abide_sessions EXECUTE FUNCTION no_room()";

/// The crate `abide-stores` has it with a real disk, which only root can make.
#[tokio::test]
async fn a_full_disk_is_full_and_loses_nothing() {
    let database = super::places::database_name();
    let store = super::places::connect(&POSTGRES.new_database(&database)).await;
    let now = now();
    let id = make(&store, now).await;
    POSTGRES.sql(&database, FULL);
    let created = store.create(new_id(), birth(set("a", "1"), now), now).await;
    assert!(matches!(created, Err(StoreError::Full)), "{created:?}");
    let outcome = store.commit(id, set("b", "2"), now).await;
    assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}");
    // An end has no such error.
    let outcome = store.end(id, now).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(load(&store, id, now).await.get("a").is_some());
    assert_eq!(store.counters().disconnections, 0);
    POSTGRES.sql(&database, "DROP FUNCTION no_room CASCADE");
    commit(&store, id, set("b", "2"), now).await;
}

#[tokio::test]
async fn a_sqlite_that_somebody_else_has_locked_says_so() {
    let folder = Folder::new();
    let builder = SqlStore::builder(&folder.url()).cleanup(None);
    let store = builder.timeout(Duration::from_secs(3)).connect().await.expect("a file");
    let now = now();
    let id = make(&store, now).await;
    let mut other = sqlx::SqliteConnection::connect(&folder.url()).await.expect("a file");
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.expect("the lock");
    let error = store.commit(id, set("b", "2"), now).await.expect_err("a locked file");
    assert!(error.to_string().contains("locked"), "{error}");
    assert!(load(&store, id, now).await.get("a").is_some());
    let builder = SqlStore::builder(&folder.url()).timeout(Duration::from_millis(500));
    let error = builder.connect().await.expect_err("a locked file");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("no lock");
    commit(&store, id, set("b", "2"), now).await;
}
