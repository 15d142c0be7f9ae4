//! A memory store that is broken in one way, as stores and session libraries have been.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abide::store::{
    Changes, Clock, Commit, Create, End, Expected, FieldChange, IdHash, Listed, Loaded, OldId,
    Record, Rename, StoreFuture, Subject, Write,
};
use abide::{MemoryStore, Store, StoreError};
use abide_race_suite::{Server, Watched};
use abide_time::Time;

/// One way to be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A write to a session that has ended brings it back.
    Revives,
    /// Each server keeps a copy of what it has loaded, and believes it.
    KeepsCopies,
    /// What is saved is the whole session as it was loaded, and what the request changed of it.
    SavesWholeRecords,
    /// What is to be added is added to what this server has loaded.
    AddsByItself,
    /// A write is made whatever it was based on.
    IgnoresExpectations,
    /// The id from before a sign-in is signed in by it.
    NeverFreezes,
    /// An old id is of no use the moment there is a new one.
    NoGrace,
    /// Of two renewals at once, the second one renews the new id of the first.
    RenewsTwice,
    /// A session is made for whatever id comes.
    Adopts,
    /// Each load notes that the session was seen.
    TouchesOnRead,
    /// A store that does not answer, or does not answer soon, is taken for one that knows nothing.
    TakesErrorsForNothing,
    /// A commit whose answer was lost is made again.
    RepeatsCommits,
}

/// The store of one server.
#[derive(Debug)]
pub(crate) struct BrokenStore {
    fault: Option<Fault>,
    store: Watched<MemoryStore>,
    /// What all servers know.
    known: Arc<Mutex<Known>>,
    /// What this server has loaded.
    loaded: Mutex<HashMap<IdHash, Arc<Record>>>,
}

#[derive(Debug, Default)]
struct Known {
    ended: HashSet<IdHash>,
    renewed: HashMap<IdHash, IdHash>,
}

/// What the stores of all servers have in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Common {
    store: MemoryStore,
    known: Arc<Mutex<Known>>,
}

/// Longer than a memory store takes.
const SOON: Duration = Duration::from_millis(10);

impl BrokenStore {
    pub(crate) fn new(fault: Option<Fault>, common: &Common, server: &Server) -> Self {
        Self {
            fault,
            store: server.watch(common.store.clone()),
            known: Arc::clone(&common.known),
            loaded: Mutex::default(),
        }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<IdHash, Arc<Record>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, id: IdHash, now: Time) -> Result<Loaded, StoreError> {
        if self.known().ended.contains(&id) {
            return Ok(Loaded::Ended);
        }
        if self.has(Fault::KeepsCopies)
            && let Some(record) = self.loaded().get(&id).cloned()
        {
            return Ok(Loaded::Live { record, standing: abide::store::Standing::Current });
        }
        if self.has(Fault::TouchesOnRead) {
            let mut touch = Changes::default();
            touch.seen = Some(now);
            self.store.commit(id, touch, now).await?;
        }
        let loaded = self.store.load(id, now).await?;
        if self.has(Fault::Adopts) && matches!(loaded, Loaded::Unknown) {
            let mut birth = Changes::default();
            birth.created = Some(now);
            birth.seen = Some(now);
            birth.idle_timeout = Some(Duration::from_hours(1));
            birth.hard_deadline = Some(now.after(Duration::from_hours(1)));
            self.store.create(id, birth, now).await?;
            return self.store.load(id, now).await;
        }
        if let Loaded::Live { record, .. } = &loaded {
            self.loaded().insert(id, Arc::clone(record));
        }
        Ok(loaded)
    }

    /// What is really committed.
    fn broken(&self, id: IdHash, mut changes: Changes, now: Time) -> Changes {
        let loaded = self.loaded().remove(&id);
        if self.has(Fault::Revives) {
            self.known().ended.remove(&id);
        }
        if self.has(Fault::IgnoresExpectations) {
            for change in changes.fields.values_mut() {
                change.expected = Expected::Anything;
            }
        }
        if self.has(Fault::AddsByItself)
            && let Some(record) = &loaded
            && let Ok(sums) = changes.at(Clock::new(0).tick(now), record)
        {
            for (name, change) in &mut changes.fields {
                change.write = Write::of(sums.get(name.as_str()).cloned());
            }
        }
        if self.has(Fault::SavesWholeRecords)
            && let Some(record) = loaded
        {
            changes.clear = true;
            for (name, value) in record.iter() {
                let as_loaded = FieldChange::blind(Some(value.clone()));
                changes.fields.entry(name.clone()).or_insert(as_loaded);
            }
        }
        changes
    }
}

impl Store for BrokenStore {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.store.create(id, changes, now)
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(async move {
            if !self.has(Fault::TakesErrorsForNothing) {
                return self.find(id, now).await;
            }
            match tokio::time::timeout(SOON, self.find(id, now)).await {
                Ok(Ok(loaded)) => Ok(loaded),
                _ => Ok(Loaded::Unknown),
            }
        })
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move {
            let changes = self.broken(id, changes, now);
            match self.store.commit(id, changes.clone(), now).await {
                Err(StoreError::Unavailable(_)) if self.has(Fault::RepeatsCommits) => {
                    self.store.commit(id, changes, now).await
                }
                answer => answer,
            }
        })
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        if self.has(Fault::Revives) {
            self.known().ended.insert(id);
            return Box::pin(async { Ok(End::Ended) });
        }
        self.loaded().remove(&id);
        self.store.end(id, now)
    }

    fn rename(&self, id: IdHash, mut rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move {
            rename.changes = self.broken(id, rename.changes, now);
            if self.has(Fault::NeverFreezes) && rename.old == OldId::Freezes {
                rename.old = OldId::Follows;
            }
            if self.has(Fault::NoGrace) {
                rename.until = now;
            }
            let mut from = id;
            if self.has(Fault::RenewsTwice) {
                let mut known = self.known();
                while let Some(next) = known.renewed.get(&from) {
                    from = *next;
                }
                known.renewed.insert(from, rename.to);
            }
            self.store.rename(from, rename, now).await
        })
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.store.list(subject, now)
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        if !self.has(Fault::Revives) {
            return self.store.end_all(subject, except, now);
        }
        Box::pin(async move {
            let listed = self.store.list(subject, now).await?;
            let ids = listed.iter().map(|listed| listed.id).filter(|id| Some(*id) != except);
            self.known().ended.extend(ids);
            Ok(())
        })
    }
}
