//! Many processes at one session, and what a request costs on the wire.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::collections::BTreeSet;
use std::time::Duration;

use abide_servers::{Memcached, WireCount};
use abide_session::{
    Changes, Commit, Expected, FieldChange, Loaded, OldId, Rename, Store, Subject, Write,
};
use abide_store_memcached::MemcachedStore;
use futures_util::future::join_all;

use stage::{Bare, bind, live, make, name, new_id, now, set};

/// Stores that share nothing but the server, as processes do.
async fn processes(server: &Memcached, count: usize) -> Vec<MemcachedStore> {
    let url = server.url();
    join_all((0..count).map(|_| async { MemcachedStore::connect(&url).await.unwrap() })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_writers_of_ten_processes_lose_nothing() {
    let server = Memcached::start();
    let stores = processes(&server, 10).await;
    let id = make(&stores[0], set("a", "1")).await;
    let writers = (0..20).map(|writer| {
        let store = stores[writer % stores.len()].clone();
        tokio::spawn(async move {
            for round in 0..10 {
                let mut changes = Changes::default();
                let change = FieldChange::relative(Write::Add(1));
                changes.fields.insert(name("n"), change);
                changes.fields.extend(set(&format!("{writer}"), format!("{round}")).fields);
                let outcome = store.commit(id, changes, now()).await.unwrap();
                assert!(matches!(outcome, Commit::Committed(_)), "{outcome:?}");
            }
        })
    });
    for outcome in join_all(writers).await {
        outcome.unwrap();
    }
    let record = live(&stores[0], id).await.unwrap();
    assert_eq!(record.get("n").unwrap(), &[0xcc, 200][..], "200 in MessagePack");
    for writer in 0..20 {
        assert_eq!(record.get(&writer.to_string()).unwrap(), "9");
    }
    assert!(stores.iter().any(|store| store.counters().retries_after_change > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_in_one_process_is_final_in_all() {
    let server = Memcached::start();
    let stores = processes(&server, 4).await;
    for _ in 0..25 {
        let id = make(&stores[0], set("a", "1")).await;
        let tasks = stores.iter().enumerate().map(|(number, store)| {
            let store = store.clone();
            tokio::spawn(async move {
                store.load(id, now()).await.unwrap();
                if number == 0 {
                    store.end(id, now()).await.unwrap();
                } else {
                    store.commit(id, set("b", "2"), now()).await.unwrap();
                }
            })
        });
        for outcome in join_all(tasks).await {
            outcome.unwrap();
        }
        for store in &stores {
            assert!(matches!(store.load(id, now()).await.unwrap(), Loaded::Ended));
            assert_eq!(store.commit(id, set("b", "3"), now()).await.unwrap(), Commit::Gone);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_renewals_in_many_processes_one_moves_the_session() {
    let server = Memcached::start();
    let stores = processes(&server, 4).await;
    for _ in 0..25 {
        let id = make(&stores[0], bind("user")).await;
        let tasks = stores.iter().map(|store| {
            let (store, to) = (store.clone(), new_id_in(id));
            tokio::spawn(async move {
                let until = now().after(Duration::from_secs(10));
                let rename = Rename::new(to, set("to", to.to_string()), OldId::Follows, until);
                (to, store.rename(id, rename, now()).await.unwrap())
            })
        });
        let outcomes: Vec<_> =
            join_all(tasks).await.into_iter().map(|outcome| outcome.unwrap()).collect();
        let moved: Vec<_> = outcomes
            .iter()
            .filter(|(_, commit)| matches!(commit, Commit::Committed(_)))
            .map(|(to, _)| *to)
            .collect();
        assert_eq!(moved.len(), 1, "{outcomes:?}");
        for id in [id, moved[0]] {
            let record = live(&stores[1], id).await.unwrap();
            assert_eq!(record.get("to").unwrap(), moved[0].to_string().as_bytes());
        }
        for (to, _) in outcomes.iter().filter(|(to, _)| *to != moved[0]) {
            assert!(live(&stores[2], *to).await.is_none());
        }
        stores[3].end(id, now()).await.unwrap();
        assert!(live(&stores[0], moved[0]).await.is_none());
    }
}

/// A new id in the slot of another, as every renewal has.
fn new_id_in(id: abide_session::IdHash) -> abide_session::IdHash {
    id.beside(&new_id().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_while_all_are_signed_out_is_before_or_after_and_never_in_between() {
    let server = Memcached::start();
    let stores = processes(&server, 4).await;
    let subject = Subject::new("user").unwrap();
    for _ in 0..25 {
        let before = make(&stores[0], bind("user")).await;
        let tasks = stores.iter().enumerate().map(|(number, store)| {
            let (store, subject) = (store.clone(), subject.clone());
            tokio::spawn(async move {
                if number == 0 {
                    store.end_all(&subject, None, now()).await.unwrap();
                    None
                } else {
                    Some(make(&store, bind("user")).await)
                }
            })
        });
        let made: BTreeSet<_> =
            join_all(tasks).await.into_iter().filter_map(|outcome| outcome.unwrap()).collect();
        assert!(live(&stores[1], before).await.is_none());
        // Whichever are left are listed, and are ended by the next.
        let listed = stores[1].list(&subject, now()).await.unwrap();
        let listed: BTreeSet<_> = listed.iter().map(|listed| listed.id).collect();
        for id in &made {
            assert_eq!(listed.contains(id), live(&stores[2], *id).await.is_some());
        }
        stores[3].end_all(&subject, None, now()).await.unwrap();
        for id in &made {
            assert!(live(&stores[2], *id).await.is_none());
        }
    }
}

#[tokio::test]
async fn hundreds_of_sessions_on_three_servers_end_at_once_but_for_one() {
    let servers: Vec<_> = (0..3).map(|_| Memcached::start()).collect();
    let store = MemcachedStore::connect(&Memcached::url_of(&servers)).await.unwrap();
    let subject = Subject::new("user").unwrap();
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(make(&store, bind("user")).await);
    }
    let here = ids[150];
    store.end_all(&subject, Some(here), now()).await.unwrap();
    for id in ids {
        assert_eq!(live(&store, id).await.is_some(), id == here);
    }
    let listed = store.list(&subject, now()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, here);
    // Nothing is left in the index but the one.
    let keys: Vec<_> =
        servers.iter().flat_map(|server| Bare::to(&server.address()).keys()).collect();
    let index = keys.iter().find(|key| key.starts_with("abide.u.")).unwrap();
    let mut found = servers.iter().filter_map(|server| Bare::to(&server.address()).get(index));
    assert!(found.next().unwrap().len() < 100);
}

#[tokio::test]
async fn a_walk_shows_every_live_session_once() {
    let servers: Vec<_> = (0..3).map(|_| Memcached::start()).collect();
    let store = MemcachedStore::connect(&Memcached::url_of(&servers)).await.unwrap();
    let mut expected = BTreeSet::new();
    for number in 0..300 {
        let id = make(&store, bind(&format!("user {number}"))).await;
        if number % 3 == 0 {
            store.end(id, now()).await.unwrap();
        } else {
            expected.insert(id);
        }
    }
    let mut shown = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.scan(cursor, now()).await.unwrap().expect("it can be walked");
        shown.extend(page.ids);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(shown.len(), expected.len());
    assert_eq!(shown.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn each_call_takes_as_many_round_trips_as_the_documentation_says() {
    let server = Memcached::start();
    let wire = WireCount::in_front_of(&server.address());
    let url = format!("memcached://{}", wire.address());
    let store = MemcachedStore::connect(&url).await.unwrap();
    let mut last = wire.total();
    let mut trips = || {
        let total = wire.total();
        let trips = total.since(last).round_trips;
        last = total;
        trips
    };
    let id = make(&store, set("a", "1")).await;
    assert_eq!(trips(), 1, "create");
    store.load(id, now()).await.unwrap();
    assert_eq!(trips(), 1, "load");
    store.commit(id, set("a", "2"), now()).await.unwrap();
    assert_eq!(trips(), 1, "commit after a load");
    store.commit(id, set("a", "3"), now()).await.unwrap();
    assert_eq!(trips(), 2, "commit");
    let until = now().after(Duration::from_secs(10));
    let to = new_id_in(id);
    let rename = Rename::new(to, Changes::default(), OldId::Follows, until);
    store.rename(id, rename, now()).await.unwrap();
    assert_eq!(trips(), 5, "rename");
    store.load(id, now()).await.unwrap();
    assert_eq!(trips(), 2, "load by an old id");
    store.end(to, now()).await.unwrap();
    assert_eq!(trips(), 2, "end");
    let bound = make(&store, bind("user")).await;
    assert_eq!(trips(), 3, "create with a subject");
    let subject = Subject::new("user").unwrap();
    store.list(&subject, now()).await.unwrap();
    assert_eq!(trips(), 2, "list");
    store.end_all(&subject, None, now()).await.unwrap();
    assert_eq!(trips(), 6, "end all of one");
    assert!(live(&store, bound).await.is_none());
    trips();
    store.health().await.unwrap();
    assert_eq!(trips(), 1, "health");
    assert_eq!(store.counters().commits_without_read, 1);
}

#[tokio::test]
async fn an_unmet_expectation_is_a_conflict_whatever_this_process_remembers() {
    let server = Memcached::start();
    let stores = processes(&server, 2).await;
    let id = make(&stores[0], set("a", "1")).await;
    let seen = Expected::of(&live(&stores[0], id).await.unwrap(), "a");
    stores[1].commit(id, set("a", "2"), now()).await.unwrap();
    let mut changes = Changes::default();
    changes.fields.insert(name("a"), FieldChange::based_on(seen, Some("3".into())));
    let outcome = stores[0].commit(id, changes, now()).await.unwrap();
    assert_eq!(outcome, Commit::Conflict(vec![name("a")]));
    // The other way round: what is remembered is out of date, and what is expected is there.
    live(&stores[0], id).await.unwrap();
    stores[1].commit(id, set("a", "4"), now()).await.unwrap();
    let seen = Expected::of(&live(&stores[1], id).await.unwrap(), "a");
    let mut changes = Changes::default();
    changes.fields.insert(name("a"), FieldChange::based_on(seen, Some("5".into())));
    let outcome = stores[0].commit(id, changes, now()).await.unwrap();
    assert!(matches!(outcome, Commit::Committed(_)), "{outcome:?}");
}

#[tokio::test]
async fn two_applications_share_a_server_by_their_prefixes() {
    let server = Memcached::start();
    let connect = |prefix: &str| MemcachedStore::builder(&server.url()).prefix(prefix).connect();
    let (shop, blog) = (connect("shop.").await.unwrap(), connect("blog.").await.unwrap());
    let id = make(&shop, bind("user")).await;
    assert!(live(&blog, id).await.is_none());
    assert!(blog.list(&Subject::new("user").unwrap(), now()).await.unwrap().is_empty());
    let page = blog.scan(None, now()).await.unwrap().unwrap();
    assert!(page.ids.is_empty());
    let keys = Bare::to(&server.address()).keys();
    assert!(keys.iter().all(|key| key.starts_with("shop.")), "{keys:?}");
    assert!(keys.iter().all(|key| !key.contains("user")), "{keys:?}");
}
