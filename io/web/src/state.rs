//! What is known of a request's session, and what the request did to it.
//!
//! Two things are kept apart: what is recorded, to which any part of the handler may add at any
//! time, and what is in flight, which only whoever holds the gate may change. What could not be
//! committed stays in flight, and what was recorded later goes behind it.

use std::collections::BTreeMap;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, MutexGuard};

use abide_session::{
    Changes, FieldName, Id, IdHash, Operations, Parts, Presented, Stamp, Standing, StoreError,
    Subject, Write,
};
use bytes::Bytes;

use crate::Error;
use crate::answer::CookieChange;

/// Computes a field's new value from the one it has.
pub(crate) type Update = Box<dyn FnMut(Option<&Bytes>) -> Result<Option<Bytes>, Error> + Send>;

/// What is known of a request's session, and what was recorded.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct State {
    /// Whether the handler used the session at all.
    pub(crate) used: bool,
    pub(crate) loaded: Presented,
    /// The id that `loaded` was found by, or that the session has been given.
    pub(crate) id: Option<Id>,
    /// Of a sealed session: the mark of its subject when it was bound, and the cookies it came in.
    pub(crate) epoch: Option<u64>,
    /// Where a sealed session was before, if it was carried over and may be there still.
    pub(crate) carried_from: Option<IdHash>,
    /// The id that the session may have been given: the store has not answered.
    pub(crate) renewal: Option<Id>,
    pub(crate) parts: Parts,
    /// The store did not answer, and the layer was told to go on without a session.
    pub(crate) without_store: bool,
    /// What was recorded and is not being committed.
    pub(crate) recorded: Operations,
    /// What is being committed, or could not be.
    pub(crate) in_flight: InFlight,
    /// This request has ended its session, and nothing else it does counts.
    pub(crate) ended: bool,
    /// Its session has ended under this request. Whatever it writes now would rest on what is no
    /// more.
    pub(crate) gone: bool,
    /// What the response has to tell the browser.
    pub(crate) cookie: CookieChange,
    /// The response is on its way.
    pub(crate) closed: bool,
}

/// Operations, and for the fields that were updated how to do it again.
#[derive(Default)]
pub(crate) struct InFlight {
    pub(crate) operations: Operations,
    pub(crate) updates: BTreeMap<FieldName, Vec<Update>>,
    /// The store may have made these changes, and to make them again would not be the same.
    pub(crate) in_doubt: bool,
}

/// The state of a session that may never be used: then it is never made.
#[derive(Default)]
pub(crate) struct LazyState {
    state: Option<Box<State>>,
    /// The response went out before there was a state to note it.
    is_closed: bool,
}

impl LazyState {
    /// Notes that the response is on its way, if the request did not use the session.
    pub(crate) fn close_unused(&mut self) -> bool {
        let is_unused = self.state.as_ref().is_none_or(|state| !state.used);
        if is_unused {
            self.is_closed = true;
            if let Some(state) = &mut self.state {
                state.closed = true;
            }
        }
        is_unused
    }
}

/// The state, locked.
pub(crate) struct StateGuard<'a>(MutexGuard<'a, LazyState>);

impl<'a> StateGuard<'a> {
    /// Makes the state if there is none, of what is known before anybody looked.
    pub(crate) fn new(
        mut lazy: MutexGuard<'a, LazyState>,
        at_first: impl FnOnce() -> Presented,
    ) -> Self {
        if lazy.state.is_none() {
            let mut state = State::new(at_first());
            state.closed = lazy.is_closed;
            lazy.state = Some(Box::new(state));
        }
        Self(lazy)
    }
}

impl Deref for StateGuard<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        self.0.state.as_ref().expect("it was made when it was locked")
    }
}

impl DerefMut for StateGuard<'_> {
    fn deref_mut(&mut self) -> &mut State {
        self.0.state.as_mut().expect("it was made when it was locked")
    }
}

impl State {
    fn new(loaded: Presented) -> Self {
        Self {
            used: false,
            loaded,
            id: None,
            epoch: None,
            carried_from: None,
            renewal: None,
            parts: Parts::default(),
            without_store: false,
            recorded: Operations::default(),
            in_flight: InFlight::default(),
            ended: false,
            gone: false,
            cookie: CookieChange::None,
            closed: false,
        }
    }

    pub(crate) fn set(&mut self, name: FieldName, value: Bytes) {
        self.recording().set(name, value);
    }

    pub(crate) fn remove(&mut self, name: FieldName) {
        self.recording().remove(name);
    }

    pub(crate) fn clear(&mut self) {
        self.recording().clear();
    }

    /// Adds to a field what the store adds up.
    pub(crate) fn relate(&mut self, name: FieldName, write: Write) -> Result<(), StoreError> {
        self.used = true;
        let before = &self.in_flight.operations;
        if !before.writes(name.as_str()) {
            return self.recorded.relate(name, write);
        }
        // Whether it fits what this request wrote itself is known now, and must be said now.
        let before = before.value(name.as_str(), None)?;
        let mut recorded = self.recorded.clone();
        recorded.relate(name.clone(), write)?;
        recorded.value(name.as_str(), before.as_ref())?;
        self.recorded = recorded;
        Ok(())
    }

    /// What an update of this field starts from, and whether a conflict can make it run again: not
    /// if it is based on what this request wrote itself. Only for whoever holds the gate.
    pub(crate) fn before_update(
        &mut self,
        name: &FieldName,
    ) -> Result<(Option<Bytes>, bool), StoreError> {
        self.used = true;
        self.gather();
        let current = self.get(name.as_str())?;
        let InFlight { operations, updates, .. } = &mut self.in_flight;
        if let Some(write) = operations.relative(name.as_str()) {
            updates.insert(name.clone(), vec![sum(name.clone(), write.clone())]);
        }
        let again = !operations.writes(name.as_str()) || updates.contains_key(name);
        Ok((current, again))
    }

    pub(crate) fn updated(&mut self, name: &FieldName, value: Option<Bytes>) {
        let record = self.loaded.record();
        self.in_flight.operations.update(name.clone(), value, record);
    }

    pub(crate) const fn recording(&mut self) -> &mut Operations {
        self.used = true;
        &mut self.recorded
    }

    /// The value of a field after everything this request did to it.
    pub(crate) fn get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        if self.ends() {
            return Ok(None);
        }
        let loaded = self.loaded.record().and_then(|record| record.get(name));
        if self.in_flight.operations.is_empty() && self.recorded.is_empty() {
            return Ok(loaded.cloned());
        }
        let in_flight = self.in_flight.operations.value(name, loaded)?;
        self.recorded.value(name, in_flight.as_ref())
    }

    pub(crate) fn subject(&self) -> Option<&Subject> {
        if self.ends() {
            return None;
        }
        let written = self.recorded.subject();
        match written.or_else(|| self.in_flight.operations.subject()) {
            Some(subject) => subject,
            None => self.loaded.record()?.subject.value.as_ref(),
        }
    }

    fn ends(&self) -> bool {
        self.ended || self.gone || self.recorded.is_ended() || self.in_flight.operations.is_ended()
    }

    /// Puts what was recorded behind what could not be committed so far. Only for whoever holds the
    /// gate.
    pub(crate) fn gather(&mut self) {
        if self.in_flight.in_doubt {
            // Whoever recorded it has had the error, and what follows must not share its fate.
            self.in_flight = InFlight::default();
        }
        let later = mem::take(&mut self.recorded);
        if self.ended || later.is_empty() {
            return;
        }
        let InFlight { operations, updates, .. } = &mut self.in_flight;
        updates.retain(|name, again| match later.relative(name.as_str()) {
            // It becomes part of the update, and runs again with it.
            Some(write) if !later.is_cleared() => {
                again.push(sum(name.clone(), write.clone()));
                true
            }
            _ => !later.writes(name.as_str()),
        });
        operations.append(later);
    }

    /// Notes that these changes were made to the live session, which has this id now. Whoever
    /// renewed it has its current id.
    ///
    /// The store keeps a record of its own by now, so this one usually is nobody else's and changes
    /// in place.
    pub(crate) fn committed(
        &mut self,
        changes: &Changes,
        stamp: Stamp,
        id: Id,
        cookie: CookieChange,
    ) {
        let mut loaded = mem::replace(&mut self.loaded, Presented::Unloaded);
        // Of a counter only the store knows what the others have added.
        let is_known = match &mut loaded {
            Presented::Live { record, standing } if !changes.is_relative() => {
                if self.id != Some(id) {
                    *standing = Standing::Current;
                }
                changes.apply(Arc::make_mut(record), stamp).is_ok()
            }
            _ => false,
        };
        let loaded = if is_known { loaded } else { Presented::Unloaded };
        self.done(loaded, Some(id), cookie);
    }

    /// Notes that the changes in flight were made, and what the session is now.
    pub(crate) fn done(&mut self, loaded: Presented, id: Option<Id>, cookie: CookieChange) {
        self.in_flight = InFlight::default();
        self.loaded = loaded;
        self.id = id;
        if !matches!(cookie, CookieChange::None) {
            self.cookie = cookie;
        }
    }
}

/// A relative write as an update.
fn sum(name: FieldName, write: Write) -> Update {
    Box::new(move |current| {
        let mut alone = Operations::default();
        alone.relate(name.clone(), write.clone())?;
        Ok(alone.value(name.as_str(), current)?)
    })
}
