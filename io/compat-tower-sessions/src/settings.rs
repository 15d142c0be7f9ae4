//! What can be set about a layer, whichever version it is for.

use std::time::Duration;

use abide_cookie::{Attributes, CookieName, SameSite, SetCookie};
use abide_session::{Policy, Store};

use crate::timed::TimedStore;

/// tower-sessions' own name for the cookie.
const COOKIE: &str = "id";

/// A layer's settings as they are typed: the cookie is not checked yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) store: TimedStore,
    pub(crate) name: String,
    pub(crate) attributes: Attributes,
    pub(crate) policy: Policy,
}

/// What every request needs to know of its layer.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) store: TimedStore,
    pub(crate) cookie: SetCookie,
    pub(crate) absolute_timeout: Duration,
    pub(crate) renewal_grace: Duration,
}

impl Draft {
    pub(crate) fn new(store: impl Store) -> Self {
        Self {
            store: TimedStore::new(store),
            name: COOKIE.to_owned(),
            attributes: Attributes { same_site: SameSite::Strict, ..Attributes::for_scheme(true) },
            policy: Policy::default(),
        }
    }

    /// # Panics
    /// If browsers would not keep such a cookie.
    pub(crate) fn settle(&self) -> Settings {
        let cookie = CookieName::new(&self.name)
            .and_then(|name| SetCookie::new(name, &self.attributes))
            .unwrap_or_else(|error| panic!("the session cookie {:?}: {error}", self.name));
        Settings {
            store: self.store.clone(),
            cookie,
            absolute_timeout: self.policy.absolute_timeout,
            renewal_grace: self.policy.renewal_grace,
        }
    }
}
