//! Who may hold what somebody in doubt held who has died: a process that was born meanwhile, and of which we have
//! not heard. Nobody may tell us of it, so we look: a node that was dead before is in question until a connection to
//! it is refused again.

use alloc::vec::Vec;
use core::time::Duration;

use super::Around;
use crate::limits::{PING_EVERY, START_WAIT};
use crate::view::NodeId;

impl Around {
    /// A process of this node has died.
    pub(crate) fn dies(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.died_at = Some(self.now.passed);
        }
    }

    /// Nobody listened where this node should be, at this time.
    pub(crate) fn is_not_there(&mut self, node: NodeId, at: Duration) {
        let was_in_question = self.is_in_question(node);
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.nobody_at = Some(at);
        }
        if was_in_question {
            self.all_restless();
        }
    }

    /// Doubts of who may have been born again end with the next look, or by time.
    pub(crate) fn look_at_doubts(&mut self) {
        // Once more when its time is over.
        let looked_at = self.now.passed.saturating_sub(PING_EVERY.saturating_mul(2));
        let mut gone = self.peers.keys().filter(|node| self.is_gone(**node));
        if gone.any(|node| self.may_be_born_again(*node, looked_at)) {
            self.all_restless();
        }
    }

    /// Those that are gone as far as we know, and may have been born again and been given what another one held
    /// before that one died.
    pub(crate) fn may_be_heirs(&self) -> Vec<NodeId> {
        let gone = self.peers.keys().copied().filter(|node| self.is_gone(*node));
        gone.filter(|node| self.is_in_question(*node)).collect()
    }

    /// Whether nobody has looked for this node, which is gone, since another one died. One that can not be
    /// reached is not waited for longer than two seconds.
    pub(crate) fn is_in_question(&self, node: NodeId) -> bool {
        self.may_be_born_again(node, self.now.passed)
    }

    fn may_be_born_again(&self, node: NodeId, now: Duration) -> bool {
        let others = self.peers.iter().filter(|(other, _)| **other != node);
        let last = others.filter_map(|(_, peer)| peer.died_at).max();
        let looked_at = self.peers.get(&node).and_then(|peer| peer.nobody_at);
        last.is_some_and(|at| at.saturating_add(START_WAIT) > now && looked_at < Some(at))
    }
}
