//! Sentences about all the sessions of somebody.

use std::collections::BTreeSet;

use abide_session::{Changes, IdHash, OldId, Store, Subject};
use abide_time::Time;

use crate::stage::{
    ABSOLUTE, IDLE, assert_commit_is_gone, assert_not_live, bind, commit, load, make, make_of,
    new_subject, renew, set, start,
};

async fn listed(store: &dyn Store, subject: &Subject, now: Time) -> Vec<IdHash> {
    let listed = store.list(subject, now).await.expect("list");
    listed.into_iter().map(|listed| listed.id).collect()
}

/// Bound, released, ended and expired sessions: only the live and bound ones are listed, the last
/// seen first.
pub async fn list_shows_the_live_sessions_of_a_subject(store: &dyn Store) {
    let now = start();
    let (subject, other) = (new_subject(), new_subject());
    assert_eq!(listed(store, &subject, now).await, []);
    let first = make_of(store, bind(&subject), now).await;
    let second = make(store, now).await;
    commit(store, second, bind(&subject), now).await;
    make_of(store, bind(&other), now).await;
    let ended = make_of(store, bind(&subject), now).await;
    store.end(ended, now).await.expect("end");
    let released = make_of(store, bind(&subject), now).await;
    let mut release = Changes::default();
    release.subject = Some(None);
    commit(store, released, release, now).await;

    let later = now.after(IDLE / 2);
    let mut touch = Changes::default();
    touch.seen = Some(later);
    commit(store, second, touch, later).await;
    assert_eq!(listed(store, &subject, later).await, [second, first]);
    assert_eq!(listed(store, &subject, now.after(IDLE)).await, [second], "the first has expired");
    assert_eq!(listed(store, &subject, now.after(ABSOLUTE)).await, []);
}

/// A renewed session has one place in the list, under its new id.
pub async fn list_shows_a_renewed_session_once(store: &dyn Store) {
    let now = start();
    let subject = new_subject();
    let id = make_of(store, bind(&subject), now).await;
    let to = renew(store, id, Changes::default(), OldId::Follows, now).await;
    assert_eq!(listed(store, &subject, now).await, [to]);
    let record = store.list(&subject, now).await.expect("list").remove(0).record;
    assert_eq!(record, load(store, to, now).await);
}

/// Everywhere signed out but here.
pub async fn end_all_ends_every_session_of_a_subject_but_the_one_excepted(store: &dyn Store) {
    let now = start();
    let (subject, other) = (new_subject(), new_subject());
    let mut mine = BTreeSet::new();
    for _ in 0..20 {
        mine.insert(make_of(store, bind(&subject), now).await);
    }
    let renewed = make_of(store, bind(&subject), now).await;
    let to = renew(store, renewed, Changes::default(), OldId::Follows, now).await;
    let here = make_of(store, bind(&subject), now).await;
    let others = make_of(store, bind(&other), now).await;

    store.end_all(&subject, Some(here), now).await.expect("end all");
    for id in mine.into_iter().chain([renewed, to]) {
        assert_not_live(store, id, now).await;
        assert_commit_is_gone(store, id, now).await;
    }
    load(store, here, now).await;
    load(store, others, now).await;
    assert_eq!(listed(store, &subject, now).await, [here]);

    // An exception that is not of this subject is none, and is not touched either.
    store.end_all(&subject, Some(others), now).await.expect("end all");
    assert_not_live(store, here, now).await;
    load(store, others, now).await;
}

/// Whoever asks may have been renewed by another request meanwhile: what it calls its session leads to it.
pub async fn an_exception_may_be_named_by_an_id_from_before_a_renewal(store: &dyn Store) {
    let now = start();
    for old in [OldId::Follows, OldId::Freezes] {
        let subject = new_subject();
        let mine = make_of(store, bind(&subject), now).await;
        let here = make_of(store, bind(&subject), now).await;
        let between = renew(store, here, Changes::default(), OldId::Follows, now).await;
        let to = renew(store, between, Changes::default(), old, now).await;
        store.end_all(&subject, Some(here), now).await.expect("end all");
        assert_not_live(store, mine, now).await;
        load(store, to, now).await;
        assert_eq!(listed(store, &subject, now).await, [to]);
    }
}

/// Who signs in again afterwards is signed in.
pub async fn end_all_does_not_touch_what_is_bound_later(store: &dyn Store) {
    let now = start();
    let subject = new_subject();
    let before = make_of(store, bind(&subject), now).await;
    let anonymous = make(store, now).await;
    store.end_all(&subject, None, now).await.expect("end all");
    assert_not_live(store, before, now).await;
    commit(store, anonymous, bind(&subject), now).await;
    let after = make_of(store, bind(&subject), now).await;
    load(store, anonymous, now).await;
    load(store, after, now).await;
    assert_eq!(listed(store, &subject, now).await.len(), 2);
}

/// Nor is there anything wrong with ending nothing.
pub async fn end_all_of_nobody_is_no_error(store: &dyn Store) {
    let now = start();
    let subject = new_subject();
    store.end_all(&subject, None, now).await.expect("end all");
    let id = make_of(store, bind(&subject), now).await;
    load(store, id, now).await;
}

/// A session that was ended with all others can not be bound again to escape, nor be moved.
pub async fn no_late_commit_escapes_an_end_all(store: &dyn Store) {
    let now = start();
    let subject = new_subject();
    let id = make_of(store, bind(&subject), now).await;
    let renewed = make_of(store, bind(&subject), now).await;
    let to = renew(store, renewed, set("b", "2"), OldId::Follows, now).await;
    store.end_all(&subject, None, now).await.expect("end all");
    for id in [id, renewed, to] {
        store.commit(id, bind(&subject), now).await.expect("commit");
        store.commit(id, bind(&new_subject()), now).await.expect("commit");
        assert_not_live(store, id, now).await;
    }
    assert_eq!(listed(store, &subject, now).await, []);
}
