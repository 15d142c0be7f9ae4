//! The sessions of a subject.
//!
//! A session knows whose it is, and an index knows which sessions somebody has. In a cluster they
//! are on different servers, so no script can change both. The order makes up for that:
//!
//! * **Binding**: first the index enters the id and gives a token, later than every one before; then
//!   the session takes the subject with the token. If the second step never comes, the index has one
//!   entry too many.
//! * **Ending all**: the index raises a mark, later than every token, and shows its entries; then
//!   each session is ended that is bound to the subject by a token before the mark. Only then its
//!   entry goes. If it breaks off, the entries that are left are found by the next call.
//! * **Listing** looks at each session that is entered, and drops entries that lead nowhere.
//!
//! An entry must not go while its session may yet be bound, so one that leads to no bound session is
//! dropped only when it is older than [`BINDING_MS`]. A session that has ended can not be bound
//! again; its entry goes at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use abide_session::{
    Changes, IdHash, Listed, MAX_LISTED, Record, StoreError, Stub, Subject, Trail,
};
use abide_time::Time;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::Value;

use crate::answer::Answer;
use crate::client::Request;
use crate::format::{Stored, bytes_of, decode, keep_ms, millis, pairs_of, unexpected};
use crate::script::{self, Call};
use crate::store::{RedisStore, hash};

/// Calls about the sessions of one subject that are under way at once: enough to hide the round
/// trips, and few enough to leave the server to others in between.
const AT_ONCE: usize = 64;

/// Renewals that are followed to a subject's session, whether their grace is over or not: more than
/// the index misses, which learns of each one.
const STEPS_MAX: usize = 64;

/// How long the second step of a binding may take to arrive: far longer than any call may take, and
/// than a server is paused by anything short of a failure.
const BINDING_MS: u64 = 600_000;

/// How long the index of a subject is kept if nothing says when its sessions end: 400 days, which no
/// cookie outlives (RFC 6265bis, section 5.5).
const LONGEST_MS: u64 = 400 * 24 * 3600 * 1000;

/// Entries from which on an index is looked through whenever it has doubled.
const WORTH_CLEANING: i64 = 32;

/// An entry of an index: an id, and the token it was bound with.
type Entry = (IdHash, Vec<u8>);

/// What is at the end of an entry's trail.
enum Ends {
    Bound(IdHash, Record),
    /// A session that is not bound to the subject, or none; perhaps not yet.
    Elsewhere,
    Ended,
}

impl RedisStore {
    /// Enters an id in the index of a subject. Gives the token to bind the session with.
    pub(crate) async fn bind(
        &self,
        subject: &Subject,
        id: IdHash,
        hard_deadline: Option<Time>,
        now: Time,
    ) -> Result<[u8; 8], StoreError> {
        let keep = binding_ms(hard_deadline, now);
        self.enter(subject, &[id.to_string()], keep, now).await
    }

    /// The same for changes that bind a session.
    pub(crate) async fn bind_if_new(
        &self,
        id: IdHash,
        changes: &Changes,
        now: Time,
    ) -> Result<[u8; 8], StoreError> {
        match &changes.subject {
            Some(Some(subject)) => self.bind(subject, id, changes.hard_deadline, now).await,
            _ => Ok([0; 8]),
        }
    }

    /// Keeps the index for as long as a session of it may live now.
    pub(crate) async fn keep_bound(
        &self,
        subject: &Subject,
        id: IdHash,
        hard_deadline: Time,
        now: Time,
    ) -> Result<(), StoreError> {
        self.enter(subject, &[id.to_string()], keep_ms(hard_deadline, now), now)
            .await
            .map(|_token| ())
    }

    /// Puts the new id of a session in place of the old one.
    pub(crate) async fn rebind_index(
        &self,
        subject: &Subject,
        (old, new): (IdHash, IdHash),
        keep_ms: u64,
        now: Time,
    ) -> Result<(), StoreError> {
        self.enter(subject, &[new.to_string(), format!("-{old}")], keep_ms, now)
            .await
            .map(|_token| ())
    }

    async fn enter(
        &self,
        subject: &Subject,
        ids: &[String],
        keep_ms: u64,
        now: Time,
    ) -> Result<[u8; 8], StoreError> {
        let mut call = Call::new(&script::BIND, vec![self.keys.subject(subject)])
            .number(millis(now))
            .number(keep_ms);
        for id in ids {
            call = call.arg(id.as_bytes());
        }
        let Answer::Done(values) = Answer::of(self.client.ask(Request::Repeatable(&call)).await?)?
        else {
            return Err(unexpected());
        };
        let mut values = values.into_iter();
        let token = bytes_of(values.next().unwrap_or_default())?;
        if let Some(Value::Int(entries)) = values.next()
            && entries >= WORTH_CLEANING
            && entries.unsigned_abs().is_power_of_two()
        {
            let (store, subject) = (self.clone(), subject.clone());
            tokio::spawn(async move { store.list_now(&subject, now).await });
        }
        token.try_into().map_err(|_fault| unexpected())
    }

    /// Takes an ended session out of the index, while nobody waits for it.
    pub(crate) fn unbind_later(&self, subject: Subject, id: IdHash, now: Time) {
        let store = self.clone();
        // It can not be bound again, so its entry goes whatever its token is.
        tokio::spawn(async move { store.forget(&subject, &[(id, Vec::new())], now).await });
    }

    pub(crate) async fn list_now(
        &self,
        subject: &Subject,
        now: Time,
    ) -> Result<Vec<Listed>, StoreError> {
        let entries = self.entries(subject).await?;
        let entered: BTreeSet<IdHash> = entries.iter().map(|(id, _)| *id).collect();
        let looks = entries.into_iter().map(|entry| async move {
            let end = self.end_of(entry.0, subject).await?;
            Ok::<_, StoreError>((entry, end))
        });
        let mut looked = stream::iter(looks).buffer_unordered(AT_ONCE);
        let mut listed = BTreeMap::new();
        let mut nowhere = Vec::new();
        while let Some((entry, end)) = looked.try_next().await? {
            match end {
                Ends::Bound(id, record) => {
                    // Under its own id the session is entered, too.
                    nowhere
                        .extend(Some(entry).filter(|(old, _)| *old != id && entered.contains(&id)));
                    // An expired one may be kept alive yet, by one whose clock is behind.
                    if !record.is_expired(now) {
                        listed.insert(id, record);
                    }
                    if listed.len() > 2 * MAX_LISTED {
                        let seen_last = last_seen(std::mem::take(&mut listed));
                        listed.extend(seen_last);
                    }
                }
                Ends::Ended => nowhere.push(entry),
                Ends::Elsewhere => {
                    nowhere.extend(Some(entry).filter(|entry| is_settled(entry, now)));
                }
            }
        }
        if !nowhere.is_empty() {
            // What is left is found again.
            let _ = self.forget(subject, &nowhere, now).await;
        }
        let listed = last_seen(listed).into_iter();
        Ok(listed.map(|(id, record)| Listed::new(id, Arc::new(record))).collect())
    }

    pub(crate) async fn end_all_now(
        &self,
        subject: &Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> Result<(), StoreError> {
        let call = Call::new(&script::REVOKE, vec![self.keys.subject(subject)]).number(millis(now));
        let answer = Answer::of(self.client.ask(Request::Repeatable(&call)).await?)?;
        let Answer::Done(values) = answer else { return Ok(()) };
        let [mark, token, index] = <[Value; 3]>::try_from(values).map_err(|_fault| unexpected())?;
        let (mark, token) = (bytes_of(mark)?, bytes_of(token)?);
        let entries = entries_of(index)?;
        let excepted = match except {
            Some(id) => self.rebind(id, subject, &token, now).await?,
            None => None,
        };
        let mark = &mark;
        let ends = entries.into_iter().map(|entry| async move {
            let gone = self.end_bound(entry.0, excepted, subject, (mark, now)).await?;
            Ok::<_, StoreError>((entry, gone))
        });
        let mut ended = stream::iter(ends).buffer_unordered(AT_ONCE);
        let (mut nowhere, mut unread) = (Vec::new(), None);
        while let Some(end) = ended.next().await {
            match end {
                Ok((entry, gone)) => {
                    let is_gone = gone.unwrap_or_else(|| is_settled(&entry, now));
                    nowhere.extend(Some(entry).filter(|_| is_gone));
                }
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                // A session that can not be read must not keep the others alive.
                Err(error) => unread = Some(error),
            }
        }
        // The sessions have ended, which is what was asked for.
        let _ = self.forget(subject, &nowhere, now).await;
        unread.map_or(Ok(()), Err)
    }

    /// Binds the session of this id anew, if it is bound to the subject. Gives its current id then.
    async fn rebind(
        &self,
        presented: IdHash,
        subject: &Subject,
        token: &[u8],
        now: Time,
    ) -> Result<Option<IdHash>, StoreError> {
        let mut trail = Trail::new(presented);
        loop {
            let call = Call::new(&script::REBIND, vec![self.keys.session(trail.id())])
                .number(millis(now))
                .arg(subject.as_str().as_bytes())
                .arg(token);
            match Answer::of(self.client.ask(Request::Repeatable(&call)).await?)? {
                Answer::Stub(stub) if trail.follow(stub, now) => {}
                Answer::Done(_) => return Ok(Some(trail.id())),
                _ => return Ok(None),
            }
        }
    }

    /// Ends a session that was bound before the mark. True if it has ended, false if it is excepted
    /// or bound after the mark, none if there is none that is bound to the subject.
    async fn end_bound(
        &self,
        entered: IdHash,
        excepted: Option<IdHash>,
        subject: &Subject,
        (mark, now): (&[u8], Time),
    ) -> Result<Option<bool>, StoreError> {
        let mut id = entered;
        for _ in 0..STEPS_MAX {
            // Its token alone would not save it: a binding or an end of all that was under way
            // before may set an earlier one.
            if excepted == Some(id) {
                return Ok(Some(false));
            }
            let call = Call::new(&script::END_BOUND, vec![self.keys.session(id)])
                .number(millis(now))
                .arg(subject.as_str().as_bytes())
                .arg(mark);
            match Answer::of(self.client.ask(Request::Repeatable(&call)).await?)? {
                Answer::Stub(Stub { to, .. }) => id = to,
                Answer::Done(_) => return Ok(Some(true)),
                Answer::Conflict(_) => return Ok(Some(false)),
                _ => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn end_of(&self, entered: IdHash, subject: &Subject) -> Result<Ends, StoreError> {
        let mut id = entered;
        for _ in 0..STEPS_MAX {
            let key = self.keys.session(id);
            let replies = self.client.ask(Request::Read(&[hash(&key)], key.slot)).await?;
            match decode(replies.into_iter().next().unwrap_or_default())? {
                Some(Stored::Moved(stub)) => id = stub.to,
                Some(Stored::Ended) => return Ok(Ends::Ended),
                Some(Stored::Live(record)) if record.subject.value.as_ref() == Some(subject) => {
                    return Ok(Ends::Bound(id, record));
                }
                Some(Stored::Live(_)) | None => return Ok(Ends::Elsewhere),
            }
        }
        Ok(Ends::Elsewhere)
    }

    async fn entries(&self, subject: &Subject) -> Result<Vec<Entry>, StoreError> {
        let key = self.keys.subject(subject);
        let replies = self.client.ask(Request::Read(&[hash(&key)], key.slot)).await?;
        entries_of(replies.into_iter().next().unwrap_or_default())
    }

    async fn forget(
        &self,
        subject: &Subject,
        entries: &[Entry],
        now: Time,
    ) -> Result<(), StoreError> {
        for batch in entries.chunks(FORGOTTEN_AT_ONCE) {
            let mut call =
                Call::new(&script::FORGET, vec![self.keys.subject(subject)]).number(millis(now));
            for (id, token) in batch {
                call = call.arg(id.to_string().as_bytes()).arg(token);
            }
            self.client.ask(Request::Repeatable(&call)).await?;
        }
        Ok(())
    }
}

/// Entries that one script drops: a fraction of a millisecond of the server's one thread.
const FORGOTTEN_AT_ONCE: usize = 500;

/// How long a binding keeps the index, where this is the hard deadline it comes with.
fn binding_ms(hard_deadline: Option<Time>, now: Time) -> u64 {
    hard_deadline.map_or(LONGEST_MS, |deadline| keep_ms(deadline, now))
}

/// Whether these changes have kept the index for as long as their session may live, whose hard
/// deadline may be later than what they say of it.
pub(crate) fn is_kept(changes: &Changes, hard_deadline: Time, now: Time) -> bool {
    match changes.subject {
        Some(_) => keep_ms(hard_deadline, now) <= binding_ms(changes.hard_deadline, now),
        None => changes.hard_deadline.is_none(),
    }
}

/// The sessions that were seen last, in that order.
fn last_seen(listed: BTreeMap<IdHash, Record>) -> Vec<(IdHash, Record)> {
    let mut listed: Vec<(IdHash, Record)> = listed.into_iter().collect();
    listed.sort_by_key(|(id, record)| (Reverse(record.seen), *id));
    listed.truncate(MAX_LISTED);
    listed
}

/// Whether the session of this entry was bound by now, or never will be.
fn is_settled((_, token): &Entry, now: Time) -> bool {
    let bound = token.iter().take(6).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    millis(now).saturating_sub(bound) > BINDING_MS
}

fn entries_of(index: Value) -> Result<Vec<Entry>, StoreError> {
    let pairs = pairs_of(index)?;
    let entry = |(name, token): (Vec<u8>, Vec<u8>)| Some((IdHash::parse(&name)?, token));
    Ok(pairs.into_iter().filter_map(entry).collect())
}
