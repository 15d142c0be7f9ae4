//! Who puts the changes of a slot in order, and since when.

use core::fmt;

use abide_session::Time;

use crate::view::NodeId;

/// A reign of one slot: its number and who leads. Any two are in order, and no two leaders have the
/// same.
///
/// The number is a clock reading and above every one that the claimant has seen: so the reign that
/// began last is the one that stays, when two sides of a cut network meet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    number: u64,
    /// Who leads, or would.
    pub leader: NodeId,
}

impl Term {
    pub(crate) const fn of(number: u64, leader: NodeId) -> Self {
        Self { number, leader }
    }

    pub(crate) const fn number(self) -> u64 {
        self.number
    }

    /// Before every reign.
    pub const NONE: Self = Self { number: 0, leader: NodeId(0) };

    /// The reign that `leader` claims at `now`, after all that it has seen or promised.
    pub fn next(self, leader: NodeId, now: Time) -> Self {
        Self { number: self.number.saturating_add(1).max(now.as_millis()), leader }
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.number, self.leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_above_all_that_was_seen_and_belongs_to_one_leader() {
        let now = Time::from_millis(500);
        let first = Term::NONE.next(NodeId(1), now);
        let other = Term::NONE.next(NodeId(0), now);
        assert!(first > other && other > Term::NONE);
        assert!(first.next(NodeId(0), Time::EPOCH) > first);
    }
}
