//! The store: each call of the contract, as steps on a connection.
//!
//! A call runs in a task of its own, which ends whether or not anybody waits for it: so a request
//! that is broken off leaves no transaction open and costs no connection.
//!
//! # How a session changes
//!
//! Every change of a session is made under the lock of its row and gives the row a later stamp.
//! What is frequent (a commit of values, an end) the database decides by itself, in one round trip.
//! Everything else takes the lock, loads the session, is decided here ([`crate::decide`]) and written
//! with one text.
//!
//! Locks are taken in one order: the rows of a session from the oldest id to the newest, then the row
//! of a subject. The cleaner takes only rows of sessions that nobody has, and waits for none; it holds
//! none of them when it takes the rows of subjects, each cleaner in the same order. So nobody waits in
//! a circle.
//!
//! # Why an end of all is final
//!
//! A subject's mark holds a stamp: sessions bound to it at that stamp or before have ended. Whoever
//! binds a session reads the mark (no lock), and takes a later stamp. Whoever ends all takes a stamp
//! that is not before any at which a session was bound. Of a bind and an end of all,
//!
//! * if the bind was answered before the end of all was called, its row is there to be read, so the
//!   mark is not before it: the session has ended;
//! * if the end of all was answered before the bind was called, the mark is there to be read, so the
//!   bind is after it: the session lives;
//! * if they overlap, either may be called the first, and which one it was follows from the stamps
//!   alone, for everybody and for good.
//!
//! No clock decides, so servers whose clocks differ may do both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, Store, StoreError,
    StoreFuture, Subject,
};
use abide_time::Time;
use bytes::Bytes;

use crate::builder::SqlStoreBuilder;
use crate::cleaner::Cleaner;
use crate::counters::Counters;
use crate::error::{ConnectError, Fault};
use crate::schema::Database;
use crate::steps::Shared;

/// A store of sessions in an SQL database. Clones share its connections.
#[derive(Clone)]
pub struct SqlStore {
    pub(crate) shared: Arc<Shared>,
    /// Ends with the last clone.
    _cleaner: Option<Arc<Cleaner>>,
}

impl SqlStore {
    /// Connects to the database of this URL, with the settings that a [`SqlStoreBuilder`] begins with,
    /// and makes the tables if they are not there.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// Settings of a store in the database of this URL.
    pub fn builder(url: &str) -> SqlStoreBuilder {
        SqlStoreBuilder::new(url)
    }

    pub(crate) fn of(shared: Arc<Shared>, cleaner: Option<Cleaner>) -> Self {
        Self { shared, _cleaner: cleaner.map(Arc::new) }
    }

    /// The SQL that makes the tables, for those whose application may not: run it as somebody who may,
    /// and connect with [`SqlStoreBuilder::migrate`] off.
    pub fn schema(database: Database) -> String {
        database.migrations().concat()
    }

    /// The kind of database that it is in.
    pub fn database(&self) -> Database {
        self.shared.database
    }

    /// Asks the database whether it could take a write now: one round trip.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also from a server that only lets read.
    pub async fn health(&self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        self.call(async move { shared.health().await }).await
    }

    /// What it has counted since it was connected.
    pub fn counters(&self) -> Counters {
        self.shared.counts.read()
    }

    /// Drops what has expired for a minute or more at `now`, and gives the number of rows of sessions
    /// that were dropped. It runs by itself too ([`SqlStoreBuilder::cleanup`]), and may run on any
    /// number of servers at once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]. What was dropped so far stays dropped.
    pub async fn cleanup(&self, now: Time) -> Result<u64, StoreError> {
        let shared = Arc::clone(&self.shared);
        // Not held to the time-out of a call: it is as many steps as there are batches, each of which
        // has a time-out of its own.
        let task = tokio::spawn(async move { shared.clean(now).await });
        flatten(task.await)
    }

    /// Runs a call in a task of its own, and waits for it as long as a call may take.
    fn call<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let timeout = self.shared.timeout;
        // A call to a SQLite is let run to its end, which is near: its connection may be the database.
        let is_remote = self.shared.database != Database::Sqlite;
        Box::pin(async move {
            let task = tokio::spawn(async move {
                if is_remote {
                    let outcome = tokio::time::timeout(timeout, work).await;
                    outcome.unwrap_or_else(|_elapsed| Err(no_answer(timeout)))
                } else {
                    work.await
                }
            });
            if is_remote {
                flatten(task.await)
            } else {
                let outcome = tokio::time::timeout(timeout, task).await;
                outcome.map_or_else(|_elapsed| Err(no_answer(timeout).into_store_error()), flatten)
            }
        })
    }
}

/// An end has no other error than this: who signs out has to try again.
const FULL_FOR_END: &str = "the database is full, and takes not even an end";

fn no_answer(timeout: Duration) -> Fault {
    Fault::unavailable(format!("the database did not answer within {timeout:?}"))
}

fn flatten<T>(outcome: Result<Result<T, Fault>, tokio::task::JoinError>) -> Result<T, StoreError> {
    match outcome {
        Ok(outcome) => outcome.map_err(Fault::into_store_error),
        Err(lost) => Err(StoreError::Unavailable(Box::new(lost))),
    }
}

/// Shows the kind of database and nothing of its address.
impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("database", &self.shared.database).finish_non_exhaustive()
    }
}

impl Store for SqlStore {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        let shared = Arc::clone(&self.shared);
        self.call(async move { shared.create(id, &changes, now).await })
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        let shared = Arc::clone(&self.shared);
        self.call(async move { shared.load(id, now).await })
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        let shared = Arc::clone(&self.shared);
        self.call(async move { shared.commit(id, &changes, now).await })
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        let shared = Arc::clone(&self.shared);
        let ended = self.call(async move { shared.end(id, now).await });
        Box::pin(async move {
            ended.await.map_err(|error| match error {
                StoreError::Full => Fault::unavailable(FULL_FOR_END).into_store_error(),
                error => error,
            })
        })
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        let shared = Arc::clone(&self.shared);
        self.call(async move { shared.rename(id, &rename, now).await })
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        let (shared, subject) = (Arc::clone(&self.shared), subject.clone());
        self.call(async move { shared.list(&subject, now).await })
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        let (shared, subject) = (Arc::clone(&self.shared), subject.clone());
        self.call(async move { shared.end_all(&subject, except, now).await })
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        let shared = Arc::clone(&self.shared);
        self.call(async move { shared.scan(cursor, now).await.map(Some) })
    }
}
