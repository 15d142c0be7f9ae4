//! The servers behind the apps, and where sessions are kept without one.

use std::path::PathBuf;

use abide_servers::{MariaDb, Memcached, Postgres, Redis, RedisCluster, RedisSentinel};

/// The nodes of a cluster: three primaries with a replica each.
const CLUSTER_NODES: usize = 6;

/// Where sessions are kept.
#[derive(Debug)]
pub enum Server {
    /// In the app or in the browser: `memory`, `sealed`.
    Nowhere(&'static str),
    /// In a file of each app; the folder.
    Sqlite(PathBuf),
    Postgres(Postgres),
    MariaDb(MariaDb),
    Redis(Redis),
    Sentinel(Box<RedisSentinel>),
    Cluster(Box<RedisCluster>),
    Memcached(Memcached),
}

/// What `--stores` takes, in the order of the table.
pub const STORES: [&str; 11] = [
    "redis",
    "postgres",
    "mariadb",
    "sqlite",
    "memcached",
    "valkey",
    "redis-log",
    "sentinel",
    "cluster",
    "memory",
    "sealed",
];

impl Server {
    /// Starts the server of this name.
    pub fn start(name: &str) -> Result<Self, String> {
        Ok(match name {
            "memory" => Self::Nowhere("memory"),
            "sealed" => Self::Nowhere("sealed"),
            "sqlite" => {
                let name = format!("abide-bench-{}", std::process::id());
                let folder = std::env::temp_dir().join(name);
                std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
                Self::Sqlite(folder)
            }
            "postgres" => Self::Postgres(Postgres::start()),
            "mariadb" => Self::MariaDb(MariaDb::start()),
            "redis" => Self::Redis(Redis::start()),
            "valkey" => Self::Redis(Redis::valkey()),
            "redis-log" => Self::Redis(Redis::with(&["--appendonly", "yes"])),
            "sentinel" => Self::Sentinel(Box::new(RedisSentinel::start())),
            "cluster" => Self::Cluster(Box::new(RedisCluster::start(CLUSTER_NODES))),
            // Room for a session of 4 KB for each request of a long run.
            "memcached" => Self::Memcached(Memcached::with(&["-m", "1024"])),
            other => return Err(format!("no store {other}; there are {}", STORES.join(", "))),
        })
    }

    /// What an app is given; `who` has a file of its own where there is no server.
    pub fn url(&self, who: &str) -> String {
        match self {
            Self::Nowhere(name) => (*name).to_owned(),
            Self::Sqlite(_) => format!("sqlite://{}", self.file(who).display()),
            Self::Postgres(server) => server.url(),
            Self::MariaDb(server) => server.url(),
            Self::Redis(server) => server.url(),
            Self::Sentinel(servers) => servers.url(),
            Self::Cluster(servers) => servers.url(),
            Self::Memcached(server) => server.url(),
        }
    }

    /// The address to put a counting proxy before. A Sentinel and a Cluster tell their clients where
    /// to connect, so nothing can stand in between; what they are asked is what Redis is asked.
    pub fn address(&self) -> Option<String> {
        match self {
            Self::Nowhere(_) | Self::Sqlite(_) | Self::Sentinel(_) | Self::Cluster(_) => None,
            Self::Postgres(server) => Some(server.address()),
            Self::MariaDb(server) => Some(server.address()),
            Self::Redis(server) => Some(server.address()),
            Self::Memcached(server) => Some(server.address()),
        }
    }

    /// The bytes that it has written to its log of changes, which is what waits for the disk. The
    /// log of SQLite is written by the app.
    pub fn log_bytes(&self) -> Option<u64> {
        match self {
            Self::Postgres(server) => server
                .sql("postgres", "SELECT pg_current_wal_insert_lsn() - '0/0'")
                .trim()
                .parse()
                .ok(),
            Self::MariaDb(server) => {
                let text = server.sql("abide", "SHOW GLOBAL STATUS LIKE 'Innodb_os_log_written'");
                text.split_whitespace().last()?.parse().ok()
            }
            _ => None,
        }
    }

    /// Kills what holds the sessions (-9), and lets it come back: the same server, or the one that
    /// takes over. False where it is the app that has to die.
    pub fn crash(&mut self) -> bool {
        match self {
            Self::Nowhere(_) | Self::Sqlite(_) => return false,
            Self::Postgres(server) => {
                server.kill();
                server.restart();
            }
            Self::MariaDb(server) => {
                server.kill();
                server.restart();
            }
            Self::Redis(server) => {
                server.kill();
                server.restart();
            }
            Self::Memcached(server) => {
                server.kill();
                server.restart();
            }
            // Its replica takes over.
            Self::Sentinel(servers) => {
                servers.kill_primary();
            }
            Self::Cluster(servers) => {
                if let Some(place) = servers.primaries().first() {
                    servers.nodes_mut()[*place].kill();
                }
            }
        }
        true
    }

    /// The bytes that its sessions take.
    pub fn held_bytes(&self, who: &str) -> Option<u64> {
        match self {
            Self::Nowhere(_) => None,
            Self::Sqlite(_) => {
                // What is still in the log goes to where it stays.
                let file = self.file(who);
                let mut sqlite = std::process::Command::new("sqlite3");
                sqlite.arg(&file).arg("PRAGMA wal_checkpoint(TRUNCATE)").output().ok()?;
                Some(std::fs::metadata(&file).ok()?.len())
            }
            Self::Postgres(server) => {
                let sum = "SELECT COALESCE(sum(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind = 'r' \
                           AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)";
                server.sql("abide", sum).trim().parse().ok()
            }
            Self::MariaDb(server) => {
                let ours = "table_type = 'BASE TABLE' AND (table_schema = 'abide' OR table_schema LIKE 'tower%')";
                let names = format!(
                    "SELECT concat('`', table_schema, '`.`', table_name, '`') FROM information_schema.tables WHERE {ours}"
                );
                for name in server.sql("abide", &names).lines() {
                    server.sql("abide", &format!("ANALYZE TABLE {name}"));
                }
                let sum = format!(
                    "SELECT COALESCE(sum(data_length + index_length), 0) FROM information_schema.tables WHERE {ours}"
                );
                server.sql("abide", &sum).split_whitespace().last()?.parse().ok()
            }
            Self::Redis(server) => used_memory(server),
            // The same data a second time is the replica's; what a session takes of one server is asked.
            Self::Sentinel(servers) => used_memory(&servers.servers()[servers.primary()?]),
            Self::Cluster(servers) => {
                let primaries = servers.primaries();
                primaries.iter().map(|place| used_memory(&servers.nodes()[*place])).sum()
            }
            Self::Memcached(server) => Some(server.stat("bytes")),
        }
    }

    fn file(&self, who: &str) -> PathBuf {
        let Self::Sqlite(folder) = self else { return PathBuf::new() };
        folder.join(format!("{}.db", who.replace([' ', ','], "-")))
    }
}

fn used_memory(server: &Redis) -> Option<u64> {
    server.info("used_memory").trim().parse().ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Sqlite(folder) = self {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
