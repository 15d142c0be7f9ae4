//! What the tests of this folder have in common: times, ids, changes, and a bare connection.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use abide_servers::until;
use abide_session::{
    Changes, Create, FieldChange, FieldName, Id, IdHash, Loaded, RANDOM_BYTES, Record, Store,
    Subject,
};
use abide_store_memcached::MemcachedStore;
use abide_time::Time;
use bytes::Bytes;
use std::sync::Arc;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

#[expect(clippy::disallowed_methods, reason = "servers clean up by this clock")]
pub(crate) fn now() -> Time {
    Time::EPOCH.after(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

/// An id that no other test of this program has, spread over the slots.
pub(crate) fn new_id() -> IdHash {
    static LAST: AtomicU64 = AtomicU64::new(1);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; RANDOM_BYTES];
    for (byte, drawn) in random
        .iter_mut()
        .zip(number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes().into_iter().cycle())
    {
        *byte = drawn;
    }
    Id::from_random(random).hash()
}

pub(crate) fn name(text: &str) -> FieldName {
    FieldName::new(text.to_owned()).unwrap()
}

pub(crate) fn set(field: &str, value: impl Into<Bytes>) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name(field), FieldChange::blind(Some(value.into())));
    changes
}

pub(crate) fn bind(subject: &str) -> Changes {
    let mut changes = Changes::default();
    changes.subject = Some(Some(Subject::new(subject).unwrap()));
    changes
}

pub(crate) fn birth(mut changes: Changes, now: Time) -> Changes {
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::from_mins(10));
    changes.hard_deadline = Some(now.after(Duration::from_mins(100)));
    changes
}

pub(crate) async fn make(store: &MemcachedStore, changes: Changes) -> IdHash {
    let id = new_id();
    let created = store.create(id, birth(changes, now()), now()).await.unwrap();
    assert!(matches!(created, Create::Created(_)));
    id
}

pub(crate) async fn live(store: &MemcachedStore, id: IdHash) -> Option<Arc<Record>> {
    match store.load(id, now()).await.unwrap() {
        Loaded::Live { record, .. } => Some(record),
        _ => None,
    }
}

/// Speaks to a server without a store.
pub(crate) struct Bare(BufReader<TcpStream>);

impl Bare {
    pub(crate) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends this and gives the first line of the answer.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> String {
        self.0.get_mut().write_all(bytes).unwrap();
        self.line()
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// A line about each item.
    pub(crate) fn items(&mut self) -> Vec<String> {
        // While a server looks for what has expired, it is too busy to list what has not.
        let first = until(PATIENCE, || {
            let line = self.say(b"lru_crawler metadump hash\r\n");
            (!line.starts_with("BUSY")).then_some(line)
        });
        let mut lines = Vec::new();
        let mut line = first.expect("a server that is not always busy");
        while line != "END" {
            assert!(line.starts_with("key="), "{line}");
            lines.push(line);
            line = self.line();
        }
        lines
    }

    /// The names of all items.
    pub(crate) fn keys(&mut self) -> Vec<String> {
        let key = |line: &String| line.split_once(' ').unwrap().0.replacen("key=", "", 1);
        self.items().iter().map(key).collect()
    }

    pub(crate) fn put(&mut self, key: &str, value: &[u8]) {
        let mut bytes = format!("set {key} 0 0 {}\r\n", value.len()).into_bytes();
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
        assert_eq!(self.say(&bytes), "STORED");
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let header = self.say(format!("get {key}\r\n").as_bytes());
        let length: usize = header.strip_prefix("VALUE ")?.rsplit(' ').next()?.parse().ok()?;
        let mut value = vec![0; length + b"\r\nEND\r\n".len()];
        self.0.read_exact(&mut value).unwrap();
        value.truncate(length);
        Some(value)
    }

    pub(crate) fn delete(&mut self, key: &str) {
        assert_eq!(self.say(format!("delete {key}\r\n").as_bytes()), "DELETED");
    }
}
