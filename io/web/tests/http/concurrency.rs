//! Requests of one session that overlap.

use axum::http::{Method, StatusCode};

use crate::app::App;

#[tokio::test(start_paused = true)]
async fn a_logout_is_final_against_requests_that_began_before_it() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    let before = browser.clone();
    let mut slow = Vec::new();
    for (method, path) in [
        (Method::POST, "/set?k=a&v=1&held=true"),
        (Method::GET, "/get?k=user&held=true"),
        (Method::POST, "/incr?held=true"),
        (Method::POST, "/renew?held=true"),
        (Method::POST, "/login?v=alice&held=true"),
    ] {
        slow.push(before.held(&app.gate, method, path).await);
    }
    let answer = browser.post("/logout").await;
    assert!(answer.set_cookie().unwrap().starts_with("__Host-abide=; "));
    assert_eq!(browser.cookie, None);
    app.gate.release(slow.len());
    for request in slow {
        let (late, answer) = request.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "the response is not turned into an error");
        assert_eq!(answer.set_cookie(), None);
        assert_eq!(late.cookie, before.cookie);
    }
    for mut late in [before, browser] {
        assert_eq!(late.get("/me").await.body, "");
        assert_eq!(late.get("/get?k=a").await.body, "");
    }
    let counters = app.layer.counters();
    assert_eq!(app.store.sessions(), 0);
    assert_eq!((counters.ended, counters.gone), (1, 3), "{counters:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_reader_whose_touch_is_due_does_not_revive_either() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    tokio::time::advance(std::time::Duration::from_hours(5)).await;
    let reader = browser.held(&app.gate, Method::GET, "/get?k=user&held=true").await;
    browser.post("/logout").await;
    app.gate.release(1);
    let (_, answer) = reader.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "alice"));
    assert_eq!(app.store.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_asks_is_told_that_the_session_has_ended() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    let slow = browser.held(&app.gate, Method::POST, "/save?held=true").await;
    browser.post("/logout").await;
    app.gate.release(1);
    let (_, answer) = slow.await.unwrap();
    assert_eq!(answer.body, "gone");
    assert_eq!(answer.set_cookie(), None);
    assert_eq!(app.store.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_requests_that_set_different_fields_both_keep_theirs() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=0").await;
    let one = browser.held(&app.gate, Method::POST, "/set?k=a&v=1&held=true").await;
    let two = browser.held(&app.gate, Method::POST, "/set?k=b&v=2&held=true").await;
    app.gate.release(2);
    one.await.unwrap();
    two.await.unwrap();
    assert_eq!(browser.get("/get?k=a").await.body, "1");
    assert_eq!(browser.get("/get?k=b").await.body, "2");
}

#[tokio::test(start_paused = true)]
async fn twenty_increments_at_once_are_twenty() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=0").await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(browser.held(&app.gate, Method::POST, "/incr?held=true").await);
    }
    app.gate.release(20);
    for request in all {
        assert_eq!(request.await.unwrap().1.status, StatusCode::OK);
    }
    assert_eq!(browser.post("/incr").await.body, "21");
    assert_eq!(app.layer.counters().conflicts, 19);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_from_two_threads_are_all_there() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=0").await;
    let all: Vec<_> = (0..8)
        .map(|_| {
            let mut browser = browser.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(browser.post("/incr").await.status, StatusCode::OK);
                }
            })
        })
        .collect();
    for task in all {
        task.await.unwrap();
    }
    assert_eq!(browser.post("/incr").await.body, "401");
}

#[tokio::test(start_paused = true)]
async fn what_was_saved_early_is_not_saved_twice() {
    let app = App::new();
    let mut browser = app.browser();
    assert_eq!(browser.post("/save").await.body, "saved");
    assert_eq!(browser.post("/save").await.body, "saved");
    assert_eq!(browser.post("/incr").await.body, "23");
    assert_eq!(app.store.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_writer_after_a_sign_in_elsewhere_is_not_signed_out_by_it() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    let slow = browser.held(&app.gate, Method::POST, "/set?k=a&v=1&held=true").await;
    browser.post("/logout").await;
    browser.post("/login?v=alice").await;
    app.gate.release(1);
    let (_, answer) = slow.await.unwrap();
    assert_eq!(answer.set_cookie(), None, "it would replace the new cookie");
    assert_eq!(browser.get("/me").await.body, "alice");
    assert_eq!(browser.get("/get?k=a").await.body, "");
}
