//! Those who use the session: what they asked for, what they were told, and what has to be true because of it.

use std::sync::LazyLock;
use std::time::Duration;

use abide_replica::{Answer, Call, Fault, Kept, Operation, Reply};
use abide_session::{Changes, Commit, Create, End, FieldChange, FieldName, Id, IdHash, Stamp};
use bytes::Bytes;

use crate::machine::{FIELD, Held, Read, WALL};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// Sets the field.
    Put,
    /// Ends the session.
    End,
    /// Reads it.
    Load,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Open,
    /// It was written, at this stamp, and is kept so well.
    Done(Stamp, Certainty),
    /// The same, and all processes that held it are gone.
    Lost,
    /// It may have been done, or will be.
    Unknown,
    /// Nothing changed; or it was a read.
    Over,
}

/// How well a write is kept, as its answer said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// By two processes.
    Full,
    /// By one that knows of everything.
    Degraded,
    /// By who may not know of everything.
    Sole,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attempt {
    pub(crate) request: Request,
    pub(crate) machine: usize,
    pub(crate) outcome: Outcome,
    /// While it is open: the writes that its answer has to show.
    pub(crate) required: Vec<usize>,
}

/// All that was asked for; the first is that the session was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    pub(crate) attempts: Vec<Attempt>,
}

/// The session.
pub(crate) fn session() -> IdHash {
    static SESSION: LazyLock<IdHash> = LazyLock::new(|| Id::from_random([0; 22]).hash());
    *SESSION
}

/// The call that makes it.
pub(crate) fn create() -> Operation {
    let mut changes = put(0);
    changes.created = Some(WALL);
    changes.seen = Some(WALL);
    changes.idle_timeout = Some(Duration::from_hours(1));
    changes.hard_deadline = Some(WALL.after(Duration::from_hours(10)));
    Operation::Create(session(), changes)
}

/// A value that no other write has: text shows how long it is.
fn put(number: usize) -> Changes {
    let mut changes = Changes::default();
    if let Ok(name) = FieldName::new(FIELD) {
        let value = Bytes::from(vec![0; number]);
        changes.fields.insert(name, FieldChange::blind(Some(value)));
    }
    changes
}

impl From<Kept> for Certainty {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Full | Kept::Spilled => Self::Full,
            Kept::Degraded => Self::Degraded,
            Kept::Sole => Self::Sole,
        }
    }
}

impl Attempt {
    /// What it wrote, if it is known to be written: and must not be gone.
    pub(crate) const fn done(&self) -> Option<(Stamp, Certainty)> {
        match self.outcome {
            Outcome::Done(stamp, certainty) => Some((stamp, certainty)),
            _ => None,
        }
    }

    /// Whether this shows what it wrote.
    pub(crate) fn is_in(&self, held: Held) -> bool {
        match (self.request, self.done()) {
            (Request::End, Some(_)) => held == Held::Ended,
            (_, Some((stamp, _))) => held.has(stamp),
            (_, None) => true,
        }
    }
}

/// What an answer means to who asked.
pub(crate) enum Told {
    Written(Stamp),
    /// Of a read.
    Shown(Read),
    /// There is no such session.
    Gone,
    Unknown,
}

impl Told {
    pub(crate) fn by(answer: &Answer) -> Self {
        match &answer.reply {
            Reply::Create(Create::Created(stamp)) | Reply::Commit(Commit::Committed(stamp)) => {
                Self::Written(*stamp)
            }
            Reply::End(End::Ended) => Self::Written(Stamp::MAX),
            Reply::Load(_) => Read::of(answer).map_or(Self::Unknown, Self::Shown),
            Reply::Commit(Commit::Gone) | Reply::End(_) => Self::Gone,
            Reply::Fault(Fault::Unavailable) => Self::Unknown,
            _ => Self::Gone,
        }
    }
}

impl Client {
    pub(crate) fn count(&self, request: Request) -> usize {
        self.attempts.iter().skip(1).filter(|attempt| attempt.request == request).count()
    }

    /// The writes of which every answer without a flag has to show what they wrote.
    pub(crate) fn required(&self) -> Vec<usize> {
        let is_required = |attempt: &Attempt| {
            attempt.done().is_some_and(|(_, certainty)| certainty != Certainty::Sole)
        };
        (0..self.attempts.len()).filter(|number| is_required(&self.attempts[*number])).collect()
    }

    /// Whether anybody has asked for the session to be ended.
    pub(crate) fn end_was_tried(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.request == Request::End)
    }

    /// Whether it is known to have ended, to all who answer without a flag.
    pub(crate) fn has_ended(&self, required: &[usize]) -> bool {
        required.iter().any(|number| self.attempts[*number].request == Request::End)
    }

    pub(crate) fn has_open(&self) -> bool {
        self.attempts.iter().any(|attempt| attempt.outcome == Outcome::Open)
    }

    /// The session is gone with all that held it: there is nothing left to ask for.
    pub(crate) fn has_lost_all(&self) -> bool {
        self.attempts.first().is_some_and(|made| made.outcome == Outcome::Lost)
    }

    /// Asks for something, under a number.
    pub(crate) fn ask(&mut self, request: Request, machine: usize) -> (u64, Call) {
        let number = self.attempts.len();
        let operation = match request {
            Request::Put => Operation::Commit(session(), put(number)),
            Request::End => Operation::End(session()),
            Request::Load => Operation::Load(session()),
        };
        let required = self.required();
        self.attempts.push(Attempt { request, machine, outcome: Outcome::Open, required });
        (number as u64, Call { operation, now: WALL })
    }

    pub(crate) fn set(&mut self, number: usize, outcome: Outcome) {
        if let Some(attempt) = self.attempts.get_mut(number) {
            attempt.outcome = outcome;
            attempt.required.clear();
        }
    }

    /// A process is gone, and with it all that it was asked for.
    pub(crate) fn forget(&mut self, machine: usize) {
        for attempt in &mut self.attempts {
            if attempt.machine == machine && attempt.outcome == Outcome::Open {
                attempt.outcome = Outcome::Unknown;
                attempt.required.clear();
            }
        }
    }
}
