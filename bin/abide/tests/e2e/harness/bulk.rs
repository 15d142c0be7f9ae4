//! Sessions that nobody visits, by the hundred: made in a file, and looked for in a store.

use std::time::{Duration, SystemTime};

use abide::Store;
use abide::store::{Changes, Create, FieldChange, FieldName, IdHash, Time};
use abide_store_sql::SqlStore;

/// Makes so many in the file of SQLite at this URL.
pub(crate) fn fill(url: &str, count: u32) {
    run(async {
        let store = SqlStore::connect(url).await.unwrap();
        for number in 0..count {
            let created = store.create(id(number), session(number), now()).await;
            assert!(matches!(created, Ok(Create::Created(_))), "{number}: {created:?}");
        }
    });
}

/// Those of so many that are not in the file of SQLite at this URL as they were made.
pub(crate) fn missing_in_file(url: &str, count: u32) -> Vec<u32> {
    run(async { missing(&SqlStore::connect(url).await.unwrap(), count).await })
}

/// The same in a Redis.
pub(crate) fn missing_in_redis(url: &str, count: u32) -> Vec<u32> {
    run(async { missing(&abide_store_redis::RedisStore::connect(url).await.unwrap(), count).await })
}

async fn missing(store: &impl Store, count: u32) -> Vec<u32> {
    let mut missing = Vec::new();
    for number in 0..count {
        let found = store.load(id(number), now()).await.unwrap().live();
        let value = found.and_then(|record| record.get("number").cloned());
        if value.as_deref() != Some(&number.to_be_bytes()) {
            missing.push(number);
        }
    }
    missing
}

fn id(number: u32) -> IdHash {
    IdHash::of_secret("bulk", &number.to_be_bytes())
}

fn session(number: u32) -> Changes {
    let now = now();
    let mut changes = Changes::default();
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::from_hours(1));
    changes.hard_deadline = Some(now.after(Duration::from_hours(10)));
    let value = FieldChange::blind(Some(number.to_be_bytes().to_vec().into()));
    changes.fields.insert(FieldName::new("number").unwrap(), value);
    changes
}

#[expect(clippy::disallowed_methods, reason = "stores go by the wall clock")]
fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time::EPOCH.after(since.unwrap_or_default())
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
