//! Sentences about limits.

use abide_session::{
    Changes, FieldChange, Limit, MAX_FIELDS, MAX_RECORD_BYTES, MAX_VALUE_BYTES, Store, StoreError,
};
use bytes::Bytes;

use crate::stage::{
    assert_not_live, birth, commit, load, make, make_of, name, new_hash, set, start,
};

fn set_bytes(field: &str, bytes: usize) -> Changes {
    let mut changes = Changes::default();
    let value = Bytes::from(vec![b'v'; bytes]);
    changes.fields.insert(name(field), FieldChange::blind(Some(value)));
    changes
}

fn assert_too_large<T: std::fmt::Debug>(outcome: Result<T, StoreError>, expected: Limit) {
    match outcome {
        Err(StoreError::TooLarge(limit)) => assert_eq!(limit, expected),
        other => panic!("a change over a limit was not refused as such: {other:?}"),
    }
}

/// The largest value there may be is kept whole.
pub async fn value_of_one_mebibyte_is_kept(store: &dyn Store) {
    let now = start();
    let id = make_of(store, set_bytes("big", MAX_VALUE_BYTES), now).await;
    commit(store, id, set_bytes("other", MAX_VALUE_BYTES), now).await;
    let record = load(store, id, now).await;
    for field in ["big", "other"] {
        let value = record.get(field).expect("the value");
        assert_eq!(value.len(), MAX_VALUE_BYTES);
        assert!(value.iter().all(|byte| *byte == b'v'));
    }
}

/// A value that is one byte too long is refused, and with it all that came with it.
pub async fn value_over_the_limit_is_an_error_and_changes_nothing(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let before = load(store, id, now).await;
    let mut changes = set_bytes("big", MAX_VALUE_BYTES + 1);
    changes.fields.extend(set("b", "2").fields);
    assert_too_large(store.commit(id, changes.clone(), now).await, Limit::Value);
    assert_eq!(load(store, id, now).await, before);
    let id = new_hash();
    assert_too_large(store.create(id, birth(changes, now), now).await, Limit::Value);
    assert_not_live(store, id, now).await;
}

/// The limit is on what the session would become, not on the change.
pub async fn a_record_over_the_limit_is_an_error_and_changes_nothing(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let fit = MAX_RECORD_BYTES / MAX_VALUE_BYTES - 1;
    for number in 0..fit {
        commit(store, id, set_bytes(&number.to_string(), MAX_VALUE_BYTES), now).await;
    }
    let before = load(store, id, now).await;
    let outcome = store.commit(id, set_bytes("last", MAX_VALUE_BYTES), now).await;
    assert_too_large(outcome, Limit::Record);
    assert_eq!(load(store, id, now).await, before);
    // To make room is no error.
    commit(store, id, set_bytes("0", 1), now).await;
    commit(store, id, set_bytes("last", MAX_VALUE_BYTES), now).await;
}

/// So is the limit on the number of fields.
pub async fn one_field_too_many_is_an_error_and_changes_nothing(store: &dyn Store) {
    let now = start();
    let mut many = Changes::default();
    for number in 0..MAX_FIELDS {
        many.fields.extend(set_bytes(&number.to_string(), 1).fields);
    }
    let id = make_of(store, many, now).await;
    let before = load(store, id, now).await;
    assert_too_large(store.commit(id, set("one more", "1"), now).await, Limit::Fields);
    assert_eq!(load(store, id, now).await, before);
    commit(store, id, set("7", "again"), now).await;
}
