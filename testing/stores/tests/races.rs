//! Requests of one session that overlap, over HTTP, on every store: nobody is signed in again,
//! nothing is lost.
//!
//! One test for each store plays all races, because what starts its servers takes longer than most
//! races. `ABIDE_RACE_ROUNDS` plays longer, as in the race suite itself.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests do, in functions that they share"
)]

use abide::SessionLayer;
use abide_race_suite::{Kept, Race, Server};
use abide_stores_tested::{Kind, PATIENCE, Place};
use tokio::time::Instant;

/// Rounds of each race on stores that answer from memory: as many as keep the races of all stores
/// within a minute and a half on two busy cores.
const ROUNDS: u32 = 30;
/// Rounds on stores that write to a file, where a round takes two to five times as long.
const FEW_ROUNDS: u32 = 12;

macro_rules! kinds {
    ($($name:ident: $kind:ident, $rounds:expr;)+) => {
        $(
            #[test]
            fn $name() {
                holds_every_race(Kind::$kind, $rounds);
            }
        )+
    };
}

kinds! {
    sqlite_holds_every_race: Sqlite, FEW_ROUNDS;
    postgres_holds_every_race: Postgres, FEW_ROUNDS;
    mariadb_holds_every_race: MariaDb, FEW_ROUNDS;
    redis_holds_every_race: Redis, ROUNDS;
    sentinel_holds_every_race: Sentinel, ROUNDS;
    cluster_holds_every_race: Cluster, ROUNDS;
    valkey_holds_every_race: Valkey, ROUNDS;
    valkey_cluster_holds_every_race: ValkeyCluster, ROUNDS;
    memcached_holds_every_race: Memcached, ROUNDS;
    three_memcached_hold_every_race: ThreeMemcached, ROUNDS;
    one_node_holds_every_race: OneNode, ROUNDS;
    two_nodes_hold_every_race: TwoNodes, ROUNDS;
    three_nodes_hold_every_race: ThreeNodes, ROUNDS;
}

fn holds_every_race(kind: Kind, rounds: u32) {
    let rounds = std::env::var("ABIDE_RACE_ROUNDS").map_or(rounds, |text| text.parse().unwrap());
    let place = Place::start(kind);
    let begun = Instant::now();
    let mut bad = Vec::new();
    for race in Race::all() {
        // What the race before left running ends with its runtime, and so do its connections.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(abide_race_suite::WORKERS)
            .enable_all()
            .build()
            .unwrap();
        let outcome = runtime.block_on(async {
            // Two servers of an application, each with a client of its own.
            let stores = [place.connect(PATIENCE).await, place.connect(PATIENCE).await];
            let begun = Instant::now();
            let layer = |server: &Server| {
                let store = stores[server.number() % stores.len()].clone();
                SessionLayer::new(server.watch(store)).store_timeout(PATIENCE)
            };
            let outcome = race.play(Kept::Store, layer, rounds).await;
            println!("{kind}: {outcome}, in {:.1} s", begun.elapsed().as_secs_f64());
            outcome
        });
        if outcome.bad > 0 {
            bad.push(outcome.to_string());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let races = Race::all().count();
    println!("{kind}: {races} races of {rounds} rounds, {} lost, in {seconds:.1} s", bad.len());
    assert!(bad.is_empty(), "{kind}: {bad:#?}");
}
