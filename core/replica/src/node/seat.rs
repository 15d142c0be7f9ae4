//! A node at one of its places: what is common to leading, following and claiming.

use core::time::Duration;

use abide_session::Slot;

use super::around::Around;
use crate::limits::{RESEND_AFTER, TELL_WAIT};
use crate::message::{Entries, Message, Note, OfSlot};
use crate::reign::Term;
use crate::slot::{Asker, Follower, Lead, Left, Place, Role};
use crate::view::NodeId;

/// A node at one of its places.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    pub(crate) slot: Slot,
    pub(crate) place: &'a mut Place,
    pub(crate) node: &'a mut Around,
}

impl Seat<'_> {
    pub(crate) fn received(&mut self, from: NodeId, term: Term, said: OfSlot) {
        self.stir();
        match said {
            OfSlot::Reign => self.on_reign(from, term),
            OfSlot::Replicate(number, entries) => self.on_replicate(from, term, number, entries),
            OfSlot::Set { members, doubts, eras: (era, ours), number } => {
                let is_in = members.contains(&self.node.own);
                if is_in && self.node.our_era(from) != ours {
                    return;
                }
                let in_sync = crate::slot::InSync { members, doubts, era: Some(era) };
                self.on_set(from, term, is_in.then_some(in_sync), number);
            }
            OfSlot::Part { part, entries, number } => {
                self.on_part(from, term, super::follow::Part { place: part, entries, number });
            }
            OfSlot::Compare(number, digest) => self.on_compare(from, term, number, digest),
            OfSlot::Hand { members, doubts } => self.on_hand(from, term, members, doubts),
            OfSlot::Forget(digest) => self.on_forget(term, digest),
            OfSlot::Ask(digest, handed) => self.on_ask(from, term, digest, handed),
            OfSlot::Held { part, entries, is_last, digest, era, others } => {
                let said = super::claim::Held { part, entries, is_last, digest, era, others };
                self.on_held(from, term, said);
            }
            OfSlot::Refused(reign) => self.on_refused(from, term, reign),
            OfSlot::Superseded(by) => self.on_superseded(from, term, by),
            OfSlot::Kept(number) => self.on_kept(from, term, number),
            OfSlot::Missed(last) => self.on_missed(from, term, last),
            OfSlot::Out => self.on_out(from, term),
            OfSlot::Taken(part) => self.on_taken(from, term, part),
            OfSlot::Same(number, era) => self.on_same(from, term, number, era),
            OfSlot::Differs(_) => self.stop_fill(from, term),
            OfSlot::Offer(digest) => self.on_offer(from, term, digest),
        }
    }

    /// Something may be possible or due here now.
    pub(crate) fn stir(&mut self) {
        self.node.restless.insert(self.slot);
    }

    pub(crate) fn say(&mut self, to: NodeId, said: OfSlot) {
        self.node.say(to, self.slot, self.place.promised, said);
    }

    /// What we lead, if that is in this reign.
    pub(crate) fn lead_of(&mut self, term: Term) -> Option<&mut Lead> {
        if self.place.reign == Some(term) { self.place.lead() } else { None }
    }

    pub(crate) fn take(&mut self, entries: Entries) {
        for (id, entry) in entries {
            if id.slot() == self.slot {
                // There is room for what others have made: the table's own bound is none.
                let _ = self.node.table.merge(id, entry);
            }
        }
    }

    /// Who leads, if it can be talked to and nobody else may lead whom this node left for it.
    pub(crate) fn usable_leader(&self) -> Option<NodeId> {
        let leader = self.place.reign?.leader;
        let is_usable = leader != self.node.own && self.node.is_usable(leader);
        (is_usable && self.place.left.is_none()).then_some(leader)
    }

    /// Leads and claims no longer.
    pub(crate) fn step_down(&mut self, reign: Option<Term>) {
        let role = core::mem::replace(&mut self.place.role, Role::Follower(Follower::default()));
        self.place.reign = reign;
        self.place.heir = None;
        self.place.lost_at = None;
        self.stir();
        let Role::Leading(lead) = role else { return };
        // Who is let go holds no more than the others.
        let members = lead.members.iter().filter(|(_, member)| !member.is_leaving);
        let members = members.map(|(node, _)| node);
        self.place.holders = members.chain(&lead.doubts).copied().collect();
        self.place.holders.insert(self.node.own);
        self.node.note(Note::SteppedDown(self.slot));
        self.node.led_at = Some(self.node.now.passed);
        let slot = self.slot;
        self.node.filling.retain(|(filled, _)| *filled != slot);
        for waiting in lead.waiting {
            match waiting.asker {
                Asker::Local(number) => self.node.homeless.push(number),
                Asker::Remote(node, _, number) => {
                    self.node.send(node, Message::NotLeader(number, slot, reign));
                }
            }
        }
        for (asker, ..) in lead.pending.into_iter().filter_map(|pending| pending.then) {
            self.node.lost(asker);
        }
    }

    /// Takes this for the reign, and promises to take nothing of a lower one.
    pub(crate) fn adopt(&mut self, term: Term) {
        self.step_down(Some(term));
        self.place.promised = term;
        // The leader says soon whether this copy counts.
        self.place.offered_at = Some(self.node.now.passed);
        self.place.holders.insert(term.leader);
        self.node.dispatch_queued(self.slot);
    }

    /// Somebody says that it leads.
    pub(crate) fn on_reign(&mut self, from: NodeId, term: Term) {
        if term.leader != from {
            return;
        }
        if term < self.place.promised {
            // A later reign than the one that we follow: that one is over, though this one is as well.
            // Otherwise two may follow each other for ever, and refuse all others.
            if self.place.reign.is_some_and(|reign| reign < term) {
                self.step_down(None);
                self.place.lost_at = Some(self.node.now.passed);
            }
            self.node.say(from, self.slot, term, OfSlot::Superseded(self.place.promised));
        } else {
            self.hear_of(term);
        }
    }

    /// Somebody says that there is this reign.
    pub(crate) fn hear_of(&mut self, term: Term) {
        let is_news = term > self.place.promised
            || (term == self.place.promised && self.place.reign.is_none());
        if is_news && term.leader != self.node.own {
            let left = self.healthy_reign(term.leader).filter(|_| self.place.in_sync().is_some());
            let since = self.node.now.passed;
            let left = left.map(|reign| Left { reign, since, told_at: None });
            self.place.left = left.or(self.place.left);
            self.adopt(term);
            self.tell_whom_we_left();
        }
    }

    /// Tells the leader that this node counted with that its reign is over, until it knows or does not count on this
    /// node any more.
    pub(crate) fn tell_whom_we_left(&mut self) {
        let now = self.node.now.passed;
        let Some(left) = &mut self.place.left else { return };
        let (reign, is_due) = (left.reign, |at: Duration| at.saturating_add(RESEND_AFTER) <= now);
        let counts = self.node.is_granted(reign.leader) && !self.node.is_gone(reign.leader);
        if !counts || left.since.saturating_add(TELL_WAIT) <= now {
            self.have_left();
        } else if left.told_at.is_none_or(is_due) {
            left.told_at = Some(now);
            let by = self.place.promised;
            self.node.say(reign.leader, self.slot, reign, OfSlot::Superseded(by));
        }
    }

    /// Nobody leads whom this node has left.
    pub(crate) fn have_left(&mut self) {
        self.place.left = None;
        self.node.dispatch_queued(self.slot);
        self.stir();
    }

    /// The process of this node is gone. There may be another: what that one holds has to be asked, as
    /// the process may be the same under another birth, or have found it on a disk.
    pub(crate) fn on_dead(&mut self, node: NodeId, is_another_born: bool) {
        self.stir();
        let may_come_back = !self.node.is_gone_for_good(node);
        let promised = self.place.promised;
        match &mut self.place.role {
            Role::Follower(follower) => {
                if self.place.reign.is_some_and(|reign| reign.leader == node) {
                    // It could not have taken us out of the set before it died.
                    let in_sync = follower.in_sync.take();
                    let was_in = |in_sync: &crate::slot::InSync| {
                        in_sync.era.is_some_and(|era| self.node.holds_grant_truly(node, era))
                    };
                    self.place.heir = in_sync.filter(was_in);
                    self.place.reign = None;
                    self.place.lost_at = Some(self.node.now.passed);
                } else if self.place.reign.is_none() && promised.leader == node {
                    self.place.lost_at = Some(self.node.now.passed);
                }
            }
            Role::Claiming(claim) => {
                claim.answered.remove(&node);
                if is_another_born {
                    // Also if the one before was gone when all were asked: who has not answered yet, and
                    // dies before it does, may have given this one what it held.
                    claim.waits_for.insert(node, None);
                } else if may_come_back && claim.others.contains(&node) {
                    if let Some(asked) = claim.waits_for.get_mut(&node) {
                        *asked = None;
                    }
                } else {
                    let was_asked = claim.waits_for.remove(&node).is_some();
                    if (claim.doubts.remove(&node) || was_asked) && !claim.was_in_sync {
                        claim.doubts.extend(self.node.may_be_heirs());
                    }
                }
            }
            Role::Leading(lead) => {
                lead.members.remove(&node);
                lead.fills.remove(&node);
                if is_another_born && !lead.doubts.is_empty() {
                    // Who is in doubt may have given it all, and die before it can be asked.
                    lead.doubts.insert(node);
                } else if !is_another_born && !may_come_back && lead.doubts.remove(&node) {
                    lead.doubts.extend(self.node.may_be_heirs());
                }
                lead.asks.remove(&node);
                lead.merged.remove(&node);
                // Nobody takes it over, so it is ours to answer.
                lead.handing.take_if(|handing| handing.to == node);
            }
        }
    }

    /// We go on without this node. If it led, to have been in sync with it means nothing any more, but for
    /// who is to claim.
    pub(crate) fn on_silent(&mut self, node: NodeId) {
        let is_led = self.place.reign.is_some_and(|reign| reign.leader == node);
        if let Role::Follower(Follower { in_sync: Some(in_sync), .. }) = &mut self.place.role
            && is_led
        {
            in_sync.era = None;
        }
        self.forget_exchange(node);
    }

    /// There is a new connection to this node, or none: what was under way with it has to begin again.
    pub(crate) fn forget_exchange(&mut self, node: NodeId) {
        match &mut self.place.role {
            Role::Follower(_) => {}
            Role::Claiming(claim) => {
                if let Some(asked) = claim.waits_for.get_mut(&node) {
                    *asked = None;
                }
            }
            Role::Leading(lead) => {
                lead.fills.remove(&node);
                lead.asks.remove(&node);
            }
        }
    }

    /// This node can be talked to again: who is in sync may not have heard the last.
    pub(crate) fn greet(&mut self, node: NodeId) {
        let is_member = |lead: &Lead| lead.members.contains_key(&node);
        if self.place.leading().is_some_and(is_member) {
            self.say_set_to(node);
        }
    }

    pub(crate) fn begin_again(&mut self) {
        self.step_down(None);
        self.place.lost_at = Some(self.node.now.passed);
    }
}
