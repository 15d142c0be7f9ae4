//! The machines, their clocks, and what happens next.

mod clocks;
mod disks;
mod happening;
mod wire;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use abide_replica::limits::FORGET_AFTER;
use abide_replica::{
    Action, Answer, Birth, Call, Config, Contact, Event, Found, Letter, Message, Moment, Mutant,
    Node, NodeId,
};
use abide_session::{Slot, Subject, Time};

use crate::check::Violation;
use crate::network::{MILLI, Network, Real, SECOND};
use crate::random::Random;
use crate::surveys;
use disks::Disk;
use happening::Due;
pub(crate) use happening::Happening;
pub(crate) use wire::{Kind, Meter, Traffic};

use crate::trace::{Trace, is_sure_read, kind, name};

/// The wall clock when a run begins.
const WALL: u64 = 1_800_000_000_000;
/// How long a machine waits for one that does not answer.
const DIAL_TIMEOUT: Real = 300 * MILLI;
/// So many slots of a node are looked at after each of its steps; if there are more, after one of so many.
const FEW_SLOTS: u16 = 64;
const LOOK_AT_ALL_EVERY: u64 = 4096;

pub(crate) struct Machine {
    pub(crate) node: Option<Node>,
    name: String,
    /// Which process it is: what was sent to another one is lost.
    pub(crate) process: u64,
    pub(crate) birth: Birth,
    /// Whether it was in the list when all began. Others are told of in nobody's list, and join.
    pub(crate) is_listed: bool,
    /// Those of all its processes.
    births: BTreeSet<u64>,
    pub(crate) paused_until: Real,
    held_back: Vec<(Event, Option<u64>)>,
    wake: (u64, Real),
    /// Whether its process was told to leave.
    pub(crate) is_leaving: bool,
    /// Whether it gets no more calls, as it is about to be ended.
    pub(crate) is_closed: bool,
    /// Until when it was held up or dead.
    pub(crate) disturbed: Real,
    offset: i64,
    drift_ppm: i64,
    connected: BTreeMap<usize, u64>,
    /// The processes before, and when each died.
    pub(crate) corpses: Vec<(Node, Real)>,
    /// If it has one, what its processes have written down.
    disk: Option<Disk>,
    /// What will be there when it starts, if all lost their power at once: nobody goes on without it.
    pub(crate) asleep: Option<Node>,
}

pub(crate) struct World {
    pub(crate) now: Real,
    pub(crate) random: Random,
    pub(crate) network: Network,
    pub(crate) machines: Vec<Machine>,
    heap: BinaryHeap<Reverse<Due>>,
    order: u64,
    pub(crate) slots: u16,
    mutant: Option<Mutant>,
    /// Whether machines are started again with the list that they were first started with.
    pub(crate) lists_stay: bool,
    /// How long a name of a dead machine is known.
    pub(crate) forget_after: Duration,
    /// Whether a machine died so soon after it had met another that its disk does not tell of that. It takes itself
    /// for the last when it comes back: "Known, and left" in the design.
    pub(crate) has_forgotten: bool,
    pub(crate) trace: Trace,
    pub(crate) answers: Vec<(usize, u64, Answer)>,
    pub(crate) surveyed: Vec<(usize, u64, Option<Found>)>,
    /// Machines that have just answered a read without a flag.
    pub(crate) reads: Vec<usize>,
    /// Whose sessions each survey looks for.
    pub(crate) surveys: BTreeMap<u64, Subject>,
    /// The first thing that was wrong with a message.
    pub(crate) violation: Option<Violation>,
    pub(crate) notes: BTreeMap<&'static str, u64>,
    pub(crate) broken_invariant: Option<(usize, &'static str)>,
    /// Digests of two copies of a slot that differed in nothing but what is soon over.
    pub(crate) equal: BTreeSet<(u64, u64)>,
    /// By how much clocks have been off, if that was more than is promised to be borne.
    widest_ms: u64,
    /// Whether letters become bytes on their way.
    goes_by_wire: bool,
    /// What was sent, if anybody wants to know.
    pub(crate) meter: Option<Meter>,
    steps: u64,
    /// Where letters become bytes.
    bytes: Vec<u8>,
}

impl Machine {
    fn new(name: String, (offset, drift_ppm): (i64, i64), is_listed: bool) -> Self {
        Self {
            node: None,
            name,
            process: 0,
            birth: Birth(0),
            is_listed,
            births: BTreeSet::new(),
            paused_until: 0,
            held_back: Vec::new(),
            wake: (0, 0),
            is_leaving: false,
            is_closed: false,
            disturbed: 0,
            offset,
            drift_ppm,
            connected: BTreeMap::new(),
            corpses: Vec::new(),
            disk: None,
            asleep: None,
        }
    }
}

impl World {
    /// A world in which some of the last machines are in nobody's list.
    pub(crate) fn with_joiners(
        seed: u64,
        nodes: usize,
        joiners: usize,
        slots: u16,
        mutant: Option<Mutant>,
    ) -> Self {
        let mut random = Random::new(seed);
        let machine = |machine: usize| {
            let clock = clocks::draw(&mut random);
            Machine::new(format!("node-{machine}"), clock, machine + joiners < nodes)
        };
        let machines = (0..nodes).map(machine).collect();
        Self {
            now: 0,
            random,
            network: Network::default(),
            machines,
            heap: BinaryHeap::new(),
            order: 0,
            slots,
            mutant,
            lists_stay: false,
            forget_after: FORGET_AFTER,
            has_forgotten: false,
            trace: Trace::default(),
            answers: Vec::new(),
            surveyed: Vec::new(),
            reads: Vec::new(),
            surveys: BTreeMap::new(),
            violation: None,
            notes: BTreeMap::new(),
            broken_invariant: None,
            equal: BTreeSet::new(),
            widest_ms: 0,
            goes_by_wire: seed.is_multiple_of(8),
            meter: None,
            steps: 0,
            bytes: Vec::new(),
        }
    }

    pub(crate) fn at(&mut self, at: Real, happening: Happening) {
        self.order += 1;
        self.heap.push(Reverse(Due(at, self.order, happening)));
    }

    pub(crate) fn next(&mut self) -> Option<Happening> {
        let Reverse(Due(at, _, happening)) = self.heap.pop()?;
        self.now = at;
        Some(happening)
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Real> {
        self.heap.peek().map(|Reverse(Due(at, ..))| *at)
    }

    pub(crate) fn moment(&self, machine: usize) -> Moment {
        let machine = &self.machines[machine];
        let passed = self.now as i64 + self.now as i64 * machine.drift_ppm / 1_000_000;
        let wall = WALL as i64 + passed / 1000 + machine.offset;
        Moment {
            passed: Duration::from_micros(passed.max(0) as u64),
            wall: Time::from_millis(wall as u64),
        }
    }

    /// The wall clock of somebody whose clock is right.
    pub(crate) const fn true_wall(&self) -> Time {
        Self::wall_at(self.now)
    }

    /// The same at another time.
    pub(crate) const fn wall_at(at: Real) -> Time {
        Time::from_millis(WALL + at / MILLI)
    }

    pub(crate) fn is_up(&self, machine: usize) -> bool {
        self.machines[machine].node.is_some()
    }

    pub(crate) fn is_running(&self, machine: usize) -> bool {
        self.is_up(machine) && self.machines[machine].paused_until <= self.now
    }

    /// Whether it says that it leads the slot.
    pub(crate) fn leads(&self, machine: usize, slot: Slot) -> bool {
        let reign = self.machines[machine].node.as_ref().and_then(|node| node.reign(slot));
        reign.is_some_and(|reign| usize::from(reign.leader.0) == machine)
    }

    pub(crate) fn start(&mut self, machine: usize) {
        if self.is_up(machine) {
            return;
        }
        let moment = self.moment(machine);
        let now = self.now;
        let it = &mut self.machines[machine];
        let recovered = it.disk.as_mut().map(|disk| disk.read(now));
        let last = recovered.as_ref().and_then(|recovered| recovered.birth(&it.name));
        let after = last.map_or(0, |last| last.0 + 1);
        it.birth = it.next_birth(moment.wall.as_millis().max(after));
        it.process += 1;
        it.connected.clear();
        it.held_back.clear();
        (it.is_leaving, it.is_closed) = (false, false);
        it.paused_until = 0;
        it.wake = (0, 0);
        it.asleep = None;
        let config = self.config_of(machine);
        self.machines[machine].node = Some(match recovered {
            Some(recovered) => Node::restored(config, recovered, moment),
            None => Node::new(config, moment),
        });
        self.network.forget(machine, now);
        self.trace.line(now, || format!("node-{machine} starts"));
        self.give(machine, Event::Woken, None);
    }

    /// What a process of this machine is told.
    fn config_of(&self, machine: usize) -> Config {
        Config {
            roster: self.list_for(machine),
            own: NodeId(machine as u16),
            birth: self.machines[machine].birth,
            copies: 2,
            slots: self.slots,
            skew: Duration::from_secs(5),
            forget_after: self.forget_after,
            bytes_max: usize::MAX,
            mutant: self.mutant,
        }
    }

    /// What the operator writes into the list of a machine: itself, those of the beginning, and all others
    /// that have ever been started, unless lists stay as they were.
    fn list_for(&self, machine: usize) -> Vec<Contact> {
        let is_in = |(number, it): &(usize, &Machine)| {
            *number == machine || it.is_listed || (it.process > 0 && !self.lists_stay)
        };
        let machines = self.machines.iter().enumerate().filter(is_in);
        machines.map(|(number, _)| self.contact(number, Birth(0))).collect()
    }

    /// How others know a machine.
    fn contact(&self, machine: usize, birth: Birth) -> Contact {
        let (node, name) = (NodeId(machine as u16), self.machines[machine].name.clone());
        Contact { node, name, address: String::new(), birth }
    }

    pub(crate) fn kill(&mut self, machine: usize) {
        let now = self.now;
        self.trace.line(now, || format!("node-{machine} is killed"));
        self.trace.mix(now);
        let Some(node) = self.machines[machine].node.take() else { return };
        self.machines[machine].corpses.push((node, now));
        self.lose_what_is_not_kept(machine);
        for peer in 0..self.machines.len() {
            if peer != machine {
                self.sever(machine, peer);
            }
        }
        self.machines[machine].connected.clear();
    }

    /// Breaks a connection, so that both ends learn of it when a packet of the other's can reach them,
    /// and otherwise when they give up.
    pub(crate) fn sever(&mut self, a: usize, b: usize) {
        let Some(connection) = self.network.connection(a, b) else { return };
        let now = self.now;
        // What is on the wire arrives or does not.
        let lost_from = now + self.random.between(0, 2 * MILLI);
        self.network.sever(a, b, lost_from);
        for (to, from) in [(a, b), (b, a)] {
            let mut at = self.network.arrival(from, to, now, &mut self.random);
            if self.network.is_cut(from, to, now) {
                at = at.max(now + self.random.between(SECOND / 2, 2 * SECOND));
            }
            let process = self.machines[to].process;
            let event = Event::Broken(NodeId(from as u16));
            self.at(at, Happening::Arrives(to, process, Box::new(event), Some(connection)));
        }
    }

    /// An event comes to a machine; if it is paused, when it goes on.
    pub(crate) fn give(&mut self, machine: usize, event: Event, connection: Option<u64>) {
        if !self.is_up(machine) {
            return;
        }
        let is_behind = !self.machines[machine].held_back.is_empty();
        if !self.is_running(machine) || is_behind {
            self.machines[machine].held_back.push((event, connection));
            return;
        }
        let it = &mut self.machines[machine];
        // A machine knows a connection from when it was told of it until it was told of its end.
        match (&event, connection) {
            (Event::Connected(peer), Some(connection)) => {
                let peer = usize::from(peer.0);
                let before = it.connected.insert(peer, connection);
                if before.is_some_and(|before| before > connection) {
                    it.connected.insert(peer, before.unwrap_or_default());
                    return;
                }
                let birth = self.machines[peer].birth;
                self.step(machine, Event::Met(self.contact(peer, birth)));
            }
            (Event::Broken(peer), Some(connection)) => {
                let peer = usize::from(peer.0);
                if it.connected.get(&peer) != Some(&connection) {
                    return;
                }
                it.connected.remove(&peer);
            }
            (Event::Received(peer, _), Some(connection)) => {
                let peer = usize::from(peer.0);
                if it.connected.get(&peer) != Some(&connection) {
                    self.refuse(machine, peer, connection);
                    return;
                }
            }
            _ => {}
        }
        self.step(machine, event);
    }

    /// Something came on a connection of which this end knows nothing: who sent it learns that it is
    /// broken.
    fn refuse(&mut self, machine: usize, peer: usize, connection: u64) {
        if self.network.connection(machine, peer) == Some(connection) {
            *self.notes.entry("connections that one end knew nothing of").or_default() += 1;
            self.sever(machine, peer);
        }
    }

    fn step(&mut self, machine: usize, event: Event) {
        let (moment, now) = (self.moment(machine), self.now);
        self.trace.mix(now ^ (machine as u64) << 56 ^ kind(&event));
        self.trace.line(now, || format!("node-{machine} <- {event:?}"));
        let Some(node) = &mut self.machines[machine].node else { return };
        let actions = node.step(moment, event);
        self.steps += 1;
        let is_looked_at = self.slots <= FEW_SLOTS || self.steps.is_multiple_of(LOOK_AT_ALL_EVERY);
        if is_looked_at && let Err(broken) = node.check_invariants() {
            self.broken_invariant.get_or_insert((machine, broken.0));
        }
        for action in actions {
            self.act(machine, action);
        }
        self.write_down(machine);
    }

    fn act(&mut self, machine: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Send(to, letter) => self.send(machine, usize::from(to.0), letter),
            Action::Dial(to) => {
                let process = self.machines[machine].process;
                let peer = usize::from(to.0);
                let at = now + self.random.between(300, 1800);
                self.at(at, Happening::Dialed(machine, process, peer));
            }
            Action::Answer(number, answer) => {
                self.reads.extend(is_sure_read(&answer).then_some(machine));
                self.answers.push((machine, number, answer));
            }
            Action::Surveyed(number, found) => self.surveyed.push((machine, number, found)),
            Action::Know(_) => {}
            Action::Forget(_) => *self.notes.entry("names forgotten").or_default() += 1,
            Action::Wake(passed) => self.wake(machine, passed),
            Action::Note(note) => {
                *self.notes.entry(name(&note)).or_default() += 1;
                self.trace.line(now, || format!("node-{machine} notes {note:?}"));
            }
        }
    }

    fn wake(&mut self, machine: usize, passed: Duration) {
        let now = self.now;
        let it = &mut self.machines[machine];
        let micros = passed.as_micros() as u64;
        if it.wake.0 == micros && it.wake.1 > now {
            return;
        }
        let process = it.process;
        // The first microsecond of real time at which the machine's clock shows it.
        let real = (micros as i64 * 1_000_000 / (1_000_000 + it.drift_ppm)).max(0) as u64 + 2;
        let at = real.max(now + 1);
        it.wake = (micros, at);
        self.at(at, Happening::Arrives(machine, process, Box::new(Event::Woken), None));
    }

    fn send(&mut self, from: usize, to: usize, letter: Letter) {
        if let Message::Answered(_, answer) = &letter.message {
            self.reads.extend(is_sure_read(answer).then_some(from));
        }
        if let Message::Surveyed(number, slots, found) = &letter.message {
            let told = surveys::told(self, from, *number, slots, found);
            self.violation = self.violation.take().or_else(|| told.err());
        }
        let Some(connection) = self.machines[from].connected.get(&to).copied() else { return };
        let now = self.now;
        self.trace.line(now, || {
            let is_noise = matches!(letter.message, Message::Ping { .. } | Message::Pong { .. });
            if is_noise { String::new() } else { format!("node-{from} -> node-{to}: {letter:?}") }
        });
        let at = self.network.arrival(from, to, now, &mut self.random);
        if !self.network.carries(connection, at) {
            return;
        }
        let process = self.machines[to].process;
        let event = Event::Received(NodeId(from as u16), self.carried(letter));
        self.at(at, Happening::Arrives(to, process, Box::new(event), Some(connection)));
    }

    pub(crate) fn arrives(
        &mut self,
        machine: usize,
        process: u64,
        event: Event,
        connection: Option<u64>,
    ) {
        if self.machines[machine].process != process {
            return;
        }
        let is_message = matches!(event, Event::Received(..));
        if is_message && connection.is_some_and(|it| !self.network.carries(it, self.now)) {
            return;
        }
        self.give(machine, event, connection);
    }

    pub(crate) fn dialed(&mut self, machine: usize, process: u64, peer: usize) {
        // Who has died since makes no connection any more.
        if self.machines[machine].process != process || !self.is_up(machine) {
            return;
        }
        let now = self.now;
        if self.network.is_cut(machine, peer, now) || self.network.is_cut(peer, machine, now) {
            let event = Event::Unreachable(NodeId(peer as u16));
            self.at(
                now + DIAL_TIMEOUT,
                Happening::Arrives(machine, process, Box::new(event), None),
            );
        } else if !self.is_up(peer) {
            self.give(machine, Event::Refused(NodeId(peer as u16)), None);
        } else if self.network.connection(machine, peer).is_none() {
            let connection = self.network.connect(machine, peer);
            for (to, from) in [(machine, peer), (peer, machine)] {
                let at = self.network.arrival(from, to, now, &mut self.random);
                let process = self.machines[to].process;
                let event = Event::Connected(NodeId(from as u16));
                self.at(at, Happening::Arrives(to, process, Box::new(event), Some(connection)));
            }
        } else {
            // The other has made it in the meantime.
            let event = Event::Unreachable(NodeId(peer as u16));
            self.give(machine, event, None);
        }
    }

    pub(crate) fn resume(&mut self, machine: usize) {
        if !self.is_running(machine) {
            return;
        }
        let now = self.now;
        self.trace.line(now, || format!("node-{machine} goes on"));
        for (event, connection) in std::mem::take(&mut self.machines[machine].held_back) {
            self.give(machine, event, connection);
        }
    }

    pub(crate) fn call(&mut self, machine: usize, number: u64, call: Call) {
        self.give(machine, Event::Call(number, call), None);
    }

    /// The machines that take calls.
    pub(crate) fn open(&self) -> Vec<usize> {
        self.up().into_iter().filter(|machine| !self.machines[*machine].is_closed).collect()
    }

    /// The machines that are not dead.
    pub(crate) fn up(&self) -> BTreeSet<usize> {
        (0..self.machines.len()).filter(|machine| self.is_up(*machine)).collect()
    }
}
