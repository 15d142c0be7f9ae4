//! A store that answers in time, or has failed.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Loaded, Rename, Store, StoreError, StoreFuture,
};
use abide_time::Time;

use crate::clock::Clock;
use crate::counters::{Event, Tally};

/// How long the store may take for one call, unless said otherwise: a browser waits longer than
/// that for nobody.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// A store, the clock that it is called by, and what came of the calls.
#[derive(Clone, Debug)]
pub(crate) struct TimedStore {
    store: Arc<dyn Store>,
    pub(crate) limit: Duration,
    clock: Clock,
    pub(crate) tally: Arc<Tally>,
}

impl TimedStore {
    pub(crate) fn new(store: impl Store) -> Self {
        Self {
            store: Arc::new(store),
            limit: STORE_TIMEOUT,
            clock: Clock::start(),
            tally: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(crate) async fn create(&self, id: IdHash, changes: Changes) -> Result<Create, StoreError> {
        changes.check()?;
        self.in_time(self.store.create(id, changes, self.now())).await
    }

    pub(crate) async fn load(&self, id: IdHash) -> Result<Loaded, StoreError> {
        self.in_time(self.store.load(id, self.now())).await
    }

    pub(crate) async fn commit(&self, id: IdHash, changes: Changes) -> Result<Commit, StoreError> {
        changes.check()?;
        self.in_time(self.store.commit(id, changes, self.now())).await
    }

    pub(crate) async fn rename(&self, id: IdHash, rename: Rename) -> Result<Commit, StoreError> {
        rename.changes.check()?;
        self.in_time(self.store.rename(id, rename, self.now())).await
    }

    /// Returns whether there was a session to end.
    pub(crate) async fn end(&self, id: IdHash) -> Result<bool, StoreError> {
        let has_ended = self.in_time(self.store.end(id, self.now())).await? == End::Ended;
        if has_ended {
            self.tally.count(Event::Ended);
        }
        Ok(has_ended)
    }

    async fn in_time<T>(&self, call: StoreFuture<'_, T>) -> Result<T, StoreError> {
        let answer = answer_in_time(call, self.limit).await;
        if let Err(error) = &answer {
            self.tally.count(Event::StoreError);
            tracing::warn!(%error, "session store call failed");
        }
        answer
    }
}

/// A store that answers at once, as one in memory does, costs no timer.
async fn answer_in_time<T>(mut call: StoreFuture<'_, T>, limit: Duration) -> Result<T, StoreError> {
    if let Poll::Ready(answer) = poll_fn(|task| Poll::Ready(call.as_mut().poll(task))).await {
        return answer;
    }
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
    }
}
