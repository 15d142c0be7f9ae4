//! The example as a process, and browsers of one user who see and end each other.

#![expect(clippy::unwrap_used, reason = "what these tests share panics as they do")]

use abide_example_driver::{Answer, Browser, Example};

fn start() -> Example {
    Example::start(env!("CARGO_BIN_EXE_abide-example-devices"), 1, &[])
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const CURL: &str = "curl/8.5.0";

/// A browser that somebody has signed in with.
fn signed_in(example: &Example, user: &str, user_agent: &'static str) -> Browser {
    let mut browser = Browser { cookie: None, user_agent };
    let form = format!("user={user}&password=secret");
    let answer = browser.post(example.address(), "/sign-in", &form);
    assert_eq!((answer.status(), answer.field("location")), ("303", Some("/")));
    browser
}

/// The handles of the other sessions on a page.
fn others(page: &Answer) -> Vec<String> {
    let forms = page.body().split("name=session value=").skip(1);
    forms.map(|rest| rest.split('>').next().unwrap().to_owned()).collect()
}

#[test]
fn two_browsers_see_each_other_and_one_ends_the_other() {
    let example = start();
    let address = example.address();
    let mut firefox = signed_in(&example, "alice", FIREFOX);
    let mut curl = signed_in(&example, "alice", CURL);
    let mut bob = signed_in(&example, "bob", FIREFOX);

    let page = firefox.get(address, "/");
    assert!(page.body().contains("Firefox on Linux<td>just now<td>just now"), "{page:?}");
    assert!(page.body().contains("<td>curl<"), "{page:?}");
    assert_eq!(page.body().matches("this one").count(), 1, "{page:?}");
    let [other] = &others(&page)[..] else { panic!("{page:?}") };

    bob.post(address, "/end", &format!("session={other}"));
    assert!(curl.get(address, "/").body().contains("alice"), "bob can not end it");
    firefox.post(address, "/end", &format!("session={other}"));
    assert!(curl.get(address, "/").body().contains("Sign in</h1>"));
    assert_eq!(others(&firefox.get(address, "/")), [""; 0]);
}

#[test]
fn all_others_end_in_one_step() {
    let example = start();
    let address = example.address();
    let mut here = signed_in(&example, "alice", FIREFOX);
    let elsewhere: Vec<_> = (0..3).map(|_| signed_in(&example, "alice", CURL)).collect();
    let mut bob = signed_in(&example, "bob", CURL);
    assert_eq!(others(&here.get(address, "/")).len(), 3);

    assert_eq!(here.post(address, "/end-others", "").status(), "303");
    for mut browser in elsewhere {
        assert!(browser.get(address, "/").body().contains("Sign in</h1>"));
    }
    assert!(bob.get(address, "/").body().contains("bob"));
    let page = here.get(address, "/");
    assert!(page.body().contains("this one"), "{page:?}");
    assert_eq!(others(&page), [""; 0]);
}

#[test]
fn a_form_that_names_no_session_is_refused() {
    let example = start();
    let mut browser = signed_in(&example, "alice", FIREFOX);
    let answer = browser.post(example.address(), "/end", "session=guess");
    assert_eq!(answer.status(), "422", "{answer:?}");
}
