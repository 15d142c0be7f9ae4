//! What is written into a session while it is being moved, and how stamps of the two stores are
//! kept apart.

use std::sync::Arc;

use abide_session::{
    Changes, Expected, FieldChange, FieldName, ID_TEXT_BYTES, IdHash, MAX_FIELDS, Record, Stamp,
    StoreError,
};
use bytes::Bytes;

use crate::once::is_of_another_user;

/// Where the session under this id is while it is on its way: in the same slot, so that it can be
/// renamed there, and derived, so that every server finds it.
pub(super) fn shadow(id: IdHash) -> IdHash {
    id.beside("abide moving")
}

/// Says of a session which id it has, and whether it has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) id: IdHash,
    pub(super) moved: bool,
}

impl Marker {
    /// What this record says, whatever it stands under.
    pub(super) fn of(record: &Record) -> Option<Self> {
        let (head, text) = record.get(FIELD)?.split_first_chunk::<2>()?;
        let moved = match *head {
            [TEXT_OF_31_BYTES, MOVING] => false,
            [TEXT_OF_31_BYTES, MOVED] => true,
            _ => return None,
        };
        Some(Self { id: IdHash::parse(text)?, moved })
    }

    /// What this record says, if it stands under the shadow of the id it speaks of.
    pub(super) fn of_shadow(id: IdHash, record: &Record) -> Option<Self> {
        Self::of(record).filter(|marker| shadow(marker.id) == id)
    }

    /// Changes that put this marker and no more.
    pub(super) fn put(self) -> Result<Changes, StoreError> {
        change_of_marker(FieldChange::blind(Some(self.value())))
    }

    pub(super) fn value(self) -> Bytes {
        value(if self.moved { MOVED } else { MOVING }, self.id)
    }
}

/// Changes of the marker and no more.
pub(super) fn change_of_marker(change: FieldChange) -> Result<Changes, StoreError> {
    let mut changes = Changes::default();
    changes.fields.insert(FieldName::new(FIELD)?, change);
    Ok(changes)
}

/// What a change of the marker in this record has to expect of it.
pub(super) fn expected_marker(record: &Record) -> Expected {
    Expected::of(record, FIELD)
}

/// Changes that say of a session that it is about to be ended under this id, which is nobody's: who
/// walks by must not carry it over.
pub(super) fn ending(id: IdHash) -> Result<Changes, StoreError> {
    change_of_marker(FieldChange::blind(Some(value(ENDING, id))))
}

/// Whether this record says so.
pub(super) fn is_ending(record: &Record) -> bool {
    record.get(FIELD).is_some_and(|value| value.starts_with(&[TEXT_OF_31_BYTES, ENDING]))
}

/// These changes for a rename in `from`, after which no marker speaks of the id that was: whoever is
/// about to move the session under it must notice.
pub(super) fn without_marker(mut changes: Changes) -> Changes {
    if changes.fields.len() < MAX_FIELDS
        && let Ok(name) = FieldName::new(FIELD)
    {
        changes.fields.insert(name, FieldChange::blind(None));
    }
    changes
}

fn value(state: u8, id: IdHash) -> Bytes {
    let mut value = Vec::with_capacity(2 + ID_TEXT_BYTES);
    value.extend_from_slice(&[TEXT_OF_31_BYTES, state]);
    value.extend_from_slice(id.to_string().as_bytes());
    value.into()
}

/// The changes that make this session anew. They are made at one stamp, so what counts only by being
/// later than something else is left out if it is not.
pub(crate) fn as_birth(record: &Record) -> Changes {
    let mut changes = Changes::default();
    changes.created = Some(record.created);
    changes.seen = Some(record.seen);
    changes.idle_timeout = Some(record.idle_timeout.value);
    changes.hard_deadline = Some(record.hard_deadline);
    changes.subject = record.subject.value.clone().map(Some);
    let fields = record.iter().filter(|(name, _)| name.as_str() != FIELD);
    let fields = fields.filter(|(name, _)| !is_of_another_user(record, name));
    let put = |value: &Bytes| FieldChange::blind(Some(value.clone()));
    changes.fields = fields.map(|(name, value)| (name.clone(), put(value))).collect();
    changes
}

/// A record of `from` as the session layer sees it.
pub(super) fn shown(record: Arc<Record>) -> Arc<Record> {
    let mut record = Arc::unwrap_or_clone(record);
    record.fields.remove(FIELD);
    for field in record.fields.values_mut() {
        field.stamp = stamp_shown(field.stamp);
    }
    Arc::new(record)
}

/// A stamp of `from`, so that it is none of `to`: two stores may well count alike, and what a
/// request saw in one must not be taken for what is in the other. Doing it twice undoes it.
pub(super) const fn stamp_shown(stamp: Stamp) -> Stamp {
    Stamp::new(stamp.reading(), stamp.node() ^ OF_FROM)
}

/// Whether the session layer was shown this stamp of a session in `from`.
const fn is_of_from(stamp: Stamp) -> bool {
    stamp.node() & OF_FROM != 0
}

/// Puts expectations that rest on what was shown of `from` in terms of `to`. False if one of these
/// fields is not what was seen any more: it was written before the session left, which the record
/// that it left as tells, or after it arrived.
pub(super) fn put_in_terms_of_to(
    changes: &mut Changes,
    fields: &[FieldName],
    left: &Record,
    arrived: &Record,
) -> bool {
    fields.iter().all(|name| {
        let (left, arrived) = (left.visible(name.as_str()), arrived.visible(name.as_str()));
        let (Some(left), Some(arrived), Some(change)) =
            (left, arrived, changes.fields.get_mut(name.as_str()))
        else {
            return false;
        };
        let is_unchanged = change.expected == Expected::Written(stamp_shown(left.stamp))
            && left.value == arrived.value;
        if is_unchanged {
            change.expected = Expected::Written(arrived.stamp);
        }
        is_unchanged
    })
}

/// Whether any of these fields is expected to be what it was in `from`.
pub(super) fn expects_of_from(changes: &Changes, fields: &[FieldName]) -> bool {
    let expected = |name: &FieldName| changes.fields.get(name).map(|change| change.expected);
    fields
        .iter()
        .filter_map(expected)
        .any(|expected| matches!(expected, Expected::Written(stamp) if is_of_from(stamp)))
}

/// Changes whose expectations rest on what was shown, as `from` has to be told of them.
pub(super) fn in_terms_of_from(mut changes: Changes) -> Changes {
    for change in changes.fields.values_mut() {
        if let Expected::Written(stamp) = change.expected {
            change.expected = Expected::Written(stamp_shown(stamp));
        }
    }
    changes
}

/// The field that holds the marker: a MessagePack text like every other value.
const FIELD: &str = "abide moving";
/// The first byte of a MessagePack text of 31 bytes: the state, and the 30 of an id's hash.
const TEXT_OF_31_BYTES: u8 = 0xbf;
const MOVING: u8 = b'>';
const MOVED: u8 = b'=';
const ENDING: u8 = b'<';
/// The highest bit of a node's number.
const OF_FROM: u16 = 1 << 15;

#[cfg(test)]
mod tests {
    use abide_session::{Id, RANDOM_BYTES};

    use super::*;

    fn id(number: u8) -> IdHash {
        Id::from_random([number; RANDOM_BYTES]).hash()
    }

    #[test]
    fn a_marker_reads_as_it_was_written_and_only_under_its_shadow() {
        for moved in [false, true] {
            let marker = Marker { id: id(1), moved };
            let changes = marker.put().unwrap();
            let record = changes.at(Stamp::new(1, 0), &Record::default()).unwrap();
            assert_eq!(Marker::of(&record), Some(marker));
            assert_eq!(Marker::of_shadow(shadow(id(1)), &record), Some(marker));
            for other in [id(1), id(2), shadow(id(2))] {
                assert_eq!(Marker::of_shadow(other, &record), None);
            }
            assert!(shown(Arc::new(record.clone())).fields.is_empty());
            assert!(as_birth(&record).fields.is_empty());
        }
    }

    #[test]
    fn no_bytes_make_a_marker_panic_and_few_make_one() {
        for length in 0..64 {
            let value = Bytes::from(vec![TEXT_OF_31_BYTES; length]);
            let mut changes = Changes::default();
            changes.fields.insert(FieldName::new(FIELD).unwrap(), FieldChange::blind(Some(value)));
            let record = changes.at(Stamp::new(1, 0), &Record::default()).unwrap();
            assert_eq!(Marker::of(&record), None);
        }
    }

    #[test]
    fn a_stamp_of_from_is_none_of_to_and_can_be_expected_of_from() {
        let stamp = Stamp::new(7, 3);
        assert_ne!(stamp_shown(stamp), stamp);
        assert_eq!(stamp_shown(stamp_shown(stamp)), stamp);
    }
}
