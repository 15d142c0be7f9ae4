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
use crate::limits::{MAX_FIELDS, MAX_VALUE_BYTES};
use crate::record::{FieldName, Record, Subject};
use crate::stamp::{Stamp, Stamped};
use crate::write::Write;

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

/// What becomes of one field, and what that must be based on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldChange {
    /// What becomes of it.
    pub write: Write,
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
    /// The delta these changes are to `record` when made at `stamp`, which must be later than every
    /// stamp of that record. For a session that is being made, the record is the default one.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] if a relative write does not fit what the record holds.
    pub fn at(&self, stamp: Stamp, record: &Record) -> Result<Record, StoreError> {
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
            let before = if self.clear { None } else { record.get(name.as_str()) };
            let value = change.write.apply(before);
            let value = value.map_err(|_fault| StoreError::Incompatible(name.clone()))?;
            delta.fields.insert(name.clone(), Stamped::new(stamp, value));
        }
        Ok(delta)
    }

    /// Makes these changes to `record` at `stamp`, which must be later than every stamp of the
    /// record: the same as merging [`Changes::at`], without making a record for it.
    ///
    /// # Errors
    /// As [`Changes::at`]; the record may then be changed in part and has to be thrown away.
    pub fn apply(&self, record: &mut Record, stamp: Stamp) -> Result<(), StoreError> {
        if self.clear {
            record.cleared = stamp.before();
            record.fields.clear();
        }
        record.created = record.created.min(self.created.unwrap_or(record.created));
        record.seen = record.seen.max(self.seen.unwrap_or_default());
        record.hard_deadline = record.hard_deadline.max(self.hard_deadline.unwrap_or_default());
        if let Some(idle_timeout) = self.idle_timeout {
            record.idle_timeout = Stamped::new(stamp, idle_timeout);
        }
        if let Some(subject) = &self.subject {
            record.subject = Stamped::new(stamp, subject.clone());
        }
        for (name, change) in &self.fields {
            let value = change.write.apply(record.get(name.as_str()));
            let value = value.map_err(|_fault| StoreError::Incompatible(name.clone()))?;
            let field = Stamped::new(stamp, value);
            match record.fields.get_mut(name.as_str()) {
                Some(before) => *before = field,
                None => {
                    record.fields.insert(name.clone(), field);
                }
            }
        }
        Ok(())
    }

    /// Whether what they come to depends on what the session holds when they are made.
    pub fn is_relative(&self) -> bool {
        self.fields.values().any(|change| change.write.is_relative())
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
        if self.fields.values().any(|change| change.write.size() > MAX_VALUE_BYTES) {
            return Err(StoreError::TooLarge(Limit::Value));
        }
        Ok(())
    }
}

impl FieldChange {
    /// Sets the field, or removes it, whatever it is.
    pub fn blind(value: Option<Bytes>) -> Self {
        Self::based_on(Expected::Anything, value)
    }

    /// Sets the field, or removes it, if it still is what was read.
    pub fn based_on(expected: Expected, value: Option<Bytes>) -> Self {
        Self { write: Write::of(value), expected }
    }

    /// Adds to what the field is when the store makes the change.
    pub const fn relative(write: Write) -> Self {
        Self { write, expected: Expected::Anything }
    }
}

impl Expected {
    /// What a change must require that is based on this field of `record` as it is now.
    pub fn of(record: &Record, name: &str) -> Self {
        record.visible(name).map_or(Self::Absent, |field| Self::Written(field.stamp))
    }
}
