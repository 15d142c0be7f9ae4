//! Loading a session, and carrying out what `plan` says.
//!
//! The decisions are `abide_session::plan`'s. What is left is to do what they say, one thing at a
//! time, and to try again when an update met a conflict: `stored.rs` does it with a store,
//! `sealed.rs` with a sealed cookie.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use abide_session::{
    Action, CookieAction, Expected, FieldChange, FieldName, Id, Loaded, Plan, Presented,
    RANDOM_BYTES, Record, Standing, Store, StoreError, StoreFuture, Subject, plan,
};
use abide_time::Time;
use bytes::Bytes;
use tracing::{Instrument, Span};

use crate::answer::CookieChange;
use crate::counters::Count;
use crate::layer::{Keep, Settings};
use crate::state::{InFlight, State, Update};
use crate::{Error, Event, EventKind, Session, SessionHandle};

/// How often an update is tried before it is a [`Error::Conflict`]. Each try fails only because
/// another request succeeded, so it takes this many others on one field at once.
pub const UPDATE_TRIES: u32 = 32;

/// Whether the plan is carried out.
pub(crate) enum Step {
    Done,
    /// No, but now it is known what there is.
    Loaded,
    /// No, because somebody else was faster.
    Again,
}

impl Session {
    /// Loads the session, if that has not been done.
    pub(crate) async fn ensure_loaded(&self) -> Result<(), Error> {
        if self.use_loaded() {
            return Ok(());
        }
        let _alone = self.0.gate.lock().await;
        if self.use_loaded() {
            return Ok(());
        }
        match self.look_up().instrument(span("load")).await {
            Err(Error::Store(StoreError::Unavailable(_)))
                if self.0.settings.without_session_in_outage =>
            {
                self.0.settings.count(Count::WithoutStore);
                self.state().without_store = true;
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn use_loaded(&self) -> bool {
        let mut state = self.state();
        state.used = true;
        state.without_store || !matches!(state.loaded, Presented::Unloaded)
    }

    /// Finds out what there is, whether or not that is known.
    pub(crate) async fn look_up(&self) -> Result<(), Error> {
        match &self.0.settings.keep {
            Keep::Stored(store) => self.look_up_stored(&**store).await,
            // Apart, so that a request of a store does not carry the room for it.
            Keep::Sealed(sealing) => Box::pin(self.look_up_sealed(sealing)).await,
        }
    }

    /// Records an update. It runs while nothing is locked that the session's other methods need,
    /// and while nothing is being committed.
    pub(crate) async fn recorded_update(
        &self,
        name: FieldName,
        mut update: Update,
    ) -> Result<(), Error> {
        let _alone = self.0.gate.lock().await;
        let (current, again) = self.state().before_update(&name)?;
        let value = update(current.as_ref())?;
        let mut state = self.state();
        if again {
            state.in_flight.updates.entry(name.clone()).or_default().push(update);
        }
        state.updated(&name, value);
        Ok(())
    }

    /// Ends the other sessions of the subject of this one, which has to be settled.
    pub(crate) async fn end_all_but_this(&self) -> Result<(), Error> {
        let _alone = self.0.gate.lock().await;
        let Some((id, record, _)) = self.live() else { return Ok(()) };
        let Some(subject) = &record.subject.value else { return Ok(()) };
        match &self.0.settings.keep {
            Keep::Stored(_) => self.0.settings.end_all(subject, Some(id.hash())).await,
            Keep::Sealed(sealing) => self.end_other_sealed(sealing, subject).await,
        }
    }

    /// Whether the end of the request needs no store call and no cookie.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.state();
        state.recorded.is_empty()
            && matches!(state.cookie, CookieChange::None)
            && !self.planned(&state, self.now()).is_some_and(|plan| plan.action != Action::Nothing)
    }

    /// What has to happen; none if nothing can, because there is no store to do it with.
    fn planned(&self, state: &State, now: Time) -> Option<Plan> {
        let operations = &state.in_flight.operations;
        if state.without_store && operations.is_empty() {
            return None;
        }
        Some(plan(&state.loaded, operations, now, &self.0.settings.policy))
    }

    /// Commits what was recorded.
    pub(crate) async fn settle(&self) -> Result<(), Error> {
        self.settle_all().instrument(span("settle")).await
    }

    async fn settle_all(&self) -> Result<(), Error> {
        let _alone = self.0.gate.lock().await;
        if self.state().renewal.is_some() {
            Box::pin(self.resolve_renewal()).await?;
        }
        let is_gone = {
            let mut state = self.state();
            if state.closed {
                state.recorded.insist();
            }
            state.gather();
            let operations = &state.in_flight.operations;
            if state.without_store && !operations.is_empty() && !operations.is_ended() {
                // It was computed without the session that it would change.
                return Err(without_store());
            }
            state.gone
        };
        if is_gone {
            return Box::pin(self.settle_gone()).await;
        }
        let mut tries = 0;
        while tries < UPDATE_TRIES {
            let now = self.now();
            let Some(plan) = self.planned(&self.state(), now) else { return Ok(()) };
            // Until there is an answer: nobody may be left to hear it.
            self.state().in_flight.in_doubt = !self.may_repeat(&plan.action);
            let step = self.carry_out(plan, now).await;
            let mut state = self.state();
            if !matches!(step, Err(Error::Store(StoreError::Unavailable(_)))) {
                state.in_flight.in_doubt = false;
            }
            match step {
                Ok(Step::Done) => return Ok(()),
                Ok(Step::Loaded) if state.gone => {
                    drop(state);
                    return Err(self.gone());
                }
                Ok(Step::Loaded) => {}
                Ok(Step::Again) => tries += 1,
                Err(error) => {
                    if error.is_lasting() {
                        // Whoever handles it must not meet it again.
                        state.in_flight = InFlight::default();
                    }
                    return Err(error);
                }
            }
        }
        Err(Error::Conflict)
    }

    /// Of what was recorded under an ended session, or an id that is not good any more, only the end
    /// counts.
    async fn settle_gone(&self) -> Result<(), Error> {
        let dropped = mem::take(&mut self.state().in_flight).operations;
        if dropped.is_ended() {
            let now = self.now();
            match &self.0.settings.keep {
                Keep::Stored(store) => self.end_presented(&**store, now).await?,
                Keep::Sealed(sealing) => self.end_sealed(sealing, now).await?,
            };
            return Ok(());
        }
        if dropped.is_empty() { Ok(()) } else { Err(Error::Gone) }
    }

    /// Finds out whether the session has been given the id that the store did not answer about.
    async fn resolve_renewal(&self) -> Result<(), Error> {
        let (Some(to), Keep::Stored(store)) = (self.state().renewal, &self.0.settings.keep) else {
            return Ok(());
        };
        let settings = &self.0.settings;
        let loaded = settings.in_time(store.load(to.hash(), self.now())).await?;
        let mut state = self.state();
        state.renewal = None;
        if let Loaded::Live { record, standing } = loaded {
            settings.count(Count::Renewed);
            let cookie = CookieChange::Id(to, record.hard_deadline);
            state.done(Presented::Live { record, standing }, Some(to), cookie);
        } else {
            // What was to go with it was not done either.
            state.in_flight.in_doubt = false;
        }
        Ok(())
    }

    /// Whether to do this twice is the same as to do it once. What was added would be added twice,
    /// and an update would find its own outcome and run on that.
    fn may_repeat(&self, action: &Action) -> bool {
        match (&self.0.settings.keep, action) {
            (Keep::Stored(_), Action::Commit(changes) | Action::Rename(changes, _)) => {
                let is_blind = |change: &FieldChange| change.expected == Expected::Anything;
                !changes.is_relative() && changes.fields.values().all(is_blind)
            }
            _ => true,
        }
    }

    async fn carry_out(&self, plan: Plan, now: Time) -> Result<Step, Error> {
        match plan.action {
            Action::Nothing => {
                let mut state = self.state();
                state.ended |= state.in_flight.operations.is_ended();
                let (loaded, id) = (mem::replace(&mut state.loaded, Presented::Ended), state.id);
                let cookie = match plan.cookie {
                    CookieAction::Remove => self.removal(&state),
                    _ => CookieChange::None,
                };
                state.done(loaded, id, cookie);
                Ok(Step::Done)
            }
            Action::Commit(changes) if self.is_unloaded() => {
                let known = self.state().id.or_else(|| self.0.presented.only_id());
                match (&self.0.settings.keep, known) {
                    (Keep::Stored(store), Some(id)) => {
                        self.commit_unseen(&**store, id, changes, now).await
                    }
                    _ => self.load_to_settle().await,
                }
            }
            Action::Load => self.load_to_settle().await,
            _ => match &self.0.settings.keep {
                Keep::Stored(store) => self.carry_out_stored(&**store, plan, now).await,
                Keep::Sealed(sealing) => Box::pin(self.carry_out_sealed(sealing, plan, now)).await,
            },
        }
    }

    /// Loads the session, so that what has to happen can be planned again.
    pub(crate) async fn load_to_settle(&self) -> Result<Step, Error> {
        self.look_up().await?;
        Ok(Step::Loaded)
    }

    fn is_unloaded(&self) -> bool {
        matches!(self.state().loaded, Presented::Unloaded)
    }

    /// What removes the cookies that the request came with.
    pub(crate) fn removal(&self, state: &State) -> CookieChange {
        match &self.0.settings.keep {
            Keep::Stored(_) => CookieChange::Remove,
            Keep::Sealed(sealing) => CookieChange::Texts(sealing.seal.removals(state.parts)),
        }
    }

    /// Whether what could not be committed is only that the session is in use.
    pub(crate) fn may_be_missed(&self) -> bool {
        self.state().in_flight.operations.is_only_touch()
    }

    /// What the response tells the browser.
    pub(crate) fn close(&self) -> CookieChange {
        let mut state = self.state();
        state.closed = true;
        mem::take(&mut state.cookie)
    }

    pub(crate) fn now(&self) -> Time {
        self.0.settings.clock.now()
    }

    /// Notes that what was to be changed is no more, and that this was refused.
    pub(crate) fn gone(&self) -> Error {
        let settings = &self.0.settings;
        let (id, subject) = {
            let state = self.state();
            let record = state.loaded.record();
            (state.id, record.and_then(|record| record.subject.value.clone()))
        };
        settings.count(Count::Gone);
        settings.tell(EventKind::Refused, id, subject.as_ref());
        self.found_ended()
    }

    /// Notes that there is no session any more: what this request still writes is dropped.
    pub(crate) fn found_ended(&self) -> Error {
        let mut state = self.state();
        state.in_flight = InFlight::default();
        state.loaded = Presented::Ended;
        state.cookie = CookieChange::None;
        state.gone = true;
        Error::Gone
    }

    /// The id of the session that is known to be there.
    pub(crate) fn live_id(&self) -> Option<Id> {
        let state = self.state();
        state.loaded.record().and(state.id)
    }

    /// The session that is known to be there.
    pub(crate) fn live(&self) -> Option<(Id, Arc<Record>, Standing)> {
        let state = self.state();
        match (&state.loaded, state.id) {
            (Presented::Live { record, standing }, Some(id)) => {
                Some((id, Arc::clone(record), *standing))
            }
            _ => None,
        }
    }

    /// Puts a record that is newer than the one updates were computed from, and computes them anew.
    pub(crate) fn recompute(&self, record: Arc<Record>, standing: Standing) -> Result<(), Error> {
        let mut updates = mem::take(&mut self.state().in_flight.updates);
        let values = computed(&mut updates, &record);
        let mut state = self.state();
        state.in_flight.updates = updates;
        state.loaded = Presented::Live { record, standing };
        for (name, value) in values? {
            state.in_flight.operations.forget(name.as_str());
            state.updated(&name, value);
        }
        Ok(())
    }
}

impl Settings {
    pub(crate) fn count(&self, count: Count) {
        tracing::debug!(target: "abide::session", ?count, "counted");
        self.tally.count(count);
    }

    /// Tells whoever wants to know what happened to which session.
    pub(crate) fn tell(&self, kind: EventKind, id: Option<Id>, subject: Option<&Subject>) {
        if self.listener.is_some() {
            self.tell_of(kind, id.map(|id| SessionHandle::new(id.hash())), subject);
        }
    }

    pub(crate) fn tell_of(
        &self,
        kind: EventKind,
        session: Option<SessionHandle>,
        subject: Option<&Subject>,
    ) {
        if let Some(listener) = &self.listener {
            (listener.0)(&Event { kind, session, subject: subject.cloned() });
        }
    }

    /// The store's answer, or an error if it does not come in time.
    pub(crate) async fn in_time<T>(&self, mut call: StoreFuture<'_, T>) -> Result<T, Error> {
        self.tally.count(Count::StoreCall);
        // A store that answers at once, as one in memory does, costs no timer.
        let at_once = poll_fn(|task| Poll::Ready(call.as_mut().poll(task))).await;
        let answer = match at_once {
            Poll::Ready(answer) => answer,
            Poll::Pending => in_time(call, self.store_timeout).await,
        };
        answer.map_err(|error| {
            self.count(Count::StoreError);
            tracing::warn!(target: "abide::session", %error, "a store call failed");
            Error::Store(error)
        })
    }
}

/// What a request that runs without the store is told when it needs one.
pub(crate) fn without_store() -> Error {
    Error::Store(StoreError::Unavailable("this request runs without its session".into()))
}

fn span(part: &'static str) -> Span {
    tracing::debug_span!(target: "abide::session", "session", part)
}

async fn in_time<T>(call: StoreFuture<'_, T>, limit: Duration) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
    }
}

/// What the updates come to on this record.
fn computed(
    updates: &mut BTreeMap<FieldName, Vec<Update>>,
    record: &Record,
) -> Result<Vec<(FieldName, Option<Bytes>)>, Error> {
    let mut values = Vec::with_capacity(updates.len());
    for (name, updates) in updates {
        let mut value = record.get(name.as_str()).cloned();
        for update in updates {
            value = update(value.as_ref())?;
        }
        values.push((name.clone(), value));
    }
    Ok(values)
}

/// Without random bytes there can be no new session, and waiting may help: early at boot, say.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|cause| StoreError::Unavailable(Box::new(cause)))?;
    Ok(bytes)
}

/// An id that nobody has.
pub(crate) fn new_id() -> Result<Id, StoreError> {
    Ok(Id::from_random(random::<RANDOM_BYTES>()?))
}

/// An id that nobody has, for a session that is at home where this store is.
pub(crate) fn new_id_at(store: &dyn Store) -> Result<Id, StoreError> {
    let bytes = random::<RANDOM_BYTES>()?;
    let [high, low, ..] = bytes;
    // These two choose the slot, here or there.
    let home = store.home(u16::from_be_bytes([high, low]));
    Ok(home.map_or_else(|| Id::from_random(bytes), |slot| Id::from_random_in(slot, bytes)))
}
