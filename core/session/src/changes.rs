//! What a request wants changed, before the store has put it in order.
//!
//! [`Changes`] bear no stamp: the store that serialises them gives one to the whole, and
//! [`Changes::at`] makes them a delta. So a change is as late as the moment the store took it, not
//! as the moment some web server made it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use abide_time::Time;
use bytes::Bytes;

use crate::error::{Limit, StoreError};
use crate::limits::MAX_FIELDS;
use crate::record::{FieldName, Record, Subject, check_value};
use crate::stamp::{Stamp, Stamped};

/// Changes of one session that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Removes every field there is, before `fields` are applied.
    pub clear: bool,
    /// Fields to set or remove.
    pub fields: BTreeMap<FieldName, FieldChange>,
    /// When the session was made; only in the changes that make one.
    pub created: Option<Time>,
    /// When it was used.
    pub seen: Option<Time>,
    /// How long it may stay unused from now on.
    pub idle_timeout: Option<Duration>,
    /// When it ends at the latest. An earlier time than it has is without effect.
    pub hard_deadline: Option<Time>,
    /// Whom it belongs to from now on.
    pub subject: Option<Option<Subject>>,
}

/// One field's new value, and what it must be based on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldChange {
    /// The value, or none to remove the field.
    pub value: Option<Bytes>,
    /// What the field must still be for the change to be right.
    pub expected: Expected,
}

/// What a change requires of the field it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// Nothing: the last write wins.
    Anything,
    /// There is no such field to be seen.
    Absent,
    /// The visible field was last written at this stamp.
    Written(Stamp),
}

impl Changes {
    /// The delta these changes are when made at `stamp`, which must be later than every stamp of
    /// the record that they are for.
    pub fn at(&self, stamp: Stamp) -> Record {
        let mut delta = Record::default();
        if self.clear {
            delta.cleared = stamp.before();
        }
        if let Some(created) = self.created {
            delta.created = created;
        }
        if let Some(seen) = self.seen {
            delta.seen = seen;
        }
        if let Some(hard_deadline) = self.hard_deadline {
            delta.hard_deadline = hard_deadline;
        }
        if let Some(idle_timeout) = self.idle_timeout {
            delta.idle_timeout = Stamped::new(stamp, idle_timeout);
        }
        if let Some(subject) = &self.subject {
            delta.subject = Stamped::new(stamp, subject.clone());
        }
        for (name, change) in &self.fields {
            delta.fields.insert(name.clone(), Stamped::new(stamp, change.value.clone()));
        }
        delta
    }

    /// The fields of `record` that are not what these changes expect. If there is one, none of the
    /// changes may be made.
    pub fn conflicts(&self, record: &Record) -> Vec<FieldName> {
        let unmet = self.fields.iter().filter(|(name, change)| {
            let visible = record.visible(name.as_str());
            match change.expected {
                Expected::Anything => false,
                Expected::Absent => visible.is_some(),
                Expected::Written(stamp) => visible.is_none_or(|field| field.stamp != stamp),
            }
        });
        unmet.map(|(name, _)| name.clone()).collect()
    }

    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether nothing is to change but when the session was last seen: what nobody would miss.
    pub fn is_only_touch(&self) -> bool {
        *self == Self { seen: self.seen, ..Self::default() }
    }

    /// Whether each of these changes is within the limits of a session. A store calls it before it
    /// moves any bytes, and [`Record::check`] on what the changes would make of the record.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.fields.len() > MAX_FIELDS {
            return Err(StoreError::TooLarge(Limit::Fields));
        }
        self.fields.values().try_for_each(|change| check_value(change.value.as_ref()))
    }
}

impl FieldChange {
    /// Sets the field, or removes it, whatever it is.
    pub const fn blind(value: Option<Bytes>) -> Self {
        Self { value, expected: Expected::Anything }
    }

    /// Sets the field, or removes it, if it still is what was read.
    pub const fn based_on(expected: Expected, value: Option<Bytes>) -> Self {
        Self { value, expected }
    }
}

impl Expected {
    /// What a change must require that is based on this field of `record` as it is now.
    pub fn of(record: &Record, name: &str) -> Self {
        record.visible(name).map_or(Self::Absent, |field| Self::Written(field.stamp))
    }
}
