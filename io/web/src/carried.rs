//! Sessions that change between a store and sealed cookies while users are signed in.
//!
//! From a sealed cookie into a store: the session is made there under the id that is in the cookie,
//! by whoever comes first with it. All later copies of the cookie find that id: renewed, ended,
//! whatever has become of it. So nothing comes back.
//!
//! From a store into a sealed cookie: the response carries the session whole, under an id that
//! follows from the one it had, and with a note of that. What is in the store stays until the browser
//! shows that it has the cookie; then it is left for the requests that are still on their way, and
//! expires with them.

use std::sync::Arc;

use abide_session::{
    Changes, Commit, Field, FieldName, ID_TEXT_BYTES, Id, IdHash, Loaded, Opened, Presented,
    Record, Sealed, Stamp, Stamped, Standing, Store, StoreError, Subject,
};
use abide_time::Time;
use bytes::Bytes;

use crate::answer::CookieChange;
use crate::counters::Count;
use crate::layer::Settings;
use crate::moving::as_birth;
use crate::sealed::Sealing;
use crate::{Error, Session};

/// Where sessions may still be that are from before a change of approach.
#[derive(Clone, Debug)]
pub(crate) enum CarryOver {
    /// There was no change.
    Nothing,
    /// In sealed cookies; now they are in a store.
    Sealed(Box<Sealing>),
    /// In this store; now they are in sealed cookies.
    Stored(Arc<dyn Store>),
}

impl Session {
    /// Finds the session of a sealed cookie in the store, or makes it there. No id that was presented
    /// is known.
    pub(crate) async fn take_over_sealed(
        &self,
        store: &dyn Store,
        sealing: &Sealing,
        now: Time,
    ) -> Result<(), Error> {
        let settings = &self.0.settings;
        let fields: Vec<&[u8]> = self.0.presented.fields().collect();
        let (opened, parts) = sealing.seal.open(&fields, now);
        self.state().parts = parts;
        let (found, count) = match opened {
            Opened::Open { sealed, .. } if !settings.is_revoked(sealing, &sealed, now).await? => {
                return self.take_over(store, *sealed, now).await;
            }
            Opened::Open { .. } => (Presented::Ended, None),
            Opened::Expired => (Presented::Expired, Some(Count::Expired)),
            Opened::Refused if !fields.is_empty() && self.0.presented.ids().next().is_none() => {
                (Presented::Unknown, Some(Count::Malformed))
            }
            Opened::Refused | Opened::Absent => (Presented::Unknown, Some(Count::Unknown)),
        };
        if let Some(count) = count {
            settings.count(count);
        }
        self.state().loaded = found;
        Ok(())
    }

    async fn take_over(&self, store: &dyn Store, sealed: Sealed, now: Time) -> Result<(), Error> {
        let settings = &self.0.settings;
        let hash = sealed.id.hash();
        let mut loaded = settings.in_time(store.load(hash, now)).await?;
        if matches!(loaded, Loaded::Unknown) {
            // Taken: another request has just done it.
            settings.in_time(store.create(hash, as_birth(&sealed.record), now)).await?;
            loaded = settings.in_time(store.load(hash, now)).await?;
        }
        let mut state = self.state();
        match loaded {
            Loaded::Live { record, standing } => {
                if standing == Standing::Current {
                    state.cookie = CookieChange::Id(sealed.id, record.hard_deadline);
                }
                state.loaded = Presented::Live { record, standing };
                state.id = Some(sealed.id);
            }
            Loaded::Ended => state.loaded = Presented::Ended,
            _ => state.loaded = Presented::Expired,
        }
        Ok(())
    }

    /// What removes those cookies of a sealed session that an id does not replace.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let CarryOver::Sealed(sealing) = &self.0.settings.carry_over else { return Vec::new() };
        let parts = self.state().parts;
        if parts.is_empty() {
            return Vec::new();
        }
        sealing.seal.removals(parts).into_iter().skip(1).collect()
    }

    /// Finds a session in the store by the id that was presented, and seals it.
    pub(crate) async fn take_over_stored(&self, sealing: &Sealing, now: Time) -> Result<(), Error> {
        let settings = &self.0.settings;
        let CarryOver::Stored(store) = &settings.carry_over else { return Ok(()) };
        let mut found = Presented::Unknown;
        for id in self.0.presented.ids() {
            match settings.in_time(store.load(id.hash(), now)).await? {
                Loaded::Live { standing: Standing::Frozen, .. } => {
                    // Somebody signed in, and the response that says so is on its way. Whatever this
                    // request wrote would be sealed over that.
                    self.state().gone = true;
                    found = Presented::Ended;
                    break;
                }
                Loaded::Live { record, .. } => {
                    return Box::pin(self.seal_stored(sealing, id, &record, now)).await;
                }
                Loaded::Ended => found = Presented::Ended,
                Loaded::Expired if matches!(found, Presented::Unknown) => {
                    found = Presented::Expired;
                }
                _ => {}
            }
        }
        match found {
            Presented::Expired => settings.count(Count::Expired),
            Presented::Unknown => settings.count(Count::Unknown),
            _ => {}
        }
        self.state().loaded = found;
        Ok(())
    }

    async fn seal_stored(
        &self,
        sealing: &Sealing,
        id: Id,
        record: &Record,
        now: Time,
    ) -> Result<(), Error> {
        let settings = &self.0.settings;
        let before = id.hash();
        let mut record = record.clone();
        let stamp = record.latest();
        record.fields.insert(FieldName::new(NOTE)?, note_of(before, stamp));
        let mut sealed = Sealed::new(sealed_id(id)?, record);
        let subject = sealed.record.subject.value.clone();
        sealed.epoch = settings.epoch_of(sealing, subject.as_ref(), now).await?;
        if settings.is_revoked(sealing, &sealed, now).await? {
            self.state().loaded = Presented::Ended;
            return Ok(());
        }
        let cookie = self.cookie_of(sealing, &sealed, now);
        let mut state = self.state();
        match cookie {
            Ok(cookie) if !state.closed => state.cookie = cookie,
            Ok(_) => {}
            // It can be read, and stays where it is.
            Err(Error::Store(StoreError::TooLarge(_))) => {
                tracing::warn!(target: "abide::session", "a session is too large for sealed cookies");
            }
            Err(error) => return Err(error),
        }
        state.id = Some(sealed.id);
        state.epoch = sealed.epoch;
        state.carried_from = Some(before);
        let record = Arc::new(sealed.record);
        state.loaded = Presented::Live { record, standing: Standing::Current };
        Ok(())
    }

    /// Notes where a sealed session was before, and lets go of it there: the browser has its cookie.
    /// True if that is done, and the cookie need not say so any more.
    pub(crate) async fn has_arrived(&self, sealed: &mut Sealed, now: Time) -> bool {
        let settings = &self.0.settings;
        let CarryOver::Stored(store) = &settings.carry_over else { return false };
        let Some(before) = note_in(&sealed.record) else { return false };
        self.state().carried_from = Some(before);
        // Not at once: other requests of the same page are on their way with the old id.
        let mut changes = Changes::default();
        changes.seen = Some(now);
        changes.idle_timeout = Some(settings.policy.renewal_grace);
        let outcome = settings.in_time(store.commit(before, changes, now)).await;
        let is_done = matches!(outcome, Ok(Commit::Committed(_) | Commit::Gone));
        if is_done {
            sealed.record.fields.remove(NOTE);
        }
        is_done
    }

    /// Ends the session where it was before it was sealed.
    pub(crate) async fn end_where_it_was(&self, now: Time) -> Result<(), Error> {
        let settings = &self.0.settings;
        let CarryOver::Stored(store) = &settings.carry_over else { return Ok(()) };
        let before = self.state().carried_from;
        let presented = self.0.presented.ids().map(|id| id.hash());
        for id in before.into_iter().chain(presented.filter(|id| Some(*id) != before)) {
            settings.in_time(store.end(id, now)).await?;
        }
        Ok(())
    }
}

impl Settings {
    /// Ends all sessions of a subject that have not been sealed yet.
    pub(crate) async fn end_all_left(&self, subject: &Subject, now: Time) -> Result<(), Error> {
        let CarryOver::Stored(store) = &self.carry_over else { return Ok(()) };
        self.in_time(store.end_all(subject, None, now)).await
    }
}

/// The field of a sealed session that says where it was before.
const NOTE: &str = "abide carried over";
/// The first byte of a MessagePack text of 30 bytes.
const TEXT_OF_30_BYTES: u8 = 0xbe;

fn note_of(before: IdHash, stamp: Stamp) -> Field {
    let mut value = Vec::with_capacity(1 + ID_TEXT_BYTES);
    value.push(TEXT_OF_30_BYTES);
    value.extend_from_slice(before.to_string().as_bytes());
    Stamped::new(stamp, Some(Bytes::from(value)))
}

fn note_in(record: &Record) -> Option<IdHash> {
    let (head, text) = record.get(NOTE)?.split_first()?;
    (*head == TEXT_OF_30_BYTES).then(|| IdHash::parse(text)).flatten()
}

/// The id of a session after it was sealed. The same for all requests that seal it, so that one mark
/// ends what came of all of them; and another than before, under which there may be a mark that the
/// session has left.
fn sealed_id(before: Id) -> Result<Id, Error> {
    let hash = IdHash::of_secret("abide sealed from a store", before.text().as_str().as_bytes());
    // The text of a hash has the form of an id's.
    Id::parse(hash.to_string().as_bytes()).ok_or(Error::Unsupported("the id has no other form"))
}
