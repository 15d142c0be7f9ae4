//! A simulator that tries to break the replication of sessions.
//!
//! It runs the nodes of a cluster, as they are, on machines that it makes up: clocks that are off, drift
//! and are set anew, connections that are slow and break, paths that are cut in one direction or both,
//! processes that are killed, stopped and started again empty. Clients ask any node for anything and
//! remember what they were told. `check.rs` says what must be true of it.
//!
//! Everything in a run follows from its seed: the same seed is the same run, to the last message. So
//! what goes wrong once goes wrong again, and can be told as a story.
//!
//! With the same machines and no faults, [`scale()`] measures what a large cluster costs.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of machines and of microseconds, all small"
)]

mod check;
mod clients;
mod faults;
mod history;
mod joining;
mod learn;
mod leaving;
mod network;
mod random;
mod run;
mod scale;
mod surveys;
mod trace;
mod world;

pub use abide_replica::Mutant;
pub use check::Violation;
pub use run::{Plan, Report, run};
pub use scale::{Figures, ScalePlan, scale, table};
