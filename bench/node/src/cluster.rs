//! Nodes in this process, on loopback, with TLS between them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use abide_keys::Key;
use abide_node::{Config, NodeStore, join};
use abide_servers::{Port, free_port};
use abide_session::{Create, Store as _};
use tokio::task::JoinSet;

use crate::sessions::{id, now, session};

/// Nodes that run until this is dropped.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<NodeStore>,
    configs: Vec<Config>,
    _ports: Vec<Port>,
}

/// Clients that make sessions at once.
const MAKERS: u64 = 64;

impl Cluster {
    pub(crate) async fn start(count: usize) -> Self {
        let ports: Vec<Port> = (0..count).map(|_| free_port()).collect();
        let names = ('a'..).map(String::from);
        let list: Vec<_> = names.zip(ports.iter().map(Port::address)).collect();
        let config = |(name, _): &(String, String)| {
            Config::new(name, list.clone()).secret(Key::new([7; Key::BYTES])).copies(count.min(2))
        };
        let configs: Vec<Config> = list.iter().map(config).collect();
        let joining: JoinSet<_> = configs.iter().cloned().map(join).collect();
        let joined = joining.join_all().await.into_iter().map(|node| node.expect("a node"));
        let mut nodes: Vec<NodeStore> = joined.collect();
        // They come in the order in which they are ready.
        nodes.sort_by(|one, other| one.name().cmp(other.name()));
        let cluster = Self { nodes, configs, _ports: ports };
        cluster.settle().await;
        cluster
    }

    /// Waits until all hold what they should.
    pub(crate) async fn settle(&self) {
        for node in &self.nodes {
            while !node.is_ready().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Makes sessions, each at one of the nodes.
    pub(crate) async fn fill(&self, count: u64) {
        let nodes: Arc<[NodeStore]> = self.nodes.clone().into();
        let mut making = JoinSet::new();
        for maker in 0..MAKERS {
            let nodes = Arc::clone(&nodes);
            making.spawn(async move {
                for number in (maker..count).step_by(MAKERS as usize) {
                    let node = &nodes[number as usize % nodes.len()];
                    let created = node.create(id(number), session(), now()).await;
                    assert!(matches!(created, Ok(Create::Created(_))), "{created:?}");
                }
            });
        }
        making.join_all().await;
    }

    /// Kills a node and starts it again, empty. Gives how long it takes to hold all that it should, from
    /// its start.
    pub(crate) async fn restart(&mut self, place: usize) -> Duration {
        self.nodes[place].stop().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        self.nodes[place] = join(self.configs[place].clone()).await.expect("a node");
        self.settle().await;
        begun.elapsed()
    }
}
