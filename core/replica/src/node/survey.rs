//! Surveys: asking the leaders of many slots, and telling of those that this node leads.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use abide_session::{IdHash, MAX_LISTED, Record};

use super::Node;
use super::seat::Seat;
use crate::entry::Entry;
use crate::limits::{CALL_TIMEOUT, MAX_OPEN_SURVEYS, MAX_PAGE, RESEND_AFTER};
use crate::message::{Action, Kept, Message};
use crate::survey::{Found, SlotSet, Sought, Survey};
use crate::view::NodeId;

/// A survey of a local client that is not answered.
#[derive(Debug)]
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
        open.take(slots, found);
        if open.left.is_empty()
            && let Some(open) = self.around.surveys.remove(&number)
        {
            self.around.actions.push(Action::Surveyed(number, open.outcome()));
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
                let told = all.filter(|(id, _)| ours.contains(id.slot()));
                last_seen(told.map(|(id, record)| (id, Some(record))).collect())
            }
            Sought::Page(slot, after) if ours.contains(*slot) => {
                let entries = table.entries(*slot, *after);
                let live = entries.filter(|entry| {
                    entry.entry().is_some_and(|entry| entry.live(survey.now).is_some())
                });
                live.filter_map(|entry| Some((entry.id()?, None))).take(MAX_PAGE).collect()
            }
            Sought::Page(..) => Vec::new(),
        };
        (ours, Found { sessions, kept })
    }
}

impl Open {
    fn take(&mut self, slots: &SlotSet, found: Found) {
        self.left.remove_all(slots);
        self.kept = self.kept.max(found.kept);
        self.sessions.extend(found.sessions);
    }

    /// None if there is a slot of which nobody told.
    fn outcome(self) -> Option<Found> {
        if !self.left.is_empty() {
            return None;
        }
        let sessions: Vec<_> = self.sessions.into_iter().collect();
        let sessions = match self.survey.sought {
            Sought::OfSubject(_) => last_seen(sessions),
            Sought::Page(..) => sessions,
        };
        Some(Found { sessions, kept: self.kept })
    }
}

impl Seat<'_> {
    /// Whether we know of everything that was acknowledged in this slot, and nothing under way could be
    /// shown or hidden by what is looked for.
    fn can_tell(&self, sought: &Sought) -> bool {
        let Some(lead) = self.place.leading() else { return false };
        if lead.handing.is_some() || !self.holds_all_grants() {
            return false;
        }
        let Sought::OfSubject(subject) = sought else { return true };
        lead.under_way.keys().all(|id| match self.node.table.get(*id) {
            Some(Entry::Session(record)) => record.subject.value.as_ref() != Some(subject),
            _ => false,
        })
    }
}

/// The ones last seen, and first those.
fn last_seen(mut sessions: Vec<(IdHash, Option<Record>)>) -> Vec<(IdHash, Option<Record>)> {
    sessions.sort_by_key(|(id, record)| (Reverse(record.as_ref().map(|of| of.seen)), *id));
    sessions.truncate(MAX_LISTED);
    sessions
}
