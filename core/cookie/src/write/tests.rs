use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::SameSite;

fn cookie(name: &str, attributes: &Attributes) -> Result<SetCookie, CookieError> {
    SetCookie::new(CookieName::new(name).unwrap(), attributes)
}

fn https(change: impl FnOnce(&mut Attributes)) -> Attributes {
    let mut attributes = Attributes::for_scheme(true);
    change(&mut attributes);
    attributes
}

fn http(change: impl FnOnce(&mut Attributes)) -> Attributes {
    let mut attributes = Attributes::for_scheme(false);
    change(&mut attributes);
    attributes
}

#[test]
fn the_default_is_safe_for_the_scheme() {
    let text =
        |https| cookie("a", &Attributes::for_scheme(https)).unwrap().text("v", None).unwrap();
    assert_eq!(text(true), "a=v; Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(text(false), "a=v; Path=/; HttpOnly; SameSite=Lax");
}

#[test]
fn every_attribute_is_written() {
    let all = https(|attributes| {
        attributes.path = "/shop".into();
        attributes.domain = Some("example.org".into());
        attributes.http_only = false;
        attributes.same_site = SameSite::None;
        attributes.partitioned = true;
    });
    assert_eq!(
        cookie("a", &all).unwrap().text("v", Some(Duration::from_mins(1))).unwrap(),
        "a=v; Path=/shop; Domain=example.org; Secure; SameSite=None; Partitioned; Max-Age=60"
    );
}

fn check(table: Vec<(&str, Attributes, Result<(), CookieError>)>) {
    for (name, attributes, expected) in table {
        assert_eq!(cookie(name, &attributes).map(|_| ()), expected, "{name} {attributes:?}");
    }
}

#[test]
fn combinations_that_browsers_drop_are_refused() {
    check(vec![
        ("a", http(|a| a.same_site = SameSite::None), Err(CookieError::SameSiteNone)),
        ("a", https(|a| a.same_site = SameSite::None), Ok(())),
        ("a", http(|a| a.same_site = SameSite::Strict), Ok(())),
        ("a", http(|a| a.partitioned = true), Err(CookieError::Partitioned)),
        ("a", https(|a| a.partitioned = true), Ok(())),
        ("__Host-a", https(|_| ()), Ok(())),
        ("__Host-a", http(|_| ()), Err(CookieError::HostPrefix)),
        ("__host-a", http(|_| ()), Err(CookieError::HostPrefix)),
        ("__Host-a", https(|a| a.path = "/x".into()), Err(CookieError::HostPrefix)),
        ("__Host-a", https(|a| a.domain = Some("b.c".into())), Err(CookieError::HostPrefix)),
        ("__Secure-a", http(|_| ()), Err(CookieError::SecurePrefix)),
        ("__SECURE-a", https(|a| a.domain = Some("b.c".into())), Ok(())),
    ]);
}

#[test]
fn attributes_that_would_break_the_field_are_refused() {
    check(vec![
        ("a", https(|a| a.path = String::new()), Err(CookieError::Path)),
        ("a", https(|a| a.path = "x".into()), Err(CookieError::Path)),
        ("a", https(|a| a.path = "/; Domain=evil".into()), Err(CookieError::Path)),
        ("a", https(|a| a.path = "/\r\nX: y".into()), Err(CookieError::Path)),
        ("a", https(|a| a.path = format!("/{}", "p".repeat(1024))), Err(CookieError::Path)),
        ("a", https(|a| a.domain = Some(String::new())), Err(CookieError::Domain)),
        ("a", https(|a| a.domain = Some("b;c".into())), Err(CookieError::Domain)),
        ("a", https(|a| a.domain = Some("b c\n".into())), Err(CookieError::Domain)),
    ]);
}

#[test]
fn a_removal_carries_the_attributes_it_was_set_with() {
    assert_eq!(
        cookie("__Host-a", &Attributes::for_scheme(true)).unwrap().removal(),
        "__Host-a=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0; \
         Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    );
}

#[test]
fn max_age_never_becomes_a_removal_and_is_cut_at_400_days() {
    let cookie = cookie("a", &Attributes::for_scheme(false)).unwrap();
    for (age, seconds) in [
        (Duration::ZERO, 1),
        (Duration::from_millis(1), 1),
        (Duration::from_millis(1500), 2),
        (Duration::from_hours(24), 86_400),
        (Duration::MAX, 34_560_000),
    ] {
        let text = cookie.text("v", Some(age)).unwrap();
        assert!(text.ends_with(&format!("; Max-Age={seconds}")), "{text}");
    }
}

#[test]
fn the_whole_text_counts_against_the_limit() {
    let cookie = cookie("a", &Attributes::for_scheme(true)).unwrap();
    let frame = cookie.text("", None).unwrap().len();
    let fits = "v".repeat(SetCookie::BYTES_MAX - frame);
    assert_eq!(cookie.text(&fits, None).unwrap().len(), SetCookie::BYTES_MAX);
    assert_eq!(
        cookie.text(&format!("{fits}v"), None),
        Err(CookieError::TooLong { bytes: SetCookie::BYTES_MAX + 1 })
    );
}

proptest! {
    #[test]
    fn no_control_character_or_second_attribute_gets_through(value in prop_oneof![any::<String>(), "[ -~]{0,12}", "[!#-+--:<-\\[\\]-~]{0,40}", "[a-c;,\r\n\0\"]{0,6}"]) {
        let cookie = cookie("a", &Attributes::for_scheme(true)).unwrap();
        if let Ok(text) = cookie.text(&value, None) {
            prop_assert_eq!(text.matches(';').count(), 4);
            prop_assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)));
            let sent_back = format!("a={value}");
            prop_assert_eq!(crate::values(sent_back.as_bytes(), b"a").next(), Some(value.as_bytes()));
        }
    }
}
