//! Sentences about moving a session to another id.

use std::time::Duration;

use abide_session::{Changes, Commit, End, Expected, OldId, Rename, Standing, Store};

use crate::stage::{
    GRACE, assert_commit_is_gone, assert_not_live, bind, birth, commit, fields, load, load_as,
    make, new_hash, new_hash_beside, new_subject, renew, set, set_if, shown, start,
};

/// The session is found under its new id as it was, and changed as was said.
pub async fn rename_moves_the_session_with_its_changes(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let before = load(store, id, now).await;
    let to = renew(store, id, set("b", "2"), OldId::Follows, now).await;
    let after = load(store, to, now).await;
    assert_eq!(shown(&after), fields(&[("a", "1"), ("b", "2")]));
    assert_eq!(after.visible("a"), before.visible("a"), "fields keep their stamps");
    assert_eq!(after.created, before.created);
    assert_eq!(after.hard_deadline, before.hard_deadline);
    commit(store, to, set("c", "3"), now).await;
}

/// For the grace the old id reads and writes the same session; after it, it is over, and the
/// session is not.
pub async fn rename_keeps_the_old_id_for_its_grace(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let to = renew(store, id, Changes::default(), OldId::Follows, now).await;
    let within = now.after(GRACE.saturating_sub(Duration::from_millis(1)));
    commit(store, id, set("b", "2"), within).await;
    commit(store, to, set("c", "3"), within).await;
    let all = fields(&[("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(shown(&*load_as(store, id, Standing::Old, within).await), all);
    assert_eq!(shown(&*load(store, to, within).await), all);
    let after = now.after(GRACE);
    assert_not_live(store, id, after).await;
    assert_commit_is_gone(store, id, after).await;
    assert_eq!(shown(&*load(store, to, after).await), all);
}

/// Who has the id from before a sign-in sees what was there before it, changes nothing, and is not
/// signed in.
pub async fn rename_by_a_sign_in_freezes_the_old_id(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let mut sign_in = bind(&new_subject());
    sign_in.fields.extend(set("secret", "1").fields);
    let to = renew(store, id, sign_in, OldId::Freezes, now).await;
    commit(store, to, set("later", "1"), now).await;
    let frozen = load_as(store, id, Standing::Frozen, now).await;
    assert_eq!(shown(&frozen), fields(&[("a", "1")]));
    assert_eq!(frozen.subject.value, None);
    assert_commit_is_gone(store, id, now).await;
    let rename =
        Rename::new(new_hash_beside(id), Changes::default(), OldId::Follows, now.after(GRACE));
    let outcome = store.rename(id, rename, now).await.expect("rename");
    assert_eq!(outcome, Commit::Gone);
    let all = fields(&[("a", "1"), ("later", "1"), ("secret", "1")]);
    assert_eq!(shown(&*load(store, to, now).await), all);
    assert_not_live(store, id, now.after(GRACE)).await;
}

/// After a sign-out the old id finds nothing at all.
pub async fn rename_by_a_sign_out_ends_the_old_id(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let to = renew(store, id, Changes::default(), OldId::Ends, now).await;
    assert_not_live(store, id, now).await;
    assert_commit_is_gone(store, id, now).await;
    assert_eq!(shown(&*load(store, to, now).await), fields(&[("a", "1")]));
}

/// What is not there is not moved, and nothing is moved onto what is there.
pub async fn rename_never_creates_and_never_overwrites(store: &dyn Store) {
    let now = start();
    let nobody = new_hash();
    let to = new_hash_beside(nobody);
    let rename = Rename::new(to, set("a", "2"), OldId::Follows, now.after(GRACE));
    let outcome = store.rename(nobody, rename, now).await.expect("rename");
    assert_eq!(outcome, Commit::Gone);
    assert_not_live(store, to, now).await;

    let one = make(store, now).await;
    let other = new_hash_beside(one);
    store.create(other, birth(set("a", "1"), now), now).await.expect("create");
    let rename = Rename::new(other, set("a", "2"), OldId::Follows, now.after(GRACE));
    let outcome = store.rename(one, rename, now).await.expect("rename");
    assert_eq!(outcome, Commit::Gone);
    for id in [one, other] {
        assert_eq!(shown(&*load(store, id, now).await), fields(&[("a", "1")]));
    }
}

/// A rename whose changes rest on what is no longer so moves nothing.
pub async fn a_conflict_stops_a_rename(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let to = new_hash_beside(id);
    let stale = set_if("a", Expected::Absent, "2");
    let rename = Rename::new(to, stale, OldId::Follows, now.after(GRACE));
    let outcome = store.rename(id, rename, now).await.expect("rename");
    assert!(matches!(outcome, Commit::Conflict(_)), "{outcome:?}");
    assert_not_live(store, to, now).await;
    assert_eq!(shown(&*load(store, id, now).await), fields(&[("a", "1")]));
}

/// Of two renewals at once one gives the session a new id. The browser may obey their responses in
/// either order, and must not be left with an id that was itself renewed.
pub async fn a_renewal_under_an_old_id_is_a_conflict_and_moves_nothing(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let to = renew(store, id, Changes::default(), OldId::Follows, now).await;
    let second = new_hash_beside(id);
    let rename = Rename::new(second, set("b", "2"), OldId::Follows, now.after(GRACE));
    let outcome = store.rename(id, rename, now).await.expect("rename");
    assert!(matches!(outcome, Commit::Conflict(_)), "{outcome:?}");
    assert_not_live(store, second, now).await;
    assert_eq!(shown(&*load(store, to, now).await), fields(&[("a", "1")]));
    // A sign-in is another matter: it has to leave the ids that were known before.
    let sign_in = bind(&new_subject());
    let signed_in = renew(store, id, sign_in, OldId::Freezes, now).await;
    assert_eq!(shown(&*load(store, signed_in, now).await), fields(&[("a", "1")]));
    load_as(store, to, Standing::Frozen, now).await;
}

/// A session that has two ids ends under both, by whichever it is ended.
pub async fn ending_either_id_ends_both(store: &dyn Store) {
    let now = start();
    for old in [OldId::Follows, OldId::Freezes] {
        for by_the_old in [false, true] {
            let id = make(store, now).await;
            let to = renew(store, id, set("b", "2"), old, now).await;
            let by = if by_the_old { id } else { to };
            assert_eq!(store.end(by, now).await.expect("end"), End::Ended);
            for id in [id, to] {
                assert_not_live(store, id, now).await;
                assert_commit_is_gone(store, id, now).await;
            }
        }
    }
}
