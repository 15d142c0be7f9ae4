//! What each process says of itself: whether all is well with its slots.

use super::Around;
use crate::limits::JUDGEMENT_LASTS;
use crate::view::NodeId;

impl Around {
    /// Whether all slots are as they should be, as far as it is for us to say.
    pub(crate) fn is_settled(&self) -> bool {
        self.unsettled.is_empty() && self.restless.is_empty()
    }

    /// Another says whether all is well with it, after it heard this ping of ours: so it is no older than
    /// that, whatever held it up. And it knew what we knew then: of births and deaths we told it before.
    pub(crate) fn judges(&mut self, from: NodeId, heard: u64, is_settled: bool) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let counts = is_settled && heard >= peer.judges_from;
        peer.settled_at = if counts { peer.grants.sent_at(heard) } else { None };
        if counts && self.is_settled() {
            // All that it brought back is merged.
            self.missed.remove(&from);
        }
    }

    /// There is news of births and deaths: what others said before does not count.
    pub(crate) fn forget_judgements(&mut self) {
        for peer in self.peers.values_mut() {
            (peer.settled_at, peer.judges_from) = (None, peer.grants.next_number());
        }
    }

    /// Whether all others that are not proved to be gone have lately said that all is well.
    pub(crate) fn others_are_settled(&self) -> bool {
        self.peers.keys().all(|node| self.is_gone(*node) || self.is_known_to_be_settled(*node))
    }

    /// Whether another has lately said that all is well with it.
    pub(crate) fn is_known_to_be_settled(&self, node: NodeId) -> bool {
        let now = self.now.passed;
        let settled_at = self.peers.get(&node).and_then(|peer| peer.settled_at);
        settled_at.is_some_and(|at| at.saturating_add(JUDGEMENT_LASTS) > now)
    }

    /// Something may be due where somebody waits for something.
    pub(crate) fn stir_busy(&mut self) {
        self.restless.extend(self.busy.iter());
    }
}
