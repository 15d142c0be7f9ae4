//! Numbers and counted bytes: what packed entries and messages are made of.
//!
//! Numbers are little-endian groups of seven bits, and have one form, the shortest.

use alloc::vec::Vec;

/// What is left to read. Each function takes what it gives off the front; none if it is not there.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(bytes)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    pub(crate) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.bytes(length)
    }

    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    /// A number of a smaller type.
    pub(crate) fn short<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(self.number()?).ok()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift)?;
            if shifted.checked_shr(shift)? != bits {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return (byte != 0 || shift == 0).then_some(number);
            }
        }
        None
    }
}

pub(crate) fn counted(bytes: &mut Vec<u8>, text: &[u8]) {
    length(bytes, text.len());
    bytes.extend_from_slice(text);
}

pub(crate) fn length(bytes: &mut Vec<u8>, length: usize) {
    number(bytes, u64::try_from(length).unwrap_or(u64::MAX));
}

pub(crate) fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        let [low, ..] = number.to_le_bytes();
        bytes.push(low | 0x80);
        number >>= 7;
    }
    let [low, ..] = number.to_le_bytes();
    bytes.push(low);
}

/// A difference as a number, small for small ones either way (zigzag).
pub(crate) const fn zigzag(difference: i64) -> u64 {
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The other way.
pub(crate) const fn unzigzag(number: u64) -> i64 {
    ((number >> 1) ^ 0_u64.wrapping_sub(number & 1)).cast_signed()
}
