//! The example as a process, and browsers that sign in and out over HTTP.

use abide_example_driver::{Answer, Browser, Example};

fn start() -> Example {
    Example::start(env!("CARGO_BIN_EXE_abide-example-axum-login"), 1, &[])
}

fn log_in(browser: &mut Browser, address: &str) -> Answer {
    browser.post(address, "/login", "name=ferris&password=hunter42")
}

#[test]
fn a_user_signs_in_and_out_and_a_copied_cookie_is_dead() {
    let example = start();
    let address = example.address();
    let mut browser = Browser::default();
    let answer = browser.get(address, "/");
    assert_eq!((answer.status(), answer.field("location")), ("307", Some("/login?next=%2F")));
    let answer = browser.post(address, "/login", "name=ferris&password=guessed");
    assert_eq!(answer.status(), "401");
    assert_eq!(browser.cookie, None, "who is nobody gets no session");

    let answer = log_in(&mut browser, address);
    assert_eq!((answer.status(), answer.field("location")), ("303", Some("/")));
    assert!(browser.get(address, "/").body().contains("Hello, ferris."));

    let mut copied = browser.clone();
    assert!(copied.get(address, "/").body().contains("Hello, ferris."));
    let answer = browser.post(address, "/logout", "");
    assert_eq!(answer.status(), "303");
    assert_eq!(browser.cookie, None);
    assert_eq!(browser.get(address, "/").status(), "307");
    assert_eq!(copied.get(address, "/").status(), "307");
    assert_eq!(copied.get(address, "/visits").body(), "1", "and leads to no old session");
}

#[test]
fn who_planted_an_id_is_not_signed_in_by_it() {
    let example = start();
    let address = example.address();
    let mut victim = Browser::default();
    victim.get(address, "/visits");
    let mut thief = victim.clone();
    log_in(&mut victim, address);
    assert!(victim.get(address, "/").body().contains("Hello, ferris."));
    assert_eq!(thief.get(address, "/").status(), "307");
}

#[test]
fn handlers_of_both_kinds_see_the_same_session() {
    let example = start();
    let address = example.address();
    let mut browser = Browser::default();
    assert_eq!(browser.get(address, "/visits").body(), "1");
    let visitor = browser.cookie.clone();
    log_in(&mut browser, address);
    assert_ne!(browser.cookie, visitor);
    assert_eq!(
        browser.get(address, "/visits").body(),
        "2",
        "what a visitor had is there after signing in"
    );
    assert!(browser.get(address, "/").body().contains("Hello, ferris."));
    browser.post(address, "/logout", "");
    assert_eq!(browser.get(address, "/visits").body(), "1");
}
