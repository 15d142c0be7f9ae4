//! Nodes that keep sessions themselves, in this process: each with a thread, a port and a copy of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use abide_node::{Config, NodeStore, join};
use abide_servers::{Port, free_port};
use tokio::task::JoinSet;

/// A cluster that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Nodes {
    stores: Vec<NodeStore>,
    given: AtomicUsize,
    _ports: Vec<Port>,
}

impl Nodes {
    pub(crate) fn start(count: usize) -> Self {
        let ports: Vec<Port> = (0..count).map(|_| free_port()).collect();
        let names = ('a'..).map(String::from);
        let list: Vec<_> = names.zip(ports.iter().map(Port::address)).collect();
        let config = |(name, _): &(String, String)| Config::new(name, list.clone()).plain();
        let configs: Vec<Config> = list.iter().map(config).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let stores = runtime.unwrap().block_on(async {
            let joining: JoinSet<_> = configs.into_iter().map(join).collect();
            let stores: Vec<NodeStore> =
                joining.join_all().await.into_iter().map(Result::unwrap).collect();
            // Who was first has been ready before the others were there.
            for store in &stores {
                store.ready().await;
            }
            stores
        });
        Self { stores, given: AtomicUsize::new(0), _ports: ports }
    }

    /// One of the nodes, each in its turn: clients meet at different ones.
    pub(crate) fn next(&self) -> NodeStore {
        let place = self.given.fetch_add(1, Ordering::Relaxed) % self.stores.len();
        self.stores[place].clone()
    }
}
