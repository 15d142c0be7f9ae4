//! Servers that let one in, or say clearly why not.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::time::Duration;

use abide_servers::{Port, Redis, RedisCluster, RedisSentinel, RedisSetup, free_port};
use abide_session::{OldId, Store, StoreError};
use abide_store_redis::{ConnectError, RedisStore, RedisStoreBuilder};

use stage::{bound_to, commit, is_live, make, make_of, new_subject, now, renew, set};

async fn error(url: &str) -> ConnectError {
    let connected = RedisStore::builder(url).timeout(Duration::from_millis(1500)).connect().await;
    let error = connected.expect_err(url);
    assert!(!error.to_string().contains("hunter2"), "{error}");
    error
}

/// Everything a store does.
async fn works(store: &RedisStore) {
    let (now, subject) = (now(), new_subject());
    let id = make_of(store, bound_to(set("a", "1"), &subject), now).await;
    commit(store, id, set("b", "2"), now).await;
    let id = renew(store, id, set("c", "3"), OldId::Freezes, now).await;
    assert_eq!(store.list(&subject, now).await.unwrap().len(), 1);
    store.end_all(&subject, None, now).await.unwrap();
    assert!(!is_live(store, id, now).await);
    let id = make(store, now).await;
    store.end(id, now).await.unwrap();
    let mut cursor = None;
    while let Some(next) = store.scan(cursor, now).await.unwrap().unwrap().next {
        cursor = Some(next);
    }
    store.health().await.unwrap();
}

#[tokio::test]
async fn a_user_needs_the_rights_that_the_documentation_names_and_no_others() {
    let rights = "~abide:* +evalsha +eval +hgetall +hget +hmget +hset +hdel +hkeys +hlen +hexists \
                  +exists +del +pexpire +pttl +copy +rename +scan +info +wait";
    let server = RedisSetup {
        acl: vec![
            format!("user app on >hunter2 {rights}"),
            "user blind on >hunter2 ~abide:* +evalsha".to_owned(),
        ],
        ..RedisSetup::default()
    };
    let server = server.start();
    works(&RedisStore::connect(&server.url_as("app", "hunter2")).await.unwrap()).await;
    assert!(include_str!("../src/lib.rs").contains("+evalsha +eval +hgetall"), "documented");

    let refused = error(&server.url_as("blind", "hunter2")).await;
    assert!(
        matches!(&refused, ConnectError::Refused { reason, .. } if reason.contains("INFO")),
        "{refused}"
    );
    for (user, password) in [("app", "wrong"), ("nobody", "hunter2")] {
        let refused = error(&server.url_as(user, password)).await;
        assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
    }

    // A right that is taken away later is an error, and not the end of a session.
    let store = RedisStore::connect(&server.url_as("app", "hunter2")).await.unwrap();
    let id = make(&store, now()).await;
    server.cli(&["ACL", "SETUSER", "app", "-hgetall"]);
    let loaded = store.load(id, now()).await;
    assert!(
        matches!(&loaded, Err(StoreError::Unavailable(cause)) if cause.to_string().contains("NOPERM")),
        "{loaded:?}"
    );
}

#[tokio::test]
async fn a_password_is_asked_for_and_never_shown() {
    let server = Redis::with(&["--requirepass", "hunter2"]);
    works(&RedisStore::connect(&server.url()).await.unwrap()).await;
    for login in ["", ":hunter3@"] {
        let refused = error(&format!("redis://{login}{}", server.address())).await;
        assert!(matches!(refused, ConnectError::Refused { .. }), "{refused}");
    }
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let builder = RedisStore::builder("redis://:hunter2@h").sentinel_login(None, "hunter2");
    assert!(!format!("{store:?} {builder:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_server_that_repeats_the_password_is_not_quoted() {
    let server = Redis::with(&["--rename-command", "HELLO", "", "--requirepass", "hunter2"]);
    let refused = error(&server.url()).await;
    let is_right = matches!(&refused, ConnectError::Refused { reason, .. } if reason.contains("protocol=resp2"));
    assert!(is_right, "{refused}");
    works(&RedisStore::connect(&format!("{}?protocol=resp2", server.url())).await.unwrap()).await;
}

#[tokio::test]
async fn a_sentinel_that_is_cut_off_is_not_the_only_one_that_is_asked() {
    let servers = RedisSentinel::start();
    let nobody: Port = free_port();
    let first = servers.url().replace("redis+sentinel://", "");
    let first = first.split(',').next().unwrap();
    let client = redis::Client::open(format!("redis://{first}")).unwrap();
    let mut sentinel = client.get_connection().unwrap();
    let name = servers.url().rsplit('/').next().unwrap().to_owned();
    let ask = |words: &[&str], sentinel: &mut redis::Connection| {
        redis::cmd("SENTINEL").arg(words).exec(sentinel).unwrap();
    };
    let port = nobody.number().to_string();
    ask(&["REMOVE", &name], &mut sentinel);
    ask(&["MONITOR", &name, "127.0.0.1", &port, "2"], &mut sentinel);
    works(&RedisStore::connect(&servers.url()).await.unwrap()).await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_refused() {
    let server = Redis::start();
    works(&RedisStore::connect(&format!("{}/3", server.url())).await.unwrap()).await;
    let refused = error(&format!("{}/99", server.url())).await;
    assert!(
        matches!(&refused, ConnectError::Refused { reason, .. } if reason.contains("DB index")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let port: Port = free_port();
    let unreachable = error(&format!("redis://:hunter2@{}", port.address())).await;
    let is_right = matches!(&unreachable, ConnectError::Unreachable { address, .. } if *address == port.address());
    assert!(is_right, "{unreachable}");
    let server = Redis::start();
    server.stop();
    let unreachable = error(&server.url()).await;
    server.cont();
    assert!(matches!(unreachable, ConnectError::Unreachable { .. }), "{unreachable}");
}

#[tokio::test]
async fn a_replica_is_unsuitable() {
    let server = Redis::start();
    let replica = Redis::replica_of(&server);
    let unsuitable = error(&replica.url()).await;
    let is_right = matches!(&unsuitable, ConnectError::Unsuitable { reason, .. } if reason.contains("read-only replica"));
    assert!(is_right, "{unsuitable}");
}

#[tokio::test]
async fn the_wrong_kind_of_address_is_unsuitable() {
    let server = Redis::start();
    let unsuitable = error(&server.url().replace("redis://", "redis+cluster://")).await;
    let is_right = matches!(&unsuitable, ConnectError::Unsuitable { reason, .. } if reason.contains("redis://"));
    assert!(is_right, "{unsuitable}");
    let cluster = RedisCluster::start(3);
    let unsuitable = error(&cluster.nodes()[0].url()).await;
    let is_right = matches!(&unsuitable, ConnectError::Unsuitable { reason, .. } if reason.contains("redis+cluster://"));
    assert!(is_right, "{unsuitable}");
    let refused = error(&server.url().replace("redis://", "redis+sentinel://")).await;
    assert!(matches!(refused, ConnectError::Url { .. }), "no name of a primary: {refused}");
    let refused =
        error(&format!("{}/main", server.url().replace("redis://", "redis+sentinel://"))).await;
    assert!(matches!(refused, ConnectError::Refused { .. }), "no sentinel: {refused}");
}

#[tokio::test]
async fn tls_is_checked_against_the_authority_that_is_named() {
    let server = Redis::tls();
    let authority = server.certificates().authority.display().to_string();
    works(&RedisStore::connect(&format!("{}?ca={authority}", server.tls_url())).await.unwrap())
        .await;
    let pem = std::fs::read(&authority).unwrap();
    let builder = RedisStore::builder(&server.tls_url()).certificate_authority(pem);
    works(&builder.connect().await.unwrap()).await;

    let unreachable = error(&server.tls_url()).await;
    let is_right = matches!(&unreachable, ConnectError::Unreachable { cause, .. } if cause.to_string().contains("certificate"));
    assert!(is_right, "an authority nobody knows: {unreachable}");
    let absent = error(&format!("{}?ca=/nowhere/ca.pem", server.tls_url())).await;
    assert!(
        matches!(&absent, ConnectError::Url { part, .. } if part.contains("/nowhere/ca.pem")),
        "{absent}"
    );
    let key = server.certificates().key.display().to_string();
    let wrong = error(&format!("{}?ca={key}", server.tls_url())).await;
    assert!(
        matches!(&wrong, ConnectError::Url { part, .. } if part.contains("no certificate")),
        "{wrong}"
    );
}

#[tokio::test]
async fn settings_stay_within_their_bounds() {
    let server = Redis::start();
    let longest = "p".repeat(RedisStoreBuilder::PREFIX_BYTES_MAX);
    works(&RedisStore::builder(&server.url()).prefix(&*longest).connect().await.unwrap()).await;
    let longer = RedisStore::builder(&server.url()).prefix(format!("{longest}p")).connect().await;
    let is_right =
        matches!(&longer, Err(ConnectError::Url { part, .. }) if part.contains("prefix"));
    assert!(is_right, "{longer:?}");

    let store = RedisStore::builder(&server.url()).connections(usize::MAX).connect().await.unwrap();
    let (now, before) = (now(), connections(&server));
    let id = make(&store, now).await;
    let loads = (0..RedisStoreBuilder::CONNECTIONS_MAX * 4).map(|_| is_live(&store, id, now));
    futures_util::future::join_all(loads).await;
    assert!(connections(&server) <= before + RedisStoreBuilder::CONNECTIONS_MAX);
    works(&RedisStore::builder(&server.url()).connections(0).connect().await.unwrap()).await;

    let builder = RedisStore::builder(&server.url());
    assert!(format!("{builder:?}").contains("timeout: 2s"), "{builder:?}");
    let builder = builder.timeout(Duration::MAX);
    let longest = format!("timeout: {:?}", RedisStoreBuilder::TIMEOUT_MAX);
    assert!(format!("{builder:?}").contains(&longest), "{builder:?}");
    works(&builder.connect().await.unwrap()).await;
}

fn connections(server: &Redis) -> usize {
    server.info("connected_clients").parse().unwrap()
}
