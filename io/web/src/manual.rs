//! The manual: what to know before sessions go into production.
//!
//! | page | it answers |
//! |---|---|
//! | [`quick_start`] | how do I get from nothing to visitors who stay signed in, on two servers? |
//! | [`choosing`] | where should sessions be kept, and what does each way cost? |
//! | [`security`] | what is protected, by which default, against whom, and what is not? |
//! | [`moving`] | how do I change where sessions are kept, with users signed in? |
//! | [`concurrency`] | what happens when requests of one session meet? |
//! | [`errors_and_outages`] | what does a visitor see when the store is down, and what do I? |
//! | [`writing_a_store`] | how do I keep sessions somewhere else? |
//! | [`complaints`] | does it have the faults that I know from other libraries? |
//!
//! Every piece of code on these pages is compiled with the crate's tests, and what can run, runs.
//! Whole programs to start and to change are in the folder `examples` of the repository: `counter`,
//! `login`, `remember-me`, `devices`, `sealed-cookie`, `axum-login`.

#[cfg(doc)]
use crate::{
    AtRest, Attributes, Counters, Error, Event, EventKind, Key, KeyRing, Lifetime, MemoryStore,
    Moving, Observed, SealedCookie, Session, SessionHandle, SessionLayer, Sessions, Store,
    StoreError, store,
};

#[doc = include_str!("manual/quick_start.md")]
pub mod quick_start {}

#[doc = include_str!("manual/choosing.md")]
pub mod choosing {}

#[doc = include_str!("manual/moving.md")]
pub mod moving {}

#[doc = include_str!("manual/security.md")]
pub mod security {}

#[doc = include_str!("manual/concurrency.md")]
pub mod concurrency {}

#[doc = include_str!("manual/errors_and_outages.md")]
pub mod errors_and_outages {}

#[doc = include_str!("manual/writing_a_store.md")]
pub mod writing_a_store {}

#[doc = include_str!("manual/complaints.md")]
pub mod complaints {}

/// So that the code in it is compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
