//! The sessions that are kept: five small fields, as a shop has them.

use std::time::{Duration, SystemTime};

use abide_session::{Changes, FieldChange, FieldName, Id, IdHash, RANDOM_BYTES, Slot, Time};

const FIELDS: [(&str, usize); 5] =
    [("user", 12), ("cart", 40), ("csrf", 22), ("locale", 3), ("seen", 8)];

pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The id of a number, in this slot.
pub(crate) fn id_in(slot: Slot, number: u64) -> IdHash {
    let mut random = [0x5a; RANDOM_BYTES];
    random[4..12].copy_from_slice(&number.to_le_bytes());
    Id::from_random_in(slot, random).hash()
}

/// The id of a number, in any slot.
pub(crate) fn id(number: u64) -> IdHash {
    id_in(Slot::of_number(number), number)
}

pub(crate) fn session() -> Changes {
    let mut changes = Changes::default();
    changes.created = Some(now());
    changes.seen = Some(now());
    changes.idle_timeout = Some(Duration::from_hours(12));
    changes.hard_deadline = Some(now().after(Duration::from_hours(24)));
    for (name, length) in FIELDS {
        changes.fields.insert(name_of(name), FieldChange::blind(Some(vec![b'x'; length].into())));
    }
    changes
}

/// A change of one field.
pub(crate) fn change(number: u64) -> Changes {
    let mut changes = Changes::default();
    let value = number.to_le_bytes().repeat(5);
    changes.fields.insert(name_of("cart"), FieldChange::blind(Some(value.into())));
    changes
}

fn name_of(name: &'static str) -> FieldName {
    FieldName::new(name).expect("a short name")
}
