//! How long sessions live.

use time::{Duration, OffsetDateTime};

use super::app::{App, seconds};
use crate::tower_sessions::Expiry;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Dates are computed from a clock that does not stand still.
#[track_caller]
fn assert_about(seconds: Option<u64>, expected: u64) {
    let seconds = seconds.unwrap();
    assert!((expected - 2..=expected).contains(&seconds), "{seconds} is not about {expected}");
}

#[tokio::test(start_paused = true)]
async fn an_unused_session_expires() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    seconds(HOUR).await;
    assert_eq!(browser.value("k").await, "");
    let old = browser.cookie.clone();
    browser.get("/set?k=k&v=2").await;
    assert_ne!(browser.cookie, old);
    assert_eq!(app.layer.counters().expired, 2);
}

#[tokio::test(start_paused = true)]
async fn to_read_is_to_use_and_is_written_down_once_in_a_while() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    let writes = app.store.writes();
    for _ in 0..5 {
        seconds(60).await;
        assert_eq!(browser.value("k").await, "1");
    }
    assert_eq!(app.store.writes(), writes, "nothing is written before a tenth of the hour");
    seconds(60).await;
    for _ in 0..5 {
        let answer = browser.get("/get?k=k").await;
        assert_eq!((answer.body.as_str(), answer.set_cookie()), ("1", None));
    }
    assert_eq!(app.store.writes(), writes + 1, "and once then");
    seconds(HOUR - 60).await;
    assert_eq!(browser.value("k").await, "1");
}

#[tokio::test(start_paused = true)]
async fn however_much_it_is_used_a_session_ends() {
    let app = App::with(|layer| {
        let layer = layer.with_expiry(Expiry::OnInactivity(Duration::hours(1)));
        layer.with_absolute_timeout(std::time::Duration::from_hours(2))
    });
    let mut browser = app.browser();
    assert_eq!(browser.get("/set?k=k&v=1").await.max_age(), Some(2 * HOUR));
    for _ in 0..3 {
        seconds(HOUR / 2).await;
        assert_eq!(browser.value("k").await, "1");
    }
    // A sign-in counts anew.
    assert_eq!(browser.get("/login?v=alice").await.max_age(), Some(2 * HOUR));
    for _ in 0..3 {
        seconds(HOUR / 2).await;
        assert_eq!(browser.value("k").await, "1");
    }
    seconds(HOUR / 2).await;
    assert_eq!(browser.value("k").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_session_with_a_date_ends_at_it() {
    let app = App::with(|layer| {
        let date = OffsetDateTime::now_utc() + Duration::days(1);
        layer.with_expiry(Expiry::AtDateTime(date))
    });
    let mut browser = app.browser();
    assert_about(browser.get("/set?k=k&v=1").await.max_age(), DAY);
    let writes = app.store.writes();
    seconds(DAY / 2).await;
    assert_eq!(browser.value("k").await, "1");
    assert_eq!(app.store.writes(), writes, "use does not prolong it");
    browser.get("/set?k=k&v=2").await;
    seconds(DAY / 2).await;
    assert_eq!(browser.value("k").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_session_keeps_the_lifetime_that_was_asked_for() {
    for path in ["/expire?idle=2592000&k=k&v=1", "/expire?idle=2592000&k=k&v=1&save=true"] {
        let app = App::new();
        let mut browser = app.browser();
        assert_about(browser.get(path).await.max_age(), 30 * DAY);
        // tower-sessions itself would fall back to the hour of the layer with this write.
        browser.get("/set?k=other&v=1").await;
        seconds(29 * DAY).await;
        assert_eq!(browser.value("k").await, "1", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_can_be_changed() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    let answer = browser.get(&format!("/expire?until={}", 30 * DAY)).await;
    assert_about(answer.max_age(), 30 * DAY);
    seconds(20 * DAY).await;
    assert_eq!(browser.value("k").await, "1");
    let id = browser.cookie.clone();
    assert_eq!(browser.get("/expire").await.max_age(), None, "until the browser is closed");
    assert_eq!(browser.get("/expire?idle=60").await.max_age(), Some(14 * DAY));
    assert_eq!(browser.cookie, id);
    seconds(60).await;
    assert_eq!(browser.value("k").await, "");
}

#[tokio::test(start_paused = true)]
async fn to_ask_for_the_same_lifetime_again_is_no_write() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    for path in [format!("/expire?idle={}", 30 * DAY), format!("/expire?until={}", 40 * DAY)] {
        browser.get(&path).await;
        let writes = app.store.writes();
        browser.get(&path).await;
        assert_eq!(app.store.writes(), writes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_lifetime_that_was_saved_early_goes_on_being_short_only_when_unused() {
    let app = App::new();
    let mut browser = app.browser();
    let answer = browser.get("/expire?idle=600&k=k&v=1&save=true").await;
    assert_eq!(answer.max_age(), Some(14 * DAY));
    for _ in 0..5 {
        seconds(500).await;
        assert_eq!(browser.value("k").await, "1");
    }
    seconds(600).await;
    assert_eq!(browser.value("k").await, "");
}

#[tokio::test(start_paused = true)]
async fn a_date_that_has_passed_ends_the_session() {
    let app = App::new();
    let mut browser = app.browser_with("k", "1").await;
    let mut copy = browser.clone();
    browser.get("/expire?until=-1&k=k&v=2").await;
    assert_eq!(browser.cookie, None);
    assert_eq!(copy.value("k").await, "");
    let writes = app.store.writes();
    let answer = app.browser().get("/expire?until=-1&k=k&v=2").await;
    assert_eq!((answer.set_cookie(), app.store.writes()), (None, writes));
}
