//! Leaving: a node that wants to stop, and whether it may.
//!
//! Who leaves says so ([`crate::Status::Leaving`]), and is no owner from then on, as long as there is
//! anybody else. The rest is what is done for any slot that is not where it should be: leaders fill
//! the owners and let go of who is none, and a leader that is none hands its slot over. It goes on to
//! take calls and to pass them on, and to hold what it holds until nobody needs it.

use super::Node;
use super::seat::Seat;
use crate::limits::LISTEN;
use crate::slot::Role;

impl Node {
    /// Whether this node, which was told to leave, is needed by nobody any more: it leads nothing, who
    /// passed a call to it lately knows that, and others hold what it holds as well as they are going
    /// to. If it is alone in the roster, or holds nothing and all others are gone, that is at once; if
    /// they have left before, after some seconds, in which one may come back.
    pub fn has_left(&mut self) -> bool {
        let led_at = self.around.led_at;
        let is_done = led_at.is_none_or(|at| at.saturating_add(LISTEN) <= self.around.now.passed);
        if !self.around.is_leaving(self.around.own) {
            return false;
        }
        if self.around.is_the_last() {
            return true;
        }
        let mut has_left = is_done && self.around.restless.is_empty();
        self.seats(|seat| has_left = has_left && seat.has_left());
        has_left
    }

    /// Whether this node is to be sent traffic: it is not leaving, all others know it, it knows who leads each
    /// slot and can talk to that one, and leads the slots that it is to hold or is in sync with their leaders.
    pub fn is_ready(&mut self) -> bool {
        let own = self.around.own;
        let mut is_ready = !self.around.is_leaving(own) && self.around.is_admitted(own);
        self.seats(|seat| is_ready = is_ready && seat.is_ready());
        is_ready
    }

    pub(crate) fn leave(&mut self) {
        if self.around.leave() {
            self.around.spread_view();
            self.around.all_restless();
        }
    }
}

impl Seat<'_> {
    /// Whether others lead the slot and hold all that we hold, as many of them as are to.
    fn has_left(&self) -> bool {
        let Role::Follower(follower) = &self.place.role else { return false };
        let Some(leader) = self.usable_leader() else { return false };
        if self.node.table.len_of(self.slot) == 0 {
            return true;
        }
        let owners = self.node.owners(self.slot);
        follower.in_sync.as_ref().is_some_and(|in_sync| {
            let is_held = owners.iter().all(|owner| in_sync.members.contains(owner));
            let is_counted =
                in_sync.era.is_some_and(|era| self.node.holds_grant_truly(leader, era));
            is_held && is_counted && !owners.contains(&self.node.own)
        })
    }

    fn is_ready(&self) -> bool {
        if self.place.leading().is_some() {
            return true;
        }
        let is_owner = || self.node.owners(self.slot).contains(&self.node.own);
        self.usable_leader().is_some() && (self.place.in_sync().is_some() || !is_owner())
    }
}
