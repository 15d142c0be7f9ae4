//! The page that says where you are signed in, and lets you sign out there.
//!
//! ```text
//! cargo run -p abide-example-devices
//! ```
//!
//! Open <http://127.0.0.1:3000> in two browsers, or in one and a private window, and sign in with the
//! same name and the password `secret`. Each shows both sessions. End one from the other and reload
//! there: it is signed out, and a request that was already under way there can not undo that. *End all
//! others* does it for as many as there are, in one step: what an app does when a password changes.
//!
//! A session is known to the page by its handle, which gives no access to it. What the page says of
//! a session is a field like any other, noted at the sign-in. `PORT=4000` listens there instead.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use abide::{
    Error, Key, ListedSession, MemoryStore, Session, SessionHandle, SessionLayer, Sessions,
};
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

/// From where somebody signed in.
const BROWSER: Key<String> = Key::new("browser");

async fn page(session: Session, sessions: Sessions) -> Result<Html<String>, Error> {
    let Some(user) = session.subject().await? else {
        return Ok(Html(format!("{HEAD}{SIGN_IN}")));
    };
    let this = session.handle().await?;
    let mut rows = String::new();
    for listed in sessions.list(user.as_str()).await? {
        // Writing to a String does not fail.
        let _ = write!(rows, "{}", row(&listed, Some(listed.handle()) == this)?);
    }
    Ok(Html(format!(
        "{HEAD}<h1>{}, you are signed in here</h1>\
         <table><tr><th>Browser<th>Signed in<th>Last seen<th></tr>{rows}</table>\
         <form method=post action=/end-others><button>End all others</button></form>{SIGN_OUT}",
        escaped(user.as_str()),
    )))
}

fn row(listed: &ListedSession, is_this: bool) -> Result<String, Error> {
    let browser = escaped(&listed.get(BROWSER)?.unwrap_or_default());
    let (created, seen) = (ago(listed.created()), ago(listed.last_seen()));
    let last = if is_this {
        "<span class=mark>this one</span>".to_owned()
    } else {
        let handle = listed.handle();
        format!(
            "<form method=post action=/end><input type=hidden name=session value={handle}>\
             <button>End</button></form>"
        )
    };
    Ok(format!("<tr><td>{browser}<td>{created}<td>{seen}<td>{last}</tr>"))
}

#[derive(Deserialize)]
struct SignIn {
    user: String,
    password: String,
}

async fn sign_in(
    session: Session,
    headers: HeaderMap,
    form: Form<SignIn>,
) -> Result<Response, Error> {
    if form.password != "secret" {
        return Ok(Html("<p>Wrong password. <a href=/>Again</a>").into_response());
    }
    let user_agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    session.set_subject(form.user.as_str())?;
    session.set(BROWSER, &browser(user_agent.unwrap_or_default()))?;
    Ok(Redirect::to("/").into_response())
}

async fn sign_out(session: Session) -> Redirect {
    session.end();
    Redirect::to("/")
}

#[derive(Deserialize)]
struct End {
    session: SessionHandle,
}

async fn end(session: Session, sessions: Sessions, form: Form<End>) -> Result<Redirect, Error> {
    if let Some(user) = session.subject().await? {
        // Somebody else's session is not ended by this, whatever handle the form holds.
        sessions.end(user.as_str(), form.session).await?;
    }
    Ok(Redirect::to("/"))
}

async fn end_others(session: Session) -> Result<Redirect, Error> {
    session.end_others().await?;
    Ok(Redirect::to("/"))
}

/// What a `User-Agent` says, in words. Browsers name their ancestors in it, so the youngest is looked
/// for first.
fn browser(user_agent: &str) -> String {
    let one_of = |known: &[(&str, &'static str)]| {
        let found = known.iter().find(|(mark, _)| user_agent.contains(mark));
        found.map(|(_, name)| *name)
    };
    let browser = one_of(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = one_of(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Macintosh", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(known), None) | (None, Some(known)) => known.to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}

fn ago(time: SystemTime) -> String {
    match time.elapsed().unwrap_or_default().as_secs() / 60 {
        0 => "just now".to_owned(),
        minutes @ 1..120 => format!("{minutes} min ago"),
        minutes => format!("{} h ago", minutes / 60),
    }
}

const HEAD: &str = concat!(
    "<!doctype html><html lang=en><meta charset=utf-8>",
    "<meta name=viewport content=\"width=device-width\"><title>abide: devices</title><style>",
    include_str!("page.css"),
    "</style>"
);
const SIGN_IN: &str = "<h1>Sign in</h1><form method=post action=/sign-in>\
    <input name=user placeholder=name aria-label=name required maxlength=40>\
    <input name=password type=password placeholder=secret aria-label=password>\
    <button>Sign in</button></form>";
const SIGN_OUT: &str = "<form method=post action=/sign-out><button>Sign out</button></form>";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // Without TLS, on this machine only: in production leave the first call out. When a session was
    // last seen is known to a tenth of its idle time-out, here to a minute.
    let sessions = SessionLayer::new(MemoryStore::new())
        .insecure_for_development()
        .idle_timeout(Duration::from_mins(10));
    let app = Router::new()
        .route("/", get(page))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/end", post(end))
        .route("/end-others", post(end_others))
        .layer(sessions);

    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_put_into_words() {
        for (user_agent, expected) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, \
                 like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl"),
            ("<script>", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(browser(user_agent), expected, "{user_agent}");
        }
    }
}
