//! The example application: a small web shop that keeps its visitors' sessions with the abide
//! library.
//!
//! It is what `abide demo` starts several of, and what tests and benchmarks drive. The page asks the
//! same server for its data, under `/shop`; programs use `/api`. `/demo` hands the page's orders on to
//! the demo that started this process, if one did.

mod api;

mod page;
mod relay;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use abide::{Key, Session};
use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::cluster;
use crate::keep::Kept;

/// Who is signed in.
const USER: Key<String> = Key::new("user");
/// The longest name, in characters, that somebody signs in by.
const USER_CHARACTERS_MAX: usize = 40;
/// The longest wait that a request may ask for: a minute is more than any test needs.
const DELAY_MS_MAX: u64 = 60_000;
/// How long a stop waits for requests under way.
const STOP_MS_MAX: u64 = 5_000;

/// One shop server.
#[derive(Debug)]
pub(crate) struct Shop {
    name: String,
    kept: Kept,
    requests: AtomicU64,
    demo: Option<SocketAddr>,
}

/// What a shop says of itself. The demo shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The server's name.
    pub(crate) server: String,
    /// Sessions that it holds; none if that is not its business.
    pub(crate) sessions: Option<usize>,
    /// Requests of visitors that it has answered.
    pub(crate) requests: u64,
    /// Whether it holds all the copies that it should; true if it is no node.
    pub(crate) is_filled: bool,
}

impl Shop {
    /// A shop of this name; `demo` is where the demo that started it takes orders.
    pub(crate) fn new(name: String, mut kept: Kept, demo: Option<SocketAddr>) -> Self {
        kept.sessions = kept.sessions.insecure_for_development();
        Self { name, kept, requests: AtomicU64::new(0), demo }
    }

    /// Serves until `stop`, then finishes what is under way.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let node = self.kept.node().cloned();
        let router = self.into_router();
        let (stopping, stopped) = tokio::sync::oneshot::channel();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
            stop.await;
            if let Some(node) = node {
                cluster::leave(&node).await;
            }
            _ = stopping.send(());
        });
        let too_long = async {
            _ = stopped.await;
            tokio::time::sleep(Duration::from_millis(STOP_MS_MAX)).await;
        };
        tokio::select! {
            ended = serving.into_future() => ended,
            () = too_long => Ok(()),
        }
    }

    fn into_router(self) -> Router {
        let (sessions, node) = (self.kept.sessions.clone(), self.kept.node().cloned());
        let shop = Arc::new(self);
        Router::new()
            .merge(api::routes())
            .merge(visitor::routes())
            .layer(sessions)
            .route("/", get(page::show))
            .layer(from_fn_with_state(Arc::clone(&shop), count))
            // Below are the routes that are not a visitor's doing.
            .merge(relay::routes())
            .route("/health", get(|| async { "ok\n" }))
            .route("/ready", get(ready))
            .route("/status", get(status))
            .route("/metrics", get(metrics))
            .merge(cluster::routes(node))
            .with_state(shop)
    }
}

async fn count(State(shop): State<Arc<Shop>>, request: Request, next: Next) -> Response {
    shop.requests.fetch_add(1, Ordering::Relaxed);
    next.run(request).await
}

async fn status(State(shop): State<Arc<Shop>>) -> Json<Status> {
    Json(Status {
        server: shop.name.clone(),
        sessions: match shop.kept.node() {
            Some(node) => node.status().await.map(|status| status.sessions),
            None => shop.kept.memory.as_ref().map(|store| store.sessions()),
        },
        requests: shop.requests.load(Ordering::Relaxed),
        is_filled: match shop.kept.node() {
            Some(node) => node.is_ready().await,
            None => true,
        },
    })
}

/// Whether a visitor's session could be kept right now. Not for a balancer to take servers out by:
/// when the store is down it is down for all of them, and pages without a session go on.
async fn ready(State(shop): State<Arc<Shop>>) -> Response {
    if let Some(node) = shop.kept.node()
        && let Some(answer) = cluster::unready(node).await
    {
        return answer;
    }
    for store in &shop.kept.stores {
        if let Err(error) = store.health().await {
            let text = format!("{}: {error}\n", store.name());
            return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        }
    }
    "ready\n".into_response()
}

async fn metrics(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], shop.kept.metrics().await)
}

/// A name to sign in by, without blanks around it.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct UserName(String);

impl TryFrom<String> for UserName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.trim();
        if (1..=USER_CHARACTERS_MAX).contains(&name.chars().count()) {
            Ok(Self(name.to_owned()))
        } else {
            Err("a name has 1 to 40 characters")
        }
    }
}

/// Signs somebody in. The session gets a new id by that, so that nobody who knew the old one is signed
/// in too.
fn sign_in(session: &Session, user: &UserName) -> Result<(), abide::Error> {
    session.set(USER, &user.0)?;
    session.set_subject(user.0.as_str())
}
