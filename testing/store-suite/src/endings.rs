//! Sentences about the end of a session.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use abide_session::{Changes, End, Loaded, OldId, Rename, Store};
use futures_util::future::{join, poll_immediate};

use crate::stage::{
    GRACE, IDLE, assert_commit_is_gone, assert_not_live, birth, load, make, name, new_hash,
    new_hash_beside, set, shown, start,
};

/// After the end nothing brings a session back: no commit, no touch, no renewal, no create.
pub async fn an_ended_session_stays_ended_whatever_comes_later(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    assert_eq!(store.end(id, now).await.expect("end"), End::Ended);
    assert_not_live(store, id, now).await;
    assert_commit_is_gone(store, id, now).await;

    let mut touch = Changes::default();
    touch.seen = Some(now);
    store.commit(id, touch, now).await.expect("commit");
    let to = new_hash_beside(id);
    let rename = Rename::new(to, set("a", "2"), OldId::Follows, now.after(GRACE));
    store.rename(id, rename, now).await.expect("rename");
    store.create(id, birth(set("a", "2"), now), now).await.expect("create");
    let later = now.after(Duration::from_mins(1));
    for time in [now, later] {
        assert_not_live(store, id, time).await;
        assert_not_live(store, to, time).await;
        assert_commit_is_gone(store, id, time).await;
    }
}

/// The second end finds nothing and is no error.
pub async fn ending_twice_is_ending_once(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    assert_eq!(store.end(id, now).await.expect("end"), End::Ended);
    assert_eq!(store.end(id, now).await.expect("end"), End::Gone);
    assert_not_live(store, id, now).await;
}

/// Servers of an application do not have quite the same time. What one ends that takes the session for
/// expired, another that does not must not find again.
pub async fn an_end_is_final_by_every_clock(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let ahead = now.after(IDLE);
    assert_eq!(store.end(id, ahead).await.expect("end"), End::Gone);
    assert_not_live(store, id, now).await;
    assert_commit_is_gone(store, id, now).await;
}

/// Ids that anybody can invent take no room.
pub async fn ending_what_is_not_there_leaves_nothing(store: &dyn Store) {
    let now = start();
    let id = new_hash();
    assert_eq!(store.end(id, now).await.expect("end"), End::Gone);
    let loaded = store.load(id, now).await.expect("load");
    assert!(matches!(loaded, Loaded::Unknown), "{loaded:?}");
}

/// Whichever of a commit and an end comes first, the session has ended after both.
pub async fn a_commit_that_races_an_end_never_revives(store: &dyn Store) {
    let now = start();
    for round in 0..50 {
        let id = make(store, now).await;
        load(store, id, now).await;
        if round % 2 == 0 {
            let (commit, end) =
                join(store.commit(id, set("b", "2"), now), store.end(id, now)).await;
            (commit.expect("commit"), end.expect("end"))
        } else {
            let (end, commit) =
                join(store.end(id, now), store.commit(id, set("b", "2"), now)).await;
            (commit.expect("commit"), end.expect("end"))
        };
        assert_not_live(store, id, now).await;
        assert_commit_is_gone(store, id, now).await;
    }
}

/// A call whose caller goes away happens as a whole or not at all.
pub async fn a_dropped_call_leaves_no_half_record(store: &dyn Store) {
    let now = start();
    for polls in 0..8 {
        let id = make(store, now).await;
        let mut changes = set("b", "2");
        changes.fields.insert(name("a"), abide_session::FieldChange::blind(None));
        let mut call = store.commit(id, changes, now);
        for _ in 0..polls {
            let polled = poll_fn(|task| Poll::Ready(call.as_mut().poll(task))).await;
            if polled.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
        let found = shown(&*load(store, id, now).await);
        let before = crate::stage::fields(&[("a", "1")]);
        let after = crate::stage::fields(&[("b", "2")]);
        assert!(found == before || found == after, "{found:?}");

        // A create that was dropped can be made again, or is there.
        let id = new_hash();
        let _ = poll_immediate(store.create(id, birth(set("a", "1"), now), now)).await;
        store.create(id, birth(set("a", "1"), now), now).await.expect("create");
        assert_eq!(shown(&*load(store, id, now).await), before);
    }
}
