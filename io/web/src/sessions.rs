//! All sessions of a layer: the ones of a user, listed and ended.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use abide_session::{End, IdHash, Listed, Loaded, Record, Subject};
use abide_time::Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::counters::Count;
use crate::layer::{Keep, Settings};
use crate::session::decode;
use crate::settle::random;
use crate::{Error, EventKind, Key};

/// All sessions that a [`SessionLayer`](crate::SessionLayer) keeps: for a page of devices, for the
/// day a password changes, for support.
///
/// ```
/// # use abide::{Error, Key, Session, Sessions};
/// const BROWSER: Key<String> = Key::new("browser"); // what the app noted at sign-in
///
/// async fn devices(session: Session, sessions: Sessions) -> Result<String, Error> {
///     let Some(user) = session.subject().await? else { return Ok("nobody".into()) };
///     let this = session.handle().await?;
///     let mut page = String::new();
///     for listed in sessions.list(user.as_str()).await? {
///         let browser = listed.get(BROWSER)?.unwrap_or_default();
///         let mark = if Some(listed.handle()) == this { "this one" } else { "" };
///         page += &format!("{} {browser} {mark}\n", listed.handle());
///     }
///     Ok(page)
/// }
/// ```
///
/// In a handler it is an extractor; elsewhere it comes from
/// [`SessionLayer::sessions`](crate::SessionLayer::sessions).
#[derive(Clone, Debug)]
pub struct Sessions {
    settings: Arc<Settings>,
}

impl Sessions {
    pub(crate) const fn new(settings: Arc<Settings>) -> Self {
        Self { settings }
    }

    /// The live sessions of a user, the ones last seen first, at most
    /// [`MAX_LISTED`](crate::store::MAX_LISTED). When a session was last seen is known to a tenth of
    /// its idle time-out.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Unsupported`] for sealed cookies, which nobody but the browsers
    /// has.
    pub async fn list(&self, user: impl Into<Arc<str>>) -> Result<Vec<ListedSession>, Error> {
        let subject = Subject::new(user)?;
        let Keep::Stored(store) = &self.settings.keep else {
            return Err(Error::Unsupported(NOT_LISTED));
        };
        let listed = self.settings.in_time(store.list(&subject, self.settings.clock.now())).await?;
        Ok(listed.into_iter().map(ListedSession::from).collect())
    }

    /// Ends one session of a user. False if he has no such session: it may have ended before, or be
    /// somebody else's, which it stays.
    ///
    /// # Errors
    /// As [`Sessions::list`].
    pub async fn end(
        &self,
        user: impl Into<Arc<str>>,
        session: SessionHandle,
    ) -> Result<bool, Error> {
        let subject = Subject::new(user)?;
        let Keep::Stored(store) = &self.settings.keep else {
            return Err(Error::Unsupported(NOT_LISTED));
        };
        let now = self.settings.clock.now();
        let loaded = self.settings.in_time(store.load(session.0, now)).await?;
        let Loaded::Live { record, .. } = loaded else { return Ok(false) };
        if record.subject.value.as_ref() != Some(&subject) {
            return Ok(false);
        }
        let has_ended = self.settings.in_time(store.end(session.0, now)).await? == End::Ended;
        if has_ended {
            self.settings.count(Count::Ended);
            self.settings.tell_of(EventKind::Ended, Some(session), Some(&subject));
        }
        Ok(has_ended)
    }

    /// Ends all sessions of a user, however many, in one step. To spare the one that asks for it,
    /// use [`Session::end_others`](crate::Session::end_others).
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Unsupported`] for sealed cookies without
    /// [`revocations`](crate::SealedCookie::revocations).
    pub async fn end_all(&self, user: impl Into<Arc<str>>) -> Result<(), Error> {
        let subject = Subject::new(user)?;
        self.settings.end_all(&subject, None).await
    }
}

impl Settings {
    /// Ends all sessions of a subject but one.
    pub(crate) async fn end_all(
        &self,
        subject: &Subject,
        except: Option<IdHash>,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        match &self.keep {
            Keep::Sealed(sealing) => {
                let epoch = u64::from_le_bytes(random()?);
                self.revoke_all(sealing, subject, epoch, now).await?;
                self.end_all_left(subject, now).await?;
            }
            Keep::Stored(store) => {
                self.in_time(store.end_all(subject, except, now)).await?;
                self.count(Count::EndedAll);
                self.tell(EventKind::Ended, None, Some(subject));
            }
        }
        Ok(())
    }
}

/// A live session, as it was when it was listed.
#[derive(Clone, Debug)]
pub struct ListedSession {
    handle: SessionHandle,
    record: Arc<Record>,
}

impl ListedSession {
    /// Its name, to end it by.
    pub const fn handle(&self) -> SessionHandle {
        self.handle
    }

    /// When it was made.
    pub fn created(&self) -> SystemTime {
        wall(self.record.created)
    }

    /// When it was last used, to a tenth of its idle time-out.
    pub fn last_seen(&self) -> SystemTime {
        wall(self.record.seen)
    }

    /// When it ends if nobody uses it.
    pub fn expires(&self) -> SystemTime {
        wall(self.record.deadline())
    }

    /// The value of a field, as by [`Session::get`](crate::Session::get): what the application noted
    /// of the browser or the place at sign-in, say.
    ///
    /// # Errors
    /// [`Error::Decode`]; [`Error::Store`] with `TooLarge` if that can not be a field's name.
    pub fn get<T: DeserializeOwned>(&self, key: impl Into<Key<T>>) -> Result<Option<T>, Error> {
        let key = key.into();
        let is_lenient = key.is_lenient();
        let name = key.into_field_name()?;
        match self.record.get(name.as_str()).map(|value| decode(&name, value)) {
            Some(Err(_undecodable)) if is_lenient => Ok(None),
            value => value.transpose(),
        }
    }
}

impl From<Listed> for ListedSession {
    fn from(Listed { id, record, .. }: Listed) -> Self {
        Self { handle: SessionHandle::new(id), record }
    }
}

fn wall(time: Time) -> SystemTime {
    let since = Duration::from_millis(time.as_millis());
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The name of a session. It does not give access to it, so it may stand in a page or a form; it
/// changes when the session's id does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionHandle(IdHash);

impl SessionHandle {
    pub(crate) const fn new(id: IdHash) -> Self {
        Self(id)
    }
}

impl fmt::Display for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is not the name of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHandle;

impl fmt::Display for NotAHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not the name of a session")
    }
}

impl std::error::Error for NotAHandle {}

impl FromStr for SessionHandle {
    type Err = NotAHandle;

    fn from_str(text: &str) -> Result<Self, NotAHandle> {
        IdHash::parse(text.as_bytes()).map(Self).ok_or(NotAHandle)
    }
}

impl Serialize for SessionHandle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionHandle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

const NOT_LISTED: &str = "sealed sessions are nowhere but in the browsers: to list them, or to end \
    one from elsewhere, keep sessions in a store";
