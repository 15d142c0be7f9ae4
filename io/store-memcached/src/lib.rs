//! Keeps abide's sessions in Memcached, on one server or several.
//!
//! ```no_run
//! use abide_store_memcached::MemcachedStore;
//!
//! # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemcachedStore::connect("memcached://10.0.0.1,10.0.0.2,10.0.0.3:11212").await?;
//! store.health().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`MemcachedStore`] is an `abide_session::Store` and passes the whole of its contract. A session is
//! one item; a change is read, decided in this process, and written with compare-and-swap, so a
//! logout is final and no concurrent change is lost, whichever process makes it.
//!
//! # What it can not promise
//!
//! Memcached is a cache: it holds everything in memory, in one place, and may forget.
//!
//! | when | what is lost |
//! |---|---|
//! | a server is **restarted** or flushed | every session and every mark of that server |
//! | a server is **down** or cut off | nothing; its sessions are `Unavailable` until it is back. No other server takes over, or there would be two versions of a session. Take it out of the list, in all processes at once, to give up its sessions |
//! | the **list of servers** is changed | the sessions of the slots that get another owner: with one server more of n, about 1 in n + 1 |
//! | a server **evicts** an item to make room | that session. Started with **`-M`** a server evicts nothing and says when it is full: then a new session is refused with `Full`, live ones stay, and logging out goes on working. That is how to run it for sessions |
//! | an **index** of a subject is evicted | its sessions are not listed, and *not ended* by `end_all`, until each is entered again: by the first commit that each process makes to it, and by the next five minutes after that. `-M` prevents it |
//! | the **mark** of an ended session is evicted | nothing by itself: a commit never makes a session, so a late one finds nothing. With a renewal that broke off half-way it takes a third coincidence, described in the source, to bring a session back |
//!
//! A session that is gone before its deadline, though this process saw it a moment ago (of the last
//! 32,768 it saw), is counted as [`Counters::lost`] and logged without its id. It is reported as
//! unknown: the visitor has to sign in again. What was ended is reported as ended.
//!
//! `end_all` is complete when it returns, and not one moment for all: sessions end one after the
//! other while it runs. If it fails half-way, doing it again ends the rest. At most 5,000 sessions
//! can be bound to one subject at a time; the next is refused with `Full`.
//!
//! # Round trips
//!
//! | call | round trips |
//! |---|---|
//! | load | 1; 2 by an old id |
//! | commit within 10 s of a load in this process | 1 |
//! | commit otherwise | 2, and 2 for each time that somebody else was faster |
//! | create | 1; 3 with a subject |
//! | commit that binds to a subject, or puts off the hard deadline of a bound session | 2 more |
//! | end | 2 |
//! | rename | 5; 7 if the session is somebody's |
//! | list | 1, and 1 for each 64 sessions and server |
//! | `end_all` | 4, and 2 for each 64 sessions and server; 2 more with an exception, and 1 to find it |
//! | health | 1 for each server, all at once |
//! | scan | a listing of all names of a server and 157 more for each page of 10,000 |
//!
//! A record of more than 256 KiB takes one more for reading, and two more for writing. Every write
//! carries the whole record: Memcached can not change a part of an item. For sessions of many
//! kilobytes of which each request changes a little, a store that keeps fields apart moves less.
//!
//! # Servers
//!
//! Any Memcached from 1.4 on, or what speaks its classic text protocol with `gets` and `cas`. Nothing
//! of it is a permission: whoever reaches the port may do everything, so the port belongs into a
//! private network. With `-Y FILE` a server asks for a user and a password, which stand in the URL;
//! they travel in the clear. Items of 260 KiB have to be allowed (`-I`; the default is 1 MiB), and
//! compare-and-swap must not be switched off (`-C`); both are checked when connecting. Scanning
//! needs 1.4.31.
//!
//! With several servers the owner of a session is chosen by rendezvous on the slot of its id
//! (`abide_slots`), by the servers' addresses as `host:port`. Name the same addresses in all
//! processes; the order does not matter.
//!
//! # Stored form
//!
//! For programs in other languages. Names of items, after the prefix (`abide.` unless said
//! otherwise), where ID is the text of the id's hash and ID' that of SHA-256 over the subject, made
//! by `IdHash::of_secret("abide subject in memcached", subject)`:
//!
//! | name | value |
//! |---|---|
//! | `s.ID` | a session, or what is left of it |
//! | `s.ID.GENERATION.NUMBER` | a part of it, 262,144 bytes but for the last; the generation has 16 hexadecimal digits |
//! | `f.ID` | what an old id goes on seeing after a sign-in; written like a session |
//! | `u.ID'` | the sessions of a subject |
//!
//! Flags are 0. Values are MessagePack arrays that begin with the version of the form, 1, and with
//! what they are:
//!
//! | begins with | then |
//! |---|---|
//! | `1, 0` live | cleared, created, seen, hard deadline, idle time-out, its stamp, subject or nil, its stamp, fields |
//! | `1, 1` moved | the new ID, whether it sees only the frozen copy, until when it may be used, hard deadline |
//! | `1, 2` moving | as moved, and then as live: the session, which may not yet stand under the new ID |
//! | `1, 3` ended | hard deadline |
//! | `1, 4` in parts | generation, number of parts, bytes, hard deadline; the parts together are a live or moving session |
//! | `1` (`u.ID'`) | the mark, the latest stamp, and an array of `[ID, stamp, hard deadline]`: sessions bound at the mark or earlier have ended |
//!
//! Times are milliseconds since 1970, the idle time-out milliseconds; a stamp is its reading as an
//! integer (milliseconds times 65,536, and a count), or an array of reading and node; fields are a
//! map from names to `[stamp, value as binary or nil]`. Items expire 60 s after the time from which
//! nobody needs them, which is for cleaning up only: whether a session has expired is decided by the
//! deadlines in it.
//!
//! **Versions.** A later version of this form may add elements at the end of an array, which an
//! earlier one passes over, and drops when it writes; so two versions of an application can run side
//! by side. What is changed otherwise gets a new number, and is `Corrupt` to an earlier version, with
//! a text that says so, never guessed at.
//!
//! # Size
//!
//! Measured with Memcached 1.6.18: a session of five fields with 43 bytes of values and 27 of names,
//! and a subject of 10 bytes, is a value of 199 bytes and takes 296 bytes of the server's memory
//! (which rounds that up by a tenth on average); a load moves 305 bytes, a commit 265. An ended
//! session takes 109 bytes until its hard deadline, an entry in an index 47 to 52.

mod cluster;
mod connect;
mod connection;
mod counters;
mod ending_all;
mod entry;
mod error;
mod expiry;
mod index;
mod moves;
mod protocol;
mod recent;
mod scan;
mod server;
mod sessions;
mod store;
mod subjects;

pub use connect::Builder;
pub use counters::Counters;
pub use error::ConnectError;
pub use store::MemcachedStore;

/// What the fuzzer calls. It is there for no other build.
#[cfg(fuzzing)]
pub mod fuzzing {
    use bytes::{Bytes, BytesMut};

    use crate::entry::Entry;
    use crate::index::Index;
    use crate::protocol;

    /// Reads these bytes as everything that a server sends.
    ///
    /// # Panics
    /// If what was read is not the same when it is written and read again.
    pub fn read(bytes: &[u8]) {
        let data = Bytes::copy_from_slice(bytes);
        if let Ok(entry) = Entry::decode(&data) {
            let again = Entry::decode(&entry.encode().into()).expect("it was just written");
            assert_eq!(again, entry);
        }
        if let Ok(index) = Index::decode(&data) {
            let again = Index::decode(&index.encode().into()).expect("it was just written");
            assert_eq!(again, index);
        }
        let mut input = BytesMut::from(bytes);
        while let Ok(Some(_)) = protocol::decode(&mut input) {}
        let mut input = BytesMut::from(bytes);
        while let Ok(Some(_)) = protocol::decode_line(&mut input) {}
    }
}
