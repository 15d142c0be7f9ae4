//! What is kept of a session, and how two versions of it become one.
//!
//! Each part of a [`Record`] merges by taking the greater, by an order of its own: a field, the
//! idle time-out and the subject by the stamp of their last write, `cleared`, `seen` and
//! `hard_deadline` by value, `created` by taking the earlier. [`Record::merge`] is therefore
//! commutative, associative and idempotent, and what it makes does not depend on the order in which
//! deltas arrive, or how often.
//!
//! A field is visible iff its stamp is later than `cleared` and it has a value. Clearing a session
//! raises `cleared` above all its fields; ending it raises `cleared` to [`Stamp::MAX`], above which
//! there is nothing. That is the whole proof that an ended session stays ended.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::time::Duration;

use abide_time::Time;
use bytes::Bytes;

use crate::error::{Limit, StoreError};
use crate::limits::{
    MAX_FIELD_NAME_BYTES, MAX_FIELDS, MAX_RECORD_BYTES, MAX_SUBJECT_BYTES, MAX_VALUE_BYTES,
};
use crate::stamp::{Stamp, Stamped};

/// A session as a store keeps it; or a delta of one, which is a record that holds only what
/// changed.
///
/// [`Record::default`] is the delta that changes nothing: merged with any record, it is that
/// record.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Fields written at this stamp or earlier do not exist. [`Stamp::MAX`]: the session has ended.
    pub cleared: Stamp,
    /// When the session was made. [`Time::MAX`] in a delta that does not say.
    pub created: Time,
    /// When it was last used, to the accuracy of [`crate::touch_due`].
    pub seen: Time,
    /// When it ends however much it is used. It can move later, never earlier: who keeps a mark
    /// that a session ended may drop the mark at this time, because by then every copy is
    /// worthless.
    pub hard_deadline: Time,
    /// How long it may stay unused.
    pub idle_timeout: Stamped<Duration>,
    /// Whom it belongs to.
    pub subject: Stamped<Option<Subject>>,
    /// What it holds. Invariant after each merge: every field's stamp is later than `cleared`.
    pub fields: BTreeMap<FieldName, Field>,
}

/// The last write of a field: its value, or none if it was removed.
pub type Field = Stamped<Option<Bytes>>;

impl Record {
    /// What is left of a session that has ended: the mark, to be kept until `hard_deadline`.
    pub fn ended(hard_deadline: Time) -> Self {
        Self { cleared: Stamp::MAX, hard_deadline, ..Self::default() }
    }

    /// Takes over whatever is later in `other`.
    pub fn merge(&mut self, other: Self) {
        self.cleared = self.cleared.max(other.cleared);
        self.created = self.created.min(other.created);
        self.seen = self.seen.max(other.seen);
        self.hard_deadline = self.hard_deadline.max(other.hard_deadline);
        self.idle_timeout.merge(other.idle_timeout);
        self.subject.merge(other.subject);
        if self.fields.is_empty() {
            self.fields = other.fields;
        } else {
            for (name, field) in other.fields {
                match self.fields.get_mut(name.as_str()) {
                    Some(ours) => ours.merge(field),
                    None => {
                        self.fields.insert(name, field);
                    }
                }
            }
        }
        if self.cleared > Stamp::ZERO {
            self.fields.retain(|_, field| field.stamp > self.cleared);
        }
    }

    /// Drops the markers of removed fields. Only for a store that is the one point where changes
    /// are put in order: where records of several nodes are merged, a marker is what keeps a
    /// removed field from coming back.
    pub fn forget_removed(&mut self) {
        self.fields.retain(|_, field| field.value.is_some());
    }

    /// The value of a field; none if there is no such field, or no longer.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.visible(name)?.value.as_ref()
    }

    /// The last write of a visible field.
    pub fn visible(&self, name: &str) -> Option<&Field> {
        self.fields.get(name).filter(|field| self.shows(field))
    }

    /// The visible fields, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldName, &Bytes)> {
        self.fields
            .iter()
            .filter(|(_, field)| self.shows(field))
            .filter_map(|(name, field)| Some((name, field.value.as_ref()?)))
    }

    /// Whether the session has ended, for good.
    pub fn is_ended(&self) -> bool {
        self.cleared == Stamp::MAX
    }

    /// When the session expires if nobody uses it: by disuse or for good, whichever is first.
    pub fn deadline(&self) -> Time {
        self.idle_deadline().min(self.hard_deadline)
    }

    /// When it expires by disuse.
    pub fn idle_deadline(&self) -> Time {
        self.seen.after(self.idle_timeout.value)
    }

    /// Whether it has expired at `now`. At its very deadline it has.
    pub fn is_expired(&self, now: Time) -> bool {
        self.deadline() <= now
    }

    /// The latest stamp of anything in this record that is not the mark of its end: what a clock
    /// has to have observed before it stamps a change of it.
    pub fn latest(&self) -> Stamp {
        let cleared = if self.is_ended() { Stamp::ZERO } else { self.cleared };
        let fields = self.fields.values().map(|field| field.stamp).max().unwrap_or_default();
        cleared.max(fields).max(self.idle_timeout.stamp).max(self.subject.stamp)
    }

    /// Bytes this record counts for: its names, its values, its subject, and a flat amount for each
    /// field and for the record, which is about what they take in memory.
    pub fn size(&self) -> usize {
        let subject = self.subject.value.as_ref().map_or(0, |subject| subject.as_str().len());
        self.fields.iter().fold(RECORD_BYTES.saturating_add(subject), |sum, (name, field)| {
            sum.saturating_add(FIELD_BYTES)
                .saturating_add(name.as_str().len())
                .saturating_add(field.value.as_ref().map_or(0, Bytes::len))
        })
    }

    /// Whether the record is within the limits of a session. A store checks what a change would
    /// make of a record before it keeps it.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn check(&self) -> Result<(), StoreError> {
        if self.fields.len() > MAX_FIELDS {
            return Err(StoreError::TooLarge(Limit::Fields));
        }
        for field in self.fields.values() {
            check_value(field.value.as_ref())?;
        }
        if self.size() > MAX_RECORD_BYTES {
            return Err(StoreError::TooLarge(Limit::Record));
        }
        Ok(())
    }

    fn shows(&self, field: &Field) -> bool {
        field.stamp > self.cleared && field.value.is_some()
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            cleared: Stamp::ZERO,
            created: Time::MAX,
            seen: Time::EPOCH,
            hard_deadline: Time::EPOCH,
            idle_timeout: Stamped::default(),
            subject: Stamped::default(),
            fields: BTreeMap::new(),
        }
    }
}

/// Names and sizes only: what a session holds is its owner's.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields.iter().map(|(name, field)| {
            (name.as_str(), (field.stamp, field.value.as_ref().map(Bytes::len)))
        });
        f.debug_struct("Record")
            .field("cleared", &self.cleared)
            .field("created", &self.created)
            .field("seen", &self.seen)
            .field("hard_deadline", &self.hard_deadline)
            .field("idle_timeout", &self.idle_timeout)
            .field("subject", &self.subject)
            .field("fields", &fields.collect::<BTreeMap<_, _>>())
            .finish()
    }
}

/// # Errors
/// [`StoreError::TooLarge`] if the value has more than [`MAX_VALUE_BYTES`].
fn check_value(value: Option<&Bytes>) -> Result<(), StoreError> {
    if value.is_some_and(|value| value.len() > MAX_VALUE_BYTES) {
        return Err(StoreError::TooLarge(Limit::Value));
    }
    Ok(())
}

/// The name of a field: 1 to [`MAX_FIELD_NAME_BYTES`] bytes of any text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(Cow<'static, str>);

impl FieldName {
    /// The name with this text.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] with [`Limit::FieldName`] if the text is empty or too long.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<Self, StoreError> {
        let name = name.into();
        if name.is_empty() || name.len() > MAX_FIELD_NAME_BYTES {
            return Err(StoreError::TooLarge(Limit::FieldName));
        }
        Ok(Self(name))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for FieldName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Whom a session belongs to: the application's name for a user, 1 to [`MAX_SUBJECT_BYTES`] bytes.
/// Debug does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The subject with this name.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] with [`Limit::Subject`] if the name is empty or too long.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, StoreError> {
        let name = name.into();
        if name.is_empty() || name.len() > MAX_SUBJECT_BYTES {
            return Err(StoreError::TooLarge(Limit::Subject));
        }
        Ok(Self(name))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}

/// What a field takes in memory besides its name and value: about its place in an ordered map.
const FIELD_BYTES: usize = 96;
/// What a record takes in memory besides its fields.
const RECORD_BYTES: usize = 160;

#[cfg(test)]
mod tests;
