//! Work that is done once for a session, however many requests want it at the same time.
//!
//! Requests of one server queue for a flight, which ends with the last of them. Among servers, who
//! does the work holds a lease: a field of the session with a deadline, taken by a commit that
//! expects there to be none, renewed while the work goes on, and replaced by the result. So if the
//! server dies, another takes over when the lease has run out; and the result is found by those who
//! come a little later. With sealed sessions there is nothing to hold the lease, and it is once per
//! server.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abide_session::{
    Changes, Commit, Expected, FieldChange, FieldName, IdHash, Loaded, Record, Stamp, Standing,
    Store,
};
use abide_time::Time;
use bytes::Bytes;
use rmp::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layer::Keep;
use crate::settle::without_store;
use crate::{Error, Key, Session, session};

/// How long a result of [`Session::once`] is good for those who come later.
pub const ONCE_RESULT_KEPT: Duration = Duration::from_mins(1);

/// How long the work may be nobody's after its server has died. It is renewed three times in that.
const LEASE: Duration = Duration::from_secs(15);
/// How long somebody waits for another server's work: longer than any browser.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// The pauses between two looks at another server's work: at first what a request to another
/// service takes at least, then what nobody notices.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(250);

impl Session {
    /// Runs `work` unless another request of this session runs the same work or has done so in the
    /// last [minute](ONCE_RESULT_KEPT), on this server or another; then waits for it, and gives its
    /// result.
    ///
    /// ```
    /// # use abide::{Error, Key, Session};
    /// # #[derive(Clone, serde::Serialize, serde::Deserialize)] struct Tokens;
    /// # impl Tokens { fn are_fresh(&self) -> bool { false } }
    /// # async fn ask_the_provider(_: &Tokens) -> Result<Tokens, Error> { Ok(Tokens) }
    /// const TOKENS: Key<Tokens> = Key::new("tokens");
    ///
    /// // Ten parts of a page find the token stale at once. The provider accepts a refresh token
    /// // only once, so one of them may ask, and the others need what it got.
    /// async fn tokens(session: &Session) -> Result<Option<Tokens>, Error> {
    ///     let Some(tokens) = session.get(TOKENS).await? else { return Ok(None) };
    ///     if tokens.are_fresh() {
    ///         return Ok(Some(tokens));
    ///     }
    ///     let fresh = session.once("refresh", || ask_the_provider(&tokens)).await?;
    ///     session.set(TOKENS, &fresh)?;
    ///     Ok(Some(fresh))
    /// }
    /// ```
    ///
    /// If `work` fails, only its own caller is told, and the next in line tries. If its request is
    /// broken off, the next tries at once; if its server dies, after 15 s. A session that is not
    /// kept yet has no other requests, and just runs it.
    ///
    /// The work must not ask for the same name itself: it would wait for its own end.
    ///
    /// With sealed cookies it is once among the requests of one server that are under way together.
    ///
    /// # Errors
    /// Those of `work`; and, as errors of the store are for [`Session::save`], if the session can
    /// not be loaded, has ended, or the work of another server did not end in a minute
    /// ([`Error::Conflict`]).
    pub async fn once<T, E, W>(
        &self,
        key: impl Into<Key<T>>,
        work: impl FnOnce() -> W,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<Error>,
        W: Future<Output = Result<T, E>>,
    {
        let key: Key<T> = key.into();
        let name = FieldName::new(format!("{FIELD_PREFIX}{}", key.name())).map_err(Error::from)?;
        self.ensure_loaded().await?;
        if self.is_without_store() {
            return Err(without_store().into());
        }
        let Some((id, ..)) = self.live() else { return work().await };
        let flight = self.0.settings.flights.enter(id.hash(), name.clone());
        let landed = tokio::time::timeout(WAIT_MAX, flight.flight.lock()).await;
        let mut landed = landed.map_err(|_elapsed| Error::Conflict)?;
        let now = self.now();
        if let Some((at, value)) = &*landed
            && now.since(*at) < ONCE_RESULT_KEPT
        {
            return Ok(session::decode(&name, value)?);
        }
        let lease = match &self.0.settings.keep {
            Keep::Sealed(_) => None,
            Keep::Stored(store) => match self.lease_or_result(store, &name).await? {
                Claim::Result(value) => return Ok(session::decode(&name, &value)?),
                Claim::Lease(lease) => Some(lease),
            },
        };
        let Some(mut lease) = lease else {
            let value = work().await?;
            *landed = Some((self.now(), session::encode(&name, &value)?));
            return Ok(value);
        };
        let value = lease.keep_while(work()).await?;
        let encoded = session::encode(&name, &value)?;
        lease.replace(Some(done(self.now(), &encoded))).await;
        *landed = Some((self.now(), encoded));
        Ok(value)
    }

    /// Waits until the work is this request's to do, or is done.
    async fn lease_or_result(
        &self,
        store: &Arc<dyn Store>,
        name: &FieldName,
    ) -> Result<Claim, Error> {
        let settings = &self.0.settings;
        let began = self.now();
        let mut pause = FIRST_PAUSE;
        while self.now().since(began) < WAIT_MAX {
            let Some((id, ..)) = self.live() else { return Err(Error::Gone) };
            let now = self.now();
            let loaded = settings.in_time(store.load(id.hash(), now)).await?;
            let Loaded::Live { record, standing } = loaded else { return Err(self.found_ended()) };
            let expected = Expected::of(&record, name.as_str());
            match record.get(name.as_str()).and_then(work_of) {
                Some(Work::Done { at, value })
                    if now.since(at) < ONCE_RESULT_KEPT && is_of_this_user(&record, name) =>
                {
                    self.adopt(record, standing).await?;
                    return Ok(Claim::Result(value));
                }
                Some(Work::Running { until }) if until > now => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                    continue;
                }
                _ => {}
            }
            let lease = running(now.after(LEASE));
            let change = change(name, expected, Some(lease.clone()));
            match settings.in_time(store.commit(id.hash(), change, now)).await? {
                Commit::Committed(stamp) => {
                    let (session, store) = (self.clone(), Arc::clone(store));
                    let (name, last) = (name.clone(), lease);
                    let lease = Lease { session, store, name, stamp: Some(stamp), last };
                    // Whatever the one before did to the session can be seen by this one.
                    self.adopt(record, standing).await?;
                    return Ok(Claim::Lease(lease));
                }
                Commit::Conflict(_) => {}
                _ => return Err(self.gone()),
            }
        }
        Err(Error::Conflict)
    }

    /// Goes on with a record that is newer than the one that was loaded.
    async fn adopt(&self, record: Arc<Record>, standing: Standing) -> Result<(), Error> {
        let _alone = self.0.gate.lock().await;
        self.recompute(record, standing)
    }
}

enum Claim {
    Lease(Lease),
    Result(Bytes),
}

/// The right to do the work. Given back when dropped, so that who waits need not wait until it has
/// run out.
struct Lease {
    session: Session,
    store: Arc<dyn Store>,
    name: FieldName,
    /// When the lease was last written; none if it is not ours any more.
    stamp: Option<Stamp>,
    /// What was last written, or may have been.
    last: Bytes,
}

impl Lease {
    /// Does the work, and renews the lease as long as it takes.
    async fn keep_while<R>(&mut self, work: impl Future<Output = R>) -> R {
        let mut work = pin!(work);
        loop {
            let renewal = tokio::time::sleep(LEASE / 3);
            tokio::select! {
                result = &mut work => return result,
                () = renewal => {}
            }
            let until = self.session.now().after(LEASE);
            // While the store is asked, the work goes on.
            let mut renewed = pin!(self.replace(Some(running(until))));
            tokio::select! {
                result = &mut work => {
                    // Broken off, nobody would know whether the lease is still as it was.
                    renewed.await;
                    return result;
                }
                () = &mut renewed => {}
            }
        }
    }

    /// Puts something else in place of the lease. If that fails, the work is done all the same, and
    /// the lease runs out.
    async fn replace(&mut self, value: Option<Bytes>) {
        let ends = value.as_ref().is_none_or(is_done);
        let settings = Arc::clone(&self.session.0.settings);
        for _ in 0..2 {
            let (Some(stamp), Some(id)) = (self.stamp, self.session.live_id()) else { return };
            let change = change(&self.name, Expected::Written(stamp), value.clone());
            let now = self.session.now();
            match settings.in_time(self.store.commit(id.hash(), change, now)).await {
                Ok(Commit::Committed(stamp)) => {
                    self.stamp = Some(stamp).filter(|_| !ends);
                    self.last = value.unwrap_or_default();
                    return;
                }
                // Perhaps by an earlier renewal of our own that was not answered.
                Ok(Commit::Conflict(_)) => self.stamp = self.stamp_of_last().await,
                Ok(_) => self.stamp = None,
                Err(_counted) => {
                    self.last = value.unwrap_or_default();
                    return;
                }
            }
        }
    }

    /// When the field was written, if it holds what this lease wrote last.
    async fn stamp_of_last(&self) -> Option<Stamp> {
        let id = self.session.live_id()?;
        let call = self.store.load(id.hash(), self.session.now());
        let Ok(Loaded::Live { record, .. }) = self.session.0.settings.in_time(call).await else {
            return None;
        };
        let field = record.visible(self.name.as_str())?;
        (field.value.as_ref() == Some(&self.last)).then_some(field.stamp)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(stamp) = self.stamp.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (settings, store) = (Arc::clone(&self.session.0.settings), Arc::clone(&self.store));
        let Some(id) = self.session.live_id() else { return };
        let (id, now) = (id.hash(), self.session.now());
        let change = change(&self.name, Expected::Written(stamp), None);
        runtime.spawn(async move {
            // If it fails, the lease runs out.
            let _counted = settings.in_time(store.commit(id, change, now)).await;
        });
    }
}

/// Whether the field was written for whom the session belongs to now: what was done for somebody
/// else is nobody else's. A session that has come from another store bears one stamp for all; what
/// was done for somebody else has not come with it.
fn is_of_this_user(record: &Record, name: &FieldName) -> bool {
    record.visible(name.as_str()).is_some_and(|field| field.stamp >= record.subject.stamp)
}

/// Whether a field says of some work that it was done for whom the session belonged to before.
pub(crate) fn is_of_another_user(record: &Record, name: &FieldName) -> bool {
    let written = record.visible(name.as_str()).map(|field| field.stamp);
    name.as_str().starts_with(FIELD_PREFIX)
        && written.is_some_and(|written| written <= record.subject.stamp)
}

/// What the field says of the work.
enum Work {
    Running { until: Time },
    Done { at: Time, value: Bytes },
}

/// Fields of this name are no application's.
const FIELD_PREFIX: &str = "abide.once.";

fn running(until: Time) -> Bytes {
    work(false, until, &[NIL])
}

fn done(at: Time, value: &Bytes) -> Bytes {
    work(true, at, value)
}

const NIL: u8 = 0xc0;

/// An array of three in MessagePack: whether it is done, when, and the result.
fn work(is_done: bool, time: Time, value: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(value.len().saturating_add(11));
    // Writing to a vector does not fail.
    let _ = encode::write_array_len(&mut bytes, 3);
    let _ = encode::write_bool(&mut bytes, is_done);
    let _ = encode::write_uint(&mut bytes, time.as_millis());
    bytes.extend_from_slice(value);
    bytes.into()
}

fn work_of(bytes: &Bytes) -> Option<Work> {
    let mut rest = &**bytes;
    let 3 = decode::read_array_len(&mut rest).ok()? else { return None };
    let is_done = decode::read_bool(&mut rest).ok()?;
    let time = Time::from_millis(decode::read_int(&mut rest).ok()?);
    if !is_done {
        return Some(Work::Running { until: time });
    }
    Some(Work::Done { at: time, value: bytes.slice_ref(rest) })
}

fn is_done(bytes: &Bytes) -> bool {
    matches!(work_of(bytes), Some(Work::Done { .. }))
}

fn change(name: &FieldName, expected: Expected, value: Option<Bytes>) -> Changes {
    let mut changes = Changes::default();
    changes.fields.insert(name.clone(), FieldChange::based_on(expected, value));
    changes
}

/// The work that requests of this server wait for. Bounded by their number: an entry goes with the
/// last of them.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    flights: Mutex<HashMap<(IdHash, FieldName), Flight>>,
}

/// One after another; and what the one before has got, and when.
type Flight = Arc<tokio::sync::Mutex<Option<(Time, Bytes)>>>;

impl Flights {
    fn enter(self: &Arc<Self>, id: IdHash, name: FieldName) -> Passenger {
        let key = (id, name);
        let flight = Arc::clone(self.flights().entry(key.clone()).or_default());
        Passenger { flights: Arc::clone(self), key, flight }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<(IdHash, FieldName), Flight>> {
        // Nothing is half-done in it: each change is one call.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a flight, or is on it.
struct Passenger {
    flights: Arc<Flights>,
    key: (IdHash, FieldName),
    flight: Flight,
}

impl Drop for Passenger {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        // The map's and our own: nobody else is there, and nobody can come while we hold the lock.
        if Arc::strong_count(&self.flight) == 2 {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_of_work_can_be_read() {
        let at = Time::from_millis(1_800_000_000_123);
        let value = Bytes::from_static(b"\xa3abc");
        let Some(Work::Done { at: found, value: read }) = work_of(&done(at, &value)) else {
            panic!("done work");
        };
        assert_eq!((found, read), (at, value));
        let Some(Work::Running { until }) = work_of(&running(at)) else { panic!("running work") };
        assert_eq!(until, at);
        for other in [&b""[..], b"\xa3abc", b"\x93", b"\x93\xc3", b"\x92\xc3\x01"] {
            assert!(work_of(&Bytes::copy_from_slice(other)).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_flight_is_forgotten_with_its_last_passenger() {
        let flights = Arc::new(Flights::default());
        let key = (IdHash::of_secret("test", b"1"), FieldName::new("work").unwrap());
        let first = flights.enter(key.0, key.1.clone());
        let second = flights.enter(key.0, key.1);
        assert!(Arc::ptr_eq(&first.flight, &second.flight));
        drop(first);
        assert_eq!(flights.flights().len(), 1);
        drop(second);
        assert_eq!(flights.flights().len(), 0);
    }
}
