//! How long a session lives.

use std::time::Duration;

use abide::{Lifetime, MemoryStore, SessionLayer};
use axum::http::StatusCode;

use crate::app::App;
use crate::visit::Jar;

const HOUR: Duration = Duration::from_hours(1);

fn app() -> App {
    App::with(MemoryStore::new(), |layer| layer.idle_timeout(10 * HOUR).absolute_timeout(50 * HOUR))
}

#[tokio::test(start_paused = true)]
async fn an_unused_session_expires_and_its_cookie_begins_no_other() {
    let app = app();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    tokio::time::advance(10 * HOUR).await;
    let answer = browser.get("/me").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, ""));
    assert_eq!(answer.set_cookie(), None);
    let old = browser.cookie.clone();
    browser.post("/login?v=alice").await;
    assert_ne!(browser.cookie, old);
    assert_eq!(browser.get("/me").await.body, "alice");
}

#[tokio::test(start_paused = true)]
async fn a_used_session_lives_until_its_absolute_end() {
    let app = app();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    for _ in 0..9 {
        tokio::time::advance(5 * HOUR).await;
        let answer = browser.get("/me").await;
        assert_eq!(answer.body, "alice");
        assert_eq!(answer.set_cookie(), None, "the cookie lasts to the end from the beginning");
    }
    tokio::time::advance(5 * HOUR).await;
    assert_eq!(browser.get("/me").await.body, "");
}

#[tokio::test(start_paused = true)]
async fn reading_writes_once_in_a_tenth_of_the_idle_timeout() {
    let app = app();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    let calls = app.switch.calls();
    for _ in 0..10 {
        browser.get("/me").await;
    }
    assert_eq!(app.switch.calls(), calls + 10);
    tokio::time::advance(HOUR).await;
    browser.get("/me").await;
    assert_eq!(app.switch.calls(), calls + 12, "a load and a touch");
    browser.get("/me").await;
    assert_eq!(app.switch.calls(), calls + 13);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_takes_no_room_for_long() {
    let app = app();
    for _ in 0..100 {
        app.browser().post("/set?k=a&v=1").await;
    }
    assert_eq!(app.store.sessions(), 100);
    tokio::time::advance(10 * HOUR).await;
    for _ in 0..20 {
        app.browser().post("/set?k=a&v=1").await;
    }
    assert_eq!(app.store.sessions(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_session_can_have_a_lifetime_of_its_own() {
    let layer = SessionLayer::new(MemoryStore::new()).idle_timeout(HOUR).absolute_timeout(9 * HOUR);
    let (mut usual, mut remembered, mut later) = (Jar::default(), Jar::default(), Jar::default());
    let long = Lifetime { idle_timeout: 300 * HOUR, absolute_timeout: 900 * HOUR };
    usual.visit(&layer, async |session| session.set_subject("a")).await.outcome.unwrap();
    let visit = remembered
        .visit(&layer, async |session| {
            session.set_lifetime(long);
            session.set_subject("b")
        })
        .await;
    assert!(visit.set_cookies()[0].contains("Max-Age=3240000"), "{:?}", visit.set_cookies());
    later.visit(&layer, async |session| session.set_subject("c")).await.outcome.unwrap();
    let visit = later
        .visit(&layer, async |session| {
            session.set_lifetime(long);
            Ok(())
        })
        .await;
    assert!(
        visit.set_cookies()[0].contains("Max-Age=3240000"),
        "the browser has to keep it longer"
    );
    for (wait, expected) in [(2, [false, true, true]), (269, [false, true, true])] {
        tokio::time::advance(wait * HOUR).await;
        for (jar, expected) in [&mut usual, &mut remembered, &mut later].into_iter().zip(expected) {
            let visit = jar.visit(&layer, async |session| session.subject().await).await;
            assert_eq!(visit.outcome.unwrap().is_some(), expected);
        }
    }
}
