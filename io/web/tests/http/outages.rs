//! What happens when the store does not do what it should.

use std::time::Duration;

use abide::{MemoryStore, SessionLayer, UPDATE_TRIES};
use axum::http::{Method, StatusCode, header};

use crate::app::App;
use crate::visit::Jar;

#[tokio::test(start_paused = true)]
async fn an_outage_fails_what_needs_the_session_and_nothing_else() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    app.switch.set_down(true);
    assert_eq!(browser.get("/plain").await.status, StatusCode::OK);
    for answer in [browser.get("/me").await, browser.post("/set?k=a&v=1").await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header(header::RETRY_AFTER), Some("1"));
        assert_eq!(answer.set_cookie(), None);
    }
    let answer = browser.post("/logout").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "who is not signed out must know");
    assert_eq!(answer.set_cookie(), None);
    app.switch.set_down(false);
    assert_eq!(browser.get("/me").await.body, "alice", "nobody was signed out by it");
    assert_eq!(app.layer.counters().store_errors, 3);
}

#[tokio::test(start_paused = true)]
async fn an_outage_between_read_and_commit_withholds_the_response() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=1").await;
    let slow = browser.held(&app.gate, Method::POST, "/set?k=a&v=2&held=true").await;
    app.switch.set_down(true);
    app.gate.release(1);
    let (_, answer) = slow.await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.body, "", "it would tell of something that was not kept");
    app.switch.set_down(false);
    assert_eq!(browser.get("/get?k=a").await.body, "1");
}

#[tokio::test(start_paused = true)]
async fn a_touch_may_be_missed() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=1").await;
    tokio::time::advance(Duration::from_hours(5)).await;
    let slow = browser.held(&app.gate, Method::GET, "/get?k=a&held=true").await;
    app.switch.set_down(true);
    app.gate.release(1);
    let (_, answer) = slow.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "1"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_counts_as_down() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=1").await;
    app.switch.set_silent(true);
    let before = tokio::time::Instant::now();
    let answer = browser.get("/get?k=a").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let waited = before.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_store_turns_away_new_sessions_and_keeps_the_others() {
    let app = App::with(MemoryStore::bounded(2, 1 << 20), |layer| layer);
    let (mut one, mut two, mut three) = (app.browser(), app.browser(), app.browser());
    one.post("/set?k=a&v=1").await;
    two.post("/set?k=a&v=2").await;
    let answer = three.post("/set?k=a&v=3").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.set_cookie(), None);
    assert_eq!(one.get("/get?k=a").await.body, "1");
    one.post("/set?k=a&v=4").await;
    assert_eq!(one.get("/get?k=a").await.body, "4");
    two.post("/logout").await;
    assert_eq!(three.post("/set?k=a&v=3").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_never_gets_through_is_given_up() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/incr").await;
    app.switch.set_contested(true);
    let answer = browser.post("/incr").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header(header::RETRY_AFTER), Some("1"));
    assert_eq!(app.layer.counters().conflicts, u64::from(UPDATE_TRIES));
    app.switch.set_contested(false);
    assert_eq!(browser.post("/incr").await.body, "2");
}

#[tokio::test(start_paused = true)]
async fn where_that_was_chosen_a_request_that_only_reads_goes_on_without_a_session() {
    let switch = App::new().switch;
    let layer = SessionLayer::new(switch.clone()).without_session_in_outage();
    let mut jar = Jar::default();
    jar.visit(&layer, async |session| session.set_subject("alice")).await.outcome.unwrap();
    switch.set_down(true);
    let calls = switch.calls();
    let read = jar
        .visit(&layer, async |session| {
            session.get::<u32>("a").await?;
            Ok((session.subject().await?.is_some(), session.is_without_store()))
        })
        .await;
    assert_eq!((read.status, read.outcome), (StatusCode::OK, Ok((false, true))));
    assert_eq!(switch.calls() - calls, 1, "it waits for the store once");
    for written in [
        jar.visit(&layer, async |session| session.set("a", &1)).await,
        jar.visit(&layer, async |session| session.update("a", |a: &mut u32| *a += 1).await).await,
        jar.visit(&layer, async |session| session.increment("a", 1)).await,
    ] {
        assert_eq!(
            written.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "what is not kept must be known"
        );
        assert_eq!(written.set_cookies(), [""; 0]);
    }
    let saved = jar
        .visit(&layer, async |session| {
            session.get::<u32>("a").await?;
            session.set("a", &1)?;
            session.save().await
        })
        .await;
    assert!(saved.outcome.is_err());
    switch.set_down(false);
    let after = jar.visit(&layer, async |session| session.subject().await).await;
    assert!(after.outcome.unwrap().is_some(), "nobody was signed out");
    assert_eq!(layer.counters().created, 1);
}
