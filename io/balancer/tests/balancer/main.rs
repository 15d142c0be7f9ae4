//! The balancer over real sockets.

#![expect(clippy::print_stderr, reason = "tests say which file failed")]

mod admin;
mod failures;
mod forwarding;
mod framing;
mod harness;
mod stickiness;
