//! The contract of a store, on one server. Sentinel, Cluster and Valkey are in `testing/stores`, where one
//! process starts their servers once for all sentences.

use std::sync::LazyLock;

use abide_servers::Redis;
use abide_store_redis::RedisStore;

async fn connect(url: &str) -> RedisStore {
    RedisStore::connect(url).await.expect("a server of the test's own")
}

/// A single server of Redis.
mod redis {
    use super::*;

    static SERVER: LazyLock<Redis> = LazyLock::new(Redis::start);

    abide_store_suite::store_suite!(connect(&SERVER.url()));
}

/// The same by the protocol of old.
mod redis_by_resp2 {
    use super::*;

    static SERVER: LazyLock<Redis> = LazyLock::new(Redis::start);

    abide_store_suite::store_suite!(connect(&format!("{}?protocol=resp2", SERVER.url())));
}
