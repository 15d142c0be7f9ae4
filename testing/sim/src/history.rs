//! What the clients know: of each session what was acknowledged, what was tried, and what was read.

use std::collections::BTreeMap;

use abide_replica::{Entry, Kept, Node, Packed};
use abide_session::{Id, IdHash, OldId, RANDOM_BYTES, Slot, Stamp, Time};

use crate::network::Real;

/// The field that is added to.
pub(crate) const COUNTER: &str = "n";
/// Fields that are set to values that no other write has.
pub(crate) const FIELDS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Create,
    Load,
    Set(&'static str),
    Remove(&'static str),
    /// Set it if it still was written at this stamp.
    Replace(&'static str, Stamp),
    Add,
    End,
    Rename(OldId),
    /// A commit to an id that nobody made.
    Invented,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Open,
    Done(Stamp, Kept),
    /// It was answered that nothing changed.
    Refused,
    /// It may have been done, or will be.
    Unknown,
}

/// An id and its hash. Checkers ask for it again and again, and to compute it each time took a tenth of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HashedId {
    id: Id,
    hash: IdHash,
}

impl HashedId {
    pub(crate) fn new(id: Id) -> Self {
        Self { id, hash: id.hash() }
    }

    pub(crate) const fn hash(&self) -> IdHash {
        self.hash
    }

    pub(crate) fn slot(&self) -> Slot {
        self.id.slot()
    }

    /// Another id of the same slot.
    pub(crate) fn renewed(&self, random: [u8; RANDOM_BYTES]) -> Self {
        Self::new(self.id.renewed(random))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) outcome: Outcome,
}

/// What every later read has to show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Required {
    pub(crate) fields: BTreeMap<&'static str, Stamp>,
    pub(crate) is_made: bool,
    pub(crate) is_ended: bool,
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Session {
    /// All ids it was given, the current one last.
    pub(crate) ids: Vec<HashedId>,
    /// An id that it may have been given.
    pub(crate) maybe: Vec<HashedId>,
    pub(crate) hard_deadline: Time,
    /// When it was made, by the latest clock of a machine that was asked to.
    pub(crate) made_at: Time,
    /// Whose it is.
    pub(crate) subject: Option<usize>,
    pub(crate) attempts: Vec<Attempt>,
    /// By what was acknowledged or shown without a flag.
    pub(crate) required: Required,
    /// By all that was acknowledged.
    pub(crate) acknowledged: Required,
    /// Whether something was acknowledged by who may not have known all.
    pub(crate) was_sole: bool,
    /// Whether every process that held something of it is dead.
    pub(crate) is_lost: bool,
    /// Whether it may have two ids, or is not known under which it is.
    pub(crate) is_split: bool,
    pub(crate) end_tried: bool,
    /// The stamp at which each field was last seen.
    pub(crate) seen: BTreeMap<&'static str, Stamp>,
    /// Replacements that were done: field, what they were based on, and when they were made.
    pub(crate) replaced: Vec<(&'static str, Stamp, Stamp)>,
    /// An old id that must not be found, after a renewal that ends it.
    pub(crate) buried: Option<HashedId>,
    /// An old id that goes on.
    pub(crate) followed: Option<(HashedId, Time)>,
}

/// A call that is not answered.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) number: u64,
    pub(crate) session: usize,
    pub(crate) kind: Kind,
    pub(crate) id: HashedId,
    pub(crate) new_id: Option<HashedId>,
    pub(crate) machine: usize,
    pub(crate) process: u64,
    pub(crate) invoked: Real,
    pub(crate) required: Required,
}

impl Required {
    pub(crate) fn field(&mut self, field: &'static str, stamp: Stamp) {
        let known = self.fields.entry(field).or_default();
        *known = (*known).max(stamp);
    }
}

impl Session {
    pub(crate) fn new(id: HashedId, hard_deadline: Time) -> Self {
        Self {
            ids: vec![id],
            maybe: Vec::new(),
            hard_deadline,
            made_at: Time::EPOCH,
            subject: None,
            attempts: Vec::new(),
            required: Required::default(),
            acknowledged: Required::default(),
            was_sole: false,
            is_lost: false,
            is_split: false,
            end_tried: false,
            seen: BTreeMap::new(),
            replaced: Vec::new(),
            buried: None,
            followed: None,
        }
    }

    pub(crate) fn id(&self) -> HashedId {
        self.ids[self.ids.len() - 1]
    }

    /// Whether it may have another id by now, that nobody has been told.
    pub(crate) fn is_being_renamed(&self) -> bool {
        self.attempts.iter().any(|attempt| {
            let is_open = matches!(attempt.outcome, Outcome::Open | Outcome::Unknown);
            matches!(attempt.kind, Kind::Rename(_)) && is_open
        })
    }

    pub(crate) fn all_ids(&self) -> impl Iterator<Item = HashedId> + '_ {
        self.ids.iter().chain(&self.maybe).copied()
    }

    /// Whether the node holds something that shows this.
    pub(crate) fn is_held(&self, node: &Node, required: &Required) -> bool {
        let packed = |id: HashedId| node.table().packed(id.hash());
        let current = self.ids.last().into_iter().chain(&self.maybe);
        let current: Vec<Packed<'_>> = current.filter_map(|id| packed(*id)).collect();
        if current.iter().copied().any(Packed::is_ended) {
            return true;
        }
        // Under an id that nobody was told of any more it is of no use.
        if required.is_ended || (required.is_made && current.is_empty()) {
            return false;
        }
        if required.fields.is_empty() {
            return !required.is_made || self.all_ids().any(|id| packed(id).is_some());
        }
        let entries: Vec<Entry> = self.all_ids().filter_map(|id| packed(id)?.entry()).collect();
        let has = |field: &str, stamp: Stamp| {
            entries.iter().any(|entry| match entry {
                Entry::Session(record) => {
                    let written = record.fields.get(field).map(|field| field.stamp);
                    written.is_some_and(|written| written >= stamp) || record.cleared >= stamp
                }
                Entry::Moved(_) | Entry::Ended { .. } => false,
            })
        };
        (!required.is_made || !entries.is_empty())
            && required.fields.iter().all(|(field, stamp)| has(field, *stamp))
    }

    /// What was added for sure, and what may have been.
    pub(crate) fn sums(&self) -> (i64, i64) {
        let adds = self.attempts.iter().filter(|attempt| attempt.kind == Kind::Add);
        adds.fold((0, 0), |(sure, possible), attempt| match attempt.outcome {
            Outcome::Done(..) => (sure + 1, possible + 1),
            Outcome::Open | Outcome::Unknown => (sure, possible + 1),
            Outcome::Refused => (sure, possible),
        })
    }
}
