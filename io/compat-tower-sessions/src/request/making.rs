//! How a session comes to be, and how it comes to another id.

use std::time::Duration;

use abide_session::{
    Changes, Commit, Create, Id, Loaded, OldId, RANDOM_BYTES, Rename, Standing, StoreError,
};

use super::{Cookie, Fate, Handle, Live, RequestSession, State, handle_of};
use crate::counters::Event;
use crate::fields::{Data, decoded, delta};
use crate::lifetime::{Deadlines, Wish};

/// How often an id is drawn before the store is taken to be broken. Of 160 random bits none is ever
/// taken, except by a create that was done although it was reported as failed.
const DRAWS: u32 = 4;

impl RequestSession {
    /// Makes a session, or moves the one that was deleted, if that was the first half of a
    /// `cycle_id`. Returns what the app calls it from now on; none if nothing is kept.
    pub(super) async fn create_or_move(
        &self,
        state: &mut State,
        handle: Handle,
        data: &Data,
        remaining: Duration,
    ) -> Result<Option<Handle>, StoreError> {
        let is_answered = state.wish.is_some();
        if state.fate == Fate::Gone || is_answered && data.is_empty() && state.fate == Fate::Stays {
            return Ok(None);
        }
        if state.is_closed {
            return Err(too_late());
        }
        // A `cycle_id` gives the record another id and keeps what it holds; a `flush` does neither,
        // and may come after it.
        if matches!(state.fate, Fate::Deleted | Fate::Moves) {
            let has_moved = state.handle != Some(handle) || state.fate == Fate::Moves;
            let keeps = |live: &Live| keeps(&live.data, data);
            if has_moved && state.live.as_ref().is_some_and(keeps) {
                state.fate = Fate::Moves;
            } else {
                let has_ended = self.end(state).await?;
                if has_moved && state.was_live && !has_ended {
                    // It has ended under this request: what the request goes on with rests on it.
                    self.gone(state);
                    return Ok(None);
                }
                if is_answered && data.is_empty() {
                    return Ok(None);
                }
            }
        }
        let wish = self.wish(state, remaining);
        if state.fate == Fate::Moves {
            match self.rename(state, data, wish).await? {
                Renamed::Done => {}
                Renamed::Gone => return Ok(None),
                Renamed::Forestalled { has_changes: false } => {
                    state.handle = Some(handle);
                    return Ok(state.handle);
                }
                Renamed::Forestalled { has_changes: true } => self.make(state, data, wish).await?,
            }
        } else {
            self.make(state, data, wish).await?;
        }
        state.fate = Fate::Stays;
        state.cookie = Cookie::Id;
        state.handle = state.live.as_ref().map(|live| handle_of(live.id));
        Ok(state.handle)
    }

    /// Moves a session that had nothing to move for before.
    pub(super) async fn move_at_last(
        &self,
        state: &mut State,
        handle: Handle,
        data: &Data,
        remaining: Duration,
    ) -> Result<(), StoreError> {
        if self.create_or_move(state, handle, data, remaining).await?.is_some() {
            // What the app calls it can not be changed now.
            state.handle = Some(handle);
        }
        Ok(())
    }

    /// The app has cleared a session that nobody knows any more, and goes on with it: it gets a new
    /// one. Not if it has ended under this request, and not for nothing.
    pub(super) async fn begin_anew(
        &self,
        state: &mut State,
        data: &Data,
        wish: Wish,
    ) -> Result<(), StoreError> {
        if data.is_empty() {
            return Ok(());
        }
        if state.was_live {
            self.gone(state);
            return Ok(());
        }
        if state.is_closed {
            return Err(too_late());
        }
        // What the app calls it can not be changed now, and stays as it is.
        self.make(state, data, wish).await?;
        state.cookie = Cookie::Id;
        Ok(())
    }

    async fn make(&self, state: &mut State, data: &Data, wish: Wish) -> Result<(), StoreError> {
        let now = self.settings.store.now();
        let mut changes = Changes::default();
        changes.fields = delta(&Data::new(), data)?;
        wish.lifetime.begin(&mut changes, now);
        for _ in 0..DRAWS {
            let id = Id::from_random(random()?);
            let Create::Created(_) = self.settings.store.create(id.hash(), changes.clone()).await?
            else {
                continue;
            };
            self.count(Event::Created);
            let deadlines = Deadlines::made(&changes, &wish, now);
            let (standing, data, data_before) = (Standing::Current, data.clone(), None);
            state.live = Some(Live { id, standing, data, data_before, deadlines });
            (state.looked_up, state.was_live) = (true, true);
            return Ok(());
        }
        Err(StoreError::Unavailable("the store has every id already".into()))
    }

    /// Moves the session to a new id. The old one sees it as it was, for the grace, and is not
    /// signed in by what follows.
    async fn rename(
        &self,
        state: &mut State,
        data: &Data,
        wish: Wish,
    ) -> Result<Renamed, StoreError> {
        let Some(live) = &mut state.live else { return Ok(Renamed::Gone) };
        let now = self.settings.store.now();
        let mut changes = Changes::default();
        changes.fields = delta(&live.data, data)?;
        let forestalled = Renamed::Forestalled { has_changes: !changes.fields.is_empty() };
        if live.standing == Standing::Frozen && state.moving_to.is_none() {
            return Ok(forestalled);
        }
        changes.seen = Some(now);
        live.deadlines.count_anew(&mut changes, &wish, now);
        let to = match state.moving_to {
            Some(to) => to,
            None => live.id.renewed(random()?),
        };
        state.moving_to = Some(to);
        let until = now.after(self.settings.renewal_grace);
        let rename = Rename::new(to.hash(), changes.clone(), OldId::Freezes, until);
        let renamed = self.settings.store.rename(live.id.hash(), rename).await?;
        if matches!(renamed, Commit::Committed(_)) {
            self.count(Event::Renewed);
            state.moving_to = None;
            live.id = to;
            live.standing = Standing::Current;
            live.data.clone_from(data);
            live.deadlines.follow(&changes, &wish, now);
            return Ok(Renamed::Done);
        }
        let from = live.id;
        if self.has_moved(state, to).await? {
            // By an attempt whose answer was lost. What the app has done since is written now.
            self.commit(state, data, wish.lifetime.idle_timeout, false).await?;
            return Ok(if state.fate == Fate::Gone { Renamed::Gone } else { Renamed::Done });
        }
        match self.settings.store.load(from.hash()).await? {
            Loaded::Live { standing: Standing::Frozen, .. } => Ok(forestalled),
            _ => {
                self.gone(state);
                Ok(Renamed::Gone)
            }
        }
    }

    /// Whether this request has given the session this new id, and was not told.
    async fn has_moved(&self, state: &mut State, to: Id) -> Result<bool, StoreError> {
        let loaded = self.settings.store.load(to.hash()).await?;
        state.moving_to = None;
        let Loaded::Live { record, standing } = loaded else { return Ok(false) };
        self.count(Event::Renewed);
        let deadlines = Deadlines::of(&record, self.settings.store.now());
        let data = decoded(&record);
        state.live = Some(Live { id: to, standing, data, data_before: None, deadlines });
        Ok(true)
    }
}

/// Whether something of what a session held is in it still.
pub(crate) fn keeps(before: &Data, after: &Data) -> bool {
    before.is_empty() || before.iter().any(|(name, value)| after.get(name) == Some(value))
}

fn too_late() -> StoreError {
    StoreError::Unavailable(
        "the response has gone out, and the browser can not be told of a new id".into(),
    )
}

/// What came of a rename.
enum Renamed {
    Done,
    /// The session has ended.
    Gone,
    /// Another request was faster. If this one has something to keep, it is a second sign-in (two
    /// clicks), both have proved who they are, and it gets a session of its own. If not, it was the
    /// same renewal asked for twice, and there must be no second session that the end of the first
    /// would not end.
    Forestalled {
        has_changes: bool,
    },
}

/// Without random bytes there can be no new session, and waiting may help: early at boot, say.
fn random() -> Result<[u8; RANDOM_BYTES], StoreError> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(|cause| StoreError::Unavailable(Box::new(cause)))?;
    Ok(bytes)
}
