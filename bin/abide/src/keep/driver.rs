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
    pub(crate) fn counters(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Sql(store) => {
                let counters = store.counters();
                vec![
                    ("connected", counters.connections),
                    ("disconnected", counters.disconnections),
                    ("retried_after_change", counters.contended),
                    ("retried_after_deadlock", counters.gave_way),
                    ("cleaned", counters.cleaned),
                    ("cleaning_failed", counters.cleaning_failures),
                ]
            }
            Self::Redis(store) => {
                let counters = store.counters();
                vec![
                    ("reconnected", counters.reconnects),
                    ("retried_moved", counters.repeated_moved),
                    ("retried_not_ready", counters.repeated_not_ready),
                    ("retried_read_only", counters.repeated_read_only),
                    ("retried_disconnected", counters.repeated_disconnected),
                    ("script_sent", counters.scripts_sent),
                    ("unanswered", counters.unanswered),
                    ("full", counters.full),
                    ("too_few_replicas", counters.too_few_replicas),
                ]
            }
            Self::Memcached(store) => {
                let counters = store.counters();
                vec![
                    ("reconnected", counters.reconnects),
                    ("retried_after_change", counters.retries_after_change),
                    ("retried_disconnected", counters.retries_after_disconnect),
                    ("restarted", counters.restarts),
                    ("evicted", counters.evicted),
                    ("lost", counters.lost),
                    ("committed_without_read", counters.commits_without_read),
                    ("move_finished", counters.moves_finished),
                    ("index_restored", counters.index_restored),
                ]
            }
            Self::Node(store) => {
                let counters = store.counters();
                vec![
                    ("kept_by_all_owners", counters.answered_full),
                    ("kept_by_others", counters.answered_spilled),
                    ("kept_by_one", counters.answered_degraded),
                    ("kept_by_one_side", counters.answered_sole),
                    ("unavailable", counters.unavailable),
                    ("sent_again", counters.sent_again),
                    ("waited_for_grant", counters.waited_for_grant),
                    ("waited_for_write", counters.waited_for_write),
                    ("silent_nodes", counters.silences),
                    ("dead_nodes", counters.deaths),
                    ("begun_again", counters.rebirths),
                    ("slots_led", counters.reigns),
                    ("slots_filled", counters.fills),
                    ("letters_sent", counters.letters_sent),
                    ("letters_received", counters.letters_received),
                    ("bytes_sent", counters.bytes_sent),
                    ("bytes_received", counters.bytes_received),
                    ("journal_bytes", counters.journal_bytes),
                    ("journal_synced", counters.journal_syncs),
                    ("journal_copied", counters.journal_copies),
                    ("journal_failed", counters.journal_failures),
                ]
            }
        }
    }
}
