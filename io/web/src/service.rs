//! The service that gives a request its session, and settles it before the response goes out.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::answer::{complete, refusal};
use crate::counters::Count;
use crate::layer::Settings;
use crate::presented::Presentation;
use crate::{Error, Session};

/// What [`SessionLayer`](crate::SessionLayer) makes of a service.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> SessionService<S> {
    pub(crate) const fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
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
        let presented = Presentation::read(request.headers(), &self.settings);
        if presented.is_malformed() {
            self.settings.count(Count::Malformed);
        }
        let session = Session::new(Arc::clone(&self.settings), presented);
        request.extensions_mut().insert(session.clone());
        ResponseFuture { inner: self.inner.call(request), session, settling: None }
    }
}

pin_project! {
    /// Waits for the response, and then, if the session was used, for the store.
    pub struct ResponseFuture<F, R> {
        #[pin]
        inner: F,
        session: Session,
        settling: Option<Settling<R>>,
    }

    impl<F, R> PinnedDrop for ResponseFuture<F, R> {
        fn drop(this: Pin<&mut Self>) {
            // Answered, failed or broken off: no cookie can be sent any more.
            if !this.session.close_unused() {
                this.session.close();
            }
        }
    }
}

/// A response that waits for its session to be kept.
struct Settling<R> {
    response: Response<R>,
    outcome: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
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
            let mut response = ready!(this.inner.poll(task))?;
            if this.session.close_unused() {
                return Poll::Ready(Ok(response));
            }
            if this.session.is_settled() {
                finish(this.session, response.headers_mut());
                return Poll::Ready(Ok(response));
            }
            let session = this.session.clone();
            let outcome = Box::pin(async move { session.settle().await });
            *this.settling = Some(Settling { response, outcome });
        }
        let Some(settling) = this.settling else { return Poll::Pending };
        let outcome = ready!(settling.outcome.as_mut().poll(task));
        let mut response = std::mem::take(&mut settling.response);
        if let Err(error) = outcome
            && let Some(refused) =
                refused(this.session, &error, response.status().is_server_error())
        {
            response = refused;
        }
        finish(this.session, response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

impl<F, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("session", &self.session).finish_non_exhaustive()
    }
}

/// What goes out instead of a response whose session could not be kept, if anything has to.
fn refused<R: Default>(session: &Session, error: &Error, failed: bool) -> Option<Response<R>> {
    if let Error::Gone = error {
        // The visitor has signed out meanwhile, and that is what counts. The response is still
        // right for the request it answers.
        tracing::info!(target: "abide::session", "changes to a session that has ended were dropped");
        return None;
    }
    if failed || (session.may_be_missed() && !error.is_lasting()) {
        return None;
    }
    tracing::error!(target: "abide::session", %error, "a response was withheld because its session could not be kept");
    Some(refusal(error))
}

fn finish(session: &Session, headers: &mut HeaderMap) {
    let change = session.close();
    let left_over = session.left_over();
    complete(headers, &session.0.settings, (change, left_over), session.now());
}
