//! The whole, from outside: real processes, real sockets, real clients.
//!
//! Each test is a user's story. Servers listen on port 0 and say where; waits end when the thing
//! waited for happens, or fail after `PATIENCE_MS`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]
#![expect(clippy::print_stderr, reason = "what a process logs is shown if its test fails")]

mod browser;
mod demo;
mod failures;
mod foreign_origins;
mod harness;
mod key_rotation;
mod moves;
mod node_certificates;
mod nodes;
mod processes;
mod sealed_sessions;
mod stickiness;
mod sticky_cookies;
mod stores;
