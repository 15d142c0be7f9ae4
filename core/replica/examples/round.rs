//! What a round of 100 ms costs a node of a cluster in which all is well and nobody asks for anything, and
//! what it costs all of them together when one leaves:
//! `cargo run --release --example round -p abide-replica`.

#![expect(clippy::print_stdout, reason = "a program that measures says what it has measured")]
#![expect(clippy::disallowed_methods, reason = "what measures time reads a clock")]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use abide_replica::{Action, Birth, Config, Contact, Event, Moment, Node, NodeId};
use abide_session::Time;

const ROUNDS: u32 = 100;

struct Cluster {
    ids: Vec<NodeId>,
    nodes: Vec<Node>,
    now: Moment,
    spent: Duration,
}

impl Cluster {
    fn new(count: u16) -> Self {
        let now = Moment { passed: Duration::ZERO, wall: Time::from_secs(1_800_000_000) };
        let start = |own| {
            let names = (0..count).map(|node| format!("node-{node}"));
            Node::new(Config::new(Contact::in_order(names), NodeId(own), Birth(1)), now)
        };
        let ids = (0..count).map(NodeId).collect();
        Self { ids, nodes: (0..count).map(start).collect(), now, spent: Duration::ZERO }
    }

    /// Events, and all that follows from them at once.
    fn give(&mut self, events: Vec<(NodeId, Event)>) {
        let mut events = VecDeque::from(events);
        while let Some((machine, event)) = events.pop_front() {
            let since = Instant::now();
            let actions = self.nodes[usize::from(machine.0)].step(self.now, event);
            self.spent += since.elapsed();
            for action in actions {
                if let Action::Send(to, letter) = action {
                    events.push_back((to, Event::Received(machine, letter)));
                }
            }
        }
    }

    fn pass(&mut self, rounds: u32) {
        for _ in 0..rounds {
            let passed = Duration::from_millis(100);
            self.now.passed += passed;
            self.now.wall = self.now.wall.after(passed);
            let woken = self.ids.iter().map(|node| (*node, Event::Woken)).collect();
            self.give(woken);
        }
    }
}

fn main() {
    for count in [2, 5] {
        let mut cluster = Cluster::new(count);
        let ids = cluster.ids.clone();
        let pairs = ids.iter().flat_map(|node| ids.iter().map(move |peer| (*node, *peer)));
        let pairs = pairs.filter(|(node, peer)| node != peer);
        cluster.give(pairs.map(|(node, peer)| (node, Event::Connected(peer))).collect());
        cluster.pass(50);
        let are_safe = cluster.nodes.iter_mut().all(Node::is_safe_to_stop);
        cluster.spent = Duration::ZERO;
        cluster.pass(ROUNDS);
        let each = cluster.spent / ROUNDS / u32::from(count);
        println!("{count} nodes: {each:?} a round (all is well: {are_safe})");
        cluster.spent = Duration::ZERO;
        cluster.give(vec![(NodeId(0), Event::Leave)]);
        let at_once = cluster.spent;
        while !cluster.nodes[0].has_left() {
            cluster.pass(1);
        }
        println!("{count} nodes, one leaves: {at_once:?} at once, {:?} in all", cluster.spent);
    }
}
