//! A store of abide's as the stock layer of tower-sessions needs it.
//!
//! The stock layer says to a store what a session holds, not what a request changed. So what is
//! loaded carries along what it was, as one more field that no app asks for: at the next save the
//! difference is what is committed.

use std::time::Duration;

use abide_session::{Changes, Commit, Create, IdHash, Loaded, Store, StoreError};
use serde_json::Value;

use crate::counters::Event;
use crate::fields::{Data, decoded, delta};
use crate::lifetime::Lifetime;
use crate::timed::TimedStore;

/// The field that carries what was loaded.
const LOADED: &str = "abide: as it was loaded";

/// What ids of the stock layer are hashed for.
const PURPOSE: &str = "tower-sessions id";

/// Says a session's id anew.
pub(crate) type Draw = fn() -> i128;

/// How often an id is drawn before the store is taken to be broken.
const DRAWS: u32 = 4;

/// A store behind the stock layer.
#[derive(Clone, Debug)]
pub(crate) struct StockStore(pub(crate) TimedStore);

impl StockStore {
    pub(crate) fn new(store: impl Store) -> Self {
        Self(TimedStore::new(store))
    }

    /// Makes a session under this id, or another if it is taken. Returns the id.
    pub(crate) async fn create(
        &self,
        mut id: i128,
        data: &mut Data,
        remaining: Duration,
        draw: Draw,
    ) -> Result<i128, StoreError> {
        data.remove(LOADED);
        let mut changes = Changes::default();
        changes.fields = delta(&Data::new(), data)?;
        Lifetime::until(remaining).begin(&mut changes, self.0.now());
        for _ in 0..DRAWS {
            if let Create::Created(_) = self.0.create(hash(id), changes.clone()).await? {
                self.0.tally.count(Event::Created);
                remember(data);
                return Ok(id);
            }
            id = draw();
        }
        Err(StoreError::Unavailable("the store has every id already".into()))
    }

    /// Commits what differs from what was loaded, or everything, if the app has cleared the session
    /// since. If the session has ended meanwhile, nothing.
    pub(crate) async fn save(
        &self,
        id: i128,
        data: &Data,
        remaining: Duration,
    ) -> Result<(), StoreError> {
        let now = self.0.now();
        let mut changes = Changes::default();
        match data.get(LOADED) {
            Some(Value::Object(loaded)) => {
                let loaded = loaded.clone().into_iter().collect();
                let mut data = data.clone();
                data.remove(LOADED);
                changes.fields = delta(&loaded, &data)?;
            }
            _ => {
                changes.clear = true;
                changes.fields = delta(&Data::new(), data)?;
            }
        }
        changes.seen = Some(now);
        Lifetime::until(remaining).renew(&mut changes, now);
        let event = match self.0.commit(hash(id), changes).await? {
            Commit::Committed(_) => Event::Committed,
            _ => Event::Gone,
        };
        self.0.tally.count(event);
        Ok(())
    }

    /// What the session holds, and how long until it expires.
    pub(crate) async fn load(&self, id: i128) -> Result<Option<(Data, Duration)>, StoreError> {
        match self.0.load(hash(id)).await? {
            Loaded::Live { record, .. } => {
                let mut data = decoded(&record);
                remember(&mut data);
                return Ok(Some((data, record.deadline().since(self.0.now()))));
            }
            Loaded::Expired => self.0.tally.count(Event::Expired),
            Loaded::Unknown => self.0.tally.count(Event::Unknown),
            _ => {}
        }
        Ok(None)
    }

    pub(crate) async fn delete(&self, id: i128) -> Result<(), StoreError> {
        self.0.end(hash(id)).await.map(|_| ())
    }
}

/// Carries along what is loaded.
fn remember(data: &mut Data) {
    let loaded = data.clone().into_iter().collect();
    data.insert(LOADED.to_owned(), Value::Object(loaded));
}

fn hash(id: i128) -> IdHash {
    IdHash::of_secret(PURPOSE, &id.to_le_bytes())
}
