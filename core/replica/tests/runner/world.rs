//! Machines with real nodes on them, and a clock. Nothing happens but what a story says, and what follows
//! from it; that at once, and in one order.

mod faults;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use abide_replica::{
    Action, Answer, Birth, Call, Contact, Event, Found, Letter, Message, Moment, Node, NodeId,
    Operation, Survey,
};
use abide_session::{IdHash, Slot, Time};

use super::Step;
use super::roads::{Road, Roads};
use super::words;

/// The wall clock when a story begins.
const BEGINNING: Time = Time::from_secs(1_800_000_000);
/// How long a machine waits for one that does not answer.
const DIAL_TIMEOUT: Duration = Duration::from_millis(300);
/// Events that follow from one: more are nodes that never come to rest.
const MAX_EVENTS: usize = 200_000;
/// Lines of what happened that are shown when a step fails.
const SHOWN_LINES: usize = 150;

#[derive(Debug, Default)]
pub(crate) struct World {
    machines: Vec<Machine>,
    copies: Option<usize>,
    /// The slots in which the story has sessions. There are others before them, of which nothing is told.
    slots: BTreeSet<Slot>,
    has_begun: bool,
    /// The mistake that nodes make.
    #[cfg(feature = "mutants")]
    pub(crate) mutant: Option<abide_replica::Mutant>,
    now: Duration,
    roads: Roads,
    events: VecDeque<(usize, Event)>,
    /// Dials that come to nothing at this time: which process of which machine dialled whom.
    dials: Vec<(Duration, usize, Birth, NodeId)>,
    last_call: u64,
    /// The calls of each machine's process.
    calls: BTreeMap<usize, BTreeSet<u64>>,
    /// Calls whose process was killed before they were answered.
    lost: BTreeSet<u64>,
    answers: BTreeMap<u64, Answer>,
    found: BTreeMap<u64, Option<Found>>,
    /// What the last step made nodes say.
    pub(crate) sent: Vec<String>,
    pub(crate) trace: Vec<String>,
}

/// A machine of the roster.
#[derive(Debug)]
struct Machine {
    name: String,
    node: Option<Node>,
    birth: Birth,
    wakes_at: Duration,
    is_paused: bool,
    /// What came for it while it was paused.
    held_back: Vec<Event>,
    /// Nobody listens there.
    refuses: bool,
    /// It is in no other's list.
    joins: bool,
    /// What its processes have written down, if it has a disk.
    disk: Option<Vec<Vec<u8>>>,
}

impl World {
    pub(crate) fn list(&mut self, names: &[&str]) -> Step {
        let machines = names.iter().map(|name| Machine {
            name: (*name).to_owned(),
            node: None,
            birth: Birth(0),
            wakes_at: Duration::ZERO,
            is_paused: false,
            held_back: Vec::new(),
            refuses: false,
            joins: false,
            disk: None,
        });
        self.machines = machines.collect();
        self.before_the_start()
    }

    pub(crate) fn join(&mut self, names: &[&str]) -> Step {
        for name in names {
            let place = self.place(name)?;
            self.machines[place].joins = true;
        }
        self.before_the_start()
    }

    pub(crate) fn give_disks(&mut self) -> Step {
        for machine in &mut self.machines {
            machine.disk = Some(Vec::new());
        }
        self.before_the_start()
    }

    pub(crate) fn copy(&mut self, count: &str) -> Step {
        self.copies = Some(words::number(count)?);
        self.before_the_start()
    }

    pub(crate) fn open(&mut self, slot: Slot) -> Step {
        self.slots.insert(slot);
        self.before_the_start()
    }

    fn before_the_start(&self) -> Step {
        if self.has_begun { Err("say this before the first `start`".to_owned()) } else { Ok(()) }
    }

    /// The list that a machine is started with: those of all others, and itself.
    fn list_for(&self, place: usize) -> Vec<Contact> {
        let places = 0..self.machines.len();
        let listed = places.filter(|other| *other == place || !self.machines[*other].joins);
        listed.map(|other| Contact { birth: Birth(0), ..self.contact(other) }).collect()
    }

    /// How a machine greets.
    fn contact(&self, place: usize) -> Contact {
        let Machine { name, birth, .. } = &self.machines[place];
        let (node, name, birth) = (id_of(place), name.clone(), *birth);
        Contact { node, name, address: String::new(), birth }
    }

    // What there is.

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.machines.iter().map(|machine| machine.name.as_str())
    }

    pub(crate) fn place(&self, name: &str) -> Step<usize> {
        let place = self.names().position(|other| other == name);
        place.ok_or_else(|| format!("{name} is not among the `nodes`"))
    }

    pub(crate) fn id(&self, name: &str) -> Step<NodeId> {
        self.place(name).map(id_of)
    }

    pub(crate) fn name_of(&self, node: NodeId) -> &str {
        self.machines.get(usize::from(node.0)).map_or("?", |machine| &machine.name)
    }

    pub(crate) fn list_of(&self, nodes: &BTreeSet<NodeId>) -> String {
        let names: Vec<&str> = nodes.iter().map(|node| self.name_of(*node)).collect();
        names.join(" ")
    }

    /// The nodes that run, by their places.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.machines.iter().enumerate().filter_map(|(at, it)| Some((at, it.node.as_ref()?)))
    }

    pub(crate) fn node(&mut self, name: &str) -> Step<&mut Node> {
        let place = self.place(name)?;
        let node = self.machines[place].node.as_mut();
        node.ok_or_else(|| format!("{name} does not run"))
    }

    pub(crate) fn has_begun_again(&self, name: &str) -> Step<bool> {
        let machine = &self.machines[self.place(name)?];
        let node = machine.node.as_ref().ok_or_else(|| format!("{name} does not run"))?;
        let own = node.view().get(self.id(name)?);
        Ok(own.is_some_and(|known| known.birth > machine.birth))
    }

    // The time.

    pub(crate) const fn now(&self) -> Duration {
        self.now
    }

    pub(crate) fn wall(&self) -> Time {
        BEGINNING.after(self.now)
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { passed: self.now, wall: self.wall() }
    }

    pub(crate) fn wait(&mut self, span: Duration) -> Step {
        let until = self.now + span;
        while self.now < until {
            self.go_on(until)?;
        }
        Ok(())
    }

    /// Goes on to the next time at which something is due, but not past this one.
    pub(crate) fn go_on(&mut self, until: Duration) -> Step {
        let runs = |it: &&Machine| it.node.is_some() && !it.is_paused;
        let wakes = self.machines.iter().filter(runs).map(|it| it.wakes_at);
        let next = wakes.chain(self.dials.iter().map(|dial| dial.0)).min();
        self.now = next.unwrap_or(until).clamp(self.now, until);
        let now = self.now;
        for (_, place, birth, to) in self.dials.extract_if(.., |dial| dial.0 <= now) {
            if self.machines[place].birth == birth {
                self.events.push_back((place, Event::Unreachable(to)));
            }
        }
        for (place, machine) in self.machines.iter().enumerate() {
            if runs(&machine) && machine.wakes_at <= now {
                self.events.push_back((place, Event::Woken));
            }
        }
        self.settle()
    }

    // Letters and dials.

    fn arrive(&mut self, road: Road, letter: Letter) {
        self.note(road, &letter, "arrives now");
        self.events.push_back((road.1, Event::Received(id_of(road.0), letter)));
    }

    fn send(&mut self, road: Road, letter: Letter) {
        if !self.roads.is_connected(road.0, road.1) {
            return self.note(road, &letter, "is lost");
        }
        if self.is_told(&letter.message) {
            let kind = words::kind(&letter.message);
            let [from, to] = [road.0, road.1].map(|place| self.machines[place].name.as_str());
            self.sent.push(format!("{from}>{to} {kind}"));
        }
        if self.roads.is_clear(road) {
            self.note(road, &letter, "");
            self.events.push_back((road.1, Event::Received(id_of(road.0), letter)));
        } else {
            self.note(road, &letter, "waits");
            self.roads.keep(road, letter);
        }
    }

    fn dial(&mut self, from: usize, to: NodeId) {
        let peer = usize::from(to.0);
        if self.roads.is_connected(from, peer) {
            return;
        }
        let machine = &self.machines[peer];
        if !self.roads.is_open(from, peer) || (machine.node.is_some() && machine.is_paused) {
            let birth = self.machines[from].birth;
            self.dials.push((self.now + DIAL_TIMEOUT, from, birth, to));
        } else if machine.node.is_none() || machine.refuses {
            self.events.push_back((from, Event::Refused(to)));
        } else {
            self.roads.connect(from, peer);
            for (to, from) in [(from, peer), (peer, from)] {
                self.events.push_back((to, Event::Met(self.contact(from))));
                self.events.push_back((to, Event::Connected(id_of(from))));
            }
        }
    }

    // What nodes do.

    pub(crate) fn call(&mut self, name: &str, operation: Operation) -> Step<u64> {
        let number = self.number(name)?;
        let call = Call { operation, now: self.wall() };
        self.event(name, Event::Call(number, call))?;
        Ok(number)
    }

    pub(crate) fn survey(&mut self, name: &str, survey: Survey) -> Step<u64> {
        let number = self.number(name)?;
        self.event(name, Event::Survey(number, survey))?;
        Ok(number)
    }

    /// Of the next call.
    fn number(&mut self, name: &str) -> Step<u64> {
        self.last_call += 1;
        self.calls.entry(self.place(name)?).or_default().insert(self.last_call);
        Ok(self.last_call)
    }

    /// Whether there is an answer, or will be none.
    pub(crate) fn is_done(&self, number: u64) -> bool {
        self.is_answered(number) || self.lost.contains(&number)
    }

    fn is_answered(&self, number: u64) -> bool {
        self.answers.contains_key(&number) || self.found.contains_key(&number)
    }

    pub(crate) fn told(&self, number: u64, sessions: &BTreeMap<String, IdHash>) -> String {
        if let Some(answer) = self.answers.get(&number) {
            words::answer(answer)
        } else if let Some(found) = self.found.get(&number) {
            words::found(found.as_ref(), sessions)
        } else {
            let told = if self.lost.contains(&number) { "lost" } else { "waits" };
            told.to_owned()
        }
    }

    /// Everything that follows, until all are at rest.
    fn settle(&mut self) -> Step {
        for _ in 0..MAX_EVENTS {
            let Some((place, event)) = self.events.pop_front() else { return Ok(()) };
            self.step(place, event)?;
        }
        Err("the nodes never come to rest".to_owned())
    }

    fn step(&mut self, place: usize, event: Event) -> Step {
        let moment = self.moment();
        let machine = &mut self.machines[place];
        if machine.is_paused {
            machine.held_back.push(event);
            return Ok(());
        }
        let Some(node) = machine.node.as_mut() else { return Ok(()) };
        if let Some(what) = words::event(&event) {
            self.trace.push(format!("{:>12?}  {}: {what}", moment.passed, machine.name));
        }
        let actions = node.step(moment, event);
        node.check_invariants().map_err(|broken| {
            format!("at {} it is no longer true that {}", machine.name, broken.0)
        })?;
        if let Some(disk) = &mut machine.disk {
            disk.push(node.take_news());
        }
        for action in actions {
            match action {
                Action::Send(to, letter) => self.send((place, usize::from(to.0)), letter),
                Action::Dial(to) => self.dial(place, to),
                Action::Wake(passed) => self.machines[place].wakes_at = passed,
                Action::Note(note)
                    if words::slot_of(note).is_none_or(|of| self.slots.contains(&of)) =>
                {
                    let name = &self.machines[place].name;
                    self.trace.push(format!("{:>12?}  {name}: {note:?}", moment.passed));
                }
                Action::Note(_) | Action::Know(_) | Action::Forget(_) => {}
                Action::Answer(number, answer) => {
                    self.answers.insert(number, answer);
                }
                Action::Surveyed(number, found) => {
                    self.found.insert(number, found);
                }
            }
        }
        Ok(())
    }

    // What happened.

    /// Whether this is of interest to who reads the story.
    fn is_told(&self, message: &Message) -> bool {
        match message {
            Message::Ping { .. } | Message::Pong { .. } => false,
            Message::OfSlot(slot, ..) => self.slots.contains(slot),
            _ => true,
        }
    }

    fn note(&mut self, (from, to): Road, letter: &Letter, what: &str) {
        if !self.is_told(&letter.message) {
            return;
        }
        let [from, to] = [from, to].map(|place| self.machines[place].name.as_str());
        let letter = words::letter(&letter.message);
        let line = format!("{:>12?}  {from} -> {to}  {letter} {what}", self.now);
        self.trace.push(line.trim_end().to_owned());
    }

    pub(crate) fn sent_in_words(&self) -> String {
        if self.sent.is_empty() { "none".to_owned() } else { self.sent.join(", ") }
    }

    pub(crate) fn last_of_the_trace(&self) -> String {
        let names = self.names().enumerate().map(|(place, name)| format!("n{place} is {name}"));
        let names = names.collect::<Vec<_>>().join(", ");
        let from = self.trace.len().saturating_sub(SHOWN_LINES);
        format!("({names})\n{}", self.trace[from..].join("\n"))
    }
}

fn id_of(place: usize) -> NodeId {
    NodeId(u16::try_from(place).unwrap_or(u16::MAX))
}
