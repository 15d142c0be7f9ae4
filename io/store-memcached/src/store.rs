//! The store: time limits around what the sessions do, and tasks for what must not stop half-way.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, Store, StoreError,
    StoreFuture, Subject,
};
use abide_time::Time;
use bytes::Bytes;
use tokio::task::JoinSet;

use crate::connect::Builder;
use crate::counters::Counters;
use crate::error::{ConnectError, unavailable};
use crate::sessions::Sessions;

/// Keeps sessions in Memcached. Clones share connections and counters.
#[derive(Clone)]
pub struct MemcachedStore {
    sessions: Arc<Sessions>,
    timeout: Duration,
}

impl MemcachedStore {
    /// How long a call may take unless said otherwise: a hundred times what it takes, and less than
    /// a visitor waits.
    pub const TIMEOUT: Duration = Duration::from_secs(2);
    /// Connections to each server unless said otherwise. One is busy for about a tenth of a
    /// millisecond for each request, so this many carry a hundred thousand a second.
    pub const CONNECTIONS: usize = 16;
    /// What the names of all items begin with unless said otherwise.
    pub const PREFIX: &'static str = "abide.";

    /// Connects with defaults: `memcached://[user:password@]host[:port][,host[:port]...]`. Every
    /// process of an application has to name the same servers, in any order.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// A store for the servers of this URL, to be configured and connected.
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    pub(crate) fn new(sessions: Sessions, timeout: Duration) -> Self {
        Self { sessions: Arc::new(sessions), timeout }
    }

    /// What is behind it, without time limits.
    #[cfg(test)]
    pub(crate) fn into_sessions(self) -> Arc<Sessions> {
        self.sessions
    }

    /// Asks every server how it is, one round trip for each and all at once, and takes note of what
    /// they evicted and whether they were restarted ([`Counters::evicted`], [`Counters::restarts`]).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if one does not answer; it names the server.
    pub async fn health(&self) -> Result<(), StoreError> {
        let mut checks = JoinSet::new();
        for place in 0..self.sessions.cluster.servers().len() {
            let sessions = Arc::clone(&self.sessions);
            checks.spawn(async move {
                let Some(server) = sessions.cluster.servers().get(place) else { return Ok(()) };
                server.check().await.map_err(|trouble| trouble.at(server.address()))
            });
        }
        let outcomes = checks.join_all().await;
        outcomes.into_iter().collect()
    }

    /// What happened since the store was connected.
    pub fn counters(&self) -> Counters {
        self.sessions.cluster.tally.read()
    }

    /// Waits for this as long as a call may take.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let limit = self.timeout.as_millis();
                Err(unavailable(format!("memcached took longer than {limit} ms")))
            }
        }
    }

    /// A call of several steps, which goes on if nobody waits for it any more. Each of its steps has
    /// a time limit of its own.
    async fn to_the_end<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let task = tokio::spawn(call);
        self.in_time(async {
            match task.await {
                Ok(outcome) => outcome,
                Err(error) => Err(StoreError::Unavailable(error.into())),
            }
        })
        .await
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.sessions.cluster.servers().iter();
        let addresses: Vec<_> = servers.map(crate::server::Server::address).collect();
        f.debug_struct("MemcachedStore").field("servers", &addresses).finish_non_exhaustive()
    }
}

impl Store for MemcachedStore {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        Box::pin(async move { self.in_time(self.sessions.create(id, &changes, now)).await })
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(async move { self.in_time(self.sessions.load(id, now)).await })
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move { self.in_time(self.sessions.commit(id, &changes, now)).await })
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        Box::pin(async move { self.in_time(self.sessions.end(id, now)).await })
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(async move {
            let sessions = Arc::clone(&self.sessions);
            self.to_the_end(async move { sessions.rename(id, &rename, now).await }).await
        })
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        Box::pin(async move { self.in_time(self.sessions.list(subject, now)).await })
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let (sessions, subject) = (Arc::clone(&self.sessions), subject.clone());
            self.to_the_end(async move { sessions.end_all(&subject, except, now).await }).await
        })
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        // Not in the time of a request: a server lists all its keys for it. Each line has to come in
        // time.
        Box::pin(async move { self.sessions.scan(cursor, now).await.map(Some) })
    }
}
