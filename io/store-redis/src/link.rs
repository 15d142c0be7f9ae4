//! The connections to one server.
//!
//! Each lane holds one connection, or none. Whoever finds none makes it, while others wait for that
//! one attempt; after a failed one nobody tries for [`PAUSE`].

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::address::Address;
use crate::counters::{Tally, count};
use crate::dial::{Connection, Dial};
use crate::error::ConnectError;

/// How long nobody tries after a failed attempt: a server that comes back is found at once, and one
/// that is away is not knocked at by each request.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Link {
    address: Address,
    lanes: Vec<Lane>,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct Lane {
    current: RwLock<Option<Arc<Connection>>>,
    /// When an attempt failed last, and why.
    attempt: Mutex<Option<(Instant, Arc<ConnectError>)>>,
    was_made: AtomicBool,
}

impl Link {
    pub(crate) fn new(address: Address, lanes: usize) -> Self {
        let lanes = std::iter::repeat_with(Lane::default).take(lanes).collect();
        Self { address, lanes, turn: AtomicUsize::new(0) }
    }

    /// A connection; made if there is none.
    pub(crate) async fn connection(
        &self,
        dial: &Dial,
        tally: &Tally,
        deadline: Instant,
    ) -> Result<Arc<Connection>, Arc<ConnectError>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let turn = turn.checked_rem(self.lanes.len()).unwrap_or_default();
        let Some(lane) = self.lanes.get(turn) else { return Err(self.late()) };
        if let Some(connection) = lane.current() {
            return Ok(connection);
        }
        let Ok(mut attempt) = timeout_at(deadline, lane.attempt.lock()).await else {
            return Err(self.late());
        };
        if let Some(connection) = lane.current() {
            return Ok(connection);
        }
        if let Some((failed, error)) = &*attempt
            && failed.elapsed() < PAUSE
        {
            return Err(Arc::clone(error));
        }
        match timeout_at(deadline, dial.server(&self.address)).await {
            Ok(Ok(connection)) => {
                if lane.was_made.swap(true, Ordering::Relaxed) || attempt.is_some() {
                    count(&tally.reconnects);
                }
                let connection = Arc::new(connection);
                lane.set(Arc::clone(&connection));
                *attempt = None;
                Ok(connection)
            }
            Ok(Err(error)) => {
                let error = Arc::new(error);
                *attempt = Some((Instant::now(), Arc::clone(&error)));
                Err(error)
            }
            Err(_) => {
                let error = self.late();
                *attempt = Some((Instant::now(), Arc::clone(&error)));
                Err(error)
            }
        }
    }

    fn late(&self) -> Arc<ConnectError> {
        Arc::new(late(&self.address))
    }
}

impl Lane {
    fn current(&self) -> Option<Arc<Connection>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|connection| connection.is_usable()).map(Arc::clone)
    }

    fn set(&self, connection: Arc<Connection>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }
}

/// There was no connection in time.
pub(crate) fn late(address: &Address) -> ConnectError {
    let cause = std::io::Error::new(std::io::ErrorKind::TimedOut, "no connection in time");
    ConnectError::Unreachable { address: address.to_string(), cause: Box::new(cause) }
}
