//! Keeps abide's sessions in Redis or Valkey: one server, Sentinel or Cluster.
//!
//! Each call of a request is one round trip: a script that the server runs as a whole checks, changes
//! only the fields that changed, and moves the expiry. Redis 7.0 or later, and Valkey.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use abide_store_redis::RedisStore;
//!
//! let store = RedisStore::connect("redis://user:password@localhost:6379/0").await?;
//! store.health().await?;
//! // A primary that sentinels watch; each write in the memory of a replica before it is answered.
//! let url = "redis+sentinel://:password@one,two,three/mymaster";
//! let store = RedisStore::builder(url)
//!     .wait_for_replicas(1, std::time::Duration::from_millis(500))
//!     .connect()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Addresses
//!
//! ```text
//! redis://[[user]:password@]host[:port][/database]
//! redis+sentinel://[[user]:password@]host[:port],…/primary[/database]
//! redis+cluster://[[user]:password@]host[:port],…
//! ```
//!
//! `rediss` in place of `redis` is the same over TLS, `valkey` and `valkeys` are other words for the
//! two. Options follow a `?` and are joined by `&`: `ca=FILE` (certificates in PEM to trust in place of
//! the system's), `protocol=resp2` (for what stands between and does not know RESP3), `sentinel_user`
//! and `sentinel_password`. User, password and names are percent-encoded.
//!
//! # What it promises, and what it can not
//!
//! The whole contract of [`abide_session::Store`], as long as the server keeps what it was told:
//!
//! * A logout is final, concurrent changes are all kept, and no error ever looks like "no session".
//! * Everything is read from a primary. A server that turns out to be a replica is left, and the
//!   sentinels or the cluster are asked for the way again, without a restart. Sentinel closes the
//!   connections of a primary that it demotes; where somebody demotes one by hand and does not
//!   (`CLIENT KILL TYPE normal`), the next write or [`RedisStore::health`] notices, and reads until then
//!   see the replica.
//! * **A restart** loses what the server does not have on disk: everything without persistence, up to
//!   a second with `appendonly yes`, nothing with `appendfsync always`.
//! * **A failover** loses what the promoted replica had not yet received: writes of the last
//!   moments, logouts among them. [`RedisStoreBuilder::wait_for_replicas`] makes that unlikely and is no
//!   consensus. A primary that is cut off takes writes that are lost until it notices; its
//!   `min-replicas-to-write` shortens that.
//! * **Eviction** signs users out, and an evicted mark lets a late write find no trace of a logout. It
//!   must be off: `maxmemory-policy noeviction`. A server with another policy and a limit is warned of
//!   when connecting, and not healthy. A full server that does not evict refuses new sessions and
//!   longer ones ([`abide_session::StoreError::Full`]), and takes ends, sign-outs, removals and touches.
//! * **A walk** ([`abide_session::Store::scan`]) may miss sessions whose slots a cluster moves meanwhile.
//!
//! Where an answer is lost, reads and ends are sent again. Other writes are not, because they may have
//! been carried out: the call is [`abide_session::StoreError::Unavailable`], and the session layer
//! decides. What the server says it did not carry out is sent again, seven times at most and within
//! the time of a call. An end that was sent again and finds the session ended answers that it ended it:
//! most likely it did, the first time.
//!
//! # Round trips
//!
//! | call | round trips |
//! |---|---|
//! | create, load, commit, rename, end | 1 |
//! | any of them by an id that was renewed, in its grace | 1 more for each renewal |
//! | create, commit or rename that sets the subject, or puts off the hard deadline of a session that has one | 1 more |
//! | rename of a session that has a subject | 1 more |
//! | list | 2: the index, then all sessions at once |
//! | end all | 3: the index, then all sessions at once, then the index |
//! | scan | 2 for each page |
//!
//! All calls share a few connections to each server ([`RedisStoreBuilder::CONNECTIONS`]); there is no
//! pool to wait for. With `wait_for_replicas` a connection waits after each write for the replicas, so
//! raise the number of connections with it.
//!
//! # Rights
//!
//! A user of the server needs these and no others (with the default prefix; `+wait` only for
//! `wait_for_replicas`, `+cluster|slots` only in a cluster):
//!
//! ```text
//! ACL SETUSER app on >password ~abide:* +evalsha +eval +hgetall +hget +hmget +hset +hdel +hkeys
//!     +hlen +hexists +exists +del +pexpire +pttl +copy +rename +scan +info +wait +cluster|slots +asking
//! ```
//!
//! A user of the sentinels needs `+sentinel|get-master-addr-by-name`. `PING`, `SELECT` and
//! `CLIENT SETINFO` are not needed, or their refusal is overlooked; `SELECT` is for a database other than 0.
//!
//! # What is stored
//!
//! Everything is a hash. Numbers are big-endian. *ms* are six bytes of milliseconds since 1970, the
//! largest number stands for "never"; a *stamp* is ms and two bytes of counter.
//!
//! | key | what it is | kept until |
//! |---|---|---|
//! | `abide:{0f3}Xq3k…` | a session, a stub or a mark, under the hash of its id (30 characters; the first three are the hash tag) | the earlier deadline and 60 s; stubs and marks: the hard deadline and 60 s |
//! | `abide:{0f3}Xq3k…:was` | what a session was before the sign-in that took this id from it | the end of the grace and 60 s |
//! | `abide:s:…` | the index of a subject, under [`IdHash::of_secret`]`("subject", name)` | the latest hard deadline and 60 s |
//!
//! The hash of an id is the first 160 bits of SHA-256 over its text, in base64url, after the three digits
//! that the id begins with. In the hash of a **session**:
//!
//! | name | value |
//! |---|---|
//! | empty | 1 byte version (1), `L`, ms created, ms last used, ms hard deadline, ms idle time-out, stamp of that, stamp of the last clearing, latest stamp, 2 bytes number of fields, 4 bytes size as [`abide_session::Record::size`] counts it |
//! | one byte 255 | stamp, token of the binding (8 bytes), subject as UTF-8; absent if it is nobody's |
//! | name of a field, UTF-8 | stamp, value in MessagePack |
//!
//! A **stub** has only the empty name: version, `M`, 1 byte whether it is frozen, ms end of its grace (0:
//! it has ended), 30 characters of the id hash it leads to. A **mark** too: version, `E`. An **index** has
//! under the empty name version and latest token, and under each id hash the token of its binding.
//!
//! A program in another language may read this. One that writes takes the scripts of this crate
//! (`src/script`; `names.rs` there says what its names in capitals are), or it breaks what they promise.
//!
//! A later version may add bytes at the end of the value under the empty name, and names that begin
//! with a byte from 245 on, which no UTF-8 does: both are left alone by this one, so two versions can
//! serve side by side. What is more than that has another version number, and is
//! [`abide_session::StoreError::Corrupt`] here, with words that say so.
//!
//! [`IdHash::of_secret`]: abide_session::IdHash::of_secret

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod address;
mod answer;
mod builder;
mod change;
mod client;
mod counters;
mod dial;
mod error;
mod format;
mod keys;
mod link;
mod routes;
mod script;
mod store;
mod subjects;
mod walk;

pub use builder::RedisStoreBuilder;
pub use counters::Counters;
pub use error::ConnectError;
pub use store::RedisStore;

pub(crate) use client::unavailable;
