use abide_session::{Id, RANDOM_BYTES};

use super::*;
use crate::MemoryStore;

const NOW: Time = Time::from_secs(1_000_000);

fn id() -> IdHash {
    Id::from_random([1; RANDOM_BYTES]).hash()
}

fn birth() -> Changes {
    let mut changes = Changes::default();
    changes.created = Some(NOW);
    changes.seen = Some(NOW);
    changes.idle_timeout = Some(Duration::from_mins(10));
    changes.hard_deadline = Some(NOW.after(Duration::from_hours(1)));
    changes
}

/// A store that answers no load.
#[derive(Debug)]
struct Silent(MemoryStore);

impl Store for Silent {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.0.create(id, changes, now)
    }

    fn load(&self, _: IdHash, _: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(std::future::pending())
    }

    fn commit(&self, _: IdHash, _: Changes, _: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async { Err(StoreError::Full) })
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.0.end(id, now)
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.0.rename(id, rename, now)
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.0.list(subject, now)
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.0.end_all(subject, except, now)
    }
}

#[tokio::test]
async fn calls_are_counted_by_what_came_of_them() {
    let store = Observed::new(MemoryStore::new(), "main");
    store.load(id(), NOW).await.unwrap();
    store.create(id(), birth(), NOW).await.unwrap();
    store.create(id(), birth(), NOW).await.unwrap();
    store.clone().load(id(), NOW).await.unwrap();
    store.end(id(), NOW).await.unwrap();
    store.end(id(), NOW).await.unwrap();
    store.load(id(), NOW).await.unwrap();
    store.commit(id(), birth(), NOW).await.unwrap();
    for (operation, outcome) in [
        ("load", "unknown"),
        ("create", "ok"),
        ("create", "taken"),
        ("load", "ok"),
        ("end", "ok"),
        ("end", "gone"),
        ("load", "ended"),
        ("commit", "gone"),
    ] {
        assert_eq!(store.count(operation, outcome), 1, "{operation} {outcome}");
    }
    assert_eq!(store.count("load", "no such outcome"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_given_up_and_one_nobody_waits_for_is_counted() {
    let store = Observed::new(Silent(MemoryStore::new()), "main").timeout(Duration::from_secs(1));
    let outcome = store.load(id(), NOW).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(timeout(Duration::from_millis(10), store.load(id(), NOW)).await.is_err());
    store.commit(id(), birth(), NOW).await.unwrap_err();
    assert_eq!((store.count("load", "timeout"), store.count("load", "abandoned")), (1, 1));
    assert_eq!(store.count("commit", "full"), 1);
    let text = store.metrics();
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    let duration = "abide_store_operation_duration_seconds";
    let of_load = "store=\"main\",operation=\"load\"";
    for (start, value) in [
        (format!("{duration}_bucket{{{of_load},le=\"0.005\"}}"), "0"),
        (format!("{duration}_bucket{{{of_load},le=\"0.025\"}}"), "1"),
        (format!("{duration}_bucket{{{of_load},le=\"+Inf\"}}"), "2"),
        (format!("{duration}_count{{{of_load}}}"), "2"),
    ] {
        assert_eq!(line(&start), format!("{start} {value}"), "{text}");
    }
    assert!(line(&format!("{duration}_sum{{{of_load}}}")).contains(" 1.01"), "{text}");
}

#[test]
fn each_metric_is_named_once_for_all_stores_and_labels_are_escaped() {
    let [to, from] = ["to", "fr\"om"].map(|name| Observed::new(MemoryStore::new(), name));
    let to = to.with_counters(|| [("reconnects", 3)]);
    let text = Observed::metrics_of(&[&to, &from]);
    for metric in METRICS {
        let kind = format!("# TYPE {} ", metric.name);
        assert_eq!(text.matches(&kind).count(), 1, "{text}");
    }
    assert!(text.contains("abide_store_events_total{store=\"to\",event=\"reconnects\"} 3\n"));
    assert!(text.contains("{store=\"fr\\\"om\",operation=\"load\",outcome=\"ok\"} 0\n"), "{text}");
}
