//! The load balancer: sends each request to the server that holds its session, and says why.
//!
//! Which server that is, and what to do when it is lost, is decided in [`abide_affinity`]; where one
//! request ends and the next begins, in [`abide_framing`]. This crate carries it out: sockets, clocks,
//! randomness, tasks, logs and metrics.
//!
//! ```text
//! thread 0..n (worker)                         the caller's thread
//!   listener (SO_REUSEPORT)                      prober: active checks
//!   connection -> request -> pool -> server      admin listener: health, metrics, servers
//!        |                    |
//!        +--- view, loads, stop: read through atomics ---+
//! ```
//!
//! Each worker is one single-threaded runtime: a request never moves between threads and never waits
//! for a lock. [`Balancer::bind`] opens everything that can fail before anything is served;
//! [`Bound::run`] serves until its future says stop, and returns when what was under way has ended.
//!
//! What it does not do: TLS, HTTP/2, caching, compression, rewriting. Content is never gathered and
//! never looked at.

mod access_log;
mod activity;
mod admin;
mod body;
mod client_io;
mod clock;
pub mod config;
mod connection;
mod exchange;
mod fields;
mod fleet;
mod io_error;
mod listen;
mod metrics;
mod operators;
mod pool;
mod probe;
mod proxy;
mod target;
mod tunnel;
mod worker;

pub use config::Config;

use abide_affinity::{AffinityError, Lifetime, Source, Sources, Sticky};
use abide_cookie::{Attributes, CookieError, SetCookie};
use access_log::LogWriter;
use clock::Clock;
use config::StickyConfig;
use fleet::Fleet;
use metrics::Counters;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::watch;
use worker::{Parts, Rules, Worker};

/// Why a balancer can not start. Nothing was served.
#[derive(Debug)]
#[non_exhaustive]
pub enum BalancerError {
    /// The configuration contradicts itself.
    Affinity(AffinityError),
    /// The sticky cookie's name and attributes do not go together.
    Cookie(CookieError),
    /// An admin listener that others can reach needs a token.
    AdminNeedsToken(SocketAddr),
    /// An address can not be listened on.
    Listen(SocketAddr, io::Error),
    /// The access log can not be opened.
    AccessLog(io::Error),
    /// The system gave no thread, runtime or random number.
    System(io::Error),
}

impl fmt::Display for BalancerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Affinity(error) => error.fmt(f),
            Self::Cookie(error) => write!(f, "the sticky cookie: {error}"),
            Self::AdminNeedsToken(address) => write!(
                f,
                "the admin address {address} can be reached from other machines; \
                 set an admin token or use 127.0.0.1"
            ),
            Self::Listen(address, error) if error.kind() == io::ErrorKind::AddrInUse => {
                write!(f, "{address} is in use by another process; stop it or choose another port")
            }
            Self::Listen(address, error) => write!(f, "can not listen on {address}: {error}"),
            Self::AccessLog(error) => write!(f, "can not open the access log: {error}"),
            Self::System(error) => write!(f, "the system refused: {error}"),
        }
    }
}

impl std::error::Error for BalancerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Affinity(error) => Some(error),
            Self::Cookie(error) => Some(error),
            Self::Listen(_, error) | Self::AccessLog(error) | Self::System(error) => Some(error),
            Self::AdminNeedsToken(_) => None,
        }
    }
}

/// The load balancer, before it listens.
#[derive(Debug)]
pub struct Balancer;

/// A balancer that listens and has not begun to serve.
#[derive(Debug)]
pub struct Bound {
    rules: Arc<Rules>,
    fleet: Arc<Fleet>,
    listeners: Vec<TcpListener>,
    admin: Option<TcpListener>,
    log: Option<LogWriter>,
    listen: SocketAddr,
    admin_listen: Option<SocketAddr>,
    seed: u64,
}

impl Balancer {
    /// Checks the configuration as a whole and opens all listeners and the access log.
    ///
    /// # Errors
    /// The first thing that is wrong; everything opened before it is closed again.
    pub fn bind(config: Config) -> Result<Bound, BalancerError> {
        let seed = seed()?;
        let rules = Arc::new(rules(config)?);
        let config = &rules.config;
        let fleet = Fleet::new(config, Clock::start(), seed).map_err(BalancerError::Affinity)?;
        let refused = |address| move |error| BalancerError::Listen(address, error);
        let listeners =
            listen::many(config.listen, config.threads).map_err(refused(config.listen))?;
        let admin = match &config.admin {
            None => None,
            Some(admin) if admin.token.is_none() && !admin.listen.ip().is_loopback() => {
                return Err(BalancerError::AdminNeedsToken(admin.listen));
            }
            Some(admin) => Some(listen::one(admin.listen).map_err(refused(admin.listen))?),
        };
        let address = |listener: &TcpListener| listener.local_addr().map_err(BalancerError::System);
        Ok(Bound {
            listen: address(&listeners[0])?,
            admin_listen: admin.as_ref().map(address).transpose()?,
            log: LogWriter::start(&config.access_log).map_err(BalancerError::AccessLog)?,
            fleet: Arc::new(fleet),
            listeners,
            admin,
            seed,
            rules,
        })
    }
}

impl Bound {
    /// Where clients connect: the real port, if 0 was asked for.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where operators look.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin_listen
    }

    /// Serves until `stop` is done, then finishes what is under way, for at most the time that the
    /// configuration allows. Blocks the calling thread, which also runs the checks and the admin
    /// listener.
    ///
    /// # Errors
    /// If a thread or runtime can not be started. What was started by then is stopped again.
    pub fn run(self, stop: impl Future<Output = ()>) -> Result<(), BalancerError> {
        let (stopping, stop_seen) = watch::channel(false);
        let counters: Vec<Arc<Counters>> =
            self.listeners.iter().map(|_| Arc::new(Counters::new(self.fleet.len()))).collect();
        let mut workers = Vec::new();
        for (number, listener) in self.listeners.into_iter().enumerate() {
            let parts = Parts {
                rules: Arc::clone(&self.rules),
                fleet: Arc::clone(&self.fleet),
                counters: Arc::clone(&counters[number]),
                log: self.log.as_ref().map(LogWriter::lines),
                stop: stop_seen.clone(),
                seed: self.seed.rotate_left(u32::try_from(number % 64).unwrap_or_default()),
                number,
            };
            workers.push(start(parts, listener).map_err(BalancerError::System)?);
        }
        let admin = admin::Admin {
            rules: Arc::clone(&self.rules),
            fleet: Arc::clone(&self.fleet),
            log_dropped: self.log.as_ref().map(LogWriter::dropped),
            counters,
            stop: stop_seen,
        };
        let check = self.rules.config.check.clone();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime().map_err(BalancerError::System)?, async {
            let probing = tokio::task::spawn_local(probe::run(Arc::clone(&self.fleet), check));
            if let Some(listener) = self.admin {
                tokio::task::spawn_local(admin::run(admin, listener));
            }
            stop.await;
            tracing::info!("stopping: finishing what is under way");
            let _ = stopping.send(true);
            // The admin listener goes on, so that it can be seen why a stop takes long.
            while workers.iter().any(|worker| !worker.is_finished()) {
                tokio::time::sleep(activity::TICK).await;
            }
            probing.abort();
        });
        for worker in workers {
            let _ = worker.join();
        }
        if let Some(log) = self.log {
            log.finish();
        }
        Ok(())
    }
}

/// One worker's thread. It ends when its connections have, or when their time is up.
fn start(parts: Parts, listener: TcpListener) -> io::Result<JoinHandle<()>> {
    let mut stop = parts.stop.clone();
    let limit = parts.rules.config.timeouts.shutdown;
    std::thread::Builder::new().name(format!("worker-{}", parts.number)).spawn(move || {
        let served = runtime().and_then(|runtime| {
            tokio::task::LocalSet::new().block_on(&runtime, async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let serving = Worker::new(parts).run(listener);
                let time_is_up = async {
                    let _ = stop.wait_for(|stop| *stop).await;
                    tokio::time::sleep(limit).await;
                };
                tokio::select! {
                    () = serving => {}
                    () = time_is_up => tracing::warn!("stopped with requests still under way"),
                }
                Ok(())
            })
        });
        if let Err(error) = served {
            tracing::error!(%error, "a worker could not start");
        }
    })
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn seed() -> Result<u64, BalancerError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| BalancerError::System(io::Error::other(error.to_string())))?;
    Ok(u64::from_le_bytes(bytes))
}

fn rules(config: Config) -> Result<Rules, BalancerError> {
    let uses_cookie = config.affinity.contains(&Source::Sticky);
    let sticky = uses_cookie.then(|| sticky(&config));
    let set_cookie = |https| {
        let cookie = set_cookie(&config.sticky, https).map_err(BalancerError::Cookie)?;
        Ok(uses_cookie.then_some(cookie))
    };
    Ok(Rules {
        sticky_http: set_cookie(false)?,
        sticky_https: set_cookie(true)?,
        sources: Sources::new(config.affinity.clone(), sticky).map_err(BalancerError::Affinity)?,
        config,
    })
}

fn sticky(config: &Config) -> Sticky {
    let StickyConfig { name, keys, idle, life, .. } = &config.sticky;
    let lifetime = Lifetime { idle_max: *idle, life_max: *life };
    Sticky::new(&config.pool, name.clone(), keys.clone(), lifetime)
}

fn set_cookie(config: &StickyConfig, https: bool) -> Result<SetCookie, CookieError> {
    let secure = config.secure.unwrap_or(https);
    let attributes = Attributes {
        domain: config.domain.clone(),
        same_site: config.same_site,
        partitioned: config.partitioned,
        ..Attributes::for_scheme(secure)
    };
    SetCookie::new(config.name.clone(), &attributes)
}
