//! Keeps abide's sessions in the servers themselves: each session on two of them, so that any one may
//! die at any moment.
//!
//! ```no_run
//! use abide_node::{Config, join};
//!
//! # async fn start(secret: abide_keys::Key) -> Result<(), abide_node::JoinError> {
//! let config = Config::new("a", [("a", "10.0.0.1:7946"), ("b", "10.0.0.2:7946")]).secret(secret);
//! let store = join(config).await?;
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! The other server does the same with the name `b`. A third that is started later needs its own name and the
//! address of one that runs: it joins, and the others need not be told. [`NodeStore`] is an `abide_session::Store` and
//! passes the whole of its contract, whichever node is asked. What two nodes say to each other, who
//! leads and what is lost when is decided by `abide_replica` and told in `docs/design/replication.md`;
//! this crate has the sockets, the clocks and the thread.
//!
//! # What is lost
//!
//! | when | what |
//! |---|---|
//! | one node dies (`kill -9`, power), at any moment | nothing that was acknowledged |
//! | a node hangs or is cut off | nothing; calls that need it wait for up to 0.55 s |
//! | a second dies before [`NodeStore::is_safe_to_stop`] says yes | what only those two held |
//! | all nodes are down at once | everything; with [`Config::data`] what was answered in the last 50 ms |
//! | two sides of a cut network both go on | of a counter that both added to, one side's additions; and a session that one side ended lives on if the other gave it a new id meanwhile |
//!
//! `end_all` is complete when it returns, and not one moment for all: sessions end one after the other
//! while it runs. If it fails half-way, doing it again ends the rest. In a cut network it fails, having
//! ended what could be reached.
//!
//! # Security
//!
//! Nodes talk by TLS 1.3 and prove to each other that they know one [`Key`](abide_keys::Key): whoever
//! does not know it learns nothing and changes nothing. In place of a secret each may have a certificate, which proves
//! its name too ([`Certificates`]): whoever connects sees it, as in TLS the server shows first, and learns nothing
//! else. Without either a node takes addresses of the loopback interface only ([`Config::plain`]).
//!
//! A connection that is *refused* proves to a node that nobody listens there, so that the process is
//! dead, and its sessions are taken over at once. A firewall between nodes must therefore drop what it
//! does not let through, and not reject it.
//!
//! # Its own thread
//!
//! A node answers within a tenth of a second or it counts as hanging, so it has a thread of its own,
//! which nothing that the application does can hold up.

mod certificates;
mod clock;
mod config;
mod connect;
mod counters;
mod cursor;
mod error;
mod gauges;
mod home;
mod identity;
mod join;
mod journal;
mod link;
mod nodes;
mod pair;
mod renewal;
mod room;
mod shell;
mod store;

pub use certificates::Certificates;
pub use config::Config;
pub use counters::Counters;
pub use error::JoinError;
pub use join::join;
pub use store::{Leaders, LoseError, NodeStore, Status};
