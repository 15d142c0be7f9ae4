//! Loading a session, and carrying out what `plan` says.
//!
//! The decisions are `abide_session::plan`'s; what is left here is to call the store, one call at a
//! time, and to try again when an update met a conflict.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use abide_session::{
    Action, Changes, Commit, CookieAction, Create, End, FieldName, Id, Loaded, OldId, Plan,
    Presented, RANDOM_BYTES, Record, Rename, Stamp, Standing, StoreError, StoreFuture, plan,
};
use abide_time::Time;
use bytes::Bytes;

use crate::counters::Event;
use crate::state::{Recorded, Update};
use crate::{Error, Session};

/// How often an update is tried before it is a [`Error::Conflict`]. Each try fails only because
/// another request succeeded, so it takes this many others on one field at once.
pub const UPDATE_TRIES: u32 = 32;

/// Whether the plan is carried out.
enum Step {
    Done,
    /// No, but now it is known what there is.
    Loaded,
    /// No, because somebody else was faster.
    Again,
}

impl Session {
    /// Loads the session, if that has not been done.
    pub(crate) async fn ensure_loaded(&self) -> Result<(), Error> {
        {
            let mut state = self.state();
            state.used = true;
            if !matches!(state.loaded, Presented::Unloaded) {
                return Ok(());
            }
        }
        let _alone = self.0.gate.lock().await;
        if matches!(self.state().loaded, Presented::Unloaded) {
            self.look_up().await?;
        }
        Ok(())
    }

    /// Records an update. It runs while nothing is locked that the session's other methods need,
    /// and while nothing is being committed.
    pub(crate) async fn recorded_update(
        &self,
        name: FieldName,
        mut update: Update,
    ) -> Result<(), Error> {
        let _alone = self.0.gate.lock().await;
        let (current, again) = self.state().before_update(&name);
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
        let Some((id, record, _)) = self.live() else { return Ok(()) };
        let Some(subject) = &record.subject.value else { return Ok(()) };
        let call = self.0.settings.store.end_all(subject, Some(id.hash()), self.now());
        self.in_time(call).await
    }

    /// Whether the end of the request needs no store call and no cookie.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.state();
        let settings = &self.0.settings;
        let now = settings.clock.now();
        let plan = plan(&state.loaded, &state.in_flight.operations, now, &settings.policy);
        state.recorded.operations.is_empty()
            && plan.action == Action::Nothing
            && plan.cookie == CookieAction::None
            && state.cookie == CookieAction::None
    }

    /// Commits what was recorded.
    pub(crate) async fn settle(&self) -> Result<(), Error> {
        let _alone = self.0.gate.lock().await;
        {
            let mut state = self.state();
            state.gather();
            if state.gone {
                let dropped = mem::take(&mut state.in_flight);
                return if dropped.operations.is_empty() { Ok(()) } else { Err(Error::Gone) };
            }
        }
        let mut tries = 0;
        while tries < UPDATE_TRIES {
            let now = self.now();
            let plan = {
                let state = self.state();
                plan(&state.loaded, &state.in_flight.operations, now, &self.0.settings.policy)
            };
            match self.carry_out(plan, now).await? {
                Step::Done => return Ok(()),
                Step::Loaded => {}
                Step::Again => tries += 1,
            }
        }
        Err(Error::Conflict)
    }

    /// Whether what could not be committed is only that the session is in use.
    pub(crate) fn may_be_missed(&self) -> bool {
        self.state().in_flight.operations.is_only_touch()
    }

    /// What the response tells the browser: the cookie, and for which id.
    pub(crate) fn close(&self) -> (CookieAction, Option<Id>) {
        let mut state = self.state();
        state.closed = true;
        (state.cookie, state.id)
    }

    pub(crate) fn now(&self) -> Time {
        self.0.settings.clock.now()
    }

    async fn carry_out(&self, plan: Plan, now: Time) -> Result<Step, Error> {
        match plan.action {
            Action::Nothing => {
                let mut state = self.state();
                state.ended |= state.in_flight.operations.is_ended();
                let (loaded, id) = (mem::replace(&mut state.loaded, Presented::Ended), state.id);
                state.done(loaded, id, plan.cookie);
                Ok(Step::Done)
            }
            Action::Load => {
                self.look_up().await?;
                Ok(Step::Loaded)
            }
            Action::Create(changes) => self.create(changes, plan.cookie, now).await,
            Action::Commit(changes) => self.commit(changes, now).await,
            Action::Rename(changes, old) => self.rename(changes, old, plan.cookie, now).await,
            Action::End => self.end_all_presented(plan.cookie, now).await,
            // The plan is ours, and of the same version.
            _ => Ok(Step::Done),
        }
    }

    /// Tries the presented ids until one finds a session.
    async fn look_up(&self) -> Result<(), Error> {
        let now = self.now();
        let mut found = Presented::Unknown;
        for id in self.0.presented.iter() {
            match self.in_time(self.0.settings.store.load(id.hash(), now)).await? {
                Loaded::Live { record, standing } => {
                    let mut state = self.state();
                    state.loaded = Presented::Live { record, standing };
                    state.id = Some(id);
                    return Ok(());
                }
                Loaded::Ended => found = Presented::Ended,
                Loaded::Expired if matches!(found, Presented::Unknown) => {
                    found = Presented::Expired;
                }
                _ => {}
            }
        }
        match found {
            Presented::Expired => self.count(Event::Expired),
            Presented::Unknown => self.count(Event::Unknown),
            _ => {}
        }
        self.state().loaded = found;
        Ok(())
    }

    async fn create(
        &self,
        changes: Changes,
        cookie: CookieAction,
        now: Time,
    ) -> Result<Step, Error> {
        if self.state().closed {
            return Err(Error::TooLate);
        }
        let id = Id::from_random(random()?);
        let call = self.0.settings.store.create(id.hash(), changes.clone(), now);
        let Create::Created(stamp) = self.in_time(call).await? else {
            // 160 random bits are taken only if the store repeats an answer; draw again.
            return Ok(Step::Again);
        };
        self.count(Event::Created);
        let record = Arc::new(changes.at(stamp));
        let loaded = Presented::Live { record, standing: Standing::Current };
        self.state().done(loaded, Some(id), cookie);
        Ok(Step::Done)
    }

    async fn commit(&self, changes: Changes, now: Time) -> Result<Step, Error> {
        let Some((id, record, standing)) = self.live() else { return Err(self.gone()) };
        let call = self.0.settings.store.commit(id.hash(), changes.clone(), now);
        match self.in_time(call).await? {
            Commit::Committed(stamp) => {
                self.count(Event::Committed);
                let record = merged(&record, &changes, stamp);
                self.state().done(
                    Presented::Live { record, standing },
                    Some(id),
                    CookieAction::None,
                );
                Ok(Step::Done)
            }
            Commit::Conflict(_) => self.reload(id, now).await,
            _ => Err(self.gone()),
        }
    }

    async fn rename(
        &self,
        changes: Changes,
        old: OldId,
        cookie: CookieAction,
        now: Time,
    ) -> Result<Step, Error> {
        let Some((id, record, _)) = self.live() else { return Err(self.gone()) };
        if self.state().closed {
            return Err(Error::TooLate);
        }
        let to = id.renewed(random()?);
        let until = now.after(self.0.settings.policy.renewal_grace);
        let rename = Rename::new(to.hash(), changes.clone(), old, until);
        match self.in_time(self.0.settings.store.rename(id.hash(), rename, now)).await? {
            Commit::Committed(stamp) => {
                self.count(Event::Renewed);
                let record = merged(&record, &changes, stamp);
                let loaded = Presented::Live { record, standing: Standing::Current };
                self.state().done(loaded, Some(to), cookie);
                Ok(Step::Done)
            }
            Commit::Conflict(_) => self.reload(id, now).await,
            _ => Err(self.gone()),
        }
    }

    async fn end_all_presented(&self, cookie: CookieAction, now: Time) -> Result<Step, Error> {
        let known = self.state().id;
        let presented = self.0.presented.iter().filter(|_| known.is_none());
        for id in known.into_iter().chain(presented) {
            if self.in_time(self.0.settings.store.end(id.hash(), now)).await? == End::Ended {
                self.count(Event::Ended);
            }
        }
        let mut state = self.state();
        state.ended = true;
        state.done(Presented::Ended, None, cookie);
        Ok(Step::Done)
    }

    /// After a conflict: what the session is now, and what the updates come to on it.
    async fn reload(&self, id: Id, now: Time) -> Result<Step, Error> {
        self.count(Event::Conflict);
        match self.in_time(self.0.settings.store.load(id.hash(), now)).await? {
            Loaded::Live { record, standing } => {
                let mut updates = mem::take(&mut self.state().in_flight.updates);
                let values = computed(&mut updates, &record);
                let mut state = self.state();
                state.in_flight.updates = updates;
                state.loaded = Presented::Live { record, standing };
                for (name, value) in values? {
                    state.in_flight.operations.forget(name.as_str());
                    state.updated(&name, value);
                }
                Ok(Step::Again)
            }
            _ => Err(self.gone()),
        }
    }

    /// Notes that there is no session to change any more.
    fn gone(&self) -> Error {
        self.count(Event::Gone);
        let mut state = self.state();
        state.in_flight = Recorded::default();
        state.loaded = Presented::Ended;
        state.cookie = CookieAction::None;
        state.gone = true;
        Error::Gone
    }

    fn live(&self) -> Option<(Id, Arc<Record>, Standing)> {
        let state = self.state();
        match (&state.loaded, state.id) {
            (Presented::Live { record, standing }, Some(id)) => {
                Some((id, Arc::clone(record), *standing))
            }
            _ => None,
        }
    }

    pub(crate) fn count(&self, event: Event) {
        tracing::debug!(?event, "session");
        self.0.settings.tally.count(event);
    }

    /// The store's answer, or an error if it does not come in time.
    async fn in_time<T>(&self, call: StoreFuture<'_, T>) -> Result<T, Error> {
        let answer = answer_in_time(call, self.0.settings.store_timeout).await;
        if let Err(error) = &answer {
            self.count(Event::StoreError);
            tracing::warn!(%error, "session store call failed");
        }
        answer.map_err(Error::Store)
    }
}

/// A store that answers at once, as one in memory does, costs no timer.
async fn answer_in_time<T>(mut call: StoreFuture<'_, T>, limit: Duration) -> Result<T, StoreError> {
    if let Poll::Ready(answer) = poll_fn(|task| Poll::Ready(call.as_mut().poll(task))).await {
        return answer;
    }
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
    }
}

/// What the updates come to on this record.
fn computed(
    updates: &mut BTreeMap<FieldName, Vec<Update>>,
    record: &Record,
) -> Result<Vec<(FieldName, Bytes)>, Error> {
    let mut values = Vec::with_capacity(updates.len());
    for (name, updates) in updates {
        let mut value = record.get(name.as_str()).cloned();
        for update in updates {
            value = Some(update(value.as_ref())?);
        }
        values.extend(value.map(|value| (name.clone(), value)));
    }
    Ok(values)
}

fn merged(record: &Record, changes: &Changes, stamp: Stamp) -> Arc<Record> {
    let mut record = record.clone();
    record.merge(changes.at(stamp));
    Arc::new(record)
}

/// Without random bytes there can be no new session, and waiting may help: early at boot, say.
fn random() -> Result<[u8; RANDOM_BYTES], StoreError> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|cause| StoreError::Unavailable(Box::new(cause)))?;
    Ok(bytes)
}
