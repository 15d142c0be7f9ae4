//! Who gets which cookie: what the route tests of tower-sessions ask for, and where this differs.

use abide_compat_tower_sessions::{MAX_PRESENTED_IDS, SameSite};
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;

use super::app::App;
use crate::compat::SessionLayer;
use crate::tower_sessions::Session;

const DAY: u64 = 24 * 3600;

#[tokio::test(start_paused = true)]
async fn who_does_not_use_the_session_gets_nothing_and_costs_nothing() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    let (reads, writes) = (app.store.reads(), app.store.writes());
    for mut browser in [app.browser(), browser.clone()] {
        let answer = browser.get("/plain").await;
        assert_eq!(answer.body, "plain");
        assert!(answer.headers.get(header::VARY).is_none());
        assert_eq!(answer.set_cookie(), None);
    }
    assert_eq!((app.store.reads(), app.store.writes()), (reads, writes));
    assert_eq!(browser.value("k").await, "1");
}

#[tokio::test(start_paused = true)]
async fn visitors_that_leave_nothing_get_nothing() {
    let app = App::new();
    for path in
        ["/get?k=x", "/remove?k=x", "/empty", "/clear", "/cycle", "/flush", "/expire?idle=9"]
    {
        let answer = app.browser().get(path).await;
        assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None), "{path}");
    }
    assert_eq!((app.store.reads(), app.store.writes()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_made_with_the_cookie_that_was_asked_for() {
    let app = App::new();
    let mut browser = app.browser();
    let answer = browser.get("/set?k=k&v=1").await;
    let cookie = answer.set_cookie().unwrap();
    assert!(cookie.starts_with("id="), "{cookie}");
    assert!(cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age="), "{cookie}");
    // The store ends it when it is unused for an hour; until it must end the browser has the id.
    assert_eq!(answer.max_age(), Some(14 * DAY));
    assert_eq!(answer.headers[header::CACHE_CONTROL], "private");
    assert_eq!(answer.headers[header::VARY], "cookie");
    assert_eq!(browser.value("k").await, "1");
    let counters = app.layer.counters();
    assert_eq!((counters.created, counters.committed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_an_expiry_the_browser_forgets_the_cookie_when_it_is_closed() {
    let app = App::with(|layer| layer);
    let answer = app.browser().get("/set?k=k&v=1").await;
    assert_eq!(answer.max_age(), None);
}

#[tokio::test(start_paused = true)]
async fn the_cookie_can_have_other_attributes() {
    let app = App::with(|layer| {
        layer
            .with_name("sid")
            .with_path("/app")
            .with_domain("example.org")
            .with_secure(false)
            .with_http_only(false)
            .with_same_site(SameSite::Lax)
    });
    let mut browser = app.browser();
    let answer = browser.get("/set?k=k&v=1").await;
    let cookie = answer.set_cookie().unwrap();
    assert!(cookie.starts_with("sid="), "{cookie}");
    assert!(cookie.ends_with("; Path=/app; Domain=example.org; SameSite=Lax"), "{cookie}");
    // What removes it has to carry the same, or browsers take it for another cookie.
    let answer = browser.get("/flush").await;
    let cookie = answer.set_cookie().unwrap();
    let removal = "sid=; Path=/app; Domain=example.org; SameSite=Lax; Max-Age=0;";
    assert!(cookie.starts_with(removal), "{cookie}");
}

#[test]
#[should_panic(expected = "the session cookie \"__Host-id\"")]
fn a_cookie_that_no_browser_keeps_is_refused_at_the_start() {
    let layer = SessionLayer::new(super::store::Switch::new());
    let app: Router = Router::new().route("/", get(|_: Session| async {}));
    let _ = app.layer(layer.with_name("__Host-id").with_secure(false));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_id_is_never_adopted() {
    let app = App::new();
    for unknown in
        ["id=0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA", "id=AAAAAAAAAAAAAAAAAAAAAA", "id=malformed"]
    {
        for path in ["/set?k=k&v=1", "/expire?idle=9&k=k&v=1", "/login?v=1", "/save?k=k&v=1"] {
            let mut browser = app.browser();
            browser.cookie = Some(unknown.to_owned());
            let answer = browser.get(path).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            assert!(!answer.set_cookie().unwrap().starts_with(unknown), "{path}");
            let mut planted = app.browser();
            planted.cookie = Some(unknown.to_owned());
            assert_eq!(planted.value("k").await + &planted.value("user").await, "");
        }
    }
    let counters = app.layer.counters();
    assert_eq!(counters.created, 12);
    assert!(counters.unknown > 0 && counters.malformed > 0, "{counters:?}");
}

#[tokio::test(start_paused = true)]
async fn clearing_what_nobody_knows_makes_nothing() {
    let app = App::new();
    let mut browser = app.browser();
    browser.cookie = Some("id=0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
    for path in ["/clear", "/expire?idle=9", "/cycle", "/get?k=k"] {
        assert_eq!(browser.get(path).await.set_cookie(), None, "{path}");
    }
    assert_eq!(app.store.writes(), 0);
}

/// Unlike tower-sessions, which removes it: the answer could arrive late and would then remove the
/// cookie of a newer session.
#[tokio::test(start_paused = true)]
async fn a_stale_cookie_is_left_alone() {
    let app = App::new();
    for stale in ["id=malformed", "id=0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        let mut browser = app.browser();
        browser.cookie = Some(stale.to_owned());
        let answer = browser.get("/get?k=k").await;
        assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None));
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_cookies_the_one_that_finds_a_session_counts() {
    let app = App::new();
    let known = app.browser_with("k", "1").await.cookie.unwrap();
    let stale = |n: usize| format!("id=0f{n:x}AAAAAAAAAAAAAAAAAAAAAAAAAAA");
    for (before, found) in [(MAX_PRESENTED_IDS - 1, "1"), (MAX_PRESENTED_IDS, "")] {
        let mut browser = app.browser();
        let stale: Vec<_> = (0..before).map(stale).collect();
        browser.cookie = Some(format!("{}; {known}", stale.join("; ")));
        assert_eq!(browser.value("k").await, found);
    }
    let mut browser = app.browser();
    browser.cookie = Some(format!("{}; {known}", stale(0)));
    browser.get("/flush").await;
    assert_eq!(browser.cookie, None);
    browser.cookie = Some(known);
    assert_eq!(browser.value("k").await, "");
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_calls_the_session_is_not_its_id() {
    let app = App::new();
    let mut browser = app.browser();
    let first = browser.get("/save?k=k&v=1").await;
    let id = browser.cookie.clone().unwrap();
    assert_eq!(first.body.len(), 22);
    assert!(!id.contains(&first.body));
    assert_eq!(browser.get("/save").await.body, first.body, "it stays the same");
    browser.get("/login?v=alice").await;
    assert_ne!(browser.get("/save").await.body, first.body, "but for a new id");
    let mut thief = app.browser();
    thief.cookie = Some(format!("id={}", first.body));
    assert_eq!(thief.value("k").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_saves_an_empty_session_gets_one() {
    let app = App::new();
    let mut browser = app.browser();
    browser.get("/save").await;
    assert!(browser.cookie.is_some());
    browser.get("/set?k=k&v=1").await;
    assert_eq!(browser.value("k").await, "1");
    assert_eq!(app.layer.counters().created, 1);
}
