//! abide's sessions for apps that use `tower_sessions::Session` or axum-login.
//!
//! Handlers and extractors stay as they are; what changes is the layer, and what keeps the
//! sessions:
//!
//! ```
//! # #[cfg(feature = "v0_15")]
//! # mod example {
//! // Was: use tower_sessions::SessionManagerLayer;
//! use abide_compat_tower_sessions::v0_15::SessionLayer;
//! # use axum::{Router, routing::get};
//! # use time::Duration;
//! # use tower_sessions_v0_15 as tower_sessions;
//! use tower_sessions::{Expiry, Session};
//!
//! // Any store of abide's, such as `abide::MemoryStore`.
//! fn app(store: impl abide_session::Store) -> Router {
//!     let sessions =
//!         SessionLayer::new(store).with_expiry(Expiry::OnInactivity(Duration::hours(1)));
//!     Router::new().route("/", get(handler)).layer(sessions)
//! }
//!
//! async fn handler(session: Session) {
//!     // As it was.
//! }
//! # }
//! ```
//!
//! Module `v0_14` is for tower-sessions 0.14, `v0_15` for 0.15; both may be in one app. axum-login 0.18
//! is an app of 0.14. Its `AuthManagerLayerBuilder` takes tower-sessions' own layer only, so its
//! service is put below ours by hand:
//!
//! ```
//! # #[cfg(feature = "v0_14")]
//! # mod example {
//! # use abide_compat_tower_sessions::v0_14::SessionLayer;
//! # use axum::Router;
//! # use axum_login::{AuthManager, AuthnBackend};
//! # use tower::layer::layer_fn;
//! # fn app<B: AuthnBackend + 'static>(
//! #     routes: Router,
//! #     backend: B,
//! #     sessions: SessionLayer,
//! # ) -> Router {
//! // Was: AuthManagerLayerBuilder::new(backend, sessions).build()
//! let auth = layer_fn(move |app| AuthManager::new(app, backend.clone(), "axum-login.data"));
//! routes.layer(auth).layer(sessions)
//! # }
//! # }
//! ```
//!
//! # What is better now
//!
//! * **A logout is final.** `flush` and `delete` end the session for good, whatever slow requests
//!   write afterwards, and also if the browser does not wait for the answer. What those write is
//!   dropped and counted; they get no error, no cookie and no new id.
//! * **Requests that set different keys at once both keep theirs.** What is saved is the keys that
//!   a request changed. Of two writes to one key the last one stays; no way of saving can tell what
//!   a handler that called `get` and then `insert` meant. To count, or to add to a list, use
//!   `update` of abide's own `Session`.
//! * **`cycle_id` is one step**, not a delete now and a create later. Requests that were on their
//!   way with the old id go on seeing the session as it was, for ten seconds; they can not write to
//!   it, and are not signed in by what follows. Two sign-ins at once both get a session.
//! * **Reading a session is using it**, at the cost of a write for each tenth of the time that it
//!   may stay unused, and of none in between.
//! * **An error is never taken for "no session"**, and each call of the store has a time-out. If a
//!   session can not be kept, the answer is a 503 with `Retry-After`. A route that does not use the
//!   session never fails.
//! * **Ids are not stored**, only their hashes, and `Session::id` is not the id either, but
//!   something that changes when it does.
//!
//! # What is different
//!
//! | | tower-sessions | here |
//! |---|---|---|
//! | cookie | 22 characters | an id of abide's, 30 characters: sessions of the two are different ones, so visitors sign in once more |
//! | `Max-Age` with `OnInactivity` | as long as it may stay unused | until the session must end: the store ends it when it is unused, so that reading needs no new cookie |
//! | life in all | no limit | 14 days since it was made or cycled; see `with_absolute_timeout` |
//! | `set_expiry` | until the next write | until the next `set_expiry` |
//! | a date in the past | an expired session | ends the session |
//! | `AtDateTime` for a session that is there already | ends at that date | only an idle limit if the session was promised longer: what it was promised is not taken back, and requests that ask for nothing prolong it again |
//! | `OnSessionEnd` or another kind of cookie, and later a `cycle_id` | kept | of the layer's kind again, unless the request that cycles asks once more |
//! | the answer of the store to a `cycle_id` is lost, and the request ends with it | a 500, and the session is gone | a 503, and the old id is good for ten seconds more |
//! | an answer of 5xx | changes are dropped, also half of a `cycle_id` | changes are kept: who was signed in is signed in |
//! | a cookie that nothing is known of | removed, if it was looked at | left alone: the answer could come after one that replaced it |
//! | `delete`, then `save` | makes the session again | does nothing |
//! | `flush`, `delete`, `cycle_id` | at once | when the handler has answered, or is dropped |
//! | limits | none | 256 keys, names of 1 to 128 bytes, 1 MiB a value, 128 levels deep |
//! | signed or private cookies | features | none: an id is 160 random bits, and there is nothing in it to hide |
//! | `with_always_save` | | not needed |
//!
//! # Moving on
//!
//! Each key is a field, encoded as abide's own `Session` encodes it, and the cookie is the same. So
//! with one store and one cookie a handler at a time can move from `tower_sessions::Session` below
//! this layer to `abide::Session` below abide's, and sees the same session. What is no JSON (bytes, a
//! map whose keys are numbers) is not shown to handlers that have not moved, and stays as it is.
//!
//! Where the layer can not be changed, `TowerStore` makes a store of abide's one for tower-sessions'
//! own. Less holds there; its documentation says what.

#![cfg(any(feature = "v0_14", feature = "v0_15"))]
#![cfg_attr(
    all(feature = "v0_14", feature = "v0_15"),
    expect(clippy::duplicate_mod, reason = "the same text for two versions of the same types")
)]

mod answer;
mod clock;
mod counters;
mod fields;
mod lifetime;
mod presented;
mod request;
mod settings;
mod stock;
mod timed;

#[cfg(feature = "v0_14")]
pub mod v0_14;
#[cfg(feature = "v0_15")]
pub mod v0_15;

pub use abide_cookie::SameSite;
pub use abide_session::Store;
pub use counters::Counters;
pub use presented::MAX_PRESENTED_IDS;
