//! Sealed sessions: the browser holds all of it, and a store, if there is one, only what was
//! revoked.
//!
//! A revocation is found by what the cookie says of itself. Of a session that was ended the store
//! holds a mark under the hash of its id, until every cookie with that id has expired. Of a user whose
//! sessions were all ended it holds an *epoch*, a random number; a cookie bears the epoch of its
//! sign-in, and has ended if there is another one now. So no clocks are compared, and ending all
//! sessions is one write however many there are.
//!
//! Both are plain records, so any [`Store`] will do.

use std::sync::Arc;
use std::time::Duration;

use abide_cookie::{Attributes, CookieError, CookieName};
use abide_keys::KeyRing;
use abide_session::{
    Action, Changes, Clock, Commit, Create, FieldChange, FieldName, Id, IdHash, Loaded, OldId,
    Opened, Plan, Presented, Record, Seal, Sealed, Standing, Store, Subject,
};
use abide_time::Time;

use crate::answer::CookieChange;
use crate::counters::Count;
use crate::layer::Settings;
use crate::settle::{Step, new_id, random};
use crate::{Error, EventKind, Session};

/// How sessions are kept in sealed cookies.
///
/// ```
/// use abide::{KeyRing, MemoryStore, SealedCookie, SealingKey, SessionLayer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let text = SealingKey::new([7; SealingKey::BYTES]).expose();
/// // Printed by `abide keygen`. All servers have the same.
/// let keys = KeyRing::new(vec![SealingKey::parse(&text)?])?;
/// // For a trial: a store in memory forgets at a restart what was ended.
/// let sealed = SealedCookie::new(keys).revocations(MemoryStore::new());
/// let layer = SessionLayer::sealed(sealed);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SealedCookie {
    ring: KeyRing,
    compresses: bool,
    revocations: Option<Arc<dyn Store>>,
}

impl SealedCookie {
    /// Sealed with the first of these keys, opened with any of them. All servers of an application
    /// need the same.
    pub const fn new(ring: KeyRing) -> Self {
        Self { ring, compresses: true, revocations: None }
    }

    /// Keeps in this store which sessions have ended before their time, so that ending a session
    /// holds for every copy of its cookie, and [`Session::end_others`] and
    /// [`Sessions::end_all`](crate::Sessions::end_all) work.
    ///
    /// A request that uses its session then asks the store once, and once more if it belongs to
    /// somebody, both at the same time. If the store does not answer, it can not be known whether
    /// the session has ended, so reading it fails as it does for sessions in a store.
    ///
    /// How long the store has to know of an end is how long any cookie of the session can be good.
    /// So no session lives longer than the layer's
    /// [absolute time-out](crate::SessionLayer::absolute_timeout) then, whatever
    /// [`Session::set_lifetime`] says: set that to the longest, and give the others less.
    ///
    /// The store must outlive a restart and be the same for all servers: with a
    /// [`MemoryStore`](crate::MemoryStore) what was ended is good again when the process starts
    /// anew with the same keys.
    ///
    /// It knows of sessions that have ended, not of states that have passed: an older cookie of a
    /// session that lives brings back what the session was then.
    pub fn revocations(mut self, store: impl Store) -> Self {
        self.revocations = Some(Arc::new(store));
        self
    }

    /// Does not compress. Values are compressed one by one, never together, so that a visitor's
    /// text can not be used to guess at a secret in another field by the length of the cookie. This
    /// is for an application that keeps both in one field.
    pub const fn without_compression(mut self) -> Self {
        self.compresses = false;
        self
    }
}

impl From<KeyRing> for SealedCookie {
    fn from(ring: KeyRing) -> Self {
        Self::new(ring)
    }
}

/// What a layer needs to seal sessions.
#[derive(Clone, Debug)]
pub(crate) struct Sealing {
    pub(crate) how: SealedCookie,
    pub(crate) seal: Seal,
}

impl Sealing {
    pub(crate) fn new(
        how: SealedCookie,
        name: CookieName,
        attributes: &Attributes,
    ) -> Result<Self, CookieError> {
        let seal = Seal::new(how.ring.clone(), name, attributes)?;
        let seal = if how.compresses { seal } else { seal.without_compression() };
        Ok(Self { how, seal })
    }

    pub(crate) fn revocations(&self) -> Option<&dyn Store> {
        self.how.revocations.as_deref()
    }
}

impl Session {
    /// Opens what the request came with. After the response that was sent may be out of date, but
    /// then there is only one question left: whether the session has ended.
    pub(crate) async fn look_up_sealed(&self, sealing: &Sealing) -> Result<(), Error> {
        let settings = &self.0.settings;
        let now = self.now();
        if let Some((id, record, _)) = self.live() {
            // What this request knows is newer than what it came with.
            let mut sealed = Sealed::new(id, Record::clone(&record));
            sealed.epoch = self.state().epoch;
            if record.is_expired(now) || settings.is_revoked(sealing, &sealed, now).await? {
                self.state().loaded = Presented::Ended;
            }
            return Ok(());
        }
        let fields: Vec<&[u8]> = self.0.presented.fields().collect();
        let (opened, parts) = sealing.seal.open(&fields, now);
        self.state().parts = parts;
        let found = match opened {
            Opened::Absent | Opened::Refused | Opened::Expired
                if self.0.presented.ids().next().is_some() =>
            {
                return self.take_over_stored(sealing, now).await;
            }
            Opened::Open { mut sealed, with_old_key } => {
                let was_carried = self.has_arrived(&mut sealed, now).await;
                let is_revoked = settings.is_revoked(sealing, &sealed, now).await?;
                let Sealed { id, record, epoch, .. } = *sealed;
                let mut state = self.state();
                state.id = Some(id);
                state.epoch = epoch;
                if (with_old_key || was_carried) && !state.closed {
                    // Sealed anew with the first key, or without a note, as if a touch was due.
                    state.recording().touch();
                }
                if is_revoked {
                    Presented::Ended
                } else {
                    let record = Arc::new(record);
                    Presented::Live { record, standing: Standing::Current }
                }
            }
            Opened::Expired => {
                settings.count(Count::Expired);
                settings.tell(EventKind::Expired, None, None);
                Presented::Expired
            }
            Opened::Refused => {
                settings.count(Count::Malformed);
                Presented::Unknown
            }
            Opened::Absent => Presented::Nothing,
        };
        self.state().loaded = found;
        Ok(())
    }

    pub(crate) async fn carry_out_sealed(
        &self,
        sealing: &Sealing,
        plan: Plan,
        now: Time,
    ) -> Result<Step, Error> {
        match plan.action {
            Action::Create(changes) => self.create_sealed(sealing, changes, now).await,
            Action::Commit(changes) => self.change_sealed(sealing, changes, None, now).await,
            Action::Rename(changes, old) => {
                self.change_sealed(sealing, changes, Some(old), now).await
            }
            Action::End => self.end_sealed(sealing, now).await,
            // Nothing and Load are done by the caller.
            _ => Ok(Step::Done),
        }
    }

    async fn create_sealed(
        &self,
        sealing: &Sealing,
        changes: Changes,
        now: Time,
    ) -> Result<Step, Error> {
        if self.state().closed {
            return Err(Error::TooLate);
        }
        let settings = &self.0.settings;
        let record = settings
            .bounded(sealing, changes, now)
            .at(Clock::new(0).tick(now), &Record::default())?;
        let mut sealed = Sealed::new(new_id()?, record);
        let subject = sealed.record.subject.value.as_ref();
        sealed.epoch = settings.epoch_of(sealing, subject, now).await?;
        let cookie = self.cookie_of(sealing, &sealed, now)?;
        settings.count(Count::Created);
        settings.tell(EventKind::Created, Some(sealed.id), sealed.record.subject.value.as_ref());
        self.keep_sealed(sealed, cookie);
        Ok(Step::Done)
    }

    /// Commits changes, and renews the session if `old` says what becomes of the old cookie.
    ///
    /// A sealed session keeps its id when it is renewed or signed in: every sealing looks different,
    /// and a cookie that was copied before a sign-in is not signed in by it. Only where the old
    /// cookie must not be good any more there is a new id, and a mark for the old.
    async fn change_sealed(
        &self,
        sealing: &Sealing,
        changes: Changes,
        old: Option<OldId>,
        now: Time,
    ) -> Result<Step, Error> {
        let settings = &self.0.settings;
        let Some((id, record, _)) = self.live() else { return Err(self.gone()) };
        if self.state().closed {
            return if changes.is_only_touch() { Ok(Step::Done) } else { Err(Error::TooLate) };
        }
        let mut sealed = Sealed::new(id, Record::clone(&record));
        sealed.epoch = self.state().epoch;
        if settings.is_revoked(sealing, &sealed, now).await? {
            return Err(self.gone());
        }
        let changes = settings.bounded(sealing, changes, now);
        let mut clock = Clock::new(0);
        clock.observe(record.latest(), now);
        sealed.record.merge(changes.at(clock.tick(now), &record)?);
        if let Some(subject) = &changes.subject {
            sealed.epoch = settings.epoch_of(sealing, subject.as_ref(), now).await?;
        }
        let ends = old == Some(OldId::Ends);
        if ends {
            sealed.id = new_id()?;
        }
        // Sealed before the old one is given up: it may be too large.
        let cookie = self.cookie_of(sealing, &sealed, now)?;
        if ends {
            settings.revoke(sealing, id, &record, now).await?;
        }
        if old.is_some() {
            settings.count(Count::Renewed);
            let subject = sealed.record.subject.value.as_ref();
            settings.tell(EventKind::Renewed, Some(sealed.id), subject);
        } else {
            settings.count(Count::Committed);
        }
        self.keep_sealed(sealed, cookie);
        Ok(Step::Done)
    }

    pub(crate) async fn end_sealed(&self, sealing: &Sealing, now: Time) -> Result<Step, Error> {
        let settings = &self.0.settings;
        if matches!(self.state().loaded, Presented::Unloaded) {
            self.look_up_sealed(sealing).await?;
        }
        self.end_where_it_was(now).await?;
        if let Some((id, record, _)) = self.live() {
            settings.revoke(sealing, id, &record, now).await?;
            settings.count(Count::Ended);
            settings.tell(EventKind::Ended, Some(id), record.subject.value.as_ref());
        }
        let mut state = self.state();
        state.ended = true;
        let removal = self.removal(&state);
        state.done(Presented::Ended, None, removal);
        Ok(Step::Done)
    }

    /// Ends all sealed sessions of a subject but this one, which is sealed anew.
    pub(crate) async fn end_other_sealed(
        &self,
        sealing: &Sealing,
        subject: &Subject,
    ) -> Result<(), Error> {
        if self.state().closed {
            return Err(Error::TooLate);
        }
        let settings = &self.0.settings;
        let now = self.now();
        let Some((id, record, _)) = self.live() else { return Ok(()) };
        // Sealed before the others are given up: without this cookie, all would be signed out.
        let epoch = u64::from_le_bytes(random()?);
        let mut sealed = Sealed::new(id, Record::clone(&record));
        sealed.epoch = Some(epoch);
        let cookie = self.cookie_of(sealing, &sealed, now)?;
        settings.revoke_all(sealing, subject, epoch, now).await?;
        settings.end_all_left(subject, now).await?;
        self.keep_sealed(sealed, cookie);
        Ok(())
    }

    pub(crate) fn cookie_of(
        &self,
        sealing: &Sealing,
        sealed: &Sealed,
        now: Time,
    ) -> Result<CookieChange, Error> {
        let presented = self.state().parts;
        Ok(CookieChange::Texts(sealing.seal.seal(sealed, presented, random()?, now)?))
    }

    fn keep_sealed(&self, sealed: Sealed, cookie: CookieChange) {
        let record = Arc::new(sealed.record);
        let mut state = self.state();
        state.epoch = sealed.epoch;
        let loaded = Presented::Live { record, standing: Standing::Current };
        state.done(loaded, Some(sealed.id), cookie);
    }
}

impl Settings {
    /// Whether this session was ended, alone or with all of its subject.
    pub(crate) async fn is_revoked(
        &self,
        sealing: &Sealing,
        sealed: &Sealed,
        now: Time,
    ) -> Result<bool, Error> {
        let Some(store) = sealing.revocations() else { return Ok(false) };
        let mark = self.in_time(store.load(sealed.id.hash(), now));
        let subject = sealed.record.subject.value.as_ref();
        let (mark, current) = tokio::join!(mark, self.epoch_of(sealing, subject, now));
        let has_ended = !matches!(mark?, Loaded::Unknown | Loaded::Expired);
        Ok(has_ended || current?.is_some_and(|current| sealed.epoch != Some(current)))
    }

    /// The epoch of a subject; none if its sessions were never all ended.
    pub(crate) async fn epoch_of(
        &self,
        sealing: &Sealing,
        subject: Option<&Subject>,
        now: Time,
    ) -> Result<Option<u64>, Error> {
        let (Some(store), Some(subject)) = (sealing.revocations(), subject) else {
            return Ok(None);
        };
        let Loaded::Live { record, .. } = self.in_time(store.load(epoch_id(subject), now)).await?
        else {
            return Ok(None);
        };
        let bytes = record.get(EPOCH).and_then(|bytes| <[u8; 8]>::try_from(&**bytes).ok());
        // One that can not be read is nobody's, which ends them all.
        Ok(Some(bytes.map_or(0, u64::from_le_bytes)))
    }

    /// Takes care that no cookie lives longer than what revokes it is known.
    fn bounded(&self, sealing: &Sealing, mut changes: Changes, now: Time) -> Changes {
        let longest = match sealing.revocations() {
            Some(_) => self.policy.absolute_timeout.min(EPOCH_KEPT),
            None => EPOCH_KEPT,
        };
        changes.hard_deadline = changes.hard_deadline.map(|until| until.min(now.after(longest)));
        changes
    }

    /// Marks one session as ended, until its cookies have expired: this one, and any that another
    /// request may be sealing just now. Without a store that is left to the browser, which forgets
    /// them.
    async fn revoke(
        &self,
        sealing: &Sealing,
        id: Id,
        record: &Record,
        now: Time,
    ) -> Result<(), Error> {
        let Some(store) = sealing.revocations() else { return Ok(()) };
        let others = now.after(self.policy.absolute_timeout).after(SKEW);
        let mark = kept_until(record.hard_deadline.max(others), now);
        // Taken: it was marked before.
        self.in_time(store.create(id.hash(), mark, now)).await?;
        Ok(())
    }

    /// Gives a subject a new epoch, which ends all sessions of the one before.
    pub(crate) async fn revoke_all(
        &self,
        sealing: &Sealing,
        subject: &Subject,
        epoch: u64,
        now: Time,
    ) -> Result<(), Error> {
        let Some(store) = sealing.revocations() else {
            return Err(Error::Unsupported(NEEDS_REVOCATIONS));
        };
        let mut mark = kept_until(now.after(EPOCH_KEPT), now);
        let value = FieldChange::blind(Some(epoch.to_le_bytes().to_vec().into()));
        mark.fields.insert(FieldName::new(EPOCH)?, value);
        let id = epoch_id(subject);
        let commit = self.in_time(store.commit(id, mark.clone(), now)).await?;
        if !matches!(commit, Commit::Committed(_)) {
            let created = self.in_time(store.create(id, mark.clone(), now)).await?;
            if created == Create::Taken {
                // Somebody else has just made it.
                match self.in_time(store.commit(id, mark, now)).await? {
                    Commit::Committed(_) => {}
                    _ => return Err(Error::Conflict),
                }
            }
        }
        self.count(Count::EndedAll);
        self.tell(EventKind::Ended, None, Some(subject));
        Ok(())
    }
}

/// What keeps a record until a time, used or not.
fn kept_until(deadline: Time, now: Time) -> Changes {
    let mut changes = Changes::default();
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::MAX);
    changes.hard_deadline = Some(deadline);
    changes
}

fn epoch_id(subject: &Subject) -> IdHash {
    IdHash::of_secret("abide epoch of a subject", subject.as_str().as_bytes())
}

/// Whoever keeps a cookie keeps it no longer than this, so an epoch need not be known for longer:
/// when it is forgotten, all cookies of older ones have expired.
const EPOCH_KEPT: Duration = abide_cookie::SetCookie::MAX_AGE_MAX;
const EPOCH: &str = "epoch";
/// How far apart the clocks of two servers may be.
const SKEW: Duration = Duration::from_mins(10);
const NEEDS_REVOCATIONS: &str = "sealed cookies can only be ended for all browsers with a store: \
    SealedCookie::new(keys).revocations(store)";
