//! A machine: the process that runs on it, and what can be seen of that without asking.

use std::sync::Arc;
use std::time::Duration;

use abide_replica::{
    Action, Answer, Birth, Call, Config, Contact, Entry, Event, Kept, Moment, Mutant, Node, NodeId,
    Operation, Reply, Term,
};
use abide_session::{IdHash, Loaded, Slot, Stamp, Time};

use crate::client::session;
use crate::rendering::{STARTED, hash_of};

/// The wall clock of every machine, always. Stamps, terms and births are told from it, so they count.
pub(crate) const WALL: Time = Time::from_millis(1_800_000_000_000);
/// The number of a call that nobody makes.
const ASIDE: u64 = u64::MAX;
/// The field that is written.
pub(crate) const FIELD: &str = "a";

#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// The process, if one runs.
    pub(crate) process: Option<Arc<Process>>,
    /// How many there have been.
    pub(crate) births: u64,
    /// For how long the process has been stopped, in steps of time.
    pub(crate) paused: Option<u8>,
    /// What the last process held that died, while a call is open.
    pub(crate) corpse: Held,
}

/// What runs on a machine. It does not change: after each event there is another.
pub(crate) struct Process {
    pub(crate) node: Node,
    /// Its clock.
    pub(crate) passed: Duration,
    /// When it is to be woken.
    pub(crate) wake: Duration,
    /// What tells it from others.
    pub(crate) hash: u64,
    pub(crate) held: Held,
    /// What it would answer at once if it were asked for the session.
    pub(crate) read: Option<Read>,
    /// Whether it says that it may be killed.
    pub(crate) is_safe: bool,
    /// Its reign, if it leads.
    pub(crate) leads: Option<Term>,
}

/// What a process holds of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    #[default]
    Nothing,
    /// A session, with its field written then.
    Session(Stamp),
    Ended,
}

/// An answer to who asked for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) shown: Held,
    /// Whether another node may hold more, and can not be asked.
    pub(crate) is_sole: bool,
}

pub(crate) fn slot() -> Slot {
    Slot::of_number(0)
}

pub(crate) fn node_id(machine: usize) -> NodeId {
    NodeId(machine as u16)
}

pub(crate) fn machine_of(node: NodeId) -> usize {
    usize::from(node.0)
}

/// When so many processes of a machine had started: a process that has to begin again takes a later birth than
/// its own, and an earlier one than that of the next process.
pub(crate) fn birth(births: u64) -> Birth {
    Birth(WALL.as_millis() + births * BIRTHS_APART)
}
const BIRTHS_APART: u64 = 100;

/// A process that has just started.
pub(crate) fn started(
    names: &[String],
    machine: usize,
    births: u64,
    mutant: Option<Mutant>,
) -> Node {
    let config = Config {
        slots: 1,
        mutant,
        ..Config::new(Contact::in_order(names), node_id(machine), birth(births))
    };
    Node::new(config, Moment { passed: STARTED, wall: WALL })
}

impl Process {
    pub(crate) fn new(mut node: Node, passed: Duration, wake: Duration) -> Self {
        let id = session();
        let digest = node.table().digest(slot());
        let hash = hash_of(&(&node, digest), passed);
        let leads = node.in_sync(slot()).and_then(|_| node.reign(slot()));
        // Who does not lead passes a call on.
        let read = leads.and_then(|_| asked(node.clone(), passed, id));
        let is_safe = node.is_safe_to_stop();
        let held = Held::by(&node, id);
        Self { node, passed, wake, hash, held, read, is_safe, leads }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.wake <= self.passed
    }

    /// Whether it answers reads as one who knows of everything.
    pub(crate) fn is_sure(&self) -> bool {
        self.read.is_some_and(|read| !read.is_sole)
    }
}

/// What a node answers at once.
fn asked(mut node: Node, passed: Duration, id: IdHash) -> Option<Read> {
    let call = Call { operation: Operation::Load(id), now: WALL };
    let actions = node.step(Moment { passed, wall: WALL }, Event::Call(ASIDE, call));
    actions.iter().find_map(|action| match action {
        Action::Answer(ASIDE, answer) => Read::of(answer),
        _ => None,
    })
}

impl Read {
    /// None if it could not be done.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let Reply::Load(loaded) = &answer.reply else { return None };
        let shown = match loaded {
            Loaded::Live { record, .. } => {
                let written = record.visible(FIELD).map(|field| field.stamp);
                Held::Session(written.unwrap_or_default())
            }
            Loaded::Ended => Held::Ended,
            _ => Held::Nothing,
        };
        Some(Self { shown, is_sole: answer.kept == Kept::Sole })
    }
}

impl Held {
    pub(crate) fn by(node: &Node, id: IdHash) -> Self {
        match node.table().get(id) {
            Some(Entry::Session(record)) => {
                let written = record.fields.get(FIELD).map(|field| field.stamp);
                Self::Session(written.unwrap_or_default())
            }
            Some(_) => Self::Ended,
            None => Self::Nothing,
        }
    }

    /// Whether it has what was written at this stamp, or what came after it.
    pub(crate) fn has(self, stamp: Stamp) -> bool {
        match self {
            Self::Nothing => false,
            Self::Session(written) => written >= stamp,
            Self::Ended => true,
        }
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let led = self.node.reign(slot());
        let members = self.node.in_sync(slot());
        write!(f, "holds {:?}, reign {led:?}, in sync {members:?}, ", self.held)?;
        write!(f, "reads {:?}, safe {}", self.read, self.is_safe)
    }
}
