//! Taking stock of a slot, each time that it was looked after: whether it is as it should be, and whether
//! anything in it can become due by time alone.
//!
//! Every change of a slot, of the view or of a grant stirs the slots that it concerns. So a round has to
//! look only at those in which somebody waits for something: with all well, at none. And whether all slots
//! are well is known without looking at them: each ping says it to the others.

use super::Node;
use super::seat::Seat;
use crate::mutant::Mutant;
use crate::slot::{Lead, Pending, Role};

/// On how many nodes a session is to be for one of them to be killed.
const COPIES_TO_LOSE_ONE: usize = 2;

impl Node {
    /// Whether this process may be killed now, and nothing that was acknowledged is lost: all that it
    /// leads is held by all who are to hold it, and by more than one; it holds nothing that its leader
    /// may need; and all other processes that are not proved to be gone have said the same of
    /// themselves within the last 300 ms, knowing of all births and deaths that this one knows of. Or
    /// it has left, and others have what it had.
    ///
    /// That another process has died is known as soon as its connection breaks, and not before: who kills
    /// several has to wait until the first is known to be dead, or to have come back.
    pub fn is_safe_to_stop(&mut self) -> bool {
        if self.around.makes(Mutant::JudgesOnlyWhatItLeads) {
            let mut is_safe = true;
            self.seats(|seat| {
                let is_led = seat.place.leading().is_some();
                is_safe = is_safe && (!is_led || seat.is_settled());
            });
            return is_safe;
        }
        let has_left = self.has_left() && !self.around.is_the_last();
        has_left || (self.around.is_settled() && self.around.others_are_settled())
    }
}

impl Seat<'_> {
    /// Takes note of how the slot is.
    pub(crate) fn take_stock(&mut self) {
        let (is_settled, is_calm) = (self.is_settled(), self.is_calm());
        self.node.unsettled.set(self.slot, !is_settled);
        self.node.busy.set(self.slot, !is_calm);
    }

    /// Whether nothing is lost here if we die now.
    fn is_settled(&self) -> bool {
        let Some(lead) = self.place.leading() else { return self.follows_well() };
        let stays = |node| !self.node.is_leaving(node);
        let members = lead.members.iter().filter(|(_, member)| !member.is_leaving);
        let others = members.filter(|(node, _)| stays(**node)).count();
        let copies = others.saturating_add(usize::from(stays(self.node.own)));
        // What is kept for who is about to be in sync.
        let is_behind = lead.pending.iter().any(|pending: &Pending| pending.is_kept);
        let is_filled = lead.fills.is_empty() && !is_behind;
        copies >= COPIES_TO_LOSE_ONE && is_filled && self.is_whole(lead)
    }

    /// Whether nothing here becomes possible or due but by an event that stirs the slot.
    fn is_calm(&self) -> bool {
        let is_calm = match &self.place.role {
            Role::Leading(lead) => self.leads_calmly(lead),
            Role::Follower(_) | Role::Claiming(_) => self.follows_well(),
        };
        is_calm && !self.node.queued.contains_key(&self.slot)
    }

    /// Whether we can talk to the leader, and hold nothing that does not count.
    fn follows_well(&self) -> bool {
        let Role::Follower(follower) = &self.place.role else { return false };
        let counts = follower.in_sync.is_some() || self.node.table.len_of(self.slot) == 0;
        counts && self.usable_leader().is_some()
    }

    fn leads_calmly(&self, lead: &Lead) -> bool {
        let is_idle = lead.pending.is_empty() && lead.waiting.is_empty();
        let is_alone = lead.fills.is_empty() && lead.doubts.is_empty() && lead.handing.is_none();
        if !is_idle || !is_alone {
            return false;
        }
        let owners = self.node.owners(self.slot);
        let members_are_owners = lead.members.keys().all(|node| owners.contains(node));
        members_are_owners && self.is_whole(lead) && self.successor(lead).is_none()
    }
}
