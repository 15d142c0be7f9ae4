//! The store of these tests: the plain one that the contract of `Store` is tried on, unbroken,
//! behind a switch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Store, StoreError, StoreFuture,
    Subject, Time,
};
use tokio::sync::Mutex;

#[path = "../../../../testing/store-suite/tests/canaries/plain.rs"]
mod plain;

/// A store that counts its calls, and can be down or silent.
#[derive(Clone, Debug)]
pub(crate) struct Switch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: plain::PlainStore,
    /// The plain store takes one call for one step only on a single thread.
    turn: Mutex<()>,
    reads: AtomicU64,
    writes: AtomicU64,
    is_down: AtomicBool,
    is_silent: AtomicBool,
}

impl Switch {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            store: plain::PlainStore::new(None),
            turn: Mutex::default(),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            is_silent: AtomicBool::new(false),
        }))
    }

    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn writes(&self) -> u64 {
        self.0.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.0.is_silent.store(is_silent, Ordering::SeqCst);
    }

    fn read<'a, T: Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        self.through(call)
    }

    fn write<'a, T: Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        self.through(call)
    }

    fn through<'a, T: Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        Box::pin(async move {
            if self.0.is_silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.0.is_down.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("switched off".into()));
            }
            let _turn = self.0.turn.lock().await;
            call.await
        })
    }
}

impl Store for Switch {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.write(self.0.store.create(id, changes, now))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.read(self.0.store.load(id, now))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        self.write(self.0.store.commit(id, changes, now))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.write(self.0.store.end(id, now))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.write(self.0.store.rename(id, rename, now))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.read(self.0.store.list(subject, now))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.write(self.0.store.end_all(subject, except, now))
    }
}
