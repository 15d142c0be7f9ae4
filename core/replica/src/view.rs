//! Which processes there are, as far as a node knows.
//!
//! A node is known by a number that follows from its name, a process by that number and its *birth*.
//! Views merge: of a node the later birth wins, and of one birth death is final. So a view only
//! grows, and whoever meets another view takes over what it did not know.
//!
//! Silence is not in a view. Whom one node can not hear another may hear well, and what A goes on
//! without B is between A and B: see [`crate::grant`].

use alloc::collections::BTreeMap;
use core::fmt;

/// A node, by a number that follows from its name: see [`NodeId::of`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// When a process started, by its wall clock in milliseconds: a later one of the same name proves
/// that the earlier one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Birth(pub u64);

/// The latest process of each node, and how far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View(BTreeMap<NodeId, Known>);

/// The latest process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Which one.
    pub birth: Birth,
    /// How far it has come.
    pub status: Status,
}

/// How far a process has come. It goes one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It runs, or is silent.
    Up,
    /// It wants to stop: others are to hold what it holds.
    Leaving,
    /// It is proved to be gone. What it had on a disk may come back.
    Dead,
    /// Somebody who runs the cluster says that nothing of it comes back: its disk is lost, or too old to
    /// wait for.
    Lost,
}

/// What a view learned about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It has a process that was not known; an earlier one is gone.
    Born(NodeId),
    /// Its latest process wants to stop.
    Leaves,
    /// Its latest process is gone.
    Died(NodeId),
}

impl Known {
    pub(crate) const fn up(birth: Birth) -> Self {
        Self { birth, status: Status::Up }
    }

    pub(crate) const fn dead(birth: Birth) -> Self {
        Self { birth, status: Status::Dead }
    }

    /// Whether it is proved, or said, to be gone.
    pub fn is_dead(&self) -> bool {
        self.status >= Status::Dead
    }

    /// Whether it wants to stop, and has not yet.
    pub fn is_leaving(&self) -> bool {
        self.status == Status::Leaving
    }
}

impl View {
    /// What is known of a node.
    pub fn get(&self, node: NodeId) -> Option<Known> {
        self.0.get(&node).copied()
    }

    /// All that is known.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, Known)> + '_ {
        self.0.iter().map(|(node, known)| (*node, *known))
    }

    /// Whether this process is known to be gone, or its node to have a later one.
    pub fn is_past(&self, node: NodeId, birth: Birth) -> bool {
        self.get(node)
            .is_some_and(|known| known.birth > birth || (known.birth == birth && known.is_dead()))
    }

    /// Forgets a node.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.0.remove(&node);
    }

    /// Takes over what is known of a node.
    pub(crate) fn learn(&mut self, node: NodeId, known: Known) -> Option<News> {
        let before = self.0.get(&node).copied();
        if before.is_some_and(|before| before >= known) {
            return None;
        }
        self.0.insert(node, known);
        let is_same = before.is_some_and(|before| before.birth == known.birth);
        Some(match known.status {
            Status::Dead | Status::Lost => News::Died(node),
            Status::Leaving if is_same => News::Leaves,
            _ => News::Born(node),
        })
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(1);

    fn known(birth: u64, status: Status) -> Known {
        Known { birth: Birth(birth), status }
    }

    #[test]
    fn of_one_node_the_later_birth_wins_and_death_is_final() {
        let mut view = View::default();
        assert_eq!(view.learn(NODE, known(5, Status::Up)), Some(News::Born(NODE)));
        assert_eq!(view.learn(NODE, known(4, Status::Dead)), None);
        assert_eq!(view.learn(NODE, known(5, Status::Dead)), Some(News::Died(NODE)));
        assert_eq!(view.learn(NODE, known(5, Status::Up)), None);
        assert!(view.is_past(NODE, Birth(5)) && view.is_past(NODE, Birth(4)));
        assert_eq!(view.learn(NODE, known(6, Status::Up)), Some(News::Born(NODE)));
        assert!(!view.is_past(NODE, Birth(6)));
    }

    #[test]
    fn who_leaves_is_there_until_it_is_dead_and_does_not_come_back_but_by_another_birth() {
        let mut view = View::default();
        view.learn(NODE, known(5, Status::Up));
        assert_eq!(view.learn(NODE, known(5, Status::Leaving)), Some(News::Leaves));
        assert_eq!(view.learn(NODE, known(5, Status::Up)), None);
        assert!(!view.is_past(NODE, Birth(5)));
        assert_eq!(view.learn(NODE, known(6, Status::Leaving)), Some(News::Born(NODE)));
        assert_eq!(view.learn(NODE, known(6, Status::Dead)), Some(News::Died(NODE)));
        assert_eq!(view.learn(NODE, known(6, Status::Leaving)), None);
    }
}
