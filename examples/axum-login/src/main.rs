//! An app of axum-login that keeps its sessions in an abide store.
//!
//! ```text
//! cargo run -p abide-example-axum-login
//! ```
//!
//! Open <http://127.0.0.1:3000>, sign in as `ferris` with the password `hunter42`, and sign out.
//! All of it is as with tower-sessions, but for what `app` says about the layers; and one handler,
//! `visits`, has moved on to abide's own session: it sees the same one. `PORT=4000` listens there
//! instead.
#![expect(clippy::print_stdout, reason = "this is the program's output")]

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use abide::{Attributes, MemoryStore, SameSite};
use abide_compat_tower_sessions::v0_14::SessionLayer;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use axum_login::{AuthManager, AuthUser, AuthnBackend, UserId, login_required};
use serde::Deserialize;
use tower::layer::layer_fn;

type AuthSession = axum_login::AuthSession<Users>;

/// The layers: this is what moving to abide changes.
fn app(store: MemoryStore) -> Result<Router, Box<dyn Error>> {
    // Was: AuthManagerLayerBuilder::new(Users, SessionManagerLayer::new(store)).build()
    let auth = layer_fn(|app| AuthManager::new(app, Users, "axum-login.data"));
    // Without TLS, on this machine only. In production leave the second call out.
    let sessions = SessionLayer::new(store.clone()).with_secure(false);

    // The same sessions, under the same cookie, for handlers that have moved on.
    let attributes = Attributes { same_site: SameSite::Strict, ..Attributes::for_scheme(false) };
    let own_sessions = abide::SessionLayer::new(store).cookie("id", &attributes)?;

    let with_auth = Router::new()
        .route("/", get(page))
        .route_layer(login_required!(Users, login_url = "/login"))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .layer(auth)
        .layer(sessions);
    let moved_on = Router::new().route("/visits", get(visits)).layer(own_sessions);
    Ok(with_auth.merge(moved_on))
}

async fn page(auth: AuthSession) -> Response {
    let Some(user) = auth.user else { return StatusCode::UNAUTHORIZED.into_response() };
    let page = format!(
        "<p>Hello, {}.</p><form method=post action=/logout><button>Sign out</button></form>",
        user.name
    );
    Html(page).into_response()
}

async fn login_page() -> Html<&'static str> {
    Html(
        "<form method=post action=/login><input name=name placeholder=ferris>\
         <input name=password type=password placeholder=hunter42><button>Sign in</button></form>",
    )
}

async fn login(mut auth: AuthSession, form: Form<Credentials>) -> Response {
    let Form(credentials) = form;
    match auth.authenticate(credentials).await {
        Ok(Some(user)) if auth.login(&user).await.is_ok() => Redirect::to("/").into_response(),
        Ok(None) => (StatusCode::UNAUTHORIZED, "wrong name or password").into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn logout(mut auth: AuthSession) -> Response {
    match auth.logout().await {
        Ok(_) => Redirect::to("/login").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// With abide's own session, so that no visit is lost however many come at once.
async fn visits(session: abide::Session) -> Result<String, abide::Error> {
    session.update("visits", |visits: &mut u32| *visits += 1).await?;
    let visits = session.get::<u32>("visits").await?.unwrap_or_default();
    Ok(visits.to_string())
}

/// The users of this app: one.
#[derive(Clone, Debug)]
struct Users;

#[derive(Clone)]
struct User {
    name: &'static str,
    password: &'static str,
}

#[derive(Clone, Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

/// A real app keeps a hash here.
const FERRIS: User = User { name: "ferris", password: "hunter42" };

/// Without the password: axum-login logs the users that its calls return, at level debug.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.name.to_owned()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

impl AuthnBackend for Users {
    type User = User;
    type Credentials = Credentials;
    type Error = Infallible;

    async fn authenticate(&self, credentials: Credentials) -> Result<Option<User>, Infallible> {
        let Credentials { name, password } = credentials;
        Ok(Some(FERRIS).filter(|user| user.name == name && user.password == password))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(FERRIS).filter(|user| user.name == id))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = app(MemoryStore::new())?;
    let port = std::env::var("PORT").unwrap_or_else(|_| "3000".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
