//! Nodes that find on a disk what they held.

use super::*;
use crate::journal::Recovered;

/// What the two have written down.
#[derive(Default)]
struct Disks([Vec<u8>; 2]);

impl Disks {
    /// Two nodes that write down what they take over.
    fn pair(&mut self) -> Pair {
        let mut pair = Pair::of_slots(4);
        pair.nodes = [None, None];
        let nodes = [0, 1].map(|own| Some(self.start(&pair, own)));
        pair.nodes = nodes;
        pair.connect();
        pair.pass(1000);
        pair
    }

    fn start(&self, pair: &Pair, own: usize) -> Node {
        let mut recovered = Recovered::default();
        recovered.take(&self.0[own]).unwrap();
        let mut config = start(u16::try_from(own).unwrap(), pair.slots, pair.now).around.config;
        assert!(recovered.birth(&config.roster[own].name).is_none_or(|birth| birth < config.birth));
        config.birth = Birth(pair.now.wall.as_millis());
        Node::restored(config, recovered, pair.now)
    }

    fn write_down(&mut self, pair: &mut Pair) {
        for (disk, node) in self.0.iter_mut().zip(&mut pair.nodes) {
            disk.extend(node.iter_mut().flat_map(Node::take_news));
        }
    }

    /// Starts again with what was written down, and finds nobody.
    fn come_back_alone(&self, pair: &mut Pair, machine: usize) {
        pair.pass(10);
        pair.nodes[machine] = Some(self.start(pair, machine));
        pair.give(machine, Event::Woken);
        pair.give(machine, Event::Refused(NodeId(1 - u16::try_from(machine).unwrap())));
        pair.pass(1000);
    }

    fn come_back(&self, pair: &mut Pair, machine: usize) {
        pair.pass(10);
        pair.nodes[machine] = Some(self.start(pair, machine));
        pair.connect();
        pair.pass(1000);
    }
}

fn is_unavailable(answer: &Answer) -> bool {
    matches!(answer.reply, Reply::Fault(Fault::Unavailable))
}

fn call_late(pair: &mut Pair, machine: usize, operation: Operation) -> Answer {
    let number = pair.begin(machine, operation);
    pair.pass(1200);
    pair.answer(number).cloned().unwrap()
}

#[test]
fn all_is_there_again_when_both_come_back() {
    let (mut disks, one, other) = (Disks::default(), id(1, 1), id(2, 2));
    let mut pair = disks.pair();
    pair.call(0, create(one, pair.now.wall));
    pair.call(1, create(other, pair.now.wall));
    pair.call(1, Operation::End(one));
    disks.write_down(&mut pair);
    pair.nodes = [None, None];
    pair.pass(10);
    pair.nodes = [0, 1].map(|own| Some(disks.start(&pair, own)));
    pair.connect();
    pair.pass(1000);
    for machine in [0, 1] {
        let answer = pair.call(machine, Operation::Load(other));
        assert!(is_live(&answer) && answer.kept == Kept::Full);
        let answer = pair.call(machine, Operation::Load(one));
        assert!(matches!(answer.reply, Reply::Load(Loaded::Ended)) && answer.kept == Kept::Full);
    }
}

#[test]
fn who_comes_back_alone_says_that_the_other_may_hold_more_until_it_is_back() {
    let (mut disks, one) = (Disks::default(), id(1, 1));
    let mut pair = disks.pair();
    pair.call(0, create(one, pair.now.wall));
    disks.write_down(&mut pair);
    // The first dies, and the second goes on without it: it makes a session, and ends one.
    pair.kill(0);
    pair.pass(1000);
    let later = id(1, 7);
    assert_eq!(pair.call(1, create(later, pair.now.wall)).kept, Kept::Degraded);
    pair.call(1, Operation::End(one));
    disks.write_down(&mut pair);
    pair.nodes[1] = None;
    disks.come_back_alone(&mut pair, 0);
    assert_eq!(pair.node(0).missed().collect::<Vec<_>>(), [NodeId(1)]);
    let answer = pair.call(0, Operation::Load(one));
    assert!(is_live(&answer) && answer.kept == Kept::Sole);
    // Whether this one is there it can not know: nobody is signed out by mistake.
    assert!(is_unavailable(&call_late(&mut pair, 0, Operation::Load(later))));
    disks.come_back(&mut pair, 1);
    for machine in [0, 1] {
        let answer = pair.call(machine, Operation::Load(one));
        assert!(matches!(answer.reply, Reply::Load(Loaded::Ended)) && answer.kept == Kept::Full);
        assert!(is_live(&pair.call(machine, Operation::Load(later))));
    }
    assert_eq!(pair.node(0).missed().count(), 0);
}

#[test]
fn who_saw_the_other_die_waits_for_nobody() {
    let (mut disks, one) = (Disks::default(), id(1, 1));
    let mut pair = disks.pair();
    pair.call(0, create(one, pair.now.wall));
    pair.kill(0);
    pair.pass(1000);
    disks.write_down(&mut pair);
    pair.nodes[1] = None;
    disks.come_back_alone(&mut pair, 1);
    let answer = pair.call(1, Operation::Load(one));
    assert!(is_live(&answer) && answer.kept == Kept::Full);
    let answer = pair.call(1, Operation::Load(id(1, 9)));
    assert!(matches!(answer.reply, Reply::Load(Loaded::Unknown)) && answer.kept == Kept::Full);
}

#[test]
fn who_is_missed_is_still_missed_after_another_start() {
    let mut disks = Disks::default();
    let mut pair = disks.pair();
    disks.write_down(&mut pair);
    pair.nodes = [None, None];
    disks.come_back_alone(&mut pair, 0);
    // Only the copy that was made since is left.
    disks.0[0].clear();
    pair.node(0).write_nodes(&mut disks.0[0]);
    pair.nodes[0] = None;
    disks.come_back_alone(&mut pair, 0);
    assert_eq!(pair.node(0).missed().collect::<Vec<_>>(), [NodeId(1)]);
}

#[test]
fn who_dies_is_missed_until_the_slots_are_led_without_it() {
    let mut pair = Disks::default().pair();
    pair.kill(0);
    assert_eq!(pair.node(1).missed().collect::<Vec<_>>(), [NodeId(0)]);
    pair.pass(200);
    assert_eq!(pair.node(1).missed().count(), 0);
}

#[test]
fn who_is_said_to_be_lost_is_waited_for_no_longer() {
    let (mut disks, one) = (Disks::default(), id(1, 1));
    let mut pair = disks.pair();
    pair.call(0, create(one, pair.now.wall));
    disks.write_down(&mut pair);
    pair.nodes = [None, None];
    disks.come_back_alone(&mut pair, 0);
    assert_eq!(pair.call(0, Operation::Load(one)).kept, Kept::Sole);
    pair.give(0, Event::Lost(NodeId(1)));
    assert_eq!(pair.call(0, Operation::Load(one)).kept, Kept::Full);
    let answer = pair.call(0, Operation::Load(id(1, 9)));
    assert!(matches!(answer.reply, Reply::Load(Loaded::Unknown)) && answer.kept == Kept::Full);
    // It was not: what it has is merged all the same.
    disks.come_back(&mut pair, 1);
    assert!(is_live(&pair.call(1, Operation::Load(one))));
}

#[test]
fn who_can_be_talked_to_is_not_lost_whatever_somebody_says() {
    let mut pair = Disks::default().pair();
    let before = pair.node(0).view().clone();
    pair.give(0, Event::Lost(NodeId(1)));
    pair.give(0, Event::Lost(NodeId(0)));
    assert_eq!(*pair.node(0).view(), before);
}

#[test]
fn a_silent_node_that_is_said_to_be_lost_is_in_doubt_no_longer() {
    let (mut pair, one) = (Pair::new(), id(1, 1));
    pair.call(0, create(one, pair.now.wall));
    pair.is_cut = true;
    pair.give(0, Event::Broken(NodeId(1)));
    pair.nodes[1] = None;
    pair.pass(1000);
    assert_eq!(pair.call(0, Operation::Load(one)).kept, Kept::Sole);
    pair.give(0, Event::Lost(NodeId(1)));
    let answer = pair.call(0, Operation::Load(one));
    assert!(is_live(&answer) && answer.kept == Kept::Full);
}

#[test]
fn who_keeps_no_journal_has_no_news() {
    let mut pair = Pair::new();
    pair.call(0, create(id(1, 1), pair.now.wall));
    assert!(pair.nodes.iter_mut().flatten().all(|node| node.take_news().is_empty()));
}

#[test]
fn a_copy_and_what_came_after_it_began_give_all() {
    let mut disks = Disks::default();
    let mut pair = disks.pair();
    for number in 0..40 {
        pair.call(0, create(id(number % 4, u64::from(number)), pair.now.wall));
    }
    disks.write_down(&mut pair);
    // The journal begins anew; the copy is made slot by slot while changes go on.
    let mut copy = Vec::new();
    disks.0[0].clear();
    for slot in Slot::all().take(4) {
        pair.node(0).write_slot(slot, &mut copy);
        let ended = id(slot.number() % 4, u64::from(slot.number()));
        pair.call(0, Operation::End(ended));
        pair.call(0, set(id(3, 39), Write::Put(Bytes::from_static(b"7"))));
    }
    pair.node(0).write_nodes(&mut copy);
    disks.write_down(&mut pair);
    let held: Vec<u64> = Slot::all().map(|slot| pair.node(0).table().digest(slot)).collect();
    disks.0[0].extend(copy);
    let recovered = disks.start(&pair, 0);
    let again: Vec<u64> = Slot::all().map(|slot| recovered.table().digest(slot)).collect();
    assert_eq!(held, again);
}
