//! Stay signed in for an afternoon, or for half a year: the visitor chooses.
//!
//! ```text
//! cargo run -p abide-example-remember-me
//! ```
//!
//! Open <http://127.0.0.1:3000> and sign in with any name and the password `secret`, once with the
//! box ticked and once without. The page says how long the session has left. It has two limits: it
//! ends when nobody has used it for some time, and at the latest some time after the sign-in, however
//! much it is used. In the browser's developer tools the cookie `abide` lasts as long as the second.
//!
//! The limits are the server's, whatever a browser keeps: a cookie that somebody holds back for a
//! year finds no session. `PORT=4000` listens there instead.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::time::Duration;

use abide::{Error, Lifetime, MemoryStore, Session, SessionLayer, Sessions};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

/// For whoever says nothing else: unused for half an hour, or after ten hours, it is over.
const USUAL: Lifetime =
    Lifetime { idle_timeout: Duration::from_mins(30), absolute_timeout: Duration::from_hours(10) };
/// For whoever wants to be remembered: a month without a visit, or half a year in all.
const REMEMBERED: Lifetime = Lifetime {
    idle_timeout: Duration::from_hours(30 * 24),
    absolute_timeout: Duration::from_hours(180 * 24),
};

async fn page(session: Session, sessions: Sessions) -> Result<Html<String>, Error> {
    let Some(user) = session.subject().await? else {
        return Ok(Html(format!("{HEAD}{SIGN_IN}")));
    };
    let this = session.handle().await?;
    let listed = sessions.list(user.as_str()).await?;
    let left = listed
        .iter()
        .find(|listed| Some(listed.handle()) == this)
        // Of a time that lies ahead it is an error to say how long ago it was, and the error knows.
        .and_then(|listed| listed.expires().elapsed().err())
        .map_or(Duration::ZERO, |ahead| ahead.duration());
    let user = escaped(user.as_str());
    let left = in_words(left);
    Ok(Html(format!(
        "{HEAD}<h1>Hello, {user}</h1>\
         <p>If you do not come back, you are signed out in <span class=mark>{left}</span>.</p>\
         <p class=quiet>Being here puts it off, now and then: what is written down of your visits is \
         exact to a tenth of the time.</p>\
         <form method=post action=/sign-out><button>Sign out</button></form>"
    )))
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
    password: String,
    /// A browser sends a box that is ticked, and nothing for one that is not.
    remember: Option<String>,
}

async fn sign_in(session: Session, form: Form<SignIn>) -> Result<Response, Error> {
    if form.password != "secret" {
        return Ok(Html("<p>Wrong password. <a href=/>Again</a>").into_response());
    }
    session.set_subject(form.user.as_str())?;
    if form.remember.is_some() {
        session.set_lifetime(REMEMBERED);
    }
    Ok(Redirect::to("/").into_response())
}

async fn sign_out(session: Session) -> Redirect {
    session.end();
    Redirect::to("/")
}

const HEAD: &str = concat!(
    "<!doctype html><html lang=en><meta charset=utf-8>",
    "<meta name=viewport content=\"width=device-width\"><title>abide: remember me</title><style>",
    include_str!("page.css"),
    "</style>"
);
const SIGN_IN: &str = "<h1>Sign in</h1><form method=post action=/sign-in>\
    <input name=user placeholder=name aria-label=name required maxlength=40>\
    <input name=password type=password placeholder=secret aria-label=password>\
    <label><input name=remember type=checkbox> Remember me on this device</label>\
    <button>Sign in</button></form>";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// A span in its largest whole unit.
fn in_words(span: Duration) -> String {
    let minutes = (span.as_secs() + 30) / 60;
    match minutes {
        0..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Without TLS, on this machine only. In production leave that call out.
    let sessions = SessionLayer::new(MemoryStore::new())
        .insecure_for_development()
        .idle_timeout(USUAL.idle_timeout)
        .absolute_timeout(USUAL.absolute_timeout);
    let app = Router::new()
        .route("/", get(page))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .layer(sessions);

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
