//! A logout is final, whatever else is going on.

use axum::http::StatusCode;

use super::app::{App, Browser, seconds};

/// What is left of a session is nothing, for whoever has its cookie.
async fn assert_dead(app: &App, cookie: Option<&String>) {
    let mut copy = Browser { router: app.router.clone(), cookie: cookie.cloned() };
    assert_eq!(copy.value("user").await + &copy.value("k").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_the_session_and_removes_the_cookie() {
    for path in ["/flush", "/delete"] {
        let app = App::new();
        let mut browser = app.browser_with("user", "alice").await;
        let copied = browser.cookie.clone();
        let answer = browser.get(path).await;
        let removal = "id=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0;";
        assert!(answer.set_cookie().unwrap().starts_with(removal), "{answer:?}");
        assert_eq!(browser.cookie, None);
        assert_dead(&app, copied.as_ref()).await;
        assert_eq!(app.layer.counters().ended, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_requests_do_not_undo_a_logout() {
    let app = App::new();
    let mut browser = app.browser_with("user", "alice").await;
    let copied = browser.cookie.clone();
    let mut slow = Vec::new();
    let paths = [
        "/set?k=k&v=1&held=true",
        "/save?k=k&v=1&held=true",
        "/get?k=user&held=true",
        "/login?v=bob&held=true",
        "/login?v=bob&save=true&held=true",
    ];
    for path in paths {
        slow.push(browser.held(&app.gate, path).await);
    }
    browser.get("/flush").await;
    app.gate.release(slow.len());
    for (request, path) in slow.into_iter().zip(paths) {
        let (_, answer) = request.await.unwrap();
        assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None), "{path}");
    }
    assert_dead(&app, copied.as_ref()).await;
    let counters = app.layer.counters();
    assert_eq!((counters.created, counters.gone), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_logout_with_the_id_from_before_the_sign_in_ends_the_session() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    let mut old = browser.clone();
    browser.get("/login?v=alice").await;
    old.get("/flush").await;
    assert_dead(&app, browser.cookie.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_after_a_logout_is_said_in_another_session() {
    for path in ["/start-over?k=user&v=bye", "/in-and-out?k=said&v=bye"] {
        let app = App::new();
        let mut browser = app.browser_with("user", "alice").await;
        let copied = browser.cookie.clone();
        browser.get(path).await;
        assert!(browser.cookie.is_some() && browser.cookie != copied, "{path}");
        assert_dead(&app, copied.as_ref()).await;
        assert_eq!(browser.value("user").await + &browser.value("said").await, "bye");
        let counters = app.layer.counters();
        assert_eq!((counters.ended, counters.created, counters.renewed), (1, 2, 0), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_saved_after_a_delete() {
    let app = App::new();
    let mut browser = app.browser_with("user", "alice").await;
    let copied = browser.cookie.clone();
    let answer = browser.get("/delete?k=k&v=1").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(browser.cookie, None);
    assert_dead(&app, copied.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_logout_holds_if_nobody_waits_for_its_answer() {
    let app = App::new();
    let mut browser = app.browser_with("user", "alice").await;
    let request = browser.held(&app.gate, "/flush?held=true").await;
    assert_eq!(browser.value("user").await, "alice", "until it is known that it was no cycle");
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    // Whatever is ready runs before a paused clock moves on.
    seconds(1).await;
    assert_eq!(app.layer.counters().ended, 1);
    assert_dead(&app, browser.cookie.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_that_deleted_nothing_changes_nothing() {
    let app = App::new();
    let mut browser = app.browser_with("user", "alice").await;
    let request = browser.held(&app.gate, "/login?v=bob&held=true").await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    seconds(1).await;
    assert_eq!(browser.value("user").await, "alice");
    assert_eq!(app.layer.counters().ended, 0);
}

#[tokio::test(start_paused = true)]
async fn an_ended_session_that_somebody_comes_back_with_is_nobodys() {
    let app = App::new();
    let mut browser = app.browser_with("user", "alice").await;
    let mut other = browser.clone();
    browser.get("/flush").await;
    let ended = other.cookie.clone();
    other.get("/set?k=k&v=1").await;
    assert_ne!(other.cookie, ended, "a new visitor gets a new id");
    assert_eq!((other.value("k").await.as_str(), other.value("user").await.as_str()), ("1", ""));
    assert_dead(&app, ended.as_ref()).await;
}
