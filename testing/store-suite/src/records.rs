//! Sentences about making, finding and expiring.

use std::collections::BTreeSet;
use std::time::Duration;

use abide_session::{Changes, Create, FieldChange, Loaded, Store};
use bytes::Bytes;
use futures_util::future::join_all;

use crate::stage::{
    ABSOLUTE, IDLE, assert_commit_is_gone, assert_not_live, birth, commit, fields, load, make,
    make_of, name, new_hash, set, shown, start, value,
};

/// An id that nobody has been given finds nothing.
pub async fn load_of_unknown_is_unknown(store: &dyn Store) {
    let loaded = store.load(new_hash(), start()).await.expect("load");
    assert!(matches!(loaded, Loaded::Unknown), "{loaded:?}");
}

/// What a session was made of is found again, with its times.
pub async fn create_then_load_returns_what_was_created(store: &dyn Store) {
    let now = start();
    let id = new_hash();
    let mut changes = birth(set("a", "1"), now);
    changes.fields.insert(name("b"), FieldChange::blind(Some(value("2"))));
    let created = store.create(id, changes.clone(), now).await.expect("create");
    let Create::Created(stamp) = created else { panic!("a new id is taken") };
    let record = load(store, id, now).await;
    assert_eq!(shown(&record), fields(&[("a", "1"), ("b", "2")]));
    assert_eq!(record.created, now);
    assert_eq!(record.seen, now);
    assert_eq!(record.hard_deadline, now.after(ABSOLUTE));
    assert_eq!(record.idle_timeout.value, IDLE);
    assert_eq!(record.subject.value, None);
    assert_eq!(record.visible("a").expect("a field").stamp, stamp);
}

/// A second create under an id is answered with `Taken`, whether the session lives or has ended.
pub async fn create_never_overwrites(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let again = store.create(id, birth(set("a", "2"), now), now).await.expect("create");
    assert_eq!(again, Create::Taken);
    assert_eq!(shown(&*load(store, id, now).await), fields(&[("a", "1")]));
    store.end(id, now).await.expect("end");
    let again = store.create(id, birth(set("a", "2"), now), now).await.expect("create");
    assert_eq!(again, Create::Taken);
    assert_not_live(store, id, now).await;
}

/// A hundred sessions made at once are a hundred sessions.
pub async fn hundred_concurrent_creates_are_distinct(store: &dyn Store) {
    let now = start();
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let ids = join_all(numbers.iter().map(|number| make_of(store, set("n", number), now))).await;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 100);
    for (id, number) in ids.iter().zip(&numbers) {
        assert_eq!(shown(&*load(store, *id, now).await), fields(&[("n", number)]));
    }
}

/// Every byte may stand in a value, and any text in a name.
pub async fn values_are_binary_safe(store: &dyn Store) {
    let now = start();
    let all: Bytes = (0..=u8::MAX).collect();
    let names = ["nul \0", "line\r\n", "\u{e9}\u{1f512}", "'; --", "$", " ", "{}"];
    let mut changes = Changes::default();
    changes.fields.insert(name("empty"), FieldChange::blind(Some(Bytes::new())));
    for text in names {
        changes.fields.insert(name(text), FieldChange::blind(Some(all.clone())));
    }
    let id = make_of(store, changes, now).await;
    let record = load(store, id, now).await;
    for text in names {
        assert_eq!(record.get(text), Some(&all), "{text:?}");
    }
    assert_eq!(record.get("empty"), Some(&Bytes::new()), "an empty value is a value");
}

/// Loading is not writing: two loads in a row find the same.
pub async fn a_load_changes_nothing(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let first = load(store, id, now).await;
    let later = now.after(IDLE / 2);
    assert_eq!(load(store, id, later).await, first);
    assert_eq!(first.seen, now, "a load is no touch");
}

/// At its deadline a session is not found any more, cannot be changed, and is not listed.
pub async fn expired_is_never_returned(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let deadline = now.after(IDLE);
    let just_before = now.after(IDLE.saturating_sub(Duration::from_millis(1)));
    load(store, id, just_before).await;
    assert_not_live(store, id, deadline).await;
    assert_commit_is_gone(store, id, deadline).await;
    assert_not_live(store, id, deadline).await;
}

/// A touch keeps a session alive and changes no field.
pub async fn a_touch_moves_the_idle_deadline_and_nothing_else(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let before = load(store, id, now).await;
    let later = now.after(IDLE / 2);
    let mut touch = Changes::default();
    touch.seen = Some(later);
    commit(store, id, touch, later).await;
    let after = load(store, id, now.after(IDLE)).await;
    assert_eq!(after.seen, later);
    assert_eq!(after.fields, before.fields, "values and stamps");
    assert_eq!(after.hard_deadline, before.hard_deadline);
    assert_not_live(store, id, later.after(IDLE)).await;
}

/// A session that is used all the time still ends at its hard deadline.
pub async fn the_hard_deadline_holds_however_much_a_session_is_used(store: &dyn Store) {
    let start = start();
    let id = make(store, start).await;
    let mut now = start;
    while now.after(IDLE / 2) < start.after(ABSOLUTE) {
        now = now.after(IDLE / 2);
        let mut touch = Changes::default();
        touch.seen = Some(now);
        commit(store, id, touch, now).await;
    }
    assert_not_live(store, id, start.after(ABSOLUTE)).await;
    assert_commit_is_gone(store, id, start.after(ABSOLUTE)).await;
}

/// The hard deadline of a session can be put off. Brought forward it can not be: somebody may keep a
/// mark until then.
pub async fn the_hard_deadline_moves_later_and_never_earlier(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let put_off = |deadline| {
        let mut changes = Changes::default();
        changes.idle_timeout = Some(ABSOLUTE * 10);
        changes.hard_deadline = Some(deadline);
        changes
    };
    commit(store, id, put_off(now.after(ABSOLUTE * 2)), now).await;
    commit(store, id, put_off(now.after(ABSOLUTE / 2)), now).await;
    assert_eq!(load(store, id, now.after(ABSOLUTE)).await.hard_deadline, now.after(ABSOLUTE * 2));
    assert_not_live(store, id, now.after(ABSOLUTE * 2)).await;
}

/// The idle time-out is the session's own, and the last one said counts.
pub async fn the_idle_timeout_can_be_shortened_and_extended(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let mut longer = Changes::default();
    longer.idle_timeout = Some(IDLE * 2);
    commit(store, id, longer, now).await;
    load(store, id, now.after(IDLE)).await;
    let mut shorter = Changes::default();
    shorter.idle_timeout = Some(IDLE / 2);
    commit(store, id, shorter, now).await;
    assert_not_live(store, id, now.after(IDLE / 2)).await;
}
