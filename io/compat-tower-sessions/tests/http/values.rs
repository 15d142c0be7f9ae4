//! What is kept, and what concurrent requests make of it.

use abide_session::{Changes, FieldChange, FieldName, Id, Store, Time};
use axum::http::StatusCode;
use bytes::Bytes;

use super::app::{App, Browser};

#[tokio::test(start_paused = true)]
async fn what_was_inserted_is_there_until_it_is_removed() {
    let app = App::new();
    let mut browser = app.browser_with("a", "1").await;
    browser.get("/set?k=b&v=2").await;
    assert_eq!((browser.value("a").await, browser.value("b").await), ("1".into(), "2".into()));
    let answer = browser.get("/remove?k=a").await;
    assert_eq!(answer.set_cookie(), None);
    assert_eq!((browser.value("a").await, browser.value("b").await), (String::new(), "2".into()));
    browser.get("/remove?k=b").await;
    assert_eq!(browser.value("b").await, "");
    browser.get("/set?k=a&v=3").await;
    assert_eq!(browser.value("a").await, "3");
    assert_eq!(app.layer.counters().created, 1, "an emptied session stays");
}

#[tokio::test(start_paused = true)]
async fn a_session_can_be_cleared_without_a_look_at_it() {
    let app = App::new();
    let mut browser = app.browser_with("a", "1").await;
    browser.get("/clear").await;
    assert_eq!(browser.value("a").await, "");
    browser.get("/set?k=a&v=2").await;
    assert_eq!((browser.value("a").await.as_str(), app.layer.counters().created), ("2", 1));
}

#[tokio::test(start_paused = true)]
async fn to_set_the_same_again_is_no_write() {
    let app = App::new();
    let mut browser = app.browser_with("a", "1").await;
    let writes = app.store.writes();
    browser.get("/set?k=a&v=1").await;
    browser.get("/remove?k=x").await;
    assert_eq!(app.store.writes(), writes);
}

#[tokio::test(start_paused = true)]
async fn two_keys_at_once_both_stay() {
    let app = App::new();
    let mut browser = app.browser_with("a", "1").await;
    let requests = [
        browser.held(&app.gate, "/set?k=b&v=2&held=true").await,
        browser.held(&app.gate, "/set?k=c&v=3&held=true").await,
        browser.held(&app.gate, "/save?k=d&v=4&held=true").await,
    ];
    browser.get("/remove?k=a").await;
    app.gate.release(3);
    for request in requests {
        assert_eq!(request.await.unwrap().1.status, StatusCode::OK);
    }
    for (key, value) in [("a", ""), ("b", "2"), ("c", "3"), ("d", "4")] {
        assert_eq!(browser.value(key).await, value, "{key}");
    }
}

/// A whole value is set, so that is what tower-sessions' `insert` can do; to change what is there
/// without losing what others do takes abide's own `Session::update`.
#[tokio::test(start_paused = true)]
async fn of_two_writes_to_one_key_the_last_one_stays() {
    let app = App::new();
    let mut browser = app.browser_with("a", "1").await;
    let slow = browser.held(&app.gate, "/set?k=a&v=slow&held=true").await;
    browser.get("/set?k=a&v=quick").await;
    app.gate.release(1);
    slow.await.unwrap();
    assert_eq!(browser.value("a").await, "slow");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_saves_twice_writes_each_change_once() {
    let app = App::new();
    let mut browser = app.browser_with("a", "1").await;
    let writes = app.store.writes();
    browser.get("/save?k=a&v=2").await;
    assert_eq!(app.store.writes(), writes + 1);
    assert_eq!(browser.value("a").await, "2");
}

#[tokio::test(start_paused = true)]
async fn values_are_what_abides_own_session_writes_and_reads() {
    let app = App::new();
    let mut browser = app.browser_with("text", "hello").await;
    let id = id_of(&browser);
    let record = app.store.load(id.hash(), now()).await.unwrap().live().unwrap();
    assert_eq!(rmp_serde::from_slice::<String>(record.get("text").unwrap()).unwrap(), "hello");

    let cart =
        [("apple", 3), ("pear", 1)].into_iter().collect::<std::collections::BTreeMap<_, _>>();
    let mut changes = Changes::default();
    let mut set = |name: &'static str, value: Vec<u8>| {
        let name = FieldName::new(name).unwrap();
        changes.fields.insert(name, FieldChange::blind(Some(value.into())));
    };
    set("cart", rmp_serde::to_vec_named(&cart).unwrap());
    // A byte string, which JSON does not have.
    set("bytes", vec![0xc4, 1, 7]);
    app.store.commit(id.hash(), changes, now()).await.unwrap();

    assert_eq!(browser.value("cart").await, r#"{"apple":3,"pear":1}"#);
    assert_eq!(browser.value("bytes").await, "");
    browser.get("/set?k=other&v=1").await;
    browser.get("/clear").await;
    let record = app.store.load(id.hash(), now()).await.unwrap().live().unwrap();
    assert_eq!(record.get("bytes"), Some(&Bytes::from_static(&[0xc4, 1, 7])));
    assert_eq!(record.iter().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_too_large_is_an_error_and_changes_nothing() {
    let app = App::new();
    let mut browser = app.browser_with("a", "1").await;
    let name = "n".repeat(129);
    for path in ["set", "save"] {
        let answer = browser.get(&format!("/{path}?k={name}&v=1")).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    assert_eq!(browser.value("a").await, "1");
}

fn id_of(browser: &Browser) -> Id {
    Id::parse(&browser.cookie.as_ref().unwrap().as_bytes()["id=".len()..]).unwrap()
}

/// The layer's clock stands still, and close enough to the wall clock's for these.
fn now() -> Time {
    let seconds = time::OffsetDateTime::now_utc().unix_timestamp();
    Time::from_secs(u64::try_from(seconds).unwrap())
}
