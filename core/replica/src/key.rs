//! The bytes of an id, as they stand in a packed entry: two of its slot, twenty of its hash.
//!
//! Their order is that of the ids.

use abide_session::{IdHash, RANDOM_BYTES};

/// An id as bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; Self::BYTES]);

impl Key {
    pub(crate) const BYTES: usize = RANDOM_BYTES;

    pub(crate) fn of(id: IdHash) -> Self {
        Self(id.to_bytes())
    }

    /// None if there is no such slot.
    pub(crate) fn from_bytes(bytes: [u8; Self::BYTES]) -> Option<Self> {
        IdHash::from_bytes(bytes).map(|_| Self(bytes))
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The first bytes of the hash as a number: ids of a slot are in the order of theirs.
    pub(crate) fn prefix(&self) -> u32 {
        let [_, _, a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    pub(crate) fn id(&self) -> Option<IdHash> {
        IdHash::from_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use abide_session::{Id, RANDOM_BYTES};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_is_another_form_of_its_id(one: [u8; RANDOM_BYTES], other: [u8; RANDOM_BYTES]) {
            let (one, other) = (Id::from_random(one).hash(), Id::from_random(other).hash());
            prop_assert_eq!(Key::of(one).id(), Some(one));
            prop_assert_eq!(one.cmp(&other), Key::of(one).0.cmp(&Key::of(other).0));
        }

        #[test]
        fn whatever_is_a_key_is_that_of_one_id(bytes: [u8; Key::BYTES]) {
            match Key::from_bytes(bytes) {
                Some(key) => prop_assert_eq!(Key::of(key.id().unwrap()).0, bytes),
                None => prop_assert!(bytes[0] >= 0x10),
            }
        }
    }
}
