//! What is found when a move breaks off after each of its steps, by a real server.

use std::time::{Duration, SystemTime};

use abide_servers::Memcached;
use abide_session::{Changes, Create, End, FieldChange, FieldName, Id, Loaded, RANDOM_BYTES};

use super::*;
use crate::MemcachedStore;

const GRACE: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "the server cleans up by this clock")]
fn now() -> Time {
    Time::EPOCH.after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

fn set(field: &'static str, bytes: usize) -> Changes {
    let mut changes = Changes::default();
    let value = Some(vec![b'v'; bytes].into());
    changes.fields.insert(FieldName::new(field).unwrap(), FieldChange::blind(value));
    changes
}

/// A server with a session whose move to another id broke off after the stub was written.
struct Broken {
    sessions: Arc<Sessions>,
    ids: [IdHash; 2],
    begun: Move,
    _server: Memcached,
}

/// Large sessions are in parts, small ones are not.
async fn broken(old: OldId, bytes: usize) -> Broken {
    let server = Memcached::start();
    let sessions = MemcachedStore::connect(&server.url()).await.unwrap().into_sessions();
    let id = Id::from_random([1; RANDOM_BYTES]).hash();
    let ids = [id, id.beside("new")];
    let mut birth = set("a", bytes);
    birth.created = Some(now());
    birth.seen = Some(now());
    birth.idle_timeout = Some(Duration::from_mins(10));
    birth.hard_deadline = Some(now().after(Duration::from_mins(100)));
    let created = sessions.create(ids[0], &birth, now()).await.unwrap();
    assert!(matches!(created, Create::Created(_)));
    let live = sessions.writable(ids[0], now()).await.unwrap().unwrap();
    let rename = Rename::new(ids[1], set("b", 1), old, now().after(GRACE));
    let stamp = after(live.read.record.latest(), now());
    let record = Sessions::changed(&live.read.record, &rename.changes, stamp).unwrap();
    let begun = sessions.begin_move(&live, &rename, record, now()).await.unwrap().unwrap();
    Broken { sessions, ids, begun, _server: server }
}

const SIZES: [usize; 2] = [1, PART_BYTES * 2];

#[tokio::test]
async fn a_move_that_broke_off_is_finished_by_who_asks_for_the_old_id() {
    for bytes in SIZES {
        let Broken { sessions, ids: [old, new], _server, .. } = broken(OldId::Follows, bytes).await;
        assert!(matches!(sessions.load(new, now()).await.unwrap(), Loaded::Unknown));
        let loaded = sessions.load(old, now()).await.unwrap();
        let Loaded::Live { record, standing: Standing::Old } = loaded else { panic!("{loaded:?}") };
        assert!(record.get("a").unwrap().len() == bytes && record.get("b").is_some());
        let found = sessions.load(new, now()).await.unwrap().live().unwrap();
        assert_eq!(found, record);
        assert_eq!(sessions.cluster.tally.read().moves_finished, 1);
        sessions.load(old, now()).await.unwrap();
        assert_eq!(sessions.cluster.tally.read().moves_finished, 1, "once is enough");
    }
}

#[tokio::test]
async fn a_move_that_broke_off_is_ended_by_the_old_id_for_good() {
    for bytes in SIZES {
        let Broken { sessions, ids, begun, _server } = broken(OldId::Follows, bytes).await;
        assert_eq!(sessions.end(ids[0], now()).await.unwrap(), End::Ended);
        // Whoever was at it all the time comes too late.
        sessions.finish_move(&begun, now()).await.unwrap();
        for id in ids {
            assert!(matches!(sessions.load(id, now()).await.unwrap(), Loaded::Ended));
        }
    }
}

#[tokio::test]
async fn who_comes_late_with_the_last_steps_undoes_nothing() {
    let Broken { sessions, ids: [old, new], begun, _server } = broken(OldId::Follows, 1).await;
    sessions.commit(old, &set("c", 1), now()).await.unwrap();
    sessions.finish_move(&begun, now()).await.unwrap();
    let record = sessions.load(new, now()).await.unwrap().live().unwrap();
    assert!(record.get("c").is_some());
}

#[tokio::test]
async fn the_old_id_of_a_sign_out_finds_nothing_at_any_step() {
    let Broken { sessions, ids: [old, new], _server, .. } = broken(OldId::Ends, 1).await;
    assert!(matches!(sessions.load(old, now()).await.unwrap(), Loaded::Ended));
    assert_eq!(sessions.end(old, now()).await.unwrap(), End::Gone);
    assert!(sessions.load(new, now()).await.unwrap().live().is_some());
}
