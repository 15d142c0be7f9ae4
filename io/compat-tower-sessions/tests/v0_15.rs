//! The layer for tower-sessions 0.15 over HTTP, and the store for its own layer.

#![cfg(feature = "v0_15")]
#![expect(clippy::unwrap_used, reason = "what these tests share panics as they do")]

mod http;

use abide_compat_tower_sessions::v0_15 as compat;
use tower_sessions_v0_15 as tower_sessions;
