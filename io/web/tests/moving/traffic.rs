//! Ten thousand sessions that move from one store in memory to another while they are used.

use std::sync::Arc;

use abide::store::OldId;
use abide::{AtRest, KeyRing, MemoryStore, SealingKey};
use abide_race_suite::{moved_sessions, sessions_move_under_traffic};

use super::careless::Careless;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sessions_move_under_traffic_and_none_is_lost_or_revived() {
    let (to, from) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    let moved = sessions_move_under_traffic(to, from, moved_sessions(10_000)).await;
    println!("{moved}");
    moved.is_good();
    assert!(moved.moved_by_walk > 0 && moved.moved_by_requests > 0, "{moved}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_sealed_while_its_sessions_are_used() {
    let keys = KeyRing::new(vec![SealingKey::new([7; SealingKey::BYTES])]).expect("a ring");
    let (sealed, plain) = (AtRest::new(MemoryStore::new(), keys), MemoryStore::new());
    sessions_move_under_traffic(Arc::new(sealed), Arc::new(plain), 1000).await.is_good();
}

/// The harness would see it if a session could still be written to where it has left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_freeze_what_has_left_is_found_out() {
    let from = Careless { freezes_as: OldId::Follows, store: MemoryStore::new() };
    let (to, from) = (Arc::new(MemoryStore::new()), Arc::new(from));
    let moved = sessions_move_under_traffic(to, from, 2000).await;
    assert!(moved.lost_writes > 0, "{moved}");
}
