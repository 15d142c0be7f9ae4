//! The example as a process, and a browser that wants to be remembered, or not.

#![expect(clippy::unwrap_used, reason = "what these tests share panics as they do")]

use abide_example_driver::{Browser, Example};

fn start() -> Example {
    Example::start(env!("CARGO_BIN_EXE_abide-example-remember-me"), 1, &[])
}

/// Signs in, and gives how long the cookie lasts and what the page says.
fn signed_in(form: &str) -> (String, String) {
    let example = start();
    let mut browser = Browser::default();
    let answer = browser.post(example.address(), "/sign-in", form);
    assert_eq!(answer.status(), "303");
    let cookie = answer.field("set-cookie").unwrap();
    let age = cookie.split("; ").find_map(|part| part.strip_prefix("Max-Age=")).unwrap();
    (age.to_owned(), browser.get(example.address(), "/").body().to_owned())
}

#[test]
fn who_says_nothing_is_signed_out_after_half_an_hour_away() {
    let (age, page) = signed_in("user=alice&password=secret");
    assert_eq!(age, "36000", "ten hours");
    assert!(page.contains(">30 minutes<"), "{page}");
}

#[test]
fn who_wants_to_be_remembered_is_for_a_month_away() {
    let (age, page) = signed_in("user=alice&password=secret&remember=on");
    assert_eq!(age, "15552000", "180 days");
    assert!(page.contains(">30 days<"), "{page}");
}

#[test]
fn a_sign_out_is_one_either_way() {
    let example = start();
    let mut browser = Browser::default();
    browser.post(example.address(), "/sign-in", "user=alice&password=secret&remember=on");
    let mut copy = browser.clone();
    browser.post(example.address(), "/sign-out", "");
    assert_eq!(browser.cookie, None);
    assert!(copy.get(example.address(), "/").body().contains("Sign in</h1>"));
}
