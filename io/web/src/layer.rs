//! The layer, and what can be set about it.

use std::sync::Arc;
use std::time::Duration;

use abide_cookie::{Attributes, CookieError, CookieName, SetCookie};
use abide_session::{Policy, Store};
use http::HeaderName;
use tower_layer::Layer;

use crate::clock::Clock;
use crate::counters::{Counters, Tally};
use crate::service::SessionService;

/// Gives every request that passes it a [`Session`](crate::Session).
///
/// Everything has a default; see the crate's documentation for the defaults and their reasons.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    settings: Settings,
}

/// What every request needs to know of its layer.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) policy: Policy,
    pub(crate) cookie: SetCookie,
    pub(crate) id_header: Option<HeaderName>,
    pub(crate) store_timeout: Duration,
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
}

impl SessionLayer {
    /// Keeps sessions in this store. To use one store in several layers, hand each an `Arc` of it.
    pub fn new(store: impl Store) -> Self {
        Self {
            settings: Settings {
                store: Arc::new(store),
                policy: Policy::default(),
                cookie: cookie(SECURE_COOKIE, &Attributes::for_scheme(true)),
                id_header: None,
                store_timeout: STORE_TIMEOUT,
                clock: Clock::start(),
                tally: Arc::default(),
            },
        }
    }

    /// How long a session may stay unused. Default: one day.
    pub const fn idle_timeout(mut self, idle_timeout: Duration) -> Self {
        self.settings.policy.idle_timeout = idle_timeout;
        self
    }

    /// How long a session lives in all, since it was made or last signed in. Default: 14 days. No
    /// browser keeps a cookie for more than 400.
    pub const fn absolute_timeout(mut self, absolute_timeout: Duration) -> Self {
        self.settings.policy.absolute_timeout = absolute_timeout;
        self
    }

    /// How long the old id is accepted after an id was renewed. Default: 10 s.
    pub const fn renewal_grace(mut self, renewal_grace: Duration) -> Self {
        self.settings.policy.renewal_grace = renewal_grace;
        self
    }

    /// How long the store may take for one call before it counts as unavailable. Default: 2 s.
    pub const fn store_timeout(mut self, store_timeout: Duration) -> Self {
        self.settings.store_timeout = store_timeout;
        self
    }

    /// Another name for the cookie, or other attributes. Default: `__Host-abide`, and whatever
    /// [`Attributes::for_scheme`] gives for https.
    ///
    /// # Errors
    /// [`CookieError`] if browsers would not keep such a cookie.
    pub fn cookie(mut self, name: &str, attributes: &Attributes) -> Result<Self, CookieError> {
        self.settings.cookie = SetCookie::new(CookieName::new(name)?, attributes)?;
        Ok(self)
    }

    /// A cookie named `abide` that browsers also send and accept without TLS. Whoever can listen on
    /// the way can then take over any session: for a machine of your own only.
    pub fn insecure_for_development(mut self) -> Self {
        self.settings.cookie = cookie(INSECURE_COOKIE, &Attributes::for_scheme(false));
        self
    }

    /// Reads the id from this request header before it looks for cookies, as where a proxy hands it
    /// on in `X-Session-Id`. Only for a proxy that sets the header itself, or removes it, on every
    /// request.
    pub fn id_header(mut self, name: HeaderName) -> Self {
        self.settings.id_header = Some(name);
        self
    }

    /// What this layer and its clones have seen so far.
    pub fn counters(&self) -> Counters {
        self.settings.tally.read()
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService::new(inner, Arc::new(self.settings.clone()))
    }
}

const SECURE_COOKIE: &str = "__Host-abide";
const INSECURE_COOKIE: &str = "abide";
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// One of our own two cookies.
fn cookie(name: &str, attributes: &Attributes) -> SetCookie {
    CookieName::new(name)
        .and_then(|name| SetCookie::new(name, attributes))
        .expect("the default cookies are ones that browsers keep")
}
