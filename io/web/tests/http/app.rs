//! The app under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use abide::store::{
    Changes, Commit, Create, End, IdHash, Listed, Loaded, Rename, StoreFuture, Subject,
};
use abide::{Error, Key, MemoryStore, Session, SessionLayer, Store, StoreError};
use abide_time::Time;
use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use axum::routing::{get, post};
use http_body_util::BodyExt;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tower::ServiceExt;

pub(crate) const COUNT: Key<u32> = Key::new("count");

/// A server, its sessions, and the gate.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) layer: SessionLayer,
    pub(crate) store: MemoryStore,
    pub(crate) switch: Switch,
    pub(crate) gate: Gate,
}

impl App {
    pub(crate) fn new() -> Self {
        Self::with(MemoryStore::new(), |layer| layer)
    }

    pub(crate) fn with(
        store: MemoryStore,
        change: impl FnOnce(SessionLayer) -> SessionLayer,
    ) -> Self {
        let switch = Switch { store: store.clone(), state: Arc::default() };
        let gate = Gate::default();
        let layer = change(SessionLayer::new(switch.clone()));
        let router = Router::new()
            .route("/plain", get(|| async { "plain" }))
            .route("/login", post(login))
            .route("/logout", post(logout))
            .route("/me", get(me))
            .route("/get", get(read))
            .route("/set", post(set))
            .route("/set-remove", post(set_remove))
            .route("/put", post(put))
            .route("/put-twice", post(put_twice))
            .route("/remove", post(remove))
            .route("/incr", post(increment))
            .route("/renew", post(renew))
            .route("/save", post(save))
            .route("/fail", post(fail))
            .route("/end-others", post(end_others))
            .with_state(gate.clone())
            .layer(layer.clone());
        Self { router, layer, store, switch, gate }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: None, header: None }
    }
}

/// What a request asks for.
#[derive(Deserialize)]
struct Asked {
    k: Option<String>,
    v: Option<String>,
    /// Whether to wait at the gate between reading and writing.
    held: Option<bool>,
}

impl Asked {
    fn key<T: ?Sized>(&self) -> Key<T> {
        Key::from(self.k.clone().unwrap_or_default())
    }

    async fn wait(&self, gate: &Gate) {
        if self.held == Some(true) {
            gate.wait().await;
        }
    }
}

async fn login(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Result<(), Error> {
    session.get::<String>("user").await?;
    asked.wait(&gate).await;
    let user = asked.v.clone().unwrap_or_default();
    session.set("user", &user)?;
    session.set_subject(user)
}

async fn logout(session: Session) {
    session.end();
}

async fn me(session: Session) -> Result<String, Error> {
    let subject = session.subject().await?;
    let user = session.get::<String>("user").await?;
    assert_eq!(subject.as_ref().map(Subject::as_str), user.as_deref());
    Ok(user.unwrap_or_default())
}

async fn read(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Result<String, Error> {
    let value = session.get::<String>(asked.key()).await?;
    asked.wait(&gate).await;
    Ok(value.unwrap_or_default())
}

async fn set(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Result<String, Error> {
    session.get::<String>(asked.key()).await?;
    asked.wait(&gate).await;
    session.set(asked.key::<String>(), asked.v.as_deref().unwrap_or_default())?;
    let value = session.get::<String>(asked.key()).await?;
    Ok(value.unwrap_or_default())
}

async fn put(session: Session, asked: Query<Asked>) -> Result<(), Error> {
    session.set(asked.key::<String>(), asked.v.as_deref().unwrap_or_default())
}

async fn put_twice(session: Session, asked: Query<Asked>) -> Result<String, Error> {
    session.set(asked.key::<String>(), "first")?;
    session.save().await?;
    session.set(asked.key::<String>(), "second")?;
    Ok(session.get::<String>(asked.key()).await?.unwrap_or_default())
}

async fn remove(session: Session, asked: Query<Asked>) -> Result<(), Error> {
    session.remove(asked.key::<str>())
}

async fn set_remove(session: Session, asked: Query<Asked>) -> Result<(), Error> {
    session.set(asked.key::<String>(), "x")?;
    session.remove(asked.key::<str>())
}

async fn increment(
    session: Session,
    asked: Query<Asked>,
    gate: State<Gate>,
) -> Result<String, Error> {
    session.update(COUNT, |count| *count += 1).await?;
    asked.wait(&gate).await;
    Ok(session.get(COUNT).await?.unwrap_or_default().to_string())
}

async fn renew(session: Session, asked: Query<Asked>, gate: State<Gate>) -> Result<(), Error> {
    session.get::<String>("user").await?;
    asked.wait(&gate).await;
    session.renew();
    Ok(())
}

async fn save(
    session: Session,
    asked: Query<Asked>,
    gate: State<Gate>,
) -> Result<&'static str, Error> {
    session.update(COUNT, |count| *count += 1).await?;
    asked.wait(&gate).await;
    match session.save().await {
        Ok(()) => {
            session.update(COUNT, |count| *count += 10).await?;
            Ok("saved")
        }
        Err(Error::Gone) => {
            session.set("late", "1")?;
            Ok("gone")
        }
        Err(error) => Err(error),
    }
}

async fn end_others(session: Session) -> Result<(), Error> {
    session.end_others().await
}

async fn fail(session: Session) -> Result<StatusCode, Error> {
    session.set_subject("alice")?;
    session.set("user", "alice")?;
    Ok(StatusCode::INTERNAL_SERVER_ERROR)
}

/// A browser that knows one site.
#[derive(Clone)]
pub(crate) struct Browser {
    router: Router,
    /// As it goes into a `Cookie` field.
    pub(crate) cookie: Option<String>,
    /// An `X-Session-Id`.
    pub(crate) header: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn set_cookie(&self) -> Option<&str> {
        self.header(header::SET_COOKIE)
    }
}

impl Browser {
    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path).await
    }

    pub(crate) async fn post(&mut self, path: &str) -> Answer {
        self.send(Method::POST, path).await
    }

    /// Sends a request that waits at the gate, and returns when it is there.
    pub(crate) async fn held(
        &self,
        gate: &Gate,
        method: Method,
        path: &str,
    ) -> tokio::task::JoinHandle<(Self, Answer)> {
        let mut browser = self.clone();
        let path = path.to_owned();
        let request = tokio::spawn(async move {
            let answer = browser.send(method, &path).await;
            (browser, answer)
        });
        gate.arrived().await;
        request
    }

    async fn send(&mut self, method: Method, path: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        if let Some(id) = &self.header {
            request = request.header("x-session-id", id);
        }
        let request = request.body(Body::empty()).unwrap();
        let response: Response<Body> = self.router.clone().oneshot(request).await.unwrap();
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
    async fn wait(&self) {
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

/// A memory store that counts its calls, and can be down or silent.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    store: MemoryStore,
    state: Arc<SwitchState>,
}

#[derive(Debug, Default)]
struct SwitchState {
    calls: AtomicU64,
    down: AtomicBool,
    silent: AtomicBool,
    contested: AtomicBool,
}

impl Switch {
    pub(crate) fn calls(&self) -> u64 {
        self.state.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    pub(crate) fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::SeqCst);
    }

    /// Somebody is always faster.
    pub(crate) fn set_contested(&self, contested: bool) {
        self.state.contested.store(contested, Ordering::SeqCst);
    }

    fn through<'a, T: Send + 'a>(&'a self, call: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        self.state.calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if self.state.silent.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if self.state.down.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable("switched off".into()));
            }
            call.await
        })
    }
}

impl Store for Switch {
    fn create(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Create> {
        self.through(self.store.create(id, changes, now))
    }

    fn load(&self, id: IdHash, now: Time) -> StoreFuture<'_, Loaded> {
        self.through(self.store.load(id, now))
    }

    fn commit(&self, id: IdHash, changes: Changes, now: Time) -> StoreFuture<'_, Commit> {
        if self.state.contested.load(Ordering::SeqCst) {
            return self.through(Box::pin(async { Ok(Commit::Conflict(Vec::new())) }));
        }
        self.through(self.store.commit(id, changes, now))
    }

    fn end(&self, id: IdHash, now: Time) -> StoreFuture<'_, End> {
        self.through(self.store.end(id, now))
    }

    fn rename(&self, id: IdHash, rename: Rename, now: Time) -> StoreFuture<'_, Commit> {
        self.through(self.store.rename(id, rename, now))
    }

    fn list<'a>(&'a self, subject: &'a Subject, now: Time) -> StoreFuture<'a, Vec<Listed>> {
        self.through(self.store.list(subject, now))
    }

    fn end_all<'a>(
        &'a self,
        subject: &'a Subject,
        except: Option<IdHash>,
        now: Time,
    ) -> StoreFuture<'a, ()> {
        self.through(self.store.end_all(subject, except, now))
    }
}
