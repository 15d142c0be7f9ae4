//! Sends calls to the server that has the key, and sends them again where that is right.
//!
//! Three things can go wrong, and what is right after each differs:
//!
//! * The call was not carried out: there was no connection, or the server said why not. It is sent
//!   again, elsewhere if the server says so, after a pause if it is not ready.
//! * Nobody knows: the connection broke, or no answer came in time. Reads and ends are sent again,
//!   because twice is the same as once. Other writes are not: a counter would count twice, and the
//!   answer to a create, a commit with expectations or a rename would be another one.
//! * The server refuses for good: that is the answer.
//!
//! All of it happens within the time that a call may take, and so many times at most.

mod attempt;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use abide_session::StoreError;
use redis::{Cmd, Value};
use tokio::time::{Instant, sleep_until};

use crate::address::{Address, Target};
use crate::counters::{Counters, Tally, count};
use crate::dial::{Connection, Dial, Server, unsuitable};
use crate::error::ConnectError;
use crate::format::unexpected;
use crate::link::Link;
use crate::routes::Routes;
use crate::script::Call;

use attempt::{Failure, Next, Way};
pub(crate) use attempt::{one, unavailable};

/// Times that a call is sent at most.
const ATTEMPTS_MAX: usize = 7;

/// What is waited before the second attempt, the third, and so on: in all less than half of the
/// default time-out, because an answer in time is worth more than a late one.
const PAUSES_MS: [u64; ATTEMPTS_MAX - 1] = [5, 20, 60, 120, 250, 400];

#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) timeout: Duration,
    pub(crate) connections: usize,
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) replicas: Option<Replicas>,
}

/// How many replicas have to confirm a write, and within what time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replicas {
    pub(crate) replicas: u16,
    pub(crate) timeout: Duration,
}

#[derive(Debug)]
pub(crate) struct Client {
    settings: Settings,
    dial: Dial,
    routes: Routes,
    links: RwLock<HashMap<Address, Arc<Link>>>,
    tally: Tally,
}

/// What is to be sent, and what may be done if its answer is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request<'a> {
    /// Reads: sent again.
    Read(&'a [Cmd], u16),
    /// A script that is sent again: what it does twice is the same as once.
    Repeatable(&'a Call),
    /// A script that is not.
    Once(&'a Call),
}

/// What came back.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    /// One for each command.
    pub(crate) values: Vec<Value>,
    /// An answer was lost before: what was asked for may have been done already when this was said.
    pub(crate) is_second: bool,
}

impl Request<'_> {
    fn slot(&self) -> u16 {
        match self {
            Self::Read(_, slot) => *slot,
            Self::Repeatable(call) | Self::Once(call) => call.slot(),
        }
    }

    const fn is_write(&self) -> bool {
        !matches!(self, Self::Read(..))
    }

    const fn may_repeat(&self) -> bool {
        !matches!(self, Self::Once(_))
    }

    const fn is_several(&self) -> bool {
        matches!(self, Self::Read(commands, _) if commands.len() > 1)
    }

    fn commands(&self, whole: bool) -> Vec<Cmd> {
        match self {
            Self::Read(commands, _) => commands.to_vec(),
            Self::Repeatable(call) | Self::Once(call) => vec![call.command(whole)],
        }
    }
}

impl Client {
    /// Finds the servers, connects to each, and looks whether they can keep sessions.
    pub(crate) async fn connect(target: Target, settings: Settings) -> Result<Self, ConnectError> {
        let dial = Dial::new(&target, settings.authority.as_deref())?;
        let client = Self {
            routes: Routes::new(target.place.clone()),
            dial,
            settings,
            links: RwLock::default(),
            tally: Tally::default(),
        };
        let deadline = client.deadline();
        // While a primary is being replaced, the sentinels may still name the old one.
        let mut pauses = PAUSES_MS.iter();
        loop {
            let Err(error) = client.look(deadline).await else { return Ok(client) };
            let lasting = client.routes.is_single() || !is_passing(&error);
            let Some(pause) = pauses.next().filter(|_| !lasting) else { return Err(error) };
            sleep_until(deadline.min(Instant::now() + Duration::from_millis(*pause))).await;
            client.routes.doubt();
            if Instant::now() >= deadline {
                return Err(error);
            }
        }
    }

    async fn look(&self, deadline: Instant) -> Result<(), ConnectError> {
        self.routes.refresh(&self.dial, deadline).await?;
        for address in self.routes.table().servers() {
            let connection =
                self.link(&address).connection(&self.dial, &self.tally, deadline).await;
            let connection = connection.map_err(|error| copy(&error))?;
            self.check(&address, &connection.server)?;
            if let Some(policy) = &connection.server.evicts {
                tracing::warn!(
                    server = %address,
                    policy,
                    "this server forgets sessions when its memory is full: users are signed out, and \
                     logouts can be undone; set maxmemory-policy to noeviction"
                );
            }
        }
        Ok(())
    }

    /// Whether this server is what the address speaks of.
    fn check(&self, address: &Address, server: &Server) -> Result<(), ConnectError> {
        if self.routes.is_single() && server.in_cluster {
            return Err(unsuitable(address, "it is part of a cluster; write redis+cluster://"));
        }
        if !server.is_primary {
            return Err(unsuitable(
                address,
                "it is a read-only replica; name its primary, or the sentinels that know it",
            ));
        }
        Ok(())
    }

    pub(crate) fn counters(&self) -> Counters {
        self.tally.read()
    }

    /// Asks the server that has the key, and gives its replies.
    pub(crate) async fn ask(&self, request: Request<'_>) -> Result<Vec<Value>, StoreError> {
        Ok(self.ask_repeatable(request).await?.values)
    }

    /// The same, for a call to which the answer depends on whether it was carried out before.
    pub(crate) async fn ask_repeatable(&self, request: Request<'_>) -> Result<Replies, StoreError> {
        let deadline = self.deadline();
        if let Some(replies) = self.ask_until(request, deadline).await? {
            return Ok(replies);
        }
        let Request::Read(commands, slot) = request else { return Err(unexpected()) };
        let mut replies = Replies::default();
        for command in commands.chunks(1) {
            let read = self.ask_until(Request::Read(command, slot), deadline).await?;
            replies.values.extend(read.unwrap_or_default().values);
        }
        Ok(replies)
    }

    /// The same until then. None if the slot is moving to another server and several keys are to be
    /// read: each moves by itself, and a server that has not got one yet would say that it is not
    /// there.
    async fn ask_until(
        &self,
        request: Request<'_>,
        deadline: Instant,
    ) -> Result<Option<Replies>, StoreError> {
        if self.routes.take_suspicion() {
            // If nobody knows a new way, the old one may still be right.
            let _ = self.routes.refresh(&self.dial, deadline).await;
            self.forget_links();
        }
        let mut redirected = None;
        let mut whole = false;
        let mut is_second = false;
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS_MAX {
            let way = redirected.take().or_else(|| {
                let address = self.routes.table().server(request.slot())?.clone();
                Some(Way { address, asking: false, whole })
            });
            let Some(way) = way else {
                "no server has this slot".clone_into(&mut reason);
                self.find_again(attempt, deadline).await;
                continue;
            };
            match self.attempt(&way, request, deadline).await {
                Next::Done(values) => return Ok(Some(Replies { values, is_second })),
                Next::Give(error) => return Err(error),
                Next::Whole => {
                    count(&self.tally.scripts_sent);
                    whole = true;
                    // The same server: it is not somewhere else for lack of a script.
                    redirected = Some(Way { whole, ..way });
                }
                Next::GoTo(_, true) if request.is_several() => return Ok(None),
                Next::GoTo(address, asking) => {
                    count(&self.tally.repeated_moved);
                    reason = format!("{} says that {address} has the key", way.address);
                    if !asking {
                        let _ = self.routes.refresh(&self.dial, deadline).await;
                    }
                    redirected = Some(Way { address, asking, whole });
                }
                Next::Wait(failure, why) => {
                    reason = why;
                    count(match failure {
                        Failure::NotReady => &self.tally.repeated_not_ready,
                        Failure::ReadOnly => &self.tally.repeated_read_only,
                        Failure::Disconnected | Failure::Unanswered => {
                            &self.tally.repeated_disconnected
                        }
                    });
                    is_second |= matches!(failure, Failure::Unanswered);
                    self.find_again(attempt, deadline).await;
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        Err(unavailable(&reason))
    }

    /// The way to the servers may have changed.
    pub(crate) fn suspect(&self) {
        self.routes.suspect();
    }

    /// The servers that have slots now, and the way to each of them.
    pub(crate) async fn servers(&self) -> Result<Vec<(Address, Arc<Connection>)>, StoreError> {
        let deadline = self.deadline();
        if self.routes.take_suspicion() {
            let _ = self.routes.refresh(&self.dial, deadline).await;
        }
        let mut servers = Vec::new();
        for address in self.routes.table().servers() {
            let connection =
                self.link(&address).connection(&self.dial, &self.tally, deadline).await;
            match connection {
                Ok(connection) => servers.push((address, connection)),
                Err(error) => {
                    self.routes.suspect();
                    return Err(unavailable(&error.to_string()));
                }
            }
        }
        Ok(servers)
    }

    /// Asks one server, whatever it has. Nothing is sent again.
    pub(crate) async fn ask_server(
        &self,
        address: &Address,
        connection: &Connection,
        commands: &[Cmd],
    ) -> Result<Vec<Value>, StoreError> {
        let exchanged = tokio::time::timeout(self.settings.timeout, connection.exchange(commands));
        let Ok(Ok(replies)) = exchanged.await else {
            connection.suspect();
            self.routes.suspect();
            count(&self.tally.unanswered);
            return Err(unavailable(&format!("{address} did not answer")));
        };
        for reply in &replies {
            if let Value::ServerError(error) = reply {
                return Err(unavailable(&crate::dial::shown(error)));
            }
        }
        Ok(replies)
    }

    /// Waits a little, and then asks for the way.
    async fn find_again(&self, attempt: usize, deadline: Instant) {
        let pause = PAUSES_MS.get(attempt).copied().unwrap_or_default();
        sleep_until(deadline.min(Instant::now() + Duration::from_millis(pause))).await;
        if attempt > 0 {
            self.routes.doubt();
        }
        let _ = self.routes.refresh(&self.dial, deadline).await;
        self.forget_links();
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    fn link(&self, address: &Address) -> Arc<Link> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(address) {
            return Arc::clone(link);
        }
        drop(links);
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        let lanes = self.settings.connections;
        let link = || Arc::new(Link::new(address.clone(), lanes));
        Arc::clone(links.entry(address.clone()).or_insert_with(link))
    }

    /// Lets go of connections to servers that have no slots any more.
    fn forget_links(&self) {
        let servers = self.routes.table().servers();
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        if links.len() > servers.len() {
            links.retain(|address, _| servers.contains(address));
        }
    }
}

/// Whether it may be otherwise in a moment.
fn is_passing(error: &ConnectError) -> bool {
    match error {
        ConnectError::Unreachable { .. } => true,
        ConnectError::Unsuitable { reason, .. } => reason.contains("replica"),
        ConnectError::Url { .. } | ConnectError::Refused { .. } => false,
    }
}

/// The same error once more, for one of several that waited for it.
fn copy(error: &ConnectError) -> ConnectError {
    match error {
        ConnectError::Url { part, example } => ConnectError::Url { part: part.clone(), example },
        ConnectError::Unreachable { address, cause } => {
            ConnectError::Unreachable { address: address.clone(), cause: cause.to_string().into() }
        }
        ConnectError::Refused { address, reason } => {
            ConnectError::Refused { address: address.clone(), reason: reason.clone() }
        }
        ConnectError::Unsuitable { address, reason } => {
            ConnectError::Unsuitable { address: address.clone(), reason: reason.clone() }
        }
    }
}
