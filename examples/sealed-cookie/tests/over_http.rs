//! The example as a process: two servers, and browsers that go from one to the other.

use abide_example_driver::{Browser, Example};

fn start(revocations: &str) -> Example {
    let program = env!("CARGO_BIN_EXE_abide-example-sealed-cookie");
    Example::start(program, 2, &[("REVOCATIONS", revocations)])
}

#[test]
fn either_server_knows_who_signed_in_at_the_other() {
    let example = start("memory");
    let (a, b) = (&example.addresses[0], &example.addresses[1]);
    let mut browser = Browser::default();
    assert!(browser.get(a, "/").body().contains("It does not know you."));
    assert_eq!(browser.cookie, None, "who is nobody gets no session");

    let answer = browser.post(a, "/sign-in", "user=alice&password=secret");
    assert_eq!((answer.status(), answer.field("location")), ("303", Some("/")));
    browser.post(b, "/cart", "tea=Oolong");
    let answer = browser.get(a, "/");
    assert!(answer.body().contains("Hello, <b>alice</b>"), "{answer:?}");
    assert!(answer.body().contains("<li>Oolong</li>"), "{answer:?}");
    assert!(answer.body().contains(&format!("http://{b}")), "{answer:?}");
}

#[test]
fn with_revocations_a_copy_ends_with_the_sign_out_at_the_other_server() {
    let example = start("memory");
    assert!(!copy_outlives_sign_out(&example));
}

#[test]
fn without_revocations_a_copy_outlives_the_sign_out() {
    let example = start("none");
    assert!(copy_outlives_sign_out(&example), "if not, the example's page says too little");
}

fn copy_outlives_sign_out(example: &Example) -> bool {
    let mut browser = Browser::default();
    browser.post(example.address(), "/sign-in", "user=alice&password=secret");
    let mut copy = browser.clone();
    assert!(copy.get(&example.addresses[1], "/").body().contains("alice"));
    browser.post(example.address(), "/sign-out", "");
    assert_eq!(browser.cookie, None);
    copy.get(&example.addresses[1], "/").body().contains("alice")
}
