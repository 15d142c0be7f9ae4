//! A run: servers, clients, and one fault after the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use crate::client::Client;
use crate::cluster::{Cluster, Keep};
use crate::fault::Fault;
use crate::known::Random;
use crate::network::Network;
use crate::places::Orders;
use crate::process::Failure;
use crate::report::Report;
use crate::tally::Tally;

/// How long traffic goes on undisturbed before each fault.
const CALM: Duration = Duration::from_secs(1);
/// How long an audit of all clients may take.
const AUDIT_WAIT: Duration = Duration::from_mins(1);
/// Between two looks whether it is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is to be done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The `abide` that is run.
    pub abide: PathBuf,
    /// A folder for the logs of servers. What they hold, `RUST_LOG` says.
    pub logs: PathBuf,
    /// How many servers, 2 to 9.
    pub nodes: usize,
    /// How many clients.
    pub clients: usize,
    /// How long faults go on. Each is done once at least, and what has begun is finished.
    pub time: Duration,
    /// The faults, which come in turn.
    pub faults: Vec<Fault>,
    /// Chooses servers and requests.
    pub seed: u64,
    /// Where servers keep sessions.
    pub keep: Keep,
}

/// A run under way, whose report can be had at any time.
#[derive(Clone, Debug)]
pub struct Run {
    plan: Plan,
    tally: Arc<Tally>,
}

impl Plan {
    /// A plan with the usual number of clients, each fault once.
    pub fn new(abide: PathBuf, logs: PathBuf, nodes: usize, faults: &[Fault]) -> Self {
        let (clients, time, seed, keep) = (24, Duration::ZERO, 1, Keep::Nodes);
        Self { abide, logs, nodes, clients, time, faults: faults.to_vec(), seed, keep }
    }
}

impl Run {
    /// A run that has not begun.
    pub fn new(plan: Plan) -> Self {
        let tally = Arc::new(Tally::new(plan.clients));
        Self { plan, tally }
    }

    /// What came of it so far.
    pub fn report(&self) -> Report {
        Report::new(&self.tally, self.plan.nodes, self.plan.clients, self.plan.seed)
    }

    /// Does it, from the start of servers to their end.
    ///
    /// # Errors
    /// What made it impossible: a server that does not start, or does not become well again.
    pub async fn go(&self) -> Result<(), Failure> {
        let Plan { abide, logs, nodes, keep, .. } = &self.plan;
        let (network, faults) = self.network().await;
        let keep = match keep {
            Keep::Nodes if faults.contains(&Fault::KillAll) => Keep::NodesWithDisks,
            keep => *keep,
        };
        let nodes = (*nodes, faults.contains(&Fault::Join));
        let mut cluster = Cluster::start(abide, logs, nodes, keep, network).await?;
        let orders = Arc::new(Orders {
            is_over: AtomicBool::new(false),
            audits: AtomicU64::new(0),
            audited: AtomicU64::new(0),
        });
        // Gone with this set, if this is given up.
        let mut clients = JoinSet::new();
        for number in 0..self.plan.clients {
            let (places, tally) = (Arc::clone(&cluster.places), Arc::clone(&self.tally));
            let orders = Arc::clone(&orders);
            clients.spawn(Client::new(number, self.plan.seed, places, orders, tally).work());
        }
        let outcome = self.strike_in_turn(&mut cluster, &orders, &faults).await;
        orders.is_over.store(true, Ordering::Relaxed);
        while let Some(client) = clients.join_next().await {
            let mut client = client.map_err(|cause| Failure(format!("a client: {cause}")))?;
            if outcome.is_ok() {
                client.audit_the_ended().await;
            }
        }
        cluster.remove().await;
        outcome
    }

    /// A network to cut, if that is asked for, and the faults that are possible.
    async fn network(&self) -> (Option<Network>, Vec<Fault>) {
        let mut faults = self.plan.faults.clone();
        if !faults.iter().any(|fault| fault.cuts()) {
            return (None, faults);
        }
        let servers = self.plan.nodes + usize::from(faults.contains(&Fault::Join));
        match Network::make(servers).await {
            Ok(network) => (Some(network), faults),
            Err(reason) => {
                for fault in faults.extract_if(.., |fault| fault.cuts()) {
                    self.tally.skip(format!("{}: {reason}", fault.name()));
                }
                (None, faults)
            }
        }
    }

    async fn strike_in_turn(
        &self,
        cluster: &mut Cluster,
        orders: &Orders,
        faults: &[Fault],
    ) -> Result<(), Failure> {
        let mut random = Random::new(self.plan.seed);
        sleep(CALM).await;
        self.audit(orders).await?;
        let begin = Instant::now();
        for (number, fault) in faults.iter().cycle().enumerate() {
            if number >= faults.len() && begin.elapsed() >= self.plan.time {
                break;
            }
            sleep(CALM).await;
            self.tally.begin_round(*fault);
            fault.strike(cluster, &self.tally, &mut random).await?;
            self.tally.recovered(cluster.settle().await?);
            self.audit(orders).await?;
        }
        Ok(())
    }

    /// Lets each client look for all that it knows, and waits until they have.
    async fn audit(&self, orders: &Orders) -> Result<(), Failure> {
        let clients = u64::try_from(self.plan.clients).unwrap_or(u64::MAX);
        let due = orders.audits.fetch_add(1, Ordering::Relaxed) + 1;
        let begin = Instant::now();
        let mut pace = interval(LOOK_EVERY);
        while orders.audited.load(Ordering::Relaxed) < due * clients {
            if begin.elapsed() > AUDIT_WAIT {
                return Err(Failure(format!("no audit within {AUDIT_WAIT:?}")));
            }
            pace.tick().await;
        }
        Ok(())
    }
}
