//! Signs in, greets, signs out.
//!
//! ```text
//! cargo run -p abide-example-login
//! ```
//!
//! Open <http://127.0.0.1:3000>, put something on the note while nobody is signed in, sign in with
//! any name and the password `secret`, and sign out. In the browser's developer tools watch the
//! cookie `abide`: there is none before the first note, signing in gives it a new value (and the
//! note is still there), and signing out removes it. `PORT=4000` listens there instead.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use abide::{Error, Key, MemoryStore, Session, SessionLayer};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

const NOTE: Key<String> = Key::new("note");

async fn page(session: Session) -> Result<Html<String>, Error> {
    let note = escaped(&session.get(NOTE).await?.unwrap_or_default());
    let who = match session.subject().await? {
        Some(user) => {
            let user = escaped(user.as_str());
            format!(
                "<p>Hello, {user}.</p><form method=post action=/sign-out><button>Sign out</button></form>"
            )
        }
        None => SIGN_IN.to_owned(),
    };
    Ok(Html(format!(
        "<!doctype html><title>abide: login</title>{who}\
         <form method=post action=/note><input name=note value=\"{note}\"><button>Keep</button></form>"
    )))
}

const SIGN_IN: &str = "<form method=post action=/sign-in>\
    <input name=user placeholder=name required maxlength=40>\
    <input name=password type=password placeholder=secret>\
    <button>Sign in</button></form>";

#[derive(Deserialize)]
struct SignIn {
    user: String,
    password: String,
}

async fn sign_in(session: Session, form: Form<SignIn>) -> Result<Response, Error> {
    if form.password != "secret" {
        return Ok(Html("<p>Wrong password. <a href=/>Again</a>").into_response());
    }
    // The session gets a new id: whoever knew the old one is not signed in by this.
    session.set_subject(form.user.as_str())?;
    Ok(Redirect::to("/").into_response())
}

async fn sign_out(session: Session) -> Redirect {
    session.end();
    Redirect::to("/")
}

#[derive(Deserialize)]
struct Note {
    note: String,
}

async fn keep_note(session: Session, form: Form<Note>) -> Result<Redirect, Error> {
    session.set(NOTE, &form.note)?;
    Ok(Redirect::to("/"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Without TLS, on this machine only. In production leave the second call out.
    let sessions = SessionLayer::new(MemoryStore::new()).insecure_for_development();
    let app = Router::new()
        .route("/", get(page))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/note", post(keep_note))
        .layer(sessions);

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}
