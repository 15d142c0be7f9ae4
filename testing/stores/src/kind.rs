//! Which stores there are, and what each can not do by nature.

use std::fmt;

/// A store with the servers below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The memory of this process.
    Memory,
    /// A file of SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MariaDB, which stands for MySQL, too.
    MariaDb,
    /// Redis, one server that keeps nothing on disk.
    Redis,
    /// Redis, one server that writes each change to disk before it answers.
    DurableRedis,
    /// Redis with a replica and three Sentinels.
    Sentinel,
    /// Redis Cluster of three primaries and three replicas.
    Cluster,
    /// Valkey, one server.
    Valkey,
    /// Valkey Cluster of three primaries and three replicas.
    ValkeyCluster,
    /// Memcached, one server.
    Memcached,
    /// Three servers of Memcached.
    ThreeMemcached,
    /// One node that keeps sessions itself.
    OneNode,
    /// Two of them, each session on both.
    TwoNodes,
    /// Three of them, each session on two.
    ThreeNodes,
}

/// A sentence of the contract that a kind of store does not keep, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The sentence, as the suite calls it.
    pub sentence: &'static str,
    /// Why it can not be otherwise.
    pub reason: &'static str,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Memory,
        Self::Sqlite,
        Self::Postgres,
        Self::MariaDb,
        Self::Redis,
        Self::DurableRedis,
        Self::Sentinel,
        Self::Cluster,
        Self::Valkey,
        Self::ValkeyCluster,
        Self::Memcached,
        Self::ThreeMemcached,
        Self::OneNode,
        Self::TwoNodes,
        Self::ThreeNodes,
    ];

    /// What it does not keep of the contract.
    pub const fn exceptions(self, sealed: bool) -> &'static [Exception] {
        if sealed { &OF_SEALED } else { &[] }
    }
}

/// What no store keeps of the contract whose values are sealed.
const OF_SEALED: [Exception; 2] = [
    Exception {
        sentence: "value_of_one_mebibyte_is_kept",
        reason: "the seal is part of the value: what is sealed may be 29 bytes shorter",
    },
    Exception {
        sentence: "a_record_over_the_limit_is_an_error_and_changes_nothing",
        reason: "it comes near the limit with values of one mebibyte, which are too large already",
    },
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
            Self::Redis => "Redis",
            Self::DurableRedis => "Redis, appendfsync always",
            Self::Sentinel => "Redis Sentinel",
            Self::Cluster => "Redis Cluster of 6",
            Self::Valkey => "Valkey",
            Self::ValkeyCluster => "Valkey Cluster of 6",
            Self::Memcached => "Memcached",
            Self::ThreeMemcached => "3 Memcached",
            Self::OneNode => "one node",
            Self::TwoNodes => "two nodes",
            Self::ThreeNodes => "three nodes",
        })
    }
}
