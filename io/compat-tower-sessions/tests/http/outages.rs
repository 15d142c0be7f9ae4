//! A store that does not answer is never taken for "no session".

use std::time::Duration;

use axum::http::{StatusCode, header};

use super::app::{App, seconds};

#[tokio::test(start_paused = true)]
async fn a_route_that_does_not_use_the_session_never_fails() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    app.store.set_down(true);
    assert_eq!(browser.get("/plain").await.status, StatusCode::OK);
    assert_eq!(app.browser().get("/get?k=k").await.status, StatusCode::OK, "nothing to look up");
}

#[tokio::test(start_paused = true)]
async fn an_outage_signs_nobody_out_and_overwrites_nothing() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    let cookie = browser.cookie.clone();
    app.store.set_down(true);
    for path in ["/get?k=k", "/set?k=k&v=2", "/login?v=alice"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::IM_A_TEAPOT, "the handler is told: {path}");
        assert!(answer.body.contains("unavailable"), "{}", answer.body);
    }
    let answer = browser.get("/clear").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    app.store.set_down(false);
    assert_eq!(browser.cookie, cookie);
    assert_eq!(browser.value("k").await, "1");
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_kept_is_not_told_of() {
    let app = App::new();
    for path in ["/set?k=k&v=2&held=true", "/login?v=alice&held=true"] {
        let mut browser = app.browser_with("k", "1").await;
        let request = browser.held(&app.gate, path).await;
        app.store.set_down(true);
        app.gate.release(1);
        let (_, answer) = request.await.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.set_cookie(), None, "{path}");
        app.store.set_down(false);
        tokio::task::yield_now().await;
        assert_eq!(browser.value("k").await, "1", "{path}");
        assert_eq!(browser.value("user").await, "", "{path}");
    }
    app.store.set_down(true);
    let answer = app.browser().get("/set?k=k&v=1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_fails_is_not_called_a_logout() {
    let app = App::new();
    let mut browser = app.browser_with("user", "alice").await;
    app.store.set_down(true);
    let answer = browser.get("/flush").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.set_cookie(), None);
    app.store.set_down(false);
    browser.get("/flush").await;
    assert_eq!(browser.cookie, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_store_is_given_up_on() {
    let app = App::new();
    let browser = app.browser_with("k", "1").await;
    app.store.set_silent(true);
    let start = tokio::time::Instant::now();
    let answer = browser.clone().get("/get?k=k").await;
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    assert_eq!(start.elapsed().as_secs(), 2);

    let app = App::with(|layer| layer.with_store_timeout(Duration::from_millis(50)));
    app.store.set_silent(true);
    let start = tokio::time::Instant::now();
    let answer = app.browser().get("/set?k=k&v=1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(app.layer.counters().store_errors, 1);
}

#[tokio::test(start_paused = true)]
async fn that_a_session_is_in_use_may_be_missed() {
    let app = App::new();
    let browser = app.browser_with("k", "1").await;
    seconds(400).await;
    let request = browser.held(&app.gate, "/get?k=k&held=true").await;
    app.store.set_down(true);
    app.gate.release(1);
    let (_, answer) = request.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "1"));
    assert_eq!(app.layer.counters().store_errors, 1, "it was tried");
}
