//! A store's servers, running, and what can happen to them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use abide::{KeyRing, MemoryStore, SealingKey};
use abide_servers::{MariaDb, Memcached, Postgres, Redis, RedisCluster, RedisSentinel, RedisSetup};
use abide_session::Store;
use abide_store_memcached::MemcachedStore;
use abide_store_redis::RedisStore;
use abide_store_sql::SqlStore;

use crate::kind::Kind;
use crate::nodes::Nodes;

/// How long a client waits for an answer where time is not the matter, on a machine that does much else
/// beside.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A store's servers, running until this is dropped.
#[derive(Debug)]
pub struct Place {
    kind: Kind,
    servers: Servers,
    /// Which of several servers was killed or hangs.
    struck: usize,
}

#[derive(Debug)]
enum Servers {
    Memory(MemoryStore),
    Sqlite(Folder),
    Postgres(Postgres),
    MariaDb(MariaDb),
    Redis(Redis),
    Sentinel(RedisSentinel),
    Cluster(RedisCluster),
    Memcached(Vec<Memcached>),
    Nodes(Nodes),
}

impl Place {
    /// Starts the servers. They write to disk as they do by default where what a server writes is
    /// what the test is about, and without waiting for the disk otherwise: none of them is cut from
    /// power here.
    pub fn start(kind: Kind) -> Self {
        let servers = match kind {
            Kind::Memory => Servers::Memory(MemoryStore::new()),
            Kind::Sqlite => Servers::Sqlite(Folder::new()),
            Kind::Postgres => Servers::Postgres(Postgres::fast()),
            Kind::MariaDb => Servers::MariaDb(MariaDb::fast()),
            Kind::Redis => Servers::Redis(Redis::start()),
            Kind::DurableRedis => Servers::Redis(Redis::durable()),
            Kind::Sentinel => Servers::Sentinel(RedisSentinel::start()),
            Kind::Cluster => Servers::Cluster(RedisCluster::start(6)),
            Kind::Valkey => Servers::Redis(Redis::valkey()),
            Kind::ValkeyCluster => Servers::Cluster(RedisCluster::valkey(6)),
            Kind::Memcached => Servers::Memcached(vec![Memcached::start()]),
            Kind::ThreeMemcached => {
                Servers::Memcached((0..3).map(|_| Memcached::start()).collect())
            }
            Kind::OneNode => Servers::Nodes(Nodes::start(1)),
            Kind::TwoNodes => Servers::Nodes(Nodes::start(2)),
            Kind::ThreeNodes => Servers::Nodes(Nodes::start(3)),
        };
        Self { kind, servers, struck: 0 }
    }

    /// Sentinels whose servers take writes only while a replica follows them
    /// (`min-replicas-to-write 1`): one that was taken for dead and is not takes none.
    pub fn careful_sentinel() -> Self {
        let arguments = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"];
        let servers = RedisSentinel::with(&RedisSetup::with(&arguments));
        Self { kind: Kind::Sentinel, servers: Servers::Sentinel(servers), struck: 0 }
    }

    /// What it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What `--keep` calls it; what is in this process has no address.
    pub fn url(&self) -> Option<String> {
        Some(match &self.servers {
            Servers::Memory(_) | Servers::Nodes(_) => return None,
            Servers::Sqlite(folder) => folder.url(),
            Servers::Postgres(server) => server.url(),
            Servers::MariaDb(server) => server.url(),
            Servers::Redis(server) => server.url(),
            Servers::Sentinel(servers) => servers.url(),
            Servers::Cluster(servers) => servers.url(),
            Servers::Memcached(servers) => Memcached::url_of(servers),
        })
    }

    /// A new client, for the runtime of who asks, whose calls take no longer than the limit.
    pub async fn connect(&self, limit: Duration) -> Arc<dyn Store> {
        let url = self.url().unwrap_or_default();
        match &self.servers {
            Servers::Memory(store) => Arc::new(store.clone()),
            Servers::Nodes(nodes) => Arc::new(nodes.next()),
            Servers::Sqlite(_) | Servers::Postgres(_) | Servers::MariaDb(_) => {
                Arc::new(SqlStore::builder(&url).timeout(limit).connect().await.unwrap())
            }
            Servers::Redis(_) | Servers::Sentinel(_) | Servers::Cluster(_) => {
                Arc::new(RedisStore::builder(&url).timeout(limit).connect().await.unwrap())
            }
            Servers::Memcached(_) => {
                Arc::new(MemcachedStore::builder(&url).timeout(limit).connect().await.unwrap())
            }
        }
    }

    /// A client as [`connect`](Self::connect) makes one, for one end of a move: of nodes one that answers only what is
    /// certain, as who moves sessions for good is told to take.
    pub async fn end_of_move(&self, limit: Duration) -> Arc<dyn Store> {
        match &self.servers {
            Servers::Nodes(nodes) => Arc::new(nodes.next().certain()),
            _ => self.connect(limit).await,
        }
    }

    /// Kills a server (-9): the only one, or the primary, or that of one slot.
    pub fn kill(&mut self) {
        match &mut self.servers {
            Servers::Memory(_) | Servers::Sqlite(_) | Servers::Nodes(_) => {
                panic!("{} has no server", self.kind)
            }
            Servers::Postgres(server) => server.kill(),
            Servers::MariaDb(server) => server.kill(),
            Servers::Redis(server) => server.kill(),
            Servers::Sentinel(servers) => self.struck = servers.kill_primary(),
            Servers::Cluster(servers) => {
                self.struck = servers.primaries()[0];
                servers.nodes_mut()[self.struck].kill();
            }
            Servers::Memcached(servers) => servers[0].kill(),
        }
    }

    /// Starts the server again that was killed. With Sentinel and Cluster it comes back as a replica
    /// of the one that took its place, if one did.
    pub fn restart(&mut self) {
        match &mut self.servers {
            Servers::Memory(_) | Servers::Sqlite(_) | Servers::Nodes(_) => {
                panic!("{} has no server", self.kind)
            }
            Servers::Postgres(server) => server.restart(),
            Servers::MariaDb(server) => server.restart(),
            Servers::Redis(server) => server.restart(),
            Servers::Sentinel(servers) => servers.servers_mut()[self.struck].restart(),
            Servers::Cluster(servers) => servers.nodes_mut()[self.struck].restart(),
            Servers::Memcached(servers) => servers[0].restart(),
        }
    }

    /// Waits until another server has taken the place of the one that was killed, where there is
    /// one that can.
    pub fn await_failover(&self) {
        let patience = Duration::from_secs(30);
        let taken = abide_servers::until(patience, || match &self.servers {
            Servers::Sentinel(servers) => {
                servers.primary().filter(|place| *place != self.struck).map(|_| ())
            }
            Servers::Cluster(servers) => (servers.primaries().len() == 3).then_some(()),
            _ => Some(()),
        });
        assert!(taken.is_some(), "nobody took the place of the killed server");
        self.await_agreement();
    }

    /// Waits until the servers that run agree on who is primary and the others follow.
    pub fn await_agreement(&self) {
        match &self.servers {
            Servers::Sentinel(servers) => servers.await_replication(),
            Servers::Cluster(servers) => servers.await_agreement(),
            _ => {}
        }
    }

    /// Lets the server hang that [`kill`](Self::kill) would kill.
    pub fn stop(&mut self) {
        match &self.servers {
            Servers::Memory(_) | Servers::Sqlite(_) | Servers::Nodes(_) => {
                panic!("{} has no server", self.kind)
            }
            Servers::Postgres(server) => server.stop(),
            Servers::MariaDb(server) => server.stop(),
            Servers::Redis(server) => server.stop(),
            Servers::Sentinel(servers) => {
                self.struck = servers.primary().unwrap();
                servers.servers()[self.struck].stop();
            }
            Servers::Cluster(servers) => {
                self.struck = servers.primaries()[0];
                servers.nodes()[self.struck].stop();
            }
            Servers::Memcached(servers) => servers[0].stop(),
        }
    }

    /// Lets it go on.
    pub fn cont(&self) {
        match &self.servers {
            Servers::Memory(_) | Servers::Sqlite(_) | Servers::Nodes(_) => {
                panic!("{} has no server", self.kind)
            }
            Servers::Postgres(server) => server.cont(),
            Servers::MariaDb(server) => server.cont(),
            Servers::Redis(server) => server.cont(),
            Servers::Sentinel(servers) => servers.servers()[self.struck].cont(),
            Servers::Cluster(servers) => servers.nodes()[self.struck].cont(),
            Servers::Memcached(servers) => servers[0].cont(),
        }
    }
}

/// The keys that sealed values of all tests are sealed with.
pub fn sealing_keys() -> KeyRing {
    KeyRing::new(vec![SealingKey::new([7; SealingKey::BYTES])]).unwrap()
}

/// A folder for a database file, gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("abide-stores-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path().join("sessions.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
