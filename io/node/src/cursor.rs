//! Where a walk goes on: a slot in two bytes, the high one first, and the last id that was shown in it.

use abide_session::{IdHash, Slot};
use bytes::Bytes;

/// None if this is no cursor.
pub(crate) fn read(cursor: &[u8]) -> Option<(Slot, Option<IdHash>)> {
    let (slot, id) = cursor.split_first_chunk()?;
    let slot = Slot::new(u16::from_be_bytes(*slot))?;
    if id.is_empty() {
        return Some((slot, None));
    }
    let id = IdHash::from_bytes(id.try_into().ok()?)?;
    (id.slot() == slot).then_some((slot, Some(id)))
}

pub(crate) fn write(slot: Slot, after: Option<IdHash>) -> Bytes {
    let mut cursor = slot.number().to_be_bytes().to_vec();
    if let Some(id) = after {
        cursor.extend_from_slice(&id.to_bytes());
    }
    cursor.into()
}

#[cfg(test)]
mod tests {
    use abide_session::Id;

    use super::*;

    #[test]
    fn a_cursor_is_read_again_and_nothing_else_is_one() {
        let id = Id::from_random([3; abide_session::RANDOM_BYTES]).hash();
        for place in [(id.slot(), Some(id)), (id.slot(), None)] {
            assert_eq!(read(&write(place.0, place.1)), Some(place));
        }
        let elsewhere = Slot::new(id.slot().number() ^ 1).unwrap();
        assert_eq!(read(&write(elsewhere, Some(id))), None);
        for bytes in [&b""[..], &[1], &[0xff, 0xff], &[0, 0, 1]] {
            assert_eq!(read(bytes), None);
        }
    }
}
