//! Requests of one session that overlap, over HTTP, with everything that can keep sessions here.

use abide::{AtRest, KeyRing, MemoryStore, Moving, SealedCookie, SealingKey, SessionLayer};
use abide_race_suite::Server;

/// Rounds of what stands before another store: twice as many as every fault of the suite's own tests takes to be found.
/// It changes what is kept, or where, and leaves the order of calls to the store, whose races are played in full.
const BEFORE_A_STORE: u32 = 200;

/// Rounds of what lives in a cookie, where a request costs more: four times as many as every fault of the suite's own tests
/// takes to be found.
const IN_A_COOKIE: u32 = 400;

/// The keys that all servers share.
fn ring() -> KeyRing {
    KeyRing::new(vec![SealingKey::new([7; SealingKey::BYTES])]).expect("one key is a ring")
}

mod memory {
    use super::*;

    abide_race_suite::race_suite!(Kept::Store, async {
        let store = MemoryStore::new();
        move |server: &Server| SessionLayer::new(server.watch(store.clone()))
    });
}

mod sealed {
    use super::*;

    abide_race_suite::race_suite!(Kept::Sealed, IN_A_COOKIE, async {
        move |_: &Server| SessionLayer::sealed(ring())
    });
}

mod sealed_with_revocations {
    use super::*;

    abide_race_suite::race_suite!(Kept::Revocable, IN_A_COOKIE, async {
        let store = MemoryStore::new();
        move |server: &Server| {
            let revocations = server.watch(store.clone());
            SessionLayer::sealed(SealedCookie::new(ring()).revocations(revocations))
        }
    });
}

mod sealed_at_rest {
    use super::*;

    abide_race_suite::race_suite!(Kept::Store, BEFORE_A_STORE, async {
        let store = MemoryStore::new();
        move |server: &Server| SessionLayer::new(server.watch(AtRest::new(store.clone(), ring())))
    });
}

/// One server already moves what it meets, the other does not yet.
mod while_moving {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    abide_race_suite::race_suite!(Kept::Store, BEFORE_A_STORE, async {
        let (to, from) = (MemoryStore::new(), MemoryStore::new());
        let is_first = AtomicBool::new(false);
        move |server: &Server| {
            let store = if is_first.fetch_not(Ordering::SeqCst) {
                Moving::new(to.clone(), from.clone())
            } else {
                Moving::prepared(from.clone(), to.clone())
            };
            SessionLayer::new(server.watch(store))
        }
    });
}
