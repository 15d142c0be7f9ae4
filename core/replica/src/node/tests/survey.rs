//! Surveys: what is found, what is not told, and how much.

use std::collections::BTreeSet;
use std::vec::Vec;

use abide_session::{MAX_LISTED, MAX_RECORD_BYTES, MAX_VALUE_BYTES, Subject};

use super::*;
use crate::limits::{CALL_TIMEOUT, MAX_LETTER_BYTES, MAX_OPEN_SURVEYS, MAX_PAGE, MAX_PART_BYTES};
use crate::survey::{Sought, Survey};

fn alice() -> Subject {
    Subject::new("alice").unwrap()
}

fn create_of(id: IdHash, subject: &Subject, now: Time) -> Operation {
    let mut operation = create(id, now);
    if let Operation::Create(_, changes) = &mut operation {
        changes.subject = Some(Some(subject.clone()));
    }
    operation
}

/// A value so long, in a field of this name.
fn value(id: IdHash, field: &'static str, length: usize) -> Operation {
    let mut changes = Changes::default();
    let value = Bytes::from(vec![7; length]);
    changes.fields.insert(FieldName::new(field).unwrap(), FieldChange::blind(Some(value)));
    Operation::Commit(id, changes)
}

impl Pair {
    fn begin_survey(&mut self, machine: usize, sought: Sought) -> u64 {
        self.last += 1;
        let survey = Survey { sought, now: self.now.wall };
        self.give(machine, Event::Survey(self.last, survey));
        self.last
    }

    #[allow(clippy::option_option, reason = "whether there is an answer, and what it is")]
    fn found(&self, number: u64) -> Option<Option<&Found>> {
        self.surveyed.iter().find(|it| it.0 == number).map(|it| it.1.as_ref())
    }

    fn survey(&mut self, machine: usize, sought: Sought) -> Found {
        let number = self.begin_survey(machine, sought);
        self.found(number).flatten().cloned().unwrap()
    }
}

fn ids_of(found: &Found) -> BTreeSet<IdHash> {
    found.sessions.iter().map(|(id, _)| *id).collect()
}

#[test]
fn a_survey_finds_the_sessions_of_slots_that_either_node_leads() {
    let mut pair = Pair::of_slots(8);
    let leaders: BTreeSet<_> =
        (0..8).map(|slot| pair.node(0).reign(Slot::new(slot).unwrap()).unwrap().leader).collect();
    assert_eq!(leaders.len(), 2, "each leads some of them");
    let mut hers = BTreeSet::new();
    for slot in 0..8 {
        let (now, bob) = (pair.now.wall, Subject::new("bob").unwrap());
        pair.call(0, create_of(id(slot, 1), &alice(), now));
        pair.call(0, create_of(id(slot, 2), &bob, now));
        pair.call(0, create(id(slot, 3), now));
        pair.call(0, create_of(id(slot, 4), &alice(), now));
        pair.call(0, Operation::End(id(slot, 4)));
        hers.insert(id(slot, 1));
    }
    for machine in 0..2 {
        let found = pair.survey(machine, Sought::OfSubject(alice()));
        assert_eq!((ids_of(&found), found.kept), (hers.clone(), Kept::Full));
        assert!(found.sessions.iter().all(|(_, record)| record.is_some()));
    }
}

#[test]
fn what_nobody_can_tell_of_in_time_is_answered_by_none() {
    let mut pair = Pair::new();
    let now = pair.now;
    // Who has just started leads nothing, and nobody else is there.
    pair.nodes = [Some(start(0, 2, now)), None];
    let numbers: Vec<u64> =
        (0..MAX_OPEN_SURVEYS).map(|_| pair.begin_survey(0, Sought::OfSubject(alice()))).collect();
    assert!(pair.surveyed.is_empty());
    let one_more = pair.begin_survey(0, Sought::OfSubject(alice()));
    assert_eq!(pair.found(one_more), Some(None));
    pair.pass(u64::try_from(CALL_TIMEOUT.as_millis()).unwrap() + 100);
    assert!(numbers.iter().all(|number| pair.found(*number) == Some(None)));
}

#[test]
fn an_end_that_is_not_acknowledged_hides_no_session() {
    let mut pair = Pair::new();
    let slot = Slot::new(0).unwrap();
    let leader = usize::from(pair.node(0).reign(slot).unwrap().leader.0);
    let now = pair.now.wall;
    pair.call(leader, create_of(id(0, 1), &alice(), now));
    pair.is_cut = true;
    let end = pair.begin(leader, Operation::End(id(0, 1)));
    let all = pair.begin_survey(leader, Sought::OfSubject(alice()));
    let page = pair.begin_survey(leader, Sought::Page(slot, None));
    assert!(pair.answer(end).is_none());
    assert_eq!((pair.found(all), pair.found(page)), (None, None));
    pair.is_cut = false;
    pair.pass(300);
    assert!(pair.answer(end).is_some());
    for number in [all, page] {
        let found = pair.found(number).flatten();
        assert!(found.is_some_and(|found| found.sessions.is_empty()), "{found:?}");
    }
}

#[test]
fn a_page_holds_no_more_than_the_limit_and_the_next_one_goes_on() {
    let mut pair = Pair::new();
    let slot = Slot::new(0).unwrap();
    for number in 0..=MAX_PAGE as u64 {
        pair.call(0, create(id(0, number), pair.now.wall));
    }
    for machine in 0..2 {
        let first = pair.survey(machine, Sought::Page(slot, None));
        assert_eq!(first.sessions.len(), MAX_PAGE);
        let last = first.sessions.last().map(|(id, _)| *id);
        let second = pair.survey(machine, Sought::Page(slot, last));
        assert_eq!(second.sessions.len(), 1);
        assert_eq!(ids_of(&first).union(&ids_of(&second)).count(), MAX_PAGE + 1);
    }
}

#[test]
fn of_many_sessions_those_last_seen_are_listed() {
    let mut pair = Pair::of_slots(4);
    for number in 0..=MAX_LISTED as u64 {
        let slot = u16::try_from(number % 4).unwrap();
        let now = pair.now.wall.after(Duration::from_millis(number));
        pair.call(0, create_of(id(slot, number), &alice(), now));
    }
    let found = pair.survey(0, Sought::OfSubject(alice()));
    assert_eq!(found.sessions.len(), MAX_LISTED);
    assert!(!ids_of(&found).contains(&id(0, 0)));
}

#[test]
fn large_sessions_travel_in_letters_within_the_limits_and_none_is_left_out() {
    let mut pair = Pair::of_slots(4);
    let now = pair.now.wall;
    let mut hers = BTreeSet::new();
    pair.longest = Some((0, 0));
    // Five that fill a part nearly, and one as large as one may be.
    for number in 0..6_u64 {
        let id = id(u16::try_from(number % 4).unwrap(), number);
        pair.call(0, create_of(id, &alice(), now));
        let fields = if number == 5 { &["a", "b", "c"][..] } else { &["a"] };
        for field in fields {
            let answer = pair.call(0, value(id, field, MAX_VALUE_BYTES - 512));
            assert!(matches!(answer.reply, Reply::Commit(Commit::Committed(_))), "{answer:?}");
        }
        hers.insert(id);
    }
    let last = id(1, 5);
    let rest = MAX_RECORD_BYTES - 3 * MAX_VALUE_BYTES - 1024;
    let answer = pair.call(0, value(last, "d", rest));
    assert!(matches!(answer.reply, Reply::Commit(Commit::Committed(_))), "{answer:?}");
    pair.pass(200);
    for machine in 0..2 {
        let number = pair.begin_survey(machine, Sought::OfSubject(alice()));
        pair.pass(200);
        assert_eq!(ids_of(pair.found(number).flatten().unwrap()), hers);
    }
    let (longest, _) = pair.longest.unwrap();
    assert!(longest > MAX_RECORD_BYTES / 2 && longest <= MAX_LETTER_BYTES / 4);
    // The same on their way to who comes back empty: one to a part, as two do not fit.
    pair.kill(0);
    pair.pass(100);
    pair.nodes[0] = Some(start(0, pair.slots, pair.now));
    pair.longest = Some((0, 0));
    pair.connect();
    pair.pass(2000);
    assert_eq!(pair.node(0).table().len(), hers.len());
    let (longest, entries) = pair.longest.unwrap();
    assert!(entries > MAX_PART_BYTES && longest <= MAX_LETTER_BYTES / 4);
    assert!(entries <= MAX_RECORD_BYTES + 1024);
}
