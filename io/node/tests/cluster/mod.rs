//! Clusters of nodes in this process, on ports of their own.

use abide_keys::Key;
use abide_node::{Config, NodeStore, join};
use abide_servers::{Port, free_port};
use futures_util::future::join_all;

/// A cluster that runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<NodeStore>,
    _ports: Vec<Port>,
}

impl Cluster {
    /// So many nodes, which know each other.
    pub(crate) async fn start(count: usize) -> Self {
        let ports: Vec<Port> = (0..count).map(|_| free_port()).collect();
        let joined = join_all(configs(&ports).into_iter().map(join)).await;
        let nodes: Vec<NodeStore> = joined.into_iter().map(|node| node.expect("a node")).collect();
        // Who was first has been ready before the others were there.
        for node in &nodes {
            node.ready().await;
        }
        Self { nodes, _ports: ports }
    }
}

/// What nodes at these ports are told; they are called a, b, and so on.
pub(crate) fn configs(ports: &[Port]) -> Vec<Config> {
    let names = ('a'..).map(String::from);
    let nodes: Vec<(String, String)> = names.zip(ports.iter().map(Port::address)).collect();
    let config = |(name, _): &(String, String)| {
        Config::new(name, nodes.clone()).secret(Key::new([7; Key::BYTES]))
    };
    nodes.iter().map(config).collect()
}
