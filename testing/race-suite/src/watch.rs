//! Between a session layer and its store: counts the calls, holds one, is an outage.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abide::store::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, StoreFuture, Subject,
};
use abide::{Store, StoreError};
use abide_time::Time;
use bytes::Bytes;

use crate::gate::Bar;
use crate::random::Random;

/// What is seen of the store calls of one server, and done to them. Clones are the same watch.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    calls: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
    doing: Arc<Mutex<Doing>>,
}

/// A way in which a store can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outage {
    /// It says at once that it is unavailable, and does nothing.
    Refuses,
    /// It does nothing, and says nothing.
    Hangs,
    /// It does what it is told next, other than a load, and says that it is unavailable. With that
    /// the outage is over.
    LosesAnAnswer,
}

/// What a watch does to the calls.
#[derive(Debug, Default)]
struct Doing {
    outage: Option<Outage>,
    held: Option<Held>,
    shaken: Option<Random>,
}

/// A call that is to be held.
#[derive(Debug)]
struct Held {
    /// How many calls go by first.
    after_calls: u32,
    side: Side,
    bar: Arc<Bar>,
}

/// Where a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// On its way to the store.
    Way,
    /// On its way back: the store has done it.
    WayBack,
}

/// What kind of call it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl Watch {
    /// A watch that has seen nothing and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store whose calls this watch sees.
    pub fn over<S: Store>(&self, store: S) -> Watched<S> {
        Watched { store, watch: self.clone() }
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many of them were other than loads and lists.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    /// Begins or ends an outage.
    pub fn set_outage(&self, outage: Option<Outage>) {
        self.doing().outage = outage;
    }

    /// Holds one call that is yet to come, and no other.
    pub(crate) fn hold(&self, after_calls: u32, side: Side, bar: Arc<Bar>) {
        self.doing().held = Some(Held { after_calls, side, bar });
    }

    /// Holds no call, if the one to be held has not come.
    pub(crate) fn hold_none(&self) {
        self.doing().held = None;
    }

    /// Lets other tasks go first, before and after every call, as often as the seed says.
    pub(crate) fn shake(&self, seed: u64) {
        self.doing().shaken = Some(Random::new(seed));
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is done to the call that comes now: where it is held, if it is, and the outage.
    fn enter(&self, kind: Kind) -> (Option<(Side, Arc<Bar>)>, Option<Outage>) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if kind == Kind::Write {
            self.writes.fetch_add(1, Ordering::SeqCst);
        }
        let mut doing = self.doing();
        let held = match &mut doing.held {
            Some(held) if held.after_calls > 0 => {
                held.after_calls -= 1;
                None
            }
            held => held.take().map(|held| (held.side, held.bar)),
        };
        let outage = match doing.outage {
            Some(Outage::LosesAnAnswer) if kind == Kind::Read => None,
            Some(Outage::LosesAnAnswer) => doing.outage.take(),
            lasting => lasting,
        };
        (held, outage)
    }

    async fn step_aside(&self) {
        let yields = self.doing().shaken.as_mut().map_or(0, |random| random.below(4));
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    }

    async fn through<'a, T>(
        &'a self,
        kind: Kind,
        call: impl FnOnce() -> StoreFuture<'a, T> + Send + 'a,
    ) -> Result<T, StoreError> {
        let (held, outage) = self.enter(kind);
        self.step_aside().await;
        if let Some((Side::Way, bar)) = &held {
            bar.wait().await;
        }
        match outage {
            Some(Outage::Refuses) => return Err(unavailable()),
            Some(Outage::Hangs) => std::future::pending().await,
            _ => {}
        }
        let answer = call().await;
        if let Some((Side::WayBack, bar)) = &held {
            bar.wait().await;
        }
        self.step_aside().await;
        match outage {
            Some(Outage::LosesAnAnswer) => answer.and(Err(unavailable())),
            _ => answer,
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("there is an outage".into())
}

/// A store whose calls a [`Watch`] sees.
#[derive(Clone)]
pub struct Watched<S> {
    store: S,
    watch: Watch,
}

impl<S: fmt::Debug> fmt::Debug for Watched<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.store).finish()
    }
}

impl<S: Store> Store for Watched<S> {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        let call = move || self.store.create(id, changes, now);
        Box::pin(self.watch.through(Kind::Write, call))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        let call = move || self.store.load(id, now);
        Box::pin(self.watch.through(Kind::Read, call))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        let call = move || self.store.commit(id, changes, now);
        Box::pin(self.watch.through(Kind::Write, call))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        let call = move || self.store.end(id, now);
        Box::pin(self.watch.through(Kind::Write, call))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        let call = move || self.store.rename(id, rename, now);
        Box::pin(self.watch.through(Kind::Write, call))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        let call = move || self.store.list(subject, now);
        Box::pin(self.watch.through(Kind::Read, call))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        let call = move || self.store.end_all(subject, except, now);
        Box::pin(self.watch.through(Kind::Write, call))
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        let call = move || self.store.scan(cursor, now);
        Box::pin(self.watch.through(Kind::Read, call))
    }
}
