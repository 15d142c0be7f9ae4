//! The app under test.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::Value;
use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use super::store::Switch;
use crate::compat::SessionLayer;
use crate::tower_sessions::{Expiry, Session};

/// What tower-sessions gives a handler.
type Outcome<T> = Result<T, Failed>;

/// A server, its sessions, and the gate.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) layer: SessionLayer,
    pub(crate) store: Switch,
    pub(crate) gate: Gate,
}

impl App {
    /// Sessions end when unused for an hour.
    pub(crate) fn new() -> Self {
        Self::with(|layer| layer.with_expiry(Expiry::OnInactivity(Duration::hours(1))))
    }

    pub(crate) fn with(change: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        let store = Switch::new();
        let gate = Gate::default();
        let layer = change(SessionLayer::new(store.clone()));
        let router = routes(gate.clone()).layer(layer.clone());
        Self { router, layer, store, gate }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: None }
    }

    /// A browser whose session holds this.
    pub(crate) async fn browser_with(&self, key: &str, value: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.get(&format!("/set?k={key}&v={value}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(browser.cookie.is_some());
        browser
    }
}

pub(crate) fn routes(gate: Gate) -> Router {
    Router::new()
        .route("/plain", get(|_: Session| async { "plain" }))
        .route("/set", get(set))
        .route("/get", get(read))
        .route("/remove", get(remove))
        .route("/clear", get(clear))
        .route("/empty", get(empty))
        .route("/save", get(save))
        .route("/cycle", get(cycle))
        .route("/login", get(login))
        .route("/fail", get(fail))
        .route("/flush", get(flush))
        .route("/delete", get(delete))
        .route("/start-over", get(start_over))
        .route("/in-and-out", get(in_and_out))
        .route("/expire", get(expire))
        .with_state(gate)
}

/// What a request asks for.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    k: String,
    #[serde(default)]
    v: String,
    /// Whether to wait at the gate once the session is loaded.
    #[serde(default)]
    held: bool,
    /// Whether the handler saves the session itself.
    #[serde(default)]
    save: bool,
    /// Seconds of inactivity, or until a date, or the end of the browser's session if neither.
    idle: Option<i64>,
    until: Option<i64>,
}

impl Asked {
    async fn wait(&self, gate: &Gate) {
        if self.held {
            gate.wait().await;
        }
    }
}

async fn set(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Outcome<()> {
    session.get_value(&asked.k).await?;
    asked.wait(&gate).await;
    session.insert(&asked.k, &asked.v).await?;
    Ok(())
}

async fn read(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Outcome<String> {
    let value = session.get_value(&asked.k).await?;
    asked.wait(&gate).await;
    Ok(match value {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => String::new(),
    })
}

async fn remove(session: Session, asked: Query<Asked>) -> Outcome<()> {
    session.remove_value(&asked.k).await?;
    Ok(())
}

/// Without having looked at it.
async fn clear(session: Session) {
    session.clear().await;
}

/// A value comes and goes.
async fn empty(session: Session) -> Outcome<()> {
    session.insert("k", 1).await?;
    session.remove_value("k").await?;
    Ok(())
}

/// Saves before it has answered, and says what it is called then.
async fn save(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Outcome<String> {
    session.get_value(&asked.k).await?;
    asked.wait(&gate).await;
    if !asked.k.is_empty() {
        session.insert(&asked.k, &asked.v).await?;
    }
    session.save().await?;
    Ok(session.id().unwrap().to_string())
}

async fn cycle(session: Session) -> Outcome<()> {
    session.cycle_id().await?;
    Ok(())
}

/// As axum-login does it.
async fn login(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Outcome<String> {
    session.get_value("user").await?;
    asked.wait(&gate).await;
    session.cycle_id().await?;
    if asked.save {
        session.save().await?;
    }
    session.insert("user", &asked.v).await?;
    Ok(session.get::<String>("user").await?.unwrap_or_default())
}

async fn fail(session: Session, asked: Query<Asked>) -> Outcome<StatusCode> {
    session.cycle_id().await?;
    session.insert("user", &asked.v).await?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn flush(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Outcome<()> {
    session.flush().await?;
    asked.wait(&gate).await;
    Ok(())
}

async fn delete(session: Session, asked: Query<Asked>) -> Outcome<()> {
    session.get_value("k").await?;
    session.delete().await?;
    if !asked.k.is_empty() {
        session.insert(&asked.k, &asked.v).await?;
        session.save().await?;
    }
    Ok(())
}

/// Signs out, and has something to say after it.
async fn start_over(session: Session, asked: Query<Asked>) -> Outcome<()> {
    session.get_value(&asked.k).await?;
    session.flush().await?;
    session.insert(&asked.k, &asked.v).await?;
    Ok(())
}

/// Signs in, and out, and has something to say after it.
async fn in_and_out(session: Session, asked: Query<Asked>) -> Outcome<()> {
    session.cycle_id().await?;
    session.flush().await?;
    session.insert(&asked.k, &asked.v).await?;
    Ok(())
}

async fn expire(session: Session, asked: Query<Asked>) -> Outcome<()> {
    let expiry = match (asked.idle, asked.until) {
        (Some(seconds), _) => Expiry::OnInactivity(Duration::seconds(seconds)),
        (None, Some(seconds)) => {
            Expiry::AtDateTime(OffsetDateTime::now_utc() + Duration::seconds(seconds))
        }
        (None, None) => Expiry::OnSessionEnd,
    };
    session.set_expiry(Some(expiry));
    if !asked.k.is_empty() {
        session.insert(&asked.k, &asked.v).await?;
    }
    if asked.save {
        session.save().await?;
    }
    Ok(())
}

/// What a handler says that could not use its session: a status of its own, to tell it from what
/// the layer says.
pub(crate) struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl axum::response::IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::IM_A_TEAPOT, self.0).into_response()
    }
}

/// A browser that knows one site.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) router: Router,
    /// As it goes into a `Cookie` field.
    pub(crate) cookie: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn set_cookie(&self) -> Option<&str> {
        self.headers.get(header::SET_COOKIE).map(|value| value.to_str().unwrap())
    }

    /// How many seconds the browser is to keep the cookie.
    pub(crate) fn max_age(&self) -> Option<u64> {
        let (_, age) = self.set_cookie().expect("a cookie").split_once("Max-Age=")?;
        Some(age.split(';').next().unwrap().parse().unwrap())
    }
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let mut request = Request::builder().uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let response: Response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        if let Some(cookie) = answer.set_cookie() {
            let pair = cookie.split(';').next().unwrap();
            self.cookie = Some(pair.to_owned()).filter(|_| !cookie.contains("Max-Age=0"));
        }
        answer
    }

    /// What the session holds under this key, as this browser sees it.
    pub(crate) async fn value(&mut self, key: &str) -> String {
        let answer = self.get(&format!("/get?k={key}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body
    }

    /// Sends a request that waits at the gate, and returns when it is there.
    pub(crate) async fn held(&self, gate: &Gate, path: &str) -> JoinHandle<(Self, Answer)> {
        let mut browser = self.clone();
        let path = path.to_owned();
        let request = tokio::spawn(async move {
            let answer = browser.get(&path).await;
            (browser, answer)
        });
        gate.arrived().await;
        request
    }
}

/// Where requests wait until the test lets them go.
#[derive(Clone)]
pub(crate) struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    pub(crate) async fn wait(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    async fn arrived(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    pub(crate) fn release(&self, requests: usize) {
        self.open.add_permits(requests);
    }
}

/// Lets this much time pass.
pub(crate) async fn seconds(seconds: u64) {
    tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
}
