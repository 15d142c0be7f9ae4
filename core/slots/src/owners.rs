//! The owners of a slot, in order, by rendezvous hashing.

use alloc::vec::Vec;
use core::fmt;

use xxhash_rust::xxh64::xxh64;

use crate::Slot;

/// A server that can own slots: a name and a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    name: &'a str,
    weight: u8,
}

impl<'a> Member<'a> {
    /// The longest name in bytes: a label of a host name (RFC 1035) and one more.
    pub const NAME_BYTES_MAX: usize = 64;
    /// The highest weight: each point costs one hash per slot.
    pub const WEIGHT_MAX: u8 = 100;

    /// A member of 1 to [`Member::NAME_BYTES_MAX`] bytes of name, and a weight from 1 to
    /// [`Member::WEIGHT_MAX`].
    pub const fn new(name: &'a str, weight: u8) -> Result<Self, MemberError> {
        if name.is_empty() || name.len() > Self::NAME_BYTES_MAX {
            Err(MemberError::Name)
        } else if weight == 0 || weight > Self::WEIGHT_MAX {
            Err(MemberError::Weight)
        } else {
            Ok(Self { name, weight })
        }
    }

    /// The name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The weight.
    pub const fn weight(&self) -> u8 {
        self.weight
    }

    /// The best score that this member draws for a slot.
    pub fn score(&self, slot: Slot) -> u64 {
        const SLOT_BYTES: usize = 2;
        const POINT_BYTES: usize = 2;
        let mut bytes = [0; SLOT_BYTES + Self::NAME_BYTES_MAX + POINT_BYTES];
        let plain = SLOT_BYTES.saturating_add(self.name.len());
        let end = plain.saturating_add(POINT_BYTES);
        bytes[..SLOT_BYTES].copy_from_slice(&slot.number().to_le_bytes());
        if let Some(place) = bytes.get_mut(SLOT_BYTES..plain) {
            place.copy_from_slice(self.name.as_bytes());
        }
        let mut best = xxh64(bytes.get(..plain).unwrap_or_default(), 0);
        for point in 1..self.weight {
            // A point number is below 256, so its high byte stays zero.
            if let Some(low) = bytes.get_mut(plain) {
                *low = point;
            }
            best = best.max(xxh64(bytes.get(..end).unwrap_or_default(), 0));
        }
        best
    }
}

/// Why a member can not be made. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberError {
    /// The name is empty or longer than [`Member::NAME_BYTES_MAX`] bytes.
    Name,
    /// The weight is zero or more than [`Member::WEIGHT_MAX`].
    Weight,
}

impl fmt::Display for MemberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a server name needs 1 to 64 bytes",
            Self::Weight => "a weight must be from 1 to 100",
        })
    }
}

impl core::error::Error for MemberError {}

/// All members as places in the list, the owner of the slot first.
pub fn owners(slot: Slot, members: &[Member<'_>]) -> Vec<usize> {
    let mut ranked: Vec<Ranked<'_>> = members
        .iter()
        .enumerate()
        .map(|(place, member)| Ranked::new(slot, place, member))
        .collect();
    ranked.sort_by(Ranked::cmp_rank);
    ranked.into_iter().map(|ranked| ranked.place).collect()
}

/// The first `N` owners as places in the order of `members`, without allocation; `None` where
/// there are fewer members.
pub fn first_owners<'a, const N: usize>(
    slot: Slot,
    members: impl IntoIterator<Item = Member<'a>>,
) -> [Option<usize>; N] {
    let mut first: [Option<Ranked<'a>>; N] = [None; N];
    for (place, member) in members.into_iter().enumerate() {
        let mut newcomer = Ranked::new(slot, place, &member);
        for held in &mut first {
            match held {
                Some(ranked) if newcomer.cmp_rank(ranked).is_lt() => {
                    core::mem::swap(ranked, &mut newcomer);
                }
                Some(_) => {}
                None => {
                    *held = Some(newcomer);
                    break;
                }
            }
        }
    }
    first.map(|held| held.map(|ranked| ranked.place))
}

/// The owner among those members that `may` allows, by their places in the order of `members`.
pub fn owner<'a>(
    slot: Slot,
    members: impl IntoIterator<Item = Member<'a>>,
    may: impl Fn(usize) -> bool,
) -> Option<usize> {
    members
        .into_iter()
        .enumerate()
        .filter(|(place, _)| may(*place))
        .map(|(place, member)| Ranked::new(slot, place, &member))
        .min_by(Ranked::cmp_rank)
        .map(|ranked| ranked.place)
}

#[derive(Clone, Copy)]
struct Ranked<'a> {
    score: u64,
    name: &'a str,
    place: usize,
}

impl<'a> Ranked<'a> {
    fn new(slot: Slot, place: usize, member: &Member<'a>) -> Self {
        Self { score: member.score(slot), name: member.name, place }
    }

    /// Less means earlier: the higher score, then the smaller name. Names are unique in a list that
    /// makes sense; for one that does not, the place keeps the order total.
    fn cmp_rank(&self, other: &Self) -> core::cmp::Ordering {
        let by_score = other.score.cmp(&self.score);
        by_score.then_with(|| self.name.cmp(other.name)).then(self.place.cmp(&other.place))
    }
}

#[cfg(test)]
mod tests;
