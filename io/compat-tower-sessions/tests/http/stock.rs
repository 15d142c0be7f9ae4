//! A store of abide's behind tower-sessions' own layer.

use axum::http::StatusCode;
use time::Duration;

use super::app::{App, Gate, routes, seconds};
use super::store::Switch;
use crate::compat::{SessionLayer, TowerStore};
use crate::tower_sessions::{
    ExpiredDeletion, Expiry, Session, SessionManagerLayer, SessionStore, session,
};

struct Stock {
    app: App,
    tower: TowerStore,
}

fn stock() -> Stock {
    let store = Switch::new();
    let tower = TowerStore::new(store.clone());
    let gate = Gate::default();
    let layer = SessionManagerLayer::new(tower.clone())
        .with_expiry(Expiry::OnInactivity(Duration::hours(1)));
    let router = routes(gate.clone()).layer(layer);
    // Not in use: so that the browsers can be the same.
    let layer = SessionLayer::new(store.clone());
    Stock { app: App { router, layer, store, gate }, tower }
}

#[tokio::test(start_paused = true)]
async fn sessions_are_kept_cycled_and_ended() {
    let Stock { app, tower } = stock();
    let mut browser = app.browser_with("a", "1").await;
    browser.get("/set?k=b&v=2").await;
    browser.get("/remove?k=a").await;
    assert_eq!((browser.value("a").await.as_str(), browser.value("b").await.as_str()), ("", "2"));
    let old = browser.clone();
    browser.get("/login?v=alice").await;
    assert_eq!(browser.value("user").await, "alice");
    assert_eq!(browser.value("b").await, "2");
    for mut copied in [old, browser.clone()] {
        browser.get("/flush").await;
        assert_eq!(copied.value("user").await + &copied.value("b").await, "");
    }
    let counters = tower.counters();
    assert_eq!((counters.created, counters.ended), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_logout_is_final_here_too() {
    let Stock { app, tower } = stock();
    let mut browser = app.browser_with("user", "alice").await;
    let mut copied = browser.clone();
    let slow = browser.held(&app.gate, "/set?k=k&v=1&held=true").await;
    browser.get("/flush").await;
    app.gate.release(1);
    assert_eq!(slow.await.unwrap().1.status, StatusCode::OK);
    assert_eq!(copied.value("user").await + &copied.value("k").await, "");
    assert_eq!(tower.counters().gone, 1);
}

#[tokio::test(start_paused = true)]
async fn two_keys_at_once_both_stay_here_too() {
    let Stock { app, .. } = stock();
    let mut browser = app.browser_with("a", "1").await;
    let slow = browser.held(&app.gate, "/set?k=b&v=2&held=true").await;
    browser.get("/set?k=c&v=3").await;
    browser.get("/remove?k=a").await;
    app.gate.release(1);
    slow.await.unwrap();
    for (key, value) in [("a", ""), ("b", "2"), ("c", "3")] {
        assert_eq!(browser.value(key).await, value, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cleared_session_holds_what_came_after() {
    let Stock { app, .. } = stock();
    let mut browser = app.browser_with("a", "1").await;
    browser.get("/clear").await;
    assert_eq!(browser.value("a").await, "");
    browser.get("/set?k=b&v=2").await;
    assert_eq!(browser.value("b").await, "2");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_saved_early_is_saved_again() {
    let Stock { app, tower } = stock();
    let mut browser = app.browser();
    browser.get("/save?k=a&v=1").await;
    browser.get("/save?k=a&v=2").await;
    browser.get("/login?v=alice&save=true").await;
    assert_eq!(browser.value("a").await + &browser.value("user").await, "2alice");
    let counters = tower.counters();
    assert_eq!((counters.created, counters.committed), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_made_is_not_saved() {
    let store = Switch::new();
    let tower = TowerStore::new(store.clone());
    let id = session::Id::default();
    let session = Session::new(Some(id), std::sync::Arc::new(tower.clone()), None);
    session.clear().await;
    session.save().await.unwrap();
    assert!(tower.load(&id).await.unwrap().is_none());
    tower.delete_expired().await.unwrap();
    assert_eq!(tower.counters().gone, 1);
}

#[tokio::test(start_paused = true)]
async fn a_taken_id_is_not_overwritten() {
    let tower = TowerStore::new(Switch::new());
    let expiry_date = time::OffsetDateTime::now_utc() + Duration::hours(1);
    let mut first = session::Record {
        id: session::Id(7),
        data: [("k".to_owned(), 1.into())].into(),
        expiry_date,
    };
    let mut second = session::Record { data: [].into(), ..first.clone() };
    tower.create(&mut first).await.unwrap();
    tower.create(&mut second).await.unwrap();
    assert_eq!(first.id, session::Id(7));
    assert_ne!(second.id, first.id);
    assert_eq!(tower.load(&first.id).await.unwrap().unwrap().data["k"], 1);
    assert!(!tower.load(&second.id).await.unwrap().unwrap().data.contains_key("k"));
}

#[tokio::test(start_paused = true)]
async fn sessions_expire_and_errors_are_told() {
    let Stock { app, tower } = stock();
    let mut browser = app.browser_with("a", "1").await;
    seconds(3600).await;
    assert_eq!(browser.value("a").await, "");
    assert_eq!(tower.counters().expired, 1);

    let mut browser = app.browser_with("a", "1").await;
    app.store.set_down(true);
    let answer = browser.get("/get?k=a").await;
    assert_eq!(answer.status, StatusCode::IM_A_TEAPOT);
    assert!(answer.body.contains("unavailable"), "{}", answer.body);
    let quick = tower.with_store_timeout(std::time::Duration::from_millis(50));
    app.store.set_down(false);
    app.store.set_silent(true);
    let start = tokio::time::Instant::now();
    assert!(quick.load(&session::Id(1)).await.is_err());
    assert!(start.elapsed().as_secs() < 2);
}
