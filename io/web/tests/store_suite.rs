//! The memory store keeps the contract of `Store`.

use abide::MemoryStore;

abide_store_suite::store_suite!(async { MemoryStore::new() });
