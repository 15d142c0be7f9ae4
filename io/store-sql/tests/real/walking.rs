//! Walking through all sessions.

use std::collections::BTreeSet;

use abide_session::{Changes, OldId, Rename, Store as _, StoreError};
use bytes::Bytes;

use super::places::{
    ABSOLUTE, IDLE, bind, connect, make, make_of, new_id, new_subject, now, places,
};

#[tokio::test]
async fn a_walk_shows_every_live_session_and_nothing_else() {
    for (url, _folder) in places() {
        let store = connect(&url).await;
        let now = now();
        let mut expected = BTreeSet::new();
        for _ in 0..520 {
            expected.insert(make(&store, now).await);
        }
        let subject = new_subject();
        make_of(&store, bind(&subject), now).await;
        store.end_all(&subject, None, now).await.expect("end all");
        let ended = make(&store, now).await;
        store.end(ended, now).await.expect("end");
        let (old, new) = (make(&store, now).await, new_id());
        let rename = Rename::new(new, Changes::default(), OldId::Follows, now.after(IDLE));
        store.rename(old, rename, now).await.expect("rename");
        expected.insert(new);

        let (mut found, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
        loop {
            let page = store.scan(cursor, now).await.expect("scan").expect("it can be walked");
            found.extend(page.ids);
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert!(found == expected, "{url}: {} and {}", found.len(), expected.len());
        assert!(pages > 1, "the walk is in pages");
        let late = store.scan(None, now.after(ABSOLUTE)).await.expect("scan").expect("a page");
        assert_eq!(late.ids, []);
    }
}

#[tokio::test]
async fn a_cursor_of_somebody_else_is_corrupt() {
    let store = connect("sqlite::memory:").await;
    let outcome = store.scan(Some(Bytes::from_static(b"' OR 1 = 1")), now()).await;
    assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
}
