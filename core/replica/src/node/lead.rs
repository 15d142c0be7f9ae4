//! Leading: calls in order, changes to all in sync, answers when they hold them.

use alloc::vec::Vec;
use core::time::Duration;

use abide_session::IdHash;

use super::calls::unavailable;
use super::seat::Seat;
use crate::decide::{Decision, Leader};
use crate::limits::{CALL_TIMEOUT, MAX_PENDING, MAX_WAITING, RESEND_AFTER, TELL_WAIT};
use crate::message::{Answer, Call, Entries, Kept, Message, Note, OfSlot, Operation};
use crate::mutant::Mutant;
use crate::reign::Term;
use crate::slot::{Asker, Lead, Pending, Stage, Waiting};
use crate::table::Merged;
use crate::view::{Birth, NodeId};

/// What keeps a call from being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    Write,
    Grant,
    Room,
    /// Another node is about to say what it holds.
    Doubt,
}

impl Seat<'_> {
    pub(crate) fn serve_remote(&mut self, from: NodeId, birth: Birth, number: u64, call: Call) {
        if self.place.leading().is_none() {
            let reign = self.place.reign;
            self.node.led_at = Some(self.node.now.passed);
            self.node.send(from, Message::NotLeader(number, self.slot, reign));
            return;
        }
        let until = self.node.now.passed.saturating_add(CALL_TIMEOUT);
        self.serve(Asker::Remote(from, birth, number), call, until);
    }

    /// Does what is asked for, or puts it off.
    pub(crate) fn serve(&mut self, asker: Asker, call: Call, until: Duration) {
        let Some(obstacle) = self.try_to_serve(asker, &call, until) else { return };
        match obstacle {
            Obstacle::Write => self.node.note(Note::WaitedForWrite(self.slot)),
            Obstacle::Grant => self.node.note(Note::WaitedForGrant(self.slot)),
            Obstacle::Room | Obstacle::Doubt => {}
        }
        self.node.waiting.insert(self.slot);
        self.node.busy.insert(self.slot);
        let Some(lead) = self.place.lead() else { return };
        if lead.waiting.len() >= MAX_WAITING {
            self.node.answer(asker, unavailable());
        } else {
            lead.waiting.push_back(Waiting { asker, call, until });
        }
    }

    fn try_to_serve(&mut self, asker: Asker, call: &Call, until: Duration) -> Option<Obstacle> {
        let lead = self.place.leading()?;
        if lead.handing.is_some() || lead.pending.len() >= MAX_PENDING {
            return Some(Obstacle::Room);
        }
        let has_waited =
            until <= self.node.now.passed.saturating_add(CALL_TIMEOUT.saturating_sub(TELL_WAIT));
        if !has_waited && self.hears_soon() {
            return Some(Obstacle::Doubt);
        }
        let kept = self.kept_of_reads();
        let Decision { reply, ids, entries, is_absence } = self.decide(call);
        let mut answer = Answer { reply, kept };
        if entries.is_empty() {
            let mut obstacle = self.obstacle(&ids);
            if is_absence && kept == Kept::Sole && !self.node.makes(Mutant::TakesDoubtForAbsence) {
                if self.is_being_told() {
                    obstacle = obstacle.or(Some(Obstacle::Doubt));
                } else if !self.may_say_absent(call) {
                    answer = unavailable();
                }
            }
            if obstacle.is_none() {
                self.node.answer(asker, answer);
            }
            return obstacle;
        }
        // Others may have gone on while this process was stopped. What it was asked before that has been asked again,
        // and must not be done later than what came after.
        if !self.holds_all_grants() {
            return Some(Obstacle::Grant);
        }
        if self.node.makes(Mutant::AnswersBeforeOthersHoldIt) {
            let kept = self.kept_of_writes();
            self.node.answer(asker, Answer { kept, ..answer });
            self.keep(entries, None);
        } else {
            self.keep(entries, Some((asker, call.clone(), answer)));
        }
        None
    }

    fn decide(&mut self, call: &Call) -> Decision {
        let commits_to_nothing = self.node.makes(Mutant::CommitsToNothing);
        let mut leader = Leader {
            table: &self.node.table,
            clock: &mut self.node.clock,
            wall: self.node.now.wall,
            bytes_max: self.node.config.bytes_max,
            commits_to_nothing,
        };
        leader.decide(call)
    }

    /// What keeps us from saying what these ids hold.
    fn obstacle(&self, ids: &[IdHash]) -> Option<Obstacle> {
        let lead = self.place.leading()?;
        let shows_all = self.node.makes(Mutant::ShowsWhatIsUnderWay);
        if !shows_all && ids.iter().any(|id| lead.under_way.contains_key(id)) {
            return Some(Obstacle::Write);
        }
        (!self.holds_all_grants()).then_some(Obstacle::Grant)
    }

    /// Whether that a session is not here means anything while another node may hold more and can not be
    /// asked: if it could only have been made there since, and nobody counts on its end.
    fn may_say_absent(&self, call: &Call) -> bool {
        let is_end = matches!(call.operation, Operation::End(_));
        self.place.leading().is_some_and(|lead| lead.is_complete) && !is_end
    }

    pub(crate) fn kept_of_reads(&self) -> Kept {
        let is_whole = self.place.leading().is_some_and(|lead| self.is_beyond_doubt(lead));
        if is_whole { Kept::Full } else { Kept::Sole }
    }

    /// How well what all in sync hold is kept.
    fn kept_of_writes(&self) -> Kept {
        let Some(lead) = self.place.leading() else { return Kept::Sole };
        let owners = self.node.owners(self.slot);
        let holds = |node: &NodeId| *node == self.node.own || lead.members.contains_key(node);
        let is_to_be_alone = self.node.config.copies.min(self.node.roster.len()) <= 1;
        if !self.is_beyond_doubt(lead) {
            Kept::Sole
        } else if lead.members.is_empty() && !is_to_be_alone {
            Kept::Degraded
        } else if owners.iter().all(holds) {
            Kept::Full
        } else {
            Kept::Spilled
        }
    }

    /// Makes these changes and sends them to the others.
    pub(crate) fn keep(&mut self, entries: Entries, then: Option<(Asker, Call, Answer)>) {
        let ids: Vec<IdHash> = entries.iter().map(|(id, _)| *id).collect();
        self.take(entries.clone());
        let whole: Entries =
            ids.iter().filter_map(|id| Some((*id, self.node.table.get(*id)?))).collect();
        let now = self.node.now.passed;
        let Some(lead) = self.place.lead() else { return };
        lead.number = lead.number.saturating_add(1);
        let number = lead.number;
        for id in &ids {
            lead.under_way.insert(*id, number);
        }
        if lead.pending.is_empty() {
            lead.resent_at = now;
        }
        let members: Vec<NodeId> = lead.members.keys().copied().collect();
        // Who is being filled may not hold what the change is one of.
        let fills = lead.fills.iter().filter(|(_, fill)| fill.stage != Stage::Asking);
        let filled: Vec<NodeId> =
            fills.map(|(node, _)| *node).filter(|node| !members.contains(node)).collect();
        for member in members {
            self.say(member, OfSlot::Replicate(number, entries.clone()));
        }
        for node in filled {
            self.say(node, OfSlot::Replicate(number, whole.clone()));
        }
        if let Some(lead) = self.place.lead() {
            lead.pending.push_back(Pending { number, ids, entries, then, is_kept: false });
        }
        self.stir();
        self.acknowledge();
    }

    /// Takes over what another node held.
    pub(crate) fn take_over(&mut self, entries: Entries) {
        let mut changed = Entries::new();
        for (id, entry) in entries {
            if id.slot() != self.slot {
                continue;
            }
            let merged = self.node.table.merge(id, entry);
            if matches!(merged, Ok(Merged::New | Merged::Changed))
                && let Some(entry) = self.node.table.get(id)
            {
                changed.push((id, entry));
            }
        }
        if !changed.is_empty() {
            self.keep(changed, None);
        }
    }

    /// Answers what all in sync hold.
    pub(crate) fn acknowledge(&mut self) {
        loop {
            let kept = self.kept_of_writes();
            let Some(lead) = self.place.lead() else { return };
            let (by_all, taken) = (lead.kept_by_all(), lead.taken_by_all());
            let is_done = |pending: &&mut Pending| pending.number <= by_all && !pending.is_kept;
            let Some(pending) = lead.pending.iter_mut().find(is_done) else {
                while lead.pending.pop_front_if(|pending| pending.number <= taken).is_some() {}
                return;
            };
            pending.is_kept = true;
            for id in &pending.ids {
                if lead.under_way.get(id) == Some(&pending.number) {
                    lead.under_way.remove(id);
                }
            }
            if let Some((asker, _, answer)) = pending.then.take() {
                self.node.answer(asker, Answer { kept, ..answer });
            }
            self.stir();
        }
    }

    /// Answers what has waited and can be answered now.
    pub(crate) fn serve_waiting(&mut self) {
        let now = self.node.now.passed;
        let Some(lead) = self.place.lead() else { return };
        let waiting = core::mem::take(&mut lead.waiting);
        for Waiting { asker, call, until } in waiting {
            if until <= now {
                self.node.answer(asker, unavailable());
            } else if self.try_to_serve(asker, &call, until).is_some()
                && let Some(lead) = self.place.lead()
            {
                self.node.waiting.insert(self.slot);
                lead.waiting.push_back(Waiting { asker, call, until });
            }
        }
    }

    pub(crate) fn on_kept(&mut self, from: NodeId, term: Term, number: u64) {
        let Some(lead) = self.lead_of(term) else { return };
        if let Some(member) = lead.members.get_mut(&from) {
            member.kept = member.kept.max(number.min(lead.number));
            self.acknowledge();
        }
    }

    pub(crate) fn on_missed(&mut self, from: NodeId, term: Term, last: Option<u64>) {
        let Some(lead) = self.lead_of(term) else { return };
        if lead.members.contains_key(&from) {
            if last.is_none() {
                self.say_set_to(from);
            }
            self.resend_to(from);
        } else if lead.fills.contains_key(&from) {
            self.stop_fill(from, term);
        }
    }

    pub(crate) fn resend(&mut self) {
        let now = self.node.now.passed;
        let Some(lead) = self.place.lead() else { return };
        if lead.pending.is_empty() || lead.resent_at.saturating_add(RESEND_AFTER) > now {
            return;
        }
        lead.resent_at = now;
        let behind = |lead: &Lead| -> Vec<NodeId> {
            let members = lead.members.iter().filter(|(_, member)| member.kept < lead.number);
            members.map(|(node, _)| *node).collect()
        };
        for node in behind(lead) {
            self.resend_to(node);
        }
    }

    fn resend_to(&mut self, node: NodeId) {
        let Some(lead) = self.place.leading() else { return };
        let kept = lead.members.get(&node).map_or(0, |member| member.kept);
        let missing: Vec<(u64, Entries)> = lead
            .pending
            .iter()
            .filter(|pending| pending.number > kept)
            .map(|pending| (pending.number, pending.entries.clone()))
            .collect();
        for (number, entries) in missing {
            self.say(node, OfSlot::Replicate(number, entries));
        }
    }
}
