//! Sessions that move from one store to another while users are signed in.
//!
//! The states, the steps and what can be lost are `docs/design/moving.md`. In short: *to* knows best;
//! what it has never heard of is looked for in *from*, and carried over. What makes that safe is one
//! step, a rename in *from* to an id that every server can derive: before it, every commit is part
//! of what moves; after it none is taken any more; and whoever finds the session half-way can go on.
//!
//! * `marker.rs`: what is written into a session while it is being moved.
//! * `carry.rs`: carrying one session over.
//! * `place.rs`: where a session is, by an id of it.
//! * `walk.rs`: all sessions, one after the other.

mod carry;
mod marker;
mod place;
mod walk;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, MAX_LISTED, OldId, Rename, Scanned, Slot,
    Standing, Store, StoreError, StoreFuture, Subject,
};
use abide_time::Time;
use bytes::Bytes;

use carry::Both;
use marker::{Marker, in_terms_of_from, is_ending, shown, stamp_shown, without_marker};
use place::{LOOKS, Place, moved_too_often};

pub(crate) use marker::as_birth;
pub use walk::{Moved, Remaining};

/// Two stores as one, from one of which sessions move to the other.
///
/// ```
/// use abide::{MemoryStore, Moving, SessionLayer};
///
/// # async fn run() -> Result<(), abide::Error> {
/// # let (new_store, old_store) = (MemoryStore::new(), MemoryStore::new());
/// let moving = Moving::new(new_store, old_store);
/// let sessions = SessionLayer::new(moving.clone());
/// // Sessions that are used move by themselves. The others:
/// let moved = moving.move_all(|so_far| println!("{so_far}")).await?;
/// // When this is zero, the old store can go.
/// let left = moving.remaining().await?.sessions;
/// # Ok(())
/// # }
/// ```
///
/// **With several servers** that are not stopped together it takes three deployments, each of which
/// has to be on all servers before the next begins:
///
/// 1. [`Moving::prepared`]: sessions stay where they are, and a server finds also what another one,
///    that is a step ahead, has moved.
/// 2. [`Moving::new`]: sessions move.
/// 3. The new store alone.
///
/// What a request costs meanwhile: eight calls more if it is the one that moves its session, none if
/// the session has moved, one more for a logout and for an id that neither store knows. Where the
/// stores are only prepared, each load asks both.
#[derive(Clone, Debug)]
pub struct Moving {
    both: Arc<Both>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Prepared,
    Moving,
}

impl Moving {
    /// Sessions are made in `to`; those that are in `from` move there when they are used, and by
    /// [`Moving::move_all`].
    pub fn new(to: impl Store, from: impl Store) -> Self {
        Self { both: Arc::new(Both::new(to, from)), phase: Phase::Moving }
    }

    /// Sessions are made in `from` and stay there; those that other servers have moved to `next` are
    /// found there. Only what is ended is carried over, so that it has ended in both.
    pub fn prepared(from: impl Store, next: impl Store) -> Self {
        Self { both: Arc::new(Both::new(next, from)), phase: Phase::Prepared }
    }

    /// How many sessions this server has carried over, and how often one had to stay: for
    /// [`Observed::with_counters`](crate::Observed::with_counters).
    pub fn counters(&self) -> [(&'static str, u64); 2] {
        self.both.counters()
    }

    fn moves(&self) -> bool {
        self.phase == Phase::Moving
    }

    async fn find(&self, id: IdHash, now: Time) -> Result<Loaded, StoreError> {
        Ok(match self.both.locate(id, self.moves(), now).await? {
            Place::To { loaded, .. } | Place::Nowhere(loaded) => loaded,
            Place::From { record, standing } => Loaded::Live { record: shown(record), standing },
        })
    }

    async fn change(&self, id: IdHash, change: Change, now: Time) -> Result<Commit, StoreError> {
        // Where it most likely is.
        let first = if self.moves() {
            change.clone().in_to(&self.both, id, now).await?
        } else {
            change.clone().in_from(&self.both, id, now).await?
        };
        if first != Commit::Gone {
            return Ok(first);
        }
        let mut was_refused = false;
        for _ in 0..LOOKS {
            match self.both.locate(id, self.moves(), now).await? {
                // A renewal under an id that is not the session's own.
                Place::To { id: current, loaded: Loaded::Live { .. } }
                    if current != id && change.is_renewal() =>
                {
                    return Ok(Commit::Conflict(Vec::new()));
                }
                Place::To { id, loaded: Loaded::Live { .. } } => {
                    return change.in_to(&self.both, id, now).await;
                }
                Place::From { standing, .. } if standing != Standing::Frozen => {
                    match change.clone().in_from(&self.both, id, now).await? {
                        // It is there, so it is the new id of a rename that is taken.
                        Commit::Gone if was_refused => return Ok(Commit::Gone),
                        // Or it has left just now.
                        Commit::Gone => was_refused = true,
                        outcome => return Ok(outcome),
                    }
                }
                _ => return Ok(Commit::Gone),
            }
        }
        Err(moved_too_often())
    }

    async fn end_one(&self, id: IdHash, now: Time) -> Result<End, StoreError> {
        let Both { to, from, .. } = &*self.both;
        if to.end(id, now).await? == End::Ended {
            // It has ended, whatever comes of this: what is left there is never looked at.
            let _ = from.end(id, now).await;
            return Ok(End::Ended);
        }
        for _ in 0..LOOKS {
            match self.both.locate(id, true, now).await {
                Ok(Place::To { id: current, loaded: Loaded::Live { .. } }) => {
                    let end = to.end(current, now).await?;
                    let _ = from.end(id, now).await;
                    return Ok(end);
                }
                Ok(Place::From { standing, .. }) => {
                    if let Some(end) = self.both.end_in_from(id, standing, now).await? {
                        return Ok(end);
                    }
                }
                // There is no room for it, so it is where it was.
                Err(StoreError::Full | StoreError::TooLarge(_)) => return from.end(id, now).await,
                Ok(_) => return Ok(End::Gone),
                Err(error) => return Err(error),
            }
        }
        Err(moved_too_often())
    }

    async fn list_both(&self, subject: &Subject, now: Time) -> Result<Vec<Listed>, StoreError> {
        // In this order: what moves between the two calls is in both lists, and not in none.
        let mut stay = self.both.from.list(subject, now).await?;
        for shadow in &stay {
            // Left half-way by a server that died: it may have arrived, and been renewed since.
            if let Some(Marker { id, moved: false }) = Marker::of_shadow(shadow.id, &shadow.record)
            {
                self.both.resume(id, now).await?;
            }
        }
        stay.retain(|Listed { id, record, .. }| {
            Marker::of_shadow(*id, record).is_none() && !is_ending(record)
        });
        let mut listed = self.both.to.list(subject, now).await?;
        let known: BTreeSet<IdHash> = listed.iter().map(|listed| listed.id).collect();
        let stay = stay.into_iter().filter(|listed| !known.contains(&listed.id));
        listed.extend(stay.map(|listed| Listed::new(listed.id, shown(listed.record))));
        listed.sort_by_key(|listed| (Reverse(listed.record.seen), listed.id));
        listed.truncate(MAX_LISTED);
        Ok(listed)
    }

    async fn end_all_of(
        &self,
        subject: &Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> Result<(), StoreError> {
        let both = &self.both;
        // Carried over first: what is on its way meanwhile arrives before the mark, or not at all.
        for round in 0.. {
            let listed = both.from.list(subject, now).await?;
            let mut ids: Vec<IdHash> = listed
                .iter()
                .filter_map(|listed| match Marker::of_shadow(listed.id, &listed.record) {
                    Some(marker) => (!marker.moved).then_some(marker.id),
                    None => Some(listed.id),
                })
                .collect();
            if let (Some(id), Phase::Prepared) = (except, self.phase) {
                // Where sessions stay, what is excepted must: there may be servers that look nowhere
                // else. By an id from before a renewal it can not be told from the others.
                match both.locate(id, false, now).await? {
                    Place::From { standing: Standing::Current, .. } => {
                        ids.retain(|other| *other != id);
                    }
                    Place::From { .. } => ids.clear(),
                    _ => {}
                }
            }
            // One that others are carrying has to arrive first, too.
            let carried = both.carry_all(ids, now).await?;
            if carried.moved + carried.gone == 0 {
                break;
            }
            if round >= END_ALL_ROUNDS {
                return Err(moved_too_often());
            }
        }
        let current = match except {
            Some(id) => match both.locate(id, self.moves(), now).await? {
                Place::To { id, .. } => Some(id),
                // It may yet arrive, under this id.
                Place::From { .. } | Place::Nowhere(_) => except,
            },
            None => None,
        };
        both.to.end_all(subject, current, now).await?;
        both.from.end_all(subject, except, now).await
    }
}

impl Store for Moving {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        // Whether the other store has it is not asked: it is 160 random bits.
        match self.phase {
            Phase::Moving => self.both.to.create(id, changes, now),
            Phase::Prepared => Box::pin(async move {
                Ok(match self.both.from.create(id, changes, now).await? {
                    Create::Created(stamp) => Create::Created(stamp_shown(stamp)),
                    other => other,
                })
            }),
        }
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(self.find(id, now))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(self.change(id, Change::Commit(changes), now))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        Box::pin(self.end_one(id, now))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(self.change(id, Change::Rename(rename), now))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        Box::pin(self.list_both(subject, now))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        Box::pin(self.end_all_of(subject, except, now))
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        Box::pin(self.both.scan(cursor, now))
    }

    /// Where a session is made now.
    fn home(&self, random: u16) -> Option<Slot> {
        if self.moves() { self.both.to.home(random) } else { self.both.from.home(random) }
    }
}

/// How often all that `from` lists of a subject, [`MAX_LISTED`] at a time, is carried over before
/// they are ended: nobody has a hundred thousand sessions.
const END_ALL_ROUNDS: u32 = 100;

/// What is to be done to a session, wherever it is.
#[derive(Clone)]
enum Change {
    Commit(Changes),
    Rename(Rename),
}

impl Change {
    fn is_renewal(&self) -> bool {
        matches!(self, Self::Rename(rename) if rename.old == OldId::Follows)
    }

    const fn changes(&mut self) -> &mut Changes {
        match self {
            Self::Commit(changes) => changes,
            Self::Rename(rename) => &mut rename.changes,
        }
    }

    async fn in_to(mut self, both: &Both, id: IdHash, now: Time) -> Result<Commit, StoreError> {
        let mut is_first = true;
        loop {
            let outcome = match self.clone() {
                Self::Commit(changes) => both.to.commit(id, changes, now).await?,
                Self::Rename(rename) => both.to.rename(id, rename, now).await?,
            };
            match &outcome {
                Commit::Conflict(fields) if is_first => {
                    if !both.expect_what_arrived(id, fields, self.changes(), now).await? {
                        return Ok(outcome);
                    }
                    is_first = false;
                }
                _ => return Ok(outcome),
            }
        }
    }

    async fn in_from(self, both: &Both, id: IdHash, now: Time) -> Result<Commit, StoreError> {
        let outcome = match self {
            Self::Commit(changes) => both.from.commit(id, in_terms_of_from(changes), now).await?,
            Self::Rename(Rename { to, changes, old, until, .. }) => {
                let changes = without_marker(in_terms_of_from(changes));
                let rename = Rename::new(to, changes, old, until);
                both.from.rename(id, rename, now).await?
            }
        };
        Ok(match outcome {
            Commit::Committed(stamp) => Commit::Committed(stamp_shown(stamp)),
            outcome => outcome,
        })
    }
}
