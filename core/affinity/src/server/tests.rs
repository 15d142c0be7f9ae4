use alloc::string::ToString as _;

use crate::fixture::{HOUR, NOW, server};

use super::*;

#[test]
fn a_name_has_letters_digits_dots_underscores_and_hyphens() {
    let (longest, long) = ("n".repeat(64), "n".repeat(65));
    for good in ["a", "web-01.eu_west", "10.0.0.1", &longest] {
        assert_eq!(ServerName::new(good).unwrap().to_string(), good);
    }
    for bad in ["", " a", "a b", "a:80", "a/b", "caf\u{e9}", "a\n", &long] {
        assert_eq!(ServerName::new(bad), Err(AffinityError::ServerName), "{bad:?}");
    }
}

#[test]
fn a_weight_is_from_1_to_100() {
    assert_eq!(Weight::new(0), Err(AffinityError::Weight));
    assert_eq!(Weight::new(101), Err(AffinityError::Weight));
    assert_eq!(Weight::new(100).map(Weight::get), Ok(100));
    assert_eq!(Weight::new(1), Ok(Weight::ONE));
}

#[test]
fn states_follow_from_what_the_operator_wants_and_what_the_checks_saw() {
    for (text, state, takes_new, keeps) in [
        ("a", State::Up, true, true),
        ("a down", State::Down, false, false),
        ("a draining", State::Draining, false, true),
        ("a drained", State::Draining, false, false),
        ("a draining down", State::Down, false, false),
        ("a maintenance", State::Maintenance, false, false),
        ("a maintenance down", State::Maintenance, false, false),
    ] {
        let server = server(text);
        let found = (server.state(), server.takes_new(), server.keeps(NOW));
        assert_eq!(found, (state, takes_new, keeps), "{text}");
    }
}

#[test]
fn a_draining_server_keeps_its_sessions_up_to_the_deadline() {
    let server = server("a draining");
    assert!(server.keeps(Time::from_millis(NOW.after(HOUR).as_millis().saturating_sub(1))));
    assert!(!server.keeps(NOW.after(HOUR)));
}
