//! One of several servers behind a proxy, with the sessions in Redis.
//!
//! `README.md` beside this folder tells the whole of it, and `run` starts the whole of it. What
//! matters is in [`sessions`]: where sessions are kept, what the cookie is called, and that the
//! proxy hands its value on in a header.
//!
//! `NAME` is what this server calls itself, `PORT` where it listens, `REDIS` the URL of the Redis
//! that all servers share.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::env;
use std::fmt::Write as _;

use abide::{Attributes, Error, Session, SessionLayer};
use abide_store_redis::RedisStore;
use axum::extract::State;
use axum::http::HeaderName;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

type Name = State<&'static str>;

/// Sessions in this store, under a cookie that the configuration of the proxy names too.
fn sessions(store: RedisStore) -> Result<SessionLayer, Box<dyn std::error::Error>> {
    // Without TLS, on this machine only. In production say `for_scheme(true)`.
    let attributes = Attributes::for_scheme(false);
    let sessions = SessionLayer::new(store)
        .cookie("sessionid", &attributes)?
        // All three proxies here set this header, or remove it, on every request.
        .id_header(HeaderName::from_static("x-session-id"));
    Ok(sessions)
}

async fn page(name: Name, session: Session) -> Result<Html<String>, Error> {
    let mut page = format!("<!doctype html><h1>This is server {}</h1>", *name);
    let Some(user) = session.subject().await? else {
        page += "<p>It does not know you.</p><form method=post action=/sign-in>\
                 <input name=user placeholder=name required maxlength=40>\
                 <input name=password type=password placeholder=secret>\
                 <button>Sign in</button></form>";
        return Ok(Html(page));
    };
    session.increment("visits", 1)?;
    let visits = session.get::<i64>("visits").await?.unwrap_or(0);
    // Writing to a String does not fail.
    let _ = write!(
        page,
        "<p>Hello, <b>{}</b>. This is visit {visits}. Reload: the next server knows it too.</p>\
         <form method=post action=/sign-out><button>Sign out</button></form>",
        escaped(user.as_str())
    );
    Ok(Html(page))
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
    password: String,
}

async fn sign_in(session: Session, form: Form<SignIn>) -> Result<Response, Error> {
    if form.password != "secret" {
        return Ok(Html("<p>Wrong password. <a href=/>Again</a>").into_response());
    }
    session.set_subject(form.user.as_str())?;
    Ok(Redirect::to("/").into_response())
}

async fn sign_out(session: Session) -> Redirect {
    session.end();
    Redirect::to("/")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variable = |name, otherwise: &str| env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    // It lives as long as the process.
    let name: &'static str = variable("NAME", "a").leak();
    let store = RedisStore::connect(&variable("REDIS", "redis://127.0.0.1:6379")).await?;
    let app = Router::new()
        .route("/", get(page))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .with_state(name)
        .layer(sessions(store)?)
        // Outside the sessions: whether this process lives is not Redis's business.
        .route("/health", get(|| async { "ok" }));
    // Only the proxy may come here: it is believed about whose session a request is of.
    let port = variable("PORT", "3001");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
