//! The databases that tests share, and small things that every test needs.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use abide_servers::{MariaDb, Postgres};
use abide_session::{
    Changes, Commit, Create, FieldChange, FieldName, IdHash, Loaded, Record, Store, Subject, Time,
};
use abide_store_sql::SqlStore;
use std::sync::Arc;

/// For tests that leave it running.
pub(crate) static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::fast);
/// For tests that leave it running.
pub(crate) static MARIADB: LazyLock<MariaDb> = LazyLock::new(MariaDb::fast);

/// How long the sessions of these tests may stay unused.
pub(crate) const IDLE: Duration = Duration::from_mins(10);
/// How long they live in all.
pub(crate) const ABSOLUTE: Duration = Duration::from_mins(100);

/// A number that no other test of this process has.
pub(crate) fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// A name for a database of one test.
pub(crate) fn database_name() -> String {
    format!("test{}", unique())
}

/// A folder that is removed when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("abide-sql-{}-{}", std::process::id(), unique());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("sessions.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.file().display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A place for sessions that nobody else uses: one of each kind, with the folder it lives in.
pub(crate) fn places() -> Vec<(String, Option<Folder>)> {
    let folder = Folder::new();
    vec![
        (POSTGRES.new_database(&database_name()), None),
        (MARIADB.new_database(&database_name()), None),
        (folder.url(), Some(folder)),
    ]
}

pub(crate) async fn connect(url: &str) -> SqlStore {
    SqlStore::builder(url).cleanup(None).timeout(PATIENT).connect().await.expect("a database")
}

/// The machine that runs the tests may be busy with others.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);

pub(crate) fn now() -> Time {
    let since = SystemTime::UNIX_EPOCH.elapsed();
    Time::EPOCH.after(since.expect("a clock after 1970"))
}

pub(crate) fn new_id() -> IdHash {
    let secret = [unique().to_le_bytes(), u64::from(std::process::id()).to_le_bytes()].concat();
    IdHash::of_secret("test", &secret)
}

pub(crate) fn new_subject() -> Subject {
    Subject::new(format!("user {}", unique())).expect("a subject")
}

pub(crate) fn set(field: &str, value: &str) -> Changes {
    let mut changes = Changes::default();
    let name = FieldName::new(field.to_owned()).expect("a name");
    changes.fields.insert(name, FieldChange::blind(Some(value.to_owned().into())));
    changes
}

pub(crate) fn bind(subject: &Subject) -> Changes {
    let mut changes = Changes::default();
    changes.subject = Some(Some(subject.clone()));
    changes
}

pub(crate) fn birth(mut changes: Changes, now: Time) -> Changes {
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(IDLE);
    changes.hard_deadline = Some(now.after(ABSOLUTE));
    changes
}

pub(crate) async fn make_of(store: &dyn Store, changes: Changes, now: Time) -> IdHash {
    let id = new_id();
    let created = store.create(id, birth(changes, now), now).await.expect("create");
    assert!(matches!(created, Create::Created(_)), "{created:?}");
    id
}

pub(crate) async fn make(store: &dyn Store, now: Time) -> IdHash {
    make_of(store, set("a", "1"), now).await
}

pub(crate) async fn load(store: &dyn Store, id: IdHash, now: Time) -> Arc<Record> {
    let loaded = store.load(id, now).await.expect("load");
    loaded.live().expect("a live session")
}

pub(crate) async fn is_live(store: &dyn Store, id: IdHash, now: Time) -> bool {
    matches!(store.load(id, now).await.expect("load"), Loaded::Live { .. })
}

pub(crate) async fn commit(store: &dyn Store, id: IdHash, changes: Changes, now: Time) {
    let outcome = store.commit(id, changes, now).await.expect("commit");
    assert!(matches!(outcome, Commit::Committed(_)), "{outcome:?}");
}
