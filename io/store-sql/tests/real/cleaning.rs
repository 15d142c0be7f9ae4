//! What the cleaner drops, and what it leaves.

use std::time::Duration;

use abide_servers::MariaDb;
use abide_session::{Changes, Loaded, OldId, Rename, Store as _, StoreError};

use super::places::{
    ABSOLUTE, IDLE, bind, commit, connect, is_live, load, make, make_of, new_id, new_subject, now,
    places,
};

/// More than the slack that clocks are given.
const SLACK: Duration = Duration::from_secs(61);

#[tokio::test]
async fn what_has_expired_is_dropped_a_minute_later_and_what_was_used_is_not() {
    for (url, _folder) in places() {
        let store = connect(&url).await;
        let now = now();
        let forgotten = make(&store, now).await;
        let used = make(&store, now).await;
        let mut touch = Changes::default();
        touch.seen = Some(now.after(IDLE / 2));
        commit(&store, used, touch, now.after(IDLE / 2)).await;

        assert_eq!(store.cleanup(now.after(IDLE)).await.expect("cleanup"), 0, "{url}");
        assert_eq!(store.cleanup(now.after(IDLE + SLACK)).await.expect("cleanup"), 1, "{url}");
        let loaded = store.load(forgotten, now).await.expect("load");
        assert!(matches!(loaded, Loaded::Unknown), "{loaded:?}");
        assert!(is_live(&store, used, now.after(IDLE)).await);
        let late = now.after(IDLE * 3 / 2 + SLACK);
        assert_eq!(store.cleanup(late).await.expect("cleanup"), 1, "{url}");
        assert_eq!(store.counters().cleaned, 2);
    }
}

#[tokio::test]
async fn marks_are_kept_to_the_hard_deadline_and_no_longer() {
    for (url, _folder) in places() {
        let store = connect(&url).await;
        let now = now();
        let ended = make(&store, now).await;
        store.end(ended, now).await.expect("end");
        let (old, new) = (make(&store, now).await, new_id());
        let rename = Rename::new(new, Changes::default(), OldId::Freezes, now.after(IDLE / 10));
        store.rename(old, rename, now).await.expect("rename");

        let late = now.after(IDLE + SLACK);
        // The session itself has expired; its old id and the other's mark are still known.
        assert_eq!(store.cleanup(late).await.expect("cleanup"), 1, "{url}");
        for id in [ended, old] {
            let loaded = store.load(id, late).await.expect("load");
            assert!(matches!(loaded, Loaded::Ended), "{url}: {loaded:?}");
        }
        let over = now.after(ABSOLUTE + SLACK);
        assert_eq!(store.cleanup(over).await.expect("cleanup"), 2, "{url}");
        let loaded = store.load(ended, over).await.expect("load");
        assert!(matches!(loaded, Loaded::Unknown), "{url}: {loaded:?}");
    }
}

#[tokio::test]
async fn the_mark_of_a_subject_outlives_every_session_that_it_ended() {
    for (url, _folder) in places() {
        let store = connect(&url).await;
        let now = now();
        let subject = new_subject();
        let mut changes = bind(&subject);
        changes.hard_deadline = None;
        let id = make_of(&store, changes, now).await;
        let mut longer = Changes::default();
        longer.idle_timeout = Some(Duration::from_hours(24 * 90));
        longer.hard_deadline = Some(now.after(Duration::from_hours(24 * 90)));
        commit(&store, id, longer, now).await;
        store.end_all(&subject, None, now).await.expect("end all");
        for days in [2, 3, 80] {
            let later = now.after(Duration::from_hours(24 * days));
            store.cleanup(later).await.expect("cleanup");
            assert!(!is_live(&store, id, later).await, "{url}: it came back after {days} days");
        }
        let over = now.after(Duration::from_hours(24 * 91));
        store.cleanup(over).await.expect("cleanup");
        store.cleanup(over.after(Duration::from_hours(2))).await.expect("cleanup");
        let after = make_of(&store, bind(&subject), over).await;
        assert!(load(&store, after, over).await.subject.value.is_some());
    }
}

/// More than one batch, which is 500 rows.
#[tokio::test]
async fn many_are_cleaned_up_in_one_go() {
    for (url, _folder) in places() {
        let store = connect(&url).await;
        let now = now();
        for _ in 0..1010 {
            make(&store, now).await;
        }
        let dropped = store.cleanup(now.after(IDLE + SLACK)).await.expect("cleanup");
        assert_eq!(dropped, 1010, "{url}");
    }
}

/// The fields of one batch are more than the server takes in one text.
#[tokio::test]
async fn sessions_of_many_fields_are_cleaned_up_in_texts_that_the_server_takes() {
    let server = MariaDb::with(&["--max-allowed-packet=1M"]);
    let store = connect(&server.url()).await;
    let now = now();
    for _ in 0..40 {
        make(&store, now).await;
    }
    let fields = "INSERT INTO abide_fields SELECT s.id, concat(repeat('n', 120), n.seq), 1, '' \
                  FROM abide_sessions s JOIN seq_1_to_250 n";
    server.sql("abide", fields);
    let dropped = store.cleanup(now.after(IDLE + SLACK)).await.expect("cleanup");
    assert_eq!(dropped, 40);
    assert_eq!(server.sql("abide", "SELECT count(*) FROM abide_fields"), "0");
}

#[tokio::test]
async fn a_row_that_can_not_be_read_keeps_nothing_else_from_being_dropped() {
    for (url, _folder) in places() {
        let store = connect(&url).await;
        let now = now();
        for _ in 0..3 {
            make(&store, now).await;
        }
        let spoil = "UPDATE abide_sessions SET kind = 9, check_at = 0 WHERE id IN \
                     (SELECT id FROM (SELECT min(id) AS id FROM abide_sessions) first)";
        super::schema::change(&url, spoil).await;
        let outcome = store.cleanup(now.after(IDLE + SLACK)).await;
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{url}: {outcome:?}");
        assert_eq!(store.counters().cleaned, 2, "{url}");
    }
}

#[tokio::test]
async fn a_store_cleans_up_by_itself() {
    for (url, _folder) in places() {
        let builder = abide_store_sql::SqlStore::builder(&url).timeout(super::places::PATIENT);
        let store = builder.cleanup(Duration::from_millis(5)).connect().await.expect("a database");
        let now = now();
        // Made long ago by somebody's clock, and expired since.
        let mut long_ago = super::places::birth(Changes::default(), now);
        long_ago.seen = Some(abide_session::Time::from_secs(1));
        let id = new_id();
        store.create(id, long_ago, now).await.expect("create");
        let mut gone = false;
        for _ in 0..10_000 {
            let loaded = store.load(id, now).await.expect("load");
            gone = matches!(loaded, Loaded::Unknown);
            if gone {
                break;
            }
        }
        assert!(gone, "{url}: nobody cleaned up");
    }
}
