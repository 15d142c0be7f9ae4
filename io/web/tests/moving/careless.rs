//! A store that can not be walked through, and is careless about old ids.

use abide::store::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, OldId, Rename, StoreFuture, Subject, Time,
};
use abide::{MemoryStore, Store};

#[derive(Debug)]
pub(crate) struct Careless {
    /// What it makes of an old id that it should freeze.
    pub(crate) freezes_as: OldId,
    pub(crate) store: MemoryStore,
}

impl Store for Careless {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.store.create(id, changes, now)
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.store.load(id, now)
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        self.store.commit(id, changes, now)
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.store.end(id, now)
    }

    fn rename(&self, id: IdHash, mut rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        if rename.old == OldId::Freezes {
            rename.old = self.freezes_as;
        }
        self.store.rename(id, rename, now)
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
        self.store.end_all(subject, except, now)
    }
}
