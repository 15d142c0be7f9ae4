//! How often each call waits for the wire.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use abide_servers::{Redis, WireCount};
use abide_session::{Changes, OldId, Store, Write};
use abide_store_redis::RedisStore;

use stage::{
    bound_to, commit, is_live, load, make, make_of, new_id, new_subject, now, renew, set, write,
};

struct Counted {
    wire: WireCount,
    store: RedisStore,
    _server: Redis,
}

impl Counted {
    async fn start() -> Self {
        let server = Redis::start();
        let wire = WireCount::in_front_of(&server.address());
        let url = format!("redis://{}", wire.address());
        let store = RedisStore::builder(&url).connections(1).connect().await.unwrap();
        let counted = Self { wire, store, _server: server };
        // The server learns the scripts.
        let (now, subject) = (now(), new_subject());
        let store = &counted.store;
        let id = make_of(store, bound_to(set("a", "1"), &subject), now).await;
        commit(store, id, set("a", "2"), now).await;
        commit(store, id, write("n", Write::Add(1)), now).await;
        let mut touch = Changes::default();
        touch.seen = Some(now);
        commit(store, id, touch, now).await;
        let to = renew(store, id, set("a", "3"), OldId::Follows, now).await;
        store.end_all(&subject, Some(to), now).await.unwrap();
        store.end(to, now).await.unwrap();
        // What goes on after the answer has come to an end.
        while !counted.store.list(&subject, now).await.unwrap().is_empty() {}
        counted
    }

    async fn trips<T>(&self, call: impl Future<Output = T>) -> (u64, T) {
        let before = self.wire.total();
        let outcome = call.await;
        (self.wire.total().since(before).round_trips, outcome)
    }
}

#[tokio::test]
async fn a_request_of_a_visitor_is_one_round_trip_for_each_call() {
    let counted = Counted::start().await;
    let (store, now) = (&counted.store, now());
    let (trips, id) = counted.trips(make(store, now)).await;
    assert_eq!(trips, 1, "create");
    assert_eq!(counted.trips(load(store, id, now)).await.0, 1, "load");
    assert_eq!(counted.trips(is_live(store, new_id(), now)).await.0, 1, "load of nothing");
    assert_eq!(counted.trips(commit(store, id, set("a", "2"), now)).await.0, 1, "commit");
    let add = write("n", Write::Add(1));
    assert_eq!(counted.trips(commit(store, id, add, now)).await.0, 1, "commit of a counter");
    let (trips, to) = counted.trips(renew(store, id, set("b", "2"), OldId::Follows, now)).await;
    assert_eq!(trips, 1, "rename");
    assert_eq!(counted.trips(load(store, id, now)).await.0, 2, "load by an old id");
    assert_eq!(counted.trips(commit(store, id, set("a", "3"), now)).await.0, 2, "by an old id");
    assert_eq!(counted.trips(store.end(to, now)).await.0, 1, "end");
}

#[tokio::test]
async fn a_sign_in_is_two_and_what_comes_after_it_one() {
    let counted = Counted::start().await;
    let (store, now, subject) = (&counted.store, now(), new_subject());
    let id = make(store, now).await;
    let sign_in = bound_to(set("b", "2"), &subject);
    let (trips, id) = counted.trips(renew(store, id, sign_in, OldId::Freezes, now)).await;
    assert_eq!(trips, 2, "sign-in");
    assert_eq!(counted.trips(commit(store, id, set("a", "2"), now)).await.0, 1, "commit");
    assert_eq!(counted.trips(load(store, id, now)).await.0, 1, "load");
    let (trips, listed) = counted.trips(store.list(&subject, now)).await;
    assert_eq!((trips, listed.unwrap().len()), (2, 1), "list: the index, and all sessions at once");
    let (trips, to) =
        counted.trips(renew(store, id, Changes::default(), OldId::Follows, now)).await;
    assert_eq!(trips, 2, "rename of a session of somebody");
    assert!(is_live(store, to, now).await);
}
