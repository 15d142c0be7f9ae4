//! A slot, and the slot of an id.

use core::fmt;

use xxhash_rust::xxh64::xxh64;

/// The length in bytes of an id in abide's own form.
pub const ID_BYTES: usize = 30;

/// One of 4096 slots.
///
/// Invariant: below [`Slot::COUNT`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// How many there are. Three hexadecimal digits; enough that ten servers own within a tenth of
    /// the mean each, and a table of all of them is still small.
    pub const COUNT: u16 = 4096;

    /// The slot of this number, if it is below [`Slot::COUNT`].
    pub const fn new(number: u16) -> Option<Self> {
        if number < Self::COUNT { Some(Self(number)) } else { None }
    }

    /// The slot of any number, by its remainder; a random number gives each slot equally often.
    pub fn of_number(number: u64) -> Self {
        // 4096 is a power of two, so its remainder is a mask.
        Self(u16::try_from(number & 0xfff).unwrap_or_default())
    }

    /// All slots, from 0.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// The number, from 0 to 4095.
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// Three hexadecimal digits, as they stand at the beginning of an id.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03x}", self.0)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The slot of a session id, in abide's own form or in any other.
pub fn slot_of_id(id: &[u8]) -> Slot {
    slot_in_clear(id).unwrap_or_else(|| Slot::of_number(xxh64(id, 0)))
}

fn slot_in_clear(id: &[u8]) -> Option<Slot> {
    let (digits, rest) = id.split_at_checked(3)?;
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if id.len() != ID_BYTES || !rest.iter().all(is_base64url) {
        return None;
    }
    let mut number: u16 = 0;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit.wrapping_sub(b'0'),
            b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
            _ => return None,
        };
        number = (number << 4) | u16::from(value);
    }
    Slot::new(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_in_our_form_shows_its_slot() {
        assert_eq!(slot_of_id(b"000AAAAAAAAAAAAAAAAAAAAAAAAAAA").number(), 0);
        assert_eq!(slot_of_id(b"fffAAAAAAAAAAAAAAAAAAAAAAAAA-_").number(), 4095);
        assert_eq!(slot_of_id(b"1a2zzzzzzzzzzzzzzzzzzzzzzzzzzz").number(), 0x1a2);
    }

    #[test]
    fn an_id_that_only_looks_alike_is_hashed() {
        for id in [
            &b""[..],
            b"1a2",
            b"1A2zzzzzzzzzzzzzzzzzzzzzzzzzzz",
            b"1a2zzzzzzzzzzzzzzzzzzzzzzzzzz",
            b"1a2zzzzzzzzzzzzzzzzzzzzzzzzzzzz",
            b"1a2zzzzzzzzzzzzzzzzzzzzzzzzzz=",
            b"g00zzzzzzzzzzzzzzzzzzzzzzzzzzz",
        ] {
            let hashed = Slot::of_number(xxh64(id, 0));
            assert_eq!(slot_of_id(id), hashed, "{}", id.escape_ascii());
        }
    }

    #[test]
    fn there_is_no_slot_4096() {
        assert_eq!(Slot::new(4096), None);
        assert_eq!(Slot::all().last(), Slot::new(4095));
    }
}
