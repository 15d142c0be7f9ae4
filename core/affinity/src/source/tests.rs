use alloc::string::ToString as _;
use alloc::vec;

use crate::fixture::{NOW, sources, sticky};

use super::*;

fn id<'a>(source: &str, request: &Request<'a>) -> Option<&'a str> {
    let Source::Id { place, .. } = source.parse().unwrap() else { panic!("{source} has no id") };
    id_at(&place, request).map(|id| core::str::from_utf8(id).unwrap())
}

fn target(target: &str) -> Request<'_> {
    Request { target, cookies: &[], header: &|_| None, client: None }
}

#[test]
fn sources_read_what_they_print() {
    for text in [
        "sticky",
        "address",
        "cookie:JSESSIONID+route",
        "header:x-session-id",
        "query:sid",
        "path:jsessionid+route",
        "cookie:a+b",
    ] {
        assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
    }
    assert_eq!("header:X-Session-ID".parse::<Source>().unwrap().to_string(), "header:x-session-id");
    for text in
        ["", "Sticky", "cookie", "cookie:", "cookie:+route", "body:sid", "query:a b", "query:a=b"]
    {
        assert_eq!(text.parse::<Source>(), Err(AffinityError::Source), "{text}");
    }
}

#[test]
fn a_pool_has_at_most_eight_different_sources() {
    let order = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let refused = |texts: &[&str], sticky| Sources::new(order(texts), sticky).is_err();
    assert!(refused(&["sticky"], None));
    assert!(refused(&["address", "address"], None));
    assert!(refused(
        &[
            "query:1", "query:2", "query:3", "query:4", "query:5", "query:6", "query:7", "query:8",
            "query:9"
        ],
        None
    ));
    assert!(!refused(&[], None));
    assert!(!refused(&["sticky", "address"], Some(sticky("shop", &[1]))));
}

#[test]
fn a_sticky_cookie_that_is_no_source_is_never_written() {
    let order = vec![Source::Address];
    assert!(Sources::new(order, Some(sticky("shop", &[1]))).unwrap().sticky().is_none());
}

#[test]
fn ids_are_found_in_targets() {
    for (source, text, expected) in [
        ("query:sid", "/?sid=1", Some("1")),
        ("query:sid", "/a?b=2&sid=1&sid=3", Some("1")),
        ("query:sid", "/a?sid=&sid=3", Some("3")),
        ("query:sid", "http://host/a?sid=x%20y+z", Some("x%20y+z")),
        ("query:sid", "/a?xsid=1&SID=2&sid", None),
        ("query:sid", "/sid=1", None),
        ("query:sid", "/a?", None),
        ("query:sid", "*", None),
        ("query:sid", "", None),
        ("path:jsessionid", "/a;jsessionid=1", Some("1")),
        ("path:jsessionid", "/a;v=2;jsessionid=1.n1;w/b?c=1", Some("1.n1")),
        ("path:jsessionid", "/a;x/b;jsessionid=1?jsessionid=2", Some("1")),
        ("path:jsessionid", "/a;jsessionid=/b", None),
        ("path:jsessionid", "/jsessionid=1", None),
        ("path:jsessionid", "/jsessionid=1;x", None),
        ("path:jsessionid", "/a?b;jsessionid=1", None),
    ] {
        assert_eq!(id(source, &target(text)), expected, "{source} in {text}");
    }
}

#[test]
fn ids_are_found_in_cookies_and_headers() {
    let cookies: [&[u8]; 2] = [b"a=1; xsid=2; sid=", b"sid=3; sid=4"];
    let header = |name: &str| match name {
        "x-session-id" => Some(&b" 5 "[..]),
        "x-empty" => Some(&b" "[..]),
        _ => None,
    };
    let request = Request { target: "/", cookies: &cookies, header: &header, client: None };
    for (source, expected) in [
        ("cookie:sid", Some("3")),
        ("cookie:a", Some("1")),
        ("cookie:b", None),
        ("header:X-Session-Id", Some("5")),
        ("header:x-empty", None),
        ("header:x-other", None),
    ] {
        assert_eq!(id(source, &request), expected, "{source}");
    }
}

#[test]
fn a_route_is_what_follows_the_last_dot() {
    for (text, expected) in [
        ("1.n1", Some(("1", "n1"))),
        ("1.2.n1", Some(("1.2", "n1"))),
        ("1.", Some(("1", ""))),
        (".n1", Some(("", "n1"))),
        ("1", None),
    ] {
        let found = match Found::id(text.as_bytes(), true) {
            Found::Routed { id, route } => Some((id, route)),
            _ => None,
        };
        let expected = expected.map(|(id, route)| (id.as_bytes(), route.as_bytes()));
        assert_eq!(found, expected, "{text}");
        assert!(matches!(Found::id(text.as_bytes(), false), Found::Id(_)));
    }
}

#[test]
fn an_address_is_the_same_however_it_is_written_and_a_household_in_ipv6_is_one() {
    let slot = |text: &str| slot_of_address(text.parse().unwrap());
    assert_eq!(slot("192.0.2.1"), slot("::ffff:192.0.2.1"));
    assert_ne!(slot("192.0.2.1"), slot("192.0.2.2"));
    assert_eq!(slot("2001:db8:1:2::1"), slot("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(slot("2001:db8:1:2::1"), slot("2001:db8:1:3::1"));
}

#[test]
fn debug_text_hides_ids() {
    let cookies: [&[u8]; 1] = [b"sid=secret"];
    let request =
        Request { target: "/?sid=secret", cookies: &cookies, header: &|_| None, client: None };
    let keys = sources(&["cookie:sid", "query:sid"]).keys(&request, NOW);
    assert!(!alloc::format!("{request:?} {keys:?}").contains("secret"));
}
