//! Sessions in a store: the browser holds an id, the store the rest.

use std::sync::Arc;

use abide_session::{
    Action, Changes, Commit, CookieAction, Create, End, Expected, FieldChange, FieldName, Id,
    Loaded, OldId, Plan, Presented, Record, Rename, Standing, Store, StoreError,
};
use abide_time::Time;
use bytes::Bytes;

use crate::answer::CookieChange;
use crate::carried::CarryOver;
use crate::counters::Count;
use crate::layer::Keep;
use crate::settle::{Step, UPDATE_TRIES, new_id_at, random};
use crate::{Error, EventKind, Session, SessionHandle};

impl Session {
    /// Tries the presented ids until one finds a session.
    pub(crate) async fn look_up_stored(&self, store: &dyn Store) -> Result<(), Error> {
        let now = self.now();
        let settings = &self.0.settings;
        let known = self.state().id;
        let presented = self.0.presented.ids().filter(|_| known.is_none());
        let mut found = Presented::Unknown;
        for id in known.into_iter().chain(presented) {
            match settings.in_time(store.load(id.hash(), now)).await? {
                Loaded::Live { record, standing } => {
                    let mut state = self.state();
                    state.loaded = Presented::Live { record, standing };
                    state.id = Some(id);
                    return Ok(());
                }
                Loaded::Ended => found = Presented::Ended,
                Loaded::Expired if matches!(found, Presented::Unknown) => {
                    settings.tell(EventKind::Expired, Some(id), None);
                    found = Presented::Expired;
                }
                _ => {}
            }
        }
        if let (CarryOver::Sealed(sealing), true) = (&settings.carry_over, known.is_none())
            && matches!(found, Presented::Unknown)
        {
            return Box::pin(self.take_over_sealed(store, sealing, now)).await;
        }
        if known.is_some() {
            // It was there before, in this very request: what is written now would rest on it.
            self.state().gone = true;
        }
        match found {
            Presented::Expired => settings.count(Count::Expired),
            Presented::Unknown => settings.count(Count::Unknown),
            _ => {}
        }
        self.state().loaded = found;
        Ok(())
    }

    pub(crate) async fn carry_out_stored(
        &self,
        store: &dyn Store,
        plan: Plan,
        now: Time,
    ) -> Result<Step, Error> {
        match plan.action {
            // What is rare stands apart, so that the usual request does not carry the room for it.
            Action::Create(changes) => {
                Box::pin(self.create(store, changes, plan.cookie, now)).await
            }
            Action::Commit(changes) => self.commit(store, changes, plan.cookie, now).await,
            Action::Rename(changes, old) => {
                Box::pin(self.rename(store, (changes, old), plan.cookie, now)).await
            }
            Action::End => Box::pin(self.end_presented(store, now)).await,
            // Nothing and Load are done by the caller.
            _ => Ok(Step::Done),
        }
    }

    async fn create(
        &self,
        store: &dyn Store,
        changes: Changes,
        cookie: CookieAction,
        now: Time,
    ) -> Result<Step, Error> {
        if self.state().closed {
            return Err(Error::TooLate);
        }
        let settings = &self.0.settings;
        let id = new_id_at(store)?;
        let call = store.create(id.hash(), changes.clone(), now);
        let Create::Created(stamp) = settings.in_time(call).await? else {
            // 160 random bits are taken only if the store repeats an answer; draw again.
            return Ok(Step::Again);
        };
        settings.count(Count::Created);
        let record = Arc::new(changes.at(stamp, &Record::default())?);
        settings.tell(EventKind::Created, Some(id), record.subject.value.as_ref());
        let loaded = Presented::Live { record, standing: Standing::Current };
        self.state().done(loaded, Some(id), set(id, cookie));
        self.end_surplus(store, &changes, id, now).await;
        Ok(Step::Done)
    }

    async fn commit(
        &self,
        store: &dyn Store,
        changes: Changes,
        cookie: CookieAction,
        now: Time,
    ) -> Result<Step, Error> {
        let Some(id) = self.live_id() else { return Err(self.gone()) };
        let settings = &self.0.settings;
        match settings.in_time(store.commit(id.hash(), changes.clone(), now)).await? {
            Commit::Committed(stamp) => {
                settings.count(Count::Committed);
                self.state().committed(&changes, stamp, id, set(id, cookie));
                Ok(Step::Done)
            }
            Commit::Conflict(_) => self.reload_after_conflict(store, id, now).await,
            _ => Err(self.gone()),
        }
    }

    /// Changes a session that nobody has looked at: one call instead of two.
    pub(crate) async fn commit_unseen(
        &self,
        store: &dyn Store,
        id: Id,
        changes: Changes,
        now: Time,
    ) -> Result<Step, Error> {
        let settings = &self.0.settings;
        match settings.in_time(store.commit(id.hash(), changes.clone(), now)).await? {
            Commit::Committed(stamp) => {
                settings.count(Count::Committed);
                self.state().committed(&changes, stamp, id, CookieChange::None);
                Ok(Step::Done)
            }
            // There is nothing to change, or not under this id. What there is instead decides.
            _ => self.load_to_settle().await,
        }
    }

    async fn rename(
        &self,
        store: &dyn Store,
        (changes, old): (Changes, OldId),
        cookie: CookieAction,
        now: Time,
    ) -> Result<Step, Error> {
        let Some(id) = self.live_id() else { return Err(self.gone()) };
        if self.state().closed {
            return Err(Error::TooLate);
        }
        let settings = &self.0.settings;
        let to = id.renewed(random()?);
        self.state().renewal = Some(to);
        let until = now.after(settings.policy.renewal_grace);
        let rename = Rename::new(to.hash(), changes.clone(), old, until);
        let renamed = settings.in_time(store.rename(id.hash(), rename, now)).await;
        if !matches!(renamed, Err(Error::Store(StoreError::Unavailable(_)))) {
            self.state().renewal = None;
        }
        match renamed? {
            Commit::Committed(stamp) => {
                settings.count(Count::Renewed);
                let subject = {
                    let mut state = self.state();
                    let before = state.loaded.record().map(|record| record.subject.value.clone());
                    state.committed(&changes, stamp, to, set(to, cookie));
                    changes.subject.clone().or(before).flatten()
                };
                settings.tell(EventKind::Renewed, Some(to), subject.as_ref());
                self.end_surplus(store, &changes, to, now).await;
                Ok(Step::Done)
            }
            Commit::Conflict(_) => self.reload_after_conflict(store, id, now).await,
            // Perhaps another request has just signed somebody in under this id. This one has as good
            // a reason, and its browser may never see the other's response.
            _ if matches!(changes.subject, Some(Some(_))) => {
                self.reload_after_conflict(store, id, now).await
            }
            _ => Err(self.gone()),
        }
    }

    /// Takes the value of a field out of the session. What this request did not write itself is taken
    /// out of the store at once, so that nobody else gets it too.
    /// What `accept` refuses stays.
    pub(crate) async fn take_encoded(
        &self,
        name: &FieldName,
        accept: &(dyn Fn(&Bytes) -> Result<(), Error> + Send + Sync),
    ) -> Result<Option<Bytes>, Error> {
        let _alone = self.0.gate.lock().await;
        let settings = &self.0.settings;
        for _ in 0..UPDATE_TRIES {
            let live = self.live();
            let value = {
                let mut state = self.state();
                state.gather();
                let Some(value) = state.get(name.as_str())? else { return Ok(None) };
                accept(&value)?;
                let is_own = state.in_flight.operations.writes(name.as_str());
                if is_own || live.is_none() || matches!(settings.keep, Keep::Sealed(_)) {
                    state.remove(name.clone());
                    return Ok(Some(value));
                }
                value
            };
            let (Some((id, record, standing)), Keep::Stored(store)) = (live, &settings.keep) else {
                return Ok(None);
            };
            if standing == Standing::Frozen {
                // It went along with the session, to those who come with its new id.
                return Ok(None);
            }
            let now = self.now();
            let mut changes = Changes::default();
            let expected = Expected::of(&record, name.as_str());
            changes.fields.insert(name.clone(), FieldChange::based_on(expected, None));
            match settings.in_time(store.commit(id.hash(), changes.clone(), now)).await? {
                Commit::Committed(stamp) => {
                    let mut record = Record::clone(&record);
                    changes.apply(&mut record, stamp)?;
                    self.state().loaded = Presented::Live { record: Arc::new(record), standing };
                    return Ok(Some(value));
                }
                Commit::Conflict(_) => {
                    self.reload_after_conflict(&**store, id, now).await?;
                }
                _ => return Err(self.gone()),
            }
        }
        Err(Error::Conflict)
    }

    pub(crate) async fn end_presented(&self, store: &dyn Store, now: Time) -> Result<Step, Error> {
        let settings = &self.0.settings;
        let (known, subject) = {
            let state = self.state();
            (state.id, state.loaded.record().and_then(|record| record.subject.value.clone()))
        };
        let others = self.0.presented.ids().filter(|id| Some(*id) != known);
        for id in known.into_iter().chain(others) {
            if settings.in_time(store.end(id.hash(), now)).await? == End::Ended {
                settings.count(Count::Ended);
                settings.tell(EventKind::Ended, Some(id), subject.as_ref());
            }
        }
        let mut state = self.state();
        state.ended = true;
        state.done(Presented::Ended, None, CookieChange::Remove);
        Ok(Step::Done)
    }

    /// After a conflict: what the session is now, and what the updates come to on it.
    async fn reload_after_conflict(
        &self,
        store: &dyn Store,
        id: Id,
        now: Time,
    ) -> Result<Step, Error> {
        let settings = &self.0.settings;
        settings.count(Count::Conflict);
        match settings.in_time(store.load(id.hash(), now)).await? {
            Loaded::Live { record, standing } => {
                self.recompute(record, standing)?;
                Ok(Step::Again)
            }
            _ => Err(self.gone()),
        }
    }

    /// Ends the sessions of a user who has just signed in once too often, the longest unused first.
    /// The sign-in is done by then: if this can not be, it stays.
    async fn end_surplus(&self, store: &dyn Store, changes: &Changes, id: Id, now: Time) {
        let settings = &self.0.settings;
        let (Some(limit), Some(Some(subject))) = (settings.sessions_per_user, &changes.subject)
        else {
            return;
        };
        let Ok(listed) = settings.in_time(store.list(subject, now)).await else { return };
        // Who signs in after this one ends it if need be: two at once must not end each other.
        let Some(own) = listed.iter().find(|listed| listed.id == id.hash()) else { return };
        let signed_in = own.record.subject.stamp;
        let earlier = listed.iter().filter(|other| other.record.subject.stamp < signed_in);
        for surplus in earlier.skip(limit.saturating_sub(1)) {
            if let Ok(End::Ended) = settings.in_time(store.end(surplus.id, now)).await {
                settings.count(Count::Ended);
                let session = Some(SessionHandle::new(surplus.id));
                settings.tell_of(EventKind::Ended, session, Some(subject));
            }
        }
    }
}

fn set(id: Id, cookie: CookieAction) -> CookieChange {
    match cookie {
        CookieAction::Set(until) => CookieChange::Id(id, until),
        _ => CookieChange::None,
    }
}
