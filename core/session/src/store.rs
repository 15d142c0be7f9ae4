//! The port to whatever keeps the sessions, and its contract.
//!
//! Everything a store must do is said here, in prose; the crate `abide-store-suite` says it again
//! as tests, one for each sentence, and whoever writes a store runs them.
//!
//! What holds for every call:
//!
//! * **Time is an argument.** A store compares deadlines with the `now` it is given and keeps no
//!   clock of its own for that. One that lives on a server with expiry of its own (a TTL) uses it
//!   to clean up, set later than the deadline, and never to decide.
//! * **Atomic.** A call takes effect as a whole or not at all, also when its future is dropped
//!   half-way. After the drop it may still take effect.
//! * **Repeatable.** After [`StoreError::Unavailable`] the caller does not know whether the call
//!   took effect, and may make it again. The answer of the second call may then differ (a create
//!   answers [`Create::Taken`], a commit with an expectation a conflict), the state is right either
//!   way; but for counters, which may then have counted twice ([`Changes::is_relative`]).
//! * **Bounded.** A store holds each change to the limits of this crate and answers
//!   [`StoreError::TooLarge`]; it never cuts.
//! * **Errors change nothing**, except that `Unavailable` leaves it open.
//! * **No eviction.** A store that is full says [`StoreError::Full`]. It never forgets a live
//!   session to make room, which would sign somebody out, nor the mark of one that has ended, which
//!   would let a late commit find a session that is not there.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::pin::Pin;

use abide_slots::Slot;
use abide_time::Time;
use bytes::Bytes;

use crate::changes::Changes;
use crate::error::StoreError;
use crate::id::IdHash;
use crate::record::{FieldName, Record, Subject};
use crate::stamp::Stamp;
#[cfg(doc)]
use crate::write::Write;

/// What a call to a store gives: a future of its outcome.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps sessions. See the module for what holds for every call.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Makes a session of `changes`, which say when it was made, was seen and ends.
    ///
    /// It never overwrites: if there is a session under this id, live, renewed or ended, the answer
    /// is [`Create::Taken`] and nothing changes. What the changes expect of fields is met, as there
    /// are none. A subject among the changes is entered for [`Store::list`] and [`Store::end_all`].
    ///
    /// Errors: any.
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create>;

    /// Finds the session under this id.
    ///
    /// It gives what was last committed when it was called or later, never less: who got the answer
    /// to a commit sees it in every load after that. It never gives an expired session, an ended
    /// one, or one whose subject's sessions were all ended since it was bound to it. An id that was
    /// renewed finds the session, in the [`Standing`] that the renewal gave it, until its grace is
    /// over; then it counts as ended.
    ///
    /// Errors: `Unavailable`, `Corrupt`. An error never means "no session".
    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded>;

    /// Changes a live session, in the order in which commits arrive, each with a later stamp than
    /// everything in the session before.
    ///
    /// It changes the fields it names and no others: two concurrent commits to different fields
    /// both keep theirs. If one of its expectations is not met, it changes nothing and answers
    /// [`Commit::Conflict`] with every field concerned. It never creates: if the session is
    /// unknown, has expired or has ended, or the id is [`Standing::Frozen`], the answer is
    /// [`Commit::Gone`]. Counters and sets ([`Write::Add`], [`Write::Members`]) are added up on what
    /// the field is at that moment: any number of such commits at once all count, and none is a
    /// conflict. [`Changes::at`] does the sum.
    ///
    /// Errors: any.
    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit>;

    /// Ends the session under this id, under every id it has or had.
    ///
    /// It stays ended whatever comes later: the store keeps a mark until the session's hard
    /// deadline, so that a late commit or create under this id finds it. Ending twice is ending
    /// once. A session that has expired by `now` is ended too, for those whose clock is behind; the
    /// answer is [`End::Gone`]. Ending what is not there leaves no mark: otherwise anybody could fill
    /// the store with marks of invented ids.
    ///
    /// Errors: `Unavailable`.
    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End>;

    /// Moves a live session to another id in the same slot, and commits changes with it, in one
    /// step: there is no moment in which it is found under neither id, or under both as two.
    ///
    /// The fields keep their stamps. What becomes of the old id is said by [`Rename::old`].
    /// Conflicts are as in a commit; so is [`Commit::Gone`], which is also the answer if the new id
    /// is taken.
    ///
    /// A move with [`OldId::Follows`] from an id that is no longer the session's current one changes
    /// nothing either and answers [`Commit::Conflict`], possibly without a field: of two renewals at
    /// once only one may give the session a new id, because the browser may obey the two responses
    /// in either order.
    ///
    /// Errors: any.
    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit>;

    /// The live sessions of a subject, the ones last seen first, at most [`crate::MAX_LISTED`]. A
    /// session is listed under its current id only.
    ///
    /// Errors: `Unavailable`.
    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>>;

    /// Ends every session that is bound to the subject now, except the one given, in one step
    /// whatever their number.
    ///
    /// The store keeps one mark for the subject: sessions bound to it before are ended, ones bound
    /// to it later are not touched. The session that is excepted is bound anew, after the mark; if
    /// it is not bound to this subject, it is not an exception.
    ///
    /// Errors: `Unavailable`, `Full`.
    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()>;

    /// Walks through all live sessions, a page at a time: for a move to another store, and for
    /// counting. Nothing that serves a request needs it, so a store may do without: the provided
    /// method says that it can not be walked.
    ///
    /// A walk begins without a cursor and goes on with [`Scanned::next`] until there is none. A
    /// session that is there under its id from the beginning to the end of the walk is shown at least
    /// once. Others may be shown or not, one may be shown twice, and some of what is shown may be
    /// gone; a page may be empty.
    ///
    /// Errors: `Unavailable`, `Corrupt` for a cursor that this store did not give.
    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        let _ = (cursor, now);
        Box::pin(async { Ok(None) })
    }

    /// A slot in which a new session is at home where this store is: a store that is spread over
    /// servers has it at hand there. None, as provided, if all slots are alike. `random` chooses among
    /// several.
    fn home(&self, random: u16) -> Option<Slot> {
        let _ = random;
        None
    }
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        (**self).create(id, changes, now)
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        (**self).load(id, now)
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        (**self).commit(id, changes, now)
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        (**self).end(id, now)
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        (**self).rename(id, rename, now)
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        (**self).list(subject, now)
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        (**self).end_all(subject, except, now)
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        (**self).scan(cursor, now)
    }

    fn home(&self, random: u16) -> Option<Slot> {
        (**self).home(random)
    }
}

/// What came of a [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Create {
    /// The session exists now; its parts were written at this stamp.
    Created(Stamp),
    /// There is or was a session under this id. Nothing changed. Draw another id.
    Taken,
}

/// What a [`Store::load`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Loaded {
    /// A live session.
    Live {
        /// What it holds.
        record: Arc<Record>,
        /// What the id it was found by may still do.
        standing: Standing,
    },
    /// It has ended, or the id's grace is over.
    Ended,
    /// It has expired. A store that drops what has expired may say `Unknown` instead.
    Expired,
    /// There is nothing under this id, or no longer.
    Unknown,
}

impl Loaded {
    /// The record of a live session.
    pub fn live(self) -> Option<Arc<Record>> {
        match self {
            Self::Live { record, .. } => Some(record),
            Self::Ended | Self::Expired | Self::Unknown => None,
        }
    }
}

/// What an id may do to the session it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It is the id of the session.
    Current,
    /// The session was renewed; for the grace this id still reads and writes it.
    Old,
    /// The session was renewed by a sign-in; for the grace this id still reads what the session was
    /// before, and can end it, and cannot write to it.
    Frozen,
}

/// What came of a [`Store::commit`] or a [`Store::rename`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Commit {
    /// All was changed, at this stamp.
    Committed(Stamp),
    /// These fields, or the id, were not as expected. Nothing changed. Load again and decide again.
    Conflict(Vec<FieldName>),
    /// There is no live session that this id may change. Nothing changed, and trying again or under
    /// another id would be wrong.
    Gone,
}

/// What came of a [`Store::end`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// A live session has ended.
    Ended,
    /// There was none.
    Gone,
}

/// How a session moves to another id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rename {
    /// The new id.
    pub to: IdHash,
    /// What changes with the move.
    pub changes: Changes,
    /// What the old id may still do.
    pub old: OldId,
    /// Until when it may.
    pub until: Time,
}

impl Rename {
    /// A move to this id.
    pub const fn new(to: IdHash, changes: Changes, old: OldId, until: Time) -> Self {
        Self { to, changes, old, until }
    }
}

/// What an old id may do until its grace is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OldId {
    /// As much as the new one: [`Standing::Old`].
    Follows,
    /// See what the session was before: [`Standing::Frozen`]. Who had the id of a visitor must not
    /// find himself signed in when the visitor signs in (session fixation).
    Freezes,
    /// Nothing: it has ended. Who signed out must not be found signed in under the old id.
    Ends,
}

/// A session of a subject.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Its id, as the store knows it; good for [`Store::end`].
    pub id: IdHash,
    /// What it holds.
    pub record: Arc<Record>,
}

impl Listed {
    /// The session under this id.
    pub const fn new(id: IdHash, record: Arc<Record>) -> Self {
        Self { id, record }
    }
}

/// A page of a [`Store::scan`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Scanned {
    /// Ids of live sessions, the current ones.
    pub ids: Vec<IdHash>,
    /// Where the walk goes on; none at its end.
    pub next: Option<Bytes>,
}

impl Scanned {
    /// A page of these ids.
    pub const fn new(ids: Vec<IdHash>, next: Option<Bytes>) -> Self {
        Self { ids, next }
    }
}
