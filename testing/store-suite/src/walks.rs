//! Sentences about walking through all sessions. A store that can not be walked keeps them by saying
//! so at once.

use std::collections::BTreeSet;

use abide_session::{Changes, IdHash, OldId, Store};
use abide_time::Time;

use crate::stage::{IDLE, bind, commit, make, make_of, new_subject, renew, set, start};

/// All that a walk shows; none if the store can not be walked.
async fn walk(store: &dyn Store, now: Time) -> Option<BTreeSet<IdHash>> {
    let mut shown = BTreeSet::new();
    let mut cursor = None;
    loop {
        let page = store.scan(cursor.take(), now).await.expect("scan")?;
        shown.extend(page.ids);
        cursor = page.next;
        if cursor.is_none() {
            return Some(shown);
        }
    }
}

/// Also those that are used, changed and made in the meantime of others.
pub async fn a_walk_shows_every_session_that_was_there_throughout(store: &dyn Store) {
    let now = start();
    let mut there = BTreeSet::new();
    for _ in 0..60 {
        there.insert(make(store, now).await);
    }
    let Some(first) = store.scan(None, now).await.expect("scan") else { return };
    let mut shown: BTreeSet<IdHash> = first.ids.into_iter().collect();
    let mut cursor = first.next;
    while let Some(at) = cursor {
        for id in there.iter().take(3) {
            commit(store, *id, set("b", "2"), now).await;
        }
        make(store, now).await;
        let page = store.scan(Some(at), now).await.expect("scan").expect("it began");
        shown.extend(page.ids);
        cursor = page.next;
    }
    assert!(there.is_subset(&shown), "{} were not shown", there.difference(&shown).count());
}

/// Neither ended nor expired ones, and renewed ones under their new id only.
pub async fn a_walk_shows_no_session_that_is_over(store: &dyn Store) {
    let now = start();
    let ended = make(store, now).await;
    store.end(ended, now).await.expect("end");
    let subject = new_subject();
    let revoked = make_of(store, bind(&subject), now).await;
    store.end_all(&subject, None, now).await.expect("end all");
    let old = make(store, now).await;
    let new = renew(store, old, Changes::default(), OldId::Follows, now).await;
    let Some(shown) = walk(store, now).await else { return };
    for id in [ended, revoked, old] {
        assert!(!shown.contains(&id));
    }
    assert!(shown.contains(&new));
    let shown = walk(store, now.after(IDLE)).await.expect("as before");
    assert!(!shown.contains(&new), "it has expired");
}
