//! The servers as all workers see them: one snapshot, and who may change it.
//!
//! Workers read an immutable [`View`] and count requests in flight; both are atomic reads. What
//! changes a state (a probe, failed requests, the operator) goes through one mutex, is decided by the
//! [`Monitor`] or is the operator's word, and ends in a new snapshot.
//!
//! Invariant: a server has the same place here, in every view, in every pool and in the counters.

use crate::clock::Clock;
use crate::config::{CheckConfig, Config};
use abide_affinity::health::{ActivePolicy, Input, Monitor, Output, PassivePolicy};
use abide_affinity::{Admin, AffinityError, Health, OnLost, Server, View};
use abide_time::Time;
use arc_swap::ArcSwap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All servers of the pool.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) clock: Clock,
    members: Vec<Member>,
    view: ArcSwap<View>,
    changing: Mutex<Changing>,
    on_lost: OnLost,
    /// Tells the prober that a deadline has moved.
    pub(crate) probe_sooner: Notify,
}

/// One server, apart from its state.
#[derive(Debug)]
struct Member {
    address: SocketAddr,
    in_flight: AtomicU32,
    /// It has failed since it last answered, so an answer is news.
    suspect: AtomicBool,
}

/// What changes under the mutex.
#[derive(Debug)]
struct Changing {
    servers: Vec<Server>,
    monitors: Vec<Monitor>,
}

impl Fleet {
    pub(crate) fn new(config: &Config, clock: Clock, seed: u64) -> Result<Self, AffinityError> {
        let on_lost = if config.strict { OnLost::Refuse } else { OnLost::Move };
        let servers: Vec<Server> = config
            .servers
            .iter()
            .map(|server| Server { weight: server.weight, ..Server::new(server.name.clone()) })
            .collect();
        let view = View::new(servers.clone(), on_lost)?;
        let active = config.check.as_ref().map(active_policy);
        let monitors = (0..servers.len() as u64).map(|place| {
            Monitor::new(
                active,
                Some(PassivePolicy::default()),
                seed.wrapping_add(place),
                clock.now(),
            )
        });
        let members = config.servers.iter().map(|server| Member {
            address: server.address,
            in_flight: AtomicU32::new(0),
            suspect: AtomicBool::new(false),
        });
        Ok(Self {
            clock,
            members: members.collect(),
            view: ArcSwap::from_pointee(view),
            changing: Mutex::new(Changing { servers, monitors: monitors.collect() }),
            on_lost,
            probe_sooner: Notify::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn address(&self, place: usize) -> SocketAddr {
        self.members[place].address
    }

    /// The present snapshot, for those who keep it up to date themselves.
    pub(crate) fn view(&self) -> &ArcSwap<View> {
        &self.view
    }

    /// Requests in flight, by place.
    pub(crate) fn loads(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.in_flight.load(Relaxed)).collect()
    }

    pub(crate) fn in_flight(&self, place: usize) -> u32 {
        self.members[place].in_flight.load(Relaxed)
    }

    /// A request goes to this server.
    pub(crate) fn occupy(&self, place: usize) {
        self.members[place].in_flight.fetch_add(1, Relaxed);
    }

    /// It is over.
    pub(crate) fn release(&self, place: usize) {
        self.members[place].in_flight.fetch_sub(1, Relaxed);
    }

    /// The server answered a request.
    pub(crate) fn answered(&self, place: usize) {
        if self.members[place].suspect.load(Relaxed) {
            self.members[place].suspect.store(false, Relaxed);
            self.handle(place, Input::RequestAnswered);
        }
    }

    /// The server took no connection, or broke off before it answered.
    pub(crate) fn failed(&self, place: usize) {
        self.members[place].suspect.store(true, Relaxed);
        let others_up = self
            .view
            .load()
            .servers()
            .iter()
            .enumerate()
            .any(|(other, server)| other != place && server.takes_new());
        self.handle(place, Input::RequestFailed { is_last_up: !others_up });
        self.probe_sooner.notify_one();
    }

    /// Tells a monitor what happened. True if it asks for a probe.
    pub(crate) fn handle(&self, place: usize, input: Input) -> bool {
        let now = self.clock.now();
        let mut changing = self.lock();
        let Some(monitor) = changing.monitors.get_mut(place) else { return false };
        monitor.handle(input, now);
        let mut probe = false;
        let mut became = None;
        while let Some(output) = monitor.poll() {
            match output {
                Output::Probe => probe = true,
                Output::Became(health) => became = Some(health),
            }
        }
        if let Some(health) = became {
            let server = &mut changing.servers[place];
            server.health = health;
            let name = &server.name;
            match health {
                Health::Up => tracing::info!(server = %name, "server is up"),
                Health::Down => tracing::warn!(server = %name, "server is down"),
            }
            self.publish(&changing);
        }
        probe
    }

    /// When each monitor wants to be asked again.
    pub(crate) fn deadline(&self) -> Time {
        self.lock().monitors.iter().map(Monitor::deadline).min().unwrap_or(Time::MAX)
    }

    /// The places of the monitors whose deadline has passed.
    pub(crate) fn due(&self) -> Vec<usize> {
        let now = self.clock.now();
        let changing = self.lock();
        let due = changing.monitors.iter().enumerate();
        due.filter(|(_, monitor)| monitor.deadline() <= now).map(|(place, _)| place).collect()
    }

    /// The operator's word. False if there is no server of that name.
    pub(crate) fn administer(&self, name: &str, admin: Admin) -> bool {
        let mut changing = self.lock();
        let Some(server) = changing.servers.iter_mut().find(|s| s.name.as_str() == name) else {
            return false;
        };
        server.admin = admin;
        tracing::info!(server = %server.name, ?admin, "the operator changed a server");
        self.publish(&changing);
        true
    }

    fn publish(&self, changing: &Changing) {
        match self.view.load().succeed(changing.servers.clone(), self.on_lost) {
            Ok(view) => self.view.store(Arc::new(view)),
            Err(error) => tracing::error!(%error, "the servers could not be changed"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        // Nothing that holds the lock can leave it half changed.
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn active_policy(check: &CheckConfig) -> ActivePolicy {
    ActivePolicy {
        interval: check.interval,
        fast_interval: ActivePolicy::default().fast_interval.min(check.interval),
        fall: check.fall,
        rise: check.rise,
    }
}
