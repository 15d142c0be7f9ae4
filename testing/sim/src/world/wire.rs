//! Letters as bytes: some worlds send them so, and who measures counts them.

use std::collections::BTreeMap;

use abide_replica::{Letter, Message, OfSlot, wire};

use super::World;
use crate::check::Violation;

/// What was sent, by what it was about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(BTreeMap<Kind, Traffic>);

/// How much of something was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) letters: u64,
    pub(crate) bytes: u64,
    /// Entries of sessions in them.
    pub(crate) entries: u64,
}

/// What a letter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// That both are there, and count on each other.
    Pings,
    /// Which processes there are, and who leads.
    Views,
    /// Calls that were passed on, and their answers.
    Calls,
    /// Changes, and that they are held.
    Changes,
    /// What others hold and are asked for, and what they are given so that they hold it.
    Copies,
}

impl Meter {
    fn count(&mut self, message: &Message, bytes: usize) {
        let traffic = self.0.entry(Kind::of(message)).or_default();
        traffic.letters += 1;
        traffic.bytes += bytes as u64;
        traffic.entries += entries_in(message);
    }

    /// What was sent of these kinds.
    pub(crate) fn of(&self, kinds: &[Kind]) -> Traffic {
        let mut sum = Traffic::default();
        for traffic in kinds.iter().filter_map(|kind| self.0.get(kind)) {
            sum.letters += traffic.letters;
            sum.bytes += traffic.bytes;
            sum.entries += traffic.entries;
        }
        sum
    }
}

impl Kind {
    fn of(message: &Message) -> Self {
        match message {
            Message::Ping { .. } | Message::Pong { .. } => Self::Pings,
            Message::OfSlot(_, _, said) => match said {
                OfSlot::Replicate(..) | OfSlot::Kept(_) | OfSlot::Missed(_) => Self::Changes,
                OfSlot::Reign | OfSlot::Superseded(_) | OfSlot::Refused(_) => Self::Views,
                _ => Self::Copies,
            },
            Message::Pass(..)
            | Message::Answered(..)
            | Message::Lost(_)
            | Message::NotLeader(..)
            | Message::Survey(..)
            | Message::Surveyed(..) => Self::Calls,
            _ => Self::Views,
        }
    }
}

fn entries_in(message: &Message) -> u64 {
    let Message::OfSlot(_, _, said) = message else { return 0 };
    match said {
        OfSlot::Replicate(_, entries)
        | OfSlot::Held { entries, .. }
        | OfSlot::Part { entries, .. } => entries.len() as u64,
        _ => 0,
    }
}

impl World {
    /// A letter as it comes out at the other end.
    pub(super) fn carried(&mut self, letter: Letter) -> Letter {
        if !self.goes_by_wire && self.meter.is_none() {
            return letter;
        }
        self.bytes.clear();
        wire::write(&letter, &mut self.bytes);
        if let Some(meter) = &mut self.meter {
            meter.count(&letter.message, self.bytes.len());
        }
        if !self.goes_by_wire {
            return letter;
        }
        match read_back(&self.bytes) {
            Ok(read) => read,
            Err(violation) => {
                self.violation.get_or_insert(violation);
                letter
            }
        }
    }
}

/// P31: a letter is read as it was written, so it makes the same bytes again.
fn read_back(bytes: &[u8]) -> Result<Letter, Violation> {
    let broken = |what: String| Violation {
        property: "P31 a letter is read as it was written",
        what,
        session: None,
    };
    let letter = wire::read(bytes).map_err(|unread| broken(unread.to_string()))?;
    let mut again = Vec::with_capacity(bytes.len());
    wire::write(&letter, &mut again);
    if again == bytes { Ok(letter) } else { Err(broken(format!("{letter:?}"))) }
}
