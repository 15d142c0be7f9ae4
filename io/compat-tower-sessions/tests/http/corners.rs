//! Two things of one request that tower-sessions tells its store alike, or not at all.

use axum::Router;
use axum::routing::get;
use time::Duration;

use super::app::{App, Browser, seconds};
use crate::compat::SessionLayer;
use crate::tower_sessions::{Expiry, Session};

const HOUR: u64 = 3600;

async fn clear_and_sign_in(session: Session) {
    session.clear().await;
    session.insert("user", "bob").await.unwrap();
}

async fn sign_in(session: Session) {
    session.cycle_id().await.unwrap();
    session.insert("user", "alice").await.unwrap();
}

async fn flush(session: Session) {
    session.flush().await.unwrap();
}

async fn flush_and_sign_in(session: Session) {
    session.get_value("user").await.unwrap();
    session.flush().await.unwrap();
    session.cycle_id().await.unwrap();
    session.insert("user", "bob").await.unwrap();
}

async fn in_out_in(session: Session) {
    session.cycle_id().await.unwrap();
    session.flush().await.unwrap();
    session.insert("user", "bob").await.unwrap();
}

async fn cycle_and_hang(session: Session) {
    session.cycle_id().await.unwrap();
    std::future::pending::<()>().await;
}

async fn flush_and_hang(session: Session) {
    session.flush().await.unwrap();
    std::future::pending::<()>().await;
}

async fn two_hours(session: Session) {
    session.get_value("user").await.unwrap();
    session.set_expiry(Some(Expiry::OnInactivity(Duration::hours(2))));
}

async fn user(session: Session) -> String {
    session.get::<String>("user").await.unwrap().unwrap_or_default()
}

fn browser(change: impl FnOnce(SessionLayer) -> SessionLayer) -> Browser {
    let layer = SessionLayer::new(App::new().store);
    let layer = change(layer.with_expiry(Expiry::OnInactivity(Duration::hours(1))));
    let router = Router::new()
        .route("/clear-and-sign-in", get(clear_and_sign_in))
        .route("/sign-in", get(sign_in))
        .route("/flush", get(flush))
        .route("/flush-and-sign-in", get(flush_and_sign_in))
        .route("/in-out-in", get(in_out_in))
        .route("/cycle-and-hang", get(cycle_and_hang))
        .route("/flush-and-hang", get(flush_and_hang))
        .route("/two-hours", get(two_hours))
        .route("/user", get(user))
        .layer(layer);
    Browser { router, cookie: None }
}

#[tokio::test(start_paused = true)]
async fn who_clears_what_nobody_knows_any_more_can_sign_in() {
    let mut browser = browser(|layer| layer);
    browser.get("/sign-in").await;
    seconds(2 * HOUR).await;
    assert!(browser.get("/clear-and-sign-in").await.set_cookie().is_some());
    assert_eq!(browser.get("/user").await.body, "bob");
}

#[tokio::test(start_paused = true)]
async fn who_signs_in_under_an_id_that_nobody_knows_any_more_is_signed_in() {
    let mut browser = browser(|layer| layer);
    browser.get("/sign-in").await;
    seconds(2 * HOUR).await;
    browser.get("/sign-in").await;
    assert_eq!(browser.get("/user").await.body, "alice");
}

#[tokio::test(start_paused = true)]
async fn a_flush_beside_a_cycle_is_a_flush() {
    for path in ["/flush-and-sign-in", "/in-out-in"] {
        let mut browser = browser(|layer| layer);
        browser.get("/sign-in").await;
        let mut old = browser.clone();
        browser.get(path).await;
        assert_eq!(old.get("/user").await.body, "", "{path}");
        old.get("/flush").await;
        assert_eq!(browser.get("/user").await.body, "bob", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_layers_absolute_timeout_holds_whatever_requests_ask_for() {
    let limit = std::time::Duration::from_secs(4 * HOUR);
    let mut browser = browser(|layer| layer.with_absolute_timeout(limit));
    browser.get("/sign-in").await;
    for _ in 0..24 {
        seconds(HOUR / 2).await;
        browser.get("/two-hours").await;
    }
    assert_eq!(browser.get("/user").await.body, "");
}

/// Sends a request, and breaks it off where it hangs.
async fn broken_off(browser: &Browser, path: &'static str) {
    let mut browser = browser.clone();
    let request = tokio::spawn(async move { browser.get(path).await });
    seconds(1).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    // What the end of the request has started is done.
    seconds(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_broken_off_between_the_halves_of_a_cycle_changes_nothing() {
    let mut browser = browser(|layer| layer);
    browser.get("/sign-in").await;
    broken_off(&browser, "/cycle-and-hang").await;
    assert_eq!(browser.get("/user").await.body, "alice");
    broken_off(&browser, "/flush-and-hang").await;
    assert_eq!(browser.get("/user").await.body, "", "but a flush has ended it");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_does_not_put_an_id_back_that_was_cycled() {
    let app = App::new();
    let gate = app.gate.clone();
    let held = move |session: Session| {
        let gate = gate.clone();
        async move {
            two_hours(session).await;
            gate.wait().await;
        }
    };
    let layer = SessionLayer::new(app.store.clone());
    let layer = layer.with_expiry(Expiry::OnInactivity(Duration::hours(1)));
    let router = Router::new()
        .route("/held", get(held))
        .route("/two-hours", get(two_hours))
        .route("/sign-in", get(sign_in))
        .route("/user", get(user))
        .layer(layer);
    let mut browser = Browser { router, cookie: None };
    browser.get("/sign-in").await;
    browser.get("/two-hours").await;
    let late = browser.held(&app.gate, "/held").await;
    browser.get("/sign-in").await;
    app.gate.release(1);
    let (_, answer) = late.await.unwrap();
    assert_eq!(answer.set_cookie(), None);
    seconds(20).await;
    assert_eq!(browser.get("/user").await.body, "alice");
}
