//! Leaving: what becomes of who wants to stop, and of what it holds.

use super::*;
use crate::view::Status;

fn leads(pair: &Pair, machine: usize) -> Vec<bool> {
    let own = NodeId(u16::try_from(machine).unwrap());
    let slots = Slot::all().take(usize::from(pair.slots));
    slots.map(|slot| pair.node(machine).reign(slot).is_some_and(|it| it.leader == own)).collect()
}

impl Pair {
    fn has_left(&mut self, machine: usize) -> bool {
        self.nodes[machine].as_mut().unwrap().has_left()
    }

    fn is_ready(&mut self, machine: usize) -> bool {
        self.nodes[machine].as_mut().unwrap().is_ready()
    }
}

#[test]
fn who_leaves_leads_nothing_soon_and_loses_nothing_when_it_goes() {
    let mut pair = Pair::of_slots(16);
    for slot in 0..16 {
        pair.call(0, create(id(slot, 1), pair.now.wall));
    }
    assert!(leads(&pair, 0).contains(&true));
    assert!(!pair.has_left(0), "nobody told it to leave");
    pair.give(0, Event::Leave);
    assert!(!pair.has_left(0), "others have to learn that it leads no longer");
    pair.pass(300);
    assert!(pair.has_left(0) && !leads(&pair, 0).contains(&true));
    assert!(!leads(&pair, 1).contains(&false));
    assert!(!pair.is_ready(0) && pair.is_ready(1));
    // It takes calls as before, and counts as a copy until it goes.
    for slot in 0..16 {
        let answer = pair.call(0, create(id(slot, 2), pair.now.wall));
        assert_eq!(answer.kept, Kept::Full);
    }
    pair.kill(0);
    for number in 1..=2 {
        for slot in 0..16 {
            let answer = pair.call(1, Operation::Load(id(slot, number)));
            assert!(is_live(&answer) && answer.kept == Kept::Full);
        }
    }
    let write = pair.call(1, create(id(0, 3), pair.now.wall));
    assert_eq!(write.kept, Kept::Degraded);
}

#[test]
fn calls_under_way_are_done_and_answered_while_a_node_leaves() {
    let mut pair = Pair::of_slots(16);
    for slot in 0..16 {
        pair.call(0, create(id(slot, 1), pair.now.wall));
    }
    // What it sends as a leader gets lost, and is sent again, while it leaves.
    let led = leads(&pair, 0).into_iter().zip(0..).filter(|(is_led, _)| *is_led);
    let slots: Vec<u16> = led.map(|(_, slot)| slot).collect();
    pair.is_cut = true;
    let begun: Vec<u64> =
        slots.iter().map(|slot| pair.begin(0, set(id(*slot, 1), Write::Add(1)))).collect();
    pair.is_cut = false;
    pair.give(0, Event::Leave);
    assert!(!begun.is_empty() && begun.iter().all(|number| pair.answer(*number).is_none()));
    pair.pass(500);
    for number in begun {
        let reply = pair.answer(number).map(|answer| &answer.reply);
        assert!(matches!(reply, Some(Reply::Commit(Commit::Committed(_)))), "{reply:?}");
    }
    assert!(pair.has_left(0));
}

#[test]
fn a_process_that_leaves_goes_on_to_leave_under_another_birth() {
    let mut pair = Pair::new();
    pair.call(0, create(id(0, 1), pair.now.wall));
    pair.give(1, Event::Leave);
    // The other takes it for dead, and learns that it is not.
    pair.give(0, Event::Broken(NodeId(1)));
    pair.give(0, Event::Refused(NodeId(1)));
    pair.give(1, Event::Broken(NodeId(0)));
    pair.pass(100);
    pair.connect();
    pair.pass(2000);
    for machine in 0..2 {
        let known = pair.node(machine).view().get(NodeId(1)).unwrap();
        assert_eq!(known.status, Status::Leaving);
    }
    assert!(pair.has_left(1) && !pair.has_left(0));
    pair.kill(1);
    assert!(is_live(&pair.call(0, Operation::Load(id(0, 1)))));
}

#[test]
fn the_last_one_waits_for_who_crashed_and_only_for_a_while_for_who_has_left() {
    for is_crash in [true, false] {
        let mut pair = Pair::new();
        pair.call(0, create(id(0, 1), pair.now.wall));
        if !is_crash {
            pair.give(1, Event::Leave);
            pair.pass(300);
        }
        pair.kill(1);
        pair.give(0, Event::Leave);
        pair.pass(4500);
        assert!(!pair.has_left(0), "it may be a restart");
        pair.pass(1000);
        assert_eq!(pair.has_left(0), !is_crash);
        // Who crashed is back, and takes what there is.
        pair.nodes[1] = Some(start(1, pair.slots, pair.now));
        pair.connect();
        pair.pass(1000);
        assert!(pair.has_left(0));
    }
}

#[test]
fn who_is_alone_in_the_roster_has_left_at_once() {
    let now = Moment::default();
    let config = start(0, 1, now).around.config;
    let mut node = Node::new(Config { roster: Contact::in_order(["a"]), ..config }, now);
    node.step(now, Event::Woken);
    assert!(node.is_ready() && !node.has_left() && !node.is_safe_to_stop());
    node.step(now, Event::Leave);
    assert!(node.has_left() && !node.is_ready());
}
