//! Sessions that move from one store to another while they are used: none is lost, none revived, no
//! write is lost, and all keep their deadlines.
//!
//! `./test` moves some sessions round a ring, so that each kind of store is each end once.
//! `ABIDE_MOVED_PAIRS=all` moves them between each two kinds, and `ABIDE_MOVED_SESSIONS=10000` says
//! how many.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test, that says how it went")]

use abide_race_suite::{moved_sessions, sessions_move_under_traffic};
use abide_stores_tested::{Kind, PATIENCE, Place};
use tokio::time::Instant;

/// Sessions of each pair: enough for every operation of the traffic to meet every step of a move.
const SESSIONS: usize = 300;

const RING: [Kind; 7] = [
    Kind::Memory,
    Kind::Sqlite,
    Kind::Postgres,
    Kind::MariaDb,
    Kind::Redis,
    Kind::ThreeMemcached,
    Kind::TwoNodes,
];

#[test]
fn sessions_move_from_memory() {
    move_from(0);
}

#[test]
fn sessions_move_from_sqlite() {
    move_from(1);
}

#[test]
fn sessions_move_from_postgres() {
    move_from(2);
}

#[test]
fn sessions_move_from_mariadb() {
    move_from(3);
}

#[test]
fn sessions_move_from_redis() {
    move_from(4);
}

#[test]
fn sessions_move_from_memcached() {
    move_from(5);
}

#[test]
fn sessions_move_from_nodes() {
    move_from(6);
}

fn move_from(place: usize) {
    let all = std::env::var("ABIDE_MOVED_PAIRS").is_ok_and(|pairs| pairs == "all");
    let from = RING[place];
    let next = RING[(place + 1) % RING.len()];
    for to in RING.into_iter().filter(|to| *to != from && (all || *to == next)) {
        move_between(from, to);
    }
}

fn move_between(from: Kind, to: Kind) {
    let (from_place, to_place) = (Place::start(from), Place::start(to));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (from_store, to_store) =
            (from_place.end_of_move(PATIENCE).await, to_place.end_of_move(PATIENCE).await);
        let begun = Instant::now();
        let moved =
            sessions_move_under_traffic(to_store, from_store, moved_sessions(SESSIONS)).await;
        println!("{from} to {to}: {moved}, in {:.1} s", begun.elapsed().as_secs_f64());
        moved.is_good();
    });
}
