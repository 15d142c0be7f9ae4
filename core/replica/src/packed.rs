//! An entry and its id as bytes: what a table keeps, and what travels between nodes.
//!
//! ```text
//! entry   = kind id content
//! kind    = 1 a session, 2 moved, 3 moved and frozen, 4 ended
//! id      = slot (two bytes, the high one first) hash (20 bytes)
//! content = of 1: record
//!           of 2: id of where it went, until, hard deadline as a difference to that
//!           of 3: the same, then the record of what it was before
//!           of 4: hard deadline
//! record  = flags [created] [seen] [hard deadline] [base] [cleared] [idle] [subject] count field*
//! base    = milliseconds as a difference to created, counter, node
//! cleared = stamp
//! idle    = stamp seconds [nanoseconds]
//! subject = stamp length text            length 0: nobody
//! field   = length name stamp length+1 value        0: removed
//! stamp   = 0, or 1 + (milliseconds after base << 2 | 2 if counter | 1 if node) [counter] [node]
//! ```
//!
//! Numbers are little-endian groups of seven bits, as short as they get. Differences may be
//! negative: they are zigzag. What a flag leaves out has its default; a counter or node that a stamp
//! leaves out is that of the base, which is the earliest stamp of the record. So a session whose
//! fields were set together has one whole stamp, and of each field one byte.
//!
//! Invariant: each entry in its normal form has exactly one form in bytes. Whatever else is given
//! to [`unpack`] is [`Malformed`]. It checks the form, not the limits of a session, which the merge
//! of two sides of a cut network may exceed; memory and time are bounded by the length of the bytes.
//!
//! The format changes by new kinds. `golden/packed-v1.txt` holds bytes that must stay the same.

mod read;
mod write;

use core::{error, fmt};

use abide_session::IdHash;
use alloc::vec::Vec;

use crate::entry::Entry;
use crate::key::Key;

/// These bytes are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The bytes of an entry.
pub fn pack(id: IdHash, entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    write::entry(&mut bytes, &Key::of(id), entry);
    bytes
}

/// The entry of these bytes.
///
/// # Errors
/// [`Malformed`] if they are not exactly what [`pack`] gives for some entry.
pub fn unpack(bytes: &[u8]) -> Result<(IdHash, Entry), Malformed> {
    read::entry(bytes).ok_or(Malformed)
}

pub(crate) use read::{content as unpack_content, record as unpack_record};
pub(crate) use write::{entry as pack_into, record as pack_record};

/// Where in a packed entry its id stands.
pub(crate) const KEY_PLACE: core::ops::Range<usize> = 1..1 + Key::BYTES;

const SESSION: u8 = 1;
const MOVED: u8 = 2;
const FROZEN: u8 = 3;
pub(crate) const ENDED: u8 = 4;

/// The parts of a record that are not left out.
mod flag {
    pub(super) const CREATED: u8 = 1;
    pub(super) const SEEN: u8 = 2;
    pub(super) const HARD_DEADLINE: u8 = 4;
    /// It has a stamp other than "never written".
    pub(super) const BASE: u8 = 8;
    pub(super) const CLEARED: u8 = 16;
    pub(super) const IDLE: u8 = 32;
    /// The idle time-out is no whole number of seconds.
    pub(super) const NANOSECONDS: u8 = 64;
    pub(super) const SUBJECT: u8 = 128;
}

/// Bits of a stamp's reading that count within a millisecond.
const COUNTER_BITS: u32 = 16;
const COUNTER_MASK: u64 = (1 << COUNTER_BITS) - 1;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes are no packed entry")
    }
}

impl error::Error for Malformed {}

#[cfg(test)]
mod tests;
