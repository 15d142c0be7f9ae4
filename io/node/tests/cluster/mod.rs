//! Clusters of nodes in this process, on ports of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abide_keys::Key;
use abide_node::{Config, NodeStore, join};
use abide_servers::{Port, free_port};
use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, Store, StoreFuture,
    Subject, Time,
};
use bytes::Bytes;
use futures_util::future::join_all;

/// A cluster that runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<NodeStore>,
    _ports: Vec<Port>,
}

/// The nodes of a cluster, and each call goes to the next of them.
#[derive(Debug)]
pub(crate) struct Anywhere {
    cluster: Cluster,
    calls: AtomicUsize,
}

/// Starts a cluster of so many nodes.
pub(crate) async fn anywhere(count: usize) -> Arc<dyn Store> {
    let cluster = Cluster::start(count).await;
    Arc::new(Anywhere { cluster, calls: AtomicUsize::new(0) })
}

impl Cluster {
    /// So many nodes, which know each other.
    pub(crate) async fn start(count: usize) -> Self {
        let ports: Vec<Port> = (0..count).map(|_| free_port()).collect();
        let joined = join_all(configs(&ports).into_iter().map(join)).await;
        let nodes = joined.into_iter().map(|node| node.expect("a node")).collect();
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

impl Anywhere {
    fn next(&self) -> &NodeStore {
        let nodes = &self.cluster.nodes;
        &nodes[self.calls.fetch_add(1, Ordering::Relaxed) % nodes.len()]
    }
}

impl Store for Anywhere {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.next().create(id, changes, now)
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.next().load(id, now)
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        self.next().commit(id, changes, now)
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.next().end(id, now)
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.next().rename(id, rename, now)
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.next().list(subject, now)
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.next().end_all(subject, except, now)
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        self.next().scan(cursor, now)
    }
}
