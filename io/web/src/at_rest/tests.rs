use abide_session::{Id, RANDOM_BYTES};

use super::*;
use crate::MemoryStore;

const NOW: Time = Time::from_secs(1_000_000);

fn ring(secrets: &[u8]) -> KeyRing {
    let keys = secrets.iter().map(|secret| Key::new([*secret; Key::BYTES]));
    KeyRing::new(keys.collect()).unwrap()
}

/// An id in the slot of this number.
fn id(slot: u8, number: u8) -> IdHash {
    let mut random = [number; RANDOM_BYTES];
    random[0] = 0;
    random[1] = slot;
    Id::from_random(random).hash()
}

fn name(text: &'static str) -> FieldName {
    FieldName::new(text).unwrap()
}

fn put(field: &'static str, value: Bytes) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name(field), FieldChange::blind(Some(value)));
    changes
}

fn add(field: &'static str, more: i64) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name(field), FieldChange::relative(Write::Add(more)));
    changes
}

fn birth(mut changes: Changes) -> Changes {
    changes.created = Some(NOW);
    changes.seen = Some(NOW);
    changes.idle_timeout = Some(Duration::from_mins(10));
    changes.hard_deadline = Some(NOW.after(Duration::from_hours(1)));
    changes
}

async fn record(store: &dyn Store, id: IdHash) -> Arc<Record> {
    store.load(id, NOW).await.unwrap().live().unwrap()
}

fn is_corrupt<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Corrupt(_)))
}

#[tokio::test]
async fn what_is_stored_shows_the_length_of_a_value_and_nothing_else_of_it() {
    let below = MemoryStore::new();
    let store = AtRest::new(below.clone(), ring(&[1]));
    let secret = Bytes::from_static(b"a secret that is long enough to be found");
    for number in [1, 2] {
        store.create(id(1, number), birth(put("a", secret.clone())), NOW).await.unwrap();
    }
    let [one, other] = [record(&below, id(1, 1)).await, record(&below, id(1, 2)).await];
    let stored = one.get("a").unwrap();
    assert_eq!(stored.len(), secret.len() + AtRest::SEAL_BYTES);
    assert!(!stored.windows(8).any(|part| secret.windows(8).any(|text| part == text)));
    assert_ne!(Some(stored), other.get("a"), "equal values look different");
    assert_eq!(record(&store, id(1, 1)).await.get("a"), Some(&secret));
}

#[tokio::test]
async fn all_keys_open_and_a_dropped_one_makes_its_values_corrupt_and_no_others() {
    let below = MemoryStore::new();
    let old = AtRest::new(below.clone(), ring(&[1]));
    let rotated = AtRest::new(below.clone(), ring(&[2, 1]));
    let new = AtRest::new(below.clone(), ring(&[2]));
    old.create(id(1, 1), birth(put("a", Bytes::from_static(b"1"))), NOW).await.unwrap();
    rotated.create(id(1, 2), birth(put("a", Bytes::from_static(b"2"))), NOW).await.unwrap();
    for number in [1, 2] {
        record(&rotated, id(1, number)).await;
    }
    record(&new, id(1, 2)).await;
    assert!(is_corrupt(&new.load(id(1, 1), NOW).await));
    assert!(is_corrupt(&new.commit(id(1, 1), add("a", 1), NOW).await));
    // To set the field, or to end the session, it need not be read.
    let set = put("a", Bytes::from_static(b"3"));
    assert!(matches!(new.commit(id(1, 1), set, NOW).await, Ok(Commit::Committed(_))));
    record(&new, id(1, 1)).await;
    assert_eq!(new.end(id(1, 1), NOW).await.unwrap(), End::Ended);
}

#[tokio::test]
async fn a_value_opens_in_its_slot_and_field_only_and_unchanged_only() {
    let below = MemoryStore::new();
    let store = AtRest::new(below.clone(), ring(&[1]));
    store.create(id(1, 1), birth(put("a", Bytes::from_static(b"1"))), NOW).await.unwrap();
    let stored = record(&below, id(1, 1)).await.get("a").unwrap().clone();
    let mut number = 10;
    let mut plant = async |slot, field, value| {
        number += 1;
        below.create(id(slot, number), birth(put(field, value)), NOW).await.unwrap();
        store.load(id(slot, number), NOW).await
    };
    assert!(plant(1, "a", stored.clone()).await.is_ok(), "documented: within a slot it opens");
    assert!(is_corrupt(&plant(2, "a", stored.clone()).await));
    assert!(is_corrupt(&plant(1, "b", stored.clone()).await));
    for place in 0..stored.len() {
        let mut changed = stored.to_vec();
        changed[place] ^= 1;
        assert!(is_corrupt(&plant(1, "a", changed.into()).await), "byte {place}");
        assert!(is_corrupt(&plant(1, "a", stored.slice(..place)).await), "cut at {place}");
    }
}

#[tokio::test]
async fn a_list_shows_what_opens_of_a_session_that_does_not() {
    let below = MemoryStore::new();
    let store = AtRest::new(below.clone(), ring(&[1]));
    let subject = Subject::new("alice").unwrap();
    let mut changes = birth(put("a", Bytes::from_static(b"1")));
    changes.subject = Some(Some(subject.clone()));
    store.create(id(1, 1), changes, NOW).await.unwrap();
    below.commit(id(1, 1), put("b", Bytes::from_static(b"no seal")), NOW).await.unwrap();
    let listed = store.list(&subject, NOW).await.unwrap();
    let [session] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(
        (session.record.get("a"), session.record.get("b")),
        (Some(&Bytes::from_static(b"1")), None)
    );
}

#[tokio::test]
async fn a_value_has_the_room_of_its_seal_less() {
    let store = AtRest::new(MemoryStore::new(), ring(&[1]));
    let longest = MAX_VALUE_BYTES - AtRest::SEAL_BYTES;
    let value = |bytes| Bytes::from(vec![b'v'; bytes]);
    store.create(id(1, 1), birth(put("a", value(longest))), NOW).await.unwrap();
    assert_eq!(record(&store, id(1, 1)).await.get("a").unwrap().len(), longest);
    let outcome = store.commit(id(1, 1), put("a", value(longest + 1)), NOW).await;
    assert!(matches!(outcome, Err(StoreError::TooLarge(Limit::Value))), "{outcome:?}");
    assert_eq!(record(&store, id(1, 1)).await.get("a").unwrap().len(), longest);
}

/// A store in which somebody else adds to `n` before every commit.
#[derive(Debug)]
struct Contended(MemoryStore, std::sync::atomic::AtomicU32);

impl Store for Contended {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.0.create(id, changes, now)
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.0.load(id, now)
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async move {
            let other = AtRest::new(self.0.clone(), ring(&[1]));
            other.commit(id, add("n", 1), now).await?;
            self.0.commit(id, changes, now).await
        })
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.0.end(id, now)
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.0.rename(id, rename, now)
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.0.list(subject, now)
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.0.end_all(subject, except, now)
    }
}

#[tokio::test(start_paused = true)]
async fn who_can_not_add_after_so_many_tries_is_told_so() {
    let contended = Arc::new(Contended(MemoryStore::new(), 0.into()));
    let store = AtRest::new(Arc::clone(&contended), ring(&[1]));
    store.create(id(1, 1), birth(add("n", 0)), NOW).await.unwrap();
    let outcome = store.commit(id(1, 1), add("n", 1_000_000), NOW).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let tries = contended.1.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(tries, RELATIVE_TRIES_MAX);
    // An expectation of the caller's own is not tried again.
    let mut stale = add("n", 1);
    stale.fields.insert(name("a"), FieldChange::based_on(Expected::Written(Stamp::ZERO), None));
    let outcome = store.commit(id(1, 1), stale, NOW).await.unwrap();
    assert_eq!(outcome, Commit::Conflict(vec![name("a")]));
}
