//! The same app three times: without sessions, with abide, with tower-sessions.
//!
//! Each has a route for each [`Kind`](crate::Kind) of request, and two more to prepare and to check. A
//! handler of the app without sessions does what the others do, except for the session.

use axum::Router;
use axum::routing::get;

/// What every handler answers.
const ANSWER: &str = "ok";

pub mod bare {
    use std::hint::black_box;

    use tower::layer::util::Identity;

    use super::{ANSWER, Router, get};
    use crate::session::{CSRF_TOKEN, next_page};

    /// With a layer that does nothing: what axum takes for any layer is not the session's.
    pub fn app() -> Router {
        Router::new()
            .route("/untouched", get(untouched))
            .route("/read", get(untouched))
            .route("/write", get(write))
            .route("/update", get(untouched))
            .route("/first", get(first))
            .layer(Identity::new())
    }

    async fn untouched() -> &'static str {
        ANSWER
    }

    async fn write() -> &'static str {
        black_box(next_page());
        ANSWER
    }

    async fn first() -> &'static str {
        black_box((CSRF_TOKEN, next_page()));
        ANSWER
    }
}

pub mod abide {
    use std::hint::black_box;

    use abide::{Error, MemoryStore, Session, SessionLayer};

    use super::{ANSWER, Router, get};
    use crate::session::{CSRF_TOKEN, Line, User, cart, next_page, preferences, user};

    type Answer = Result<&'static str, Error>;

    pub fn app() -> Router {
        Router::new()
            .route("/fill", get(fill))
            .route("/show", get(show))
            .route("/untouched", get(untouched))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/update", get(update))
            .route("/first", get(first))
            .layer(SessionLayer::new(MemoryStore::new()))
    }

    async fn fill(session: Session) -> Answer {
        session.set("user", &user())?;
        session.set("cart", &cart())?;
        session.set("preferences", &preferences())?;
        session.set("csrf", CSRF_TOKEN)?;
        session.set("page", "/")?;
        Ok(ANSWER)
    }

    async fn show(session: Session) -> Result<String, Error> {
        let user: User = session.get("user").await?.unwrap_or_default();
        let cart: Vec<Line> = session.get("cart").await?.unwrap_or_default();
        let page: String = session.get("page").await?.unwrap_or_default();
        Ok(super::shown(&user, &cart, &page))
    }

    async fn untouched() -> &'static str {
        ANSWER
    }

    async fn read(session: Session) -> Answer {
        black_box(session.get::<User>("user").await?);
        Ok(ANSWER)
    }

    async fn write(session: Session) -> Answer {
        session.set("page", &next_page())?;
        Ok(ANSWER)
    }

    async fn update(session: Session) -> Answer {
        session
            .update("cart", |cart: &mut Vec<Line>| {
                if let Some(line) = cart.first_mut() {
                    line.quantity += 1;
                }
            })
            .await?;
        Ok(ANSWER)
    }

    async fn first(session: Session) -> Answer {
        session.set("csrf", CSRF_TOKEN)?;
        session.set("page", &next_page())?;
        Ok(ANSWER)
    }
}

pub mod tower_sessions {
    use std::hint::black_box;

    use tower_sessions::cookie::time::Duration;
    use tower_sessions::{Expiry, MemoryStore, Session, SessionManagerLayer};

    use super::{ANSWER, Router, get};
    use crate::session::{CSRF_TOKEN, Line, User, cart, next_page, preferences, user};

    /// A handler that can not go on has nothing to say but that.
    type Answer = Result<&'static str, http::StatusCode>;

    pub fn app() -> Router {
        let sessions = SessionManagerLayer::new(MemoryStore::default())
            .with_expiry(Expiry::OnInactivity(Duration::days(1)));
        Router::new()
            .route("/fill", get(fill))
            .route("/show", get(show))
            .route("/untouched", get(untouched))
            .route("/read", get(read))
            .route("/write", get(write))
            .route("/update", get(update))
            .route("/first", get(first))
            .layer(sessions)
    }

    fn failed(_: tower_sessions::session::Error) -> http::StatusCode {
        http::StatusCode::INTERNAL_SERVER_ERROR
    }

    async fn fill(session: Session) -> Answer {
        session.insert("user", user()).await.map_err(failed)?;
        session.insert("cart", cart()).await.map_err(failed)?;
        session.insert("preferences", preferences()).await.map_err(failed)?;
        session.insert("csrf", CSRF_TOKEN).await.map_err(failed)?;
        session.insert("page", "/").await.map_err(failed)?;
        Ok(ANSWER)
    }

    async fn show(session: Session) -> Result<String, http::StatusCode> {
        let user: User = session.get("user").await.map_err(failed)?.unwrap_or_default();
        let cart: Vec<Line> = session.get("cart").await.map_err(failed)?.unwrap_or_default();
        let page: String = session.get("page").await.map_err(failed)?.unwrap_or_default();
        Ok(super::shown(&user, &cart, &page))
    }

    async fn untouched() -> &'static str {
        ANSWER
    }

    async fn read(session: Session) -> Answer {
        black_box(session.get::<User>("user").await.map_err(failed)?);
        Ok(ANSWER)
    }

    async fn write(session: Session) -> Answer {
        session.insert("page", next_page()).await.map_err(failed)?;
        Ok(ANSWER)
    }

    async fn update(session: Session) -> Answer {
        let mut cart: Vec<Line> = session.get("cart").await.map_err(failed)?.unwrap_or_default();
        if let Some(line) = cart.first_mut() {
            line.quantity += 1;
        }
        session.insert("cart", cart).await.map_err(failed)?;
        Ok(ANSWER)
    }

    async fn first(session: Session) -> Answer {
        session.insert("csrf", CSRF_TOKEN).await.map_err(failed)?;
        session.insert("page", next_page()).await.map_err(failed)?;
        Ok(ANSWER)
    }
}

/// What a session holds, in words.
fn shown(user: &crate::session::User, cart: &[crate::session::Line], page: &str) -> String {
    let pieces: u32 = cart.iter().map(|line| line.quantity).sum();
    format!("{} has {pieces} pieces and looks at {page}", user.name)
}
