//! Servers that die, hang, fill up and change places, and a store that outlives all of it.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use abide_servers::{Redis, RedisCluster, RedisSentinel, WireCount};
use abide_session::{Changes, Commit, End, Loaded, OldId, Standing, Store, StoreError, Write};
use abide_store_redis::RedisStore;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use stage::{
    bound_to, commit, is_live, load, make, make_of, new_id, new_subject, now, renew, set, text,
    write,
};

/// Longer than any set-up here takes to be well again on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);

async fn until_well(store: &RedisStore) {
    let begin = Instant::now();
    while store.health().await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "{:?}", store.health().await);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again_without_a_restart() {
    let mut server = Redis::durable();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    for _ in 0..2 {
        server.kill();
        let begin = Instant::now();
        let loads = (0..50).map(|_| store.load(id, now));
        for loaded in futures_util::future::join_all(loads).await {
            assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
        }
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        assert!(matches!(store.health().await, Err(StoreError::Unavailable(_))));
        server.restart();
        // The first call after it.
        assert_eq!(text(&*load(&store, id, now).await, "a").as_deref(), Some("1"));
        commit(&store, id, set("b", "2"), now).await;
    }
    assert!(store.counters().reconnects >= 2, "{:?}", store.counters());
}

#[tokio::test]
async fn a_server_that_hangs_costs_each_call_its_time_and_no_more() {
    let server = Redis::start();
    let timeout = Duration::from_millis(400);
    let store = RedisStore::builder(&server.url()).timeout(timeout).connect().await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    server.stop();
    for _ in 0..3 {
        let begin = Instant::now();
        let outcome = store.commit(id, write("n", Write::Add(1)), now).await;
        assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
        assert!(begin.elapsed() < timeout * 4, "{:?}", begin.elapsed());
    }
    server.cont();
    until_well(&store).await;
    let counted = load(&store, id, now).await;
    // What was sent may have been carried out, each once.
    assert!(counted.get("n").is_none_or(|bytes| bytes[..] <= [3][..]), "{counted:?}");
    commit(&store, id, set("b", "2"), now).await;
    assert!(store.counters().unanswered >= 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_spoils_no_connection() {
    let server = Redis::start();
    let store = RedisStore::builder(&server.url()).connections(1).connect().await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    server.stop();
    for _ in 0..20 {
        let call = store.commit(id, write("n", Write::Add(1)), now);
        assert!(tokio::time::timeout(Duration::from_millis(5), call).await.is_err());
    }
    server.cont();
    until_well(&store).await;
    for number in 0..20 {
        let number = number.to_string();
        commit(&store, id, set("a", &number), now).await;
        assert_eq!(text(&*load(&store, id, now).await, "a"), Some(number));
    }
    assert_eq!(store.counters().reconnects, 0, "nothing was wrong with it");
}

#[tokio::test]
async fn a_lost_answer_to_a_counter_is_never_asked_for_twice() {
    let server = Redis::start();
    let wire = WireCount::in_front_of(&server.address());
    let url = format!("redis://{}", wire.address());
    let store = Arc::new(RedisStore::builder(&url).connections(1).connect().await.unwrap());
    let now = now();
    let id = make(&store, now).await;
    let (mut told, mut lost) = (0, 0);
    for round in 0..40 {
        let calls = (0..20).map(|_| store.commit(id, write("n", Write::Add(1)), now));
        let cut = async {
            if round % 2 == 0 {
                sleep(Duration::from_micros(100 * round)).await;
                wire.cut();
            }
        };
        let (outcomes, ()) = tokio::join!(futures_util::future::join_all(calls), cut);
        for outcome in outcomes {
            match outcome {
                Ok(Commit::Committed(_)) => told += 1,
                Err(StoreError::Unavailable(_)) => lost += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    let record = load(&store, id, now).await;
    let counted = rmp::decode::read_int::<i64, _>(&mut &record.get("n").unwrap()[..]).unwrap();
    assert!((told..=told + lost).contains(&counted), "{counted} of {told} and perhaps {lost}");
    assert!(told > 0);
}

/// The server has the call before it has the next connection, so it carries the end out twice.
#[tokio::test]
async fn an_end_whose_answer_is_lost_is_sent_again_and_says_that_it_ended() {
    let server = Redis::start();
    let wire = WireCount::in_front_of(&server.address());
    let url = format!("redis://{}", wire.address());
    let store = RedisStore::builder(&url).connections(1).connect().await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    server.stop();
    let before = wire.total().bytes_to_server;
    let cut = async {
        let begin = Instant::now();
        while wire.total().bytes_to_server == before {
            assert!(begin.elapsed() < PATIENCE, "nothing was sent");
            sleep(Duration::from_millis(1)).await;
        }
        wire.cut();
        server.cont();
    };
    let (ended, ()) = tokio::join!(store.end(id, now), cut);
    assert_eq!(ended.unwrap(), End::Ended);
    assert_eq!((store.counters().unanswered, store.counters().repeated_disconnected), (1, 1));
    assert!(!is_live(&store, id, now).await);
    assert_eq!(store.end(id, now).await.unwrap(), End::Gone, "by nobody's first call");
}

#[tokio::test]
async fn scripts_that_the_server_forgot_are_sent_once_more() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    for number in 0..3 {
        server.cli(&["SCRIPT", "FLUSH"]);
        commit(&store, id, set("a", &number.to_string()), now).await;
        commit(&store, id, write("n", Write::Add(1)), now).await;
    }
    assert_eq!(text(&*load(&store, id, now).await, "a").as_deref(), Some("2"));
    assert!(store.counters().scripts_sent >= 6);
}

#[tokio::test]
async fn a_full_server_takes_ends_and_touches_and_forgets_nobody() {
    let server = Redis::with(&["--maxmemory", "4mb", "--maxmemory-policy", "noeviction"]);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let first = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
    let other = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
    let third = make(&store, now).await;
    let value = "v".repeat(100_000);
    let mut made = Vec::new();
    let outcome = loop {
        let id = new_id();
        match store.create(id, stage::birth(set("v", &value), now), now).await {
            Ok(_) => made.push(id),
            Err(error) => break error,
        }
        assert!(made.len() < 1000);
    };
    assert!(matches!(outcome, StoreError::Full), "{outcome:?}");
    // A little below what it holds now, so that what comes and goes makes no room.
    server.cli(&["CONFIG", "SET", "maxmemory", "3mb"]);
    let outcome = store.commit(first, set("b", "2"), now).await;
    assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}");
    let outcome = store.commit(first, write("n", Write::Add(1)), now).await;
    assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}");

    let mut sign_out = write("a", Write::Remove);
    sign_out.subject = Some(None);
    let third = renew(&store, third, sign_out, OldId::Ends, now).await;
    let later = now.after(Duration::from_secs(1));
    let mut touch = Changes::default();
    touch.seen = Some(later);
    commit(&store, first, touch, now).await;
    assert_eq!(load(&store, first, now).await.seen, later);
    assert_eq!(store.end(third, now).await.unwrap(), End::Ended);
    store.end_all(&subject, Some(first), now).await.unwrap();
    assert!(is_live(&store, first, now).await);
    assert!(matches!(store.load(other, now).await.unwrap(), Loaded::Ended));
    assert!(matches!(store.load(third, now).await.unwrap(), Loaded::Ended));
    for id in &made {
        assert!(is_live(&store, *id, now).await, "a session was forgotten");
    }
    store.health().await.unwrap();
    assert!(store.counters().full >= 3);
    for id in made {
        store.end(id, now).await.unwrap();
    }
    server.cli(&["CONFIG", "SET", "maxmemory", "4mb"]);
    commit(&store, first, set("b", "2"), now).await;
}

#[tokio::test]
async fn a_server_that_forgets_is_not_healthy() {
    let server = Redis::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let health = store.health().await;
    let is_right = matches!(&health, Err(StoreError::Unavailable(why)) if why.to_string().contains("allkeys-lru"));
    assert!(is_right, "{health:?}");
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_never_read() {
    let server = Redis::start();
    let other = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    server.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    // As Sentinel does, and whoever means it well.
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    let loaded = store.load(id, now).await;
    assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
    let outcome = store.commit(id, set("a", "2"), now).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    assert!(matches!(store.health().await, Err(StoreError::Unavailable(_))));
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    until_well(&store).await;
}

#[tokio::test]
async fn a_write_that_finds_a_replica_is_refused_and_changes_nothing() {
    let server = Redis::start();
    let other = Redis::start();
    let store = RedisStore::builder(&server.url()).connections(1).connect().await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    server.cli(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]);
    // Unknown here, as the copy of the other is empty: and yet it is not "gone".
    let outcome = store.commit(new_id(), set("a", "2"), now).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let ended = store.end(id, now).await;
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    assert!(store.counters().repeated_read_only >= 1, "{:?}", store.counters());
}

#[tokio::test]
async fn replicas_confirm_or_the_write_is_in_doubt() {
    let server = Redis::start();
    let replica = Redis::replica_of(&server);
    let builder = RedisStore::builder(&server.url());
    let store = builder.wait_for_replicas(1, Duration::from_millis(900)).connect().await.unwrap();
    let now = now();
    let id = make(&store, now).await;
    commit(&store, id, set("a", "2"), now).await;
    replica.stop();
    let outcome = store.commit(id, set("a", "3"), now).await;
    replica.cont();
    let is_right = matches!(&outcome, Err(StoreError::Unavailable(why)) if why.to_string().contains("0 of 1 replicas"));
    assert!(is_right, "{outcome:?}");
    assert_eq!(text(&*load(&store, id, now).await, "a").as_deref(), Some("3"), "it is there");
    assert_eq!(store.counters().too_few_replicas, 1);
}

#[tokio::test]
async fn a_frozen_id_is_found_while_its_slot_moves() {
    let servers = RedisCluster::start(3);
    let store = RedisStore::connect(&servers.url()).await.unwrap();
    let now = now();
    let old = make(&store, now).await;
    let id = renew(&store, old, set("b", "2"), OldId::Freezes, now).await;
    let key = |id: abide_session::IdHash, suffix| {
        format!("abide:{{{}}}{}{suffix}", id.slot(), &id.to_string()[3..])
    };
    let from = servers.primary_of(&key(id, ""));
    let to = *servers.primaries().iter().find(|node| **node != from).unwrap();
    let slot = servers.nodes()[from].cli(&["CLUSTER", "KEYSLOT", &key(id, "")]);
    let name = |node: usize| servers.nodes()[node].cli(&["CLUSTER", "MYID"]);
    servers.nodes()[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &name(from)]);
    servers.nodes()[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &name(to)]);
    let port = servers.nodes()[to].port().to_string();
    for moved in [key(old, ":was"), key(id, "")] {
        servers.nodes()[from].cli(&["MIGRATE", "127.0.0.1", &port, &moved, "0", "5000"]);
        let loaded = store.load(old, now).await.unwrap();
        let is_right = matches!(&loaded, Loaded::Live { record, standing: Standing::Frozen } if record.get("b").is_none());
        assert!(is_right, "{moved}: {loaded:?}");
    }
}

/// Traffic on sessions while servers change places. Gives how many calls failed.
struct Traffic {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Traffic {
    fn start(store: &RedisStore, sessions: Vec<abide_session::IdHash>) -> Self {
        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn({
            let (store, stop, failed) = (store.clone(), Arc::clone(&stop), Arc::clone(&failed));
            async move {
                let mut number = 0_usize;
                while !stop.load(Ordering::Relaxed) {
                    let id = sessions[number % sessions.len()];
                    number += 1;
                    let begin = Instant::now();
                    match store.commit(id, set("n", &number.to_string()), now()).await {
                        // A failover may lose what was answered, but these were replicated before.
                        Ok(Commit::Committed(_)) => {}
                        Err(StoreError::Unavailable(_)) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other:?}"),
                    }
                    match store.load(id, now()).await {
                        Ok(Loaded::Live { .. }) => {}
                        Err(StoreError::Unavailable(_)) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                        other => panic!("{other:?}"),
                    }
                    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
                    sleep(Duration::from_millis(2)).await;
                }
            }
        });
        Self { stop, failed, task }
    }

    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.failed.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_change_the_primary_under_traffic() {
    let mut servers = RedisSentinel::start();
    let builder = RedisStore::builder(&servers.url());
    let store = builder.wait_for_replicas(1, Duration::from_secs(1)).connect().await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(make(&store, now()).await);
    }
    // The survivor has no replica, so it confirms nothing.
    let store = RedisStore::connect(&servers.url()).await.unwrap();
    let traffic = Traffic::start(&store, sessions.clone());
    sleep(Duration::from_millis(100)).await;
    let killed = servers.kill_primary();
    until_well(&store).await;
    commit(&store, sessions[0], set("after", "1"), now()).await;
    let failed = traffic.stop().await;
    println!("{failed} calls failed during the failover: {:?}", store.counters());
    for id in &sessions {
        assert!(is_live(&store, *id, now()).await);
    }
    servers.servers_mut()[killed].restart();
    servers.await_replication();
    commit(&store, sessions[0], set("after", "2"), now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_loses_a_primary_and_moves_slots_under_traffic() {
    let mut servers = RedisCluster::start(6);
    let builder = RedisStore::builder(&servers.url());
    let store = builder.wait_for_replicas(1, Duration::from_secs(1)).connect().await.unwrap();
    let mut sessions = Vec::new();
    for _ in 0..30 {
        sessions.push(make(&store, now()).await);
    }
    let subject = new_subject();
    let mut mine = Vec::new();
    for _ in 0..30 {
        mine.push(make_of(&store, bound_to(set("a", "1"), &subject), now()).await);
    }
    let store = RedisStore::connect(&servers.url()).await.unwrap();
    let traffic = Traffic::start(&store, sessions.clone());
    sleep(Duration::from_millis(100)).await;
    let victim = servers.primaries()[0];
    servers.nodes_mut()[victim].kill();
    until_well(&store).await;
    let failed = traffic.stop().await;
    println!("{failed} calls failed during the failover: {:?}", store.counters());
    servers.nodes_mut()[victim].restart();
    servers.await_agreement();
    for id in sessions.iter().chain(&mine) {
        assert!(is_live(&store, *id, now()).await);
    }
    // All servers have some of them.
    assert_eq!(store.list(&subject, now()).await.unwrap().len(), 30);
    store.end_all(&subject, Some(mine[0]), now()).await.unwrap();
    for id in &mine[1..] {
        assert!(matches!(store.load(*id, now()).await.unwrap(), Loaded::Ended));
    }
    assert_eq!(store.list(&subject, now()).await.unwrap().len(), 1);

    // One slot moves, and meanwhile belongs to both.
    let id = sessions[0];
    let key = format!("abide:{{{}}}{}", id.slot(), &id.to_string()[3..]);
    let from = servers.primary_of(&key);
    let to = *servers.primaries().iter().find(|node| **node != from).unwrap();
    let slot = servers.nodes()[from].cli(&["CLUSTER", "KEYSLOT", &key]);
    let name = |node: usize| servers.nodes()[node].cli(&["CLUSTER", "MYID"]);
    servers.nodes()[to].cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &name(from)]);
    servers.nodes()[from].cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &name(to)]);
    let port = servers.nodes()[to].port().to_string();
    servers.nodes()[from].cli(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]);
    assert!(is_live(&store, id, now()).await, "ASK");
    commit(&store, id, set("moved", "1"), now()).await;
    for node in [to, from] {
        servers.nodes()[node].cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &name(to)]);
    }
    commit(&store, id, set("moved", "2"), now()).await;
    assert_eq!(text(&*load(&store, id, now()).await, "moved").as_deref(), Some("2"));
    assert!(store.counters().repeated_moved >= 2, "{:?}", store.counters());
}

#[tokio::test]
async fn a_value_that_is_large_does_not_cost_the_connection() {
    let server = Redis::start();
    let store = RedisStore::builder(&server.url()).connections(1).connect().await.unwrap();
    let now = now();
    let value = Bytes::from(vec![7; abide_session::MAX_VALUE_BYTES]);
    let id = make_of(&store, write("big", Write::Put(value)), now).await;
    let calls = (0..10).map(|_| load(&store, id, now));
    for record in futures_util::future::join_all(calls).await {
        assert_eq!(record.get("big").map(Bytes::len), Some(abide_session::MAX_VALUE_BYTES));
    }
}
