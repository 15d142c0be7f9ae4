//! Which server serves this request, and why.
//!
//! [`decide`] is the one function that matters: from a [`View`] of the servers and the [`Keys`]
//! found in a request to a [`Verdict`], which says where the request goes and gives the [`Reason`]
//! in one word. It is pure: the shell brings the time and a random number, and does what the verdict
//! says.
//!
//! ```text
//! Request --Sources::keys--> Keys --decide(View)--> Verdict --+--> Server(place)
//!                                                             +--> Balance: Balancer::pick
//!                                                             +--> Nobody: 503
//! could not connect: retry(View, Verdict, tried) --> Verdict with the next server
//! answered:          Sticky::after(View, Verdict, who answered) --> Keep | Write(Ticket)
//! ```
//!
//! ```
//! use abide_affinity::{
//!     Choice, Lifetime, OnLost, Reason, Request, Server, Source, Sources, Sticky, View, decide,
//! };
//! use abide_cookie::CookieName;
//! use abide_keys::{Key, KeyRing};
//! use abide_time::Time;
//!
//! let view = View::new(vec![Server::new("a".parse()?), Server::new("b".parse()?)], OnLost::Move)?;
//! let ring = KeyRing::new(vec![Key::new([7; 32])])?; // 32 random bytes, please
//! let sticky = Sticky::new("shop", CookieName::new("__Host-abide")?, ring, Lifetime::default());
//! let sources = Sources::new(vec![Source::Sticky, "query:sid".parse()?], Some(sticky))?;
//!
//! let request =
//!     Request { target: "/basket?sid=5A2F", cookies: &[], header: &|_| None, client: None };
//! let (now, random) = (Time::from_secs(1_800_000_000), 42);
//! let verdict = decide(&view, &sources.keys(&request, now), now, random);
//! assert_eq!((verdict.choice, verdict.reason), (Choice::Server(1), Reason::Owner));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants:
//!
//! * A server is known by its name, never by its address or its place in a list. So reordering moves
//!   nobody, and removing a server only its own sessions. Adding one moves nobody who has a sticky
//!   cookie; of those found by an id or an address it takes its share, and no others move.
//! * All balancers with the same keys and the same servers decide alike, whatever the order of their
//!   lists: there is no table to lose or to copy.
//! * The sticky cookie is sealed, and one that does not open counts as absent: no client chooses a
//!   server by it. Ids, routes and addresses are what the client says they are.
//! * A draining server keeps its sessions until its deadline and gets no new ones.
//! * Nothing here reads a clock, draws a number, or panics on input.

#![no_std]
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::unreachable,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::iter_over_hash_type
)]

extern crate alloc;

pub mod balance;
mod decide;
mod error;
#[cfg(test)]
mod fixture;
pub mod health;
mod reason;
pub mod retry;
mod server;
mod source;
mod sticky;
mod view;

pub use balance::{Algorithm, Balancer};
pub use decide::{Choice, Verdict, decide, next, retry};
pub use error::AffinityError;
pub use reason::Reason;
pub use retry::RetryBudget;
pub use server::{Admin, Health, Server, ServerName, ServerTag, State, Weight};
pub use source::{Keys, Place, Request, Source, Sources};
pub use sticky::{CookieAction, Lifetime, Opened, Presented, Sticky, Ticket};
pub use view::{OnLost, View};
