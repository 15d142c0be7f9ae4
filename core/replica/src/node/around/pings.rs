//! Numbers of pings, for who explores all states of nodes.
//!
//! Pings are numbered on and on, so no state would ever come again, though a node compares their numbers
//! with each other and with nothing else. Who sees both nodes, and all letters between them, can give
//! the pings that still matter the numbers 1, 2, 3, and has a state from which everything goes on as before.

use alloc::vec::Vec;
use core::time::Duration;

use crate::node::Node;
use crate::view::NodeId;

impl Node {
    /// The pings to this node that are remembered: their numbers, and when they were sent.
    pub fn pings(&self, to: NodeId) -> Vec<(u64, Duration)> {
        let peer = self.around.peers.get(&to).into_iter();
        peer.flat_map(|peer| peer.grants.sent()).collect()
    }

    /// The number of the last ping of this node that came in. Zero: none did.
    pub fn heard(&self, from: NodeId) -> u64 {
        self.around.peers.get(&from).map_or(0, |peer| peer.grants.heard())
    }

    /// Gives pings between this node and another the numbers from 1 on. `ours` are those of this node's
    /// that matter, `theirs` those of the other's, both in order: all others are forgotten.
    ///
    /// It is for the caller to see that nothing refers to those, and to do the same at the other node and to
    /// all letters on their way.
    pub fn renumber_pings(&mut self, peer: NodeId, ours: &[u64], theirs: &[u64]) {
        let Some(peer) = self.around.peers.get_mut(&peer) else { return };
        peer.grants.renumber(ours, theirs);
        let before = ours.iter().filter(|number| **number < peer.judges_from).count();
        peer.judges_from = u64::try_from(before).unwrap_or(u64::MAX).saturating_add(1);
    }
}
