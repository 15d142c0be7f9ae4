//! What a request did to its session, recorded instead of applied.
//!
//! The record of operations is kept in its shortest form: of several writes to one field only what
//! they come to. Reading one's own writes goes through [`Operations::value`].

use alloc::collections::BTreeMap;
use core::time::Duration;

use bytes::Bytes;

use crate::changes::{Changes, Expected, FieldChange};
use crate::error::StoreError;
use crate::record::{FieldName, Record, Subject};
use crate::write::Write;

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
    pub(crate) lifetime: Option<Lifetime>,
    /// What changes nothing of what was loaded is written all the same.
    insists: bool,
}

/// How long one session lives, where that differs from the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long it may stay unused.
    pub idle_timeout: Duration,
    /// How long it lives in all, from now. What it has already been promised is not taken back.
    pub absolute_timeout: Duration,
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
            Some(earlier) if !earlier.write.is_relative() => earlier.expected,
            _ if self.cleared => Expected::Anything,
            _ => loaded.map_or(Expected::Absent, |record| Expected::of(record, name.as_str())),
        };
        self.fields.insert(name, FieldChange::based_on(expected, value));
    }

    /// Adds to a field what the store adds up: see [`Write`].
    ///
    /// # Errors
    /// [`StoreError::Incompatible`], and nothing recorded, if this request itself wrote something
    /// else to the field.
    pub fn relate(&mut self, name: FieldName, write: Write) -> Result<(), StoreError> {
        let change = match self.fields.get(name.as_str()) {
            Some(earlier) => match earlier.write.clone().then(write) {
                Ok(write) => FieldChange { write, expected: earlier.expected },
                Err(_fault) => return Err(StoreError::Incompatible(name)),
            },
            None if self.cleared => match Write::Remove.then(write) {
                Ok(write) => FieldChange::relative(write),
                Err(_fault) => return Err(StoreError::Incompatible(name)),
            },
            None => FieldChange::relative(write),
        };
        self.fields.insert(name, change);
        Ok(())
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

    /// Gives the session a lifetime of its own.
    pub const fn set_lifetime(&mut self, lifetime: Lifetime) {
        self.lifetime = Some(lifetime);
    }

    /// Writes also what changes nothing of what was loaded: that was long ago.
    pub fn insist(&mut self) {
        self.insists = !self.fields.is_empty() || self.cleared;
    }

    /// Adds what was recorded after these operations.
    pub fn append(&mut self, later: Self) {
        if later.cleared {
            self.clear();
        }
        if self.fields.is_empty() {
            self.fields = later.fields;
        } else {
            self.append_fields(later.fields);
        }
        self.touched |= later.touched;
        self.renewed |= later.renewed;
        self.ended |= later.ended;
        self.insists |= later.insists;
        if later.subject.is_some() {
            self.subject = later.subject;
        }
        self.lifetime = later.lifetime.or(self.lifetime);
    }

    fn append_fields(&mut self, later: BTreeMap<FieldName, FieldChange>) {
        for (name, change) in later {
            let is_relative = change.write.is_relative();
            // What does not fit is kept as it is, for the store to refuse.
            if !is_relative || self.relate(name.clone(), change.write.clone()).is_err() {
                self.fields.insert(name, change);
            }
        }
    }

    /// The fields that this request wrote to since it cleared the session.
    pub(crate) fn written(&self) -> impl Iterator<Item = &FieldName> {
        self.fields.keys()
    }

    /// Whether this request wrote to a field.
    pub fn writes(&self, name: &str) -> bool {
        self.cleared || self.fields.contains_key(name)
    }

    /// What a field is after these operations that was this value before them; none is no field.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] if it is not the counter or the set that was added to.
    pub fn value(&self, name: &str, before: Option<&Bytes>) -> Result<Option<Bytes>, StoreError> {
        let before = before.filter(|_| !self.cleared);
        match self.fields.get_key_value(name) {
            None => Ok(before.cloned()),
            Some((name, change)) => {
                let value = change.write.apply(before);
                value.map_err(|_fault| StoreError::Incompatible(name.clone()))
            }
        }
    }

    /// What this request adds to a field for the store to add up, if it does.
    pub fn relative(&self, name: &str) -> Option<&Write> {
        self.fields.get(name).map(|change| &change.write).filter(|write| write.is_relative())
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

    /// What these operations change of the fields of any session; none if that depends on the session,
    /// or could be nothing: where there may be nothing to remove, a look costs less than a write.
    pub(crate) fn changes_of_any(&self) -> Option<Changes> {
        let Self { fields, cleared, touched: _, renewed, ended, subject, lifetime, insists: _ } =
            self;
        let is_blind = |change: &FieldChange| change.expected == Expected::Anything;
        let makes = |change: &FieldChange| matches!(change.write.apply(None), Ok(Some(_)));
        let asks_for_more =
            *cleared || *renewed || *ended || subject.is_some() || lifetime.is_some();
        let is_of_any =
            !asks_for_more && fields.values().all(is_blind) && fields.values().any(makes);
        is_of_any.then(|| Changes { fields: fields.clone(), ..Changes::default() })
    }

    /// What these operations change of the fields and the subject of `record`.
    ///
    /// An operation that leaves a field as it was loaded (the same value set again, a field removed
    /// that is not there) is no change: it happened, in effect, when the session was loaded.
    pub(crate) fn changes(&self, record: &Record) -> Changes {
        let clear = self.cleared && (self.insists || record.iter().next().is_some());
        let mut changes = Changes { clear, ..Changes::default() };
        for (name, change) in &self.fields {
            let before = if self.cleared { None } else { record.get(name.as_str()) };
            let is_change = change.write.apply(before).as_ref().map(Option::as_ref) != Ok(before);
            if self.insists || is_change {
                changes.fields.insert(name.clone(), change.clone());
            }
        }
        changes.subject = self.subject.clone().filter(|subject| *subject != record.subject.value);
        changes
    }
}
