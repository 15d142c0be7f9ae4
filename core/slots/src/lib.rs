//! 4096 slots: which slot an id falls into, and which servers own a slot.
//!
//! A balancer and a replicated store that share this crate, or its rules in another language, find
//! the same server for the same session without ever talking to each other.
//!
//! **Slot of an id.** An id in abide's own form (three lower-case hexadecimal digits and 27
//! characters of base64url) carries its slot in clear: its first three digits. So a balancer can cut
//! them off and look them up in a table of 4096 lines, without a hash function. Any other id falls
//! into slot `xxh64(id, seed 0) mod 4096`.
//!
//! **Owners of a slot.** Rendezvous hashing (Thaler and Ravishankar 1998): each server scores
//! `xxh64(slot as two little-endian bytes, then the name; seed 0)`, and the highest score owns the
//! slot, the second highest comes next, and so on. Removing a server moves only what it owned, and a
//! new one takes only what it will own. A server of weight `w` draws `w` times and keeps its best
//! score: the first draw is the plain one, the later ones (1 to `w` - 1) append their number as two
//! little-endian bytes. Equal scores are ordered by name, the smaller first.
//!
//! ```
//! use abide_slots::{Member, owners, slot_of_id};
//!
//! let servers = [Member::new("a", 1)?, Member::new("b", 1)?, Member::new("c", 1)?];
//! let slot = slot_of_id(b"1a2zzzzzzzzzzzzzzzzzzzzzzzzzzz");
//! assert_eq!(slot.to_string(), "1a2");
//! assert_eq!(owners(slot, &servers), [2, 0, 1]); // places in the list: c, then a, then b
//! # Ok::<(), abide_slots::MemberError>(())
//! ```
//!
//! How even that is, as the largest number of slots owned over the mean, averaged over eight ways of
//! naming servers of equal weight: 1.02 for two and for three servers, 1.04 for five, 1.07 for ten.
//!
//! Invariant: all of this is integer arithmetic on bytes and depends neither on the order of a list
//! nor on the machine. `golden/v1.tsv` holds answers that must stay the same forever, and
//! `golden/check.py` computes them once more in Python.

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
#[cfg(test)]
extern crate std;

mod owners;
mod slot;

pub use owners::{Member, MemberError, first_owners, owner, owners};
pub use slot::{ID_BYTES, Slot, slot_of_id};
