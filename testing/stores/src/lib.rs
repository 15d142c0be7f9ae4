//! Every store under everything: the contract, races, faults, moves, bad input.
//!
//! A [`Kind`] is a store and the servers below it; a [`Place`] is one that runs. The tests of this
//! package go through all of them:
//!
//! * `tests/suite.rs`: the contract of the store, with and without sealed values;
//! * `tests/races.rs`: requests of one session that overlap, over HTTP;
//! * `tests/faults.rs`: servers killed, replaced or hung under [`Traffic`], and what was lost;
//! * `tests/moves.rs`: sessions that move from one to another while they are used;
//! * `tests/bad_input.rs`: what a store says when it can not work, and that nothing is lost by it.
//!
//! What a store can not hold by nature is listed in [`Kind::exceptions`], each with its reason.

#![expect(clippy::missing_panics_doc, reason = "a test that meets what it does not expect ends")]
#![expect(clippy::unwrap_used, reason = "panics as tests do")]

mod kind;
mod known;
mod nodes;
mod place;
mod report;
mod traffic;
mod victim;

pub use kind::{Exception, Kind};
pub use place::{PATIENCE, Place, sealing_keys};
pub use report::{Report, alone, held_up};
pub use traffic::{CLIENTS, Traffic};
pub use victim::{Victim, fill, is_there};
