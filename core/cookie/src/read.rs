//! Reading `Cookie` fields: tolerant, byte for byte, without allocation.
//!
//! A field is cut at semicolons, each piece at its first `=`, and spaces and tabs around name and
//! value are dropped. That is all: quotes are part of the value, nothing is decoded, names are
//! compared exactly. Pieces without a name are skipped. Any bytes are fine.

use alloc::vec::Vec;

use memchr::memchr;

/// One `name=value` of a `Cookie` field. The name is never empty; the value may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// What stands before the first `=`, without spaces around it.
    pub name: &'a [u8],
    /// What stands after it, without spaces around it, quotes kept.
    pub value: &'a [u8],
}

/// The name only: values are secrets.
impl core::fmt::Debug for Pair<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}=..", self.name.escape_ascii())
    }
}

/// All pairs of one `Cookie` field, in their order.
///
/// A request may have several such fields (HTTP/2 splits them): go through each.
pub fn pairs(field: &[u8]) -> Pairs<'_> {
    Pairs { rest: Some(field) }
}

/// The values of all pairs of exactly this name, in their order: browsers may send several, with
/// the longest path first (RFC 6265bis section 5.8.3), and a sibling domain may have planted one.
pub fn values<'a, 'n>(field: &'a [u8], name: &'n [u8]) -> Values<'a, 'n> {
    Values { pieces: Pieces(Some(field)), name }
}

/// Takes all pairs of exactly this name out of a field.
///
/// All other pieces stay byte for byte, in their order, also those that are no pairs; look-alike
/// names stay. Only the separator next to what was taken out goes with it.
pub fn without(field: &[u8], name: &[u8]) -> Without {
    if values(field, name).next().is_none() {
        return Without::Unchanged;
    }
    let mut kept = Vec::with_capacity(field.len());
    let mut nothing_yet = true;
    for piece in Pieces(Some(field)) {
        if split(piece).is_some_and(|pair| pair.name == name) {
            continue;
        }
        if nothing_yet {
            // The space after a separator that is gone would stand at the field's beginning.
            kept.extend_from_slice(trim_start(piece));
        } else {
            kept.push(b';');
            kept.extend_from_slice(piece);
        }
        nothing_yet = false;
    }
    if kept.iter().all(|byte| is_space(*byte) || *byte == b';') {
        Without::Empty
    } else {
        Without::Changed(kept)
    }
}

/// What is left of a `Cookie` field after [`without`].
#[derive(Clone, PartialEq, Eq)]
pub enum Without {
    /// The name did not occur: send the field on as it is.
    Unchanged,
    /// Nothing else was in it: drop the field.
    Empty,
    /// Send this instead.
    Changed(Vec<u8>),
}

impl core::fmt::Debug for Without {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "Unchanged",
            Self::Empty => "Empty",
            Self::Changed(_) => "Changed(..)",
        })
    }
}

/// The iterator that [`pairs`] returns.
#[derive(Clone)]
pub struct Pairs<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let mut pieces = Pieces(self.rest);
        let pair = pieces.by_ref().find_map(split);
        self.rest = pieces.0;
        pair
    }
}

impl core::fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Pairs(..)")
    }
}

/// The iterator that [`values`] returns.
#[derive(Clone)]
pub struct Values<'a, 'n> {
    pieces: Pieces<'a>,
    name: &'n [u8],
}

impl<'a> Iterator for Values<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let name = self.name;
        self.pieces.find_map(|piece| {
            // Most pieces are others' cookies: look at the beginning before cutting them up.
            trim_start(piece).strip_prefix(name)?;
            split(piece).filter(|pair| pair.name == name).map(|pair| pair.value)
        })
    }
}

impl core::fmt::Debug for Values<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Values({}, ..)", self.name.escape_ascii())
    }
}

/// The pieces between semicolons; the whole field if there are none.
#[derive(Clone)]
struct Pieces<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let cut = memchr(b';', rest).and_then(|at| rest.split_at_checked(at));
        let (piece, rest) = match cut {
            Some((piece, rest)) => (piece, rest.get(1..)),
            None => (rest, None),
        };
        self.0 = rest;
        Some(piece)
    }
}

fn split(piece: &[u8]) -> Option<Pair<'_>> {
    let (name, value) = piece.split_at_checked(memchr(b'=', piece)?)?;
    let name = trim(name);
    (!name.is_empty()).then(|| Pair { name, value: trim(value.get(1..).unwrap_or_default()) })
}

/// Drops spaces and tabs at both ends: the optional white space of RFC 9110 section 5.6.3.
fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    bytes
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests;
