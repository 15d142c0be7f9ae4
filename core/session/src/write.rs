//! What a change makes of a field's value.
//!
//! Most changes put a value or remove it. Two kinds are relative: they say what to add and leave
//! the sum to the store, so that any number of requests may make them at once and none has to try
//! again. For these the store has to understand what it holds, which is MessagePack: a counter is
//! an integer, a set an array of distinct values in the order of their bytes. So a program that
//! reads the field as a number or a list finds one.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use bytes::Bytes;
use rmp::{Marker, decode, encode};

/// What a change makes of a field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Write {
    /// This value, whatever there was.
    Put(Bytes),
    /// No field.
    Remove,
    /// The integer there was, or zero, and so much more. It stays within the range of an `i64`.
    Add(i64),
    /// The set there was, or an empty one, with (true) or without (false) each of these members.
    Members(BTreeMap<Bytes, bool>),
}

/// A field does not hold what a relative write needs: an integer, or an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatible;

impl Write {
    /// Puts a value, or removes it.
    pub fn of(value: Option<Bytes>) -> Self {
        value.map_or(Self::Remove, Self::Put)
    }

    /// Whether the outcome depends on what there was.
    pub const fn is_relative(&self) -> bool {
        matches!(self, Self::Add(_) | Self::Members(_))
    }

    /// What becomes of this value. None, on either side, is no field.
    pub(crate) fn apply(&self, value: Option<&Bytes>) -> Result<Option<Bytes>, Incompatible> {
        match self {
            Self::Put(new) => Ok(Some(new.clone())),
            Self::Remove => Ok(None),
            Self::Add(more) => {
                let sum = value.map_or(Ok(0), integer)?.saturating_add(*more);
                Ok(Some(integer_of(sum)))
            }
            Self::Members(members) => {
                let before = value.map_or(Ok(Vec::new()), elements)?;
                let kept = before.iter().copied().filter(|member| !members.contains_key(*member));
                let added = members.iter().filter(|(_, is_in)| **is_in);
                let mut set: Vec<&[u8]> = kept.chain(added.map(|(member, _)| &**member)).collect();
                set.sort_unstable();
                set.dedup();
                Ok((value.is_some() || !set.is_empty()).then(|| array_of(&set)))
            }
        }
    }

    /// This write and then a later one, as one.
    pub(crate) fn then(self, later: Self) -> Result<Self, Incompatible> {
        match (self, later) {
            (Self::Add(first), Self::Add(more)) => Ok(Self::Add(first.saturating_add(more))),
            (Self::Members(mut members), Self::Members(more)) => {
                members.extend(more);
                Ok(Self::Members(members))
            }
            (Self::Put(value), later) => later.apply(Some(&value)).map(Self::of),
            (Self::Remove, later) => later.apply(None).map(Self::of),
            (_, later) if later.is_relative() => Err(Incompatible),
            (_, later) => Ok(later),
        }
    }

    /// Bytes of the values it names.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Put(value) => value.len(),
            Self::Remove | Self::Add(_) => 0,
            Self::Members(members) => {
                members.keys().fold(0, |sum, member| sum.saturating_add(member.len()))
            }
        }
    }
}

/// The integer that these bytes are, all of them.
fn integer(value: &Bytes) -> Result<i64, Incompatible> {
    let mut rest = &**value;
    let number = decode::read_int(&mut rest).ok().filter(|_| rest.is_empty());
    number.ok_or(Incompatible)
}

fn integer_of(number: i64) -> Bytes {
    let mut bytes = Vec::with_capacity(9);
    // Writing to a vector does not fail.
    let _ = encode::write_sint(&mut bytes, number);
    bytes.into()
}

/// The elements of the array that these bytes are, all of them.
fn elements(value: &Bytes) -> Result<Vec<&[u8]>, Incompatible> {
    let mut rest = &**value;
    let count = decode::read_array_len(&mut rest).map_err(|_fault| Incompatible)?;
    let mut elements = Vec::new();
    for _ in 0..count {
        let (element, after) = split_value(rest).ok_or(Incompatible)?;
        elements.push(element);
        rest = after;
    }
    if rest.is_empty() { Ok(elements) } else { Err(Incompatible) }
}

fn array_of(elements: &[&[u8]]) -> Bytes {
    let mut bytes = Vec::new();
    // Bounded by what one value may have, far below 2^32.
    let _ = encode::write_array_len(&mut bytes, u32::try_from(elements.len()).unwrap_or(u32::MAX));
    for element in elements {
        bytes.extend_from_slice(element);
    }
    bytes.into()
}

/// The first MessagePack value of these bytes, and what follows it. Nesting is counted, not
/// descended, so no depth of it takes any stack.
fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    let mut open: u64 = 1;
    while open > 0 {
        let (marker, after) = rest.split_first()?;
        let (length_bytes, fixed_bytes, nested) = form(Marker::from_u8(*marker))?;
        let (length, after) = after.split_at_checked(length_bytes)?;
        let length = length.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let content = if length_bytes > 0 && nested == 0 { length } else { 0 };
        let skip = usize::try_from(content).ok()?.checked_add(fixed_bytes)?;
        let (_, after) = after.split_at_checked(skip)?;
        let inner = match (length_bytes, nested) {
            (_, 0) => 0,
            (0, count) => count,
            (_, per_element) => length.checked_mul(per_element)?,
        };
        open = open.checked_sub(1)?.checked_add(inner)?;
        rest = after;
    }
    let length = bytes.len().checked_sub(rest.len())?;
    bytes.split_at_checked(length)
}

/// The form of a value by its first byte: how many bytes of length follow, how many bytes besides
/// that are always there, and how many values it contains (for each unit of its length, if it has
/// one).
fn form(marker: Marker) -> Option<(usize, usize, u64)> {
    Some(match marker {
        Marker::Null | Marker::True | Marker::False | Marker::FixPos(_) | Marker::FixNeg(_) => {
            (0, 0, 0)
        }
        Marker::U8 | Marker::I8 => (0, 1, 0),
        Marker::U16 | Marker::I16 => (0, 2, 0),
        Marker::U32 | Marker::I32 | Marker::F32 => (0, 4, 0),
        Marker::U64 | Marker::I64 | Marker::F64 => (0, 8, 0),
        Marker::FixStr(length) => (0, usize::from(length), 0),
        Marker::Str8 | Marker::Bin8 => (1, 0, 0),
        Marker::Str16 | Marker::Bin16 => (2, 0, 0),
        Marker::Str32 | Marker::Bin32 => (4, 0, 0),
        Marker::FixArray(length) => (0, 0, u64::from(length)),
        Marker::Array16 => (2, 0, 1),
        Marker::Array32 => (4, 0, 1),
        Marker::FixMap(length) => (0, 0, u64::from(length).saturating_mul(2)),
        Marker::Map16 => (2, 0, 2),
        Marker::Map32 => (4, 0, 2),
        Marker::FixExt1 => (0, 2, 0),
        Marker::FixExt2 => (0, 3, 0),
        Marker::FixExt4 => (0, 5, 0),
        Marker::FixExt8 => (0, 9, 0),
        Marker::FixExt16 => (0, 17, 0),
        Marker::Ext8 => (1, 1, 0),
        Marker::Ext16 => (2, 1, 0),
        Marker::Ext32 => (4, 1, 0),
        Marker::Reserved => return None,
    })
}

#[cfg(test)]
mod tests;
