//! One server, and the connections to it.
//!
//! A call takes a connection for one exchange and gives it back, so nobody ever holds one while
//! waiting for another. A connection that is not in step when it is given back is closed.
//!
//! A token for compare-and-swap is good only as long as the server runs: after a restart it counts
//! anew, and an item made since may bear the number that another bore before. So a token is used
//! only on a connection that was there when the token was read ([`Server::ask`]): a connection does
//! not survive a restart, so the server has not been restarted in between.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::connection::{Connection, Credentials};
use crate::counters::Tally;
use crate::error::Trouble;
use crate::protocol::{Reply, Request};

#[derive(Debug)]
pub(crate) struct Server {
    address: String,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    timeout: Duration,
    tally: Arc<Tally>,
    vitals: Mutex<Option<Vitals>>,
}

/// What a server said of itself last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Vitals {
    process: String,
    evictions: u64,
}

impl Server {
    pub(crate) fn new(
        address: String,
        credentials: Option<Credentials>,
        (connections, timeout): (usize, Duration),
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            address,
            credentials,
            idle: Mutex::default(),
            permits: Semaphore::new(connections),
            timeout,
            tally,
            vitals: Mutex::default(),
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends commands at once and gives their answers. If they use tokens, `read_at` is when those
    /// were read, and the answer is [`Trouble::TooNew`] if no connection is old enough.
    ///
    /// What only reads is sent again if a connection that was in use before turns out to be broken.
    pub(crate) async fn ask(
        &self,
        requests: &[Request<'_>],
        read_at: Option<Instant>,
    ) -> Result<Vec<Reply>, Trouble> {
        self.in_time(self.ask_and_wait(requests, read_at)).await
    }

    /// Waits for this no longer than for anything else.
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let late = format!("no answer within {} ms", self.timeout.as_millis());
                Err(io::Error::new(io::ErrorKind::TimedOut, late).into())
            }
        }
    }

    async fn ask_and_wait(
        &self,
        requests: &[Request<'_>],
        read_at: Option<Instant>,
    ) -> Result<Vec<Reply>, Trouble> {
        let mut lease = self.lease().await?;
        if let (Some(read_at), Some(connection)) = (read_at, &lease.connection)
            && connection.since() > read_at
        {
            return Err(Trouble::TooNew);
        }
        let only_reads = requests.iter().all(|request| matches!(request, Request::Get(_)));
        let outcome = lease.exchange(requests).await;
        match outcome {
            Err(Trouble::Io(_)) if only_reads && lease.is_used => {
                self.tally.retries_after_disconnect.one();
                self.tally.reconnects.one();
                lease.connection = Some(self.open().await?);
                lease.exchange(requests).await
            }
            outcome => outcome,
        }
    }

    /// A connection, when there is one to be had.
    pub(crate) async fn lease(&self) -> Result<Lease<'_>, Trouble> {
        let permit = self.permits.acquire().await;
        let permit = permit.map_err(|closed| io::Error::other(closed.to_string()))?;
        loop {
            let idle = self.idle().pop();
            match idle {
                Some(connection) if connection.is_usable() => {
                    let connection = Some(connection);
                    return Ok(Lease { connection, is_used: true, server: self, _permit: permit });
                }
                Some(_) => self.tally.reconnects.one(),
                None => {
                    let connection = Some(self.open().await?);
                    return Ok(Lease { connection, is_used: false, server: self, _permit: permit });
                }
            }
        }
    }

    /// Asks how the server is, and takes note of what it has evicted and whether it was restarted.
    pub(crate) async fn check(&self) -> Result<(), Trouble> {
        let statistics = self.statistics("").await?;
        let find = |name: &str| {
            let mut found = statistics.iter().filter(|(found, _)| found == name);
            found.next().map_or("", |(_, value)| value.as_str())
        };
        let evictions = find("evictions").parse().unwrap_or(0);
        let now = Vitals { process: find("pid").to_owned(), evictions };
        let mut vitals = self.vitals.lock().unwrap_or_else(PoisonError::into_inner);
        match &*vitals {
            Some(before) if before.process == now.process => {
                self.tally.evicted.add(now.evictions.saturating_sub(before.evictions));
            }
            Some(_) => {
                self.tally.restarts.one();
                self.tally.evicted.add(now.evictions);
            }
            None => {}
        }
        *vitals = Some(now);
        Ok(())
    }

    /// The answer to `stats`, with an argument or without.
    pub(crate) async fn statistics(&self, of: &str) -> Result<Vec<(String, String)>, Trouble> {
        self.in_time(async { self.lease().await?.connection()?.statistics(of).await }).await
    }

    async fn open(&self) -> Result<Connection, Trouble> {
        Connection::open(&self.address, self.credentials.as_ref()).await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        // Pushing to and popping from it leave it whole.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use. It goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    connection: Option<Connection>,
    /// Whether it served others before.
    is_used: bool,
    server: &'a Server,
    _permit: SemaphorePermit<'a>,
}

impl Lease<'_> {
    pub(crate) fn connection(&mut self) -> Result<&mut Connection, Trouble> {
        let missing = || io::Error::from(io::ErrorKind::NotConnected).into();
        self.connection.as_mut().ok_or_else(missing)
    }

    async fn exchange(&mut self, requests: &[Request<'_>]) -> Result<Vec<Reply>, Trouble> {
        self.connection()?.exchange(requests).await
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) if connection.is_in_step() => self.server.idle().push(connection),
            Some(_) => self.server.tally.reconnects.one(),
            None => {}
        }
    }
}
