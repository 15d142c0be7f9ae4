//! The balancer over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod admin;
mod failures;
mod forwarding;
mod framing;
mod harness;
mod stickiness;
