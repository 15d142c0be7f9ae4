//! Sessions for which there is no room, and stores that can not be walked through.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use abide::store::{
    Changes, Commit, Create, FieldChange, FieldName, Id, IdHash, Loaded, MAX_VALUE_BYTES, OldId,
    RANDOM_BYTES, Record, Standing, StoreError, Time,
};
use abide::{AtRest, Error, KeyRing, MemoryStore, Moving, Observed, SealingKey, Store};
use bytes::Bytes;

use super::careless::Careless;

#[expect(clippy::disallowed_methods, reason = "a walk reads the clock, so the test has its time")]
fn now() -> Time {
    Time::EPOCH.after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

fn id(number: u8) -> IdHash {
    Id::from_random([number; RANDOM_BYTES]).hash()
}

fn put(field: &'static str, bytes: usize) -> Changes {
    let mut changes = Changes::default();
    let value = Some(Bytes::from(vec![b'v'; bytes]));
    changes.fields.insert(FieldName::new(field).unwrap(), FieldChange::blind(value));
    changes
}

async fn make(store: &dyn Store, id: IdHash, mut changes: Changes, now: Time) {
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::from_hours(1));
    changes.hard_deadline = Some(now.after(Duration::from_hours(2)));
    assert!(matches!(store.create(id, changes, now).await, Ok(Create::Created(_))));
}

async fn record(store: &dyn Store, id: IdHash, now: Time) -> Arc<Record> {
    match store.load(id, now).await.unwrap() {
        Loaded::Live { record, standing: Standing::Current } => record,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_too_large_stays_and_is_served_from_where_it_is_until_it_fits() {
    let keys = KeyRing::new(vec![SealingKey::new([7; SealingKey::BYTES])]).unwrap();
    let (to, from) = (MemoryStore::new(), MemoryStore::new());
    let moving = Moving::new(AtRest::new(to.clone(), keys), from.clone());
    let now = now();
    // The seal takes a little of the room that a value has.
    make(&from, id(1), put("big", MAX_VALUE_BYTES), now).await;
    assert_eq!(record(&moving, id(1), now).await.get("big").unwrap().len(), MAX_VALUE_BYTES);
    let commit = moving.commit(id(1), put("small", 1), now).await.unwrap();
    assert!(matches!(commit, Commit::Committed(_)), "{commit:?}");
    assert!(record(&moving, id(1), now).await.get("small").is_some());
    let moved = moving.move_all(|_| {}).await.unwrap();
    assert_eq!((moved.moved, moved.stayed, moved.failed), (0, 1, 0));
    assert_eq!(moving.remaining().await.unwrap().sessions, 1);
    assert_eq!(to.sessions(), 0, "nothing is left of the trial");

    let commit = moving.commit(id(1), put("big", 1), now).await.unwrap();
    assert!(matches!(commit, Commit::Committed(_)), "{commit:?}");
    let moved = moving.move_all(|_| {}).await.unwrap();
    assert_eq!((moved.moved, moved.stayed, moved.failed), (1, 0, 0));
    assert_eq!(moving.remaining().await.unwrap(), abide::Remaining::default());
    assert_eq!(record(&moving, id(1), now).await.get("small").unwrap().len(), 1);
    assert_eq!(record(&to, id(1), now).await.get("big").unwrap().len(), 1 + AtRest::SEAL_BYTES);
}

#[tokio::test]
async fn however_full_the_old_store_is_its_sessions_are_found() {
    let now = now();
    let mut moved = [0, 0];
    for room in (0..22_000).step_by(97) {
        let (to, from) = (MemoryStore::new(), MemoryStore::bounded(10, 10_500 + room));
        make(&from, id(1), put("a", 10_000), now).await;
        let moving = Moving::new(to.clone(), from);
        for _ in 0..2 {
            assert_eq!(record(&moving, id(1), now).await.get("a").unwrap().len(), 10_000);
        }
        moved[to.sessions()] += 1;
    }
    assert!(moved[0] > 0 && moved[1] > moved[0], "{moved:?}");
}

#[tokio::test]
async fn a_full_new_store_is_an_error_and_loses_nothing() {
    let (to, from) = (MemoryStore::bounded(1, 1 << 20), MemoryStore::new());
    let moving = Moving::new(to, from.clone());
    let now = now();
    make(&moving, id(1), put("a", 1), now).await;
    make(&from, id(2), put("a", 2), now).await;
    for _ in 0..2 {
        assert!(matches!(moving.load(id(2), now).await, Err(StoreError::Full)));
    }
    assert_eq!(moving.remaining().await.unwrap().sessions, 1);
    moving.end(id(1), now).await.unwrap();
    assert_eq!(record(&moving, id(2), now).await.get("a").unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_new_store_keeps_nobody_from_signing_out() {
    let (to, from) = (MemoryStore::bounded(1, 1 << 20), MemoryStore::new());
    let moving = Moving::new(to, from.clone());
    let now = now();
    make(&moving, id(1), put("a", 1), now).await;
    make(&from, id(2), put("a", 2), now).await;
    moving.end(id(2), now).await.unwrap();
    moving.end(id(1), now).await.unwrap();
    for number in [1, 2] {
        let loaded = moving.load(id(number), now).await.unwrap();
        assert!(matches!(loaded, Loaded::Ended), "{loaded:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_broken_off_does_not_stop_a_move() {
    let now = now();
    for polls in 1..6 {
        let (to, from) = (MemoryStore::new(), MemoryStore::new());
        let moving = Moving::new(to.clone(), from.clone());
        make(&from, id(1), put("a", 1), now).await;
        let mut load = moving.load(id(1), now);
        for _ in 0..polls {
            let _ = futures_util::future::poll_immediate(load.as_mut()).await;
            tokio::task::yield_now().await;
            if to.sessions() == 1 {
                break;
            }
        }
        drop(load);
        // Whoever asked is gone; the task is not.
        while to.sessions() == 0 {
            tokio::task::yield_now().await;
        }
        record(&to, id(1), now).await;
    }
}

#[tokio::test]
async fn what_can_not_be_walked_through_or_must_not_be_yet_says_so() {
    let (to, from) = (MemoryStore::new(), MemoryStore::new());
    let prepared = Moving::prepared(from.clone(), to.clone());
    assert!(matches!(prepared.move_all(|_| {}).await, Err(Error::Unsupported(_))));
    let careless = Careless { freezes_as: OldId::Freezes, store: from };
    let moving = Moving::new(to, careless);
    assert!(matches!(moving.move_all(|_| {}).await, Err(Error::Unsupported(_))));
    assert!(matches!(moving.remaining().await, Err(Error::Unsupported(_))));
    assert!(moving.scan(None, now()).await.unwrap().is_none());
    let foreign = moving.scan(Some(Bytes::from_static(&[9])), now()).await;
    assert!(matches!(foreign, Err(StoreError::Corrupt(_))), "{foreign:?}");
}

#[tokio::test]
async fn a_move_costs_eight_calls_once_and_what_has_moved_costs_none() {
    let (to, from) = (MemoryStore::new(), MemoryStore::new());
    let (to, from) = (Observed::new(to, "to"), Observed::new(from, "from"));
    let moving = Moving::new(to.clone(), from.clone());
    let now = now();
    make(&from, id(1), put("a", 1), now).await;
    let calls = || {
        let words = ["ok", "unknown", "ended", "expired", "taken", "gone", "conflict"];
        let operations = ["load", "create", "commit", "rename", "end"];
        let of = |store: &Observed, operation| -> u64 {
            words.iter().map(|outcome| store.count(operation, outcome)).sum()
        };
        operations.map(|operation| of(&to, operation) + of(&from, operation)).iter().sum::<u64>()
    };
    let mut before = calls();
    let mut took = || calls() - std::mem::replace(&mut before, calls());
    record(&moving, id(1), now).await;
    assert_eq!(took(), 1 + 8);
    record(&moving, id(1), now).await;
    moving.commit(id(1), put("a", 2), now).await.unwrap();
    assert_eq!(took(), 2);
    assert!(matches!(moving.load(id(2), now).await.unwrap(), Loaded::Unknown));
    assert_eq!(took(), 1 + 1, "what is in neither is looked for in both");
    moving.end(id(1), now).await.unwrap();
    assert_eq!(took(), 1 + 1);
    assert_eq!(moving.counters(), [("carried", 1), ("stayed", 0)]);
}
