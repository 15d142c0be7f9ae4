//! Keeps abide's sessions in PostgreSQL, MySQL, MariaDB or SQLite.
//!
//! A row for each session and a row for each of its fields, so that a commit writes what changed. A
//! SQLite file is all that one machine needs; a server is for several.
//!
//! ```no_run
//! # async fn example() -> Result<(), abide_store_sql::ConnectError> {
//! use abide_store_sql::SqlStore;
//!
//! let store = SqlStore::connect("postgres://shop:secret@db.example/shop").await?;
//! let store = SqlStore::connect("mysql://shop:secret@db.example/shop").await?; // MariaDB, too
//! let store = SqlStore::connect("sqlite://sessions.db").await?;
//! # Ok(())
//! # }
//! ```
//!
//! PostgreSQL 12 or later, MySQL 8.0, MariaDB 10.6. How a URL asks for TLS (`sslmode`, `ssl-mode`) and
//! for certificates is sqlx's to say. `sqlite:///var/lib/shop/sessions.db` is an absolute path,
//! `sqlite::memory:` lives as long as the store.
//!
//! # What it promises, and what it can not
//!
//! All of [`abide_session::Store`], without an exception. What was answered is as safe as the database
//! was told to keep it:
//!
//! * PostgreSQL and MySQL as they come lose nothing when they are killed, nor when the power is cut.
//!   With asynchronous replicas, a failover loses what the new primary had not yet received: the last
//!   commits, and a logout among them. Synchronous replication is the remedy; it is the server's setting.
//! * SQLite loses nothing when the application is killed. When the power is cut it may lose the last
//!   moments, but for [`SqlStoreBuilder::durable`].
//! * It never reads from a replica: it would show what was already changed. A server that takes no
//!   writes is refused when connecting, and [`SqlStore::health`] sees it later. A Galera cluster is no
//!   exception: name one of its nodes, or set `wsrep_sync_wait = 1` on all, or a load may come from a
//!   node that has not yet got the last commit.
//! * Nothing is evicted. A full disk is [`abide_session::StoreError::Full`].
//!
//! # Round trips
//!
//! | call | PostgreSQL | MySQL, MariaDB |
//! |---|---|---|
//! | load, commit, end, create, list | 1 | 1 |
//! | ... under an id that was renewed, for each renewal | 1 more | 1 more |
//! | create or commit that sets the subject | 2 or 4 | 2 or 4 |
//! | commit that counts, changes a set or clears; rename | 3 | 3 |
//! | end of all | 3, with an exception 4 | the same |
//! | commit while others change the same session | 3 more, if it had to wait | it waits its turn |
//!
//! SQLite is in the same process. A connection that was not used for a second costs one more, to learn
//! whether it is still good. The first use of a statement on a connection costs one more, to prepare it;
//! on MariaDB commits of one, two or more fields, up to eight, are statements of their own.
//!
//! # What the database's user must be allowed to do
//!
//! `SELECT`, `INSERT`, `UPDATE` and `DELETE` on `abide_sessions`, `abide_fields` and `abide_subjects`, and
//! `SELECT` on `abide_schema`; and `CREATE` to make the tables, or somebody else runs
//! [`SqlStore::schema`] and the store is connected with [`SqlStoreBuilder::migrate`] off:
//!
//! ```sql
//! GRANT SELECT, INSERT, UPDATE, DELETE ON abide_sessions, abide_fields, abide_subjects TO shop;
//! GRANT SELECT ON abide_schema TO shop;
//! ```
//!
//! MySQL must not log for replication by statement (`binlog_format = STATEMENT`): it refuses writes at
//! the isolation level that is used here. `max_allowed_packet` has to be 16 MiB, as it is by default,
//! for the largest sessions.
//!
//! Behind `PgBouncer` in transaction mode: let it pass `options` (`ignore_startup_parameters =
//! extra_float_digits, options`), set its `max_prepared_statements` (1.21 or later), or add
//! `?statement-cache-capacity=0` to the URL.
//!
//! # Bounds
//!
//! A call takes 2 s at most ([`SqlStoreBuilder::timeout`]), whatever it waits for; a statement on
//! PostgreSQL, and the wait for a lock on the others, is held to the same, so that nothing goes on for
//! long that nobody waits for. A batch of the cleaner may take ten times as long. Ten connections
//! ([`SqlStoreBuilder::connections`]); those who find none wait. A call that the database undid to let
//! another through is made again eight times.
//!
//! # The tables
//!
//! Any program may read them. Times are milliseconds since 1970, spans milliseconds, stamps as
//! [`abide_session::Stamp::reading`] gives them; 2^61 and more is "never". Ids are the text of an
//! [`abide_session::IdHash`]: three hexadecimal digits of slot and the first 160 bits of SHA-256 of the
//! id, as base64url. Names and subjects are the bytes of their UTF-8, values are MessagePack.
//!
//! | `abide_sessions` | |
//! |---|---|
//! | `id` | the key |
//! | `kind` | 0 a session; 1 an id that was renewed and leads to it; 2 one that also sees what is kept under it, and not the session; 3 the mark of one that has ended |
//! | `created`, `seen`, `idle_timeout`, `hard_deadline` | it has expired at `seen + idle_timeout`, and at `hard_deadline` |
//! | `subject`, `subject_stamp` | whose it is, and since which stamp |
//! | `stamp` | of its latest change; `idle_stamp` of the last change of the time-out; `cleared` of the last clear, or 0 |
//! | `field_count`, `field_bytes` | of its fields, for the limits |
//! | `moved_to`, `moved_until` | of kinds 1 and 2: the newer id, and until when the old one is good |
//! | `check_at` | when a cleaner looks at it, at the latest; it may be long before it expires |
//!
//! | `abide_fields` | |
//! |---|---|
//! | `id`, `name` | the key |
//! | `stamp`, `value` | of the last write; a field that was removed has no row |
//!
//! | `abide_subjects` | |
//! |---|---|
//! | `subject` | the key; only of those whose sessions were all ended |
//! | `revoked_before` | sessions with this `subject_stamp` or an earlier one have ended |
//! | `check_at` | when a cleaner looks whether it is still needed |
//!
//! `abide_schema` has the version, which is 1. A build refuses a newer one. Within a version columns
//! with a default, indexes and tables may be added: builds before and after that run side by side, as
//! they do while servers are replaced one after the other.

mod builder;
mod cleaner;
mod connection;
mod counters;
mod decide;
mod error;
mod mariadb;
mod mysql;
mod numbers;
mod pool;
mod postgres;
mod row;
mod schema;
mod sqlite;
mod statements;
mod steps;
mod store;

pub use builder::SqlStoreBuilder;
pub use counters::Counters;
pub use error::ConnectError;
pub use schema::Database;
pub use store::SqlStore;
