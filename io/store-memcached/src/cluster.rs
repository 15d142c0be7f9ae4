//! The servers together: which one keeps what, and reading and writing one entry.
//!
//! The owner of a slot is chosen by rendezvous over the servers' addresses as they are configured
//! ([`abide_slots`]), so every process with the same list finds the same server, in whatever order
//! the list is. All that belongs to one session is in one slot, and so on one server: the session,
//! its old ids, what those still see, and the parts of an entry that is too large for one item.
//!
//! **Parts.** A large entry is written in two steps: its parts, under names that hold a random
//! number, and then its head under the name of the session, which names that number. The head alone
//! decides which parts count, so a reader never mixes parts of two writes, and who loses the race
//! for the head has written nothing that anybody sees. Parts that no head names any more are
//! deleted by who replaced it; if that fails, they expire.

use std::sync::Arc;

use abide_session::{IdHash, StoreError};
use abide_slots::{Member, Slot, owner};
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::counters::Tally;
use crate::entry::{Entry, PART_BYTES, PARTS_MAX, Parts};
use crate::error::{Trouble, corrupt, too_large, unavailable};
use crate::protocol::{Reply, Request, When};
use crate::server::Server;

/// How often an entry is read again whose parts were replaced while they were read.
const READS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Cluster {
    servers: Vec<Server>,
    /// The place of the server that keeps each slot.
    owners: Vec<usize>,
    prefix: String,
    pub(crate) tally: Arc<Tally>,
}

/// What an item is called: its kind, and the session or subject it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    pub(crate) id: IdHash,
}

/// What kinds of items there are; a letter of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A session, or what is left of it.
    Session,
    /// What the old id of a session goes on seeing that was renewed by a sign-in.
    Frozen,
    /// The sessions of a subject.
    Index,
}

/// What is under a name.
#[derive(Debug)]
pub(crate) struct Item<T> {
    pub(crate) what: T,
    pub(crate) token: u64,
    /// When the token was read.
    pub(crate) at: Instant,
    /// Where it was read from, if it is large.
    pub(crate) parts: Option<Parts>,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Done,
    /// Not done: it was not as expected.
    Lost,
}

/// On what condition an entry is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    Absent,
    Unchanged { token: u64, at: Instant },
    Always,
}

impl Name {
    pub(crate) const fn session(id: IdHash) -> Self {
        Self { kind: Kind::Session, id }
    }

    pub(crate) const fn frozen(id: IdHash) -> Self {
        Self { kind: Kind::Frozen, id }
    }

    pub(crate) const fn index(id: IdHash) -> Self {
        Self { kind: Kind::Index, id }
    }
}

impl<T> Item<T> {
    pub(crate) const fn unchanged(&self) -> Condition {
        Condition::Unchanged { token: self.token, at: self.at }
    }
}

impl Cluster {
    pub(crate) fn new(
        servers: Vec<Server>,
        members: &[Member<'_>],
        prefix: String,
        tally: Arc<Tally>,
    ) -> Self {
        let place = |slot| owner(slot, members.iter().copied(), |_| true).unwrap_or(0);
        let owners = Slot::all().map(place).collect();
        Self { servers, owners, prefix, tally }
    }

    pub(crate) fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The place of the server that keeps this slot, and the server.
    pub(crate) fn owner(&self, slot: Slot) -> Result<&Server, StoreError> {
        let server = self.servers.get(self.place(slot));
        server.ok_or_else(|| unavailable("there is no memcached server".to_owned()))
    }

    pub(crate) fn place(&self, slot: Slot) -> usize {
        self.owners.get(usize::from(slot.number())).copied().unwrap_or(0)
    }

    pub(crate) fn key(&self, Name { kind, id }: Name) -> String {
        format!("{}{}.{id}", self.prefix, kind.letter())
    }

    /// The id in a name that [`Cluster::key`] gave for a session.
    pub(crate) fn session_of_key(&self, key: &str) -> Option<IdHash> {
        let rest = key.strip_prefix(&self.prefix)?.strip_prefix(Kind::Session.letter())?;
        IdHash::parse(rest.strip_prefix('.')?.as_bytes())
    }

    /// Sends commands for things in one slot to its server.
    pub(crate) async fn ask(
        &self,
        slot: Slot,
        requests: &[Request<'_>],
    ) -> Result<Vec<Reply>, StoreError> {
        let server = self.owner(slot)?;
        server.ask(requests, None).await.map_err(|trouble| trouble.at(server.address()))
    }

    /// What is under a name, as bytes.
    pub(crate) async fn read_bytes(&self, name: Name) -> Result<Option<Item<Bytes>>, StoreError> {
        let key = self.key(name);
        let replies = self.ask(name.id.slot(), &[Request::Get(&key)]).await?;
        let at = Instant::now();
        match replies.into_iter().next() {
            Some(Reply::Value { token, data }) => {
                Ok(Some(Item { what: data, token, at, parts: None }))
            }
            Some(Reply::Missing) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// The entry under a name. One whose parts are not all there is [`Entry::Parted`].
    pub(crate) async fn read(&self, name: Name) -> Result<Option<Item<Entry>>, StoreError> {
        let found = self.read_bytes(name).await?;
        self.whole(name, found).await
    }

    /// The entry that was found under a name, with its parts.
    pub(crate) async fn whole(
        &self,
        name: Name,
        mut found: Option<Item<Bytes>>,
    ) -> Result<Option<Item<Entry>>, StoreError> {
        let mut missing_from = None;
        for _ in 0..READS_MAX {
            let Some(Item { what, token, at, .. }) = found else { return Ok(None) };
            let head = Entry::decode(&what)?;
            let Entry::Parted { parts, .. } = &head else {
                return Ok(Some(Item { what: head, token, at, parts: None }));
            };
            let parts = *parts;
            if let Some(data) = self.read_parts(name, parts).await? {
                let what = Entry::decode(&data)?;
                if matches!(what, Entry::Parted { .. }) {
                    return Err(corrupt("a part of it names parts"));
                }
                return Ok(Some(Item { what, token, at, parts: Some(parts) }));
            }
            if missing_from == Some(token) {
                // Nobody has replaced it, so its parts are lost.
                return Ok(Some(Item { what: head, token, at, parts: Some(parts) }));
            }
            missing_from = Some(token);
            found = self.read_bytes(name).await?;
        }
        Err(unavailable("a session is written faster than it can be read".to_owned()))
    }

    async fn read_parts(&self, name: Name, parts: Parts) -> Result<Option<Bytes>, StoreError> {
        let keys = self.part_keys(name, parts);
        let requests: Vec<_> = keys.iter().map(|key| Request::Get(key)).collect();
        let mut data =
            BytesMut::with_capacity(parts.bytes.min(PARTS_MAX.saturating_mul(PART_BYTES)));
        for reply in self.ask(name.id.slot(), &requests).await? {
            match reply {
                Reply::Value { data: part, .. } => data.extend_from_slice(&part),
                Reply::Missing => return Ok(None),
                _ => return Err(unexpected()),
            }
        }
        if data.len() == parts.bytes { Ok(Some(data.freeze())) } else { Ok(None) }
    }

    /// Writes an entry, large or small.
    pub(crate) async fn write(
        &self,
        name: Name,
        entry: &Entry,
        condition: Condition,
        expires: i32,
    ) -> Result<Written, StoreError> {
        let bytes = entry.encode();
        if bytes.len() <= PART_BYTES {
            return self.write_bytes(name, &bytes, condition, expires).await;
        }
        let count = bytes.len().div_ceil(PART_BYTES);
        if count > PARTS_MAX {
            return Err(too_large());
        }
        let generation = getrandom::u64()
            .map_err(|cause| unavailable(format!("the system has no random numbers: {cause}")))?;
        let parts = Parts { generation, count, bytes: bytes.len() };
        let keys = self.part_keys(name, parts);
        let puts = keys.iter().zip(bytes.chunks(PART_BYTES));
        let when = When::Always;
        let puts: Vec<_> =
            puts.map(|(key, value)| Request::Put { key, value, expires, when }).collect();
        let replies = self.ask(name.id.slot(), &puts).await?;
        let written = match replies.iter().find(|reply| **reply != Reply::Done) {
            None => {
                let head = Entry::Parted { parts, hard_deadline: entry.hard_deadline() };
                self.write_bytes(name, &head.encode(), condition, expires).await
            }
            Some(reply) => refusal(reply),
        };
        match written {
            Ok(Written::Done) => Ok(Written::Done),
            // Of an error it is not known whether the head was written.
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            refused => {
                self.delete_parts(name, Some(parts)).await;
                refused
            }
        }
    }

    /// Writes what fits into one item.
    pub(crate) async fn write_bytes(
        &self,
        name: Name,
        value: &[u8],
        condition: Condition,
        expires: i32,
    ) -> Result<Written, StoreError> {
        let server = self.owner(name.id.slot())?;
        let key = self.key(name);
        let (when, at) = match condition {
            Condition::Absent => (When::Absent, None),
            Condition::Unchanged { token, at } => (When::Unchanged(token), Some(at)),
            Condition::Always => (When::Always, None),
        };
        let put = Request::Put { key: &key, value, expires, when };
        match server.ask(&[put], at).await {
            Ok(replies) => written(replies.first()),
            Err(Trouble::TooNew) => Ok(Written::Lost),
            Err(trouble) => Err(trouble.at(server.address())),
        }
    }

    /// Deletes the parts of an entry that was replaced. Should that fail, they expire.
    pub(crate) async fn delete_parts(&self, name: Name, parts: Option<Parts>) {
        let Some(parts) = parts else { return };
        let keys = self.part_keys(name, parts);
        let requests: Vec<_> = keys.iter().map(|key| Request::Delete(key)).collect();
        if let Err(error) = self.ask(name.id.slot(), &requests).await {
            tracing::debug!(%error, "parts of a replaced session are left to expire");
        }
    }

    fn part_keys(&self, name: Name, parts: Parts) -> Vec<String> {
        let key = self.key(name);
        let Parts { generation, count, .. } = parts;
        (0..count).map(|number| format!("{key}.{generation:016x}.{number}")).collect()
    }
}

impl Kind {
    const fn letter(self) -> &'static str {
        match self {
            Self::Session => "s",
            Self::Frozen => "f",
            Self::Index => "u",
        }
    }
}

/// What an answer to a write means.
pub(crate) fn written(reply: Option<&Reply>) -> Result<Written, StoreError> {
    match reply {
        Some(Reply::Done) => Ok(Written::Done),
        Some(Reply::Taken | Reply::Changed | Reply::Missing) => Ok(Written::Lost),
        Some(reply) => refusal(reply),
        None => Err(unexpected()),
    }
}

fn refusal(reply: &Reply) -> Result<Written, StoreError> {
    match reply {
        Reply::Full => Err(StoreError::Full),
        Reply::TooLarge => Err(too_large()),
        _ => Err(unexpected()),
    }
}

pub(crate) fn unexpected() -> StoreError {
    unavailable("memcached gave an answer to something else".to_owned())
}
