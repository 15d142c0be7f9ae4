//! What a session is, and what must happen to it when a request ends.
//!
//! A session is a small map of named fields with a lifetime. It is kept by a [`Store`] as a
//! [`Record`], under the hash of its [`Id`] and never under the id itself. One type and one
//! function carry everything: a record in which each part bears the [`Stamp`] of its last write,
//! and [`Record::merge`], which takes the later of each part. A delta is a record that holds only
//! what changed.
//!
//! The life of a request:
//!
//! 1. The shell finds out which ids the request presents, and loads nothing.
//! 2. The handler reads (now the shell loads, once) and writes; what it writes is recorded as
//!    [`Operations`], not applied to a copy of the session.
//! 3. At response time [`plan`] says what has to happen: nothing, create, commit, rename or end,
//!    and which cookie the response carries, if any. The shell carries it out.
//!
//! What always holds:
//!
//! * **A logout is final.** Ending a session sets `cleared` to [`Stamp::MAX`]; no write can bear a
//!   later stamp, so no field can ever become visible again, in whatever order writes arrive. A
//!   commit never creates: to an ended session it answers [`Commit::Gone`].
//! * **Concurrent requests lose nothing.** A commit holds the changes of single fields. Two
//!   requests that set different fields both keep theirs; a read-modify-write names the stamp it
//!   has seen and is refused with [`Commit::Conflict`] if somebody was faster.
//! * **Nothing is made for nobody.** A visitor whose session nobody wrote to has no record and no
//!   cookie, and an id this side did not make is never adopted.
//! * **An id is a secret.** It is never shown by `Debug`, and a store never sees it.
//!
//! Nothing here reads a clock or draws a random number: both arrive as arguments.

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

mod changes;
mod error;
mod expiry;
mod id;
mod limits;
mod operations;
mod plan;
mod record;
mod seal;
mod stamp;
mod store;
mod trail;
mod write;

pub use abide_slots::Slot;
pub use abide_time::Time;
pub use changes::{Changes, Expected, FieldChange};
pub use error::{Cause, Limit, StoreError};
pub use expiry::{Policy, touch_due};
pub use id::{ID_TEXT_BYTES, Id, IdHash, IdText, RANDOM_BYTES};
pub use limits::{
    MAX_FIELD_NAME_BYTES, MAX_FIELDS, MAX_LISTED, MAX_RECORD_BYTES, MAX_RENEWALS_IN_GRACE,
    MAX_SUBJECT_BYTES, MAX_VALUE_BYTES,
};
pub use operations::{Lifetime, Operations};
pub use plan::{Action, CookieAction, Plan, Presented, plan};
pub use record::{Field, FieldName, Record, Subject};
pub use seal::{Opened, Parts, Seal, Sealed};
pub use stamp::{Clock, MAX_CLOCK_LEAD_MS, Stamp, Stamped};
pub use store::{
    Commit, Create, End, Listed, Loaded, OldId, Rename, Scanned, Standing, Store, StoreFuture,
};
pub use trail::{Stub, Trail};
pub use write::Write;
