//! Which processes there are, as far as a node knows.
//!
//! A node of the roster is known by its place in it, a process by the node's place and its *birth*.
//! Views merge: of a node the later birth wins, and of one birth death is final. So a view only
//! grows, and whoever meets another view takes over what it did not know.
//!
//! Silence is not in a view. Whom one node can not hear another may hear well, and what A goes on
//! without B is between A and B: see [`crate::grant`].

use alloc::collections::BTreeMap;
use core::fmt;

/// A node of the roster, by its place in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// When a process started, by its wall clock in milliseconds: a later one of the same name proves
/// that the earlier one is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Birth(pub u64);

/// The latest process of each node, and whether it is known to be dead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View(BTreeMap<NodeId, Known>);

/// The latest process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Which one.
    pub birth: Birth,
    /// Whether it is proved to be gone.
    pub is_dead: bool,
}

/// What a view learned about a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It has a process that was not known; an earlier one is gone.
    Born(NodeId),
    /// Its latest process is gone.
    Died(NodeId),
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
            .is_some_and(|known| known.birth > birth || (known.birth == birth && known.is_dead))
    }

    /// Takes over what is known of a node.
    pub(crate) fn learn(&mut self, node: NodeId, known: Known) -> Option<News> {
        let before = self.0.get(&node).copied();
        if before.is_some_and(|before| before >= known) {
            return None;
        }
        self.0.insert(node, known);
        match before {
            Some(before) if before.birth == known.birth => Some(News::Died(node)),
            None if known.is_dead => Some(News::Died(node)),
            _ if known.is_dead => Some(News::Died(node)),
            _ => Some(News::Born(node)),
        }
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

    fn known(birth: u64, is_dead: bool) -> Known {
        Known { birth: Birth(birth), is_dead }
    }

    #[test]
    fn of_one_node_the_later_birth_wins_and_death_is_final() {
        let mut view = View::default();
        assert_eq!(view.learn(NODE, known(5, false)), Some(News::Born(NODE)));
        assert_eq!(view.learn(NODE, known(4, true)), None);
        assert_eq!(view.learn(NODE, known(5, true)), Some(News::Died(NODE)));
        assert_eq!(view.learn(NODE, known(5, false)), None);
        assert!(view.is_past(NODE, Birth(5)) && view.is_past(NODE, Birth(4)));
        assert_eq!(view.learn(NODE, known(6, false)), Some(News::Born(NODE)));
        assert!(!view.is_past(NODE, Birth(6)));
    }
}
