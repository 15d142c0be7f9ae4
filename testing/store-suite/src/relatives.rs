//! Sentences about counters and sets: changes that say what to add and leave the sum to the store.

use std::collections::BTreeMap;

use abide_session::{Changes, Commit, Create, FieldChange, OldId, Store, StoreError, Write};
use bytes::Bytes;
use futures_util::future::{join, join_all};

use crate::stage::{birth, commit, load, make, make_of, name, new_hash, renew, set, start};

/// Sessions that are counted in while they are being made: nobody knows the moment in which it would go wrong.
const ROUNDS: usize = 5;

/// Changes that add to one field.
fn relative(field: &str, write: Write) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name(field), FieldChange::relative(write));
    changes
}

/// A set in MessagePack: an array of less than sixteen numbers below 128, in order.
fn set_of(members: &[u8]) -> Bytes {
    let length = u8::try_from(members.len()).expect("a short set");
    std::iter::once(0x90 + length).chain(members.iter().copied()).collect()
}

fn members(members: &[(u8, bool)]) -> Write {
    let members = members.iter().map(|(member, is_in)| (Bytes::from(vec![*member]), *is_in));
    Write::Members(members.collect::<BTreeMap<_, _>>())
}

/// Twenty that count at once come to twenty, and none of them has to try again.
pub async fn concurrent_additions_all_count_and_none_conflicts(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    join_all((0..20).map(|_| commit(store, id, relative("n", Write::Add(1)), now))).await;
    commit(store, id, relative("n", Write::Add(-5)), now).await;
    // The integer 15 is one byte in MessagePack.
    assert_eq!(load(store, id, now).await.get("n"), Some(&Bytes::from_static(&[15])));
}

/// Who knows the id may count before the answer to the create has come, as where a session is moved and
/// several carry it: each that is told that it counted has counted.
pub async fn additions_while_a_session_is_being_made_all_count(store: &dyn Store) {
    let now = start();
    for round in 0..ROUNDS {
        let id = new_hash();
        let created = store.create(id, birth(Changes::default(), now), now);
        let counters = (0..8).map(|_| async {
            // Gone until it is there, and then once.
            while store.commit(id, relative("n", Write::Add(1)), now).await.expect("a commit")
                == Commit::Gone
            {
                tokio::task::yield_now().await;
            }
        });
        let (created, _) = join(created, join_all(counters)).await;
        assert!(matches!(created, Ok(Create::Created(_))), "{created:?}");
        let counted = load(store, id, now).await.get("n").cloned();
        assert_eq!(counted, Some(Bytes::from_static(&[8])), "in round {round}");
    }
}

/// Members that several add to a set, and take out of it, at once are all in it, or out of it.
pub async fn concurrent_changes_of_a_set_all_count(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    commit(store, id, relative("s", members(&[(10, true), (11, true)])), now).await;
    let joined = (0..10_u8).map(|n| relative("s", members(&[(n, true)])));
    let left = [10, 11].map(|n| relative("s", members(&[(n, false)])));
    join_all(joined.chain(left).map(|changes| commit(store, id, changes, now))).await;
    let expected = set_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(load(store, id, now).await.get("s"), Some(&expected));
}

/// A counter that is not there is zero, a set is empty: when a session is made, after a clear, and
/// in a rename.
pub async fn a_counter_starts_at_zero_and_a_set_empty(store: &dyn Store) {
    let now = start();
    let id = make_of(store, relative("n", Write::Add(7)), now).await;
    assert_eq!(load(store, id, now).await.get("n"), Some(&Bytes::from_static(&[7])));
    let mut anew = relative("n", Write::Add(2));
    anew.clear = true;
    commit(store, id, anew, now).await;
    assert_eq!(load(store, id, now).await.get("n"), Some(&Bytes::from_static(&[2])));
    let id = renew(store, id, relative("s", members(&[(3, true)])), OldId::Follows, now).await;
    let record = load(store, id, now).await;
    assert_eq!(record.get("s"), Some(&set_of(&[3])));
    assert_eq!(record.get("n"), Some(&Bytes::from_static(&[2])));
}

/// What is no number is not counted: the whole commit is refused, and changes nothing.
pub async fn counting_what_is_no_number_is_an_error_and_changes_nothing(store: &dyn Store) {
    let now = start();
    let id = make_of(store, set("text", "\u{a3}123"), now).await;
    let before = load(store, id, now).await;
    for write in [Write::Add(1), members(&[(1, true)])] {
        let mut changes = relative("text", write);
        changes.fields.extend(set("other", "1").fields);
        match store.commit(id, changes, now).await {
            Err(StoreError::Incompatible(field)) => assert_eq!(field.as_str(), "text"),
            other => panic!("a text was counted: {other:?}"),
        }
    }
    assert_eq!(load(store, id, now).await, before);
    let outcome = store.commit(id, relative("n", Write::Add(1)), now).await.expect("commit");
    assert!(matches!(outcome, Commit::Committed(_)), "{outcome:?}");
}
