//! A store whose client can be stopped at any call.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abide::Store;
use abide::store::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, StoreFuture, Subject,
    Time,
};
use bytes::Bytes;
use tokio::sync::Semaphore;

/// Where the calls of one client, over all its stores, are cut. Each call has two places: before it
/// and after it.
pub(crate) struct Cut {
    place: usize,
    passed: AtomicUsize,
    /// Given when the client has arrived at the cut, or is done without getting there.
    pub(crate) reached: Semaphore,
    /// Given when it may go on. One that has died is never let go.
    pub(crate) go_on: Semaphore,
}

impl Cut {
    pub(crate) fn at(place: usize) -> Arc<Self> {
        let (reached, go_on) = (Semaphore::new(0), Semaphore::new(0));
        Arc::new(Self { place, passed: AtomicUsize::new(0), reached, go_on })
    }

    pub(crate) fn over<S: Store>(self: &Arc<Self>, store: S) -> CutStore<S> {
        CutStore { store, cut: Arc::clone(self) }
    }

    /// Whether the client ever got there.
    pub(crate) fn was_reached(&self) -> bool {
        self.passed.load(Ordering::SeqCst) > self.place
    }

    async fn pass(&self) {
        let place = self.passed.fetch_add(1, Ordering::SeqCst);
        if place == self.place {
            self.reached.add_permits(1);
        }
        if place >= self.place {
            // What comes after the cut waits, too: of one that has died nothing comes any more.
            let _going = self.go_on.acquire().await.expect("it is never closed");
        }
    }
}

pub(crate) struct CutStore<S> {
    store: S,
    cut: Arc<Cut>,
}

impl<S: Store> fmt::Debug for CutStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl<S: Store> CutStore<S> {
    fn cut<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce() -> StoreFuture<'a, T> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            self.cut.pass().await;
            let answer = call().await;
            self.cut.pass().await;
            answer
        })
    }
}

impl<S: Store> Store for CutStore<S> {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.cut(move || self.store.create(id, changes, now))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.cut(move || self.store.load(id, now))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        self.cut(move || self.store.commit(id, changes, now))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.cut(move || self.store.end(id, now))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.cut(move || self.store.rename(id, rename, now))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.cut(move || self.store.list(subject, now))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.cut(move || self.store.end_all(subject, except, now))
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        self.cut(move || self.store.scan(cursor, now))
    }
}
