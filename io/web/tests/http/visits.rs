//! Who gets a session, and how it is carried.

use abide::{Attributes, MemoryStore};
use axum::http::{HeaderName, HeaderValue, StatusCode};

use crate::app::App;

#[tokio::test(start_paused = true)]
async fn a_sign_in_survives_from_request_to_request() {
    let app = App::new();
    let mut browser = app.browser();
    assert_eq!(browser.get("/me").await.body, "");
    let answer = browser.post("/login?v=alice").await;
    let cookie = answer.set_cookie().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with("__Host-abide="), "{pair}");
    assert_eq!(pair.len(), "__Host-abide=".len() + 30);
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=1209600");
    for _ in 0..20 {
        let answer = browser.get("/me").await;
        assert_eq!(answer.body, "alice");
        assert_eq!(answer.set_cookie(), None);
    }
    assert_eq!(app.layer.counters().created, 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_touch_the_session_costs_nothing() {
    let app = App::new();
    let mut visitor = app.browser();
    let answer = visitor.get("/plain").await;
    assert!(answer.headers.get("set-cookie").is_none() && answer.headers.get("vary").is_none());

    let mut user = app.browser();
    user.post("/login?v=alice").await;
    let calls = app.switch.calls();
    user.get("/plain").await;
    assert_eq!(app.switch.calls(), calls);
    assert_eq!(app.store.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_only_reads_or_leaves_nothing_behind_gets_no_session() {
    let app = App::new();
    let mut visitor = app.browser();
    for path in ["/get?k=a", "/me"] {
        assert_eq!(visitor.get(path).await.set_cookie(), None);
    }
    for path in ["/set-remove?k=a", "/renew", "/logout"] {
        assert_eq!(visitor.post(path).await.set_cookie(), None);
    }
    assert_eq!(app.switch.calls(), 0);
    assert_eq!(app.store.sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_by_who_never_looked_is_one_call() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/put?k=a&v=1").await;
    let calls = app.switch.calls();
    assert_eq!(browser.post("/put?k=a&v=2").await.set_cookie(), None);
    assert_eq!(app.switch.calls(), calls + 1);
    assert_eq!(browser.get("/get?k=a").await.body, "2");
    let calls = app.switch.calls();
    browser.post("/remove?k=b").await;
    assert_eq!(app.switch.calls(), calls + 1, "there was nothing to remove, which a look tells");
    assert_eq!(browser.post("/put-twice?k=a").await.body, "second");
    assert_eq!(browser.get("/get?k=a").await.body, "second");
}

#[tokio::test(start_paused = true)]
async fn a_write_by_who_never_looked_under_an_id_that_finds_nothing_goes_under_a_new_one() {
    let app = App::new();
    let (mut browser, mut stale) = (app.browser(), app.browser());
    browser.post("/put?k=a&v=1").await;
    stale.cookie.clone_from(&browser.cookie);
    browser.post("/logout").await;
    let calls = app.switch.calls();
    let answer = stale.post("/put?k=a&v=2").await;
    assert!(answer.status.is_success() && answer.set_cookie().is_some());
    assert_eq!(app.switch.calls(), calls + 3, "a commit, a load, and a create");
    assert_eq!(stale.get("/get?k=a").await.body, "2");
    assert_eq!(browser.get("/get?k=a").await.body, "");
}

#[tokio::test(start_paused = true)]
async fn of_several_cookies_a_write_by_who_never_looked_goes_to_the_one_with_a_session() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/put?k=a&v=1").await;
    let good = browser.cookie.clone().unwrap();
    browser.cookie = Some(format!("__Host-abide=0f3{}; {good}", "A".repeat(27)));
    assert_eq!(browser.post("/put?k=a&v=2").await.set_cookie(), None);
    browser.cookie = Some(good);
    assert_eq!(browser.get("/get?k=a").await.body, "2");
    assert_eq!(app.store.sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_one_call_and_a_write_after_it_another() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=1").await;
    assert_eq!(app.switch.calls(), 1, "there was nothing to load");
    browser.get("/get?k=a").await;
    assert_eq!(app.switch.calls(), 2);
    browser.post("/set?k=a&v=2").await;
    assert_eq!(app.switch.calls(), 4);
    browser.post("/set?k=a&v=2").await;
    assert_eq!(app.switch.calls(), 5, "the same value again is no change");
}

#[tokio::test(start_paused = true)]
async fn a_forged_cookie_is_ignored_and_never_adopted() {
    let app = App::new();
    let unknown = format!("__Host-abide=0f3{}", "A".repeat(27));
    let long = format!("__Host-abide={}", "A".repeat(100_000));
    for forged in [unknown.as_str(), &long, "__Host-abide=", "__Host-abide=\u{ff}x", "abide=\0"] {
        let mut browser = app.browser();
        let sendable = HeaderValue::from_str(forged).is_ok();
        browser.cookie = sendable.then(|| forged.to_owned());
        assert_eq!(browser.get("/me").await.body, "");
        let answer = browser.post("/set?k=a&v=1").await;
        assert_eq!(answer.status, StatusCode::OK);
        let cookie = answer.set_cookie().unwrap();
        assert!(!cookie.starts_with(&format!("{forged};")), "{cookie}");
        assert_eq!(browser.get("/get?k=a").await.body, "1");
    }
    assert_eq!(app.layer.counters().unknown, 2);
    assert_eq!(app.layer.counters().malformed, 6);
}

#[tokio::test(start_paused = true)]
async fn of_several_cookies_the_one_with_a_session_counts() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=a&v=1").await;
    let good = browser.cookie.clone().unwrap();
    let bad = format!("__Host-abide=0f3{}", "A".repeat(27));
    browser.cookie = Some(format!("{bad}; __Host-abide=x; {good}; other=1"));
    assert_eq!(browser.get("/get?k=a").await.body, "1");
    assert_eq!(browser.post("/set?k=b&v=2").await.set_cookie(), None);
}

#[tokio::test(start_paused = true)]
async fn the_id_may_come_in_a_header_that_a_proxy_sets() {
    let name = HeaderName::from_static("x-session-id");
    let app = App::with(MemoryStore::new(), |layer| layer.id_header(name));
    let mut browser = app.browser();
    browser.post("/login?v=alice").await;
    let cookie = browser.cookie.take().unwrap();
    browser.header = Some(cookie.split_once('=').unwrap().1.to_owned());
    let answer = browser.get("/me").await;
    assert_eq!(answer.body, "alice");
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["cookie", "x-session-id"]);

    let deaf = App::new();
    let mut browser = deaf.browser();
    browser.post("/login?v=bob").await;
    let cookie = browser.cookie.take().unwrap();
    browser.header = Some(cookie.split_once('=').unwrap().1.to_owned());
    assert_eq!(browser.get("/me").await.body, "", "a header nobody trusts is not read");
}

#[tokio::test(start_paused = true)]
async fn the_cookie_is_what_it_was_set_to_be() {
    let app = App::with(MemoryStore::new(), |layer| {
        let mut attributes = Attributes::for_scheme(true);
        attributes.domain = Some("example.org".to_owned());
        layer.cookie("sid", &attributes).unwrap()
    });
    let answer = app.browser().post("/set?k=a&v=1").await;
    let cookie = answer.set_cookie().unwrap();
    assert!(cookie.starts_with("sid=") && cookie.contains("Domain=example.org"), "{cookie}");

    let app = App::with(MemoryStore::new(), abide::SessionLayer::insecure_for_development);
    let answer = app.browser().post("/set?k=a&v=1").await;
    let cookie = answer.set_cookie().unwrap();
    assert!(cookie.starts_with("abide=") && !cookie.contains("Secure"), "{cookie}");

    let layer = abide::SessionLayer::new(MemoryStore::new());
    assert!(layer.cookie("__Host-x", &Attributes::for_scheme(false)).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_handler_without_the_layer_says_what_is_missing() {
    use axum::{Router, body::Body, http::Request, routing::get};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let app: Router = Router::new().route("/", get(|_: abide::Session| async {}));
    let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("SessionLayer::new"));
}

#[tokio::test(start_paused = true)]
async fn a_field_of_another_type_is_an_error_of_that_field_only() {
    let app = App::new();
    let mut browser = app.browser();
    browser.post("/set?k=count&v=many").await;
    assert_eq!(browser.post("/incr").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.get("/get?k=count").await.body, "many");
    assert_eq!(browser.get("/get?k=other").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_logout_removes_whatever_cookie_came() {
    let app = App::new();
    for stale in [format!("__Host-abide=0f3{}", "A".repeat(27)), "__Host-abide=x".to_owned()] {
        let mut browser = app.browser();
        browser.cookie = Some(stale);
        let answer = browser.post("/logout").await;
        let cookie = answer.set_cookie().unwrap();
        assert!(cookie.starts_with("__Host-abide=; ") && cookie.contains("Secure"), "{cookie}");
        assert_eq!(browser.cookie, None);
    }
}
