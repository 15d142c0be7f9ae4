//! What has to name types of tower-sessions: the same text for each version, because the versions
//! differ in nothing that is used here. Each of them loads this file as a module of its own.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use abide_cookie::SameSite;
use abide_session::{Store, StoreError};
use async_trait::async_trait;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tokio::runtime::Handle as Runtime;
use tower_layer::Layer;
use tower_service::Service;

use super::tower_sessions_core::session::{Expiry, Id, Record, Session};
use super::tower_sessions_core::session_store::{self, ExpiredDeletion, SessionStore};
use crate::answer::{complete, refusal};
use crate::clock::{date_in, until};
use crate::counters::Counters;
use crate::fields::Data;
use crate::lifetime::{Lifetime, Wish};
use crate::presented::PresentedIds;
use crate::request::{Left, RequestSession, keeps};
use crate::settings::{Draft, Settings};
use crate::stock::StockStore;

/// Gives every request that passes it a `tower_sessions::Session`, kept in a store of abide's.
///
/// It stands where tower-sessions' `SessionManagerLayer` stood, and its methods have the same names
/// and, but for what is said otherwise, the same defaults. See the crate's documentation for what
/// changes.
#[derive(Clone, Debug)]
pub struct SessionLayer {
    draft: Draft,
    expiry: Option<Expiry>,
}

impl SessionLayer {
    /// Keeps sessions in this store. To use one store in several layers, hand each an `Arc` of it.
    pub fn new(store: impl Store) -> Self {
        Self { draft: Draft::new(store), expiry: None }
    }

    /// The name of the cookie. Default: `id`. `__Host-id` is safer: no other host can set it.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.draft.name = name.into();
        self
    }

    /// Whether the cookie is hidden from scripts. Default: yes.
    pub const fn with_http_only(mut self, http_only: bool) -> Self {
        self.draft.attributes.http_only = http_only;
        self
    }

    /// With which requests from other sites the cookie is sent. Default: none, `Strict`.
    pub const fn with_same_site(mut self, same_site: SameSite) -> Self {
        self.draft.attributes.same_site = same_site;
        self
    }

    /// Whether the cookie is sent and accepted over https only. Default: yes. Without it, whoever
    /// can listen on the way can take over any session: for a machine of your own only.
    pub const fn with_secure(mut self, secure: bool) -> Self {
        self.draft.attributes.secure = secure;
        self
    }

    /// Below which path the cookie is sent. Default: `/`.
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.draft.attributes.path = path.into();
        self
    }

    /// The domain whose hosts all get the cookie. Default: this host alone.
    pub fn with_domain(mut self, domain: impl Into<String>) -> Self {
        self.draft.attributes.domain = Some(domain.into());
        self
    }

    /// When sessions expire. Default, as `Expiry::OnSessionEnd`: when unused for two weeks, or when
    /// the browser is closed.
    ///
    /// To read a session is to use it, other than with tower-sessions itself: it is written down
    /// once a tenth of the time has passed, so `with_always_save` is not needed.
    pub const fn with_expiry(mut self, expiry: Expiry) -> Self {
        self.expiry = Some(expiry);
        self
    }

    /// How long a session lives in all, however much it is used, since it was made or its id was
    /// last cycled. Default: 14 days, or as long as it may stay unused, if that is longer. With
    /// `Expiry::AtDateTime` the date counts.
    pub const fn with_absolute_timeout(mut self, absolute_timeout: Duration) -> Self {
        self.draft.policy.absolute_timeout = absolute_timeout;
        self
    }

    /// How long requests are accepted that come with the id from before a `cycle_id`. They see the
    /// session as it was before, and can not write to it. Default: 10 s.
    pub const fn with_renewal_grace(mut self, renewal_grace: Duration) -> Self {
        self.draft.policy.renewal_grace = renewal_grace;
        self
    }

    /// How long the store may take for one call before it counts as unavailable. Default: 2 s.
    pub const fn with_store_timeout(mut self, store_timeout: Duration) -> Self {
        self.draft.store.limit = store_timeout;
        self
    }

    /// What this layer and its clones have seen so far.
    pub fn counters(&self) -> Counters {
        self.draft.store.tally.read()
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    /// # Panics
    /// If browsers would not keep the cookie, and says why: `SameSite=None` without `Secure`, say.
    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, settings: Arc::new(self.draft.settle()), expiry: self.expiry }
    }
}

/// What [`SessionLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    settings: Arc<Settings>,
    expiry: Option<Expiry>,
}

impl<S, B, R> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let settings = Arc::clone(&self.settings);
        let presented = PresentedIds::read(request.headers(), settings.cookie.name().as_bytes());
        let absolute_timeout = settings.absolute_timeout;
        let configured = lifetime(self.expiry, absolute_timeout);
        let dealings = Arc::new(RequestSession::new(settings, presented, configured));
        let id = dealings.handle.map(Id);
        let unasked = unasked(self.expiry);
        let session = Session::new(id, Arc::clone(&dealings), unasked);
        request.extensions_mut().insert(session.clone());
        let visit = Visit { session, dealings, unasked, configured, absolute_timeout };
        let remains = Remains(Some(visit.clone()));
        ResponseFuture { inner: self.inner.call(request), visit, settling: None, remains }
    }
}

pin_project! {
    /// Waits for the response, and then, if the session was used, for the store. If it is dropped
    /// before, a session that the handler has deleted ends all the same.
    pub struct ResponseFuture<F, R> {
        #[pin]
        inner: F,
        visit: Visit,
        settling: Option<Settling<R>>,
        // Last, so that it is dropped when the handler is over.
        remains: Remains,
    }
}

/// A response that waits for its session to be kept.
struct Settling<R> {
    response: Response<R>,
    outcome: Pin<Box<dyn Future<Output = Outcome> + Send>>,
}

impl<F, R, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.settling.is_none() {
            let response = ready!(this.inner.poll(task))?;
            if !this.visit.session.is_modified() && !this.visit.dealings.is_used() {
                return Poll::Ready(Ok(response));
            }
            let outcome = Box::pin(this.visit.clone().settle());
            *this.settling = Some(Settling { response, outcome });
        }
        let Some(settling) = this.settling else { return Poll::Pending };
        let Outcome { failure, cookie } = ready!(settling.outcome.as_mut().poll(task));
        let mut response = std::mem::take(&mut settling.response);
        if let Some(Failure { is_transient }) = failure
            && !response.status().is_server_error()
        {
            tracing::error!("a response was withheld because its session could not be kept");
            response = refusal(is_transient);
        }
        complete(response.headers_mut(), cookie);
        Poll::Ready(Ok(response))
    }
}

impl<F, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// Both ends of a request's session: the app's and the store's.
#[derive(Clone)]
struct Visit {
    session: Session,
    dealings: Arc<RequestSession>,
    /// What the session has as long as nobody has asked for anything.
    unasked: Option<Expiry>,
    configured: Lifetime,
    absolute_timeout: Duration,
}

/// What has to be done to the response.
struct Outcome {
    failure: Option<Failure>,
    cookie: Option<String>,
}

/// The session could not be kept.
struct Failure {
    /// It may work a moment later.
    is_transient: bool,
}

impl Visit {
    /// Keeps what the handler has left in its session. The status of the response does not matter:
    /// a handler that signed somebody in and failed after that has signed him in.
    async fn settle(self) -> Outcome {
        let asked = self.session.expiry();
        let is_explicit = asked != self.unasked;
        let lifetime =
            if is_explicit { lifetime(asked, self.absolute_timeout) } else { self.configured };
        let wish = Wish { lifetime, is_explicit, is_guess: false };
        self.dealings.answered(wish).await;
        let has_nothing = self.session.is_empty().await;
        let is_saved = has_nothing
            || wish.lifetime.is_over()
            || !self.session.is_modified()
            || self.session.save().await.is_ok();
        let is_kept = is_saved && self.dealings.conclude(has_nothing).await.is_ok();
        let failure = if is_kept {
            None
        } else {
            Some(Failure { is_transient: self.dealings.has_failed_for_a_moment().await })
        };
        Outcome { failure, cookie: self.dealings.close().await }
    }

    /// How the handler has left its session, or whoever has a clone of it.
    async fn left(&self) -> Left {
        if self.session.id().is_some() {
            return Left::Named;
        }
        let Some(before) = self.dealings.known().await else { return Left::Flushed };
        let mut after = Data::new();
        for name in before.keys() {
            // It has no name, so that nothing is asked of the store.
            if let Ok(Some(value)) = self.session.get_value(name).await {
                after.insert(name.clone(), value);
            }
        }
        let is_flushed = self.session.is_empty().await || !keeps(&before, &after);
        if is_flushed { Left::Flushed } else { Left::Cycled }
    }
}

/// Sees to what is left when the request is over, whichever way it ended.
struct Remains(Option<Visit>);

impl Drop for Remains {
    fn drop(&mut self) {
        let Some(visit) = self.0.take().filter(|visit| visit.dealings.leave()) else { return };
        let Ok(runtime) = Runtime::try_current() else {
            tracing::error!("a deleted session could not be ended: there is no runtime any more");
            return;
        };
        runtime.spawn(async move { visit.dealings.abandon(visit.left().await).await });
    }
}

#[async_trait]
impl SessionStore for RequestSession {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let remaining = until(record.expiry_date);
        let created = self.create(record.id.0, &record.data, remaining).await;
        if let Some(handle) = created.map_err(|error| told(&error))? {
            record.id = Id(handle);
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let remaining = until(record.expiry_date);
        self.save(record.id.0, &record.data, remaining).await.map_err(|error| told(&error))
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let found = self.load(id.0).await.map_err(|error| told(&error))?;
        Ok(found.map(|(data, remaining)| Record { id: *id, data, expiry_date: date_in(remaining) }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.delete(id.0).await.map_err(|error| told(&error))
    }
}

/// A store of abide's for tower-sessions' own layer, where [`SessionLayer`] can not be used.
///
/// What holds, and what does not, other than with [`SessionLayer`]:
///
/// * A logout is final: a save never makes a session, and after a delete it is dropped.
/// * Requests that change different keys both keep their changes, unless one of them clears the
///   session: what it has then replaces everything. A request that calls `save` itself, and then
///   sets a value back to what it was when it was loaded, keeps what it has saved.
/// * `cycle_id` ends the old session at once and makes a new one when the handler has answered, not
///   at all if that is a 5xx: parallel requests lose the session, and so may this one.
/// * A session that is only read is not prolonged, and each save sends the cookie again: a response
///   that comes late can put an old id back into the browser.
/// * There is no absolute time-out.
/// * In front of it, `CachingSessionStore` shows sessions that have ended as long as it caches
///   them, on every other server. Use none.
///
/// The two layers do not know each other's sessions: their cookies have different forms.
#[derive(Clone, Debug)]
pub struct TowerStore(StockStore);

impl TowerStore {
    /// Keeps sessions in this store.
    pub fn new(store: impl Store) -> Self {
        Self(StockStore::new(store))
    }

    /// How long the store may take for one call before it counts as unavailable. Default: 2 s.
    pub const fn with_store_timeout(mut self, store_timeout: Duration) -> Self {
        self.0.0.limit = store_timeout;
        self
    }

    /// What this store and its clones have seen so far.
    pub fn counters(&self) -> Counters {
        self.0.0.tally.read()
    }
}

#[async_trait]
impl SessionStore for TowerStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        let remaining = until(record.expiry_date);
        let draw = || Id::default().0;
        let created = self.0.create(record.id.0, &mut record.data, remaining, draw).await;
        record.id = Id(created.map_err(|error| told(&error))?);
        Ok(())
    }

    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let remaining = until(record.expiry_date);
        self.0.save(record.id.0, &record.data, remaining).await.map_err(|error| told(&error))
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let found = self.0.load(id.0).await.map_err(|error| told(&error))?;
        Ok(found.map(|(data, remaining)| Record { id: *id, data, expiry_date: date_in(remaining) }))
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        self.0.delete(id.0).await.map_err(|error| told(&error))
    }
}

/// Does nothing: stores of abide's let go of what has expired by themselves.
#[async_trait]
impl ExpiredDeletion for TowerStore {
    async fn delete_expired(&self) -> session_store::Result<()> {
        Ok(())
    }
}

/// The layer's expiry, marked by a nanosecond, so that it can be told from the same asked for.
fn unasked(configured: Option<Expiry>) -> Option<Expiry> {
    let mark = time::Duration::nanoseconds(1);
    match configured {
        Some(Expiry::OnInactivity(span)) => Some(Expiry::OnInactivity(span.saturating_add(mark))),
        Some(Expiry::AtDateTime(date)) => Some(Expiry::AtDateTime(date.saturating_add(mark))),
        Some(Expiry::OnSessionEnd) | None => None,
    }
}

fn lifetime(expiry: Option<Expiry>, absolute_timeout: Duration) -> Lifetime {
    match expiry {
        Some(Expiry::OnInactivity(span)) => {
            Lifetime::of_inactivity(span.try_into().unwrap_or_default(), absolute_timeout)
        }
        Some(Expiry::AtDateTime(date)) => Lifetime::until(until(date)),
        Some(Expiry::OnSessionEnd) | None => Lifetime::of_browser_session(absolute_timeout),
    }
}

/// An error in the words of tower-sessions, which has texts only.
fn told(error: &StoreError) -> session_store::Error {
    let text = error.to_string();
    match error {
        StoreError::TooLarge(_) => session_store::Error::Encode(text),
        StoreError::Corrupt(_) => session_store::Error::Decode(text),
        _ => session_store::Error::Backend(text),
    }
}
