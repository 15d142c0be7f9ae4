//! The shop servers of the demo, owned by one task.
//!
//! The task takes orders one at a time, and looks at every server when somebody asks and twice a
//! second anyway. What happened is kept as sentences, the newest last.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::Method;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::child::Child;
use crate::commands::new_key;
use crate::exchange;
use crate::failure::Failure;
use crate::keep::{KEEP_VARIABLE, Keep};
use crate::process;
use crate::shop::Status;

/// Sentences kept: what fits on a screen.
const EVENTS_MAX: usize = 20;
/// Orders that may wait. There is one page and one terminal.
const ORDERS_MAX: usize = 64;
/// How often servers are looked at, whoever asks.
const LOOK_MS: u64 = 500;
/// What was seen so long ago is still good enough to show: many pages cost no more than one.
const FRESH_MS: u64 = 100;
/// How long the start waits for servers that are nodes to have divided the work.
const FILL_MS_MAX: u64 = 5_000;
/// From the order to stop a server until it is killed: the order may have come through that very
/// server, and its answer has to get out.
const LAST_ANSWER_MS: u64 = 150;

/// What can be asked of the fleet.
#[derive(Debug)]
pub(super) enum Order {
    /// How are they?
    Show(oneshot::Sender<Report>),
    /// Kill this server, by name. The answer is false if there is none of that name that runs.
    Stop(String, oneshot::Sender<bool>),
    /// Start it again. False likewise.
    Start(String, oneshot::Sender<bool>),
    /// Stop it if it runs, start it if not; by place, as the terminal's keys have it.
    Toggle(usize),
    /// End all of them.
    End,
}

/// What the page shows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    kept: &'static str,
    servers: Vec<ServerReport>,
    events: Vec<Event>,
}

#[derive(Clone, Debug, Serialize)]
struct ServerReport {
    name: String,
    address: SocketAddr,
    state: &'static str,
    /// None where no server holds any.
    sessions: Option<usize>,
    requests: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Event {
    at_ms: u64,
    text: String,
}

/// A way to give orders, and its other end.
pub(super) fn channel() -> (mpsc::Sender<Order>, mpsc::Receiver<Order>) {
    mpsc::channel(ORDERS_MAX)
}

/// Where all servers keep sessions, and what they need to do that alike.
pub(super) struct Sessions {
    keep: Keep,
    keys: Option<String>,
}

impl Sessions {
    /// Sealed with keys drawn just now, if they are in the browsers; with those that were given, if
    /// they are sealed in a store.
    pub(super) fn new(keep: Keep, given_keys: Option<String>) -> Result<Self, Failure> {
        let keys = match &keep {
            Keep::Cookie | Keep::Nodes(_) => Some(new_key()?),
            Keep::Store(address) if address.is_sealed() => given_keys,
            Keep::Memory | Keep::Store(_) => None,
        };
        Ok(Self { keep, keys })
    }

    /// What a server holds that has just begun.
    fn at_first(&self) -> Option<usize> {
        matches!(self.keep, Keep::Memory | Keep::Nodes(_)).then_some(0)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("keep", &self.keep).finish_non_exhaustive()
    }
}

/// All servers.
#[derive(Debug)]
pub(super) struct Fleet {
    sessions: Sessions,
    control: SocketAddr,
    servers: Vec<Server>,
    looked: Instant,
    events: VecDeque<Event>,
}

#[derive(Debug)]
struct Server {
    name: String,
    /// Stays the same over restarts.
    address: SocketAddr,
    child: Option<Child>,
    /// When it is to be killed.
    doomed: Option<Instant>,
    /// What it last said of itself.
    sessions: Option<usize>,
    requests: u64,
    is_filled: bool,
}

impl Fleet {
    /// Starts so many servers, named a, b, c and so on.
    pub(super) async fn start(
        count: usize,
        sessions: Sessions,
        control: SocketAddr,
    ) -> Result<Self, Failure> {
        let (servers, events) = (Vec::new(), VecDeque::new());
        let mut fleet = Self { sessions, control, servers, looked: Instant::now(), events };
        for name in super::names().take(count) {
            let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
            let child = fleet.start_child(&name, anywhere).await?;
            let address = child.address("listen")?;
            let (child, doomed) = (Some(child), None);
            let (sessions, requests) = (fleet.sessions.at_first(), 0);
            let server =
                Server { name, address, child, doomed, sessions, requests, is_filled: true };
            fleet.servers.push(server);
        }
        fleet.await_copies().await;
        Ok(fleet)
    }

    /// Nodes that have just found each other divide the work; what begins after that stays where it is.
    async fn await_copies(&mut self) {
        let until = Instant::now() + Duration::from_millis(FILL_MS_MAX);
        loop {
            self.look().await;
            if self.servers.iter().all(|server| server.is_filled) || Instant::now() >= until {
                return;
            }
            tokio::time::sleep(Duration::from_millis(FRESH_MS)).await;
        }
    }

    async fn start_child(&self, name: &str, address: SocketAddr) -> Result<Child, Failure> {
        let arguments = [
            "app".to_owned(),
            "--exit-with-stdin".to_owned(),
            format!("--listen={address}"),
            format!("--name={name}"),
            format!("--demo-control={}", self.control),
        ];
        let keep = [(KEEP_VARIABLE, self.sessions.keep.expose())];
        Child::start(&arguments, &keep, self.sessions.keys.as_deref()).await
    }

    /// Names and addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.servers.iter().map(|server| (server.name.as_str(), server.address))
    }

    /// Names, addresses and process numbers, for the ready line.
    pub(super) fn processes(&self) -> Vec<serde_json::Value> {
        let describe = |server: &Server| {
            serde_json::json!({
                "name": server.name, "listen": server.address.to_string(),
                "pid": server.child.as_ref().map(Child::pid),
            })
        };
        self.servers.iter().map(describe).collect()
    }

    /// Takes orders until there is nobody left to give them, or [`Order::End`].
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut look = interval(Duration::from_millis(LOOK_MS));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let doom = self.servers.iter().filter_map(|server| server.doomed).min();
            let next_death = async {
                match doom {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    None | Some(Order::End) => break,
                    Some(order) => self.obey(order).await,
                },
                () = next_death => self.kill_doomed().await,
                _ = look.tick() => self.look().await,
            }
        }
        for server in &mut self.servers {
            if let Some(mut child) = server.child.take() {
                child.stop().await;
            }
        }
    }

    // Whoever gave an order and went away needs no answer.
    async fn obey(&mut self, order: Order) {
        match order {
            Order::Show(answer) => {
                if self.looked.elapsed() > Duration::from_millis(FRESH_MS) {
                    self.look().await;
                }
                _ = answer.send(self.report());
            }
            Order::Stop(name, answer) => {
                let place = self.place(&name);
                let found = if let Some(place) = place { self.doom(place).await } else { false };
                _ = answer.send(found);
            }
            Order::Start(name, answer) => {
                let place = self.place(&name);
                let found = if let Some(place) = place { self.revive(place).await } else { false };
                _ = answer.send(found);
            }
            Order::Toggle(place) => {
                if !self.doom(place).await {
                    self.revive(place).await;
                }
            }
            Order::End => {}
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.servers.iter().position(|server| server.name == name)
    }

    /// Marks a running server to be killed. False if it does not run.
    async fn doom(&mut self, place: usize) -> bool {
        // How many sessions it holds is worth knowing exactly, a last time.
        self.look().await;
        let Some(server) = self.servers.get_mut(place).filter(|server| server.child.is_some())
        else {
            return false;
        };
        let at = Instant::now() + Duration::from_millis(LAST_ANSWER_MS);
        server.doomed.get_or_insert(at);
        true
    }

    async fn kill_doomed(&mut self) {
        let now = Instant::now();
        let mut killed = Vec::new();
        for server in &mut self.servers {
            if server.doomed.is_some_and(|at| at <= now) {
                server.doomed = None;
                if let Some(mut child) = server.child.take() {
                    child.kill().await;
                    killed.push((server.name.clone(), server.sessions.unwrap_or(0)));
                    (server.sessions, server.requests) = (self.sessions.at_first(), 0);
                }
            }
        }
        for (name, held) in killed {
            self.note(format!("Server {name} was killed. {}", self.loss(held)));
        }
    }

    /// Starts a stopped server again, at its old address. False if it runs, or can not start.
    async fn revive(&mut self, place: usize) -> bool {
        let Some(server) = self.servers.get(place).filter(|server| server.child.is_none()) else {
            return false;
        };
        let (name, address) = (server.name.clone(), server.address);
        match self.start_child(&name, address).await {
            Ok(child) => {
                if let Some(server) = self.servers.get_mut(place) {
                    server.child = Some(child);
                    server.is_filled = !matches!(self.sessions.keep, Keep::Nodes(_));
                }
                let with = match &self.sessions.keep {
                    Keep::Memory => "with an empty memory".to_owned(),
                    Keep::Nodes(_) if self.others_run(&name) => {
                        "with an empty memory, and gets its copies from the others".to_owned()
                    }
                    Keep::Nodes(_) => "with an empty memory".to_owned(),
                    Keep::Cookie => "with the same keys, so it opens every session".to_owned(),
                    Keep::Store(address) => {
                        format!("and finds every session in {}", address.kind().name())
                    }
                };
                let text = format!("Server {name} was started again, {with}.");
                self.note(text);
                true
            }
            Err(failure) => {
                tracing::error!(server = name, %failure, "a server can not be started again");
                self.note(format!("Server {name} can not be started again: {failure}"));
                false
            }
        }
    }

    /// Asks every running server how it is, and notices those that have ended.
    async fn look(&mut self) {
        let mut ended = Vec::new();
        for server in &mut self.servers {
            let Some(child) = &mut server.child else { continue };
            if child.has_ended() {
                server.child = None;
                server.doomed = None;
                ended.push((server.name.clone(), server.sessions.unwrap_or(0)));
                (server.sessions, server.requests) = (self.sessions.at_first(), 0);
                continue;
            }
            // A server that does not answer right now keeps its last figures.
            if let Ok((_, body)) = exchange::ask(server.address, Method::GET, "/status").await
                && let Ok(status) = serde_json::from_slice::<Status>(&body)
            {
                (server.sessions, server.requests) = (status.sessions, status.requests);
                server.is_filled = status.is_filled;
            }
        }
        for (name, held) in ended {
            self.note(format!("Server {name} ended without our doing. {}", self.loss(held)));
        }
        self.looked = Instant::now();
    }

    fn note(&mut self, text: String) {
        tracing::info!("{text}");
        self.events.push_back(Event { at_ms: process::wall_clock().as_millis(), text });
        while self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }

    fn report(&self) -> Report {
        let report = |server: &Server| ServerReport {
            name: server.name.clone(),
            address: server.address,
            state: match (&server.child, server.doomed) {
                (None, _) => "stopped",
                (Some(_), Some(_)) => "stopping",
                (Some(_), None) if !server.is_filled => "catching up",
                (Some(_), None) => "up",
            },
            sessions: server.sessions,
            requests: server.requests,
        };
        Report {
            kept: self.sessions.keep.word(),
            servers: self.servers.iter().map(report).collect(),
            events: self.events.iter().cloned().collect(),
        }
    }

    fn others_run(&self, name: &str) -> bool {
        self.servers.iter().any(|server| server.name != name && server.child.is_some())
    }

    /// What the end of a server means for so many sessions that it held, now that it has ended.
    fn loss(&self, held: usize) -> String {
        let one_or_more = |one: &str, several: &str| match held {
            1 => format!("It held 1 session {one}"),
            _ => format!("It held {held} sessions {several}"),
        };
        match &self.sessions.keep {
            Keep::Cookie => {
                "It held no sessions: each is in its browser, sealed. Nobody lost anything."
                    .to_owned()
            }
            Keep::Store(address) => format!(
                "It held no sessions: all are in {}, which every server reads. Nobody lost anything.",
                address.kind().name()
            ),
            Keep::Memory | Keep::Nodes(_) if held == 0 => {
                "It held no sessions, so nobody lost anything.".to_owned()
            }
            Keep::Nodes(_) if self.others_run("") => one_or_more(
                "with a copy on another server. Nobody lost anything.",
                "with a copy of each on another server. Nobody lost anything.",
            ),
            Keep::Nodes(_) => one_or_more(
                "and was the last server that ran: that one is lost.",
                "and was the last server that ran: they are lost.",
            ),
            Keep::Memory => one_or_more(
                "in its memory, and nowhere else: that one is lost.",
                "in its memory, and nowhere else: they are lost.",
            ),
        }
    }
}
