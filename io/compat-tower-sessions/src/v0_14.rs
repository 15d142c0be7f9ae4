//! For tower-sessions 0.14, and so for axum-login 0.18.

#[path = "bound.rs"]
mod bound;

use tower_sessions_core_v0_14 as tower_sessions_core;

pub use bound::{ResponseFuture, SessionLayer, SessionService, TowerStore};
