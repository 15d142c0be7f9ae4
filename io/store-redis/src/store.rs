//! The store: each call of the contract as requests.

use std::sync::Arc;

use abide_session::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, OldId, Record, Rename, Scanned, Standing,
    Store, StoreError, StoreFuture, Subject, Trail,
};
use abide_time::Time;
use bytes::Bytes;
use redis::Value;

use crate::answer::{Answer, Committed};
use crate::builder::RedisStoreBuilder;
use crate::change::{changing, script_of, with_fields};
use crate::client::{Client, Request, one};
use crate::counters::Counters;
use crate::dial::Server;
use crate::error::ConnectError;
use crate::format::{Stored, decode, encode, first_stamp, keep_ms, millis, subject_of, unexpected};
use crate::keys::{Key, Keys};
use crate::script::{self, Call};
use crate::subjects::is_kept;
use crate::unavailable;

/// Sessions in Redis or Valkey. Clones share the connections.
#[derive(Clone, Debug)]
pub struct RedisStore {
    pub(crate) client: Arc<Client>,
    pub(crate) keys: Arc<Keys>,
}

/// A session under its current id.
pub(crate) struct Found {
    pub(crate) trail: Trail,
    pub(crate) stored: Option<Stored>,
    /// What the presented id sees, if that is something else.
    frozen: Option<Stored>,
}

impl RedisStore {
    pub(crate) fn new(client: Client, keys: Keys) -> Self {
        Self { client: Arc::new(client), keys: Arc::new(keys) }
    }

    /// Connects to the server of this address, with the defaults of [`RedisStore::builder`].
    ///
    /// # Errors
    /// Each of [`ConnectError`].
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// A store with settings of its own. The address is as in the documentation of this crate.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    /// Asks each server that keeps sessions whether it takes writes, in one round trip.
    ///
    /// # Errors
    /// `Unavailable`, and why: it does not answer, it is a replica, or it forgets sessions when its
    /// memory is full.
    pub async fn health(&self) -> Result<(), StoreError> {
        // A connection may have broken long ago, and nobody noticed.
        match self.look().await {
            Err(_) => self.look().await,
            well => well,
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let servers = self.client.servers().await?;
        let info = [one(&["INFO"])];
        let asked = servers
            .iter()
            .map(|(address, connection)| self.client.ask_server(address, connection, &info));
        let replies = futures_util::future::try_join_all(asked).await?;
        for ((address, connection), replies) in servers.iter().zip(replies) {
            let info = match replies.into_iter().next() {
                Some(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
                Some(Value::VerbatimString { text, .. }) => text,
                _ => return Err(unavailable(&format!("{address} answers INFO with no text"))),
            };
            let server = Server::parse(&info);
            if !server.is_primary {
                connection.suspect();
                self.client.suspect();
                return Err(unavailable(&format!("{address} is a read-only replica")));
            }
            if server.is_loading {
                return Err(unavailable(&format!("{address} is reading its data")));
            }
            if let Some(policy) = server.evicts {
                return Err(unavailable(&format!(
                    "{address} forgets sessions when its memory is full (maxmemory-policy {policy})"
                )));
            }
        }
        Ok(())
    }

    /// What the store has been through.
    pub fn counters(&self) -> Counters {
        self.client.counters()
    }

    /// Follows an id to what is at the end of its trail.
    pub(crate) async fn find(&self, presented: IdHash, now: Time) -> Result<Found, StoreError> {
        let mut trail = Trail::new(presented);
        loop {
            let key = self.keys.session(trail.id());
            let mut commands = vec![hash(&key)];
            if let Some(id) = trail.frozen_at() {
                commands.push(hash(&self.keys.frozen(id)));
            }
            let replies = self.client.ask(Request::Read(&commands, key.slot)).await?;
            let mut replies = replies.into_iter();
            let stored = decode(replies.next().unwrap_or_default())?;
            if let Some(Stored::Moved(stub)) = stored
                && trail.follow(stub, now)
            {
                continue;
            }
            let frozen = replies.next().map_or(Ok(None), decode)?;
            return Ok(Found { trail, stored, frozen });
        }
    }

    async fn create_now(
        &self,
        id: IdHash,
        changes: Changes,
        now: Time,
    ) -> Result<Create, StoreError> {
        changes.check()?;
        let stamp = first_stamp(now);
        let mut record = changes.at(stamp, &Record::default())?;
        record.forget_removed();
        record.check()?;
        let token = match &record.subject.value {
            Some(subject) => self.bind(subject, id, Some(record.hard_deadline), now).await?,
            None => [0; 8],
        };
        let mut call = Call::new(&script::CREATE, vec![self.keys.session(id)])
            .number(keep_ms(record.deadline(), now));
        for (name, value) in encode(&record, &changes, stamp, token) {
            call = call.arg(&name).arg(&value);
        }
        match Answer::of(self.client.ask(Request::Once(&call)).await?)? {
            Answer::Done(_) => Ok(Create::Created(stamp)),
            _ => Ok(Create::Taken),
        }
    }

    async fn load_now(&self, id: IdHash, now: Time) -> Result<Loaded, StoreError> {
        let Found { trail, stored, frozen } = self.find(id, now).await?;
        let record = match stored {
            None if trail.is_at_start() => return Ok(Loaded::Unknown),
            None | Some(Stored::Ended | Stored::Moved(_)) => return Ok(Loaded::Ended),
            Some(Stored::Live(record)) if record.is_expired(now) => return Ok(Loaded::Expired),
            Some(Stored::Live(record)) => record,
        };
        let standing = trail.standing();
        if standing != Standing::Frozen {
            return Ok(Loaded::Live { record: Arc::new(record), standing });
        }
        match frozen {
            Some(Stored::Live(record)) => Ok(Loaded::Live { record: Arc::new(record), standing }),
            _ => Ok(Loaded::Ended),
        }
    }

    async fn commit_now(
        &self,
        presented: IdHash,
        changes: Changes,
        now: Time,
    ) -> Result<Commit, StoreError> {
        changes.check()?;
        let token = self.bind_if_new(presented, &changes, now).await?;
        let mut trail = Trail::new(presented);
        loop {
            let id = trail.id();
            let script = script_of(
                &changes,
                &script::COMMIT_RELATIVE,
                &script::COMMIT,
                &script::COMMIT_LESS,
            );
            let call = Call::new(script, vec![self.keys.session(id)]);
            let call = with_fields(changing(call, &changes, token, now), &changes);
            match Answer::of(self.client.ask(Request::Once(&call)).await?)? {
                Answer::Stub(stub) => {
                    if !trail.follow(stub, now) || trail.standing() == Standing::Frozen {
                        return Ok(Commit::Gone);
                    }
                }
                Answer::Done(values) => {
                    let Committed { stamp, subject, hard_deadline } = Committed::of(values)?;
                    let subject = changes.subject.clone().unwrap_or(subject);
                    if let (Some(subject), Some(hard_deadline)) = (subject, hard_deadline) {
                        let is_entered = is_kept(&changes, hard_deadline, now)
                            && (changes.subject.is_none() || id == presented);
                        if !is_entered {
                            self.keep_bound(&subject, id, hard_deadline, now).await?;
                        }
                    }
                    return Ok(Commit::Committed(stamp));
                }
                answer => return answer.refusal(&changes),
            }
        }
    }

    async fn end_now(&self, presented: IdHash, now: Time) -> Result<End, StoreError> {
        let mut trail = Trail::new(presented);
        loop {
            let id = trail.id();
            let call = Call::new(&script::END, vec![self.keys.session(id)]).number(millis(now));
            let asked = self.client.ask_repeatable(Request::Repeatable(&call)).await;
            let replies = asked.map_err(|error| match error {
                StoreError::Full => unavailable("the server is full, and takes not even an end"),
                error => error,
            })?;
            match Answer::of(replies.values)? {
                Answer::Stub(stub) => {
                    if !trail.follow(stub, now) {
                        return Ok(End::Gone);
                    }
                }
                Answer::Done(values) => {
                    let subject = values.into_iter().next().and_then(|value| match value {
                        Value::BulkString(bytes) => subject_of(&bytes).ok()?.value,
                        _ => None,
                    });
                    if let Some(subject) = subject {
                        self.unbind_later(subject, id, now);
                    }
                    return Ok(End::Ended);
                }
                // Most likely by this very call, the first time that it was sent.
                Answer::Ended if replies.is_second => return Ok(End::Ended),
                _ => return Ok(End::Gone),
            }
        }
    }

    async fn rename_now(
        &self,
        presented: IdHash,
        rename: Rename,
        now: Time,
    ) -> Result<Commit, StoreError> {
        let Rename { to, changes, old, until, .. } = rename;
        changes.check()?;
        let token = self.bind_if_new(to, &changes, now).await?;
        let mut trail = Trail::new(presented);
        loop {
            let id = trail.id();
            // A full server lets users sign out.
            let less = if old == OldId::Ends { &script::RENAME_LESS } else { &script::RENAME };
            let script = script_of(&changes, &script::RENAME_RELATIVE, &script::RENAME, less);
            let keys = vec![self.keys.session(id), self.keys.session(to), self.keys.frozen(id)];
            let was_renewed = !trail.is_at_start() && old == OldId::Follows;
            let call = changing(Call::new(script, keys), &changes, token, now)
                .arg(match old {
                    OldId::Follows => b"follows",
                    OldId::Freezes => b"freezes",
                    _ => b"ends",
                })
                .number(millis(until))
                .arg(to.to_string().as_bytes())
                .arg(if was_renewed { b"1" } else { b"" });
            let call = with_fields(call, &changes);
            match Answer::of(self.client.ask(Request::Once(&call)).await?)? {
                Answer::Stub(stub) => {
                    if !trail.follow(stub, now) || trail.standing() == Standing::Frozen {
                        return Ok(Commit::Gone);
                    }
                }
                Answer::Done(values) => {
                    let Committed { stamp, subject, hard_deadline } = Committed::of(values)?;
                    let hard_deadline = hard_deadline.ok_or_else(unexpected)?;
                    if let Some(Some(subject)) = &changes.subject {
                        if !is_kept(&changes, hard_deadline, now) {
                            self.keep_bound(subject, to, hard_deadline, now).await?;
                        }
                    } else if let Some(subject) = subject.filter(|_| changes.subject.is_none()) {
                        let keep = keep_ms(hard_deadline, now);
                        // If this fails, the stub still leads from the old id, which the index has.
                        let _ = self.rebind_index(&subject, (id, to), keep, now).await;
                    }
                    return Ok(Commit::Committed(stamp));
                }
                answer => return answer.refusal(&changes),
            }
        }
    }
}

impl Store for RedisStore {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        Box::pin(self.create_now(id, changes, now))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(self.load_now(id, now))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        if changes.hard_deadline.is_none() {
            return Box::pin(self.commit_now(id, changes, now));
        }
        let store = self.clone();
        Box::pin(to_the_end(async move { store.commit_now(id, changes, now).await }))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        Box::pin(self.end_now(id, now))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        if rename.changes.hard_deadline.is_none() {
            return Box::pin(self.rename_now(id, rename, now));
        }
        let store = self.clone();
        Box::pin(to_the_end(async move { store.rename_now(id, rename, now).await }))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        Box::pin(self.list_now(subject, now))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        let (store, subject) = (self.clone(), subject.clone());
        Box::pin(to_the_end(async move { store.end_all_now(&subject, except, now).await }))
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        Box::pin(self.scan_now(cursor, now))
    }
}

/// Goes on if nobody waits: a subject with half of its sessions ended helps nobody, nor does a session
/// that outlives the index it is in.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|error| Err(StoreError::Unavailable(Box::new(error))))
}

/// What is under a key.
pub(crate) fn hash(key: &Key) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    command.arg("HGETALL").arg(&key.name[..]);
    command
}
