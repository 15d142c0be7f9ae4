//! Three nodes, of which some learn of others while they run. Nothing is lost on the way, unless a pair is cut.

use alloc::collections::BTreeSet;

use super::*;
use crate::limits::{FORGET_AFTER, LISTEN};
use crate::view::Status;

/// Nodes that play with real time, and the pairs that can not reach each other.
struct Cluster {
    nodes: Vec<Option<Node>>,
    lists: Vec<Vec<usize>>,
    now: Moment,
    cut: BTreeSet<(usize, usize)>,
    connected: BTreeSet<(usize, usize)>,
    answers: Vec<(u64, Answer)>,
    forgotten: Vec<(usize, NodeId)>,
    last: u64,
}

const fn pair(one: usize, other: usize) -> (usize, usize) {
    if one < other { (one, other) } else { (other, one) }
}

fn number(machine: usize) -> NodeId {
    NodeId(u16::try_from(machine).unwrap())
}

impl Cluster {
    /// Machines that are started with these lists, when they are.
    fn new(lists: &[&[usize]]) -> Self {
        Self {
            nodes: lists.iter().map(|_| None).collect(),
            lists: lists.iter().map(|list| list.to_vec()).collect(),
            now: Moment { passed: Duration::ZERO, wall: Time::from_secs(1_800_000_000) },
            cut: BTreeSet::new(),
            connected: BTreeSet::new(),
            answers: Vec::new(),
            forgotten: Vec::new(),
            last: 0,
        }
    }

    fn start(&mut self, machine: usize) {
        let list = self.lists[machine].iter().map(|of| contact(*of, 0)).collect();
        let birth = Birth(self.now.wall.as_millis());
        let config = Config { slots: 8, ..Config::new(list, number(machine), birth) };
        self.nodes[machine] = Some(Node::new(config, self.now));
    }

    fn give(&mut self, machine: usize, event: Event) {
        let mut events = VecDeque::from([(machine, event)]);
        let mut left = 10_000;
        while let Some((machine, event)) = events.pop_front() {
            left -= 1;
            assert!(left > 0, "there is no end to it: {event:?}");
            let Some(node) = self.nodes[machine].as_mut() else { continue };
            let actions = node.step(self.now, event);
            assert_eq!(node.check_invariants(), Ok(()));
            for action in actions {
                self.act(machine, action, &mut events);
            }
        }
    }

    fn act(&mut self, machine: usize, action: Action, events: &mut VecDeque<(usize, Event)>) {
        match action {
            Action::Send(to, letter) => {
                let to = usize::from(to.0);
                if self.connected.contains(&pair(machine, to)) {
                    events.push_back((to, Event::Received(number(machine), letter)));
                }
            }
            Action::Dial(to) => {
                let peer = usize::from(to.0);
                if self.cut.contains(&pair(machine, peer)) {
                    events.push_back((machine, Event::Unreachable(to)));
                } else if self.nodes.get(peer).is_none_or(Option::is_none) {
                    events.push_back((machine, Event::Refused(to)));
                } else if self.connected.insert(pair(machine, peer)) {
                    for (to, from) in [(machine, peer), (peer, machine)] {
                        let birth = self.nodes[from].as_ref().unwrap().around.birth;
                        events.push_back((to, Event::Met(contact(from, birth.0))));
                        events.push_back((to, Event::Connected(number(from))));
                    }
                } else {
                    events.push_back((machine, Event::Unreachable(to)));
                }
            }
            Action::Answer(number, answer) => self.answers.push((number, answer)),
            Action::Forget(node) => self.forgotten.push((machine, node)),
            _ => {}
        }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(10) {
            self.now.passed += Duration::from_millis(10);
            self.now.wall = self.now.wall.after(Duration::from_millis(10));
            for machine in 0..self.nodes.len() {
                self.give(machine, Event::Woken);
            }
        }
    }

    /// Cuts a machine off from others, which learn of it by silence.
    fn cut(&mut self, one: usize, others: &[usize]) {
        for other in others {
            self.cut.insert(pair(one, *other));
            self.sever(one, *other);
        }
    }

    fn sever(&mut self, one: usize, other: usize) {
        if self.connected.remove(&pair(one, other)) {
            self.give(one, Event::Broken(number(other)));
            self.give(other, Event::Broken(number(one)));
        }
    }

    fn kill(&mut self, machine: usize) {
        self.nodes[machine] = None;
        for other in 0..self.nodes.len() {
            self.sever(machine, other);
        }
    }

    fn node(&mut self, machine: usize) -> &mut Node {
        self.nodes[machine].as_mut().unwrap()
    }

    fn is_ready(&mut self, machine: usize) -> bool {
        self.node(machine).is_ready()
    }

    fn knows(&mut self, machine: usize) -> Vec<u16> {
        self.node(machine).roster().iter().map(|contact| contact.node.0).collect()
    }

    fn led(&mut self, machine: usize) -> usize {
        let node = self.node(machine);
        Slot::all().take(8).filter(|slot| node.in_sync(*slot).is_some()).count()
    }

    fn call(&mut self, machine: usize, operation: Operation) -> Answer {
        self.last += 1;
        let call = Call { operation, now: self.now.wall };
        self.give(machine, Event::Call(self.last, call));
        self.pass(20);
        let last = self.last;
        self.answers.iter().find(|(number, _)| *number == last).map(|it| it.1.clone()).unwrap()
    }
}

fn contact(machine: usize, birth: u64) -> Contact {
    let contacts = Contact::in_order(["a", "b", "c", "d"]);
    Contact { birth: Birth(birth), ..contacts[machine].clone() }
}

/// Two that know each other, and run.
fn two_and(lists: &[&[usize]]) -> Cluster {
    let mut cluster = Cluster::new(lists);
    cluster.start(0);
    cluster.start(1);
    cluster.pass(500);
    assert!(cluster.is_ready(0) && cluster.is_ready(1));
    cluster
}

#[test]
fn who_joins_by_one_node_is_known_to_all_and_gets_its_share() {
    let mut cluster = two_and(&[&[0, 1], &[0, 1], &[2, 0]]);
    for slot in 0..8 {
        let now = cluster.now.wall;
        cluster.call(0, create(id(slot, 1), now));
    }
    cluster.start(2);
    cluster.pass(1000);
    for machine in 0..3 {
        assert!(cluster.is_ready(machine) && cluster.node(machine).is_safe_to_stop());
        assert_eq!(cluster.knows(machine), [0, 1, 2]);
    }
    assert!(cluster.led(2) > 0 && !cluster.node(2).table().is_empty());
    let led: usize = (0..3).map(|machine| cluster.led(machine)).sum();
    assert_eq!(led, 8);
}

#[test]
fn who_is_not_known_to_a_silent_node_waits_and_passes_calls_on_until_it_is() {
    let mut cluster = two_and(&[&[0, 1], &[0, 1], &[2, 0]]);
    let now = cluster.now.wall;
    cluster.call(0, create(id(3, 1), now));
    cluster.cut(1, &[0, 2]);
    cluster.pass(1000);
    cluster.start(2);
    cluster.pass(3000);
    assert!(!cluster.is_ready(2) && cluster.led(2) == 0 && cluster.node(2).table().is_empty());
    assert!(is_live(&cluster.call(2, Operation::Load(id(3, 1)))));
    cluster.cut.clear();
    cluster.pass(1000);
    assert!(cluster.is_ready(2) && cluster.led(2) > 0);
}

#[test]
fn who_joins_and_dies_half_way_keeps_nobody_waiting() {
    let mut cluster = two_and(&[&[0, 1], &[0, 1], &[2, 0], &[3, 1]]);
    cluster.cut(2, &[1, 3]);
    cluster.start(2);
    cluster.pass(200);
    cluster.start(3);
    cluster.pass(1000);
    assert!(!cluster.is_ready(2), "it can not reach two of those that lead");
    cluster.cut.clear();
    cluster.kill(2);
    cluster.pass(1500);
    let led = cluster.led(3);
    assert!(cluster.is_ready(3) && led > 0, "{led} {:?}", cluster.node(3).around.admitted);
}

#[test]
fn who_starts_with_an_old_list_claims_nothing_before_the_others_have_come() {
    let mut cluster = two_and(&[&[0, 1], &[0, 1], &[2, 0, 1]]);
    cluster.start(2);
    cluster.pass(1000);
    let now = cluster.now.wall;
    cluster.call(0, create(id(3, 1), now));
    cluster.kill(0);
    cluster.pass(1000);
    cluster.kill(1);
    cluster.pass(1000);
    cluster.start(1);
    cluster.give(1, Event::Woken);
    cluster.pass(20);
    assert_eq!(cluster.led(1), 0, "0 is not there, and 2 may be");
    cluster.pass(1000);
    assert!(is_live(&cluster.call(1, Operation::Load(id(3, 1)))));
    assert!(cluster.is_ready(1) && cluster.is_ready(2));
}

#[test]
fn who_was_silent_at_first_is_not_known_to_be_gone_when_nobody_listens_there() {
    let mut cluster = Cluster::new(&[&[0, 1], &[0, 1]]);
    cluster.cut(0, &[1]);
    cluster.start(1);
    cluster.pass(3000);
    let now = cluster.now.wall;
    let is_sole = |cluster: &mut Cluster, number| {
        cluster.call(1, create(id(3, number), now)).kept == Kept::Sole
    };
    assert!(is_sole(&mut cluster, 1));
    cluster.cut.clear();
    cluster.pass(1000);
    assert!(is_sole(&mut cluster, 2), "it may have passed on what it had, and died");
    cluster.start(0);
    cluster.pass(1000);
    assert!(!is_sole(&mut cluster, 3));
}

#[test]
fn a_cluster_of_one_waits_only_for_others_to_come() {
    let mut cluster = Cluster::new(&[&[0, 1], &[0, 1]]);
    cluster.start(0);
    cluster.give(0, Event::Woken);
    let millis = u64::try_from(LISTEN.as_millis()).unwrap();
    cluster.pass(millis - 20);
    assert_eq!(cluster.led(0), 0);
    cluster.pass(150);
    assert!(cluster.is_ready(0) && cluster.led(0) == 8);
}

#[test]
fn who_is_dead_for_an_hour_is_forgotten_but_by_those_that_list_it() {
    let mut cluster = two_and(&[&[0, 1], &[0, 1], &[2, 0]]);
    cluster.start(2);
    cluster.pass(1000);
    cluster.kill(2);
    cluster.pass(500);
    let hour = FORGET_AFTER;
    for _ in 0..2 {
        // A machine that stands still for so long has to hear of the others first.
        cluster.now.passed += hour / 2;
        cluster.now.wall = cluster.now.wall.after(hour / 2);
        cluster.pass(3000);
    }
    assert_eq!((cluster.knows(0), cluster.knows(1)), (vec![0, 1], vec![0, 1]));
    assert_eq!(cluster.forgotten, [(0, NodeId(2)), (1, NodeId(2))]);
    cluster.kill(1);
    cluster.now.passed += hour;
    cluster.now.wall = cluster.now.wall.after(hour);
    cluster.pass(1000);
    assert_eq!(cluster.knows(0), [0, 1], "it is in the list");
    // Both come back and are what they were.
    cluster.start(1);
    cluster.start(2);
    cluster.pass(1000);
    for machine in 0..3 {
        assert_eq!(cluster.knows(machine), [0, 1, 2]);
        assert!(cluster.is_ready(machine) && cluster.led(machine) > 0);
    }
}

#[test]
fn the_dead_are_not_told_of_and_a_full_roster_forgets_them_first() {
    let mut cluster = two_and(&[&[0, 1], &[0, 1], &[2, 0]]);
    cluster.start(2);
    cluster.pass(500);
    cluster.kill(2);
    cluster.pass(500);
    let known = |number: usize| {
        Contact::in_order((0..=MAX_NODES).map(|it| alloc::format!("n{it}")))[number].clone()
    };
    let Message::Nodes(contacts, statements) = cluster.node(0).around.nodes(true) else { panic!() };
    assert_eq!(contacts.iter().map(|contact| contact.node.0).collect::<Vec<_>>(), [0, 1]);
    assert!(statements.iter().all(|statement| statement.knows.contains(&NodeId(2))));
    for number in 4..=MAX_NODES {
        cluster.give(0, Event::Met(known(number)));
    }
    assert_eq!(cluster.knows(0).len(), MAX_NODES);
    cluster.give(0, Event::Met(known(3)));
    assert!(!cluster.knows(0).contains(&3), "there is no room");
    cluster.pass(500);
    assert!(!cluster.knows(0).contains(&2), "the dead make room");
    cluster.give(0, Event::Met(known(3)));
    assert!(cluster.knows(0).contains(&3));
    let view = cluster.node(0).view();
    assert!(view.iter().all(|(_, known)| known.status == Status::Up));
}

#[test]
fn a_name_of_a_number_that_is_taken_is_not_known() {
    let mut cluster = two_and(&[&[0, 1], &[0, 1]]);
    let twin = Contact { name: "x".into(), ..contact(1, 7) };
    let actions = cluster.node(0).step(Moment::default(), Event::Met(twin));
    let is_clash =
        |action: &Action| matches!(action, Action::Note(crate::message::Note::Clash(NodeId(1))));
    assert!(actions.iter().any(is_clash), "{actions:?}");
    assert_eq!(cluster.node(0).roster().name(NodeId(1)), "b");
}
