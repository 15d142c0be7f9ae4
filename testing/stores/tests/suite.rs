//! Every store keeps the contract, with and without sealed values, but for the exceptions that its
//! kind lists.

#![expect(clippy::unwrap_used, reason = "what tests do, in functions that they share")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use abide::AtRest;
use abide_session::Store;
use abide_store_suite::{SENTENCES, Sentence};
use abide_stores_tested::{Kind, PATIENCE, Place, sealing_keys};

/// Sentences that are tried side by side: enough for their clients to meet on the server.
const AT_ONCE: usize = 4;

/// Longer than any sentence takes that comes to an end.
const SENTENCE: Duration = Duration::from_mins(1);

macro_rules! kinds {
    ($($name:ident: $kind:ident,)+) => {
        $(
            #[test]
            fn $name() {
                keeps_the_contract(Kind::$kind);
            }
        )+
    };
}

kinds! {
    memory_keeps_the_contract: Memory,
    sqlite_keeps_the_contract: Sqlite,
    postgres_keeps_the_contract: Postgres,
    mariadb_keeps_the_contract: MariaDb,
    redis_keeps_the_contract: Redis,
    redis_with_a_log_keeps_the_contract: DurableRedis,
    sentinel_keeps_the_contract: Sentinel,
    cluster_keeps_the_contract: Cluster,
    valkey_keeps_the_contract: Valkey,
    valkey_cluster_keeps_the_contract: ValkeyCluster,
    memcached_keeps_the_contract: Memcached,
    three_memcached_keep_the_contract: ThreeMemcached,
    one_node_keeps_the_contract: OneNode,
    two_nodes_keep_the_contract: TwoNodes,
    three_nodes_keep_the_contract: ThreeNodes,
}

fn keeps_the_contract(kind: Kind) {
    let place = Place::start(kind);
    for sealed in [false, true] {
        let exceptions = kind.exceptions(sealed);
        let listed: BTreeSet<&str> = exceptions.iter().map(|one| one.sentence).collect();
        let broken = broken(&place, sealed);
        assert_eq!(broken, listed, "{kind}, sealed: {sealed}: broken, and listed as exceptions");
    }
}

/// The sentences that do not hold.
fn broken(place: &Place, sealed: bool) -> BTreeSet<&'static str> {
    let left = Mutex::new(SENTENCES.iter());
    let broken = Mutex::new(BTreeSet::new());
    // Memory drops what has expired at the time of any call, and sentences are at different times.
    let at_once = if place.kind() == Kind::Memory { 1 } else { AT_ONCE };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let Some(sentence) = left.lock().unwrap().next() else { break };
                    if catch_unwind(AssertUnwindSafe(|| tried(sentence, place, sealed))).is_err() {
                        broken.lock().unwrap().insert(sentence.name());
                    }
                }
            });
        }
    });
    broken.into_inner().unwrap()
}

fn tried(sentence: &Sentence, place: &Place, sealed: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = place.connect(PATIENCE).await;
        let store: Arc<dyn Store> =
            if sealed { Arc::new(AtRest::new(store, sealing_keys())) } else { store };
        let held = tokio::time::timeout(SENTENCE, sentence.run(&*store)).await;
        held.unwrap_or_else(|_| panic!("{} does not come to an end", sentence.name()));
    });
}
