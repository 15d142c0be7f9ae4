//! One node of the replicated sessions: what it keeps, and how two versions of it become one.
//!
//! Under each id a node keeps an [`Entry`]: a session, where a renewed id leads, or the mark of one
//! that has ended. Entries only grow, in an order in which any two have a least upper bound
//! ([`Entry::merge`]): so copies that heard of the same changes are equal, in whatever order and
//! however often they heard of them, and nothing brings back what has ended.
//!
//! A [`Table`] is all entries of a node, by slot. Each is one block of bytes ([`pack`]), the same
//! bytes on every node and on the way between them: so a slot has a digest, and two nodes find out
//! by comparing 64 bits that they hold the same.
//!
//! A [`Node`] is what one process does with it: a state machine that hears of calls, messages and lost
//! connections, and says what to send and to answer. One node leads a slot and puts its changes in
//! order; those in sync with it hold them before they are acknowledged; who is left out knows it by its
//! grants before the others go on ([`limits`] has the times). Who may not know of all says so
//! ([`Kept::Sole`]). A [`Survey`] finds sessions in many slots. A node that wants to stop leaves first, so that
//! others hold what it holds ([`Node::has_left`]); a new one needs to know one that runs, and holds nothing before
//! all know it ([`Roster`]); and each says whether it is ready to be used and may be
//! killed. It may write down what it takes over ([`journal`]), so that sessions outlast all processes. How it
//! works and why stands in `docs/design/replication.md`; `testing/sim` tries to
//! break it.
//!
//! What always holds:
//!
//! * **Merging is all.** There is no call that overwrites. What is removed was forgotten on purpose:
//!   because every copy of it is worthless by now, or because this node is to keep it no longer.
//! * **Equal entries have equal bytes**, and bytes that are not exactly those of an entry do not
//!   unpack.
//! * **A full table refuses what is new**, and never forgets or refuses what is there.
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
#[cfg(test)]
extern crate std;

mod decide;
mod entry;
mod grant;
pub mod journal;
mod key;
pub mod limits;
mod message;
mod mutant;
mod node;
mod packed;
mod reign;
mod roster;
mod slot;
mod survey;
mod table;
mod varint;
mod view;
pub mod wire;

pub use entry::{Entry, Moved};
pub use message::{
    Action, Answer, Call, Entries, Event, Fault, Kept, Letter, Message, Moment, Note, OfSlot,
    Operation, Reply,
};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use node::{Broken, Config, Node};
pub use packed::{Malformed, pack, unpack};
pub use reign::Term;
pub use roster::{Contact, Roster, Statement, Stranger};
pub use survey::{Found, SlotSet, Sought, Survey};
pub use table::{Expired, Full, Merged, Packed, Table};
pub use view::{Birth, Known, NodeId, Status, View};

#[cfg(test)]
mod samples;
