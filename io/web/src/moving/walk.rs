//! All sessions of `from`, one after the other.

use std::fmt;
use std::sync::Arc;

use abide_session::{IdHash, Loaded, Scanned, Standing, StoreError};
use abide_time::Time;
use bytes::Bytes;
use tokio::task::JoinSet;

use super::carry::{Both, Carried};
use super::marker::{Marker, is_ending};
use super::place::{LOOKS, moved_too_often};
use super::{Moving, Phase};
use crate::Error;
use crate::clock::Clock;

/// What [`Moving::move_all`] has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moved {
    /// Sessions that were moved.
    pub moved: u64,
    /// Sessions that ended, expired or were moved by others while they were walked through.
    pub gone: u64,
    /// Sessions that could not leave, because they are too large for the new store or the old one is
    /// full. They are served from where they are.
    pub stayed: u64,
    /// Sessions that a store failed at. Another walk finds them again.
    pub failed: u64,
}

/// What [`Moving::remaining`] has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Live sessions that have not moved.
    pub sessions: u64,
    /// When the last of them ends at the latest.
    pub last_deadline: Option<Time>,
}

impl Moving {
    /// Moves every session that is there, and tells of it now and then. It can be broken off and
    /// begun again, and run beside requests, on one server or several.
    ///
    /// What a page brings is moved sixteen at a time, so that users are not kept waiting.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the old store can not be walked through, or these are stores that
    /// are only [prepared](Moving::prepared). [`Error::Store`] if the walk itself failed; what was
    /// moved by then has moved.
    pub async fn move_all(&self, mut progress: impl FnMut(&Moved)) -> Result<Moved, Error> {
        if self.phase == Phase::Prepared {
            return Err(Error::Unsupported(NOT_PREPARED));
        }
        let clock = Clock::start();
        let mut sum = Moved::default();
        let mut cursor = None;
        loop {
            let now = clock.now();
            let Some(page) = self.both.from.scan(cursor, now).await? else {
                return Err(Error::Unsupported(NO_WALK));
            };
            let mut ids = page.ids;
            while !ids.is_empty() {
                let rest = ids.split_off(ids.len().min(PROGRESS_EVERY));
                sum.add(self.both.carry_all(ids, clock.now()).await?);
                progress(&sum);
                ids = rest;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(sum);
            }
        }
    }

    /// Counts what has not moved. When there is nothing, and a minute has passed, in which ids from
    /// before a renewal may still be looked up there, the old store can be switched off; or else at
    /// the last deadline.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the old store can not be walked through: then it can be switched off when
    /// the absolute time-out has passed since the last server made a session in it.
    pub async fn remaining(&self) -> Result<Remaining, Error> {
        let clock = Clock::start();
        let mut remaining = Remaining::default();
        let mut cursor = None;
        loop {
            let now = clock.now();
            let Some(page) = self.both.from.scan(cursor, now).await? else {
                return Err(Error::Unsupported(NO_WALK));
            };
            for id in page.ids {
                let Some(record) = self.both.from.load(id, now).await?.live() else { continue };
                let is_link = Marker::of_shadow(id, &record).is_some_and(|marker| marker.moved);
                if !is_link && !is_ending(&record) {
                    remaining.sessions += 1;
                    remaining.last_deadline =
                        remaining.last_deadline.max(Some(record.hard_deadline));
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(remaining);
            }
        }
    }
}

impl Moved {
    fn add(&mut self, more: Self) {
        self.moved += more.moved;
        self.gone += more.gone;
        self.stayed += more.stayed;
        self.failed += more.failed;
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { moved, gone, stayed, failed } = self;
        write!(f, "{moved} moved, {gone} gone, {stayed} stayed, {failed} failed")
    }
}

impl Both {
    /// Carries over the sessions that stand in `from` under these ids, or under their shadows.
    pub(super) async fn carry_all(
        self: &Arc<Self>,
        ids: Vec<IdHash>,
        now: Time,
    ) -> Result<Moved, StoreError> {
        let mut sum = Moved::default();
        let mut ids = ids.into_iter();
        let mut running = JoinSet::new();
        loop {
            for id in ids.by_ref().take(MOVED_AT_ONCE - running.len()) {
                let both = Arc::clone(self);
                running.spawn(async move { both.carry_one(id, now).await });
            }
            let Some(finished) = running.join_next().await else { return Ok(sum) };
            match finished {
                Ok(Ok(Some(Carried::Moved))) => sum.moved += 1,
                Ok(Ok(Some(Carried::Stays))) => sum.stayed += 1,
                Ok(Ok(Some(Carried::Before | Carried::Elsewhere))) => sum.gone += 1,
                // A link.
                Ok(Ok(None)) => {}
                Ok(Err(error)) => {
                    tracing::warn!(target: "abide::moving", %error, "a session was not moved");
                    sum.failed += 1;
                }
                Err(broken) => return Err(StoreError::Unavailable(Box::new(broken))),
            }
        }
    }

    /// Carries over what stands under this id, whoever else is about it: when this is done it has left.
    /// None if it is a link.
    async fn carry_one(
        self: &Arc<Self>,
        id: IdHash,
        now: Time,
    ) -> Result<Option<Carried>, StoreError> {
        for _ in 0..LOOKS {
            match self.carry_once(id, now).await? {
                // Of those who carry it at once only the last to say so goes on, and may not be done yet.
                Some(Carried::Elsewhere) if self.is_here(id, now).await? => {}
                carried => return Ok(carried),
            }
        }
        Err(moved_too_often())
    }

    async fn is_here(&self, id: IdHash, now: Time) -> Result<bool, StoreError> {
        let loaded = self.from.load(id, now).await?;
        Ok(matches!(loaded, Loaded::Live { standing: Standing::Current, .. }))
    }

    async fn carry_once(
        self: &Arc<Self>,
        id: IdHash,
        now: Time,
    ) -> Result<Option<Carried>, StoreError> {
        let Loaded::Live { record, standing } = self.from.load(id, now).await? else {
            // A session that is listed by its own id, and has left.
            return self.resume(id, now).await.map(Some);
        };
        if is_ending(&record) {
            // Left so by a server that died, or in this moment by one that has not.
            self.from.end(id, now).await?;
            return Ok(None);
        }
        match Marker::of_shadow(id, &record) {
            Some(marker) if marker.moved => Ok(None),
            Some(marker) => self.resume(marker.id, now).await.map(Some),
            None if standing == Standing::Current => self.carry(id, record, now).await.map(Some),
            None => self.resume(id, now).await.map(Some),
        }
    }

    /// A page of both: first of `from`, then of `to`. So what moves meanwhile is shown.
    pub(super) async fn scan(
        self: &Arc<Self>,
        cursor: Option<Bytes>,
        now: Time,
    ) -> Result<Option<Scanned>, StoreError> {
        let (part, inner) = match cursor {
            None => (IN_FROM, None),
            Some(cursor) => {
                let part = cursor.first().copied().ok_or_else(foreign_cursor)?;
                (part, (cursor.len() > 1).then(|| cursor.slice(1..)))
            }
        };
        let on = |part: u8, inner: &[u8]| Some([&[part], inner].concat().into());
        match part {
            IN_FROM => {
                let Some(page) = self.from.scan(inner, now).await? else { return Ok(None) };
                let mut ids = Vec::with_capacity(page.ids.len());
                for id in page.ids {
                    let Some(record) = self.from.load(id, now).await?.live() else { continue };
                    match Marker::of_shadow(id, &record) {
                        None if is_ending(&record) => {}
                        None => ids.push(id),
                        // It is in `to`, or will be: it is shown there.
                        Some(marker) if !marker.moved => {
                            self.resume(marker.id, now).await?;
                        }
                        Some(_) => {}
                    }
                }
                let next = page.next.map_or_else(|| on(IN_TO, &[]), |next| on(IN_FROM, &next));
                Ok(Some(Scanned::new(ids, next)))
            }
            IN_TO => {
                let Some(page) = self.to.scan(inner, now).await? else { return Ok(None) };
                let next = page.next.and_then(|next| on(IN_TO, &next));
                Ok(Some(Scanned::new(page.ids, next)))
            }
            _ => Err(foreign_cursor()),
        }
    }
}

/// The first byte of a cursor: which of the two is being walked through.
const IN_FROM: u8 = 0;
const IN_TO: u8 = 1;

/// Sessions that one walk moves at once: enough to keep a connection busy, and few beside the
/// requests of users.
const MOVED_AT_ONCE: usize = 16;

/// Sessions after which a walk tells how far it is.
const PROGRESS_EVERY: usize = 1000;

const NOT_PREPARED: &str = "sessions can be moved when all servers know both stores: use \
    Moving::new where Moving::prepared is, one deployment later";
const NO_WALK: &str = "the old store can not be walked through: sessions move when they are used, \
    and the others expire there";

fn foreign_cursor() -> StoreError {
    StoreError::Corrupt("the cursor is not one of this store".into())
}
