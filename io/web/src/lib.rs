//! Sessions for tower and axum: final logouts, no lost updates, whichever server answers.
//!
//! ```no_run
//! use abide::{Error, MemoryStore, Session, SessionLayer};
//! use axum::{Router, routing::get};
//!
//! async fn count(session: Session) -> Result<String, Error> {
//!     session.update("visits", |visits: &mut u32| *visits += 1).await?;
//!     Ok(format!("{} visits", session.get::<u32>("visits").await?.unwrap_or(0)))
//! }
//!
//! # async fn run() -> std::io::Result<()> {
//! let sessions = SessionLayer::new(MemoryStore::new()).insecure_for_development();
//! let app: Router = Router::new().route("/", get(count)).layer(sessions);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await
//! # }
//! ```
//!
//! [`SessionLayer`] goes around a service; a handler takes a [`Session`] and reads and writes its
//! fields. What it writes is recorded and committed when it has answered; the response waits for
//! that, so that a browser never holds an answer whose session is not kept yet.
//!
//! # Where to read on
//!
//! * [`manual::quick_start`]: from nothing to two servers.
//! * [`manual::choosing`]: sessions in a store, or in sealed cookies.
//! * [`manual::moving`]: changing where they are kept, sealing them there, seeing what a store does.
//! * [`manual::concurrency`]: what happens when requests of one session meet.
//! * [`manual::security`], [`manual::errors_and_outages`], [`manual::writing_a_store`],
//!   [`manual::complaints`].
//!
//! # What to rely on
//!
//! * **Who does not touch the session does not pay for it.** No store call, no cookie, no failure
//!   when the store is down. A visitor whose session nobody wrote to has no record.
//! * **A logout is final.** A slow request that began before it can not bring the session back: its
//!   commit is refused, quietly, unless it asked by [`Session::save`].
//! * **Concurrent requests lose nothing.** Each commits the fields it changed and no others;
//!   [`Session::update`] runs again if somebody else changed its field meanwhile, and counters and
//!   sets add up by themselves. Of sealed cookies the last one stays.
//! * **A sign-in changes the id.** [`Session::set_subject`] renews it; requests that were on their
//!   way with the old one still see the session as it was before, for a moment.
//! * **An error is never taken for "no session".** A store that does not answer makes reading fail,
//!   with 503 if the handler passes the error on; nobody is signed out by an outage, and nothing is
//!   overwritten by one.
//!
//! # The defaults, and why
//!
//! | what | default | why |
//! |---|---|---|
//! | cookie | `__Host-abide`; `Secure; HttpOnly; SameSite=Lax; Path=/` | no other host, script or foreign form can set or read it |
//! | life of the cookie | until the session must end | the idle limit is enforced where the session is kept, so the cookie need not be sent again |
//! | [idle time-out](SessionLayer::idle_timeout) | one day | a browser that is left open is not signed in forever |
//! | [absolute time-out](SessionLayer::absolute_timeout) | 14 days since it was made or signed in | a stolen id is of no use forever |
//! | [grace of an old id](SessionLayer::renewal_grace) | 10 s | for the requests of one page |
//! | [store time-out](SessionLayer::store_timeout) | 2 s | a browser waits longer than that for nobody |
//! | tries of an update | [`UPDATE_TRIES`] | more than servers answer one session at once |
//! | cookies of our name that are tried | [`MAX_PRESENTED_IDS`] | a browser may hold an old one for a longer path |
//!
//! # What a response carries
//!
//! `Set-Cookie` only when the session was made, renewed or ended; a sealed one also when it was
//! changed, or used after a tenth of its idle time-out. Such a response must not be kept by a cache
//! that serves others (RFC 9111, section 7.3: a cache may store a response with `Set-Cookie`), so
//! `public` and `s-maxage` are taken out of its `Cache-Control` and `private` is put in, unless it
//! is `no-store` anyway. A response whose handler used the session at all says `Vary: Cookie`.
//!
//! If a commit fails for lack of the store, the response is replaced by a 503 with `Retry-After`:
//! it would tell the visitor of something that was not kept. Two exceptions: a response that is a
//! 5xx already stays as it is, and a session that was only read is allowed to miss its touch.
//!
//! # Values
//!
//! Fields are encoded one by one as MessagePack with names, so that adding a field to a struct
//! (with a serde default) does not break what is stored. They are decoded when somebody asks; a
//! field that no longer decodes is an error of that field only, or counts as absent if its key is
//! [`lenient`](Key::lenient).

mod answer;
mod at_rest;
mod carried;
mod clock;
mod counters;
mod error;
mod event;
#[cfg(feature = "axum")]
mod extract;
mod key;
mod layer;
pub mod manual;
mod memory;
mod moving;
mod observed;
mod once;
mod presented;
mod sealed;
mod service;
mod session;
mod sessions;
mod settle;
mod state;
mod stored;
mod stream;

pub use at_rest::AtRest;
pub use counters::Counters;
pub use error::Error;
pub use event::{Event, EventKind};
pub use key::{Key, KeyFor};
pub use layer::SessionLayer;
pub use memory::MemoryStore;
pub use moving::{Moved, Moving, Remaining};
pub use observed::Observed;
pub use once::ONCE_RESULT_KEPT;
pub use presented::MAX_PRESENTED_IDS;
pub use sealed::SealedCookie;
pub use service::{ResponseFuture, SessionService};
pub use session::Session;
pub use sessions::{ListedSession, NotAHandle, SessionHandle, Sessions};
pub use settle::UPDATE_TRIES;

pub use abide_cookie::{Attributes, CookieError, SameSite};
/// The key that seals cookies: 256 bits, printed by `abide keygen`. Not to be confused with [`Key`],
/// the name of a field.
pub use abide_keys::Key as SealingKey;
pub use abide_keys::{KeyError, KeyRing};
/// What a store has to do, and everything it needs for that.
pub use abide_session as store;
pub use abide_session::Lifetime;
pub use abide_session::{Store, StoreError};
