//! A cluster keeps the contract of a store, whichever node is asked.

mod cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, Scanned, Store, StoreFuture,
    Subject, Time,
};
use bytes::Bytes;
use cluster::Cluster;

mod of_one_node {
    abide_store_suite::store_suite!(super::anywhere(1));
}

mod of_two_nodes {
    abide_store_suite::store_suite!(super::anywhere(2));
}

mod of_three_nodes {
    abide_store_suite::store_suite!(super::anywhere(3));
}

/// The nodes of a cluster, and each call goes to the next of them.
#[derive(Debug)]
struct Anywhere {
    cluster: Cluster,
    calls: AtomicUsize,
}

/// Starts a cluster of so many nodes.
async fn anywhere(count: usize) -> Arc<dyn Store> {
    let cluster = Cluster::start(count).await;
    Arc::new(Anywhere { cluster, calls: AtomicUsize::new(0) })
}

impl Anywhere {
    fn next(&self) -> &abide_node::NodeStore {
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
