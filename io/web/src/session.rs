//! The session as a handler sees it.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use abide_session::{FieldName, Limit, MAX_VALUE_BYTES, StoreError, Subject};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::layer::Settings;
use crate::presented::PresentedIds;
use crate::state::{State, Update};
use crate::{Error, Key};

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
    pub(crate) presented: PresentedIds,
    /// Never held over an await.
    state: Mutex<State>,
    /// Held by whoever loads or commits, so that one does at a time.
    pub(crate) gate: tokio::sync::Mutex<()>,
}

impl Session {
    pub(crate) fn new(settings: Arc<Settings>, presented: PresentedIds) -> Self {
        let state = Mutex::new(State::new(&presented));
        Self(Arc::new(Inner { settings, presented, state, gate: tokio::sync::Mutex::default() }))
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
        let name = key.into().into_field_name()?;
        self.ensure_loaded().await?;
        let value = self.state().get(name.as_str()).cloned();
        value.map(|value| decode(&name, &value)).transpose()
    }

    /// Sets a field. The last write wins; to change what is there, use [`Session::update`].
    ///
    /// # Errors
    /// [`Error::Encode`]; [`Error::Store`] with `TooLarge` if the name or the value is. Nothing is
    /// recorded then.
    pub fn set<T: Serialize + ?Sized>(
        &self,
        key: impl Into<Key<T>>,
        value: &T,
    ) -> Result<(), Error> {
        let name = key.into().into_field_name()?;
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
        let name = key.into().into_field_name()?;
        self.ensure_loaded().await?;
        let field = name.clone();
        let update: Update = Box::new(move |current: Option<&Bytes>| {
            let mut value = current.map(|value| decode(&field, value)).transpose()?;
            change(value.get_or_insert_default());
            encode(&field, &value)
        });
        self.recorded_update(name, update).await
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
    /// it.
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
    /// request, except after `Gone`.
    pub async fn save(&self) -> Result<(), Error> {
        self.settle().await
    }

    /// Ends all other sessions of the user this one belongs to, after saving what was recorded.
    /// Does nothing if it belongs to nobody.
    ///
    /// # Errors
    /// As [`Session::save`]; [`Error::Store`].
    pub async fn end_others(&self) -> Result<(), Error> {
        self.ensure_loaded().await?;
        self.settle().await?;
        self.end_all_but_this().await
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere while it was locked leaves nothing half-done: each change is one step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nothing of what it holds.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

fn encode<T: Serialize + ?Sized>(name: &FieldName, value: &T) -> Result<Bytes, Error> {
    let encoded = rmp_serde::to_vec_named(value)
        .map_err(|cause| Error::Encode { field: name.as_str().to_owned(), cause: cause.into() })?;
    if encoded.len() > MAX_VALUE_BYTES {
        return Err(Error::Store(StoreError::TooLarge(Limit::Value)));
    }
    Ok(encoded.into())
}

fn decode<T: DeserializeOwned>(name: &FieldName, value: &Bytes) -> Result<T, Error> {
    rmp_serde::from_slice(value)
        .map_err(|cause| Error::Decode { field: name.as_str().to_owned(), cause: cause.into() })
}
