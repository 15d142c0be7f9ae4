//! Every state that two or three nodes can come to, within bounds.
//!
//! The simulator plays long stories by chance; this plays all short ones. A state has the nodes themselves
//! ([`abide_replica::Node`], not a retelling), what is on its way between them, and what clients asked for and were
//! told. From each state everything is tried that can happen next: what is on its way arrives, time goes on, a
//! client asks, something goes wrong. How often what may go wrong is bounded ([`Bounds`]); when, and in which
//! order, is not. `check.rs` says what must be true of every state.
//!
//! What is not in it: clocks that differ or drift, more than one session, renewals, surveys, and leaving. The
//! simulator has these. Wall clocks stand still here, so that stamps, terms and births count up. Nothing takes
//! longer than a step of time, which is from one waking of a node to the next, but what a cut or a pause
//! holds up; what is on its way meanwhile arrives in every order, but for pings (unless
//! [`Bounds::is_fine`]), which arrive as soon as they can.
//!
//! States that differ in nothing but when they are reached are one (`rendering.rs`): so nothing bounds time.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "numbers of machines and of calls, all small"
)]

mod action;
mod bounds;
mod check;
mod client;
mod explore;
mod machine;
mod model;
mod network;
mod rendering;
mod run;
mod state;
mod step;

pub use abide_replica::Mutant;
pub use action::Action;
pub use bounds::Bounds;
pub use check::{Broken, Property};
pub use client::Request;
pub use explore::{Limits, Progress, Report, Verdict, explore};
pub use model::{Model, mutant_of};
pub use state::State;
