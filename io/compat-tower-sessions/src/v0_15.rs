//! For tower-sessions 0.15.

#[path = "bound.rs"]
mod bound;

use tower_sessions_core_v0_15 as tower_sessions_core;

pub use bound::{ResponseFuture, SessionLayer, SessionService, TowerStore};
