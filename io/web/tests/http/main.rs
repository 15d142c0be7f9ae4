//! The layer over HTTP: an axum app, browsers with one cookie each, and a store that can be taken
//! away.
//!
//! Time stands still but for what a test lets pass, and requests that have to overlap wait for each
//! other at a gate, so that every order of events is the one the test says.

#![expect(clippy::unwrap_used, reason = "what these tests share panics as they do")]

mod app;
mod caching;
mod carried;
mod concurrency;
mod corners;
mod devices;
mod lifetimes;
mod once;
mod outages;
mod relatives;
mod renewals;
mod sealed;
mod streams;
mod visit;
mod visits;
