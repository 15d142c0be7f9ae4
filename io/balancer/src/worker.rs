//! One thread that serves: its own listener, its own connections, nothing to wait for.
//!
//! The kernel spreads new connections over the listeners (`SO_REUSEPORT`). What workers share is read
//! through atomics: the view of the servers, requests in flight, whether to stop.

use crate::access_log::LogLines;
use crate::activity::{CoarseClock, Deadlines, TICK};
use crate::config::Config;
use crate::connection;
use crate::fleet::Fleet;
use crate::metrics::Counters;
use crate::pool::Pool;
use abide_affinity::retry::RetryPolicy;
use abide_affinity::{Balancer, RetryBudget, Sources, View};
use abide_cookie::SetCookie;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Connections of clients that one worker holds. Beyond it new ones wait in the kernel.
const CONNECTIONS_MAX: usize = 50_000;
/// Ticks between two looks into the pool and two flushes of the log: a second.
const TICKS_PER_ROUND: u32 = 10;
/// Pause after the system refused a connection, which is mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all workers work by: the configuration, made ready for use.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) config: Config,
    pub(crate) sources: Sources,
    /// The sticky cookie for clients that came over HTTP and over HTTPS.
    pub(crate) sticky_http: Option<SetCookie>,
    pub(crate) sticky_https: Option<SetCookie>,
}

/// One worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) rules: Arc<Rules>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Option<LogLines>,
    pub(crate) pool: Pool,
    pub(crate) retries: RefCell<RetryBudget>,
    pub(crate) stop: watch::Receiver<bool>,
    balancer: RefCell<Balancer>,
    view: RefCell<arc_swap::Cache<ViewSource, Arc<View>>>,
    random: Cell<u64>,
    clock: Arc<CoarseClock>,
    deadlines: Rc<Deadlines>,
}

/// What a worker is given.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) rules: Arc<Rules>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) log: Option<LogLines>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) seed: u64,
    /// Which worker this is, from 0: each begins its turns at another server.
    pub(crate) number: usize,
}

/// Lets the cache own its way to the view.
#[derive(Debug)]
struct ViewSource(Arc<Fleet>);

impl std::ops::Deref for ViewSource {
    type Target = arc_swap::ArcSwap<View>;

    fn deref(&self) -> &Self::Target {
        self.0.view()
    }
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Rc<Self> {
        let clock = Arc::new(CoarseClock::default());
        let now = parts.fleet.clock.now();
        let view = arc_swap::Cache::new(ViewSource(Arc::clone(&parts.fleet)));
        let worker = Self {
            balancer: RefCell::new(Balancer::new(parts.rules.config.balance)),
            pool: Pool::new(parts.fleet.len(), Arc::clone(&clock)),
            retries: RefCell::new(RetryBudget::new(RetryPolicy::default(), now)),
            view: RefCell::new(view),
            random: Cell::new(parts.seed),
            deadlines: Rc::default(),
            rules: parts.rules,
            fleet: parts.fleet,
            counters: parts.counters,
            log: parts.log,
            stop: parts.stop,
            clock,
        };
        for _ in 0..parts.number {
            let _ = worker.pick(&worker.view());
        }
        Rc::new(worker)
    }

    /// Serves until told to stop and everything under way has ended.
    pub(crate) async fn run(self: Rc<Self>, listener: TcpListener) {
        let ticking = tokio::task::spawn_local(Self::tick(Rc::clone(&self)));
        let mut stop = self.stop.clone();
        tokio::select! {
            () = self.accept(&listener) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        // What the kernel had already taken for this listener would be reset with it.
        while let Ok(Ok((stream, peer))) =
            tokio::time::timeout(Duration::ZERO, listener.accept()).await
        {
            self.serve(stream, peer);
        }
        drop(listener);
        while self.deadlines.count() > 0 {
            tokio::time::sleep(TICK).await;
        }
        ticking.abort();
    }

    async fn accept(self: &Rc<Self>, listener: &TcpListener) {
        loop {
            if self.deadlines.count() >= CONNECTIONS_MAX {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
            match listener.accept().await {
                Ok((stream, peer)) => self.serve(stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "can not take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(self: &Rc<Self>, stream: tokio::net::TcpStream, peer: std::net::SocketAddr) {
        let client = connection::client(Arc::clone(&self.clock), self.rules.config.timeouts);
        let registered = self.deadlines.register(Arc::clone(&client.activity));
        let serving = connection::serve(Rc::clone(self), client, stream, peer);
        tokio::task::spawn_local(async move {
            serving.await;
            drop(registered);
        });
    }

    async fn tick(worker: Rc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        let mut round = 0;
        loop {
            ticks.tick().await;
            worker.clock.set(worker.fleet.clock.since_start());
            worker.deadlines.tick(&worker.clock);
            round = (round + 1) % TICKS_PER_ROUND;
            if round == 0 {
                worker.pool.prune();
                if let Some(log) = &worker.log {
                    log.flush();
                }
            }
        }
    }

    /// The present view of the servers.
    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(self.view.borrow_mut().load())
    }

    /// Whose turn it is.
    pub(crate) fn pick(&self, view: &View) -> Option<usize> {
        let loads = match self.rules.config.balance {
            abide_affinity::Algorithm::SmoothWeightedRoundRobin => Vec::new(),
            _ => self.fleet.loads(),
        };
        self.balancer.borrow_mut().pick(view, &loads, self.random())
    }

    /// A random number that needs not be secret (Steele, Lea and Flood: `SplitMix64`).
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
