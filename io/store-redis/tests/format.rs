//! What is stored, byte for byte: other programs and other versions read it.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect ends")]

mod stage;

use std::fmt::Write as _;
use std::time::Duration;

use abide_servers::Redis;
use abide_session::{Changes, IdHash, Loaded, OldId, Rename, Store, StoreError, Subject, Write};
use abide_store_redis::RedisStore;
use abide_time::Time;
use bytes::Bytes;
use redis::Commands;

use stage::{name, set, write};

type Hash = Vec<(Vec<u8>, Vec<u8>)>;

/// Everything on the server: the key, what it holds, and how long it is kept, to the second.
fn dump(connection: &mut redis::Connection) -> Vec<(String, Hash, i64)> {
    let mut keys: Vec<String> = connection.keys("*").unwrap();
    keys.sort();
    let of = |key: String| {
        let mut hash: Hash = connection.hgetall(&key).unwrap();
        hash.sort();
        let left: i64 = connection.pttl(&key).unwrap();
        (key, hash, (left + 999) / 1000)
    };
    keys.into_iter().map(of).collect()
}

fn shown(dump: &[(String, Hash, i64)]) -> String {
    let mut text = String::new();
    for (key, hash, seconds) in dump {
        writeln!(text, "{key} {seconds}").unwrap();
        for (name, value) in hash {
            writeln!(text, "  {} = {}", name.escape_ascii(), value.escape_ascii()).unwrap();
        }
    }
    text
}

fn birth(mut changes: Changes, now: Time) -> Changes {
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::from_mins(10));
    changes.hard_deadline = Some(now.after(Duration::from_mins(100)));
    changes
}

#[tokio::test]
async fn what_is_stored_is_what_the_documentation_says() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let now = Time::from_millis(0x0102_0304_0506);
    let id = IdHash::parse(b"0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let to = IdHash::parse(b"0f3BBBBBBBBBBBBBBBBBBBBBBBBBBA").unwrap();
    let mut changes = set("cart", "x");
    changes.fields.extend(write("n", Write::Add(300)).fields);
    changes.subject = Some(Some(Subject::new("ann").unwrap()));
    store.create(id, birth(changes, now), now).await.unwrap();
    let created = "\
abide:s:SUBJECT 6060
   = \\x01\\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00
  0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA = \\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00
abide:{0f3}AAAAAAAAAAAAAAAAAAAAAAAAAAA 660
   = \\x01L\\x01\\x02\\x03\\x04\\x05\\x06\\x01\\x02\\x03\\x04\\x05\\x06\\x01\\x02\\x03_\\x92\\x86\\x00\\x00\\x00\\t\\'\\xc0\
\\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00\
\\x00\\x02\\x00\\x00\\x01l
  cart = \\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00x
  n = \\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00\\xcd\\x01,
  \\xff = \\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x00\\x00ann
";
    let subject = IdHash::of_secret("subject", b"ann").to_string();
    assert_eq!(shown(&dump(&mut connection)).replace(&subject, "SUBJECT"), created);

    let mut changes = set("cart", "yz");
    changes.subject = Some(None);
    changes.fields.insert(name("n"), abide_session::FieldChange::blind(None));
    let until = now.after(Duration::from_secs(10));
    store.rename(id, Rename::new(to, changes, OldId::Freezes, until), now).await.unwrap();
    store.end(to, now).await.unwrap();
    let all = shown(&dump(&mut connection));
    let stub = format!(
        "abide:{{0f3}}AAAAAAAAAAAAAAAAAAAAAAAAAAA 6060\n   = \\x01M\\x01\\x01\\x02\\x03\\x04,\\x16{to}\n"
    );
    assert!(all.contains(&stub), "{all}");
    let mark = format!("abide:{{0f3}}{} 6060\n   = \\x01E\n", &to.to_string()[3..]);
    assert!(all.contains(&mark), "{all}");
    assert!(all.contains("abide:{0f3}AAAAAAAAAAAAAAAAAAAAAAAAAAA:was 70\n"), "{all}");
}

#[tokio::test]
async fn what_a_later_version_adds_stays() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let now = stage::now();
    let id = stage::make(&store, now).await;
    let key: String = connection.keys::<_, Vec<String>>("*").unwrap().remove(0);
    let meta: Vec<u8> = connection.hget(&key, "").unwrap();
    let longer = [&meta[..], b"more"].concat();
    let _: () = connection.hset(&key, "", &longer).unwrap();
    let _: () = connection.hset(&key, b"\xfe", "news").unwrap();
    let mut changes = set("b", "2");
    changes.clear = true;
    stage::commit(&store, id, changes, now).await;
    let to = stage::renew(&store, id, set("c", "3"), OldId::Follows, now).await;
    let record = stage::load(&store, to, now).await;
    assert_eq!(record.fields.len(), 2, "{record:?}");
    let key = format!("abide:{{{}}}{}", &to.to_string()[..3], &to.to_string()[3..]);
    let meta: Vec<u8> = connection.hget(&key, "").unwrap();
    assert!(meta.ends_with(b"more"));
    assert_eq!(connection.hget::<_, _, String>(&key, b"\xfe").unwrap(), "news");
}

#[tokio::test]
async fn what_can_not_be_read_is_said_to_be_so_and_stays() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let mut connection = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let now = stage::now();
    let id = stage::make(&store, now).await;
    let key: String = connection.keys::<_, Vec<String>>("*").unwrap().remove(0);
    let meta: Vec<u8> = connection.hget(&key, "").unwrap();
    let cases: [(&[u8], &str); 6] = [
        (b"\x02Lnews", "newer version of abide (format 2, this one reads 1)"),
        (&meta[..20], "cut short"),
        (b"\x01Mx", "cut short"),
        (b"\x01?", "no known kind"),
        (b"", "cut short"),
        (b"\x01M\x00\x00\x00\x00\x00\x00\x000f3AAAAAAAAAAAAAAAAAAAAAAAAAA!", "leads to no id"),
    ];
    for (bytes, expected) in cases {
        let _: () = connection.hset(&key, "", bytes).unwrap();
        let error = store.load(id, now).await.map(|loaded| matches!(loaded, Loaded::Unknown));
        match error {
            Err(StoreError::Corrupt(cause)) => {
                assert!(cause.to_string().contains(expected), "{bytes:?}: {cause}");
            }
            other => panic!("{bytes:?}: {other:?}"),
        }
        let outcome = store.commit(id, set("a", "2"), now).await;
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{bytes:?}: {outcome:?}");
        let outcome = store.end(id, now).await;
        assert!(matches!(outcome, Err(StoreError::Corrupt(_))), "{bytes:?}: {outcome:?}");
        assert_eq!(connection.hget::<_, _, Vec<u8>>(&key, "").unwrap(), bytes);
    }
    // Other software's key, and a field that is none.
    let _: () = connection.hset(&key, "", &meta).unwrap();
    let _: () = connection.hset(&key, "a", "short").unwrap();
    assert!(matches!(store.load(id, now).await, Err(StoreError::Corrupt(_))));
    let _: () = connection.set(&key, "text").unwrap();
    assert!(matches!(store.load(id, now).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(store.commit(id, set("a", "2"), now).await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn times_that_never_come_are_kept_as_such() {
    let server = Redis::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let now = stage::now();
    let id = stage::new_id();
    let mut changes = write("n", Write::Put(Bytes::new()));
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::MAX);
    changes.hard_deadline = Some(Time::MAX);
    store.create(id, changes, now).await.unwrap();
    stage::commit(&store, id, set("a", "1"), now).await;
    let record = stage::load(&store, id, now).await;
    assert_eq!((record.hard_deadline, record.idle_timeout.value), (Time::MAX, Duration::MAX));
    store.end(id, now).await.unwrap();
    assert!(!stage::is_live(&store, id, now).await);
}
