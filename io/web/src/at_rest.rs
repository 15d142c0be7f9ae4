//! Values that only the servers of the application can read, in whatever store.
//!
//! [`AtRest`] goes around a store and seals the value of each field before it gets there. A sealed
//! value is
//!
//! ```text
//! key id   1 byte    which key of the ring sealed it
//! nonce   12 bytes   drawn for this value
//! tag     16 bytes   authenticates it, and what it is bound to
//! text               as long as the value, encrypted with AES-256-GCM-SIV (RFC 8452)
//! ```
//!
//! and bound to its purpose, to the slot of its session and to the name of its field. Not to the
//! id, which changes when a session is renewed while its fields stay where they are; the slot never
//! does.
//!
//! The store below can not add up what it can not read. So a relative change is made here: load,
//! add, and commit with the expectation that the field is still what it was; again, if it is not.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use abide_keys::{Key, KeyRing};
use abide_session::{
    Changes, Commit, Create, End, Expected, FieldChange, FieldName, IdHash, Limit, Listed, Loaded,
    MAX_VALUE_BYTES, Record, Rename, Scanned, Slot, Stamp, Standing, Store, StoreError,
    StoreFuture, Subject, Write,
};
use abide_time::Time;
use bytes::Bytes;

/// A store that seals values before they reach the store below, and opens them on their way back.
///
/// ```
/// use abide::{AtRest, KeyRing, MemoryStore, SealingKey, SessionLayer};
///
/// # let secret = [7; SealingKey::BYTES];
/// let keys = KeyRing::new(vec![SealingKey::new(secret)])?; // `abide keygen` prints one
/// let sessions = SessionLayer::new(AtRest::new(MemoryStore::new(), keys));
/// # Ok::<(), abide::KeyError>(())
/// ```
///
/// **What it prevents.** Who reads the store, its files, a backup or the connection to it learns no
/// value. Who can write the store can not make a value up, change one, or put it under another
/// field's name.
///
/// **What it does not.** Readable stay: names of fields, how long values are, when sessions were
/// made and used and when they end, and whom they belong to (listing by user needs that). Who can
/// write the store can end sessions, bind them to another user, put a value back that the field had
/// before, and move a value to the same field of another session in the same one of the 4096 slots.
/// Where the store itself is not to be trusted with *whose* a session is, keep that in a field too
/// and compare.
///
/// **Keys.** The first of the ring seals, all of them open; [`KeyRing`] says how they are rotated. A
/// value that no key opens is [`StoreError::Corrupt`] for its session, never "no session". Values
/// that were kept without a seal do not open either: to begin with sealing while users are signed
/// in, move to another place in the store with [`Moving`](crate::Moving).
///
/// **What it costs.** [`AtRest::SEAL_BYTES`] for each value, about a microsecond for a small one, and for counters and sets a load before each
/// commit. A value can be so many bytes shorter than without.
#[derive(Clone)]
pub struct AtRest {
    store: Arc<dyn Store>,
    ring: Arc<KeyRing>,
}

impl AtRest {
    /// Bytes that the seal adds to each value.
    pub const SEAL_BYTES: usize = 1 + Key::NONCE_BYTES + Key::TAG_BYTES;

    /// Seals what `store` keeps with these keys.
    pub fn new(store: impl Store, ring: KeyRing) -> Self {
        Self { store: Arc::new(store), ring: Arc::new(ring) }
    }

    fn seal(&self, slot: Slot, name: &FieldName, value: &[u8]) -> Result<Bytes, StoreError> {
        let mut nonce = [0; Key::NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|cause| StoreError::Unavailable(Box::new(cause)))?;
        let key = self.ring.first();
        let mut sealed = Vec::with_capacity(Self::SEAL_BYTES + value.len());
        sealed.push(key.id());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&[0; Key::TAG_BYTES]);
        sealed.extend_from_slice(value);
        let (head, text) = sealed.split_at_mut(Self::SEAL_BYTES);
        let tag = key.seal(&nonce, &bound_to(slot, name), text);
        head[1 + Key::NONCE_BYTES..].copy_from_slice(&tag);
        Ok(sealed.into())
    }

    /// The value; none if no key opens it.
    fn open(&self, slot: Slot, name: &FieldName, sealed: &[u8]) -> Option<Bytes> {
        let (id, rest) = sealed.split_first()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (tag, text) = rest.split_first_chunk()?;
        let bound_to = bound_to(slot, name);
        let mut text = text.to_vec();
        let opened =
            self.ring.with_id(*id).any(|(_, key)| key.open(nonce, &bound_to, &mut text, tag));
        opened.then(|| text.into())
    }

    /// Seals the values that the changes put. The relative ones must have been made absolute.
    fn sealed(&self, id: IdHash, changes: &mut Changes) -> Result<(), StoreError> {
        for (name, change) in &mut changes.fields {
            if let Write::Put(value) = &change.write {
                if value.len() > MAX_VALUE_BYTES - Self::SEAL_BYTES {
                    return Err(StoreError::TooLarge(Limit::Value));
                }
                change.write = Write::Put(self.seal(id.slot(), name, value)?);
            }
        }
        Ok(())
    }

    fn opened(&self, id: IdHash, record: Arc<Record>) -> Result<Arc<Record>, StoreError> {
        let mut record = Arc::unwrap_or_clone(record);
        for (name, field) in &mut record.fields {
            if let Some(sealed) = &field.value {
                let opened = self.open(id.slot(), name, sealed);
                field.value = Some(opened.ok_or_else(|| does_not_open(name))?);
            }
        }
        Ok(Arc::new(record))
    }

    /// As much of the record as opens: a list does not fail for one field of one session.
    fn opened_in_part(&self, listed: Listed) -> Listed {
        let mut record = Arc::unwrap_or_clone(listed.record);
        record.fields.retain(|name, field| match &field.value {
            Some(sealed) => {
                field.value = self.open(listed.id.slot(), name, sealed);
                field.value.is_some()
            }
            None => true,
        });
        Listed::new(listed.id, Arc::new(record))
    }

    async fn loaded(&self, id: IdHash, now: Time) -> Result<Loaded, StoreError> {
        Ok(match self.store.load(id, now).await? {
            Loaded::Live { record, standing } => {
                Loaded::Live { record: self.opened(id, record)?, standing }
            }
            other => other,
        })
    }

    /// Makes changes that are sealed, and absolute, by `make`; the relative ones on what is there,
    /// until nobody has changed that meanwhile.
    async fn change<'a>(
        &'a self,
        id: IdHash,
        changes: Changes,
        now: Time,
        make: impl Fn(Changes) -> StoreFuture<'a, Commit>,
    ) -> Result<Commit, StoreError> {
        changes.check()?;
        if !changes.is_relative() {
            let mut changes = changes;
            self.sealed(id, &mut changes)?;
            return make(changes).await;
        }
        for tries in 1..=RELATIVE_TRIES_MAX {
            let Loaded::Live { record, standing } = self.loaded(id, now).await? else {
                return Ok(Commit::Gone);
            };
            if standing == Standing::Frozen {
                return Ok(Commit::Gone);
            }
            let conflicts = changes.conflicts(&record);
            if !conflicts.is_empty() {
                return Ok(Commit::Conflict(conflicts));
            }
            let (mut absolute, ours) = made_absolute(&changes, &record)?;
            self.sealed(id, &mut absolute)?;
            match make(absolute).await? {
                Commit::Conflict(fields) => {
                    let only_ours = !fields.is_empty() && fields.iter().all(|f| ours.contains(f));
                    if !only_ours {
                        let theirs = fields.into_iter().filter(|field| !ours.contains(field));
                        return Ok(Commit::Conflict(theirs.collect()));
                    }
                }
                outcome => return Ok(outcome),
            }
            pause(tries).await;
        }
        Err(StoreError::Unavailable("the field was changed by others again and again".into()))
    }
}

impl fmt::Debug for AtRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtRest").field(&self.store).finish()
    }
}

impl Store for AtRest {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        Box::pin(async move {
            changes.check()?;
            let (mut absolute, _) = made_absolute(&changes, &Record::default())?;
            self.sealed(id, &mut absolute)?;
            self.store.create(id, absolute, now).await
        })
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        Box::pin(self.loaded(id, now))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        Box::pin(self.change(id, changes, now, move |changes| self.store.commit(id, changes, now)))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.store.end(id, now)
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        let Rename { to, changes, old, until, .. } = rename;
        let make = move |changes| self.store.rename(id, Rename::new(to, changes, old, until), now);
        Box::pin(self.change(id, changes, now, make))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        Box::pin(async move {
            let listed = self.store.list(subject, now).await?;
            Ok(listed.into_iter().map(|listed| self.opened_in_part(listed)).collect())
        })
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.store.end_all(subject, except, now)
    }

    fn scan(&self, cursor: Option<Bytes>, now: Time) -> StoreFuture<'_, Option<Scanned>> {
        self.store.scan(cursor, now)
    }

    fn home(&self, random: u16) -> Option<Slot> {
        self.store.home(random)
    }
}

/// How often a counter or a set is changed anew because another request changed it first. Each try
/// fails only because another one succeeded, so it takes this many others at once on one field of
/// one visitor; a browser has six connections to a host.
const RELATIVE_TRIES_MAX: u32 = 256;

/// The longest pause between two tries: long enough for a commit to come back from a store next
/// door.
const LONGEST_PAUSE: Duration = Duration::from_millis(8);

/// What a value is sealed for, besides its slot and its field.
const PURPOSE: &[u8] = b"abide value at rest 1";

fn bound_to(slot: Slot, name: &FieldName) -> Vec<u8> {
    // The name comes last, so no two of these are the same text.
    [PURPOSE, &slot.number().to_be_bytes(), name.as_str().as_bytes()].concat()
}

fn does_not_open(name: &FieldName) -> StoreError {
    let name = name.as_str();
    StoreError::Corrupt(format!("no key of the ring opens the field {name:?}").into())
}

/// The changes with the outcome of each relative one on `record` in its place, to be made only if
/// the field is still what it was; and the fields for which that was added.
fn made_absolute(
    changes: &Changes,
    record: &Record,
) -> Result<(Changes, BTreeSet<FieldName>), StoreError> {
    let mut absolute = changes.clone();
    let mut ours = BTreeSet::new();
    if !changes.is_relative() {
        return Ok((absolute, ours));
    }
    // Only the values of this delta are used, so its stamp does not matter.
    let delta = changes.at(Stamp::MAX, record)?;
    for (name, change) in &mut absolute.fields {
        if !change.write.is_relative() {
            continue;
        }
        let value = delta.fields.get(name).and_then(|field| field.value.clone());
        *change = match change.expected {
            // After a clear there is nothing it could depend on.
            Expected::Anything if !changes.clear => {
                ours.insert(name.clone());
                FieldChange::based_on(Expected::of(record, name.as_str()), value)
            }
            expected => FieldChange::based_on(expected, value),
        };
    }
    Ok((absolute, ours))
}

/// Lets the others go on, for a while that grows and that no two choose alike.
async fn pause(tries: u32) {
    let mut drawn = [0; 4];
    // Without it the pauses are alike, and the tries still bounded.
    let _ = getrandom::fill(&mut drawn);
    let longest = LONGEST_PAUSE.min(Duration::from_micros(200).saturating_mul(tries));
    tokio::time::sleep(longest.mul_f64(f64::from(u32::from_le_bytes(drawn)) / f64::from(u32::MAX)))
        .await;
}

#[cfg(test)]
mod tests;
