//! The same races without a gate, on several threads, in whatever order they happen.

use super::app::{App, Browser};

const ROUNDS: usize = 1000;

const AROUND_A_LOGOUT: &[&str] =
    &["/set?k=k&v=1", "/save?k=k&v=1", "/get?k=k", "/flush", "/login?v=alice"];

/// Sends these requests at once, each from a browser of its own with the same cookie.
async fn at_once(browser: &Browser, paths: &'static [&'static str]) -> Vec<Browser> {
    let requests: Vec<_> = paths
        .iter()
        .map(|path| {
            let mut browser = browser.clone();
            tokio::spawn(async move {
                assert!(browser.get(path).await.status.is_success(), "{path}");
                browser
            })
        })
        .collect();
    let mut browsers = Vec::new();
    for request in requests {
        browsers.push(request.await.unwrap());
    }
    browsers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_logout_is_ever_undone() {
    let app = App::new();
    for _ in 0..ROUNDS {
        let mut browser = app.browser_with("secret", "1").await;
        let mut browsers = at_once(&browser, AROUND_A_LOGOUT).await;
        assert_eq!(browser.value("secret").await + &browser.value("user").await, "");
        // Who came after the logout may have begun anew, but holds nothing from before it.
        for browser in &mut browsers {
            assert_eq!(browser.value("secret").await, "");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_is_ever_lost() {
    let app = App::new();
    for _ in 0..ROUNDS {
        let mut browser = app.browser_with("a", "1").await;
        at_once(&browser, &["/set?k=b&v=2", "/save?k=c&v=3", "/remove?k=a"]).await;
        for (key, value) in [("a", ""), ("b", "2"), ("c", "3")] {
            assert_eq!(browser.value(key).await, value, "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sign_in_at_once_is_signed_in() {
    let app = App::new();
    for _ in 0..ROUNDS {
        let mut planted = app.browser_with("cart", "apple").await;
        let signed_in =
            at_once(&planted, &["/login?v=alice", "/login?v=alice&save=true", "/login?v=alice"]);
        for mut browser in signed_in.await {
            assert_eq!(browser.value("user").await, "alice");
            assert_eq!(browser.value("cart").await, "apple");
        }
        assert_eq!(planted.value("user").await, "");
    }
}
