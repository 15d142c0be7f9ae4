//! What every sentence needs: a time, ids nobody else has, and short words for what is done to a
//! store.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use abide_session::{
    Changes, Commit, Create, Expected, FieldChange, FieldName, Id, IdHash, Loaded, OldId,
    RANDOM_BYTES, Record, Rename, Stamp, Standing, Store, Subject,
};
use abide_time::Time;
use bytes::Bytes;

/// A sentence of the contract by name.
#[derive(Clone, Copy, Debug)]
pub struct Sentence {
    name: &'static str,
    run: for<'a> fn(&'a dyn Store) -> SentenceFuture<'a>,
}

/// A sentence that is being tried.
pub type SentenceFuture<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

impl Sentence {
    pub(crate) const fn new(
        name: &'static str,
        run: for<'a> fn(&'a dyn Store) -> SentenceFuture<'a>,
    ) -> Self {
        Self { name, run }
    }

    /// Its name, which is what it says.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Tries it on a store.
    ///
    /// # Panics
    /// If it does not hold.
    pub async fn run(&self, store: &dyn Store) {
        (self.run)(store).await;
    }
}

/// How long the sessions of these tests may stay unused.
pub(crate) const IDLE: Duration = Duration::from_mins(10);
/// How long they live in all.
pub(crate) const ABSOLUTE: Duration = Duration::from_mins(100);
/// How long their old ids are accepted.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// The time at which a test begins.
#[expect(clippy::disallowed_methods, reason = "stores that live elsewhere clean up by this clock")]
pub(crate) fn start() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::EPOCH.after(since.unwrap_or_default())
}

/// A number that no other test of any process has.
fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    RandomState::new().hash_one(LAST.fetch_add(1, Ordering::Relaxed))
}

/// A new id.
pub(crate) fn new_id() -> Id {
    let mut random = [0; RANDOM_BYTES];
    for (byte, drawn) in
        random.iter_mut().zip([unique(), unique(), unique()].iter().flat_map(|n| n.to_le_bytes()))
    {
        *byte = drawn;
    }
    Id::from_random(random)
}

/// The hash of a new id.
pub(crate) fn new_hash() -> IdHash {
    new_id().hash()
}

/// The hash of a new id that a session with this one can move to: it stays in its slot.
pub(crate) fn new_hash_beside(id: IdHash) -> IdHash {
    id.beside(&format!("renewed {:016x}", unique()))
}

/// A subject that no other test has.
pub(crate) fn new_subject() -> Subject {
    Subject::new(format!("user {:016x}", unique())).expect("a short name")
}

/// The name of a field.
pub(crate) fn name(text: &str) -> FieldName {
    FieldName::new(text.to_owned()).expect("a short name")
}

/// A value.
pub(crate) fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Changes that set one field.
pub(crate) fn set(field: &str, text: &str) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name(field), FieldChange::blind(Some(value(text))));
    changes
}

/// Changes that set one field if it still is what is expected.
pub(crate) fn set_if(field: &str, expected: Expected, text: &str) -> Changes {
    let mut changes = Changes::default();
    let change = FieldChange::based_on(expected, Some(value(text)));
    changes.fields.insert(name(field), change);
    changes
}

/// Changes that bind a session to somebody.
pub(crate) fn bind(subject: &Subject) -> Changes {
    let mut changes = Changes::default();
    changes.subject = Some(Some(subject.clone()));
    changes
}

/// These changes, as the ones that make a session.
pub(crate) fn birth(mut changes: Changes, now: Time) -> Changes {
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(IDLE);
    changes.hard_deadline = Some(now.after(ABSOLUTE));
    changes
}

/// A new session that holds `a = 1`.
pub(crate) async fn make(store: &dyn Store, now: Time) -> IdHash {
    make_of(store, set("a", "1"), now).await
}

/// A new session of these changes.
pub(crate) async fn make_of(store: &dyn Store, changes: Changes, now: Time) -> IdHash {
    let id = new_hash();
    let created = store.create(id, birth(changes, now), now).await.expect("create");
    assert!(matches!(created, Create::Created(_)), "a create under a new id: {created:?}");
    id
}

/// The session under this id, which has to be live.
pub(crate) async fn load(store: &dyn Store, id: IdHash, now: Time) -> Arc<Record> {
    load_as(store, id, Standing::Current, now).await
}

/// The session under this id, which has to be live and of this standing.
pub(crate) async fn load_as(
    store: &dyn Store,
    id: IdHash,
    expected: Standing,
    now: Time,
) -> Arc<Record> {
    match store.load(id, now).await.expect("load") {
        Loaded::Live { record, standing } => {
            assert_eq!(standing, expected);
            record
        }
        other => panic!("a live session was not found: {other:?}"),
    }
}

/// Makes sure that there is no session under this id.
pub(crate) async fn assert_not_live(store: &dyn Store, id: IdHash, now: Time) {
    let loaded = store.load(id, now).await.expect("load");
    assert!(!matches!(loaded, Loaded::Live { .. }), "a session that must not be there: {loaded:?}");
}

/// Commits changes that have to be taken.
pub(crate) async fn commit(store: &dyn Store, id: IdHash, changes: Changes, now: Time) -> Stamp {
    match store.commit(id, changes, now).await.expect("commit") {
        Commit::Committed(stamp) => stamp,
        other => panic!("a commit to a live session was not taken: {other:?}"),
    }
}

/// Makes sure that a commit under this id is refused.
pub(crate) async fn assert_commit_is_gone(store: &dyn Store, id: IdHash, now: Time) {
    let outcome = store.commit(id, set("late", "1"), now).await.expect("commit");
    assert_eq!(outcome, Commit::Gone);
}

/// Moves a session to a new id.
pub(crate) async fn renew(
    store: &dyn Store,
    id: IdHash,
    changes: Changes,
    old: OldId,
    now: Time,
) -> IdHash {
    let to = new_hash_beside(id);
    let rename = Rename::new(to, changes, old, now.after(GRACE));
    match store.rename(id, rename, now).await.expect("rename") {
        Commit::Committed(_) => to,
        other => panic!("a live session was not renamed: {other:?}"),
    }
}

/// The visible fields of a session, as text.
pub(crate) fn shown(record: &Record) -> Vec<(String, String)> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    record.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// What [`shown`] gives for these fields.
pub(crate) fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
