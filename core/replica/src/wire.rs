//! Letters as bytes: what travels between two nodes, one letter a frame.
//!
//! ```text
//! letter  = birth kind body
//! kind    = 1 hello, 2 view, 3 ping, 4 pong, 5 pass, 6 answered, 7 lost, 8 not leader, 9 survey,
//!           10 surveyed, 11 nodes, 16 and up: of a slot (slot term body)
//! call    = now operation                   operation = kind id ...
//! entries = count (length entry)*           entry: see [`crate::packed`]
//! ```
//!
//! Numbers are little-endian groups of seven bits, as short as they get; times are milliseconds, nodes
//! their numbers, ids their 22 bytes. What is optional is a count of 0 or 1 before it.
//!
//! A build of a later version may add parts at the end of a letter, of a call, of changes and of an
//! answer, which this one does not look at, and kinds of letters, which it passes over
//! ([`Unread::Later`]). A new kind of entry or operation it can not pass over: so those come one version
//! after the one that reads them.
//!
//! Memory and time to read a letter are bounded by its length; its own bounds are
//! [`crate::limits::MAX_LETTER_BYTES`] and what a session may hold. `golden/letters-v1.txt` holds
//! letters that must stay the same.

mod greeting;
mod read;
mod write;

use core::{error, fmt};

use alloc::vec::Vec;

use crate::message::Letter;

pub use greeting::{First, Greeting, MAX_GREETING_BYTES};
pub(crate) use read::status as read_status;
pub(crate) use write::status as write_status;

/// The version of the format, which a [`Greeting`] tells.
pub const VERSION: u16 = 1;

/// Why bytes give no letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is of a kind that a later version has: pass it over.
    Later,
    /// They are no letter.
    Malformed,
}

/// Appends the bytes of a letter.
pub fn write(letter: &Letter, bytes: &mut Vec<u8>) {
    write::letter(bytes, letter);
}

/// The letter of these bytes, which are one frame.
///
/// # Errors
/// See [`Unread`].
pub fn read(bytes: &[u8]) -> Result<Letter, Unread> {
    read::letter(bytes)
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Later => "a letter of a kind that this version does not know",
            Self::Malformed => "the bytes are no letter",
        })
    }
}

impl error::Error for Unread {}

/// Kinds of letters.
mod kind {
    pub(super) const HELLO: u64 = 1;
    pub(super) const VIEW: u64 = 2;
    pub(super) const PING: u64 = 3;
    pub(super) const PONG: u64 = 4;
    pub(super) const PASS: u64 = 5;
    pub(super) const ANSWERED: u64 = 6;
    pub(super) const LOST: u64 = 7;
    pub(super) const NOT_LEADER: u64 = 8;
    pub(super) const SURVEY: u64 = 9;
    pub(super) const SURVEYED: u64 = 10;
    pub(super) const NODES: u64 = 11;
    /// From here on they are about a slot.
    pub(super) const OF_SLOT: u64 = 16;
    pub(super) const REIGN: u64 = 16;
    pub(super) const REPLICATE: u64 = 17;
    pub(super) const KEPT: u64 = 18;
    pub(super) const MISSED: u64 = 19;
    pub(super) const SUPERSEDED: u64 = 20;
    pub(super) const SET: u64 = 21;
    pub(super) const OUT: u64 = 22;
    pub(super) const ASK: u64 = 23;
    pub(super) const HELD: u64 = 24;
    pub(super) const REFUSED: u64 = 25;
    pub(super) const PART: u64 = 26;
    pub(super) const TAKEN: u64 = 27;
    pub(super) const COMPARE: u64 = 28;
    pub(super) const SAME: u64 = 29;
    pub(super) const DIFFERS: u64 = 30;
    pub(super) const HAND: u64 = 31;
    pub(super) const OFFER: u64 = 32;
    pub(super) const FORGET: u64 = 33;
}

/// Kinds of operations.
mod operation {
    pub(super) const CREATE: u64 = 1;
    pub(super) const LOAD: u64 = 2;
    pub(super) const COMMIT: u64 = 3;
    pub(super) const END: u64 = 4;
    pub(super) const RENAME: u64 = 5;
}

/// Kinds of replies.
mod reply {
    pub(super) const CREATED: u64 = 1;
    pub(super) const TAKEN: u64 = 2;
    pub(super) const LIVE: u64 = 3;
    pub(super) const ENDED: u64 = 4;
    pub(super) const EXPIRED: u64 = 5;
    pub(super) const UNKNOWN: u64 = 6;
    pub(super) const COMMITTED: u64 = 7;
    pub(super) const CONFLICT: u64 = 8;
    pub(super) const GONE: u64 = 9;
    pub(super) const END_ENDED: u64 = 10;
    pub(super) const END_GONE: u64 = 11;
    pub(super) const UNAVAILABLE: u64 = 12;
    pub(super) const FULL: u64 = 13;
    pub(super) const TOO_LARGE: u64 = 14;
    pub(super) const INCOMPATIBLE: u64 = 15;
}

/// Parts of changes that are there.
mod part {
    pub(super) const CLEAR: u64 = 1;
    pub(super) const CREATED: u64 = 2;
    pub(super) const SEEN: u64 = 4;
    pub(super) const IDLE_TIMEOUT: u64 = 8;
    pub(super) const HARD_DEADLINE: u64 = 16;
    pub(super) const SUBJECT: u64 = 32;
    pub(super) const NOBODY: u64 = 64;
}

/// What a write of a field is, and what it expects.
mod change {
    pub(super) const PUT: u64 = 1;
    pub(super) const REMOVE: u64 = 2;
    pub(super) const ADD: u64 = 3;
    pub(super) const MEMBERS: u64 = 4;
    pub(super) const ANYTHING: u64 = 0;
    pub(super) const ABSENT: u64 = 1;
    pub(super) const WRITTEN: u64 = 2;
}

#[cfg(test)]
mod tests;
