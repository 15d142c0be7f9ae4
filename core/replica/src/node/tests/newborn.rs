//! Processes that are born while somebody is in doubt: they may hold what nobody else can be asked for.

use abide_session::Record;

use super::*;
use crate::entry::Entry;
use crate::message::Entries;
use crate::roster::Statement;

const OURS: NodeId = NodeId(0);
const SILENT: NodeId = NodeId(1);
const OTHER: NodeId = NodeId(2);

/// One node of three that meets another, played by the test.
struct Alone {
    node: Node,
    now: Moment,
    said: Vec<Message>,
    answers: Vec<Answer>,
}

impl Alone {
    fn new() -> Self {
        let now = Moment { passed: Duration::ZERO, wall: Time::from_secs(1_800_000_000) };
        let roster = Contact::in_order(["a", "b", "c"]);
        let config = Config { slots: 1, ..Config::new(roster, OURS, Birth(1)) };
        Self { node: Node::new(config, now), now, said: Vec::new(), answers: Vec::new() }
    }

    /// An event, and the answers of the other to the pings that follow from it.
    fn give(&mut self, event: Event, birth: u64) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.node.step(self.now, event) {
                match action {
                    Action::Send(OTHER, Letter { message: Message::Ping { number, .. }, .. }) => {
                        let ping = Message::Ping { number, heard: number, is_whole: false };
                        for message in [ping, Message::Pong { number, era: 0 }] {
                            let letter = Letter { birth: Birth(birth), message };
                            events.push(Event::Received(OTHER, letter));
                        }
                    }
                    Action::Send(OTHER, letter) => self.said.push(letter.message),
                    Action::Answer(_, answer) => self.answers.push(answer),
                    _ => {}
                }
            }
        }
    }

    /// The other says this.
    fn hear(&mut self, birth: u64, message: Message) {
        let letter = Letter { birth: Birth(birth), message };
        self.give(Event::Received(OTHER, letter), birth);
    }

    /// The other is there, as this process, and has heard of the silent one. All know all.
    fn meet(&mut self, birth: u64, silent: Known) {
        self.give(Event::Connected(OTHER), birth);
        let knows = BTreeSet::from([OURS, SILENT, OTHER]);
        let statement = |node, birth| Statement { node, birth, number: 1, knows: knows.clone() };
        let statements = [statement(OTHER, Birth(birth)), statement(SILENT, silent.birth)];
        self.hear(birth, Message::Nodes(Vec::new(), statements.to_vec()));
        let view = vec![(SILENT, silent), (OTHER, Known::up(Birth(birth)))];
        self.hear(birth, Message::Hello(view, Vec::new()));
    }

    fn pass(&mut self, millis: u64, birth: u64) {
        for _ in 0..millis / 100 {
            self.now.passed += Duration::from_millis(100);
            self.now.wall = self.now.wall.after(Duration::from_millis(100));
            self.give(Event::Woken, birth);
        }
    }

    /// The reign in which the other was asked last what it holds.
    fn asked_in(&self) -> Option<Term> {
        self.said.iter().rev().find_map(|message| match message {
            Message::OfSlot(_, term, OfSlot::Ask(..)) => Some(*term),
            _ => None,
        })
    }

    fn hear_what_is_held(&mut self, birth: u64, entries: Entries) {
        let (slot, term) = (id(0, 1).slot(), self.asked_in().unwrap());
        let digest = u64::from(!entries.is_empty());
        let others = BTreeSet::new();
        let held = OfSlot::Held { part: 0, entries, is_last: true, digest, era: 0, others };
        self.hear(birth, Message::OfSlot(slot, term, held));
    }
}

fn session(now: Time) -> Entry {
    let Operation::Create(_, changes) = create(id(0, 1), now) else { panic!("it makes one") };
    let stamp = abide_session::Clock::new(SILENT.0).tick(now);
    Entry::Session(changes.at(stamp, &Record::default()).unwrap())
}

#[test]
fn who_is_born_while_another_is_in_doubt_is_asked_before_anything_is_said_to_be_unknown() {
    let mut alone = Alone::new();
    alone.meet(10, Known::up(Birth(5)));
    alone.pass(3000, 10);
    alone.hear_what_is_held(10, Entries::new());
    let slot = id(0, 1).slot();
    assert!(alone.node.in_sync(slot).is_some(), "it leads");
    assert!(!alone.node.leads_whole(slot, alone.now), "the silent one may hold more");

    // The other is restarted, and is given a session by the silent one, which dies.
    alone.said.clear();
    alone.give(Event::Broken(OTHER), 10);
    alone.meet(20, Known::dead(Birth(5)));
    let call = Call { operation: Operation::Load(id(0, 1)), now: alone.now.wall };
    alone.give(Event::Call(1, call), 20);
    assert!(alone.answers.is_empty(), "nobody knows yet: {:?}", alone.answers);
    let held = vec![(id(0, 1), session(alone.now.wall))];
    alone.hear_what_is_held(20, held);
    alone.pass(100, 20);
    assert!(is_live(alone.answers.first().unwrap()), "{:?}", alone.answers);
}
