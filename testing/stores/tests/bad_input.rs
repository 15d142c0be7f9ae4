//! What a store says when it can not work: one clear error, and nothing lost by it.
//!
//! The texts are part of what is tested, because somebody reads them at night.

#![expect(clippy::print_stdout, reason = "the texts are for somebody to read")]

use std::fmt::{Debug, Display};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use abide_servers::{MariaDb, Memcached, Postgres, Redis, RedisSetup, free_port, on_small_disk};
use abide_session::{Store, StoreError};
use abide_store_memcached::MemcachedStore;
use abide_store_redis::RedisStore;
use abide_store_sql::SqlStore;
use abide_stores_tested::{Kind, Place, Victim, fill, is_there};

/// Sessions that are there before something goes wrong.
const BEFORE: u64 = 20;
/// A password that no text may show.
const WRONG: &str = "Mellon-1954";

/// Makes sure that this is an error whose one line says all of this and no password.
fn says<T: Debug, E: Display>(outcome: Result<T, E>, words: &[&str]) {
    let text = match outcome {
        Ok(value) => panic!("no error: {value:?}"),
        Err(error) => error.to_string(),
    };
    println!("{text}");
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
    assert!(!text.contains(WRONG) && !text.contains("secret"), "{text:?} shows a password");
    assert_eq!(text.lines().count(), 1, "{text:?} is more than one line");
}

/// With more time than by default: a disk that is full, or busy with other work, is slow, and what is
/// looked at here is what is said.
async fn sql(url: &str) -> Result<SqlStore, abide_store_sql::ConnectError> {
    SqlStore::builder(url).timeout(Duration::from_secs(15)).connect().await
}

async fn write_some(store: &dyn Store) {
    for number in 0..BEFORE {
        Victim::new(number).write(store).await;
    }
}

async fn all_are_there(store: &dyn Store) {
    for number in 0..BEFORE {
        Victim::new(number).check(store).await;
    }
}

#[tokio::test]
async fn a_url_that_can_not_be_meant_is_named_with_an_example() {
    says(sql("oracle://host/db").await, &["begins with", "postgres://"]);
    says(RedisStore::connect("redis://").await, &["host", "redis://"]);
    says(RedisStore::connect("redis://host/nine").await, &["nine", "redis://"]);
    says(MemcachedStore::connect("memcached://").await, &["memcached://"]);
    says(MemcachedStore::connect("memcache:host").await, &["memcached://"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let address = free_port().address();
    let url = |scheme: &str| format!("{scheme}://app:{WRONG}@{address}/abide");
    says(sql(&url("postgres")).await, &[&address]);
    says(sql(&url("mysql")).await, &[&address]);
    says(RedisStore::connect(&format!("redis://app:{WRONG}@{address}")).await, &[&address]);
    says(MemcachedStore::connect(&format!("memcached://{address}")).await, &[&address]);
    let sentinel = format!("redis+sentinel://app:{WRONG}@{address}/main");
    says(RedisStore::connect(&sentinel).await, &[&address]);
    let cluster = format!("redis+cluster://app:{WRONG}@{address}");
    says(RedisStore::connect(&cluster).await, &[&address]);
    says(sql("sqlite:///no/such/folder/sessions.db").await, &["/no/such/folder"]);
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let postgres = Postgres::fast();
    let url = postgres.url_as("abide", WRONG, "abide");
    says(sql(&url).await, &["refuses", &postgres.address(), "password"]);
    let mariadb = MariaDb::fast();
    let url = mariadb.url_as("abide", WRONG, "abide");
    says(sql(&url).await, &["refuses", &mariadb.address(), "password"]);
    let redis = Redis::with(&["--requirepass", "secret"]);
    let url = redis.url_as("default", WRONG);
    says(RedisStore::connect(&url).await, &["refuses", &redis.address(), "password"]);
    let url = format!("redis://{}", redis.address());
    says(RedisStore::connect(&url).await, &["refuses", &redis.address(), "NOAUTH"]);
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused() {
    let postgres = Postgres::fast();
    says(sql(&postgres.url_of("nowhere")).await, &["refuses", "nowhere", "does not exist"]);
    let mariadb = MariaDb::fast();
    says(sql(&mariadb.url_of("nowhere")).await, &["refuses", "nowhere"]);
    let redis = Redis::start();
    let url = format!("{}/99", redis.url());
    says(RedisStore::connect(&url).await, &["refuses", &redis.address(), "DB index"]);
}

#[tokio::test]
async fn a_user_who_may_not_is_refused() {
    let postgres = Postgres::fast();
    postgres.sql("abide", "CREATE ROLE guest LOGIN PASSWORD 'secret'");
    let url = postgres.url_as("guest", "secret", "abide");
    says(sql(&url).await, &["refuses", "permission denied"]);
    let mariadb = MariaDb::fast();
    mariadb.sql("abide", "CREATE USER guest@'127.0.0.1' IDENTIFIED BY 'secret'");
    mariadb.sql("abide", "GRANT SELECT ON abide.* TO guest@'127.0.0.1'");
    let url = mariadb.url_as("guest", "secret", "abide");
    says(sql(&url).await, &["refuses", "denied"]);
    let acl = vec!["user guest on >secret ~other:* +@all".to_owned()];
    let redis = RedisSetup { acl, ..RedisSetup::default() }.start();
    // The server lets him in, and refuses the first call.
    let store = RedisStore::connect(&redis.url_as("guest", "secret")).await.unwrap();
    let refused = Victim::new(0).try_write(&store).await;
    says(refused, &["NOPERM", "keys"]);
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_not_connected_to() {
    let postgres = Postgres::fast();
    let store = sql(&postgres.url()).await.unwrap();
    write_some(&store).await;
    let standby = Postgres::standby_of(&postgres);
    says(sql(&standby.url()).await, &["read-only"]);
    all_are_there(&store).await;
    let redis = Redis::start();
    let replica = Redis::replica_of(&redis);
    says(RedisStore::connect(&replica.url()).await, &[&replica.address(), "read-only replica"]);
    let mariadb = MariaDb::with(&["--read-only"]);
    says(sql(&mariadb.url()).await, &["read-only"]);
}

#[tokio::test]
async fn a_server_that_stops_to_take_writes_is_unwell_and_loses_nothing() {
    let redis = Redis::start();
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    write_some(&store).await;
    store.health().await.unwrap();
    redis.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    says(store.health().await, &["read-only replica"]);
    says(Victim::new(BEFORE).try_write(&store).await, &["unavailable", "replica"]);
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    store.health().await.unwrap();
    all_are_there(&store).await;

    let postgres = Postgres::fast();
    let store = sql(&postgres.url()).await.unwrap();
    write_some(&store).await;
    store.health().await.unwrap();
    let switch = |on: &str| {
        let set = format!("ALTER SYSTEM SET default_transaction_read_only = {on}");
        postgres.sql("postgres", &set);
        postgres.sql("postgres", "SELECT pg_reload_conf()");
        let shown = || postgres.sql("postgres", "SHOW default_transaction_read_only") == on;
        let patience = Duration::from_secs(10);
        assert!(abide_servers::until(patience, || shown().then_some(())).is_some());
    };
    switch("on");
    says(store.health().await, &["read-only"]);
    says(Victim::new(BEFORE).try_write(&store).await, &["unavailable", "read-only"]);
    switch("off");
    store.health().await.unwrap();
    all_are_there(&store).await;
}

/// Fills the store until it says that it is full; then everything that was there still is, and with
/// more room it takes writes again.
async fn is_full_and_loses_nothing(store: Arc<dyn Store>, more_room: impl FnOnce()) {
    write_some(&*store).await;
    let (made, error) = fill(&*store).await;
    println!("full after {}: {error}", made.len());
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert!(!made.is_empty());
    all_are_there(&*store).await;
    for id in made {
        is_there(&*store, id).await;
    }
    more_room();
    Victim::new(BEFORE).write(&*store).await;
}

#[tokio::test]
async fn redis_without_memory_is_full() {
    let redis = Redis::with(&["--maxmemory", "12mb", "--maxmemory-policy", "noeviction"]);
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    is_full_and_loses_nothing(Arc::new(store), || {
        redis.cli(&["CONFIG", "SET", "maxmemory", "50mb"]);
    })
    .await;
}

/// Who signs out must not be kept because there is no room for the mark of it.
#[tokio::test]
async fn redis_without_memory_still_ends_sessions() {
    let redis = Redis::with(&["--maxmemory", "12mb", "--maxmemory-policy", "noeviction"]);
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    write_some(&store).await;
    let (_, error) = fill(&store).await;
    assert!(matches!(error, StoreError::Full), "{error:?}");
    Victim::new(0).end(&store).await;
}

#[tokio::test]
async fn memcached_that_must_not_evict_is_full() {
    // -M: an error in place of an eviction.
    let memcached = Memcached::with(&["-M", "-m", "8"]);
    let store = MemcachedStore::connect(&memcached.url()).await.unwrap();
    is_full_and_loses_nothing(Arc::new(store.clone()), || ()).await;
}

#[tokio::test]
async fn postgres_without_disk_is_full() {
    let postgres = Postgres::on_disk_of(90);
    let store = sql(&postgres.url()).await.unwrap();
    let ballast = "SELECT repeat(md5(n::text), 30) FROM generate_series(1, 10000) n";
    postgres.sql("abide", &format!("CREATE TABLE ballast AS {ballast}"));
    is_full_and_loses_nothing(Arc::new(store), || {
        postgres.sql("abide", "DROP TABLE ballast");
    })
    .await;
}

#[tokio::test]
async fn mariadb_without_disk_is_full() {
    let mariadb = MariaDb::on_disk_of(140);
    let store = sql(&mariadb.url()).await.unwrap();
    mariadb.sql("abide", "CREATE TABLE ballast AS SELECT repeat('x', 9000000) AS text");
    is_full_and_loses_nothing(Arc::new(store), || {
        mariadb.sql("abide", "DROP TABLE ballast");
    })
    .await;
}

#[test]
fn sqlite_without_disk_is_full() {
    let name = "sqlite_without_disk_is_full";
    // The file system is seen by another process only, which is this test.
    if let Some(folder) = std::env::var_os("ABIDE_STORES_DISK") {
        let url = format!("sqlite://{}", Path::new(&folder).join("sessions.db").display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async {
            let store = sql(&url).await.unwrap();
            let ballast = Path::new(&folder).join("ballast");
            // More than the log may hold that waits to go into the file, a thousand pages: what is made
            // free is used for that first.
            std::fs::write(&ballast, vec![0; 6 << 20]).unwrap();
            is_full_and_loses_nothing(Arc::new(store), || {
                std::fs::remove_file(&ballast).unwrap();
            })
            .await;
        });
    }
    let place = Place::start(Kind::Sqlite);
    let url = place.url().unwrap();
    let file = Path::new(url.strip_prefix("sqlite://").unwrap());
    let folder = file.parent().unwrap();
    let this = std::env::current_exe().unwrap();
    let mut command: Command = on_small_disk(16, folder, &this);
    command.args(["--exact", name, "--nocapture"]).env("ABIDE_STORES_DISK", folder);
    assert!(command.status().unwrap().success());
}

#[tokio::test]
async fn a_schema_of_a_newer_version_is_refused() {
    let refused = &["version 99", "this build knows 1"];
    let postgres = Postgres::fast();
    sql(&postgres.url()).await.unwrap();
    postgres.sql("abide", "UPDATE abide_schema SET version = 99");
    says(sql(&postgres.url()).await, refused);
    let mariadb = MariaDb::fast();
    sql(&mariadb.url()).await.unwrap();
    mariadb.sql("abide", "UPDATE abide_schema SET version = 99");
    says(sql(&mariadb.url()).await, refused);
}

/// Redis and Memcached have no schema: each session says which version wrote it.
#[tokio::test]
async fn a_session_of_a_newer_version_is_an_error_and_stays() {
    let redis = Redis::start();
    let store = RedisStore::connect(&redis.url()).await.unwrap();
    let mut victim = Victim::new(0);
    victim.write(&store).await;
    let key = redis.cli(&["KEYS", "abide:{*"]);
    redis.cli(&[
        "HSET",
        &key,
        "",
        "cL and what only the next version knows of it, in so many bytes",
    ]);
    says(victim.try_check(&store).await, &["can not be read", "newer version"]);
    says(victim.try_commit(&store).await, &["can not be read", "newer version"]);
    assert_eq!(redis.cli(&["EXISTS", &key]), "1");
}

/// During a rolling update two versions share a database: the newer one may have added columns with a
/// default, indexes and tables.
#[tokio::test]
async fn two_versions_share_a_database() {
    let added = [
        "ALTER TABLE abide_sessions ADD COLUMN origin varchar(20) NOT NULL DEFAULT 'unknown'",
        "ALTER TABLE abide_fields ADD COLUMN codec bigint NOT NULL DEFAULT 0",
        "ALTER TABLE abide_subjects ADD COLUMN note varchar(20)",
        "CREATE INDEX abide_sessions_seen ON abide_sessions (seen)",
        "CREATE TABLE abide_audit (id bigint)",
    ];
    let postgres = Postgres::fast();
    let store = sql(&postgres.url()).await.unwrap();
    write_some(&store).await;
    for statement in added {
        postgres.sql("abide", statement);
    }
    goes_on(&store, &sql(&postgres.url()).await.unwrap()).await;
    let mariadb = MariaDb::fast();
    let store = sql(&mariadb.url()).await.unwrap();
    write_some(&store).await;
    for statement in added {
        mariadb.sql("abide", statement);
    }
    goes_on(&store, &sql(&mariadb.url()).await.unwrap()).await;
}

/// What was connected before the change and what is connected after it share all sessions.
async fn goes_on(before: &dyn Store, after: &dyn Store) {
    for store in [before, after] {
        all_are_there(store).await;
    }
    Victim::new(BEFORE).write(before).await;
    Victim::new(BEFORE).check(after).await;
    Victim::new(BEFORE + 1).write(after).await;
    Victim::new(BEFORE + 1).check(before).await;
    Victim::new(0).end(after).await;
    Victim::new(0).is_ended(before).await;
}
