//! The layer, and what can be set about it.

use std::sync::Arc;
use std::time::Duration;

use abide_cookie::{Attributes, CookieError, CookieName, SetCookie};
use abide_session::{Policy, Store};
use http::HeaderName;
use tower_layer::Layer;

use crate::carried::CarryOver;
use crate::clock::Clock;
use crate::counters::{Counters, Tally};
use crate::event::Listener;
use crate::once::Flights;
use crate::sealed::Sealing;
use crate::service::SessionService;
use crate::{Event, SealedCookie, Sessions};

/// Gives every request that passes it a [`Session`](crate::Session).
///
/// Everything has a default; see the crate's documentation for the defaults and their reasons, and
/// [`manual::choosing`](crate::manual::choosing) for whether to keep sessions in a store or in
/// sealed cookies.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    settings: Settings,
}

/// What every request needs to know of its layer.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) keep: Keep,
    pub(crate) carry_over: CarryOver,
    pub(crate) policy: Policy,
    pub(crate) cookie: SetCookie,
    pub(crate) id_header: Option<HeaderName>,
    pub(crate) store_timeout: Duration,
    pub(crate) sessions_per_user: Option<usize>,
    pub(crate) without_session_in_outage: bool,
    pub(crate) clock: Clock,
    pub(crate) tally: Arc<Tally>,
    pub(crate) listener: Option<Listener>,
    pub(crate) flights: Arc<Flights>,
}

/// Where sessions are kept.
#[derive(Clone, Debug)]
pub(crate) enum Keep {
    /// In a store; the browser holds the id.
    Stored(Arc<dyn Store>),
    /// By the browser itself.
    Sealed(Box<Sealing>),
}

impl SessionLayer {
    /// Keeps sessions in this store. To use one store in several layers, hand each an `Arc` of it.
    pub fn new(store: impl Store) -> Self {
        let cookie = cookie(SECURE_COOKIE, &Attributes::for_scheme(true));
        Self::keeping(Keep::Stored(Arc::new(store)), cookie)
    }

    /// Keeps each session whole in the browser that it belongs to, in a sealed cookie. Takes a
    /// [`KeyRing`](crate::KeyRing), or a [`SealedCookie`] to say more.
    ///
    /// Two responses that are under way at once overwrite each other's cookie: of two concurrent
    /// changes of one session the one that arrives last stays. And without a store for
    /// [revocations](SealedCookie::revocations), who copied a cookie can use it until it expires,
    /// whatever its owner does. [`manual::choosing`](crate::manual::choosing) says more.
    pub fn sealed(how: impl Into<SealedCookie>) -> Self {
        let sealing =
            Box::new(sealing_named(SECURE_COOKIE, &Attributes::for_scheme(true), how.into()));
        let cookie = cookie(SECURE_COOKIE, &Attributes::for_scheme(true));
        Self::keeping(Keep::Sealed(sealing), cookie)
    }

    fn keeping(keep: Keep, cookie: SetCookie) -> Self {
        let settings = Settings {
            keep,
            carry_over: CarryOver::Nothing,
            policy: Policy::default(),
            cookie,
            id_header: None,
            store_timeout: STORE_TIMEOUT,
            sessions_per_user: None,
            without_session_in_outage: false,
            clock: Clock::start(),
            tally: Arc::default(),
            listener: None,
            flights: Arc::default(),
        };
        Self { settings }
    }

    /// Takes over sessions that browsers still hold in sealed cookies: an application that kept them
    /// there, and from now on keeps them in this store. The first request that uses such a session
    /// makes it in the store, under its own id, and its response replaces the cookie. Until the last
    /// sealed cookie has expired, which is one absolute time-out after the change, this has to stay.
    ///
    /// Say the same as [`SessionLayer::sealed`] was told, revocations included, before anything about
    /// the cookie, which keeps its name. A session that was signed out after it was taken over stays
    /// so, whatever copies of the sealed cookie there are. [`manual::moving`](crate::manual::moving) says how to deploy
    /// it.
    ///
    /// Without effect where sessions are sealed.
    pub fn carry_over_sealed(mut self, how: impl Into<SealedCookie>) -> Self {
        let sealing = sealing_named(SECURE_COOKIE, &Attributes::for_scheme(true), how.into());
        self.settings.carry_over = CarryOver::Sealed(Box::new(sealing));
        self
    }

    /// Takes over sessions that are in this store, of browsers that still hold ids: an application
    /// that kept them there, and from now on keeps them in sealed cookies. The first response to a
    /// request that uses such a session carries it whole. In the store it is left until the browser
    /// presents the cookie, so a response that is lost loses nothing. Until the last session in the
    /// store has ended, this has to stay.
    ///
    /// What does not fit a cookie can be read and not written. [`manual::moving`](crate::manual::moving) says how to
    /// deploy it.
    ///
    /// Without effect where sessions are in a store: use [`Moving`](crate::Moving) there.
    pub fn carry_over_stored(mut self, store: impl Store) -> Self {
        self.settings.carry_over = CarryOver::Stored(Arc::new(store));
        self
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

    /// How many sessions one user may have. Who signs in once more ends the one that was unused for
    /// longest. Default: no limit. Sealed sessions are not known to anybody but their browsers, so
    /// they are not limited.
    ///
    /// It takes a list of the user's sessions at each sign-in, and is counted after it: for the
    /// moment of a sign-in there is one more.
    pub const fn sessions_per_user(mut self, sessions: usize) -> Self {
        self.settings.sessions_per_user = Some(sessions);
        self
    }

    /// Lets a request that only reads go on as if there was no session when the store does not
    /// answer: a page for visitors instead of a 503. Default: reading fails.
    ///
    /// Nothing is kept in such a request: what it writes, it fails for, with 503 as always. A
    /// handler can tell by [`Session::is_without_store`](crate::Session::is_without_store).
    pub const fn without_session_in_outage(mut self) -> Self {
        self.settings.without_session_in_outage = true;
        self
    }

    /// Another name for the cookie, or other attributes. Default: `__Host-abide`, and whatever
    /// [`Attributes::for_scheme`] gives for https.
    ///
    /// # Errors
    /// [`CookieError`] if browsers would not keep such a cookie.
    pub fn cookie(mut self, name: &str, attributes: &Attributes) -> Result<Self, CookieError> {
        let name = CookieName::new(name)?;
        self.settings.cookie = SetCookie::new(name.clone(), attributes)?;
        for sealing in self.settings.sealings() {
            *sealing = Sealing::new(sealing.how.clone(), name.clone(), attributes)?;
        }
        Ok(self)
    }

    /// A cookie named `abide` that browsers also send and accept without TLS. Whoever can listen on
    /// the way can then take over any session: for a machine of your own only.
    pub fn insecure_for_development(mut self) -> Self {
        let attributes = Attributes::for_scheme(false);
        self.settings.cookie = cookie(INSECURE_COOKIE, &attributes);
        for sealing in self.settings.sealings() {
            *sealing = sealing_named(INSECURE_COOKIE, &attributes, sealing.how.clone());
        }
        self
    }

    /// Reads the id from this request header before it looks for cookies, as where a proxy hands it
    /// on in `X-Session-Id`. Only for a proxy that sets the header itself, or removes it, on every
    /// request. Sealed sessions have no id to look for.
    pub fn id_header(mut self, name: HeaderName) -> Self {
        self.settings.id_header = Some(name);
        self
    }

    /// Tells this function of everything that happens to sessions. It is called where it happens,
    /// so it must not block; to do more, let it send to a channel. Only the last one given is told.
    pub fn on_event(mut self, tell: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.settings.listener = Some(Listener(Arc::new(tell)));
        self
    }

    /// What this layer and its clones have seen so far.
    pub fn counters(&self) -> Counters {
        self.settings.tally.read()
    }

    /// All sessions of this layer, to list or end those of a user.
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Arc::new(self.settings.clone()))
    }
}

impl Settings {
    /// All that is sealed with.
    fn sealings(&mut self) -> impl Iterator<Item = &mut Sealing> {
        let kept = match &mut self.keep {
            Keep::Sealed(sealing) => Some(&mut **sealing),
            Keep::Stored(_) => None,
        };
        let carried = match &mut self.carry_over {
            CarryOver::Sealed(sealing) => Some(&mut **sealing),
            CarryOver::Stored(_) | CarryOver::Nothing => None,
        };
        kept.into_iter().chain(carried)
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

fn sealing_named(name: &str, attributes: &Attributes, how: SealedCookie) -> Sealing {
    CookieName::new(name)
        .and_then(|name| Sealing::new(how, name, attributes))
        .expect("the default cookies are ones that browsers keep")
}
