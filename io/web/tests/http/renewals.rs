//! New ids for old sessions.

use std::time::Duration;

use axum::http::{Method, StatusCode};

use crate::app::App;

#[tokio::test(start_paused = true)]
async fn a_renewal_keeps_the_data_and_the_old_id_for_its_grace() {
    let app = App::new();
    let mut old = app.browser();
    old.post("/set?k=a&v=1").await;
    let mut new = old.clone();
    let answer = new.post("/renew").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_ne!(new.cookie, old.cookie);
    let slot =
        |cookie: &Option<String>| cookie.clone().unwrap()["__Host-abide=".len()..][..3].to_owned();
    assert_eq!(slot(&new.cookie), slot(&old.cookie), "the session stays where it is");

    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(old.get("/get?k=a").await.body, "1");
    assert_eq!(old.post("/set?k=b&v=2").await.set_cookie(), None);
    assert_eq!(new.get("/get?k=b").await.body, "2");

    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(old.get("/get?k=a").await.body, "");
    assert_eq!(new.get("/get?k=a").await.body, "1");
    assert_eq!(app.layer.counters().renewed, 1);
}

#[tokio::test(start_paused = true)]
async fn parallel_renewals_all_succeed_and_are_one() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=1").await;
    let first = browser.held(&app.gate, Method::POST, "/renew?held=true").await;
    let second = browser.held(&app.gate, Method::POST, "/set?k=b&v=2&held=true").await;
    app.gate.release(2);
    let (mut new, _) = first.await.unwrap();
    assert_eq!(second.await.unwrap().1.status, StatusCode::OK);
    // One that presents the old id after the renewal asks for the same renewal again.
    assert_eq!(browser.post("/renew").await.set_cookie(), None);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(new.get("/get?k=a").await.body, "1");
    assert_eq!(new.get("/get?k=b").await.body, "2");
}

#[tokio::test(start_paused = true)]
async fn who_knew_the_id_before_a_sign_in_is_not_signed_in_by_it() {
    let app = App::new();
    let mut victim = app.browser();
    victim.post("/set?k=cart&v=book").await;
    let mut thief = victim.clone();
    victim.post("/login?v=alice").await;
    assert_ne!(victim.cookie, thief.cookie);
    assert_eq!(victim.get("/me").await.body, "alice");
    assert_eq!(victim.get("/get?k=cart").await.body, "book");

    assert_eq!(thief.get("/me").await.body, "");
    assert_eq!(thief.get("/get?k=cart").await.body, "book", "requests on their way go on");
    let answer = thief.post("/set?k=cart&v=brick").await;
    assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None));
    assert_eq!(victim.get("/get?k=cart").await.body, "book");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(thief.get("/get?k=cart").await.body, "");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_was_sent_twice_succeeds_twice() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=cart&v=book").await;
    let mut first = browser.clone();
    first.post("/login?v=alice").await;
    browser.post("/login?v=alice").await;
    for mut signed_in in [first, browser] {
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(signed_in.get("/me").await.body, "alice");
        assert_eq!(signed_in.get("/get?k=cart").await.body, "book");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_holds_even_if_another_of_the_same_browser_was_faster() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=cart&v=book").await;
    let slow = browser.held(&app.gate, Method::POST, "/login?v=alice&held=true").await;
    // Its response is lost on the way.
    browser.clone().post("/login?v=alice").await;
    app.gate.release(1);
    let (mut browser, answer) = slow.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(browser.get("/me").await.body, "alice");
    assert_eq!(browser.get("/get?k=cart").await.body, "book");
}

#[tokio::test(start_paused = true)]
async fn another_user_on_the_same_browser_ends_the_first_ones_id() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    let mut old = browser.clone();
    browser.post("/login?v=bob").await;
    assert_eq!(browser.get("/me").await.body, "bob");
    assert_eq!(old.get("/me").await.body, "");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_by_a_handler_that_fails_afterwards_is_kept() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=cart&v=book").await;
    let answer = browser.post("/fail").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.get("/me").await.body, "alice");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(browser.get("/get?k=cart").await.body, "book");
}

#[tokio::test(start_paused = true)]
async fn the_other_sessions_of_a_user_can_be_ended_at_once() {
    let app = App::new();
    let (mut here, mut there, mut other) = (app.browser(), app.browser(), app.browser());
    here.post("/login?v=alice").await;
    there.post("/login?v=alice").await;
    other.post("/login?v=bob").await;
    assert_eq!(here.post("/end-others").await.status, StatusCode::OK);
    assert_eq!(here.get("/me").await.body, "alice");
    assert_eq!(there.get("/me").await.body, "");
    assert_eq!(other.get("/me").await.body, "bob");
    there.post("/login?v=alice").await;
    assert_eq!(there.get("/me").await.body, "alice");
    assert_eq!(app.browser().post("/end-others").await.status, StatusCode::OK);
}
