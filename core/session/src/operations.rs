//! What a request did to its session, recorded instead of applied.
//!
//! The record of operations is kept in its shortest form: of several writes to one field only what
//! they come to. Reading one's own writes goes through [`Operations::get`].

use alloc::collections::BTreeMap;

use bytes::Bytes;

use crate::changes::{Changes, Expected, FieldChange};
use crate::record::{FieldName, Record, Subject};

/// Everything one request did to its session, in the order it did it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing a request can ask for")]
pub struct Operations {
    /// Fields written since the last clear.
    fields: BTreeMap<FieldName, FieldChange>,
    cleared: bool,
    pub(crate) touched: bool,
    pub(crate) renewed: bool,
    ended: bool,
    #[expect(clippy::option_option, reason = "whether to change it, and to what")]
    subject: Option<Option<Subject>>,
}

impl Operations {
    /// Sets a field, whatever it is.
    pub fn set(&mut self, name: FieldName, value: Bytes) {
        self.fields.insert(name, FieldChange::blind(Some(value)));
    }

    /// Removes a field, whatever it is.
    pub fn remove(&mut self, name: FieldName) {
        self.fields.insert(name, FieldChange::blind(None));
    }

    /// Sets a field to a value, or removes it, that was computed from what the field is in `loaded`
    /// after the operations recorded so far. If somebody else changes it before this request is
    /// committed, the commit is a conflict.
    pub fn update(&mut self, name: FieldName, value: Option<Bytes>, loaded: Option<&Record>) {
        let expected = match self.fields.get(name.as_str()) {
            // Based on what this request wrote itself, it rests on whatever that rested on.
            Some(earlier) => earlier.expected,
            None if self.cleared => Expected::Anything,
            None => loaded.map_or(Expected::Absent, |record| Expected::of(record, name.as_str())),
        };
        self.fields.insert(name, FieldChange::based_on(expected, value));
    }

    /// Forgets what was recorded of a field, so that it can be computed anew.
    pub fn forget(&mut self, name: &str) {
        self.fields.remove(name);
    }

    /// Removes all fields.
    pub fn clear(&mut self) {
        self.fields.clear();
        self.cleared = true;
    }

    /// Counts the session as used, even if no touch is due yet.
    pub const fn touch(&mut self) {
        self.touched = true;
    }

    /// Gives the session a new id.
    pub const fn renew(&mut self) {
        self.renewed = true;
    }

    /// Ends the session. It wins over everything else in the same request, before it or after.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// Says whom the session belongs to; none for nobody. If that is a change, the id is renewed
    /// too.
    pub fn set_subject(&mut self, subject: Option<Subject>) {
        self.subject = Some(subject);
    }

    /// Adds what was recorded after these operations.
    pub fn append(&mut self, later: Self) {
        if later.cleared {
            self.clear();
        }
        self.fields.extend(later.fields);
        self.touched |= later.touched;
        self.renewed |= later.renewed;
        self.ended |= later.ended;
        if later.subject.is_some() {
            self.subject = later.subject;
        }
    }

    /// What this request wrote to a field: none if nothing, some none if it removed it.
    pub fn get(&self, name: &str) -> Option<Option<&Bytes>> {
        match self.fields.get(name) {
            Some(change) => Some(change.value.as_ref()),
            None => self.cleared.then_some(None),
        }
    }

    /// Whom this request said the session belongs to, if it said so.
    pub fn subject(&self) -> Option<Option<&Subject>> {
        self.subject.as_ref().map(Option::as_ref)
    }

    /// Whether this request ends the session.
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether this request removed all fields.
    pub const fn is_cleared(&self) -> bool {
        self.cleared
    }

    /// Whether nothing was recorded but that the session is in use.
    pub fn is_only_touch(&self) -> bool {
        *self == Self { touched: self.touched, ..Self::default() }
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What these operations change of the fields and the subject of `record`.
    ///
    /// An operation that leaves a field as it was loaded (the same value set again, a field removed
    /// that is not there) is no change: it happened, in effect, when the session was loaded.
    pub(crate) fn changes(&self, record: &Record) -> Changes {
        let clear = self.cleared && record.iter().next().is_some();
        let mut changes = Changes { clear, ..Changes::default() };
        for (name, change) in &self.fields {
            let now = if self.cleared { None } else { record.get(name.as_str()) };
            if now != change.value.as_ref() {
                changes.fields.insert(name.clone(), change.clone());
            }
        }
        changes.subject = self.subject.clone().filter(|subject| *subject != record.subject.value);
        changes
    }
}
