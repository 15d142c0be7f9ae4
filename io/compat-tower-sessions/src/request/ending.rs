//! How a session ends, and what becomes of one when its request does.

use abide_session::{Changes, Standing, StoreError};

use super::{Cookie, Fate, Handle, Live, RequestSession, State, noted};
use crate::counters::Event;
use crate::fields::Data;

/// In which state the app has left a session that it may have deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It has a name.
    Named,
    /// It has no name, and holds what it held.
    Cycled,
    /// It has no name, and holds nothing of what it held.
    Flushed,
}

impl RequestSession {
    /// Notes that the session is deleted. It ends at the end of the request, unless it turns out to
    /// be moving; at once, if that is over.
    pub(crate) async fn delete(&self, handle: Handle) -> Result<(), StoreError> {
        let mut state = self.using().await;
        if state.handle != Some(handle) {
            // One that was never saved.
            return Ok(());
        }
        // Two deletes of one session are no `cycle_id`, which gives it another name at once.
        let is_second = state.fate == Fate::Deleted;
        state.fate = Fate::Deleted;
        if !state.is_closed && !is_second {
            return Ok(());
        }
        let ended = self.end(&mut state).await.map(|_has_ended| ());
        noted(&mut state, ended)
    }

    /// Everything was saved, unless the app has nothing: ends the session if it was deleted, or
    /// notes that it is in use, if it is time to.
    pub(crate) async fn conclude(&self, has_nothing: bool) -> Result<(), StoreError> {
        let mut state = self.state.lock().await;
        // It was to move, that failed, and then the app flushed it.
        let was_flushed = state.fate == Fate::Moves && has_nothing;
        if state.fate == Fate::Deleted || was_flushed {
            let ended = self.end(&mut state).await.map(|_has_ended| ());
            return noted(&mut state, ended);
        }
        let wish = state.wish.unwrap_or_else(|| self.unasked());
        let is_due =
            |live: &Live| live.standing != Standing::Frozen && live.deadlines.is_touch_due(&wish);
        if state.fate == Fate::Stays && state.live.as_ref().is_some_and(is_due) {
            // Nobody would miss it: it is tried again by the next request.
            let _ = self.send(&mut state, Changes::default(), wish).await;
        }
        Ok(())
    }

    /// The request is over, answered or dropped. Returns whether there may be a session to end yet.
    pub(crate) fn leave(&self) -> bool {
        // If it is locked, something that the handler has started is still at it.
        let Ok(mut state) = self.state.try_lock() else { return true };
        state.is_closed = true;
        matches!(state.fate, Fate::Deleted | Fate::Moves)
    }

    /// What the session was known to hold, if it was there.
    pub(crate) async fn known(&self) -> Option<Data> {
        self.state.lock().await.live.as_ref().map(|live| live.data.clone())
    }

    /// Nothing comes of the request any more: ends a session that it has deleted, all the same.
    /// What was the first half of a `cycle_id` stays as it is.
    pub(crate) async fn abandon(&self, left: Left) {
        let mut state = self.state.lock().await;
        state.is_closed = true;
        let is_over = match (state.fate, left) {
            (Fate::Deleted, left) => left != Left::Cycled,
            (Fate::Moves, left) => left == Left::Flushed,
            (Fate::Stays | Fate::Gone, _) => false,
        };
        if is_over && let Err(error) = self.end(&mut state).await {
            tracing::error!(%error, "a deleted session could not be ended");
        }
    }

    /// Ends the session, under whichever of the ids that came it is. False if there was none.
    pub(super) async fn end(&self, state: &mut State) -> Result<bool, StoreError> {
        let known = state.live.as_ref().map(|live| live.id);
        let presented = self.presented.iter().filter(|_| known.is_none());
        let mut has_ended = false;
        for id in known.into_iter().chain(presented) {
            has_ended |= self.settings.store.end(id.hash()).await?;
        }
        state.fate = Fate::Stays;
        state.live = None;
        state.moving_to = None;
        state.handle = None;
        let came = self.presented.malformed || self.handle.is_some();
        state.cookie = if came { Cookie::Removal } else { Cookie::Nothing };
        Ok(has_ended)
    }

    /// Notes that there is no session to change any more.
    pub(super) fn gone(&self, state: &mut State) {
        self.count(Event::Gone);
        tracing::info!("changes to a session that has ended were dropped");
        state.fate = Fate::Gone;
        state.cookie = Cookie::Nothing;
    }
}
