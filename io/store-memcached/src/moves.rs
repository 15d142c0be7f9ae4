//! A session moves to another id.
//!
//! There is no command that changes two items at once, so a move has steps, and what is found at
//! each moment is the session, under exactly one id:
//!
//! 1. Nothing is under the new id. (If there is something: `Gone`.)
//! 2. The old item becomes an unfinished stub: it names the new id, and holds the whole session as
//!    it is to be. This one compare-and-swap decides: before it nothing has happened, from it on the
//!    session has moved.
//! 3. The session is put under the new id, if there is nothing.
//! 4. The session is taken out of the stub.
//!
//! Whoever finds an unfinished stub does steps 3 and 4 before anything else, with what stands in it.
//! Doing them twice is doing them once: the second finds the new id taken, whatever has become of it
//! meanwhile (a later commit, or the mark of its end), and leaves it alone; and step 4 swaps exactly
//! the stub that was read. So a process that dies between the steps, or is slow, does no harm. Until
//! step 3 the new id finds nothing, but nobody has it yet: a browser gets it with the answer.
//!
//! What would be needed to harm: a move that is unfinished because its process died between steps 3
//! and 4, the end of the session under its new id, and the eviction of that mark, all before anybody
//! asks for the old id. Then who asks for it brings back the session as it was moved.

use std::sync::Arc;

use abide_session::{Commit, IdHash, OldId, Record, Rename, Standing, StoreError, Stub};
use abide_time::Time;
use tokio::time::Instant;

use crate::cluster::{Condition, Item, Name, Written, unexpected, written};
use crate::entry::{Entry, PART_BYTES};
use crate::error::{Trouble, unavailable};
use crate::expiry::expires;
use crate::index::after;
use crate::protocol::{Reply, Request, When};
use crate::sessions::{ATTEMPTS, Change, Live, Sessions, contended};

/// A move whose stub is written.
#[derive(Debug)]
pub(crate) struct Move {
    /// The old id, and the stub under it as it was read.
    pub(crate) old: Item<IdHash>,
    pub(crate) stub: Stub,
    pub(crate) hard_deadline: Time,
    /// The session as it is under its new id.
    pub(crate) record: Arc<Record>,
}

impl Sessions {
    pub(crate) async fn rename(
        self: &Arc<Self>,
        presented: IdHash,
        rename: &Rename,
        now: Time,
    ) -> Result<Commit, StoreError> {
        rename.changes.check()?;
        let mut change = Change::new(&rename.changes, now);
        let mut turn = None;
        for attempt in 0..ATTEMPTS {
            let Some(live) = self.writable(presented, now).await? else { return Ok(Commit::Gone) };
            if self.cluster.read_bytes(Name::session(rename.to)).await?.is_some() {
                return Ok(Commit::Gone);
            }
            let conflicts = rename.changes.conflicts(&live.read.record);
            let was_renewed = live.standing == Standing::Old && rename.old == OldId::Follows;
            if was_renewed || !conflicts.is_empty() {
                return Ok(Commit::Conflict(conflicts));
            }
            let before = &live.read.record;
            Self::changed(before, &rename.changes, after(before.latest(), now))?;
            let stamp = self.stamp_for(&live, rename.to, &mut change).await?;
            let record = Self::changed(before, &rename.changes, stamp)?;
            if rename.old == OldId::Freezes {
                let frozen = Entry::Live(Arc::clone(before));
                let expires = expires(rename.until, now);
                let name = Name::frozen(live.id);
                self.cluster.write(name, &frozen, Condition::Always, expires).await?;
            }
            if let Some(begun) = self.begin_move(&live, rename, record, now).await? {
                self.finish_or_undo(&begun, before, now).await?;
                self.recent.forget(live.id);
                self.recent.saw_live_until(rename.to, begun.record.deadline());
                return Ok(Commit::Committed(stamp));
            }
            self.wait_for_turn(presented.slot(), &mut turn, attempt).await;
        }
        Err(contended())
    }

    /// Step 2. None if the session has changed since it was read.
    async fn begin_move(
        &self,
        live: &Live,
        rename: &Rename,
        record: Arc<Record>,
        now: Time,
    ) -> Result<Option<Move>, StoreError> {
        let until = match rename.old {
            OldId::Follows | OldId::Freezes => rename.until,
            // Its grace is over before it begins.
            _ => Time::EPOCH,
        };
        let stub = Stub::new(rename.to, rename.old == OldId::Freezes, until);
        let hard_deadline = record.hard_deadline;
        let pending = Some(Arc::clone(&record));
        let moving = Entry::Moved { stub, hard_deadline, pending };
        let name = Name::session(live.id);
        let expires = expires(hard_deadline, now);
        let old = self.swap_and_read(name, &moving, live.unchanged(), expires).await?;
        let Some(old) = old else { return Ok(None) };
        self.cluster.delete_parts(name, live.read.parts).await;
        Ok(Some(Move { old, stub, hard_deadline, record }))
    }

    /// Swaps an entry and reads its new token, in one round trip if it is small. If somebody else
    /// has finished the move before it could be read, the token is the old one, with which nothing
    /// can be done any more.
    async fn swap_and_read(
        &self,
        name: Name,
        entry: &Entry,
        condition: Condition,
        expires: i32,
    ) -> Result<Option<Item<IdHash>>, StoreError> {
        let value = entry.encode();
        let Condition::Unchanged { token, at: read_at } = condition else { return Ok(None) };
        if value.len() > PART_BYTES {
            if self.cluster.write(name, entry, condition, expires).await? == Written::Lost {
                return Ok(None);
            }
            let item = self.cluster.read(name).await?.filter(|item| item.what == *entry);
            let (token, at, parts) =
                item.map_or((token, read_at, None), |item| (item.token, item.at, item.parts));
            return Ok(Some(Item { what: name.id, token, at, parts }));
        }
        let server = self.cluster.owner(name.id.slot())?;
        let key = self.cluster.key(name);
        let put = Request::Put { key: &key, value: &value, expires, when: When::Unchanged(token) };
        let replies = match server.ask(&[put, Request::Get(&key)], Some(read_at)).await {
            Ok(replies) => replies,
            Err(Trouble::TooNew) => return Ok(None),
            Err(trouble) => return Err(trouble.at(server.address())),
        };
        if written(replies.first())? == Written::Lost {
            return Ok(None);
        }
        let (token, at) = match replies.get(1) {
            Some(Reply::Value { token, data }) if **data == *value => (*token, Instant::now()),
            Some(Reply::Value { .. } | Reply::Missing) => (token, read_at),
            _ => return Err(unexpected()),
        };
        Ok(Some(Item { what: name.id, token, at, parts: None }))
    }

    /// Steps 3 and 4 of one's own move. If there is no room for the session under its new id, it
    /// stays under the old one.
    async fn finish_or_undo(
        &self,
        begun: &Move,
        before: &Arc<Record>,
        now: Time,
    ) -> Result<(), StoreError> {
        match self.finish_move(begun, now).await {
            Err(StoreError::Full) => {
                let live = Entry::Live(Arc::clone(before));
                let expires = expires(live.deadline(), now);
                let name = Name::session(begun.old.what);
                let undone =
                    self.cluster.write(name, &live, begun.old.unchanged(), expires).await?;
                if undone == Written::Done {
                    self.cluster.delete_parts(name, begun.old.parts).await;
                    return Err(StoreError::Full);
                }
                // Somebody else found room.
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Steps 3 and 4 of a move that somebody else began.
    pub(crate) async fn finish_for_others(
        &self,
        unfinished: &Move,
        now: Time,
    ) -> Result<(), StoreError> {
        self.cluster.tally.moves_finished.one();
        self.finish_move(unfinished, now).await.map_err(|error| match error {
            StoreError::Full => unavailable("memcached has no room to finish a renewal".to_owned()),
            error => error,
        })
    }

    async fn finish_move(&self, begun: &Move, now: Time) -> Result<(), StoreError> {
        let Move { old, stub, hard_deadline, record } = begun;
        let live = Entry::Live(Arc::clone(record));
        let name = Name::session(stub.to);
        let expires_live = expires(record.deadline(), now);
        self.cluster.write(name, &live, Condition::Absent, expires_live).await?;
        let moved = Entry::Moved { stub: *stub, hard_deadline: *hard_deadline, pending: None };
        let name = Name::session(old.what);
        let expires_moved = expires(*hard_deadline, now);
        let written = self.cluster.write(name, &moved, old.unchanged(), expires_moved).await;
        match written {
            Ok(Written::Done) => self.cluster.delete_parts(name, old.parts).await,
            Ok(Written::Lost) => {}
            // The session has moved. The stub is finished by whoever meets it.
            Err(error) => tracing::debug!(%error, "a move is left to be finished by others"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
