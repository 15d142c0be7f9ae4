//! Servers that restart, hang, die, are full, forget, or hold what is not ours.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::time::Duration;

use abide_servers::{Memcached, WireCount, until};
use abide_session::{Commit, Create, End, Loaded, Store, StoreError};
use abide_store_memcached::{ConnectError, MemcachedStore};
use futures_util::future::join_all;

use stage::{Bare, PATIENCE, bind, birth, live, make, new_id, now, set};

async fn store_at(server: &Memcached) -> MemcachedStore {
    MemcachedStore::connect(&server.url()).await.unwrap()
}

fn is_unavailable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(error @ StoreError::Unavailable(_)) => error.to_string(),
        other => panic!("not unavailable: {other:?}"),
    }
}

#[tokio::test]
async fn a_restart_loses_sessions_and_says_so() {
    let mut server = Memcached::start();
    let store = store_at(&server).await;
    let id = make(&store, set("a", "1")).await;
    assert!(live(&store, id).await.is_some());
    server.kill();
    let error = is_unavailable(store.load(id, now()).await);
    assert!(error.contains(&server.address()), "{error}");
    is_unavailable(store.health().await);
    server.restart();
    assert!(matches!(store.load(id, now()).await.unwrap(), Loaded::Unknown));
    assert_eq!(store.commit(id, set("a", "2"), now()).await.unwrap(), Commit::Gone);
    store.health().await.unwrap();
    let counters = store.counters();
    assert_eq!((counters.lost, counters.restarts), (1, 1));
    assert!(counters.reconnects > 0);
    let id = make(&store, set("a", "1")).await;
    assert!(live(&store, id).await.is_some());
}

#[tokio::test]
async fn a_token_from_before_a_restart_is_not_used_after_it() {
    let mut server = Memcached::start();
    let store = store_at(&server).await;
    let id = make(&store, set("a", "1")).await;
    assert!(live(&store, id).await.is_some());
    server.kill();
    server.restart();
    // The first item of the new server has the token that the first of the old one had.
    let other = store_at(&server).await;
    other.create(id, birth(set("b", "2"), now()), now()).await.unwrap();
    store.commit(id, set("c", "3"), now()).await.unwrap();
    let record = live(&store, id).await.unwrap();
    assert!(record.get("a").is_none() && record.get("b").is_some() && record.get("c").is_some());
    assert_eq!(store.counters().commits_without_read, 0);
}

/// Whether every thread of a process has stopped: the signal does not wait for that.
fn is_stopped(process: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_so_long_and_no_longer() {
    let server = Memcached::start();
    let timeout = Duration::from_millis(200);
    let builder = MemcachedStore::builder(&server.url()).timeout(timeout).connections(2);
    let store = builder.connect().await.unwrap();
    let id = make(&store, set("a", "1")).await;
    server.stop();
    until(PATIENCE, || is_stopped(server.process()).then_some(())).expect("a server that hangs");
    let begin = tokio::time::Instant::now();
    // More calls than connections: those that wait for one are waited for no longer.
    let outcomes = join_all((0..6).map(|_| store.load(id, now()))).await;
    for outcome in outcomes {
        is_unavailable(outcome);
    }
    is_unavailable(store.commit(id, set("a", "2"), now()).await);
    assert!(begin.elapsed() < timeout * 8, "{:?}", begin.elapsed());
    server.cont();
    assert_eq!(live(&store, id).await.unwrap().get("a").unwrap(), "1");
}

#[tokio::test]
async fn connections_that_were_cut_are_replaced_without_an_error() {
    let server = Memcached::start();
    let wire = WireCount::in_front_of(&server.address());
    let url = format!("memcached://{}", wire.address());
    let store = MemcachedStore::connect(&url).await.unwrap();
    let id = make(&store, set("a", "1")).await;
    for _ in 0..5 {
        assert!(live(&store, id).await.is_some());
        wire.cut();
        store.commit(id, set("a", "2"), now()).await.unwrap();
    }
    assert!(store.counters().reconnects >= 5);
    assert_eq!(store.counters().lost, 0);
}

#[tokio::test]
async fn what_is_evicted_is_counted_and_reported_as_lost() {
    let server = Memcached::with(&["-m", "2"]);
    let store = store_at(&server).await;
    let value = vec![b'v'; 10_000];
    let first = make(&store, set("a", value.clone())).await;
    for _ in 0..1000 {
        if server.stat("evictions") > 0 {
            break;
        }
        make(&store, set("a", value.clone())).await;
    }
    assert!(matches!(store.load(first, now()).await.unwrap(), Loaded::Unknown));
    store.health().await.unwrap();
    assert_eq!(store.counters().lost, 1);
    assert!(store.counters().evicted > 0);
}

#[tokio::test]
async fn a_full_server_that_evicts_nothing_refuses_and_keeps_what_it_has() {
    let server = Memcached::with(&["-m", "2", "-M"]);
    let store = store_at(&server).await;
    let value = vec![b'v'; 20_000];
    let mut ids = Vec::new();
    let error = loop {
        let id = new_id();
        match store.create(id, birth(set("a", value.clone()), now()), now()).await {
            Ok(Create::Created(_)) => ids.push(id),
            outcome => break outcome.unwrap_err(),
        }
    };
    assert!(matches!(error, StoreError::Full), "{error}");
    // What is there can not grow, and is not lost by the attempt.
    let mut refused = 0;
    for id in &ids {
        match store.commit(*id, set("b", value.clone()), now()).await {
            Ok(commit) => assert!(matches!(commit, Commit::Committed(_)), "{commit:?}"),
            Err(error) => {
                assert!(matches!(error, StoreError::Full), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > ids.len() / 2, "{refused} of {}", ids.len());
    for id in &ids {
        assert_eq!(live(&store, *id).await.unwrap().get("a").unwrap(), &value);
    }
    // A logout succeeds, and makes room.
    for id in &ids {
        assert_eq!(store.end(*id, now()).await.unwrap(), End::Ended);
        assert!(live(&store, *id).await.is_none());
    }
    make(&store, set("a", value)).await;
    assert_eq!(server.stat("evictions"), 0);
}

#[tokio::test]
async fn what_is_not_ours_is_corrupt_until_it_is_ended() {
    let server = Memcached::start();
    let store = store_at(&server).await;
    let mut bare = Bare::to(&server.address());
    let bodies: [&[u8]; 5] =
        [b"", b"hello", &[0xc1; 100], &[0x93, 2, 3, 0], &[0x96, 1, 4, 0, 0xff]];
    for body in bodies {
        let id = new_id();
        bare.put(&format!("abide.s.{id}"), body);
        let is_corrupt = |error: StoreError| matches!(error, StoreError::Corrupt(_));
        assert!(is_corrupt(store.load(id, now()).await.unwrap_err()));
        assert!(is_corrupt(store.commit(id, set("a", "1"), now()).await.unwrap_err()));
        let taken = store.create(id, birth(set("a", "1"), now()), now()).await.unwrap();
        assert_eq!(taken, Create::Taken);
        assert_eq!(store.end(id, now()).await.unwrap(), End::Ended);
        assert!(matches!(store.load(id, now()).await.unwrap(), Loaded::Ended));
    }
}

#[tokio::test]
async fn a_large_session_of_which_a_part_was_evicted_is_lost() {
    let server = Memcached::start();
    let store = store_at(&server).await;
    let id = make(&store, set("a", vec![b'v'; 1 << 20])).await;
    let mut bare = Bare::to(&server.address());
    let parts: Vec<_> =
        bare.keys().into_iter().filter(|key| key.starts_with(&format!("abide.s.{id}."))).collect();
    assert_eq!(parts.len(), 5);
    assert!(live(&store, id).await.is_some());
    bare.delete(&parts[2]);
    assert!(matches!(store.load(id, now()).await.unwrap(), Loaded::Unknown));
    assert_eq!(store.commit(id, set("b", "2"), now()).await.unwrap(), Commit::Gone);
    assert!(store.counters().lost > 0);
    store.end(id, now()).await.unwrap();
    assert!(matches!(store.load(id, now()).await.unwrap(), Loaded::Ended));
}

#[tokio::test]
async fn a_small_session_takes_the_bytes_that_the_documentation_says() {
    let server = Memcached::start();
    let wire = WireCount::in_front_of(&server.address());
    let url = format!("memcached://{}", wire.address());
    let store = MemcachedStore::connect(&url).await.unwrap();
    let mut changes = bind("user 12345");
    for (field, bytes) in [("cart", 20), ("locale", 5), ("name", 12), ("theme", 4), ("visits", 2)] {
        changes.fields.extend(set(field, vec![b'x'; bytes]).fields);
    }
    let id = make(&store, changes).await;
    let mut bare = Bare::to(&server.address());
    let mut item_bytes = || {
        let items = bare.items();
        let of_session = items.iter().find(|line| line.contains(&id.to_string())).unwrap();
        of_session.split_once("size=").unwrap().1.parse::<usize>().unwrap()
    };
    let mut last = wire.total();
    let mut moved = || {
        let total = wire.total();
        let since = total.since(last);
        last = total;
        since.bytes_to_server + since.bytes_to_client
    };
    let live_bytes = item_bytes();
    store.load(id, now()).await.unwrap();
    let loaded = moved();
    store.commit(id, set("visits", "99"), now()).await.unwrap();
    let committed = moved();
    store.end(id, now()).await.unwrap();
    assert_eq!((live_bytes, loaded, committed, item_bytes()), (296, 305, 265, 109));
}

#[tokio::test]
async fn the_parts_of_what_was_replaced_are_deleted() {
    let server = Memcached::start();
    let store = store_at(&server).await;
    let id = make(&store, set("a", vec![b'v'; 1 << 20])).await;
    store.commit(id, set("b", vec![b'w'; 1 << 20]), now()).await.unwrap();
    let mut bare = Bare::to(&server.address());
    assert_eq!(bare.keys().len(), 1 + 9);
    store.commit(id, set("b", "2"), now()).await.unwrap();
    assert_eq!(bare.keys().len(), 1 + 5);
    store.commit(id, set("a", "1"), now()).await.unwrap();
    assert_eq!(bare.keys().len(), 1);
}

#[tokio::test]
async fn an_index_that_was_evicted_is_rebuilt_by_use() {
    let server = Memcached::start();
    let store = store_at(&server).await;
    let subject = abide_session::Subject::new("user").unwrap();
    let id = make(&store, bind("user")).await;
    let mut bare = Bare::to(&server.address());
    let keys = bare.keys();
    let index = keys.iter().find(|key| key.starts_with("abide.u.")).unwrap();
    bare.delete(index);
    assert!(store.list(&subject, now()).await.unwrap().is_empty());
    // Another process, which has not seen the session yet.
    let other = store_at(&server).await;
    other.commit(id, set("a", "1"), now()).await.unwrap();
    let restored =
        tokio::task::spawn_blocking(move || until(PATIENCE, || bare.get(index_of(&keys))));
    assert!(restored.await.unwrap().is_some());
    assert_eq!(store.list(&subject, now()).await.unwrap().len(), 1);
    store.end_all(&subject, None, now()).await.unwrap();
    assert!(live(&store, id).await.is_none());
}

fn index_of(keys: &[String]) -> &str {
    keys.iter().find(|key| key.starts_with("abide.u.")).unwrap()
}

#[tokio::test]
async fn of_several_servers_each_keeps_its_sessions_and_no_others() {
    let mut servers: Vec<_> = (0..3).map(|_| Memcached::start()).collect();
    let url = Memcached::url_of(&servers);
    let store = MemcachedStore::connect(&url).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..60 {
        ids.push(make(&store, set("a", "1")).await);
    }
    servers[1].kill();
    let loaded = join_all(ids.iter().map(|id| store.load(*id, now()))).await;
    let unavailable = loaded.iter().filter(|outcome| outcome.is_err()).count();
    assert!((5..40).contains(&unavailable), "{unavailable} of 60");
    assert!(loaded.iter().flatten().all(|loaded| matches!(loaded, Loaded::Live { .. })));
    // Whoever starts now knows the same, and does not look elsewhere.
    let reversed: Vec<_> = servers.iter().rev().map(Memcached::address).collect();
    let other = MemcachedStore::connect(&format!("memcached://{}", reversed.join(","))).await;
    let other = other.expect("two of three answer");
    for (id, before) in ids.iter().zip(&loaded) {
        assert_eq!(other.load(*id, now()).await.is_err(), before.is_err());
    }
    let error = is_unavailable(other.health().await);
    assert!(error.contains(&servers[1].address()), "{error}");
}

#[tokio::test]
async fn what_can_not_be_connected_to_says_why() {
    let mut server = Memcached::start();
    let url = server.url();
    server.kill();
    let error = MemcachedStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&server.address()), "{error}");

    let error = MemcachedStore::connect("memcached://").await.unwrap_err();
    assert!(matches!(error, ConnectError::BadUrl(_)), "{error}");

    for arguments in [&["-I", "128k", "-o", "slab_chunk_max=64"][..], &["-C"]] {
        let server = Memcached::with(arguments);
        let error = MemcachedStore::connect(&server.url()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unsuitable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_the_right_one_serves() {
    let folder = std::env::temp_dir().join(format!("abide-memcached-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("users");
    std::fs::write(&file, "me:right\n").unwrap();
    let server = Memcached::with(&["-Y", file.to_str().unwrap()]);
    for user_info in ["", "me:wrong@", "you:right@"] {
        let url = format!("memcached://{user_info}{}", server.address());
        let error = MemcachedStore::connect(&url).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    let url = format!("memcached://me:right@{}", server.address());
    let store = MemcachedStore::connect(&url).await.unwrap();
    let id = make(&store, set("a", "1")).await;
    assert!(live(&store, id).await.is_some());
    std::fs::remove_dir_all(&folder).unwrap();
}
