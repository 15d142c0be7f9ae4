//! Filling: bringing another node in sync.
//!
//! First it says what it holds itself, and that is merged. Then it gets the slot in parts, each when
//! it has taken the one before, while changes follow as they come, whole entries. When it has all
//! of it, both compare digests at one number; if they are equal, it is in sync.

use alloc::collections::BTreeSet;

use abide_session::{IdHash, Slot};

use super::seat::Seat;
use crate::limits::{CALL_TIMEOUT, MAX_FILLS, MAX_PART_BYTES, MAX_PART_ENTRIES, PROMISE_WAIT};
use crate::message::{Entries, Note, OfSlot};
use crate::mutant::Mutant;
use crate::reign::Term;
use crate::slot::{Asked, Fill, Member, Stage};
use crate::table::Table;
use crate::view::NodeId;

impl Seat<'_> {
    /// Begins to fill who is to hold the slot and does not.
    pub(crate) fn begin_fills(&mut self) {
        let now = self.node.now.passed;
        for node in self.node.owners(self.slot) {
            let Some(lead) = self.place.lead() else { return };
            let is_idle = !lead.members.contains_key(&node) && !lead.fills.contains_key(&node);
            let is_other = node != self.node.own && self.node.is_usable(node);
            if !is_idle || !is_other {
                continue;
            }
            if self.node.filling.len() >= MAX_FILLS {
                self.node.to_fill.insert(self.slot);
                return;
            }
            // Who has just refused or differed is asked again after a while.
            if !self.ask(node) {
                continue;
            }
            self.node.filling.insert((self.slot, node));
            let Some(lead) = self.place.lead() else { return };
            lead.fills.insert(node, Fill { stage: Stage::Asking, at: now });
            if self.node.makes(Mutant::CountsWhoIsBeingFilled) {
                let era = self.node.era_of(node).unwrap_or_default();
                lead.members.insert(node, Member { era, kept: lead.number, is_leaving: false });
                self.say_set();
            }
        }
    }

    /// Asks a node what it holds, if it was not asked lately.
    pub(crate) fn ask(&mut self, node: NodeId) -> bool {
        let now = self.node.now.passed;
        if !self.node.is_admitted(self.node.own) {
            return false;
        }
        let Some(lead) = self.place.lead() else { return false };
        let asked = lead.asks.get(&node);
        if asked.is_some_and(|asked| asked.at.saturating_add(PROMISE_WAIT) > now) {
            return false;
        }
        lead.asks.insert(node, Asked { at: now, next_part: 0 });
        let digest = self.node.table.digest(self.slot);
        self.say(node, OfSlot::Ask(digest, None));
        true
    }

    /// A node has said all that it holds, and it is merged.
    pub(crate) fn has_told(&mut self, from: NodeId, digest: u64, others: BTreeSet<NodeId>) {
        let ours = self.node.table.digest(self.slot);
        let trusts_empty = self.node.makes(Mutant::TrustsAnEmptyCopy) && digest == 0;
        let Some(lead) = self.place.lead() else { return };
        lead.asks.remove(&from);
        if lead.doubts.remove(&from) {
            lead.doubts.extend(self.node.may_be_heirs());
        }
        lead.merged.insert(from, digest);
        lead.doubts.extend(others.into_iter().filter(|node| !lead.merged.contains_key(node)));
        let is_asking = |fill: &Fill| fill.stage == Stage::Asking;
        let is_filled = lead.fills.get(&from).is_some_and(is_asking);
        self.node.note(Note::Merged(self.slot, from));
        if is_filled {
            let skips = digest == ours || trusts_empty;
            self.send_part(from, 0, None, skips);
        }
        self.stir();
    }

    fn send_part(&mut self, to: NodeId, part: u32, after: Option<IdHash>, skips: bool) {
        let now = self.node.now.passed;
        let (entries, is_last) = if skips {
            (Entries::new(), true)
        } else {
            part_after(&self.node.table, self.slot, after)
        };
        let last = entries.last().map(|(id, _)| *id);
        let Some(lead) = self.place.lead() else { return };
        let number = lead.number;
        lead.fills.insert(to, Fill { stage: Stage::Sending { part, last, is_last }, at: now });
        self.say(to, OfSlot::Part { part, entries, number });
    }

    pub(crate) fn on_taken(&mut self, from: NodeId, term: Term, taken: u32) {
        let now = self.node.now.passed;
        let digest = self.node.table.digest(self.slot);
        let trusts = self.node.makes(Mutant::TrustsAnEmptyCopy);
        let Some(lead) = self.lead_of(term) else { return };
        let number = lead.number;
        let Some(fill) = lead.fills.get_mut(&from) else { return };
        let Stage::Sending { part, last, is_last } = fill.stage else { return };
        if part != taken {
            return;
        }
        if is_last {
            *fill = Fill { stage: Stage::Comparing(number), at: now };
            self.say(from, OfSlot::Compare(number, digest));
            if trusts && part == 0 && last.is_none() {
                let era = self.node.era_of(from).unwrap_or_default();
                self.on_same(from, term, number, era);
            }
        } else {
            self.send_part(from, taken.saturating_add(1), last, false);
        }
    }

    pub(crate) fn on_same(&mut self, from: NodeId, term: Term, number: u64, era: u64) {
        if self.node.is_silent(from) {
            return;
        }
        let Some(lead) = self.lead_of(term) else { return };
        if !lead.fills.get(&from).is_some_and(|fill| fill.stage == Stage::Comparing(number)) {
            return;
        }
        lead.fills.remove(&from);
        lead.members.insert(from, Member { era, kept: number, is_leaving: false });
        self.node.note(Note::Filled(self.slot, from));
        self.say_set();
        self.stir();
        self.acknowledge();
    }

    pub(crate) fn stop_fill(&mut self, from: NodeId, term: Term) {
        if let Some(lead) = self.lead_of(term) {
            lead.fills.remove(&from);
        }
    }

    /// Gives up what takes too long; it begins again.
    pub(crate) fn give_up_fills(&mut self) {
        let now = self.node.now.passed;
        let slot = self.slot;
        let Some(lead) = self.place.lead() else { return };
        lead.fills.retain(|_, fill| fill.at.saturating_add(CALL_TIMEOUT) > now);
        let fills = &lead.fills;
        self.node.filling.retain(|(of, node)| *of != slot || fills.contains_key(node));
        // What has become free is for those that wait, at once: there are 4096 slots.
        for _ in self.node.filling.len()..MAX_FILLS {
            let Some(next) = self.node.to_fill.pop_first() else { break };
            self.node.restless.insert(next);
        }
    }
}

/// What the slot has after this id, as much as one part may hold, and whether that is all.
pub(crate) fn part_after(table: &Table, slot: Slot, after: Option<IdHash>) -> (Entries, bool) {
    let mut entries = Entries::new();
    let mut bytes = 0_usize;
    for packed in table.entries(slot, after) {
        let (Some(id), Some(entry)) = (packed.id(), packed.entry()) else { continue };
        bytes = bytes.saturating_add(packed.bytes().len());
        let is_full = entries.len() >= MAX_PART_ENTRIES || bytes > MAX_PART_BYTES;
        if is_full && !entries.is_empty() {
            return (entries, false);
        }
        entries.push((id, entry));
    }
    (entries, true)
}
