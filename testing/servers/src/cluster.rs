//! Redis or Valkey Cluster.

use crate::ports::{Port, free_port};
use crate::programs::{find, run};
use crate::redis::{Redis, RedisSetup, owned};
use crate::waiting::{AGREEMENT, until};

/// A cluster whose nodes suspect each other after a second of silence.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    /// Taken as long as the nodes live.
    buses: Vec<Port>,
}

impl RedisCluster {
    /// Redis. With fewer than six nodes all are primaries; with six or more every second is the
    /// replica of another.
    pub fn start(nodes: usize) -> Self {
        Self::with(nodes, &RedisSetup::default())
    }

    /// Valkey.
    pub fn valkey(nodes: usize) -> Self {
        Self::with(nodes, &RedisSetup { valkey: true, ..RedisSetup::default() })
    }

    /// Nodes that are all set up like this.
    pub fn with(nodes: usize, setup: &RedisSetup) -> Self {
        let buses: Vec<Port> = (0..nodes).map(|_| free_port()).collect();
        let start = |bus: &Port| {
            let mut setup = setup.clone();
            let bus = bus.number().to_string();
            setup.arguments.extend(owned(&["--cluster-enabled", "yes", "--cluster-port", &bus]));
            setup.arguments.extend(owned(&["--cluster-node-timeout", "1000"]));
            setup.start()
        };
        let cluster = Self { nodes: buses.iter().map(start).collect(), buses };
        cluster.join();
        cluster
    }

    fn join(&self) {
        let mut command = vec![find("redis-cli").display().to_string()];
        command.extend(owned(&["--cluster", "create"]));
        for (node, bus) in self.nodes.iter().zip(&self.buses) {
            command.push(format!("{}@{}", node.address(), bus.number()));
        }
        let replicas = if self.nodes.len() < 6 { "0" } else { "1" };
        command.extend(owned(&["--cluster-replicas", replicas, "--cluster-yes"]));
        run(&command);
        self.await_agreement();
    }

    /// Waits until every node that runs serves all slots, and every replica among them follows its
    /// primary.
    pub fn await_agreement(&self) {
        let agreed = until(AGREEMENT, || {
            let well = self.nodes.iter().filter(|node| node.is_running()).all(|node| {
                let state = node.try_cli(&["CLUSTER", "INFO"]).unwrap_or_default();
                let link = node.try_cli(&["INFO", "replication"]).unwrap_or_default();
                state.contains("cluster_state:ok") && !link.contains("master_link_status:down")
            });
            well.then_some(())
        });
        assert!(agreed.is_some(), "no agreement; the first says:\n{}", self.nodes[0].log());
    }

    /// `redis+cluster://…` with all nodes.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(Redis::address).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// All nodes, also killed ones.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// All nodes, to kill or restart one.
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// Which nodes are primaries now.
    pub fn primaries(&self) -> Vec<usize> {
        let is_primary = |node: &&Redis| {
            node.is_running() && node.cli(&["INFO", "replication"]).contains("role:master")
        };
        let nodes = self.nodes.iter().enumerate();
        nodes.filter(|(_, node)| is_primary(node)).map(|(place, _)| place).collect()
    }

    /// Which node is the primary for a key.
    pub fn primary_of(&self, key: &str) -> usize {
        let running = self.nodes.iter().find(|node| node.is_running()).expect("one that runs");
        let slot: u32 = running.cli(&["CLUSTER", "KEYSLOT", key]).parse().unwrap();
        let place = self.primaries().into_iter().find(|place| {
            let nodes = self.nodes[*place].cli(&["CLUSTER", "NODES"]);
            let own = nodes.lines().find(|line| line.contains("myself")).unwrap_or_default();
            own.split(' ').skip(8).any(|range| {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                matches!((first.parse::<u32>(), last.parse::<u32>()), (Ok(first), Ok(last))
                    if (first..=last).contains(&slot))
            })
        });
        place.expect("every slot has a primary")
    }
}
