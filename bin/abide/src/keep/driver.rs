//! The stores of this build, as one type.

use std::sync::Arc;

use abide::{Store, StoreError};
use abide_node::NodeStore;
use abide_store_memcached::MemcachedStore;
use abide_store_redis::RedisStore;
use abide_store_sql::SqlStore;

use super::{StoreAddress, StoreKind};
use crate::failure::Failure;

/// A connected store of one kind. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) enum Driver {
    Sql(SqlStore),
    Redis(RedisStore),
    Memcached(MemcachedStore),
    Node(NodeStore),
}

impl Driver {
    /// Connects. What goes wrong is told in one line that names the place, without what is secret in
    /// its URL.
    pub(crate) async fn connect(address: &StoreAddress) -> Result<Self, Failure> {
        use abide_store_memcached::ConnectError as Memcached;
        use abide_store_redis::ConnectError as Redis;
        use abide_store_sql::ConnectError as Sql;
        let url = address.expose_url();
        match address.kind() {
            StoreKind::Sqlite | StoreKind::Postgres | StoreKind::Mysql => {
                let failed = |error| match error {
                    Sql::BadUrl(_) => Failure::Address(error.to_string()),
                    error => Failure::Other(error.to_string()),
                };
                SqlStore::connect(url).await.map(Self::Sql).map_err(failed)
            }
            StoreKind::Redis => {
                let failed = |error| match error {
                    Redis::Url { .. } => Failure::Address(error.to_string()),
                    error => Failure::Other(error.to_string()),
                };
                RedisStore::connect(url).await.map(Self::Redis).map_err(failed)
            }
            StoreKind::Memcached => {
                let failed = |error| match error {
                    Memcached::BadUrl(_) => Failure::Address(error.to_string()),
                    error => Failure::Other(error.to_string()),
                };
                MemcachedStore::connect(url).await.map(Self::Memcached).map_err(failed)
            }
        }
    }

    /// As what the session layer takes.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sql(store) => Arc::new(store.clone()),
            Self::Redis(store) => Arc::new(store.clone()),
            Self::Memcached(store) => Arc::new(store.clone()),
            Self::Node(store) => Arc::new(store.clone()),
        }
    }

    /// Asks for a sign of life, and whether it can be written to.
    pub(crate) async fn health(&self) -> Result<(), StoreError> {
        match self {
            Self::Sql(store) => store.health().await,
            Self::Redis(store) => store.health().await,
            Self::Memcached(store) => store.health().await,
            Self::Node(store) => store.health().await,
        }
    }

    /// What it has counted itself, by names that are the same at every call.
    pub(crate) fn events(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Sql(store) => store.counters().events().to_vec(),
            Self::Redis(store) => store.counters().events().to_vec(),
            Self::Memcached(store) => store.counters().events().to_vec(),
            Self::Node(store) => store.counters().events().to_vec(),
        }
    }
}
