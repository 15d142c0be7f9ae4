//! What is kept under an id, and how two versions of it become one.
//!
//! Under an id there is nothing, a session, where the session went, or the mark that it has ended:
//! an entry only moves on in this order. Two versions of a session merge as records do. Of two
//! places where a session went the greater is taken, by an order that is the same everywhere: that
//! happens only if two sides of a cut network have renewed the same id, and then the session goes
//! on under both new ids, while the old one leads to one of them. Apart from all this, the hard
//! deadline is the latest that any version has: a mark that an id has ended outlasts every copy of
//! what was under it.
//!
//! [`Entry::merge`] is therefore commutative, associative and idempotent, and so is what a table
//! makes of it.
//!
//! Markers of removed fields stay as long as the session: they are what keeps a field from coming
//! back.

use alloc::boxed::Box;
use core::cmp::Ordering;
use core::mem;

use abide_session::{IdHash, Record, Stamp, Stub, Subject, Time};

/// What is kept under an id.
///
/// An entry that was merged or unpacked is in its *normal form*: a session that has ended is
/// [`Entry::Ended`], and no record has a field that was cleared. [`Entry::normal`] brings it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A session, or what is known of it.
    Session(Record),
    /// The session has another id now.
    Moved(Moved),
    /// It has ended, under this id. The mark stays until no copy of it can be worth anything.
    Ended {
        /// When every copy is worthless.
        hard_deadline: Time,
    },
}

/// Where a session went that was renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The id that it was given.
    pub to: IdHash,
    /// When the grace of this id is over; from then on it counts as ended.
    pub until: Time,
    /// What the session was before, if this id sees no more than that
    /// ([`abide_session::OldId::Freezes`]).
    pub before: Option<Box<Record>>,
    /// When every copy of what was under this id is worthless.
    pub hard_deadline: Time,
}

impl Entry {
    /// Takes over whatever is later in `other`.
    pub fn merge(&mut self, other: Self) {
        let hard_deadline = self.hard_deadline().max(other.hard_deadline());
        let ours = mem::replace(self, Self::Ended { hard_deadline });
        let mut merged = match (ours.normal(), other.normal()) {
            (Self::Session(mut ours), Self::Session(theirs)) => {
                ours.merge(theirs);
                Self::Session(ours)
            }
            (Self::Moved(ours), Self::Moved(theirs)) => {
                let later = if ours.order(&theirs) == Ordering::Less { theirs } else { ours };
                Self::Moved(later)
            }
            (ours, theirs) if ours.rank() < theirs.rank() => theirs,
            (ours, _) => ours,
        }
        .normal();
        match &mut merged {
            Self::Session(record) => record.hard_deadline = hard_deadline,
            Self::Moved(moved) => moved.hard_deadline = hard_deadline,
            Self::Ended { hard_deadline: ours } => *ours = hard_deadline,
        }
        *self = merged;
    }

    /// The one form that stands for all that mean the same.
    pub fn normal(self) -> Self {
        match self {
            Self::Session(record) if record.is_ended() => {
                Self::Ended { hard_deadline: record.hard_deadline }
            }
            Self::Session(record) => Self::Session(without_cleared(record)),
            Self::Moved(mut moved) => {
                moved.before = moved.before.map(|record| Box::new(without_cleared(*record)));
                Self::Moved(moved)
            }
            Self::Ended { .. } => self,
        }
    }

    /// The session, if it may be used at `now`.
    ///
    /// A delta that was merged into nothing is no session, whatever it says: only who knows when a
    /// session was made knows that it was.
    pub fn live(&self, now: Time) -> Option<&Record> {
        match self {
            Self::Session(record) => {
                let is_live = record.created != Time::MAX && !record.is_expired(now);
                (is_live && !record.is_ended()).then_some(record)
            }
            Self::Moved(_) | Self::Ended { .. } => None,
        }
    }

    /// When every copy of what is or was under this id is worthless.
    pub const fn hard_deadline(&self) -> Time {
        match self {
            Self::Session(record) => record.hard_deadline,
            Self::Moved(moved) => moved.hard_deadline,
            Self::Ended { hard_deadline } => *hard_deadline,
        }
    }

    /// When something has to become of it: a session expires, the grace of an old id is over, the
    /// mark of an end is needed no longer.
    pub(crate) fn due(&self) -> Time {
        match self {
            Self::Session(record) => record.deadline(),
            Self::Moved(moved) => moved.until.min(moved.hard_deadline),
            Self::Ended { hard_deadline } => *hard_deadline,
        }
    }

    /// Whom the session belongs to.
    pub(crate) fn subject(&self) -> Option<&Subject> {
        match self {
            Self::Session(record) => record.subject.value.as_ref(),
            Self::Moved(_) | Self::Ended { .. } => None,
        }
    }

    /// Whether it is a session, or what is known of one.
    pub(crate) const fn is_session(&self) -> bool {
        matches!(self, Self::Session(_))
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Session(_) => 0,
            Self::Moved(_) => 1,
            Self::Ended { .. } => 2,
        }
    }
}

/// The entry of a record as a store knows it: a record that has ended is a mark.
impl From<Record> for Entry {
    fn from(record: Record) -> Self {
        Self::Session(record).normal()
    }
}

impl Moved {
    /// The same as a step on the way to the session.
    pub const fn stub(&self) -> Stub {
        Stub::new(self.to, self.before.is_some(), self.until)
    }

    /// Any total order does. This one prefers what gives the old id less: who had a visitor's id
    /// must not be signed in because a cut network renewed it a second time.
    fn order(&self, other: &Self) -> Ordering {
        let ours = (self.before.is_some(), self.until, self.to);
        let theirs = (other.before.is_some(), other.until, other.to);
        ours.cmp(&theirs).then_with(|| {
            self.before.as_deref().map(parts).cmp(&other.before.as_deref().map(parts))
        })
    }
}

/// All parts of a record, in an order that says nothing but is always the same.
fn parts(record: &Record) -> impl Ord {
    (
        (record.cleared, record.created, record.seen, record.hard_deadline),
        record.idle_timeout,
        &record.subject,
        &record.fields,
    )
}

/// The record as a merge leaves it.
fn without_cleared(mut record: Record) -> Record {
    if record.cleared > Stamp::ZERO {
        record.merge(Record::default());
    }
    record
}

#[cfg(test)]
mod tests;
