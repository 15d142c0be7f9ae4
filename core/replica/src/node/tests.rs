#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "small numbers of a test"
)]

use alloc::collections::VecDeque;
use alloc::vec;
use core::time::Duration;

use abide_session::{
    Changes, Commit, Create, FieldChange, FieldName, Id, IdHash, Loaded, Time, Write,
};
use bytes::Bytes;

use super::*;
use crate::limits::{
    MAX_EXPIRED_PER_LOOK, MAX_FILLS, MAX_NODES, MAX_OPEN_CALLS, MAX_PART_ENTRIES, MAX_PENDING,
    MAX_WAITING,
};
use crate::message::{Answer, Call, Fault, Kept, OfSlot, Operation, Reply};
use crate::survey::Found;

mod join;
mod leave;
mod newborn;
mod restored;
mod safe;
mod survey;

/// Two nodes, a wire that loses nothing, and a clock.
struct Pair {
    nodes: [Option<Node>; 2],
    now: Moment,
    answers: Vec<(usize, u64, Answer)>,
    is_cut: bool,
    last: u64,
    slots: u16,
    /// The most slots that a node was filling at once.
    most_filled: usize,
    surveyed: Vec<(u64, Option<Found>)>,
    /// The longest letter, and the most bytes of entries in one, if they are measured.
    longest: Option<(usize, usize)>,
}

fn start(own: u16, slots: u16, now: Moment) -> Node {
    let config = Config {
        slots,
        ..Config::new(Contact::in_order(["a", "b"]), NodeId(own), Birth(now.wall.as_millis()))
    };
    Node::new(config, now)
}

impl Pair {
    fn new() -> Self {
        Self::of_slots(2)
    }

    fn of_slots(slots: u16) -> Self {
        let now = Moment { passed: Duration::ZERO, wall: Time::from_secs(1_800_000_000) };
        let nodes = [0, 1].map(|own| Some(start(own, slots, now)));
        let answers = Vec::new();
        let mut pair = Self {
            nodes,
            now,
            answers,
            is_cut: false,
            last: 0,
            slots,
            most_filled: 0,
            surveyed: Vec::new(),
            longest: None,
        };
        pair.connect();
        pair.pass(1000);
        pair
    }

    fn connect(&mut self) {
        self.give_all([(0, Event::Connected(NodeId(1))), (1, Event::Connected(NodeId(0)))]);
    }

    /// An event, and all that follows from it at once.
    fn give(&mut self, machine: usize, event: Event) {
        self.give_all([(machine, event)]);
    }

    fn give_all<const N: usize>(&mut self, events: [(usize, Event); N]) {
        let mut events = VecDeque::from(events);
        while let Some((machine, event)) = events.pop_front() {
            let Some(node) = self.nodes[machine].as_mut() else { continue };
            let actions = node.step(self.now, event);
            assert_eq!(node.check_invariants(), Ok(()));
            self.most_filled = self.most_filled.max(node.around.filling.len());
            for action in actions {
                match action {
                    Action::Send(to, letter) if !self.is_cut => {
                        let from = NodeId(u16::try_from(machine).unwrap());
                        self.measure(&letter);
                        events.push_back((usize::from(to.0), Event::Received(from, letter)));
                    }
                    Action::Answer(number, answer) => self.answers.push((machine, number, answer)),
                    Action::Surveyed(number, found) => self.surveyed.push((number, found)),
                    _ => {}
                }
            }
        }
    }

    fn measure(&mut self, letter: &Letter) {
        let Some((longest, entries)) = &mut self.longest else { return };
        let mut bytes = Vec::new();
        crate::wire::write(letter, &mut bytes);
        *longest = (*longest).max(bytes.len());
        if let Message::OfSlot(
            _,
            _,
            OfSlot::Part { entries: some, .. } | OfSlot::Held { entries: some, .. },
        ) = &letter.message
        {
            let some: usize =
                some.iter().map(|(id, entry)| crate::packed::pack(*id, entry).len()).sum();
            *entries = (*entries).max(some);
        }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(10) {
            self.now.passed += Duration::from_millis(10);
            self.now.wall = self.now.wall.after(Duration::from_millis(10));
            for machine in 0..2 {
                self.give(machine, Event::Woken);
            }
        }
    }

    fn begin(&mut self, machine: usize, operation: Operation) -> u64 {
        self.last += 1;
        let call = Call { operation, now: self.now.wall };
        self.give(machine, Event::Call(self.last, call));
        self.last
    }

    fn answer(&self, number: u64) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.1 == number).map(|answer| &answer.2)
    }

    fn call(&mut self, machine: usize, operation: Operation) -> Answer {
        let number = self.begin(machine, operation);
        self.answer(number).cloned().unwrap()
    }

    fn node(&self, machine: usize) -> &Node {
        self.nodes[machine].as_ref().unwrap()
    }

    fn kill(&mut self, machine: usize) {
        self.nodes[machine] = None;
        let peer = NodeId(u16::try_from(machine).unwrap());
        self.give(1 - machine, Event::Broken(peer));
        self.give(1 - machine, Event::Refused(peer));
    }
}

fn id(slot: u16, number: u64) -> IdHash {
    let mut random = [0; 22];
    random[..2].copy_from_slice(&slot.to_be_bytes());
    random[2..10].copy_from_slice(&number.to_be_bytes());
    Id::from_random(random).hash()
}

fn create(id: IdHash, now: Time) -> Operation {
    let mut changes = Changes::default();
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::from_hours(1));
    changes.hard_deadline = Some(now.after(Duration::from_hours(10)));
    Operation::Create(id, changes)
}

fn set(id: IdHash, write: Write) -> Operation {
    let mut changes = Changes::default();
    let change = match write {
        Write::Put(value) => FieldChange::blind(Some(value)),
        write => FieldChange::relative(write),
    };
    changes.fields.insert(FieldName::new("a").unwrap(), change);
    Operation::Commit(id, changes)
}

fn is_live(answer: &Answer) -> bool {
    matches!(answer.reply, Reply::Load(Loaded::Live { .. }))
}

#[test]
fn either_node_serves_and_both_hold_what_was_acknowledged() {
    let mut pair = Pair::new();
    for (machine, slot) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let id = id(slot, machine as u64);
        let answer = pair.call(machine, create(id, pair.now.wall));
        assert!(matches!(answer.reply, Reply::Create(Create::Created(_))), "{answer:?}");
        assert_eq!(answer.kept, Kept::Full);
        for machine in 0..2 {
            assert!(pair.node(machine).table().get(id).is_some());
            assert!(is_live(&pair.call(machine, Operation::Load(id))));
        }
    }
}

#[test]
fn when_one_is_killed_the_other_leads_at_once_and_says_that_it_is_alone() {
    let mut pair = Pair::new();
    let ids = [id(0, 1), id(1, 1)];
    for id in ids {
        pair.call(0, create(id, pair.now.wall));
    }
    pair.kill(0);
    for id in ids {
        let read = pair.call(1, Operation::Load(id));
        assert!(is_live(&read) && read.kept == Kept::Full);
        let write = pair.call(1, set(id, Write::Put(Bytes::from_static(b"1"))));
        assert_eq!(write.kept, Kept::Degraded);
    }
}

#[test]
fn who_comes_back_empty_is_filled_in_parts_and_takes_nothing_away() {
    let mut pair = Pair::new();
    let count = MAX_PART_ENTRIES as u64 * 2 + 1;
    for number in 0..count {
        pair.call(0, create(id(0, number), pair.now.wall));
    }
    pair.kill(0);
    pair.pass(100);
    pair.nodes[0] = Some(start(0, pair.slots, pair.now));
    pair.connect();
    pair.pass(1000);
    assert_eq!(pair.node(0).table().len() as u64, count);
    let slot = Slot::new(0).unwrap();
    assert_eq!(pair.node(0).table().digest(slot), pair.node(1).table().digest(slot));
    assert!(pair.nodes.iter_mut().flatten().all(Node::is_safe_to_stop));
}

#[test]
fn both_sides_of_a_cut_go_on_say_so_and_become_one_again() {
    let mut pair = Pair::new();
    let (first, second) = (id(0, 1), id(0, 2));
    pair.is_cut = true;
    pair.pass(1500);
    for (machine, id) in [(0, first), (1, second)] {
        assert_eq!(pair.call(machine, create(id, pair.now.wall)).kept, Kept::Sole);
    }
    pair.is_cut = false;
    pair.pass(2000);
    for (machine, id) in [(0, first), (1, first), (0, second), (1, second)] {
        let answer = pair.call(machine, Operation::Load(id));
        assert!(is_live(&answer) && answer.kept == Kept::Full, "{answer:?}");
    }
}

#[test]
fn a_silent_member_delays_a_write_until_its_grant_is_over_and_no_longer() {
    let mut pair = Pair::new();
    let leader = usize::from(pair.node(0).reign(Slot::new(0).unwrap()).unwrap().leader.0);
    pair.is_cut = true;
    let number = pair.begin(leader, create(id(0, 1), pair.now.wall));
    pair.pass(400);
    assert!(pair.answer(number).is_none());
    pair.pass(400);
    assert!(pair.answer(number).is_some_and(|answer| answer.kept == Kept::Sole));
}

#[test]
fn a_process_that_others_took_for_dead_begins_again_and_loses_nothing() {
    let mut pair = Pair::new();
    let id = id(0, 1);
    pair.call(0, create(id, pair.now.wall));
    pair.give(0, Event::Broken(NodeId(1)));
    pair.give(0, Event::Refused(NodeId(1)));
    let before = pair.node(1).view().get(NodeId(1)).unwrap().birth;
    pair.give(1, Event::Broken(NodeId(0)));
    pair.pass(100);
    pair.connect();
    pair.pass(2000);
    let after = pair.node(1).view().get(NodeId(1)).unwrap();
    assert!(after.birth > before && !after.is_dead());
    for machine in 0..2 {
        let answer = pair.call(machine, Operation::Load(id));
        assert!(is_live(&answer) && answer.kept == Kept::Full);
    }
    assert!(pair.nodes.iter_mut().flatten().all(Node::is_safe_to_stop));
}

#[test]
fn a_relative_change_that_was_lost_with_its_leader_is_not_made_again() {
    let mut pair = Pair::new();
    let slot = Slot::new(0).unwrap();
    let leader = usize::from(pair.node(0).reign(slot).unwrap().leader.0);
    let id = id(0, 1);
    pair.call(leader, create(id, pair.now.wall));
    pair.is_cut = true;
    let add = pair.begin(1 - leader, set(id, Write::Add(1)));
    let put = pair.begin(1 - leader, set(id, Write::Put(Bytes::from_static(b"1"))));
    pair.kill(leader);
    let reply = |number| pair.answer(number).map(|answer| &answer.reply);
    assert!(matches!(reply(add), Some(Reply::Fault(Fault::Unavailable))));
    assert!(matches!(reply(put), Some(Reply::Commit(Commit::Committed(_)))));
}

#[test]
fn no_more_calls_are_held_than_the_limits_say() {
    let mut pair = Pair::new();
    let leader = usize::from(pair.node(0).reign(Slot::new(0).unwrap()).unwrap().leader.0);
    pair.is_cut = true;
    // Writes under way, then calls that wait for room among them, then calls too many.
    for number in 0..(MAX_PENDING + MAX_WAITING) as u64 {
        pair.begin(leader, create(id(0, number), pair.now.wall));
    }
    assert!(pair.answers.is_empty());
    let one_more = pair.call(leader, Operation::Load(id(0, 0)));
    assert!(matches!(one_more.reply, Reply::Fault(Fault::Unavailable)));
    // At the other node calls wait for an answer of the leader.
    let load = Operation::Load(id(0, 0));
    for _ in 0..MAX_OPEN_CALLS {
        pair.begin(1 - leader, load.clone());
    }
    assert_eq!(pair.answers.len(), 1);
    let one_more = pair.call(1 - leader, load);
    assert!(matches!(one_more.reply, Reply::Fault(Fault::Unavailable)));
}

#[test]
fn nodes_beyond_the_limit_of_a_roster_own_nothing() {
    let now = Moment::default();
    let roster = Contact::in_order((0..=MAX_NODES).map(|number| alloc::format!("n{number}")));
    let config = start(0, 1, now).around.config;
    let node = Node::new(Config { roster, ..config }, now);
    assert_eq!(node.around.ranks(Slot::new(0).unwrap()).len(), MAX_NODES);
}

#[test]
fn no_more_slots_are_filled_at_once_than_the_limit_says_and_all_in_the_end() {
    let slots = u16::try_from(MAX_FILLS * 2).unwrap();
    let mut pair = Pair::of_slots(slots);
    for slot in 0..slots {
        pair.call(0, create(id(slot, 1), pair.now.wall));
    }
    pair.kill(0);
    pair.pass(100);
    pair.nodes[0] = Some(start(0, slots, pair.now));
    pair.most_filled = 0;
    pair.connect();
    assert_eq!(pair.most_filled, MAX_FILLS);
    pair.pass(1500);
    assert!(pair.nodes.iter_mut().flatten().all(Node::is_safe_to_stop));
    assert_eq!(pair.node(0).table().len(), usize::from(slots));
}

#[test]
fn what_has_expired_goes_a_little_at_a_time() {
    let mut pair = Pair::new();
    let until = pair.now.wall.after(Duration::from_secs(1));
    for number in 0..=MAX_EXPIRED_PER_LOOK as u64 {
        let Operation::Create(id, mut changes) = create(id(0, number), pair.now.wall) else {
            continue;
        };
        changes.hard_deadline = Some(until);
        pair.call(0, Operation::Create(id, changes));
    }
    let mut left = pair.node(0).table().len();
    assert_eq!(left, MAX_EXPIRED_PER_LOOK + 1);
    for _ in 0..3000 {
        pair.pass(10);
        let now = pair.node(0).table().len();
        assert!(left - now <= MAX_EXPIRED_PER_LOOK);
        left = now;
    }
    assert_eq!(left, 0);
}

#[test]
fn who_has_met_all_others_goes_on_without_them_soon_after_its_start() {
    let (mut pair, one) = (Pair::new(), id(1, 1));
    pair.call(0, create(one, pair.now.wall));
    // Both begin anew, and the cut comes a moment after they have met.
    pair.pass(10);
    pair.nodes = [0, 1].map(|own| Some(start(own, pair.slots, pair.now)));
    pair.connect();
    pair.pass(200);
    pair.is_cut = true;
    pair.pass(700);
    for machine in [0, 1] {
        assert_eq!(pair.call(machine, create(id(1, 9), pair.now.wall)).kept, Kept::Sole);
    }
}
