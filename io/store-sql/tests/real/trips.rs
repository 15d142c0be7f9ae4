//! Round trips on the wire, as the documentation promises them.

use abide_servers::WireCount;
use abide_session::{Changes, OldId, Rename, Store as _};
use abide_store_sql::SqlStore;

use super::places::{
    IDLE, MARIADB, PATIENT, POSTGRES, bind, commit, connect, database_name, load, make, new_id,
    new_subject, now, set,
};

#[tokio::test]
async fn a_load_a_commit_an_end_and_a_create_are_one_round_trip_each() {
    let postgres = POSTGRES.new_database(&database_name());
    let mariadb = MARIADB.new_database(&database_name());
    for (url, address) in [(postgres, POSTGRES.address()), (mariadb, MARIADB.address())] {
        // The tables are there, and each statement was prepared once.
        drop(connect(&url).await);
        let proxy = WireCount::in_front_of(&address);
        let through = url.replace(&address, proxy.address());
        let builder = SqlStore::builder(&through).connections(1).cleanup(None).timeout(PATIENT);
        let store = builder.connect().await.expect("a database");
        let now = now();
        let warm = make(&store, now).await;
        load(&store, warm, now).await;
        let mut two = set("b", "2");
        two.fields.extend(set("c", "3").fields);
        commit(&store, warm, two.clone(), now).await;
        store.end(warm, now).await.expect("end");

        let count = async |expected: u64, what: &str, before: abide_servers::ConnectionCount| {
            let trips = proxy.total().since(before).round_trips;
            assert!(trips <= expected, "{url}: {what} took {trips} round trips");
        };
        let before = proxy.total();
        let id = make(&store, now).await;
        count(1, "create", before).await;
        let before = proxy.total();
        load(&store, id, now).await;
        count(1, "load", before).await;
        let before = proxy.total();
        let mut changes = two;
        changes.seen = Some(now);
        commit(&store, id, changes, now).await;
        count(1, "commit", before).await;

        let before = proxy.total();
        let rename = Rename::new(new_id(), Changes::default(), OldId::Follows, now.after(IDLE));
        store.rename(id, rename.clone(), now).await.expect("rename");
        count(3, "rename", before).await;
        // Once more, because a look at a mark is prepared when it is first needed.
        let subject = new_subject();
        commit(&store, rename.to, bind(&subject), now).await;
        let before = proxy.total();
        commit(&store, rename.to, bind(&subject), now).await;
        count(4, "bind", before).await;
        let before = proxy.total();
        store.end(rename.to, now).await.expect("end");
        count(1, "end", before).await;
    }
}
