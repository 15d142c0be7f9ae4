//! What is known of a request's session, and what the request did to it.
//!
//! Two things are kept apart: what is recorded, to which any part of the handler may add at any
//! time, and what is in flight, which only whoever holds the gate may change. What could not be
//! committed stays in flight, and what was recorded later goes behind it.

use std::collections::BTreeMap;
use std::mem;

use abide_session::{CookieAction, FieldName, Id, Operations, Presented, Subject};
use bytes::Bytes;

use crate::Error;
use crate::presented::PresentedIds;

/// Computes a field's new value from the one it has.
pub(crate) type Update = Box<dyn FnMut(Option<&Bytes>) -> Result<Bytes, Error> + Send>;

/// What is known of a request's session, and what was recorded.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct State {
    /// Whether the handler used the session at all.
    pub(crate) used: bool,
    pub(crate) loaded: Presented,
    /// The id that `loaded` was found by, or that the session has been given.
    pub(crate) id: Option<Id>,
    /// What was recorded and is not being committed.
    pub(crate) recorded: Recorded,
    /// What is being committed, or could not be.
    pub(crate) in_flight: Recorded,
    /// This request has ended its session, and nothing else it does counts.
    pub(crate) ended: bool,
    /// Its session has ended under this request. Whatever it writes now would rest on what is no
    /// more.
    pub(crate) gone: bool,
    /// What the response has to tell the browser.
    pub(crate) cookie: CookieAction,
    /// The response is on its way.
    pub(crate) closed: bool,
}

/// Operations, and for the fields that were updated how to do it again.
#[derive(Default)]
pub(crate) struct Recorded {
    pub(crate) operations: Operations,
    pub(crate) updates: BTreeMap<FieldName, Vec<Update>>,
}

impl State {
    pub(crate) fn new(presented: &PresentedIds) -> Self {
        let loaded = match (presented.is_empty(), presented.malformed) {
            (false, _) => Presented::Unloaded,
            // What is no id is known by no session.
            (true, true) => Presented::Unknown,
            (true, false) => Presented::Nothing,
        };
        Self {
            used: false,
            loaded,
            id: None,
            recorded: Recorded::default(),
            in_flight: Recorded::default(),
            ended: false,
            gone: false,
            cookie: CookieAction::None,
            closed: false,
        }
    }

    pub(crate) const fn is_used(&self) -> bool {
        self.used
    }

    pub(crate) fn set(&mut self, name: FieldName, value: Bytes) {
        self.recorded.updates.remove(&name);
        self.recording().set(name, value);
    }

    pub(crate) fn remove(&mut self, name: FieldName) {
        self.recorded.updates.remove(&name);
        self.recording().remove(name);
    }

    pub(crate) fn clear(&mut self) {
        self.recorded.updates.clear();
        self.recording().clear();
    }

    /// What an update of this field starts from, and whether a conflict can make it run again: not
    /// if it is based on what this request wrote itself.
    pub(crate) fn before_update(&mut self, name: &FieldName) -> (Option<Bytes>, bool) {
        self.used = true;
        self.gather();
        let Recorded { operations, updates } = &self.in_flight;
        let again = operations.get(name.as_str()).is_none() || updates.contains_key(name);
        (self.get(name.as_str()).cloned(), again)
    }

    pub(crate) fn updated(&mut self, name: &FieldName, value: Bytes) {
        let record = self.loaded.record();
        self.in_flight.operations.update(name.clone(), Some(value), record);
    }

    pub(crate) const fn recording(&mut self) -> &mut Operations {
        self.used = true;
        &mut self.recorded.operations
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Bytes> {
        if self.ends() {
            return None;
        }
        let written = self.recorded.operations.get(name);
        match written.or_else(|| self.in_flight.operations.get(name)) {
            Some(value) => value,
            None => self.loaded.record()?.get(name),
        }
    }

    pub(crate) fn subject(&self) -> Option<&Subject> {
        if self.ends() {
            return None;
        }
        let written = self.recorded.operations.subject();
        match written.or_else(|| self.in_flight.operations.subject()) {
            Some(subject) => subject,
            None => self.loaded.record()?.subject.value.as_ref(),
        }
    }

    fn ends(&self) -> bool {
        self.ended
            || self.gone
            || self.recorded.operations.is_ended()
            || self.in_flight.operations.is_ended()
    }

    /// Puts what was recorded behind what could not be committed so far.
    pub(crate) fn gather(&mut self) {
        let later = mem::take(&mut self.recorded);
        if self.ended || later.operations.is_empty() {
            return;
        }
        if later.operations.is_cleared() {
            self.in_flight.updates.clear();
        }
        self.in_flight.updates.retain(|name, _| later.operations.get(name.as_str()).is_none());
        self.in_flight.operations.append(later.operations);
        self.in_flight.updates.extend(later.updates);
    }

    /// Notes that the changes in flight were made, and what the session is now.
    pub(crate) fn done(&mut self, loaded: Presented, id: Option<Id>, cookie: CookieAction) {
        self.in_flight = Recorded::default();
        self.loaded = loaded;
        self.id = id;
        if cookie != CookieAction::None {
            self.cookie = cookie;
        }
    }
}
