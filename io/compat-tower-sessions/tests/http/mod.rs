//! An axum app whose handlers know nothing but `tower_sessions::Session`, browsers with one cookie
//! each, and a store that can be taken away. The same text for each version of tower-sessions.
//!
//! Time stands still but for what a test lets pass, and requests that have to overlap wait for each
//! other at a gate, so that every order of events is the one the test says.

mod app;
mod cookies;
mod corners;
mod cycles;
mod lifetimes;
mod logouts;
mod outages;
mod races;
mod stock;
mod store;
mod values;
