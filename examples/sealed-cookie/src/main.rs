//! One session, two servers, and nothing between them: the session is in the browser.
//!
//! ```text
//! cargo run -p abide-example-sealed-cookie
//! ```
//!
//! Open <http://127.0.0.1:3000>, sign in with any name and the password `secret`, and put some tea
//! into the cart. Then follow the link to the other server, which listens one port up: it knows you
//! and your cart, although all that the two have in common is a key. In the browser's developer
//! tools the cookie `abide` holds everything; without the key nobody can read it or change it.
//!
//! What a browser holds can be copied, and a copy does not know that its owner has signed out. See
//! for yourself, with the cookie of a session in the file `jar`:
//!
//! ```text
//! curl -c jar -d 'user=alice&password=secret' http://127.0.0.1:3000/sign-in
//! cp jar copy
//! curl -b jar -d '' http://127.0.0.1:3000/sign-out
//! curl -b copy http://127.0.0.1:3001/
//! ```
//!
//! The last command gets the page for strangers, from the server where nobody signed out: the two
//! share a store for revocations. Here that is a `MemoryStore`, which works because both servers are
//! one process; servers on two machines need a store that both of them reach. Start the example with
//! `REVOCATIONS=none`, and the copy still is alice: that is what a sealed cookie is by itself.
//!
//! `PORT=4000` listens there and on 4001 instead. `KEYS` takes keys as `abide keygen` prints them;
//! without it a key is drawn for this run, and the cookies of the run before are worthless.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::env;
use std::fmt::Write as _;

use abide::{Error, Key, KeyRing, MemoryStore, SealedCookie, SealingKey, Session, SessionLayer};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

const CART: Key<Vec<String>> = Key::new("cart");
/// As many as anybody carries home; and a cookie has to hold them.
const CART_MAX: usize = 20;

/// One of the two.
#[derive(Clone)]
struct Server {
    name: &'static str,
    other: String,
}

async fn page(
    server: State<Server>,
    session: Session,
    headers: HeaderMap,
) -> Result<Html<String>, Error> {
    let Server { name, other } = &*server;
    let mut page = format!("{HEAD}<h1>This is server {name}</h1>");
    let Some(user) = session.subject().await? else {
        page += SIGN_IN;
        return Ok(Html(page));
    };
    let cart = session.get(CART).await?.unwrap_or_default();
    let bytes = headers.get(header::COOKIE).map_or(0, HeaderValue::len);
    // Writing to a String does not fail.
    let _ = write!(page, "<p>Hello, <b>{}</b>. In your cart:</p><ul>", escaped(user.as_str()));
    for tea in &cart {
        let _ = write!(page, "<li>{}</li>", escaped(tea));
    }
    let _ = write!(
        page,
        "</ul>{ADD}\
         <p>Does <a href=\"{other}\">the other server</a> know this, too?</p>\
         <p class=quiet>Your browser sent {bytes} bytes of cookies, and that is all there is of your \
         session.</p>{SIGN_OUT}"
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

#[derive(Deserialize)]
struct Add {
    tea: String,
}

async fn add(session: Session, form: Form<Add>) -> Result<Redirect, Error> {
    let tea = form.0.tea;
    let put = move |cart: &mut Vec<String>| {
        if cart.len() < CART_MAX {
            cart.push(tea.clone());
        }
    };
    session.update(CART, put).await?;
    Ok(Redirect::to("/"))
}

const HEAD: &str = concat!(
    "<!doctype html><html lang=en><meta charset=utf-8>",
    "<meta name=viewport content=\"width=device-width\"><title>abide: sealed cookie</title><style>",
    include_str!("page.css"),
    "</style>"
);
const SIGN_IN: &str = "<p>It does not know you.</p><form method=post action=/sign-in>\
    <input name=user placeholder=name aria-label=name required maxlength=40>\
    <input name=password type=password placeholder=secret aria-label=password>\
    <button>Sign in</button></form>";
const SIGN_OUT: &str = "<form method=post action=/sign-out><button>Sign out</button></form>";
const ADD: &str = "<form method=post action=/cart><select name=tea aria-label=tea>\
    <option>Assam<option>Darjeeling<option>Oolong<option>Sencha</select>\
    <button>Into the cart</button></form>";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// One of the two servers: all that it is given of the other is the keys, and where to find what was
/// revoked.
fn server(sealed: SealedCookie, server: Server) -> Router {
    // Without TLS, on this machine only. In production leave the second call out.
    let sessions = SessionLayer::sealed(sealed).insecure_for_development();
    Router::new()
        .route("/", get(page))
        .route("/sign-in", post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/cart", post(add))
        .with_state(server)
        .layer(sessions)
}

fn keys() -> Result<KeyRing, Box<dyn std::error::Error>> {
    let keys = if let Ok(texts) = env::var("KEYS") {
        texts.split_whitespace().map(SealingKey::parse).collect::<Result<_, _>>()?
    } else {
        let mut secret = [0; SealingKey::BYTES];
        getrandom::fill(&mut secret)?;
        vec![SealingKey::new(secret)]
    };
    Ok(KeyRing::new(keys)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sealed = SealedCookie::new(keys()?);
    if env::var("REVOCATIONS").as_deref() != Ok("none") {
        // Shared, because it is cloned with what it is in.
        sealed = sealed.revocations(MemoryStore::new());
    }

    let port: u16 = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    // With 0 the system chooses two that are free.
    let next = if port == 0 { 0 } else { port.saturating_add(1) };
    let a = TcpListener::bind(("127.0.0.1", port)).await?;
    let b = TcpListener::bind(("127.0.0.1", next)).await?;
    let at_a = format!("http://{}", a.local_addr()?);
    let at_b = format!("http://{}", b.local_addr()?);
    println!("{at_a}\n{at_b}");
    let server_a = server(sealed.clone(), Server { name: "A", other: at_b });
    let server_b = server(sealed, Server { name: "B", other: at_a });
    tokio::try_join!(
        axum::serve(a, server_a).into_future(),
        axum::serve(b, server_b).into_future()
    )?;
    Ok(())
}
