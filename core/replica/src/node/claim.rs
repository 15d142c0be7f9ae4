//! Claiming a slot whose leader is gone: asking the others what they hold, then leading.
//!
//! Who was in sync when the leader was proved dead, and held its grant, asks only those that were in
//! sync with it. Whoever else claims asks everybody. Who is silent stays in doubt: it may hold more, and
//! every answer says so until it has been asked.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use abide_session::MAX_RENEWALS_IN_GRACE;

use super::seat::Seat;
use crate::entry::Entry;
use crate::limits::PROMISE_WAIT;
use crate::message::{Entries, Note, OfSlot};
use crate::mutant::Mutant;
use crate::reign::Term;
use crate::slot::{Asked, Claim, InSync, Lead, Member, Role};
use crate::view::NodeId;

/// A part of what somebody holds: see [`OfSlot::Held`].
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) part: u32,
    pub(crate) entries: Entries,
    pub(crate) is_last: bool,
    pub(crate) digest: u64,
    pub(crate) era: u64,
    pub(crate) others: BTreeSet<NodeId>,
}

impl Seat<'_> {
    pub(crate) fn claim(&mut self, heir: Option<InSync>, handed: Option<Term>) {
        let own = self.node.own;
        let in_sync = heir.as_ref().or_else(|| self.place.in_sync());
        let was_in_sync = in_sync.is_some();
        let was_complete = in_sync.is_some_and(|in_sync| in_sync.doubts.is_empty());
        let asks_all = heir.is_none();
        // Who was in sync holds what we hold, so if it is gone nothing is; of all others that is not sure.
        let (members, mut others) = match heir {
            Some(heir) => (heir.members, heir.doubts),
            None => (BTreeSet::new(), self.node.peers().into_iter().collect()),
        };
        others.retain(|node| *node != own && !self.node.is_gone_for_good(*node));
        let members = members.into_iter().filter(|node| *node != own && !self.node.is_gone(*node));
        let mut asked: BTreeSet<NodeId> = members.chain(others.iter().copied()).collect();
        if self.node.makes(Mutant::ClaimsWithoutAsking) {
            asked.clear();
        }
        let term = self.place.promised.next(own, self.node.now.wall);
        self.step_down(None);
        self.place.promised = term;
        self.place.role = Role::Claiming(Claim {
            waits_for: asked.into_iter().map(|node| (node, None)).collect(),
            answered: alloc::collections::BTreeMap::new(),
            doubts: BTreeSet::new(),
            others,
            asks_all,
            was_in_sync,
            was_complete,
            handed,
        });
        self.care_as_claimant();
    }

    /// Asks who has not been asked, and leads when nobody is left to wait for.
    pub(crate) fn care_as_claimant(&mut self) {
        let now = self.node.now.passed;
        let Role::Claiming(claim) = &mut self.place.role else { return };
        let mut to_ask = Vec::new();
        let nodes: Vec<NodeId> = claim.waits_for.keys().copied().collect();
        for node in nodes {
            let may_come_back = claim.others.contains(&node) && !self.node.is_gone_for_good(node);
            if self.node.is_gone(node) && !may_come_back {
                claim.waits_for.remove(&node);
            } else if !self.node.is_well(node) {
                claim.waits_for.remove(&node);
                claim.doubts.insert(node);
            } else if self.node.is_usable(node)
                && let Some(asked) = claim.waits_for.get_mut(&node)
                && asked.is_none_or(|asked| asked.at.saturating_add(PROMISE_WAIT) <= now)
            {
                *asked = Some(Asked { at: now, next_part: 0 });
                to_ask.push(node);
            }
        }
        let (is_done, handed) = (claim.waits_for.is_empty(), claim.handed);
        let digest = self.node.table.digest(self.slot);
        for node in to_ask {
            self.say(node, OfSlot::Ask(digest, handed));
        }
        if is_done {
            self.begin_to_lead();
        }
    }

    pub(crate) fn on_held(&mut self, from: NodeId, term: Term, held: Held) {
        if term != self.place.promised {
            return;
        }
        let now = self.node.now.passed;
        let asked = match &mut self.place.role {
            Role::Claiming(claim) => claim.waits_for.get_mut(&from).and_then(Option::as_mut),
            Role::Leading(lead) => lead.asks.get_mut(&from),
            Role::Follower(_) => None,
        };
        let Some(asked) = asked.filter(|asked| asked.next_part == held.part) else { return };
        *asked = Asked { at: now, next_part: held.part.saturating_add(1) };
        let absent = self.absent_in(&held);
        let (is_last, digest, era) = (held.is_last, held.digest, held.era);
        let (own, mut others) = (self.node.own, held.others);
        others.retain(|node| *node != own && !self.node.is_gone(*node));
        let mut entries = held.entries;
        entries.extend(self.follow_moves(&entries));
        entries.extend(absent);
        match &mut self.place.role {
            Role::Claiming(claim) => {
                if is_last {
                    claim.waits_for.remove(&from);
                    claim.answered.insert(from, (digest, era));
                    others.retain(|node| !claim.answered.contains_key(node));
                    for node in others {
                        claim.waits_for.entry(node).or_insert(None);
                    }
                }
                self.take(entries);
            }
            Role::Leading(_) => {
                self.take_over(entries);
                if is_last {
                    self.has_told(from, digest, others);
                }
            }
            Role::Follower(_) => {}
        }
    }

    /// What one side wrote to a session that the other side had moved to another id by then: it belongs
    /// to the session under that one.
    fn follow_moves(&self, entries: &Entries) -> Entries {
        let mut moved = Entries::new();
        for (id, entry) in entries {
            let (way, record) = match (entry, self.node.table.get(*id)) {
                (Entry::Moved(way), Some(Entry::Session(record))) => (way.clone(), record),
                (Entry::Session(record), Some(Entry::Moved(way))) => (way, record.clone()),
                _ => continue,
            };
            let mut to = way.to;
            for _ in 0..MAX_RENEWALS_IN_GRACE {
                match self.node.table.get(to) {
                    Some(Entry::Moved(way)) => to = way.to,
                    _ => break,
                }
            }
            moved.push((to, Entry::Session(record)));
        }
        moved
    }

    /// For a mutant: what we hold and who said this does not, as ended.
    fn absent_in(&self, held: &Held) -> Entries {
        if !self.node.makes(Mutant::TakesAbsenceForAnEnd) || held.part > 0 || !held.is_last {
            return Entries::new();
        }
        if held.digest == self.node.table.digest(self.slot) {
            return Entries::new();
        }
        let ours = self.node.table.entries(self.slot, None);
        let ours = ours.filter_map(|packed| Some((packed.id()?, packed.entry()?)));
        ours.filter(|(id, _)| held.entries.iter().all(|(theirs, _)| theirs != id))
            .map(|(id, entry)| (id, Entry::Ended { hard_deadline: entry.hard_deadline() }))
            .collect()
    }

    pub(crate) fn on_refused(&mut self, from: NodeId, term: Term, reign: Term) {
        if term != self.place.promised {
            return;
        }
        match &mut self.place.role {
            Role::Claiming(_) => {
                self.step_down(Some(reign).filter(|reign| reign.leader != self.node.own));
                self.place.lost_at = Some(self.node.now.passed);
            }
            Role::Leading(lead) => {
                lead.fills.remove(&from);
                if let Some(asked) = lead.asks.get_mut(&from) {
                    asked.next_part = u32::MAX;
                }
            }
            Role::Follower(_) => {}
        }
    }

    pub(crate) fn on_superseded(&mut self, from: NodeId, term: Term, by: Term) {
        if term == self.place.promised && by > term {
            self.step_down(None);
            self.place.promised = by;
            self.place.lost_at = Some(self.node.now.passed);
        }
        if term.leader == self.node.own && term < self.place.promised {
            self.node.say(from, self.slot, term, OfSlot::Out);
        }
    }

    fn begin_to_lead(&mut self) {
        let Role::Claiming(claim) = &mut self.place.role else { return };
        let (answered, doubts) =
            (core::mem::take(&mut claim.answered), core::mem::take(&mut claim.doubts));
        let is_complete = claim.was_complete || doubts.is_empty();
        let digest = self.node.table.digest(self.slot);
        let trusts_empty = self.node.makes(Mutant::TrustsAnEmptyCopy);
        let is_in = |theirs: u64| theirs == digest || (trusts_empty && theirs == 0);
        let mut lead = Lead::new(self.node.now.passed);
        lead.merged = answered.iter().map(|(node, (theirs, _))| (*node, *theirs)).collect();
        let node = &self.node;
        let in_sync = answered.into_iter();
        let in_sync = in_sync.filter(|(of, (theirs, _))| is_in(*theirs) && node.is_admitted(*of));
        lead.members = in_sync
            .map(|(node, (_, era))| (node, Member { era, kept: 0, is_leaving: false }))
            .collect();
        (lead.doubts, lead.is_complete) = (doubts, is_complete);
        let (term, is_whole) = (self.place.promised, lead.doubts.is_empty());
        self.place.role = Role::Leading(lead);
        self.place.reign = Some(term);
        self.place.left = None;
        self.place.lost_at = None;
        self.node.note(Note::Leads { slot: self.slot, term, is_whole });
        for peer in self.node.peers() {
            self.say(peer, OfSlot::Reign);
        }
        self.say_set();
        self.node.dispatch_queued(self.slot);
        self.stir();
        self.care_as_leader();
    }
}
