//! Surveys: asking the leaders of many slots, and telling of those that this node leads.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use abide_session::{IdHash, MAX_LISTED, Record, Slot, Stamp};

use super::Node;
use super::seat::Seat;
use crate::decide::trail;
use crate::entry::Entry;
use crate::limits::{
    CALL_TIMEOUT, MAX_LETTER_BYTES, MAX_OPEN_SURVEYS, MAX_PAGE, MAX_PART_BYTES, RESEND_AFTER,
};
use crate::message::{Action, Kept, Message};
use crate::mutant::Mutant;
use crate::survey::{Found, SlotSet, Sought, Survey};
use crate::table::Table;
use crate::view::NodeId;

/// A survey of a local client that is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    survey: Survey,
    until: Duration,
    /// Slots of which nobody has told yet.
    left: SlotSet,
    /// Who is asked, since when.
    asked: BTreeMap<NodeId, Duration>,
    sessions: BTreeMap<IdHash, Option<Record>>,
    kept: Kept,
}

impl Node {
    pub(crate) fn begin_survey(&mut self, number: u64, survey: Survey) {
        if self.around.surveys.len() >= MAX_OPEN_SURVEYS {
            self.around.actions.push(Action::Surveyed(number, None));
            return;
        }
        let open = Open {
            until: self.around.now.passed.saturating_add(CALL_TIMEOUT),
            left: survey.sought.slots(self.places.len()),
            asked: BTreeMap::new(),
            sessions: BTreeMap::new(),
            kept: Kept::Full,
            survey,
        };
        self.around.surveys.insert(number, open);
        self.go_on_with_survey(number);
    }

    /// Asks again for what nobody could tell, and gives up what takes too long.
    pub(crate) fn go_on_with_surveys(&mut self) {
        let numbers: Vec<u64> = self.around.surveys.keys().copied().collect();
        for number in numbers {
            self.go_on_with_survey(number);
        }
    }

    fn go_on_with_survey(&mut self, number: u64) {
        let Some(mut open) = self.around.surveys.remove(&number) else { return };
        let now = self.around.now.passed;
        let (ours, found) = self.tell(&open.left, &open.survey);
        open.take(&ours, found);
        if open.left.is_empty() || open.until <= now {
            self.around.actions.push(Action::Surveyed(number, open.outcome()));
            return;
        }
        open.asked.retain(|_, since| since.saturating_add(RESEND_AFTER) > now);
        let mut led: BTreeMap<NodeId, SlotSet> = BTreeMap::new();
        for slot in open.left.iter() {
            if let Some(leader) = self.seat(slot).and_then(|seat| seat.usable_leader()) {
                led.entry(leader).or_default().insert(slot);
            }
        }
        for (leader, slots) in led {
            if open.asked.contains_key(&leader) {
                continue;
            }
            open.asked.insert(leader, now);
            self.around.send(leader, Message::Survey(number, slots, open.survey.clone()));
        }
        self.around.surveys.insert(number, open);
    }

    pub(crate) fn on_survey(&mut self, from: NodeId, number: u64, slots: &SlotSet, of: &Survey) {
        let (ours, found) = self.tell(slots, of);
        self.around.send(from, Message::Surveyed(number, ours, found));
    }

    pub(crate) fn on_surveyed(&mut self, from: NodeId, number: u64, slots: &SlotSet, found: Found) {
        let Some(open) = self.around.surveys.get_mut(&number) else { return };
        if open.asked.remove(&from).is_none() {
            return;
        }
        let has_told = !slots.is_empty();
        open.take(slots, found);
        // What did not fit, or was under way, is asked for at once; what nobody could tell later.
        if has_told {
            self.go_on_with_survey(number);
        }
    }

    /// What there is in those of the slots that this node leads and is sure of.
    fn tell(&mut self, slots: &SlotSet, survey: &Survey) -> (SlotSet, Found) {
        let mut ours = SlotSet::new();
        let mut kept = Kept::Full;
        for slot in slots.iter() {
            let Some(seat) = self.seat(slot) else { continue };
            if !seat.can_tell(&survey.sought) {
                continue;
            }
            kept = kept.max(seat.kept_of_reads());
            ours.insert(slot);
        }
        let table = &self.around.table;
        let sessions = match &survey.sought {
            Sought::OfSubject(subject) => {
                let all = table.of_subject(subject, survey.now);
                let all = all.filter(|(id, _)| ours.contains(id.slot()));
                let (sessions, left) = what_fits(table, all);
                ours.remove_all(&left);
                sessions
            }
            Sought::Page(slot, after) if ours.contains(*slot) => {
                let entries = table.entries(*slot, *after);
                let live = entries.filter(|entry| {
                    entry.entry().is_some_and(|entry| entry.live(survey.now).is_some())
                });
                live.filter_map(|entry| Some((entry.id()?, None))).take(MAX_PAGE).collect()
            }
            Sought::Page(..) => Vec::new(),
            Sought::Trail(id) => {
                let ids = trail(table, *id, survey.now).into_iter();
                ids.map(|id| (id, None)).collect()
            }
        };
        (ours, Found { sessions, kept })
    }
}

impl Open {
    fn take(&mut self, slots: &SlotSet, found: Found) {
        self.left.remove_all(slots);
        self.kept = self.kept.max(found.kept);
        self.sessions.extend(found.sessions);
        if self.sessions.len() > MAX_LISTED && matches!(self.survey.sought, Sought::OfSubject(_)) {
            let all = core::mem::take(&mut self.sessions).into_iter().collect();
            self.sessions = last_seen(all).into_iter().collect();
        }
    }

    /// None if there is a slot of which nobody told.
    fn outcome(self) -> Option<Found> {
        if !self.left.is_empty() {
            return None;
        }
        let sessions: Vec<_> = self.sessions.into_iter().collect();
        let sessions = match self.survey.sought {
            Sought::OfSubject(_) => last_seen(sessions),
            Sought::Page(..) | Sought::Trail(_) => sessions,
        };
        Some(Found { sessions, kept: self.kept })
    }
}

impl Seat<'_> {
    /// Whether we know of everything that was acknowledged in this slot, and nothing that is under way
    /// could hide or show a session: what is not acknowledged may yet be lost.
    fn can_tell(&self, sought: &Sought) -> bool {
        let Some(lead) = self.place.leading() else { return false };
        let is_sure = self.holds_all_grants() || self.node.makes(Mutant::ListsWithoutGrant);
        if lead.handing.is_some() || !is_sure || self.is_being_told() {
            return false;
        }
        if self.node.makes(Mutant::ListsWhatIsUnderWay) {
            return true;
        }
        let is_of_subject = |id: &IdHash| match sought {
            Sought::OfSubject(subject) => {
                self.node.table.get(*id).is_some_and(|entry| entry.subject() == Some(subject))
            }
            Sought::Page(..) | Sought::Trail(_) => false,
        };
        let moves = |entry: &Entry| match entry {
            Entry::Session(record) => {
                let is_bound = record.subject.stamp != Stamp::ZERO || record.cleared != Stamp::ZERO;
                is_bound && matches!(sought, Sought::OfSubject(_))
            }
            Entry::Moved(_) | Entry::Ended { .. } => true,
        };
        let under_way = lead.pending.iter().filter(|pending| !pending.is_kept);
        let mut entries = under_way.flat_map(|pending| &pending.entries);
        !entries.any(|(id, entry)| moves(entry) || is_of_subject(id))
    }
}

/// As many of these sessions, which are in order of their slots, as one letter is to hold, and the slots
/// of the others. Of a slot with too many for one letter those last seen.
fn what_fits(
    table: &Table,
    all: impl Iterator<Item = (IdHash, Record)>,
) -> (Vec<(IdHash, Option<Record>)>, SlotSet) {
    let mut by_slot: BTreeMap<Slot, Vec<(IdHash, Option<Record>)>> = BTreeMap::new();
    for (id, record) in all {
        by_slot.entry(id.slot()).or_default().push((id, Some(record)));
    }
    let (mut told, mut left) = (Vec::new(), SlotSet::new());
    let mut bytes = 0_usize;
    for (slot, sessions) in by_slot {
        let mut of_slot = 0_usize;
        let mut sessions = last_seen(sessions);
        let mut fits = |(id, _): &(IdHash, Option<Record>)| {
            let is_first = of_slot == 0;
            let length = table.packed(*id).map_or(0, |packed| packed.bytes().len());
            of_slot = of_slot.saturating_add(length);
            is_first || of_slot <= MAX_LETTER_BYTES / 4
        };
        let count = sessions.iter().take_while(|session| fits(session)).count();
        sessions.truncate(count);
        bytes = bytes.saturating_add(of_slot);
        if bytes > MAX_PART_BYTES && !told.is_empty() {
            left.insert(slot);
        } else {
            told.extend(sessions);
        }
    }
    (told, left)
}

/// The ones last seen, and first those.
fn last_seen(mut sessions: Vec<(IdHash, Option<Record>)>) -> Vec<(IdHash, Option<Record>)> {
    sessions.sort_by_key(|(id, record)| (Reverse(record.as_ref().map(|of| of.seen)), *id));
    sessions.truncate(MAX_LISTED);
    sessions
}
