//! A store in the memory of one process.

mod table;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, Store, StoreError,
    StoreFuture, Subject,
};
use abide_time::Time;
use bytes::Bytes;

use table::Table;

/// Keeps sessions in this process, for as long as it runs. Clones share what they keep.
///
/// It holds at most [`MemoryStore::SESSIONS`] live sessions and [`MemoryStore::BYTES`] bytes, or
/// what [`MemoryStore::bounded`] says, and is full then: it never forgets a live session to make
/// room. What has expired goes by itself, a few entries with each call. Of a session that has
/// ended, a mark of about 200 bytes stays until its hard deadline; marks count as bytes.
#[derive(Clone)]
pub struct MemoryStore {
    // One lock: a call holds it for about a microsecond, and never over an await.
    table: Arc<Mutex<Table>>,
}

impl MemoryStore {
    /// Live sessions unless said otherwise: more than one process serves.
    pub const SESSIONS: usize = 1_000_000;
    /// Bytes unless said otherwise: 256 MiB, about 500,000 small sessions.
    pub const BYTES: usize = 256 << 20;

    /// A store with the default bounds.
    pub fn new() -> Self {
        Self::bounded(Self::SESSIONS, Self::BYTES)
    }

    /// A store that holds at most so many live sessions, and so many bytes of sessions and marks.
    pub fn bounded(sessions: usize, bytes: usize) -> Self {
        Self { table: Arc::new(Mutex::new(Table::new(sessions, bytes))) }
    }

    /// How many live sessions it holds, expired ones that are not yet cleaned up included.
    pub fn sessions(&self) -> usize {
        self.table().sessions()
    }

    /// How many bytes it counts for sessions and marks.
    pub fn bytes(&self) -> usize {
        self.table().bytes()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // The table decides before it changes anything, so a panic leaves it whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call, and then some housekeeping: an expired session is found as such once more.
    fn call<T: Send + 'static>(
        &self,
        now: Time,
        call: impl FnOnce(&mut Table) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        Box::pin(async move {
            let mut table = self.table();
            let answer = call(&mut table);
            table.clean(now);
            answer
        })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.call(now, move |table| table.create(id, &changes, now))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.call(now, move |table| Ok(table.load(id, now)))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        self.call(now, move |table| table.commit(id, &changes, now))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.call(now, move |table| Ok(table.end(id, now)))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.call(now, move |table| table.rename(id, &rename, now))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        let subject = subject.clone();
        self.call(now, move |table| Ok(table.list(&subject, now)))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        let subject = subject.clone();
        self.call(now, move |table| {
            table.end_all(&subject, except, now);
            Ok(())
        })
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        self.call(now, move |table| table.scan(cursor.as_ref(), now).map(Some))
    }
}
