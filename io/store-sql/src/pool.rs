//! Connections, kept open and lent out one at a time.
//!
//! sqlx has a pool of its own, which asks a server whether a connection is still good each time one
//! is given back, and again when it is taken: two round trips more than the one that a load needs.
//! This one asks only when a connection was not used for a while, and otherwise learns it from the
//! call.
//!
//! Invariant: a connection comes back only from a call that ran to its end and left nothing open.
//! Whatever else happens to a [`Lease`] (its future is dropped, the call fails half-way, the server
//! does not answer in time) closes the connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::connection::{Connection, Target};
use crate::counters::{Counts, count};
use crate::error::Fault;
use crate::schema::Database;

/// Of the time that a call may take, the part that this question may: a server that is gone without a
/// word leaves the rest for a new connection, which may lead to another one.
const PING_PART: u32 = 4;

/// After so long without use a connection is asked whether it is still good: often enough that a
/// server that was restarted costs nobody an error who comes a second later, and never under load.
const TRUSTED_UNUSED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Pool {
    target: Target,
    idle: Mutex<Vec<(Connection, Instant)>>,
    permits: Arc<Semaphore>,
    counts: Arc<Counts>,
}

/// A connection that is in use by one call.
#[derive(Debug)]
pub(crate) struct Lease {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(target: Target, connections: usize, counts: Arc<Counts>) -> Self {
        Self {
            target,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(connections)),
            counts,
        }
    }

    /// Waits for a connection, as long as a call may take. So those who wait for one are no more than
    /// come in that time, however long a connection is held.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, Fault> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(self.target.timeout, permit).await;
        let permit = permit.map_err(|_elapsed| {
            Fault::unavailable("all connections were in use for as long as a call may take")
        })?;
        let permit = permit.map_err(Fault::unavailable)?;
        let mut lease = Lease { connection: None, pool: Arc::clone(self), _permit: permit };
        if let Some((mut connection, since)) = self.take_idle() {
            if since.elapsed() < TRUSTED_UNUSED || self.is_good(&mut connection).await {
                lease.connection = Some(connection);
                return Ok(lease);
            }
            count(&self.counts.disconnections, 1);
            self.forget_idle();
        }
        lease.connection = Some(self.target.open().await?);
        count(&self.counts.connections, 1);
        Ok(lease)
    }

    /// Whether it still leads to a server. A SQLite is in this process.
    async fn is_good(&self, connection: &mut Connection) -> bool {
        if connection.database() == Database::Sqlite {
            return true;
        }
        let answer = tokio::time::timeout(self.target.timeout / PING_PART, connection.ping());
        matches!(answer.await, Ok(Ok(())))
    }

    /// Puts a first connection in, which was opened by whoever made this pool.
    pub(crate) fn put(&self, connection: Connection) {
        count(&self.counts.connections, 1);
        self.idle().push((connection, Instant::now()));
    }

    fn take_idle(&self) -> Option<(Connection, Instant)> {
        self.idle().pop()
    }

    /// One connection broke, so the others lead to the same dead server.
    fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.idle());
        count(&self.counts.disconnections, u64::try_from(idle.len()).unwrap_or(0));
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// The connection.
    pub(crate) fn connection(&mut self) -> Result<&mut Connection, Fault> {
        self.connection.as_mut().ok_or_else(|| Fault::unavailable("the connection was given back"))
    }

    /// Ends the lease after a call that is not in a transaction any more.
    pub(crate) fn settle<T>(mut self, outcome: Result<T, Fault>) -> Result<T, Fault> {
        let is_good = match &outcome {
            Ok(_) => true,
            Err(fault) => fault.keeps_connection(),
        };
        if is_good {
            if let Some(connection) = self.connection.take() {
                self.pool.idle().push((connection, Instant::now()));
            }
        } else {
            self.pool.forget_idle();
        }
        outcome
    }

    /// Ends the lease after a call that may have left a transaction open if it failed.
    pub(crate) async fn settle_transaction<T>(
        mut self,
        outcome: Result<T, Fault>,
    ) -> Result<T, Fault> {
        if let Err(fault) = &outcome
            && fault.keeps_connection()
            && let Ok(connection) = self.connection()
            && connection.roll_back().await.is_err()
        {
            self.pool.forget_idle();
            return outcome;
        }
        self.settle(outcome)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.connection.is_some() {
            count(&self.pool.counts.disconnections, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use abide_servers::Postgres;

    use super::*;
    use crate::SqlStore;

    #[tokio::test]
    async fn nobody_waits_for_a_connection_longer_than_a_call_may_take() {
        let builder = SqlStore::builder("sqlite::memory:").cleanup(None);
        let store = builder.timeout(Duration::from_millis(50)).connect().await.unwrap();
        let held = store.shared.writers.lease().await.unwrap();
        let waiting = store.shared.writers.lease();
        let refused = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
        assert!(refused.is_err(), "{refused:?}");
        held.settle(Ok(())).unwrap();
        store.health().await.unwrap();
    }

    #[tokio::test]
    async fn connections_to_a_server_that_is_gone_without_a_word_are_all_given_up_at_once() {
        let server = Postgres::fast();
        let builder = SqlStore::builder(&server.url()).cleanup(None);
        let store = builder.timeout(Duration::from_secs(4)).connect().await.unwrap();
        let pool = &store.shared.readers;
        let leases = [pool.lease().await.unwrap(), pool.lease().await.unwrap()];
        for mut lease in leases {
            let long_ago = Instant::now().checked_sub(TRUSTED_UNUSED).unwrap();
            pool.idle().push((lease.connection.take().unwrap(), long_ago));
        }
        server.stop();
        // The new connection that follows hangs as well: it is the same server here.
        let lease = tokio::time::timeout(Duration::from_secs(3), pool.lease()).await;
        assert!(lease.is_err(), "{lease:?}");
        assert_eq!(store.counters().disconnections, 2);
        server.cont();
        store.health().await.unwrap();
    }
}
