//! The contract of a store, on one server and on three. There is no exception to any sentence: what
//! Memcached can not promise (eviction, restart) none of them shows.

use std::sync::LazyLock;

use abide_servers::Memcached;
use abide_store_memcached::MemcachedStore;

static SERVERS: LazyLock<Vec<Memcached>> =
    LazyLock::new(|| (0..3).map(|_| Memcached::start()).collect());

async fn store_on(servers: usize) -> MemcachedStore {
    let url = Memcached::url_of(&SERVERS[..servers]);
    MemcachedStore::connect(&url).await.expect("servers that were just started")
}

mod on_one_server {
    abide_store_suite::store_suite!(super::store_on(1));
}

mod on_three_servers {
    abide_store_suite::store_suite!(super::store_on(3));
}
