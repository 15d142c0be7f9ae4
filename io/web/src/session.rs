//! The session as a handler sees it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abide_session::{FieldName, Lifetime, Limit, MAX_VALUE_BYTES, StoreError, Subject, Write};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::counters::Count;
use crate::key::KeyFor;
use crate::layer::Settings;
use crate::presented::Presentation;
use crate::settle::without_store;
use crate::state::{LazyState, StateGuard, Update};
use crate::{Error, Key, SessionHandle, Sessions};

/// The session of one request.
///
/// Clones are the same session. Nothing is loaded before somebody reads, and then once. What is
/// written is recorded, can be read back at once, and is committed when the handler has answered,
/// or earlier by [`Session::save`].
///
/// A clone may be kept after the response, for a stream say: it goes on reading what was loaded,
/// and what it writes is kept if it calls [`Session::save`].
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) settings: Arc<Settings>,
    pub(crate) presented: Presentation,
    /// Never held over an await.
    state: Mutex<LazyState>,
    /// Held by whoever loads or commits, so that one does at a time.
    pub(crate) gate: tokio::sync::Mutex<()>,
}

impl Session {
    pub(crate) fn new(settings: Arc<Settings>, presented: Presentation) -> Self {
        let (state, gate) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { settings, presented, state, gate }))
    }

    /// The value of a field; none if the session has no such field, or there is no session.
    ///
    /// ```
    /// # use abide::{Error, Key, Session};
    /// const VISITS: Key<u32> = Key::new("visits");
    ///
    /// # async fn handler(session: Session) -> Result<(), Error> {
    /// let visits = session.get(VISITS).await?;
    /// let name = session.get::<String>("name").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] if the session can not be loaded, which is never to be taken for an empty
    /// one; [`Error::Decode`] if the field holds something else.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: impl Into<Key<T>>,
    ) -> Result<Option<T>, Error> {
        let key = key.into();
        let is_lenient = key.is_lenient();
        let name = key.into_field_name()?;
        self.ensure_loaded().await?;
        let value = self.state().get(name.as_str())?;
        self.0.settings.decoded(&name, value.as_ref(), is_lenient)
    }

    /// Sets a field. The last write wins; to change what is there, use [`Session::update`].
    ///
    /// ```
    /// # use abide::{Error, Key, Session};
    /// const NAME: Key<String> = Key::new("name");
    ///
    /// # fn handler(session: Session) -> Result<(), Error> {
    /// session.set(NAME, "Alice")?;
    /// session.set("visits", &1)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Encode`]; [`Error::Store`] with `TooLarge` if the name or the value is. Nothing is
    /// recorded then.
    pub fn set<V: Serialize + ?Sized>(&self, key: impl KeyFor<V>, value: &V) -> Result<(), Error> {
        let name = FieldName::new(key.into_name())?;
        let value = encode(&name, value)?;
        self.state().set(name, value);
        Ok(())
    }

    /// Removes a field, if there is one. Takes a [`Key`] or a bare name.
    ///
    /// # Errors
    /// [`Error::Store`] with `TooLarge` if that can not be a field's name. Nothing is recorded
    /// then.
    pub fn remove(&self, key: impl Into<Cow<'static, str>>) -> Result<(), Error> {
        let name = FieldName::new(key)?;
        self.state().remove(name);
        Ok(())
    }

    /// Changes the value of a field; one that is not there starts as the default.
    ///
    /// No change is lost: if another request changes the field before this one is committed,
    /// `change` runs again on the new value, up to [`UPDATE_TRIES`](crate::UPDATE_TRIES) times in
    /// all. So it must do nothing but change the value, and what [`Session::get`] gives afterwards
    /// is final only after [`Session::save`].
    ///
    /// # Errors
    /// As [`Session::get`] and [`Session::set`]. Nothing is recorded then.
    pub async fn update<T, F>(&self, key: impl Into<Key<T>>, mut change: F) -> Result<(), Error>
    where
        T: Default + Serialize + DeserializeOwned + 'static,
        F: FnMut(&mut T) + Send + 'static,
    {
        let key = key.into();
        let is_lenient = key.is_lenient();
        let name = key.into_field_name()?;
        self.ensure_loaded().await?;
        let (field, settings) = (name.clone(), Arc::clone(&self.0.settings));
        let update: Update = Box::new(move |current: Option<&Bytes>| {
            let mut value = settings.decoded(&field, current, is_lenient)?;
            change(value.get_or_insert_default());
            encode(&field, &value).map(Some)
        });
        self.recorded_update(name, update).await
    }

    /// Adds to a counter; one that is not there starts at zero. Nothing is loaded, and nobody has to
    /// try again: the store adds up what all requests add. The counter is an integer like any other,
    /// to be read by [`Session::get`] as an `i64`, within whose range it stays.
    ///
    /// ```
    /// # use abide::{Error, Key, Session};
    /// const VISITS: Key<i64> = Key::new("visits");
    ///
    /// # fn handler(session: Session) -> Result<(), Error> {
    /// session.increment(VISITS, 1)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Store`] with `TooLarge` if that can not be a field's name, with `Incompatible` if
    /// this request itself put something else into the field. If somebody else did, committing it
    /// fails so.
    pub fn increment(&self, key: impl Into<Key<i64>>, by: i64) -> Result<(), Error> {
        let name = key.into().into_field_name()?;
        Ok(self.state().relate(name, Write::Add(by))?)
    }

    /// Adds a member to a set, unless it is there; a set that is not there starts empty. Like a
    /// counter, it loads nothing, and what others add at the same time stays. To be read by
    /// [`Session::get`] as a list or set of `T`.
    ///
    /// ```
    /// # use std::collections::BTreeSet;
    /// # use abide::{Error, Key, Session};
    /// const SEEN: Key<BTreeSet<u32>> = Key::new("seen");
    ///
    /// # async fn handler(session: Session) -> Result<(), Error> {
    /// session.add_to(SEEN, &17)?;
    /// let seen = session.get(SEEN).await?.unwrap_or_default();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::increment`]; [`Error::Encode`].
    pub fn add_to<T: Serialize + ?Sized>(
        &self,
        key: impl Into<Cow<'static, str>>,
        member: &T,
    ) -> Result<(), Error> {
        self.relate_member(key, member, true)
    }

    /// Takes a member out of a set, if it is there.
    ///
    /// # Errors
    /// As [`Session::add_to`].
    pub fn remove_from<T: Serialize + ?Sized>(
        &self,
        key: impl Into<Cow<'static, str>>,
        member: &T,
    ) -> Result<(), Error> {
        self.relate_member(key, member, false)
    }

    fn relate_member<T: Serialize + ?Sized>(
        &self,
        key: impl Into<Cow<'static, str>>,
        member: &T,
        is_in: bool,
    ) -> Result<(), Error> {
        let name = FieldName::new(key)?;
        let member = encode(&name, member)?;
        Ok(self.state().relate(name, Write::Members([(member, is_in)].into()))?)
    }

    /// Takes a value out of the session: the value, and then it is gone. Of several requests that
    /// ask at once one gets it. For what is shown once, as "your order was placed" after a redirect.
    ///
    /// The removal is committed at once, so that it holds before anybody is shown the value. With a
    /// sealed cookie it is part of the response, and two at once may both get it.
    ///
    /// ```
    /// # use abide::{Error, Key, Session};
    /// const NOTICE: Key<String> = Key::new("notice");
    ///
    /// # async fn handler(session: Session) -> Result<(), Error> {
    /// session.set(NOTICE, "your order was placed")?; // before the redirect
    /// # Ok(())
    /// # }
    /// # async fn next(session: Session) -> Result<(), Error> {
    /// let notice = session.take(NOTICE).await?; // after it
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Session::get`], and the value stays, unless the store did not answer: then nobody knows;
    /// [`Error::Gone`] if the session has ended.
    pub async fn take<T: DeserializeOwned>(
        &self,
        key: impl Into<Key<T>>,
    ) -> Result<Option<T>, Error> {
        let key = key.into();
        let is_lenient = key.is_lenient();
        let name = key.into_field_name()?;
        self.ensure_loaded().await?;
        let settings = &self.0.settings;
        let decodes = |value: &Bytes| {
            settings.decoded::<T>(&name, Some(value), is_lenient).map(|_decodes| ())
        };
        let value = self.take_encoded(&name, &decodes).await?;
        settings.decoded(&name, value.as_ref(), is_lenient)
    }

    /// Removes all fields. The session, its id and whom it belongs to stay.
    pub fn clear(&self) {
        self.state().clear();
    }

    /// Counts the session as used, without changing it. Reading it does that too, as often as is
    /// needed.
    pub fn touch(&self) {
        self.state().recording().touch();
    }

    /// Gives the session a new id. The old one is accepted for the grace, and follows the session.
    ///
    /// For signing in and out, use [`Session::set_subject`] and [`Session::end`], which renew the
    /// id in a stricter way.
    pub fn renew(&self) {
        self.state().recording().renew();
    }

    /// Ends the session, for every request that has it, and removes the cookie. Whatever else this
    /// request does to its session is dropped.
    pub fn end(&self) {
        self.state().recording().end();
    }

    /// Says that the session belongs to this user, and gives it a new id: a sign-in. Requests that
    /// come with the old id see, for the grace, the session as it was before, and can not change
    /// it. If it belongs to this user already, nothing changes; [`Session::renew`] gives it a new id
    /// then.
    ///
    /// # Errors
    /// [`Error::Store`] with `TooLarge` if the name is empty or longer than 255 bytes. Nothing is
    /// recorded then.
    pub fn set_subject(&self, user: impl Into<Arc<str>>) -> Result<(), Error> {
        let subject = Subject::new(user)?;
        self.state().recording().set_subject(Some(subject));
        Ok(())
    }

    /// Says that the session belongs to nobody any more, and gives it a new id; the old one ends.
    /// The fields stay: to drop them too, use [`Session::end`].
    pub fn clear_subject(&self) {
        self.state().recording().set_subject(None);
    }

    /// Gives this session a lifetime of its own, from now: for "remember me", or for a user who
    /// chose so. How long it lives in all can be extended so and not shortened, once it is kept. A
    /// sealed session with [`revocations`](crate::SealedCookie::revocations) lives no longer than
    /// the layer's absolute time-out.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use abide::{Error, Lifetime, Session};
    /// # fn sign_in(session: Session, remember_me: bool) -> Result<(), Error> {
    /// session.set_subject("alice")?;
    /// if remember_me {
    ///     session.set_lifetime(Lifetime {
    ///         idle_timeout: Duration::from_hours(30 * 24),
    ///         absolute_timeout: Duration::from_hours(180 * 24),
    ///     });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_lifetime(&self, lifetime: Lifetime) {
        self.state().recording().set_lifetime(lifetime);
    }

    /// Whom the session belongs to.
    ///
    /// # Errors
    /// [`Error::Store`] if the session can not be loaded.
    pub async fn subject(&self) -> Result<Option<Subject>, Error> {
        self.ensure_loaded().await?;
        Ok(self.state().subject().cloned())
    }

    /// Commits what was recorded now, for those who must know that it is kept before they go on.
    ///
    /// # Errors
    /// [`Error::Gone`] if the session has ended, [`Error::Conflict`], [`Error::TooLate`],
    /// [`Error::Store`]. What was recorded stays recorded and is tried once more at the end of the
    /// request; except after `Gone`, after what trying again can not help (`TooLarge`,
    /// `Incompatible`), and except what was added or updated when the store did not answer: it may
    /// have been done, and would be done twice. That is dropped, and the handler's response goes out
    /// as it is.
    pub async fn save(&self) -> Result<(), Error> {
        self.settle().await
    }

    /// Ends all other sessions of the user this one belongs to, after saving what was recorded.
    /// Does nothing if it belongs to nobody.
    ///
    /// # Errors
    /// As [`Session::save`]; [`Error::Store`]; [`Error::Unsupported`] for a sealed session without
    /// [`revocations`](crate::SealedCookie::revocations).
    pub async fn end_others(&self) -> Result<(), Error> {
        self.ensure_loaded().await?;
        if self.is_without_store() {
            return Err(without_store());
        }
        self.settle().await?;
        self.end_all_but_this().await
    }

    /// The name of this session among those of its user; none if it is not kept yet.
    ///
    /// # Errors
    /// [`Error::Store`] if the session can not be loaded.
    pub async fn handle(&self) -> Result<Option<SessionHandle>, Error> {
        self.ensure_loaded().await?;
        Ok(self.live().map(|(id, ..)| SessionHandle::new(id.hash())))
    }

    /// All sessions of the layer that this one came by.
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Arc::clone(&self.0.settings))
    }

    /// Whether the request runs without its session because the store did not answer, which only
    /// happens after [`without_session_in_outage`](crate::SessionLayer::without_session_in_outage)
    /// and once something was read.
    pub fn is_without_store(&self) -> bool {
        self.state().without_store
    }

    pub(crate) fn state(&self) -> StateGuard<'_> {
        StateGuard::new(self.lazy_state(), || self.0.presented.at_first())
    }

    /// Notes that the response is on its way, if the request did not use its session.
    pub(crate) fn close_unused(&self) -> bool {
        self.lazy_state().close_unused()
    }

    fn lazy_state(&self) -> MutexGuard<'_, LazyState> {
        // A panic elsewhere while it was locked leaves nothing half-done: each change is one step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    /// The value of a field; none if there is no field, or one that need not decode does not.
    fn decoded<T: DeserializeOwned>(
        &self,
        name: &FieldName,
        value: Option<&Bytes>,
        is_lenient: bool,
    ) -> Result<Option<T>, Error> {
        match value.map(|value| decode(name, value)) {
            Some(Err(error)) if is_lenient => {
                self.count(Count::Undecodable);
                tracing::warn!(target: "abide::session", %error, "counted as absent");
                Ok(None)
            }
            value => value.transpose(),
        }
    }
}

/// Nothing of what it holds.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

pub(crate) fn encode<T: Serialize + ?Sized>(name: &FieldName, value: &T) -> Result<Bytes, Error> {
    let encoded = rmp_serde::to_vec_named(value)
        .map_err(|cause| Error::Encode { field: name.as_str().to_owned(), cause: cause.into() })?;
    if encoded.len() > MAX_VALUE_BYTES {
        return Err(Error::Store(StoreError::TooLarge(Limit::Value)));
    }
    Ok(encoded.into())
}

pub(crate) fn decode<T: DeserializeOwned>(name: &FieldName, value: &Bytes) -> Result<T, Error> {
    use rmp_serde::decode::Error::{Syntax, Uncategorized};
    rmp_serde::from_slice(value).map_err(|cause| {
        let field = name.as_str().to_owned();
        match cause {
            // What serde says quotes what it found, and that is nobody's business.
            Syntax(_) | Uncategorized(_) => {
                let cause = format!("it is no {}", std::any::type_name::<T>()).into();
                Error::Decode { field, cause }
            }
            cause => Error::Decode { field, cause: cause.into() },
        }
    })
}
