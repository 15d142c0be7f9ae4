//! A new id for a session: what tower-sessions does by a delete and a create is one step here.

use axum::http::StatusCode;

use super::app::{App, seconds};

const GRACE: u64 = 10;

#[tokio::test(start_paused = true)]
async fn a_cycled_session_keeps_what_it_has_under_another_id() {
    let app = App::new();
    let mut browser = app.browser_with("k", "42").await;
    let before = browser.cookie.clone();
    let slot = |cookie: &Option<String>| cookie.as_ref().unwrap()[..6].to_owned();
    let writes = app.store.writes();
    let answer = browser.get("/cycle").await;
    assert!(answer.set_cookie().is_some());
    assert_ne!(browser.cookie, before);
    assert_eq!(slot(&browser.cookie), slot(&before), "it stays where its data is");
    assert_eq!(app.store.writes(), writes + 1);
    seconds(GRACE).await;
    assert_eq!(browser.value("k").await, "42");
    assert_eq!(app.layer.counters().renewed, 1);
}

#[tokio::test(start_paused = true)]
async fn who_planted_an_id_is_not_signed_in_by_it() {
    for path in ["/login?v=alice", "/login?v=alice&save=true"] {
        let app = App::new();
        let mut victim = app.browser_with("cart", "apple").await;
        let mut thief = victim.clone();
        victim.get(path).await;
        assert_ne!(victim.cookie, thief.cookie);
        // For the grace it sees the session as it was, and writes nothing.
        assert_eq!(
            (thief.value("cart").await.as_str(), thief.value("user").await.as_str()),
            ("apple", "")
        );
        let answer = thief.get("/set?k=cart&v=stolen").await;
        assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None));
        seconds(GRACE).await;
        assert_eq!(thief.value("cart").await, "");
        assert_eq!(victim.value("user").await, "alice");
        assert_eq!(victim.value("cart").await, "apple");
        assert_eq!(app.layer.counters().gone, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_were_on_their_way_survive_a_sign_in() {
    let app = App::new();
    let mut browser = app.browser_with("cart", "apple").await;
    let mut late = browser.clone();
    let reader = browser.held(&app.gate, "/get?k=cart&held=true").await;
    let writer = browser.held(&app.gate, "/set?k=k&v=1&held=true").await;
    browser.get("/login?v=alice").await;
    app.gate.release(2);
    let (_, answer) = reader.await.unwrap();
    assert_eq!((answer.body.as_str(), answer.set_cookie()), ("apple", None));
    let (_, answer) = writer.await.unwrap();
    assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None));
    assert_eq!(late.value("cart").await, "apple");
    assert_eq!(browser.value("user").await, "alice");
}

/// Two clicks on "sign in". Whichever answer comes last, the browser holds an id that is signed in.
#[tokio::test(start_paused = true)]
async fn two_sign_ins_at_once_both_get_a_session() {
    let app = App::new();
    let browser = app.browser_with("cart", "apple").await;
    let both = [
        browser.held(&app.gate, "/login?v=alice&held=true").await,
        browser.held(&app.gate, "/login?v=alice&held=true").await,
    ];
    app.gate.release(2);
    let mut ids = Vec::new();
    for request in both {
        let (mut browser, answer) = request.await.unwrap();
        assert_eq!(answer.body, "alice");
        seconds(GRACE).await;
        assert_eq!(browser.value("user").await, "alice");
        assert_eq!(browser.value("cart").await, "apple");
        ids.push(browser.cookie);
    }
    assert_ne!(ids[0], ids[1]);
    let counters = app.layer.counters();
    assert_eq!((counters.renewed, counters.created, counters.gone), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_with_an_old_id_gets_a_session_of_its_own() {
    let app = App::new();
    let mut first = app.browser_with("cart", "apple").await;
    let mut second = first.clone();
    first.get("/login?v=alice").await;
    second.get("/login?v=alice").await;
    seconds(GRACE).await;
    for browser in [&mut first, &mut second] {
        assert_eq!(browser.value("user").await, "alice");
        assert_eq!(browser.value("cart").await, "apple");
    }
    first.get("/flush").await;
    assert_eq!(second.value("user").await, "alice", "the two are two");
}

/// Otherwise the end of one would leave the other, for whoever had copied the old id.
#[tokio::test(start_paused = true)]
async fn to_cycle_twice_at_once_makes_no_second_session() {
    let app = App::new();
    let mut browser = app.browser_with("user", "alice").await;
    let mut second = browser.clone();
    browser.get("/cycle").await;
    let answer = second.get("/cycle").await;
    assert_eq!((answer.status, answer.set_cookie()), (StatusCode::OK, None));
    browser.get("/flush").await;
    assert_eq!(second.value("user").await, "");
    let counters = app.layer.counters();
    assert_eq!((counters.created, counters.renewed, counters.gone), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_second_sign_in_that_saves_in_between_is_one_too() {
    let app = App::new();
    let mut first = app.browser_with("cart", "apple").await;
    let mut second = first.clone();
    first.get("/login?v=alice").await;
    second.get("/login?v=alice&save=true").await;
    seconds(GRACE).await;
    assert_eq!(second.value("user").await + &second.value("cart").await, "aliceapple");
}

#[tokio::test(start_paused = true)]
async fn a_cycle_that_was_saved_and_cycled_again_is_followed() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    for _ in 0..8 {
        browser.get("/login?v=alice&save=true").await;
        assert_eq!(browser.value("k").await, "1");
    }
    assert_eq!(app.layer.counters().renewed, 8);
}

/// tower-sessions itself loses the session here: the old record is deleted at once, and the new one
/// made only if the response is no 5xx.
#[tokio::test(start_paused = true)]
async fn a_sign_in_that_then_fails_is_a_sign_in() {
    let app = App::new();
    let mut browser = app.browser_with("cart", "apple").await;
    let answer = browser.get("/fail?v=alice").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.value("cart").await, "apple");
    assert_eq!(browser.value("user").await, "alice");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_of_a_visitor_without_a_session_makes_one() {
    let app = App::new();
    let mut browser = app.browser();
    assert_eq!(browser.get("/login?v=alice").await.body, "alice");
    assert_eq!(browser.value("user").await, "alice");
    let counters = app.layer.counters();
    assert_eq!((counters.created, counters.renewed, counters.ended), (1, 0, 0));
}
