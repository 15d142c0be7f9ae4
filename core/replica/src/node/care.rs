//! What a leader looks after: who is in sync, who should be, and who should lead.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::seat::Seat;
use crate::limits::HAND_WAIT;
use crate::message::{Note, OfSlot};
use crate::reign::Term;
use crate::slot::{Handing, Lead, Role};
use crate::view::NodeId;

impl Seat<'_> {
    pub(crate) fn care(&mut self) {
        if !matches!(self.place.role, Role::Follower(_)) && self.node.is_usurper() {
            self.step_down(None);
            self.place.lost_at = Some(self.node.now.passed);
        }
        match self.place.role {
            Role::Follower(_) => self.care_as_follower(),
            Role::Claiming(_) => self.care_as_claimant(),
            Role::Leading(_) => self.care_as_leader(),
        }
        self.take_stock();
    }

    pub(crate) fn care_as_leader(&mut self) {
        self.go_on_without();
        self.acknowledge();
        self.ask_doubts();
        self.give_up_fills();
        self.begin_fills();
        self.release();
        self.hand_over();
        self.serve_waiting();
        self.resend();
    }

    /// Takes out of the set who is silent, and who has gone on without us.
    fn go_on_without(&mut self) {
        let Some(lead) = self.place.lead() else { return };
        let node = &self.node;
        let is_lost = |(member, known): &(&NodeId, &crate::slot::Member)| {
            let went_on = node.era_of(**member).is_some_and(|era| era > known.era);
            node.is_silent(**member) || went_on
        };
        let lost: Vec<NodeId> =
            lead.members.iter().filter(is_lost).map(|(member, _)| *member).collect();
        for member in &lost {
            lead.members.remove(member);
            lead.fills.remove(member);
            lead.doubts.insert(*member);
        }
        if !lost.is_empty() {
            self.say_set();
        }
    }

    /// Asks who may hold more.
    fn ask_doubts(&mut self) {
        let Some(lead) = self.place.lead() else { return };
        let doubts: Vec<NodeId> = lead.doubts.iter().copied().collect();
        for node in doubts {
            if self.node.is_gone_for_good(node) && !self.node.is_in_question(node) {
                if let Some(lead) = self.place.lead() {
                    lead.doubts.remove(&node);
                }
            } else if self.node.is_usable(node) {
                self.ask(node);
            }
        }
        if let Some(lead) = self.place.lead()
            && lead.doubts.is_empty()
        {
            lead.is_complete = true;
        }
    }

    /// Whether somebody who may hold more is about to say what.
    pub(crate) fn is_being_told(&self) -> bool {
        let doubts = self.place.leading().into_iter().flat_map(|lead| &lead.doubts);
        doubts.into_iter().any(|node| self.node.is_usable(*node))
    }

    /// The same, and it has not refused: it is worth the wait, whatever is asked for.
    pub(crate) fn hears_soon(&self) -> bool {
        let Some(lead) = self.place.leading() else { return false };
        let has_refused =
            |node: &NodeId| lead.asks.get(node).is_some_and(|asked| asked.next_part == u32::MAX);
        let mut doubts = lead.doubts.iter();
        self.node.is_admitted(self.node.own)
            && doubts.any(|node| self.node.is_usable(*node) && !has_refused(node))
    }

    /// Whether we know of nobody who may hold more, and of nobody who may not know us.
    pub(crate) fn is_beyond_doubt(&self, lead: &Lead) -> bool {
        lead.doubts.is_empty() && self.node.is_admitted(self.node.own)
    }

    /// Whether all who are to hold the slot do, and we know of no other that may hold more.
    pub(crate) fn is_whole(&self, lead: &Lead) -> bool {
        self.is_held_by_owners(lead) && self.is_beyond_doubt(lead)
    }

    fn is_held_by_owners(&self, lead: &Lead) -> bool {
        let owners = self.node.owners(self.slot);
        let holds = |node: &NodeId| {
            let is_member = |node| lead.members.get(node).is_some_and(|member| !member.is_leaving);
            *node == self.node.own || is_member(node)
        };
        owners.iter().all(holds)
    }

    /// Whether a read would be answered as the last there is.
    pub(crate) fn is_sure(&self) -> bool {
        self.place.leading().is_some_and(|lead| {
            self.holds_all_grants() && self.is_beyond_doubt(lead) && lead.handing.is_none()
        })
    }

    /// Whether nobody whom we count on has gone on without us.
    pub(crate) fn holds_all_grants(&self) -> bool {
        let members = self.place.leading().into_iter().flat_map(|lead| &lead.members);
        let mut members = members.map(|(node, member)| (*node, member.era));
        members.all(|(node, era)| self.node.holds_grant(node, era))
    }

    /// Whether nobody else need hold the slot: all owners do, and there are as many as there should be.
    fn is_kept_by_enough(&self) -> bool {
        let owners = self.node.owners(self.slot).len();
        let is_enough = owners >= self.node.config.copies.max(1);
        is_enough && self.place.leading().is_some_and(|lead| self.is_whole(lead))
    }

    /// Lets go of who is in sync and no owner. It counts until it has said that it knows: if we die before
    /// that, it may claim the slot without asking anybody, so the others have to ask it.
    fn release(&mut self) {
        let owners = self.node.owners(self.slot);
        if !self.is_kept_by_enough() {
            return;
        }
        let Some(lead) = self.place.lead() else { return };
        let mut is_news = false;
        for (node, member) in &mut lead.members {
            if !owners.contains(node) && !member.is_leaving {
                (member.is_leaving, is_news) = (true, true);
            }
        }
        let leaving: Vec<NodeId> = lead
            .members
            .iter()
            .filter(|(_, member)| is_news && member.is_leaving)
            .map(|(node, _)| *node)
            .collect();
        for node in leaving {
            self.say_set_to(node);
        }
    }

    pub(crate) fn on_out(&mut self, from: NodeId, term: Term) {
        if term.leader == from && self.place.left.is_some_and(|left| left.reign == term) {
            self.have_left();
            return;
        }
        let Some(lead) = self.lead_of(term) else { return };
        if lead.members.get(&from).is_some_and(|member| member.is_leaving) {
            lead.members.remove(&from);
            self.node.note(Note::Released(self.slot, from));
            self.say_set();
            self.acknowledge();
        }
    }

    /// Who is to lead in our place, if anybody: the first owner. Who leaves is content with any, and hands
    /// on the doubts that there are.
    pub(crate) fn successor(&self, lead: &Lead) -> Option<NodeId> {
        let own = self.node.own;
        if !self.node.is_admitted(own) {
            // It would come back, as others may count us.
            return None;
        }
        let owners = self.node.owners(self.slot);
        let is_leaving = self.node.is_leaving(own) && !owners.contains(&own);
        let to = if is_leaving {
            owners.into_iter().find(|owner| self.node.is_usable(*owner))
        } else {
            owners.first().copied().filter(|first| self.node.is_usable(*first))
        };
        let is_held = self.is_held_by_owners(lead) && (is_leaving || lead.doubts.is_empty());
        to.filter(|to| *to != own && is_held && lead.fills.is_empty())
    }

    /// Hands the slot over, when nothing is under way.
    fn hand_over(&mut self) {
        let now = self.node.now.passed;
        let successor = self.place.leading().and_then(|lead| self.successor(lead));
        let members = self.members();
        let Some(lead) = self.place.lead() else { return };
        match &mut lead.handing {
            Some(handing) if handing.since.saturating_add(HAND_WAIT) <= now => lead.handing = None,
            Some(handing) if !handing.is_said && lead.pending.is_empty() => {
                handing.is_said = true;
                let (to, doubts) = (handing.to, lead.doubts.clone());
                self.node.note(Note::HandedOver(self.slot, to));
                self.say(to, OfSlot::Hand { members, doubts });
            }
            Some(_) => {}
            None => {
                if let Some(to) = successor {
                    lead.handing = Some(Handing { to, since: now, is_said: false });
                    self.stir();
                }
            }
        }
    }

    /// Who is in sync, ourselves included; who is let go of, until it knows.
    pub(crate) fn members(&self) -> BTreeSet<NodeId> {
        let others = self.place.leading().into_iter().flat_map(|lead| lead.members.keys());
        others.copied().chain([self.node.own]).collect()
    }

    /// The same without those that are let go of: what each of these is told.
    fn staying(&self) -> BTreeSet<NodeId> {
        let lead = self.place.leading();
        let is_leaving = |node: &NodeId| {
            lead.and_then(|lead| lead.members.get(node)).is_some_and(|member| member.is_leaving)
        };
        self.members().into_iter().filter(|node| !is_leaving(node)).collect()
    }

    pub(crate) fn say_set(&mut self) {
        let Some(lead) = self.place.leading() else { return };
        let nodes: Vec<NodeId> = lead.members.keys().copied().collect();
        for node in nodes {
            self.say_set_to(node);
        }
    }

    pub(crate) fn say_set_to(&mut self, node: NodeId) {
        let Some(lead) = self.place.leading() else { return };
        let member = lead.members.get(&node);
        let is_let_go = member.is_some_and(|member| member.is_leaving);
        let members = if is_let_go { self.staying() } else { self.members() };
        let (number, theirs) = member.map_or((0, 0), |member| (member.kept, member.era));
        let (doubts, eras) = (lead.doubts.clone(), (self.node.our_era(node), theirs));
        self.say(node, OfSlot::Set { members, doubts, eras, number });
    }

    /// Who is not in sync holds something.
    pub(crate) fn on_offer(&mut self, from: NodeId, term: Term, digest: u64) {
        let is_owner = self.node.owners(self.slot).contains(&from);
        let ours = self.node.table.digest(self.slot);
        // Of who leaves no copy is to stay, even if there are fewer than there should be.
        let is_leaving = self.node.is_leaving(from);
        let is_held = self.place.leading().is_some_and(|lead| self.is_whole(lead));
        let is_whole = self.is_kept_by_enough() || (is_leaving && is_held);
        let Some(lead) = self.lead_of(term) else { return };
        if is_owner || lead.members.contains_key(&from) || lead.fills.contains_key(&from) {
            return;
        }
        if digest == ours || lead.merged.get(&from) == Some(&digest) {
            if is_whole && lead.pending.is_empty() {
                self.say(from, OfSlot::Forget(digest));
            }
        } else {
            self.ask(from);
        }
    }
}
