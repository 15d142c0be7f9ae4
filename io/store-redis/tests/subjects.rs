//! The index of a subject's sessions, where it and they are on different servers.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::time::Duration;

use abide_servers::{Redis, WireCount};
use abide_session::{Changes, IdHash, MAX_LISTED, OldId, Store, StoreError};
use abide_store_redis::RedisStore;
use abide_time::Time;
use redis::Commands;

use stage::{
    ABSOLUTE, bound_to, commit, is_live, load, make, make_of, new_subject, now, renew, set,
};

fn direct(server: &Redis) -> redis::Connection {
    redis::Client::open(server.url()).unwrap().get_connection().unwrap()
}

fn index(connection: &mut redis::Connection) -> Option<(String, Vec<String>)> {
    let key = connection.keys::<_, Vec<String>>("abide:s:*").unwrap().pop()?;
    let mut ids: Vec<String> = connection.hkeys(&key).unwrap();
    ids.retain(|id| !id.is_empty());
    ids.sort();
    Some((key, ids))
}

#[tokio::test]
async fn sign_ins_and_sign_outs_leave_no_index_behind() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    for _ in 0..200 {
        let id = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
        store.end(id, now).await.unwrap();
    }
    assert!(store.list(&subject, now).await.unwrap().is_empty());
    let mut connection = direct(&server);
    let gone = abide_servers::until(Duration::from_secs(10), || {
        index(&mut connection).is_none().then_some(())
    });
    assert!(gone.is_some(), "{:?}", index(&mut connection));
}

#[tokio::test]
async fn entries_that_lead_nowhere_go_once_nothing_can_come_of_them() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let stays = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
    let released = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
    let mut release = Changes::default();
    release.subject = Some(None);
    commit(&store, released, release, now).await;
    let mut connection = direct(&server);
    store.list(&subject, now).await.unwrap();
    assert_eq!(index(&mut connection).unwrap().1.len(), 2, "it may be bound at this moment");
    let later = now.after(Duration::from_secs(601));
    let mut touch = Changes::default();
    touch.seen = Some(later);
    touch.idle_timeout = Some(ABSOLUTE);
    commit(&store, stays, touch, now).await;
    assert_eq!(store.list(&subject, later).await.unwrap().len(), 1);
    assert_eq!(index(&mut connection).unwrap().1, [stays.to_string()]);
}

#[tokio::test]
async fn an_index_lives_as_long_as_its_last_session() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let id = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
    let mut connection = direct(&server);
    let (key, _) = index(&mut connection).unwrap();
    let left: i64 = connection.ttl(&key).unwrap();
    assert!((6050..=6060).contains(&left), "{left}");
    let mut longer = Changes::default();
    longer.hard_deadline = Some(now.after(ABSOLUTE * 3));
    commit(&store, id, longer, now).await;
    let left: i64 = connection.ttl(&key).unwrap();
    assert!((18050..=18060).contains(&left), "{left}");
    // Even if it was forgotten, a renewal enters the session again, for the right time.
    let _: () = connection.del(&key).unwrap();
    let id = renew(&store, id, set("a", "2"), OldId::Follows, now).await;
    let left: i64 = connection.ttl(&key).unwrap();
    assert!((18050..=18060).contains(&left), "{left}");
    assert_eq!(store.list(&subject, now).await.unwrap()[0].id, id);
}

fn until_deadline(deadline: Time) -> Changes {
    let mut changes = Changes::default();
    changes.hard_deadline = Some(deadline);
    changes
}

#[tokio::test]
async fn an_index_outlives_a_session_that_lives_longer_than_its_sign_in_says() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let long = Duration::from_hours(500 * 24);
    for renewed in [false, true] {
        let id = make(&store, now).await;
        commit(&store, id, until_deadline(now.after(long)), now).await;
        let sign_in = bound_to(until_deadline(now.after(ABSOLUTE)), &subject);
        if renewed {
            renew(&store, id, sign_in, OldId::Freezes, now).await;
        } else {
            commit(&store, id, sign_in, now).await;
        }
        let mut connection = direct(&server);
        let (key, _) = index(&mut connection).unwrap();
        let left: u64 = connection.ttl(&key).unwrap();
        assert!(left >= long.as_secs(), "{left}");
        let _: () = connection.del(&key).unwrap();
    }
}

#[tokio::test]
async fn a_session_that_is_bound_by_an_old_id_is_entered_under_the_new_one() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let old = make(&store, now).await;
    let id = renew(&store, old, Changes::default(), OldId::Follows, now).await;
    commit(&store, old, bound_to(set("a", "2"), &subject), now).await;
    // The stub that leads from the old id may go before the session does.
    let ids = index(&mut direct(&server)).unwrap().1;
    assert!(ids.contains(&id.to_string()), "{ids:?}");
    assert_eq!(store.list(&subject, now).await.unwrap().len(), 1);
    assert_eq!(index(&mut direct(&server)).unwrap().1, [id.to_string()], "once is enough");
}

#[tokio::test]
async fn an_index_is_kept_for_a_commit_that_nobody_waited_for() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let id = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
    commit(&store, id, until_deadline(now), now).await;
    server.stop();
    let call = store.commit(id, until_deadline(now.after(ABSOLUTE * 3)), now);
    assert!(tokio::time::timeout(Duration::from_millis(20), call).await.is_err());
    server.cont();
    while load(&store, id, now).await.hard_deadline != now.after(ABSOLUTE * 3) {}
    for _ in 0..1000 {
        let (key, _) = index(&mut direct(&server)).unwrap();
        let left: u64 = direct(&server).ttl(&key).unwrap();
        if left >= (ABSOLUTE * 3).as_secs() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the index goes before the session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_all_others_twice_at_once_stays() {
    let server = Redis::start();
    let stores = [
        RedisStore::connect(&server.url()).await.unwrap(),
        RedisStore::connect(&server.url()).await.unwrap(),
    ];
    let (now, subject) = (now(), new_subject());
    let id = make_of(&stores[0], bound_to(set("a", "1"), &subject), now).await;
    for _ in 0..500 {
        let ends = (0..6).map(|number| {
            let (store, subject) = (stores[number % 2].clone(), subject.clone());
            tokio::spawn(async move { store.end_all(&subject, Some(id), now).await.unwrap() })
        });
        futures_util::future::try_join_all(ends).await.unwrap();
        assert!(is_live(&stores[0], id, now).await);
    }
}

#[tokio::test]
async fn a_session_that_can_not_be_read_keeps_no_other_alive() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(make_of(&store, bound_to(set("a", "1"), &subject), now).await);
    }
    for id in ids.split_off(190) {
        let _: () = direct(&server).hset(key_of(id), "", b"\x02Lnews").unwrap();
    }
    let outcome = store.end_all(&subject, None, now).await;
    assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{outcome:?}");
    for id in ids {
        assert!(!is_live(&store, id, now).await);
    }
    assert_eq!(index(&mut direct(&server)).unwrap().1.len(), 10, "they are found again");
}

fn key_of(id: IdHash) -> String {
    let text = id.to_string();
    format!("abide:{{{}}}{}", &text[..3], &text[3..])
}

#[tokio::test]
async fn an_end_of_all_that_broke_off_is_finished_by_the_next() {
    let server = Redis::start();
    let wire = WireCount::in_front_of(&server.address());
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let url = format!("redis://{}", wire.address());
    let breaks = RedisStore::builder(&url).connections(1).connect().await.unwrap();
    let (now, subject) = (now(), new_subject());
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(make_of(&store, bound_to(set("a", "1"), &subject), now).await);
    }
    // As if the process had died: its calls reach nobody any more.
    let call = breaks.end_all(&subject, None, now);
    let mut moments = tokio::time::interval(Duration::from_micros(300));
    let cut = async {
        for _ in 0..50 {
            moments.tick().await;
            wire.cut();
        }
    };
    let (outcome, ()) = tokio::join!(call, cut);
    assert!(matches!(outcome, Ok(()) | Err(StoreError::Unavailable(_))), "{outcome:?}");
    store.end_all(&subject, None, now).await.unwrap();
    for id in ids {
        assert!(!is_live(&store, id, now).await);
    }
    assert_eq!(index(&mut direct(&server)), None);
}

#[tokio::test]
async fn an_end_of_all_goes_on_if_nobody_waits() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let mut ids = Vec::new();
    for _ in 0..100 {
        ids.push(make_of(&store, bound_to(set("a", "1"), &subject), now).await);
    }
    let call = store.end_all(&subject, None, now);
    let _ = tokio::time::timeout(Duration::from_micros(10), call).await;
    for id in ids {
        for _ in 0..1000 {
            if !is_live(&store, id, now).await {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert!(!is_live(&store, id, now).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signed_in_before_is_out_and_who_signs_in_meanwhile_is_listed_or_out() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    for _ in 0..30 {
        let before = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
        let sign_ins = (0..5).map(|_| make_of(&store, bound_to(set("a", "1"), &subject), now));
        let (ended, meanwhile) = tokio::join!(
            store.end_all(&subject, None, now),
            futures_util::future::join_all(sign_ins)
        );
        ended.unwrap();
        assert!(!is_live(&store, before, now).await);
        let listed = store.list(&subject, now).await.unwrap();
        for id in meanwhile {
            let is_listed = listed.iter().any(|listed| listed.id == id);
            assert_eq!(is_live(&store, id, now).await, is_listed);
        }
        store.end_all(&subject, None, now).await.unwrap();
        assert!(store.list(&subject, now).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn renewals_without_number_are_followed_by_an_end_of_all() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let mut id = make_of(&store, bound_to(set("a", "1"), &subject), now).await;
    let first = id;
    for _ in 0..10 {
        id = renew(&store, id, Changes::default(), OldId::Ends, now).await;
    }
    // The index as it was when none of them had been entered.
    let mut connection = direct(&server);
    let (key, _) = index(&mut connection).unwrap();
    let token: Vec<u8> = connection.hget(&key, id.to_string()).unwrap();
    let _: () = connection.hdel(&key, id.to_string()).unwrap();
    let _: () = connection.hset(&key, first.to_string(), token).unwrap();
    assert_eq!(store.list(&subject, now).await.unwrap()[0].id, id);
    store.end_all(&subject, None, now).await.unwrap();
    assert!(!is_live(&store, id, now).await);
}

#[tokio::test]
async fn a_list_is_bounded_and_shows_those_last_seen() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let (now, subject) = (now(), new_subject());
    let ids: Vec<_> = futures_util::future::join_all(
        (0..MAX_LISTED + 5).map(|_| make_of(&store, bound_to(set("a", "1"), &subject), now)),
    )
    .await;
    let later = now.after(Duration::from_secs(5));
    let mut touch = Changes::default();
    touch.seen = Some(later);
    commit(&store, ids[3], touch, now).await;
    let listed = store.list(&subject, now).await.unwrap();
    assert_eq!(listed.len(), MAX_LISTED);
    assert_eq!(listed[0].id, ids[3]);
    assert_eq!(load(&store, ids[3], now).await.seen, later);
    assert!(is_live(&store, make(&store, now).await, now).await);
}
