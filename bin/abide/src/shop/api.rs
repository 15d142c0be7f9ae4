//! The JSON API that tests and benchmarks drive.
//!
//! Every route that takes `delay_ms` loads the session, waits, and only then changes it: the wait
//! is where races between requests of one session happen.

use std::sync::Arc;
use std::time::Duration;

use abide::{Error, Key, Session};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DELAY_MS_MAX, Shop, USER, UserName};

/// The longest name of a field that can be asked for.
const FIELD_CHARACTERS_MAX: usize = 64;
/// The most bytes that `big` sets. Stores refuse less than this, which is what one tries it for.
const BIG_BYTES_MAX: usize = 8 * 1024 * 1024;

pub(super) fn routes() -> Router<Arc<Shop>> {
    Router::new()
        .route("/api/login", post(login))
        .route("/api/logout", post(logout))
        .route("/api/me", get(me))
        .route("/api/set", post(set))
        .route("/api/get", get(read_field))
        .route("/api/incr", post(incr))
        .route("/api/read", get(read))
        .route("/api/plain", get(plain))
        .route("/api/renew", post(renew))
        .route("/api/big", post(big))
}

/// What a field of this API holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Held {
    Number(i64),
    Text(String),
}

#[derive(Debug, Deserialize)]
struct User {
    user: UserName,
}

#[derive(Debug, Deserialize)]
struct Field {
    k: String,
    #[serde(default)]
    v: String,
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Delay {
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Debug, Deserialize)]
struct Size {
    bytes: usize,
}

/// Why a request was not done.
enum Refused {
    Session(Error),
    TooLong(&'static str),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Session(error) => error.into_response(),
            Self::TooLong(text) => (StatusCode::BAD_REQUEST, text).into_response(),
        }
    }
}

impl Field {
    /// The session's field. Those of this API live apart from the shop's own, so that a program can
    /// not sign in by setting `user`.
    fn key(&self) -> Result<Key<Held>, Refused> {
        if self.k.chars().count() > FIELD_CHARACTERS_MAX {
            return Err(Refused::TooLong("k can have 64 characters\n"));
        }
        Ok(Key::from(format!("api.{}", self.k)))
    }
}

type Answer = Result<Json<Value>, Refused>;

async fn login(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(user): Query<User>,
) -> Answer {
    super::sign_in(&session, &user.user)?;
    who(&shop, &session).await
}

async fn logout(State(shop): State<Arc<Shop>>, session: Session) -> Json<Value> {
    session.end();
    Json(json!({ "user": null, "server": shop.name }))
}

async fn me(State(shop): State<Arc<Shop>>, session: Session) -> Answer {
    who(&shop, &session).await
}

async fn set(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(field): Query<Field>,
) -> Answer {
    load_and_wait(&session, field.delay_ms).await?;
    session.set(field.key()?, &Held::Text(field.v.clone()))?;
    Ok(Json(json!({ "k": field.k, "value": field.v, "server": shop.name })))
}

async fn read_field(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(field): Query<Field>,
) -> Answer {
    let value = session.get(field.key()?).await?;
    Ok(Json(json!({ "k": field.k, "value": value, "server": shop.name })))
}

/// One more, whatever happens at the same time; a text that is no number counts as 0.
async fn incr(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(field): Query<Field>,
) -> Answer {
    load_and_wait(&session, field.delay_ms).await?;
    session.update(field.key()?, |held: &mut Held| *held = held.one_more()).await?;
    let value = session.get(field.key()?).await?;
    Ok(Json(json!({ "k": field.k, "value": value, "server": shop.name })))
}

impl Default for Held {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Held {
    fn one_more(&self) -> Self {
        let number = match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.parse().unwrap_or(0),
        };
        Self::Number(number.saturating_add(1))
    }
}

async fn read(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(delay): Query<Delay>,
) -> Answer {
    load_and_wait(&session, delay.delay_ms).await?;
    who(&shop, &session).await
}

async fn plain(State(shop): State<Arc<Shop>>) -> Json<Value> {
    Json(json!({ "server": shop.name }))
}

async fn renew(
    State(shop): State<Arc<Shop>>,
    session: Session,
    Query(delay): Query<Delay>,
) -> Answer {
    load_and_wait(&session, delay.delay_ms).await?;
    session.renew();
    who(&shop, &session).await
}

async fn big(State(shop): State<Arc<Shop>>, session: Session, Query(size): Query<Size>) -> Answer {
    if size.bytes > BIG_BYTES_MAX {
        return Err(Refused::TooLong("bytes can be up to 8388608\n"));
    }
    session.set(Key::<String>::new("api.big"), &"x".repeat(size.bytes))?;
    // Here and not after the answer, so that the refusal of one too large can say why.
    session.save().await?;
    Ok(Json(json!({ "bytes": size.bytes, "server": shop.name })))
}

async fn who(shop: &Shop, session: &Session) -> Answer {
    let user = session.get(USER).await?;
    Ok(Json(json!({ "user": user, "server": shop.name })))
}

async fn load_and_wait(session: &Session, delay_ms: u64) -> Result<(), Error> {
    session.get(USER).await?;
    if delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(delay_ms.min(DELAY_MS_MAX))).await;
    }
    Ok(())
}
