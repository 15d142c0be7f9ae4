//! Who is there, as far as a node knows, and who is to hold a slot.

use alloc::vec::Vec;

use abide_session::Slot;

use super::Around;
use crate::limits::{LAST_WAIT, START_WAIT};
use crate::view::{Known, NodeId, Status};

impl Around {
    /// Whether the process of this node is proved to be gone. Who is not known has been gone for long.
    pub(crate) fn is_gone(&self, node: NodeId) -> bool {
        let is_absent = self.peers.get(&node).is_some_and(|peer| peer.is_absent);
        let is_dead = self.view.get(node).is_some_and(|known| known.is_dead());
        is_absent || is_dead || self.roster.get(node).is_none()
    }

    /// Whether it is gone, and nothing that this node lacks can come back with it: see
    /// [`crate::journal`].
    pub(crate) fn is_gone_for_good(&self, node: NodeId) -> bool {
        self.is_gone(node) && !self.missed.contains_key(&node)
    }

    pub(crate) fn is_silent(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.grants.is_dropped)
    }

    /// Whether there is a process that we go on with.
    pub(crate) fn is_well(&self, node: NodeId) -> bool {
        let is_known = self.view.get(node).is_some();
        node == self.own || (is_known && !self.is_gone(node) && !self.is_silent(node))
    }

    /// Whether it can be talked to as well.
    pub(crate) fn is_usable(&self, node: NodeId) -> bool {
        let is_greeted = self.peers.get(&node).is_some_and(|peer| peer.is_greeted);
        is_greeted && self.is_well(node)
    }

    /// Whether it wants to stop, and has not yet.
    pub(crate) fn is_leaving(&self, node: NodeId) -> bool {
        self.view.get(node).is_some_and(|known| known.is_leaving())
    }

    /// This process wants to stop. True if that is news.
    pub(crate) fn leave(&mut self) -> bool {
        let known = Known { birth: self.birth, status: Status::Leaving };
        self.leaving_since = self.leaving_since.or(Some(self.now.passed));
        self.view.learn(self.own, known).is_some()
    }

    /// Whether there is nobody to wait for who could take what we hold: all others are proved to be gone,
    /// and either there is nothing to take, or they wanted to go and none has come back for a while. Who
    /// crashed may be back soon, and who is restarted as well.
    pub(crate) fn is_the_last(&self) -> bool {
        let since = self.leaving_since.unwrap_or(self.now.passed);
        let has_waited = since.saturating_add(LAST_WAIT) <= self.now.passed;
        let is_done = has_waited || self.table.is_empty();
        let may_come = |peer: &super::Peer| {
            let went = peer.is_absent || peer.has_left;
            !self.table.is_empty() && !went
        };
        let is_over =
            |(node, peer): (&NodeId, &super::Peer)| self.is_gone(*node) && !may_come(peer);
        self.peers.is_empty() || (is_done && self.peers.iter().all(is_over))
    }

    /// Whether there was a sign, of life or death, of every node since the start, or time enough for one.
    pub(crate) fn has_looked_around(&self) -> bool {
        self.now.passed >= self.started.saturating_add(START_WAIT)
            || self.peers.iter().all(|(node, peer)| peer.was_met || self.is_gone(*node))
    }

    /// All nodes, the first owner of the slot first.
    pub(crate) fn ranks(&self, slot: Slot) -> &[NodeId] {
        self.ranks.get(usize::from(slot.number())).map_or(&[], Vec::as_slice)
    }

    /// The nodes that are to hold the slot: those that leave only if there is nobody else.
    pub(crate) fn owners(&self, slot: Slot) -> Vec<NodeId> {
        let copies = self.config.copies.max(1);
        let may = |node: &NodeId| self.is_well(*node) && self.is_admitted(*node);
        let well = || self.ranks(slot).iter().copied().filter(may);
        let mut owners: Vec<NodeId> =
            well().filter(|node| !self.is_leaving(*node)).take(copies).collect();
        if owners.is_empty() {
            owners.extend(well().take(copies));
        }
        owners
    }

    /// How many of those that satisfy this are to claim the slot before us: in the order of owners, and
    /// who leaves, or not all know, after all others.
    pub(crate) fn before_us(&self, slot: Slot, may: impl Fn(NodeId) -> bool) -> u32 {
        let place = |node: NodeId| {
            let rank = self.ranks(slot).iter().position(|ranked| *ranked == node);
            (self.is_leaving(node) || !self.is_admitted(node), rank)
        };
        let ours = place(self.own);
        let others = self.ranks(slot).iter().copied().filter(|node| *node != self.own);
        let before = others.filter(|node| self.is_well(*node) && may(*node) && place(*node) < ours);
        u32::try_from(before.count()).unwrap_or(u32::MAX)
    }
}
