//! What becomes of a process by what happens to it, remembered.
//!
//! Two states differ often in what happens on one machine only, so the same happens to the same process again and
//! again. A process is told from others by its hash, what happens to it as well: what came of both is looked up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use abide_replica::{Action, Answer, Call, Event, Moment, Note};

use crate::check::{Broken, Property};
use crate::machine::{Process, WALL, machine_of, node_id};
use crate::network::{Item, Sent};

/// Something happens to a process.
#[derive(Debug)]
pub(crate) enum Happened {
    /// This comes from there.
    Came(usize, Sent),
    Called(u64, Call),
    Refused(usize),
    Unreachable(usize),
    Woken,
}

/// Something that a process does.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Send(usize, Sent),
    Dial(usize),
    Answer(u64, Answer),
    Note(Note),
}

/// What became of a process.
pub(crate) struct Step {
    pub(crate) process: Arc<Process>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) invariants: Result<(), Broken>,
    /// Whether it was told that nobody needs what it holds.
    pub(crate) has_forgotten: bool,
}

/// So many steps are remembered by each thread; then it begins anew.
const REMEMBERED: usize = 400_000;

thread_local! {
    static KNOWN: RefCell<HashMap<(u64, u64), Arc<Step>>> = RefCell::new(HashMap::new());
}

/// What came of it, if it is known, and otherwise what comes of it now.
fn known(process: &Process, what: u64, step: impl FnOnce() -> Step) -> Arc<Step> {
    let key = (process.hash, what);
    if let Some(step) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
        return step;
    }
    let step = Arc::new(step());
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&step));
    });
    step
}

fn hash_of(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Happened {
    fn hash(&self) -> u64 {
        match self {
            Self::Came(from, sent) => hash_of((0, from, sent.hash)),
            // There is one session, and what is asked for has the number of the call in it.
            Self::Called(number, call) => hash_of((1, number, format!("{call:?}"))),
            Self::Refused(to) => hash_of((2, to)),
            Self::Unreachable(to) => hash_of((3, to)),
            Self::Woken => hash_of(4),
        }
    }

    fn event(&self) -> Event {
        match self {
            Self::Came(from, sent) => match &*sent.item {
                Item::Connected => Event::Connected(node_id(*from)),
                Item::Broken | Item::GivenUp => Event::Broken(node_id(*from)),
                Item::Letter(letter) => Event::Received(node_id(*from), letter.clone()),
            },
            Self::Called(number, call) => Event::Call(*number, call.clone()),
            Self::Refused(to) => Event::Refused(node_id(*to)),
            Self::Unreachable(to) => Event::Unreachable(node_id(*to)),
            Self::Woken => Event::Woken,
        }
    }

    /// Whether somebody else has answered a call.
    pub(crate) fn is_an_answer(&self) -> bool {
        matches!(self, Self::Came(_, sent) if sent.answer().is_some())
    }
}

impl Process {
    /// Something happens to it.
    pub(crate) fn step(&self, happened: &Happened) -> Arc<Step> {
        known(self, happened.hash(), || self.after_event(happened.event()))
    }

    fn after_event(&self, event: Event) -> Step {
        let (mut node, mut wake) = (self.node.clone(), self.wake);
        let actions = node.step(Moment { passed: self.passed, wall: WALL }, event);
        let invariants = node
            .check_invariants()
            .map_err(|broken| Broken { property: Property::Invariants, what: broken.0.to_owned() });
        let mut effects = Vec::new();
        let mut has_forgotten = false;
        for action in actions {
            match action {
                Action::Send(to, letter) => {
                    effects.push(Effect::Send(machine_of(to), Sent::new(Item::Letter(letter))));
                }
                Action::Dial(to) => effects.push(Effect::Dial(machine_of(to))),
                Action::Answer(number, answer) => effects.push(Effect::Answer(number, answer)),
                Action::Note(note) => {
                    has_forgotten |= matches!(note, Note::Forgot(_));
                    effects.push(Effect::Note(note));
                }
                Action::Wake(time) => wake = time,
                // Nobody looks for sessions here, and all know each other from the start.
                Action::Surveyed(..) | Action::Know(_) | Action::Forget(_) => {}
            }
        }
        let process = Arc::new(Self::new(node, self.passed, wake));
        Step { process, effects, invariants, has_forgotten }
    }

    /// Time goes on.
    pub(crate) fn after(&self, time: Duration) -> Arc<Self> {
        let passed = self.passed + time;
        self.changed(hash_of((5, time)), || Self::new(self.node.clone(), passed, self.wake))
    }

    /// Pings from and to each of the others get other numbers: see [`abide_replica::Node::renumber_pings`].
    pub(crate) fn renumbered(&self, numbers: &[(usize, Vec<u64>, Vec<u64>)]) -> Arc<Self> {
        self.changed(hash_of((6, numbers)), || {
            let mut node = self.node.clone();
            for (other, ours, theirs) in numbers {
                node.renumber_pings(node_id(*other), ours, theirs);
            }
            Self::new(node, self.passed, self.wake)
        })
    }

    fn changed(&self, what: u64, process: impl FnOnce() -> Self) -> Arc<Self> {
        let step = known(self, what, || Step {
            process: Arc::new(process()),
            effects: Vec::new(),
            invariants: Ok(()),
            has_forgotten: false,
        });
        Arc::clone(&step.process)
    }
}
