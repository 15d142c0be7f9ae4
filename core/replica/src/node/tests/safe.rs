//! Whether a node may be killed: what it says, and what it is told by the others.

use super::*;
use crate::limits::JUDGEMENT_LASTS;

impl Pair {
    fn is_safe(&mut self, machine: usize) -> bool {
        self.nodes[machine].as_mut().unwrap().is_safe_to_stop()
    }
}

#[test]
fn either_of_two_may_be_killed_and_the_other_not_before_all_is_copied_again() {
    let mut pair = Pair::of_slots(8);
    for slot in 0..8 {
        pair.call(0, create(id(slot, 1), pair.now.wall));
    }
    assert!(pair.is_safe(0) && pair.is_safe(1));
    pair.kill(0);
    assert!(!pair.is_safe(1), "it is alone");
    pair.pass(500);
    assert!(!pair.is_safe(1));
    pair.nodes[0] = Some(start(0, pair.slots, pair.now));
    assert!(!pair.is_safe(0), "it knows of nothing");
    pair.connect();
    while !(pair.is_safe(0) && pair.is_safe(1)) {
        // Whoever says yes is right: the other holds all.
        for machine in 0..2 {
            let held = pair.node(1 - machine).table().len();
            assert!(!pair.is_safe(machine) || held == 8, "{machine}");
        }
        pair.pass(10);
    }
}

#[test]
fn a_silent_node_makes_all_others_unsafe_soon() {
    let mut pair = Pair::new();
    assert!(pair.is_safe(0));
    pair.is_cut = true;
    pair.pass(u64::try_from(JUDGEMENT_LASTS.as_millis()).unwrap() + 10);
    assert!(!pair.is_safe(0) && !pair.is_safe(1));
    pair.is_cut = false;
    pair.pass(2000);
    assert!(pair.is_safe(0) && pair.is_safe(1));
}

#[test]
fn what_was_said_before_a_death_does_not_count_after_it() {
    let mut pair = Pair::new();
    assert!(pair.is_safe(0));
    // Another process of the same name is there: what the one before said of itself is past.
    pair.nodes[1] = Some(start(1, pair.slots, pair.now));
    let birth = Birth(pair.now.wall.as_millis() + 1);
    let hello = Message::Hello(Vec::new(), Vec::new());
    pair.give(0, Event::Received(NodeId(1), Letter { birth, message: hello }));
    assert!(!pair.is_safe(0));
    let late = Message::Ping { number: 1, heard: 0, is_whole: true };
    pair.give(0, Event::Received(NodeId(1), Letter { birth, message: late }));
    assert!(!pair.is_safe(0), "it has not heard of what this one knows");
}

#[test]
fn who_holds_what_its_leader_does_not_may_not_be_killed_before_it_is_merged() {
    let mut pair = Pair::new();
    let slot = Slot::new(0).unwrap();
    pair.is_cut = true;
    pair.pass(1500);
    for machine in 0..2 {
        let id = id(0, machine as u64);
        assert_eq!(pair.call(machine, create(id, pair.now.wall)).kept, Kept::Sole);
    }
    pair.is_cut = false;
    for _ in 0..300 {
        pair.pass(10);
        for machine in 0..2 {
            let other = pair.node(1 - machine).table().digest(slot);
            let ours = pair.node(machine).table().digest(slot);
            assert!(!pair.is_safe(machine) || ours == other);
        }
    }
    assert!(pair.is_safe(0) && pair.is_safe(1));
}
