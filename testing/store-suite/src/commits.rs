//! Sentences about changing a session.

use abide_session::{Changes, Commit, Expected, FieldChange, Record, Store};
use futures_util::future::{join, join_all};

use crate::stage::{
    assert_not_live, commit, fields, load, make, name, new_hash, set, set_if, shown, start, value,
};

/// A commit under an id that nobody has is `Gone`, and makes nothing.
pub async fn commit_never_creates(store: &dyn Store) {
    let now = start();
    let id = new_hash();
    let outcome = store.commit(id, set("a", "1"), now).await.expect("commit");
    assert_eq!(outcome, Commit::Gone);
    assert_not_live(store, id, now).await;
}

/// What a commit does not name stays as it is, stamp and all.
pub async fn commit_changes_the_fields_it_names_and_no_others(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let before = load(store, id, now).await;
    let stamp = commit(store, id, set("b", "2"), now).await;
    let after = load(store, id, now).await;
    assert_eq!(shown(&after), fields(&[("a", "1"), ("b", "2")]));
    assert_eq!(after.visible("a"), before.visible("a"));
    assert_eq!(after.visible("b").expect("a field").stamp, stamp);
    assert!(stamp > before.latest(), "a commit is later than all that was there");
}

/// Removing is explicit, and not for ever.
pub async fn a_removed_field_is_gone_and_can_be_set_again(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let mut removal = set("b", "2");
    removal.fields.insert(name("a"), FieldChange::blind(None));
    commit(store, id, removal, now).await;
    assert_eq!(shown(&*load(store, id, now).await), fields(&[("b", "2")]));
    commit(store, id, set("a", "3"), now).await;
    assert_eq!(shown(&*load(store, id, now).await), fields(&[("a", "3"), ("b", "2")]));
}

/// A clear takes what was there, and what is set with it stays.
pub async fn a_clear_removes_all_fields_and_keeps_the_session(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    commit(store, id, set("b", "2"), now).await;
    let mut clear = set("c", "3");
    clear.clear = true;
    commit(store, id, clear, now).await;
    assert_eq!(shown(&*load(store, id, now).await), fields(&[("c", "3")]));
    let mut clear = Changes::default();
    clear.clear = true;
    commit(store, id, clear, now).await;
    assert_eq!(shown(&*load(store, id, now).await), fields(&[]));
    commit(store, id, set("d", "4"), now).await;
    assert_eq!(shown(&*load(store, id, now).await), fields(&[("d", "4")]));
}

/// Two requests that loaded the same and set different fields both keep theirs.
pub async fn concurrent_commits_to_different_fields_keep_both(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    join(load(store, id, now), load(store, id, now)).await;
    join(commit(store, id, set("b", "2"), now), commit(store, id, set("c", "3"), now)).await;
    let record = load(store, id, now).await;
    assert_eq!(shown(&record), fields(&[("a", "1"), ("b", "2"), ("c", "3")]));
}

/// A change that rests on what is no longer so is refused, together with all that came with it, and
/// the refusal names each field concerned.
pub async fn an_unmet_expectation_is_a_conflict_and_changes_nothing(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let seen = Expected::of(&*load(store, id, now).await, "a");
    commit(store, id, set("a", "2"), now).await;
    let before = load(store, id, now).await;

    let mut stale = set_if("a", seen, "3");
    stale.fields.insert(name("b"), FieldChange::blind(Some(value("3"))));
    stale.seen = Some(now.after(std::time::Duration::from_secs(1)));
    let outcome = store.commit(id, stale, now).await.expect("commit");
    assert_eq!(outcome, Commit::Conflict(vec![name("a")]));

    let mut absent = set_if("a", Expected::Absent, "3");
    absent.fields.extend(set_if("b", seen, "3").fields);
    let outcome = store.commit(id, absent, now).await.expect("commit");
    assert_eq!(outcome, Commit::Conflict(vec![name("a"), name("b")]));
    assert_eq!(load(store, id, now).await, before);
}

/// A change that rests on what still is so is made.
pub async fn a_met_expectation_commits(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    let seen = Expected::of(&*load(store, id, now).await, "a");
    commit(store, id, set_if("a", seen, "2"), now).await;
    commit(store, id, set_if("b", Expected::Absent, "1"), now).await;
    assert_eq!(shown(&*load(store, id, now).await), fields(&[("a", "2"), ("b", "1")]));
    // A field that was removed is absent.
    let mut removal = Changes::default();
    removal.fields.insert(name("b"), FieldChange::blind(None));
    commit(store, id, removal, now).await;
    commit(store, id, set_if("b", Expected::Absent, "2"), now).await;
    assert_eq!(load(store, id, now).await.get("b"), Some(&value("2")));
}

/// Read-modify-write with an expectation, tried again on conflict, loses nothing.
pub async fn twenty_concurrent_increments_give_twenty(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    join_all((0..20).map(|_| async {
        // A store on which nobody gets anywhere must fail, not hang.
        for _ in 0..1000 {
            let record = load(store, id, now).await;
            let next = (count(&record) + 1).to_string();
            // Let the others load the same, even from a store that answers at once.
            tokio::task::yield_now().await;
            let change = set_if("n", Expected::of(&record, "n"), &next);
            match store.commit(id, change, now).await.expect("commit") {
                Commit::Committed(_) => return,
                Commit::Conflict(_) => {}
                other => panic!("{other:?}"),
            }
        }
        panic!("an increment met a conflict a thousand times");
    }))
    .await;
    assert_eq!(count(&*load(store, id, now).await), 20);
}

/// Whoever has the answer to a commit sees it in the next load.
pub async fn each_commit_is_seen_by_the_loads_after_it(store: &dyn Store) {
    let now = start();
    let id = make(store, now).await;
    for number in 0..50 {
        let text = number.to_string();
        commit(store, id, set("n", &text), now).await;
        assert_eq!(load(store, id, now).await.get("n"), Some(&value(&text)));
    }
}

fn count(record: &Record) -> u32 {
    let text = record.get("n").map(|value| String::from_utf8_lossy(value).into_owned());
    text.map_or(0, |text| text.parse().expect("a number"))
}
