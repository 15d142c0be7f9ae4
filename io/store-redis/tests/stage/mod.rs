//! What the tests of this crate need: times, ids, and short words for changes.

#![allow(dead_code, reason = "no test program needs all of it")]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use abide_session::{
    Changes, Commit, Create, FieldChange, FieldName, IdHash, Loaded, OldId, Record, Rename, Store,
    Subject, Write,
};
use abide_store_redis::RedisStore;
use abide_time::Time;
use bytes::Bytes;

pub(crate) const IDLE: Duration = Duration::from_mins(10);
pub(crate) const ABSOLUTE: Duration = Duration::from_mins(100);
pub(crate) const GRACE: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "the server cleans up by this clock")]
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::EPOCH.after(since.unwrap_or_default())
}

fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn new_id() -> IdHash {
    IdHash::of_secret("test", &unique().to_le_bytes())
}

pub(crate) fn new_subject() -> Subject {
    Subject::new(format!("user {:016x}", unique())).unwrap()
}

pub(crate) fn name(text: &str) -> FieldName {
    FieldName::new(text.to_owned()).unwrap()
}

pub(crate) fn set(field: &str, text: &str) -> Changes {
    write(field, Write::Put(Bytes::copy_from_slice(text.as_bytes())))
}

pub(crate) fn write(field: &str, write: Write) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name(field), FieldChange::relative(write));
    changes
}

pub(crate) fn bound_to(mut changes: Changes, subject: &Subject) -> Changes {
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

pub(crate) async fn make_of(store: &RedisStore, changes: Changes, now: Time) -> IdHash {
    let id = new_id();
    let created = store.create(id, birth(changes, now), now).await.unwrap();
    assert!(matches!(created, Create::Created(_)), "{created:?}");
    id
}

pub(crate) async fn make(store: &RedisStore, now: Time) -> IdHash {
    make_of(store, set("a", "1"), now).await
}

pub(crate) async fn commit(store: &RedisStore, id: IdHash, changes: Changes, now: Time) {
    let outcome = store.commit(id, changes, now).await.unwrap();
    assert!(matches!(outcome, Commit::Committed(_)), "{outcome:?}");
}

/// Moves a session to another id in its slot.
pub(crate) async fn renew(
    store: &RedisStore,
    id: IdHash,
    changes: Changes,
    old: OldId,
    now: Time,
) -> IdHash {
    let to = id.beside(&unique().to_string());
    let rename = Rename::new(to, changes, old, now.after(GRACE));
    let outcome = store.rename(id, rename, now).await.unwrap();
    assert!(matches!(outcome, Commit::Committed(_)), "{outcome:?}");
    to
}

pub(crate) async fn load(store: &RedisStore, id: IdHash, now: Time) -> Arc<Record> {
    match store.load(id, now).await.unwrap() {
        Loaded::Live { record, .. } => record,
        other => panic!("a live session was not found: {other:?}"),
    }
}

pub(crate) async fn is_live(store: &RedisStore, id: IdHash, now: Time) -> bool {
    store.load(id, now).await.unwrap().live().is_some()
}

pub(crate) fn text(record: &Record, field: &str) -> Option<String> {
    record.get(field).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
