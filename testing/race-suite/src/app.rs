//! The app that every server of a race runs: an ordinary one, whose handlers can be made slow
//! between what they read and what they write.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use abide::store::Subject;
use abide::{Error, Key, Session, SessionLayer, Sessions};
use axum::Router;
use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::gate::Gates;

const USER: Key<String> = Key::new("user");
const COUNT: Key<u32> = Key::new("count");
const VISITS: Key<i64> = Key::new("visits");
const SEEN: &str = "seen";
const WORK: Key<u64> = Key::new("work");

/// Starts a server, and says where.
pub(crate) async fn serve(layer: SessionLayer, gates: Arc<Gates>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound listener");
    let listener = listener.tap_io(|stream| {
        // What could fail is a connection that is gone, which its reader will find out.
        let _ = stream.set_nodelay(true);
    });
    let router = Router::new()
        .route("/plain", get(|| async { "plain" }))
        .route("/me", get(me))
        .route("/get", get(read))
        .route("/set", post(set))
        .route("/count", get(counted).post(count))
        .route("/add", get(added).post(add))
        .route("/see", get(seen).post(see))
        .route("/take", post(take))
        .route("/work", post(work))
        .route("/save", post(save))
        .route("/touch", post(touch))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/end-others", post(end_others))
        .route("/end-all", post(end_all))
        .route("/renew", post(renew))
        .with_state(gates)
        .layer(layer);
    // It ends with the runtime of the race.
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// What a request asks for.
#[derive(Deserialize)]
struct Asked {
    k: Option<String>,
    v: Option<String>,
    /// At which gate to wait.
    gate: Option<u64>,
    /// Whether to save before answering.
    saved: Option<bool>,
    /// How often to let others go first.
    yields: Option<u32>,
}

type Gated = State<Arc<Gates>>;

impl Asked {
    fn key<T: ?Sized>(&self) -> Key<T> {
        Key::from(self.k.clone().unwrap_or_default())
    }

    async fn pause(&self, gates: &Gates) {
        for _ in 0..self.yields.unwrap_or_default() {
            tokio::task::yield_now().await;
        }
        if let Some(number) = self.gate {
            gates.wait_at(number).await;
        }
    }
}

/// Who is signed in, which the session says in two ways.
async fn me(session: Session, asked: Query<Asked>, gates: Gated) -> Result<String, Error> {
    let user = session.get(USER).await?.unwrap_or_default();
    asked.pause(&gates).await;
    let subject = session.subject().await?;
    let subject = subject.as_ref().map(Subject::as_str).unwrap_or_default();
    Ok(if user == subject { user } else { format!("{user:?}, who is {subject:?}") })
}

async fn read(session: Session, asked: Query<Asked>, gates: Gated) -> Result<String, Error> {
    let value = session.get::<String>(asked.key()).await?;
    asked.pause(&gates).await;
    Ok(value.unwrap_or_default())
}

async fn set(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    session.get::<String>(asked.key()).await?;
    asked.pause(&gates).await;
    session.set(asked.key::<String>(), asked.v.as_deref().unwrap_or_default())
}

async fn count(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    session.update(COUNT, |count| *count += 1).await?;
    asked.pause(&gates).await;
    Ok(())
}

async fn counted(session: Session) -> Result<String, Error> {
    Ok(session.get(COUNT).await?.unwrap_or_default().to_string())
}

/// Counts in the store.
async fn add(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    session.get(VISITS).await?;
    asked.pause(&gates).await;
    session.increment(VISITS, 1)?;
    if asked.saved == Some(true) { session.save().await } else { Ok(()) }
}

async fn added(session: Session) -> Result<String, Error> {
    Ok(session.get(VISITS).await?.unwrap_or_default().to_string())
}

/// Adds to a set.
async fn see(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    session.get::<BTreeSet<String>>(SEEN).await?;
    asked.pause(&gates).await;
    session.add_to(SEEN, asked.v.as_deref().unwrap_or_default())
}

/// How many the set has.
async fn seen(session: Session) -> Result<String, Error> {
    let seen: BTreeSet<String> = session.get(SEEN).await?.unwrap_or_default();
    Ok(seen.len().to_string())
}

/// Takes what is to be shown once.
async fn take(session: Session, asked: Query<Asked>, gates: Gated) -> Result<String, Error> {
    session.get::<String>(asked.key()).await?;
    asked.pause(&gates).await;
    Ok(session.take::<String>(asked.key()).await?.unwrap_or_default())
}

/// Does a work that is to be done once. Its result is another one each time it is done.
async fn work(session: Session, asked: Query<Asked>, gates: Gated) -> Result<String, Error> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let work = async || {
        asked.pause(&gates).await;
        Ok::<_, Error>(LAST.fetch_add(1, Ordering::Relaxed))
    };
    Ok(session.once(WORK, work).await?.to_string())
}

/// A writer that wants to know whether what it wrote is kept.
async fn save(session: Session, asked: Query<Asked>, gates: Gated) -> Result<&'static str, Error> {
    session.update(COUNT, |count| *count += 1).await?;
    asked.pause(&gates).await;
    match session.save().await {
        Ok(()) => Ok("saved"),
        Err(Error::Gone) => Ok("gone"),
        Err(error) => Err(error),
    }
}

/// A reader that comes when the session has to be noted as seen again.
async fn touch(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    session.get(USER).await?;
    asked.pause(&gates).await;
    session.touch();
    Ok(())
}

async fn login(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    session.get(USER).await?;
    asked.pause(&gates).await;
    let user = asked.v.clone().unwrap_or_default();
    session.set(USER, &user)?;
    session.set_subject(user)
}

async fn logout(session: Session, asked: Query<Asked>, gates: Gated) {
    asked.pause(&gates).await;
    session.end();
}

async fn end_others(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    asked.pause(&gates).await;
    session.end_others().await
}

/// What somebody else does, who need not be signed in: an administrator.
async fn end_all(sessions: Sessions, asked: Query<Asked>) -> Result<(), Error> {
    sessions.end_all(asked.v.clone().unwrap_or_default()).await
}

async fn renew(session: Session, asked: Query<Asked>, gates: Gated) -> Result<(), Error> {
    session.get(USER).await?;
    asked.pause(&gates).await;
    session.renew();
    Ok(())
}
