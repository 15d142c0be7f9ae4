//! One request and its session: what tower-sessions' four calls of a store come to.
//!
//! A `tower_sessions::Session` loads, saves, creates and deletes whole records. Of those calls this
//! makes the ones of abide's store: because it lives as long as the request, it knows what was
//! loaded, so that
//!
//! * a save is a commit of the fields that differ from it, and never makes a session;
//! * a delete, which may be the first half of a `cycle_id`, is kept until it is known what it was:
//!   if a create follows, under another id and with what was there, it is one rename; otherwise,
//!   and also if the request is dropped, the session ends;
//! * a session that has ended since it was loaded takes nothing any more: what the request writes
//!   is dropped and counted, and neither it nor its visitor gets an error or a new id.
//!
//! The app never sees the id of a session. What it has instead is a handle, a hash of it, which
//! stays the same for as long as the id does.

mod ending;
mod making;

pub(crate) use ending::Left;
pub(crate) use making::keeps;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use abide_session::{Changes, Commit, Id, Loaded, Standing, StoreError};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use crate::answer::is_transient;
use crate::counters::Event;
use crate::fields::{Data, decoded, delta};
use crate::lifetime::{Deadlines, Lifetime, Wish};
use crate::presented::PresentedIds;
use crate::settings::Settings;

/// What an app of tower-sessions knows a session by.
pub(crate) type Handle = i128;

/// A request and its session.
#[derive(Debug)]
pub(crate) struct RequestSession {
    settings: Arc<Settings>,
    presented: PresentedIds,
    /// What the app may call the session that was presented, if one was.
    pub(crate) handle: Option<Handle>,
    configured: Lifetime,
    /// Whether the handler asked for anything at all.
    used: AtomicBool,
    /// How often the session was looked up.
    look_ups: AtomicU64,
    /// Held by whoever loads or writes, so that one does at a time.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct State {
    /// What the app knows the session by: the first id that was presented, or a new one.
    handle: Option<Handle>,
    looked_up: bool,
    live: Option<Live>,
    /// It has been there in this request, whether or not it is now.
    was_live: bool,
    fate: Fate,
    /// The id that it was to move to when the store last failed at that: it may be there.
    moving_to: Option<Id>,
    /// This request has given it a lifetime.
    has_lifetime: bool,
    /// Known once the handler has answered.
    wish: Option<Wish>,
    cookie: Cookie,
    /// The response is on its way.
    is_closed: bool,
    /// Whether the call that failed last may succeed a moment later.
    is_transient: bool,
}

/// A session that is there, and what this request knows of it.
#[derive(Debug)]
struct Live {
    id: Id,
    standing: Standing,
    /// What both sides know it to hold.
    data: Data,
    /// What they knew before it was last looked up.
    data_before: Option<Data>,
    deadlines: Deadlines,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Stays,
    /// It was deleted, and ends unless it turns out to be moving.
    Deleted,
    /// It was deleted and made again: it gets a new id.
    Moves,
    /// It has ended under this request. Whatever the request writes now would rest on what is no
    /// more.
    Gone,
}

/// What the response tells the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cookie {
    #[default]
    Nothing,
    Id,
    Removal,
}

impl RequestSession {
    pub(crate) fn new(
        settings: Arc<Settings>,
        presented: PresentedIds,
        configured: Lifetime,
    ) -> Self {
        if presented.malformed {
            settings.store.tally.count(Event::Malformed);
        }
        let handle = presented.iter().next().map(handle_of);
        let state = Mutex::new(State { handle, ..State::default() });
        let (used, look_ups) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { settings, presented, handle, configured, used, look_ups, state }
    }

    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// What the session holds, and how long until it expires; none if there is none.
    pub(crate) async fn load(
        &self,
        handle: Handle,
    ) -> Result<Option<(Data, Duration)>, StoreError> {
        let mut state = self.using().await;
        if state.handle != Some(handle) || state.fate != Fate::Stays {
            return Ok(None);
        }
        let found = self.look_up(&mut state).await;
        noted(&mut state, found)?;
        let now = self.settings.store.now();
        Ok(state.live.as_ref().map(|live| (live.data.clone(), live.deadlines.remaining(now))))
    }

    /// Commits what differs from what was loaded. Does nothing if there is no such session, or no
    /// longer.
    pub(crate) async fn save(
        &self,
        handle: Handle,
        data: &Data,
        remaining: Duration,
    ) -> Result<(), StoreError> {
        let look_ups = self.look_ups.load(Ordering::Acquire);
        let mut state = self.using().await;
        if state.handle != Some(handle) {
            return Ok(());
        }
        // Looked up meanwhile, for another clone: the app does not have what was found yet.
        let is_outrun = look_ups != self.look_ups.load(Ordering::Acquire);
        let saved = match state.fate {
            Fate::Stays => self.commit(&mut state, data, remaining, is_outrun).await,
            Fate::Moves => self.move_at_last(&mut state, handle, data, remaining).await,
            Fate::Deleted | Fate::Gone => Ok(()),
        };
        noted(&mut state, saved)
    }

    /// Makes a session of this, or gives the one that was deleted a new id. Returns its handle;
    /// none if nothing is to be kept.
    pub(crate) async fn create(
        &self,
        handle: Handle,
        data: &Data,
        remaining: Duration,
    ) -> Result<Option<Handle>, StoreError> {
        let mut state = self.using().await;
        let created = self.create_or_move(&mut state, handle, data, remaining).await;
        noted(&mut state, created)
    }

    /// The handler has answered, and this is how long it wants its session to live. If that is over
    /// already, it is deleted.
    pub(crate) async fn answered(&self, wish: Wish) {
        let mut state = self.state.lock().await;
        state.wish = Some(wish);
        if wish.is_explicit && wish.lifetime.is_over() && state.handle.is_some() {
            state.fate = Fate::Deleted;
        }
    }

    /// The response goes out: from now on the browser can not be told of another id. Returns the
    /// cookie that it is told of now, if any.
    pub(crate) async fn close(&self) -> Option<String> {
        let mut state = self.state.lock().await;
        state.is_closed = true;
        let cookie = &self.settings.cookie;
        match (state.cookie, &state.live) {
            (Cookie::Removal, _) => Some(cookie.removal()),
            (Cookie::Id, Some(live)) => {
                let Wish { lifetime, .. } = state.wish.unwrap_or_else(|| self.unasked());
                let now = self.settings.store.now();
                let max_age = lifetime.max_age(live.deadlines.hard_deadline, now);
                cookie.text(live.id.text().as_str(), max_age).ok()
            }
            _ => None,
        }
    }

    /// Whether what failed last may succeed a moment later.
    pub(crate) async fn has_failed_for_a_moment(&self) -> bool {
        self.state.lock().await.is_transient
    }

    async fn using(&self) -> tokio::sync::MutexGuard<'_, State> {
        self.used.store(true, Ordering::Release);
        self.state.lock().await
    }

    fn count(&self, event: Event) {
        self.settings.store.tally.count(event);
    }

    /// What a request wants that has not said anything.
    const fn unasked(&self) -> Wish {
        Wish { lifetime: self.configured, is_explicit: false, is_guess: false }
    }

    fn wish(&self, state: &State, remaining: Duration) -> Wish {
        state.wish.unwrap_or_else(|| Wish::guess(remaining, self.configured))
    }

    /// Finds the session: under the id that found it before, or the first that does.
    async fn look_up(&self, state: &mut State) -> Result<(), StoreError> {
        let known = state.live.as_ref().map(|live| live.id);
        let presented = self.presented.iter().filter(|_| known.is_none());
        let mut missing = None;
        for id in known.into_iter().chain(presented) {
            match self.settings.store.load(id.hash()).await? {
                Loaded::Live { record, standing } => {
                    let deadlines = Deadlines::of(&record, self.settings.store.now());
                    let data = decoded(&record);
                    let data_before = state.live.take().map(|live| live.data);
                    state.live = Some(Live { id, standing, data, data_before, deadlines });
                    (state.looked_up, state.was_live) = (true, true);
                    self.look_ups.fetch_add(1, Ordering::AcqRel);
                    return Ok(());
                }
                Loaded::Expired => missing = Some(Event::Expired),
                Loaded::Unknown => missing = missing.or(Some(Event::Unknown)),
                _ => {}
            }
        }
        if let Some(event) = missing.filter(|_| known.is_none()) {
            self.count(event);
        }
        state.live = None;
        state.looked_up = true;
        Ok(())
    }

    async fn commit(
        &self,
        state: &mut State,
        data: &Data,
        remaining: Duration,
        is_outrun: bool,
    ) -> Result<(), StoreError> {
        if !state.looked_up {
            // The app has cleared the session without looking at it.
            self.look_up(state).await?;
        }
        let wish = self.wish(state, remaining);
        let now = self.settings.store.now();
        let Some(live) = &state.live else {
            return self.begin_anew(state, data, wish).await;
        };
        let known = live.data_before.as_ref().filter(|_| is_outrun);
        let mut changes = Changes::default();
        changes.fields = delta(known.unwrap_or(&live.data), data)?;
        let is_known_still = known.is_none();
        if live.standing == Standing::Frozen {
            if !changes.fields.is_empty() {
                self.count(Event::Gone);
            }
            return Ok(());
        }
        let is_needed = !changes.fields.is_empty()
            || live.deadlines.is_touch_due(&wish)
            || live.deadlines.differ_from(&wish, now)
            || !state.has_lifetime && live.deadlines.may_have_another_cookie(&wish);
        if is_needed {
            self.send(state, changes, wish).await?;
        }
        if let Some(live) = &mut state.live {
            if is_known_still {
                live.data.clone_from(data);
            }
            // Only after a commit: an id that nothing was committed to may be an old one by now.
            let is_asked_for = wish.is_explicit && !wish.is_guess && state.has_lifetime;
            if is_asked_for && live.standing == Standing::Current && state.fate == Fate::Stays {
                state.cookie = Cookie::Id;
            }
        }
        Ok(())
    }

    /// Commits these changes to the live session, as the use of it that they are.
    async fn send(
        &self,
        state: &mut State,
        mut changes: Changes,
        wish: Wish,
    ) -> Result<(), StoreError> {
        let Some(live) = &mut state.live else { return Ok(()) };
        let now = self.settings.store.now();
        changes.seen = Some(now);
        let is_asked_for =
            live.deadlines.may_have_another_cookie(&wish) || live.deadlines.differ_from(&wish, now);
        if live.deadlines.differ_from(&wish, now) {
            live.deadlines.renew(&mut changes, &wish, now);
        }
        match self.settings.store.commit(live.id.hash(), changes.clone()).await? {
            Commit::Committed(_) => {
                self.count(Event::Committed);
                live.deadlines.follow(&changes, &wish, now);
                state.has_lifetime |= is_asked_for;
            }
            _ => self.gone(state),
        }
        Ok(())
    }
}

/// Remembers what kind of error it was: the app gets it as a text.
fn noted<T>(state: &mut State, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
    if let Err(error) = &outcome {
        state.is_transient = is_transient(error);
    }
    outcome
}

/// The handle of an id: the same for as long as the id is, and of no use to who wants to sign in.
fn handle_of(id: Id) -> Handle {
    let digest = Sha256::new()
        .chain_update(b"abide: what tower-sessions calls a session\0")
        .chain_update(id.text().as_str())
        .finalize();
    let mut handle = [0; size_of::<Handle>()];
    for (to, from) in handle.iter_mut().zip(digest) {
        *to = from;
    }
    Handle::from_le_bytes(handle)
}
