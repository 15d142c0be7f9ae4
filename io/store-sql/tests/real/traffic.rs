//! Thirty-two that write, two that clean up, and nobody in anybody's way.

use std::collections::BTreeMap;
use std::time::Duration;

use abide_session::{
    Changes, FieldChange, FieldName, IdHash, OldId, Rename, Store as _, Subject, Time, Write,
};
use abide_store_sql::SqlStore;
use tokio::task::JoinSet;

use super::places::{
    ABSOLUTE, IDLE, MARIADB, PATIENT, POSTGRES, bind, birth, database_name, new_id, now, set,
};

const WRITERS: u64 = 32;
const ROUNDS: u64 = 25;

/// One writer's turn, on sessions of its own and on some that all share.
async fn write(store: SqlStore, shared: [IdHash; 4], writer: u64) {
    let now = now();
    let subject = Subject::new(format!("user {}", writer % 4)).expect("a subject");
    for round in 0..ROUNDS {
        let mut changes = birth(set("a", "1"), now);
        if round % 2 == 0 {
            changes.subject = bind(&subject).subject;
        }
        let id = new_id();
        store.create(id, changes, now).await.expect("create");
        store.commit(id, set("b", "2"), now).await.expect("commit");
        let common = shared[usize::try_from((writer + round) % 4).expect("a small number")];
        store.commit(common, count(), now).await.expect("count");
        store.commit(common, set(&format!("f{writer}"), "x"), now).await.expect("commit");
        let to = new_id();
        let old = [OldId::Follows, OldId::Freezes, OldId::Ends]
            [usize::try_from(round % 3).expect("a small number")];
        let rename = Rename::new(to, bind(&subject), old, now.after(Duration::from_secs(10)));
        store.rename(id, rename, now).await.expect("rename");
        store.list(&subject, now).await.expect("list");
        if round % 8 == 3 {
            store.end_all(&subject, Some(to), now).await.expect("end all");
        } else if round % 2 == 1 {
            store.end(to, now).await.expect("end");
        }
        store.load(id, now).await.expect("load");
    }
}

fn count() -> Changes {
    let mut changes = Changes::default();
    let name = FieldName::new("n").expect("a name");
    changes.fields = BTreeMap::from([(name, FieldChange::relative(Write::Add(1)))]);
    changes
}

/// Cleans up as if it were later, so that it meets what others are using.
async fn clean(store: SqlStore, now: Time) {
    loop {
        store.cleanup(now.after(IDLE * 2)).await.expect("cleanup");
        store.cleanup(now.after(ABSOLUTE * 2)).await.expect("cleanup");
        tokio::task::yield_now().await;
    }
}

/// Gives the sum of what the shared sessions counted.
async fn run(url: &str) -> (u64, SqlStore) {
    let builder = SqlStore::builder(url).cleanup(None).timeout(PATIENT).connections(16);
    let store = builder.connect().await.expect("a database");
    let now = now();
    let mut shared = [new_id(); 4];
    for id in &mut shared {
        *id = new_id();
        let mut changes = birth(Changes::default(), now);
        // Longer than the cleaners think it is.
        changes.idle_timeout = Some(ABSOLUTE * 10);
        changes.hard_deadline = Some(now.after(ABSOLUTE * 10));
        store.create(*id, changes, now).await.expect("create");
    }
    let mut cleaners = JoinSet::new();
    for _ in 0..2 {
        cleaners.spawn(clean(store.clone(), now));
    }
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(store.clone(), shared, writer));
    }
    writers.join_all().await;
    // A cleaner that failed has panicked, and says so here.
    while let Some(ended) = cleaners.try_join_next() {
        ended.expect("a cleaner without errors");
    }
    let mut sum = 0;
    for id in shared {
        let record = super::places::load(&store, id, now).await;
        let counted = record.get("n").expect("a count");
        // MessagePack: one byte below 128, two below 256, three below 65536.
        let bytes = if counted.len() == 1 { counted } else { &counted.slice(1..) };
        sum += bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte));
    }
    (sum, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_nobody_gives_way_and_nothing_is_lost() {
    let name = database_name();
    let (sum, store) = run(&POSTGRES.new_database(&name)).await;
    assert_eq!(sum, WRITERS * ROUNDS);
    let counters = store.counters();
    assert_eq!((counters.gave_way, counters.disconnections), (0, 0), "{counters:?}");
    assert!(counters.cleaned > 0, "the cleaners had nothing to do");
    drop(store);
    let sql = format!("SELECT deadlocks FROM pg_stat_database WHERE datname = '{name}'");
    assert_eq!(POSTGRES.sql("postgres", &sql), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mariadb_nobody_gives_way_and_nothing_is_lost() {
    let deadlocks = || MARIADB.sql("", "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'");
    let before = deadlocks();
    let (sum, store) = run(&MARIADB.new_database(&database_name())).await;
    assert_eq!(sum, WRITERS * ROUNDS);
    let counters = store.counters();
    assert_eq!((counters.gave_way, counters.disconnections), (0, 0), "{counters:?}");
    assert!(counters.cleaned > 0, "the cleaners had nothing to do");
    assert_eq!(deadlocks(), before);
}
