//! Looking for sessions in many slots: those of a subject, or a page of all.
//!
//! Whoever is asked collects it from the leaders of the slots, each of which tells of those that it
//! leads and is sure of. A slot of which nobody can tell is asked for again until the time of a call is
//! over. What a survey finds in a slot is what had been acknowledged there when it was asked, or later.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use abide_session::{IdHash, Record, Slot, Subject, Time};

use crate::message::Kept;

/// What is looked for, and what time it is for who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// What.
    pub sought: Sought,
    /// The time that deadlines are compared with.
    pub now: Time,
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    /// The live sessions of a subject, in all slots: those last seen, at most
    /// [`abide_session::MAX_LISTED`], and of one slot at most a quarter of
    /// [`crate::limits::MAX_LETTER_BYTES`].
    OfSubject(Subject),
    /// The live sessions of one slot in order of id, from the first after this one, at most
    /// [`crate::limits::MAX_PAGE`].
    Page(Slot, Option<IdHash>),
    /// The ids that lead from this one to its session, the last of them its own.
    Trail(IdHash),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Sessions, with what they hold if a subject was looked for.
    pub sessions: Vec<(IdHash, Option<Record>)>,
    /// [`Kept::Full`], or [`Kept::Sole`] if in one of the slots another node may hold more.
    pub kept: Kept,
}

/// Some of the slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64]>);

impl Sought {
    /// The slots in which it may be, of the first so many.
    pub(crate) fn slots(&self, count: usize) -> SlotSet {
        match self {
            Self::OfSubject(_) => Slot::all().take(count).collect(),
            Self::Page(slot, _) => [*slot].into_iter().collect(),
            // A session stays in its slot.
            Self::Trail(id) => [id.slot()].into_iter().collect(),
        }
    }
}

impl SlotSet {
    /// None of them.
    pub fn new() -> Self {
        Self(vec![0; usize::from(Slot::COUNT).div_ceil(BITS)].into())
    }

    /// Whether this one is among them.
    pub fn contains(&self, slot: Slot) -> bool {
        let (place, bit) = place_of(slot);
        self.0.get(place).is_some_and(|word| word & bit != 0)
    }

    /// Puts one in.
    pub fn insert(&mut self, slot: Slot) {
        let (place, bit) = place_of(slot);
        if let Some(word) = self.0.get_mut(place) {
            *word |= bit;
        }
    }

    /// Puts one in, or takes it out.
    pub(crate) fn set(&mut self, slot: Slot, is_in: bool) {
        let (place, bit) = place_of(slot);
        if let Some(word) = self.0.get_mut(place) {
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    /// Takes out those that the other has.
    pub fn remove_all(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word &= !other;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        let words = self.0.iter().zip(0_u16..).filter(|(word, _)| **word != 0);
        let slots = words.flat_map(|(_, place)| {
            let first = place.saturating_mul(BITS_OF_A_WORD);
            (first..first.saturating_add(BITS_OF_A_WORD)).filter_map(Slot::new)
        });
        slots.filter(|slot| self.contains(*slot))
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    pub(crate) fn from_words(words: impl IntoIterator<Item = u64>) -> Self {
        let mut set = Self::new();
        for (word, given) in set.0.iter_mut().zip(words) {
            *word = given;
        }
        set
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::new();
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl Default for SlotSet {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} slots", self.iter().count())
    }
}

const BITS: usize = 64;
const BITS_OF_A_WORD: u16 = 64;

fn place_of(slot: Slot) -> (usize, u64) {
    let number = usize::from(slot.number());
    (number / BITS, 1 << (number % BITS))
}
