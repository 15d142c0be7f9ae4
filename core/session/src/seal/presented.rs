//! The cookies of our names in a request, and which of them belong together.

use abide_cookie::{SetCookie, pairs};

/// See [`super::Seal::PARTS_MAX`].
pub(super) const PARTS_MAX: usize = 8;
/// See [`super::Seal::CANDIDATES_MAX`].
pub(super) const CANDIDATES_MAX: usize = 4;

/// Which of the numbered cookies a request came with, left-overs of an older value included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts(u8);

impl Parts {
    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[cfg(test)]
    pub(super) const fn of(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether the cookie of this number, from 1, is there.
    pub(super) fn has(self, number: u32) -> bool {
        self.0 & bit(number) != 0
    }
}

/// The first values of each of our names, in the order of the request.
pub(super) struct Presented<'a> {
    values: [[Option<&'a [u8]>; CANDIDATES_MAX]; PARTS_MAX],
    parts: Parts,
}

/// What a first cookie says belongs together: its text without the digit, and the other texts.
pub(super) type Candidate<'a> = (&'a [u8], Rest<'a>);

/// The texts of the second cookie and those after it.
pub(super) struct Rest<'a> {
    texts: [&'a [u8]; PARTS_MAX],
    count: usize,
}

impl<'a> Presented<'a> {
    pub(super) fn collect(fields: &[&'a [u8]], name: &[u8]) -> Self {
        let mut presented = Self { values: [[None; CANDIDATES_MAX]; PARTS_MAX], parts: Parts(0) };
        for pair in fields.iter().flat_map(|field| pairs(field)) {
            let number = match pair.name.strip_prefix(name) {
                Some([]) => 1,
                Some([b'.', digit @ b'2'..=b'8']) => u32::from(digit & 0xf),
                _ => continue,
            };
            presented.parts.0 |= bit(number);
            let values = usize::try_from(number.saturating_sub(1)).ok();
            let values = values.and_then(|place| presented.values.get_mut(place));
            let free = values.and_then(|values| values.iter_mut().find(|value| value.is_none()));
            if let Some(free) = free {
                *free = Some(pair.value);
            }
        }
        presented
    }

    pub(super) fn parts(&self) -> Parts {
        self.parts
    }

    /// For each first cookie what belongs to it; none if that is incomplete.
    ///
    /// Browsers send cookies of the same name in one order, those of longer paths first. So the
    /// first that has a part of some number has the first of these, and so on; and if there are not
    /// enough, the last.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Option<Candidate<'a>>> {
        let mut taken = [0_usize; PARTS_MAX];
        let firsts = self.values.first().into_iter().flatten().flatten();
        firsts.map(move |first| {
            let (digit, text) = first.split_first()?;
            let count = usize::from(digit.checked_sub(b'0')?);
            if !(1..=PARTS_MAX).contains(&count) || first.len() > SetCookie::BYTES_MAX {
                return None;
            }
            let mut rest = Rest { texts: [&[]; PARTS_MAX], count: count.saturating_sub(1) };
            let numbered = self.values.iter().zip(&mut taken).skip(1).zip(&mut rest.texts);
            let mut is_complete = true;
            for ((values, taken), text) in numbered.take(count.saturating_sub(1)) {
                let there = values.iter().flatten();
                let value = there.clone().nth(*taken).or_else(|| there.last());
                *taken = taken.saturating_add(1);
                match value {
                    Some(value) if (1..=SetCookie::BYTES_MAX).contains(&value.len()) => {
                        *text = value;
                    }
                    _ => is_complete = false,
                }
            }
            is_complete.then_some((text, rest))
        })
    }
}

impl<'a> Rest<'a> {
    pub(super) fn texts(&self) -> &[&'a [u8]] {
        self.texts.get(..self.count).unwrap_or_default()
    }
}

fn bit(number: u32) -> u8 {
    1_u8.checked_shl(number.saturating_sub(1)).unwrap_or(0)
}
