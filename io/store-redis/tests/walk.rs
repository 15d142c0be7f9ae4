//! A walk over all sessions shows each that is there.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::collections::BTreeSet;

use abide_servers::{Redis, RedisCluster};
use abide_session::{IdHash, OldId, Store, StoreError};
use abide_store_redis::RedisStore;
use abide_time::Time;
use bytes::Bytes;

use stage::{IDLE, bound_to, make, make_of, new_subject, now, renew, set};

/// The ids that a walk shows, and how many pages it has.
async fn walk(store: &RedisStore, now: Time) -> (BTreeSet<IdHash>, usize) {
    let (mut seen, mut pages, mut cursor) = (BTreeSet::new(), 0, None);
    loop {
        let page = store.scan(cursor, now).await.unwrap().expect("it can be walked");
        seen.extend(page.ids);
        pages += 1;
        match page.next {
            Some(next) => cursor = Some(next),
            None => return (seen, pages),
        }
    }
}

async fn shows_all(store: &RedisStore, sessions: usize) {
    let now = now();
    let mut expected = BTreeSet::new();
    for number in 0..sessions {
        let id = if number % 3 == 0 {
            make_of(store, bound_to(set("a", "1"), &new_subject()), now).await
        } else {
            make(store, now).await
        };
        expected.insert(id);
    }
    let ended = make(store, now).await;
    store.end(ended, now).await.unwrap();
    let moved = make(store, now).await;
    expected.insert(renew(store, moved, set("b", "2"), OldId::Freezes, now).await);
    assert_eq!(walk(store, now).await.0, expected);
    assert_eq!(walk(store, now.after(IDLE)).await.0, BTreeSet::new());
}

#[tokio::test]
async fn of_one_server() {
    let server = Redis::start();
    let store = RedisStore::builder(&server.url()).prefix("a*[b]").connect().await.unwrap();
    let other = RedisStore::connect(&server.url()).await.unwrap();
    make(&other, now()).await;
    shows_all(&store, 700).await;
    let (_, pages) = walk(&store, now()).await;
    assert!(pages > 1, "more than one page");
}

#[tokio::test]
async fn of_a_cluster() {
    let servers = RedisCluster::start(3);
    let store = RedisStore::connect(&servers.url()).await.unwrap();
    shows_all(&store, 60).await;
}

#[tokio::test]
async fn begins_again_when_the_server_was_started_anew() {
    let mut server = Redis::durable();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let now = now();
    let mut expected = BTreeSet::new();
    for _ in 0..600 {
        expected.insert(make(&store, now).await);
    }
    let first = store.scan(None, now).await.unwrap().unwrap();
    server.kill();
    server.restart();
    let (mut seen, mut cursor) = (BTreeSet::new(), first.next);
    assert!(cursor.is_some());
    while let Some(place) = cursor {
        let page = store.scan(Some(place), now).await.unwrap().unwrap();
        seen.extend(page.ids);
        cursor = page.next;
    }
    assert_eq!(seen, expected, "what the first page showed is shown again");
}

#[tokio::test]
async fn a_cursor_of_nobody_is_said_to_be_none() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    for bytes in [
        &b""[..],
        b"x",
        b"0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA 0",
        b"\xff 0 0",
        b"0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA 0 -1",
    ] {
        let page = store.scan(Some(Bytes::from_static(bytes)), now()).await;
        assert!(matches!(page, Err(StoreError::Corrupt(_))), "{page:?}");
    }
}
