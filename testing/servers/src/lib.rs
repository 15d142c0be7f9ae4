//! Real servers for tests: Redis, Valkey, PostgreSQL, MariaDB, Memcached, nginx, HAProxy.
//!
//! Every server that is started here has a folder and ports of its own and is gone when its value
//! is dropped. Everything blocks, and everything panics that is not as it should be, because that is
//! the end of the test: a program that is not installed panics with the Debian package to install, a
//! server that does not come up panics with the end of its log.
//!
//! ```no_run
//! let mut redis = abide_servers::Redis::start();
//! println!("{} says {}", redis.url(), redis.cli(&["PING"]));
//! redis.stop(); // hangs, as a machine does that swaps
//! redis.cont();
//! redis.kill(); // -9
//! redis.restart(); // the same port, the same folder
//! ```
//!
//! # No orphans
//!
//! A test process may end in any way, also by `kill -9`, and a server in a `static` is never
//! dropped. So a server is the child of a small shell script that holds a pipe to the test process:
//! when the pipe closes, the script ends the server and removes its folder. The script is in a
//! process group of its own, so that Ctrl-C reaches the tests and not it. Nothing is left behind but
//! templates of database folders, the Valkey program, and empty lock files for ports, all in the
//! folder for temporary files, for the next run.
//!
//! # Ports
//!
//! A server gets its port for life, so that it can be restarted where clients look for it. Ports
//! are taken below those that the kernel gives to connections: a client that keeps knocking at a
//! port where nobody listens may otherwise be connected to itself. Test processes that run side by
//! side keep off each other's ports by locks on files.
//!
//! # One server for many tests
//!
//! Redis and Memcached start within milliseconds. PostgreSQL and MariaDB take about a second: let
//! the tests of a program share one in a `static` [`std::sync::LazyLock`], and give each test a
//! database of its own. Runners that make a process of each test start it for each; a test that
//! goes through all of [`SENTENCES`] starts it once.
//!
//! [`SENTENCES`]: https://docs.rs/abide-store-suite

#![expect(clippy::missing_panics_doc, reason = "a test that meets what it does not expect ends")]
#![expect(clippy::unwrap_used, reason = "panics as tests do")]

mod cache;
mod certificates;
mod cluster;
mod mariadb;
mod memcached;
mod ports;
mod postgres;
mod process;
mod programs;
mod proxies;
mod redis;
mod resp;
mod sentinel;
mod valkey;
mod waiting;
mod wire_count;

pub use certificates::Certificates;
pub use cluster::RedisCluster;
pub use mariadb::MariaDb;
pub use memcached::Memcached;
pub use ports::{Port, free_port};
pub use postgres::Postgres;
pub use programs::on_small_disk;
pub use proxies::{Haproxy, Nginx};
pub use redis::{Redis, RedisSetup};
pub use sentinel::RedisSentinel;
pub use waiting::until;
pub use wire_count::{ConnectionCount, WireCount};
