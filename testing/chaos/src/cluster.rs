//! The servers and the balancer, each a process.
//!
//! Invariant: names, addresses and keys stay the same over restarts, and what is on disks if servers are to
//! have them; nothing else does. Without a disk a server that starts again knows nothing.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abide_servers::{Port, free_port};
use http::Method;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::browser::{Browser, Cookies};
use crate::network::Network;
use crate::places::{Place, Places};
use crate::process::{Failure, Paused, Process, failed};

/// How long servers may take until all are ready and safe to stop, whatever happened to them.
const SETTLE_WAIT: Duration = Duration::from_mins(1);
/// Between two looks at a server.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// All slots.
const SLOTS: u64 = 4096;
/// Variables that would change where servers keep sessions.
const VARIABLES: [&str; 4] = ["ABIDE_KEYS", "ABIDE_KEEP", "ABIDE_KEEP_FROM", "ABIDE_KEEP_NEXT"];

/// Where servers keep sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// In each other: what is tested.
    Nodes,
    /// The same, and each on a disk of its own.
    NodesWithDisks,
    /// Each in its own memory, so that everything is lost: what shows that losses are found.
    Memory,
}

/// What a cut loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything between the two sides.
    BothWays,
    /// What the far side sends.
    FromFar,
    /// What the near side sends.
    ToFar,
}

/// All processes.
#[derive(Debug)]
pub(crate) struct Cluster {
    abide: PathBuf,
    logs: PathBuf,
    keys: String,
    keep: Keep,
    nodes: String,
    /// What the last server is told, if it is in the list of no other.
    joiner: String,
    /// All servers, the ones in the list first.
    pub(crate) servers: Vec<Server>,
    /// How many are in the list.
    pub(crate) listed: usize,
    balancer: Option<Process>,
    network: Option<Network>,
    pub(crate) places: Arc<Places>,
}

/// One server: a shop that is a node.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: String,
    listen: SocketAddr,
    process: Option<Process>,
    /// Nobody else on this machine takes them while this lives.
    _ports: Vec<Port>,
}

impl Cluster {
    /// Starts so many servers and a balancer, and waits until all is well. One more, of which no other is told,
    /// is not started if there is to be one.
    pub(crate) async fn start(
        abide: &Path,
        logs: &Path,
        (count, joins): (usize, bool),
        keep: Keep,
        network: Option<Network>,
    ) -> Result<Self, Failure> {
        let names = ('a'..='z').map(String::from).take(count + usize::from(joins));
        let (mut servers, mut nodes) = (Vec::new(), Vec::new());
        for (number, name) in names.enumerate() {
            let (listen, peer, ports) = match &network {
                Some(_) => (Network::listen(number), Network::peer(number), Vec::new()),
                None => on_loopback(),
            };
            nodes.push(format!("{name}={peer}"));
            servers.push(Server { name, listen, process: None, _ports: ports });
        }
        let place = |(number, server): (usize, &Server)| Place {
            name: server.name.clone(),
            address: server.listen,
            is_open: AtomicBool::new(number < count),
            is_far: AtomicBool::new(false),
        };
        let places = servers.iter().enumerate().map(place).collect();
        // It knows one of the others.
        let joiner = nodes.split_off(count).into_iter().chain(nodes.first().cloned());
        let joiner: Vec<String> = joiner.collect();
        let mut cluster = Self {
            abide: abide.to_owned(),
            logs: logs.to_owned(),
            keys: new_keys(abide).await?,
            keep,
            nodes: format!("nodes://{}", nodes.join(",")),
            joiner: format!("nodes://{}", joiner.join(",")),
            servers,
            listed: count,
            balancer: None,
            network,
            places: Arc::new(Places {
                // Until there is one.
                balancer: SocketAddr::from(([127, 0, 0, 1], 0)),
                servers: places,
                cut: Mutex::default(),
                killed_all: Mutex::default(),
            }),
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// Starts all servers.
    pub(crate) async fn start_servers(&mut self) -> Result<(), Failure> {
        // At once: each waits for the others before it says that it is ready.
        let starting: Vec<_> = (0..self.listed)
            .map(|server| {
                let (command, log) = (self.command(server), self.log(&self.servers[server].name));
                let keys = self.keys.clone();
                tokio::spawn(async move { Process::start(command, &keys, &log).await })
            })
            .collect();
        for (server, process) in self.servers.iter_mut().zip(starting) {
            let process = process.await.map_err(|cause| Failure(cause.to_string()))?;
            server.process = Some(process?);
        }
        (0..self.listed).for_each(|server| self.places.open(server, true));
        Ok(())
    }

    async fn start_all(&mut self) -> Result<(), Failure> {
        self.start_servers().await?;
        self.settle().await?;
        let balancer = self.start_balancer().await?;
        let servers = std::mem::take(
            &mut Arc::get_mut(&mut self.places)
                .ok_or_else(|| Failure("clients before servers".to_owned()))?
                .servers,
        );
        self.places = Arc::new(Places {
            balancer: balancer.address("listen")?,
            servers,
            cut: Mutex::default(),
            killed_all: Mutex::default(),
        });
        self.balancer = Some(balancer);
        Ok(())
    }

    async fn start_balancer(&self) -> Result<Process, Failure> {
        let mut command = Command::new(&self.abide);
        Self::complete(&mut command, "balance");
        command.args(["--listen=127.0.0.1:0", "--admin=127.0.0.1:0"]);
        command.args(["--check-path=/health", "--check-interval-ms=250"]);
        for server in &self.servers {
            command.arg(format!("--server={}={}", server.name, server.listen));
        }
        Process::start(command, &self.keys, &self.log("balancer")).await
    }

    fn command(&self, server: usize) -> Command {
        let mut command = match &self.network {
            Some(network) => network.command(server, &self.abide),
            None => Command::new(&self.abide),
        };
        let nodes = if server < self.listed { &self.nodes } else { &self.joiner };
        let server = &self.servers[server];
        Self::complete(&mut command, "app");
        command.arg(format!("--name={}", server.name));
        command.arg(format!("--listen={}", server.listen));
        command.arg(match self.keep {
            Keep::Nodes | Keep::NodesWithDisks => format!("--keep={nodes}"),
            Keep::Memory => "--keep=memory".to_owned(),
        });
        if self.keep == Keep::NodesWithDisks {
            let folder = self.logs.join(format!("{}-data", server.name));
            command.arg(format!("--data={}", folder.display()));
        }
        command
    }

    fn complete(command: &mut Command, what: &str) {
        command.args([what, "--exit-with-stdin", "--keys-from-stdin"]);
        for variable in VARIABLES {
            command.env_remove(variable);
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Kills a server (-9) and waits until it is gone.
    pub(crate) async fn kill(&mut self, server: usize) {
        self.places.open(server, false);
        if let Some(process) = self.servers[server].process.take() {
            process.kill().await;
        }
    }

    /// Kills all servers (-9) in one moment, as far as there is one, and waits until they are gone.
    pub(crate) async fn kill_all(&mut self) {
        (0..self.servers.len()).for_each(|server| self.places.open(server, false));
        let begun = Instant::now();
        let running = self.servers.iter_mut().filter_map(|server| server.process.take());
        // All at once: one after the other would leave each some time to notice.
        running.map(Process::kill).collect::<JoinSet<()>>().join_all().await;
        // Only now: nobody acknowledges anything after this.
        self.places.were_all_killed(begun);
    }

    /// Asks a server to end, which gives away first what it holds, and waits until it has.
    pub(crate) async fn end(&mut self, server: usize) -> Result<(), Failure> {
        self.places.open(server, false);
        match self.servers[server].process.take() {
            Some(process) => process.end().await,
            None => Ok(()),
        }
    }

    /// Starts a server again: empty, or with what is on its disk.
    pub(crate) async fn restart(&mut self, server: usize) -> Result<(), Failure> {
        let log = self.log(&self.servers[server].name);
        let process = Process::start(self.command(server), &self.keys, &log).await?;
        self.servers[server].process = Some(process);
        self.places.open(server, true);
        Ok(())
    }

    /// The servers that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = usize> {
        let servers = self.servers.iter().enumerate();
        servers.filter(|(_, server)| server.process.is_some()).map(|(number, _)| number)
    }

    /// Lets a server hang.
    pub(crate) async fn pause(&self, server: usize) -> Result<Paused, Failure> {
        self.places.open(server, false);
        match &self.servers[server].process {
            Some(process) => process.pause().await,
            None => Err(Failure("a server that does not run can not be paused".to_owned())),
        }
    }

    /// Cuts these servers off from the others. Both sides can be reached, and each client keeps to one.
    pub(crate) async fn cut(&self, far: &[usize], loss: Loss) -> Result<(), Failure> {
        for (server, place) in self.places.servers.iter().enumerate() {
            place.is_far.store(far.contains(&server), Ordering::Relaxed);
        }
        self.places.begin_cut();
        self.lose(far, loss, true).await
    }

    /// Mends the cut, and waits until the two sides are one.
    pub(crate) async fn mend(&self, far: &[usize], loss: Loss) -> Result<(), Failure> {
        self.lose(far, loss, false).await?;
        self.settle().await?;
        self.places.end_cut();
        Ok(())
    }

    async fn lose(&self, far: &[usize], loss: Loss, is_lost: bool) -> Result<(), Failure> {
        let Some(network) = &self.network else {
            return Err(Failure("loopback can not be cut".to_owned()));
        };
        let near = || (0..self.servers.len()).filter(|server| !far.contains(server));
        for server in far {
            match loss {
                Loss::BothWays => network.move_server(*server, is_lost).await?,
                Loss::FromFar => {
                    for other in near() {
                        network.lose((*server, other), is_lost).await?;
                    }
                }
                Loss::ToFar => {
                    for other in near() {
                        network.lose((other, *server), is_lost).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends all processes, and removes the network that they had.
    pub(crate) async fn remove(self) {
        let Self { servers, balancer, network, .. } = self;
        for process in servers.into_iter().filter_map(|server| server.process).chain(balancer) {
            process.kill().await;
        }
        if let Some(network) = network {
            network.remove().await;
        }
    }

    /// Waits until the other servers lead everything: they have noticed that this one is gone.
    pub(crate) async fn noticed(&self, gone: usize) -> Result<(), Failure> {
        let mut browser = Browser::default();
        let what = format!("nobody takes over from {}", self.servers[gone].name);
        self.eventually(&what, async || {
            let mut led = 0;
            for (number, server) in self.servers.iter().enumerate() {
                if number != gone {
                    let (_, answer) = look(&mut browser, server.listen, "/cluster").await;
                    let json: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
                    led += json.get("slots_led").and_then(serde_json::Value::as_u64).unwrap_or(0);
                }
            }
            led >= SLOTS
        })
        .await
    }

    /// Waits until a server is safe to stop.
    pub(crate) async fn safe_to_stop(&self, server: usize) -> Result<(), Failure> {
        self.agrees(server, "/cluster/safe-to-stop").await
    }

    /// Waits until a server holds all that it should.
    pub(crate) async fn ready(&self, server: usize) -> Result<(), Failure> {
        self.agrees(server, "/ready").await
    }

    /// Waits until all servers that run are ready and safe to stop.
    pub(crate) async fn settle(&self) -> Result<Duration, Failure> {
        let begin = Instant::now();
        let mut browser = Browser::default();
        self.eventually("not all servers are ready and safe to stop", async || {
            // All in one go: that one was well a moment ago says nothing of now.
            for server in self.running().filter_map(|server| self.servers.get(server)) {
                for target in self.signs_of_wellness() {
                    if look(&mut browser, server.listen, target).await.0 != 200 {
                        return false;
                    }
                }
            }
            true
        })
        .await?;
        Ok(begin.elapsed())
    }

    /// What a server is asked to learn whether it is well.
    const fn signs_of_wellness(&self) -> &'static [&'static str] {
        match self.keep {
            Keep::Nodes | Keep::NodesWithDisks if self.servers.len() > 1 => {
                &["/ready", "/cluster/safe-to-stop"]
            }
            // The only one there is can never be spared.
            _ => &["/ready"],
        }
    }

    async fn agrees(&self, server: usize, target: &str) -> Result<(), Failure> {
        let mut browser = Browser::default();
        let Server { name, listen, .. } = &self.servers[server];
        let what = format!("{name} does not say yes to {target}");
        self.eventually(&what, async || look(&mut browser, *listen, target).await.0 == 200).await
    }

    async fn eventually(
        &self,
        what: &str,
        mut is_so: impl AsyncFnMut() -> bool,
    ) -> Result<(), Failure> {
        let begin = Instant::now();
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !is_so().await {
            if begin.elapsed() > SETTLE_WAIT {
                return Err(Failure(format!(
                    "{what} within {SETTLE_WAIT:?}:\n{}",
                    self.all().await
                )));
            }
            pace.tick().await;
        }
        Ok(())
    }

    /// What all servers say of themselves.
    async fn all(&self) -> String {
        let mut browser = Browser::default();
        let mut text = String::new();
        for server in &self.servers {
            let (status, answer) = look(&mut browser, server.listen, "/cluster").await;
            _ = writeln!(text, "  {}: {status} {answer}", server.name);
        }
        text
    }
}

async fn look(browser: &mut Browser, address: SocketAddr, target: &str) -> (u16, String) {
    match browser.ask(address, Method::GET, target, &Cookies::new()).await {
        Ok(answer) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
        Err(kind) => (0, kind.to_owned()),
    }
}

/// Where a server listens for clients and for nodes, and what keeps others from there.
fn on_loopback() -> (SocketAddr, SocketAddr, Vec<Port>) {
    let (listen, peer) = (free_port(), free_port());
    let at = |port: &Port| SocketAddr::from(([127, 0, 0, 1], port.number()));
    (at(&listen), at(&peer), vec![listen, peer])
}

/// New keys, and the empty line that ends them.
async fn new_keys(abide: &Path) -> Result<String, Failure> {
    let made = Command::new(abide).arg("keygen").output().await.map_err(failed("abide keygen"))?;
    Ok(format!("{}\n\n", String::from_utf8_lossy(&made.stdout).trim()))
}
