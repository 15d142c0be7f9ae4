use alloc::format;
use core::time::Duration;

use proptest::prelude::*;

use crate::fixture::{HOUR, NOW, key, sticky, ticket, view};
use crate::{Keys, decide};

use super::*;

const NONCE: [u8; Sticky::NONCE_BYTES] = [3; Sticky::NONCE_BYTES];

fn value(pool: &str, keys: &[u8], ticket: &Ticket) -> String {
    sticky(pool, keys).seal(ticket, NONCE)
}

fn ago(span: Duration) -> Time {
    Time::from_millis(
        NOW.as_millis()
            .saturating_sub(NOW.since(Time::EPOCH).min(span).as_millis().try_into().unwrap()),
    )
}

fn find(fields: &[&str]) -> Presented {
    let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
    sticky("shop", &[1]).find(&fields, NOW).presented()
}

#[test]
fn a_value_has_66_characters_and_never_changes_its_form() {
    let value = value("shop", &[1], &ticket("a"));
    assert_eq!(value.len(), 66);
    assert_eq!(value, "lwMDAwMDAwMDAwMDA47Z-pkEpWvWZVkjQFVngtz0PdOi7otLjuDOWUTwS1aWdeyW5w");
}

#[test]
fn a_cookie_of_another_pool_name_or_key_is_forged() {
    let good = value("shop", &[1], &ticket("a"));
    let ring = KeyRing::new([key(1)].into()).unwrap();
    let renamed = Sticky::new("shop", CookieName::new("other").unwrap(), ring, Lifetime::default());
    assert_eq!(sticky("shop", &[1]).open(good.as_bytes(), NOW), Opened::Open(ticket("a")));
    assert_eq!(sticky("blog", &[1]).open(good.as_bytes(), NOW), Opened::Forged);
    assert_eq!(sticky("shop", &[2]).open(good.as_bytes(), NOW), Opened::Forged);
    assert_eq!(renamed.open(good.as_bytes(), NOW), Opened::Forged);
}

#[test]
fn a_cookie_that_is_cut_or_changed_anywhere_is_forged() {
    let good = value("shop", &[1], &ticket("a"));
    let open = |bytes: &[u8]| sticky("shop", &[1]).open(bytes, NOW);
    for place in 0..good.len() {
        assert_eq!(open(&good.as_bytes()[..place]), Opened::Forged, "cut at {place}");
        let mut changed = good.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        assert_eq!(open(&changed), Opened::Forged, "changed at {place}");
    }
}

#[test]
fn times_decide_whether_a_cookie_is_current() {
    let (skew, day, second) = (Sticky::SKEW_MAX, HOUR * 24, Duration::from_secs(1));
    let fresh = NOW;
    for (created, seen, good) in [
        (fresh, fresh, true),
        (ago(day * 30), fresh, true),
        (ago(day * 30 + second), fresh, false),
        (ago(day), ago(day), true),
        (ago(day), ago(day + second), false),
        (NOW.after(skew), NOW.after(skew), true),
        (NOW.after(skew + second), fresh, false),
        (fresh, NOW.after(skew + second), false),
        (Time::EPOCH, Time::EPOCH, false),
        (Time::MAX, Time::MAX, false),
    ] {
        let value = value("shop", &[1], &Ticket { created, seen, ..ticket("a") });
        let found = sticky("shop", &[1]).open(value.as_bytes(), NOW).presented();
        let expected = if good { Presented::Valid } else { Presented::Expired };
        assert_eq!(found, expected, "created {created:?} seen {seen:?}");
    }
}

#[test]
fn the_first_good_cookie_counts_among_several_of_our_name() {
    let good = format!("abide={}", value("shop", &[1], &ticket("a")));
    let old = Ticket { created: Time::EPOCH, ..ticket("a") };
    let old = format!("abide={}", value("shop", &[1], &old));
    let alike = good.replace("abide", "xabide");
    for (fields, expected) in [
        (&[][..], Presented::Absent),
        (&["theme=dark"], Presented::Absent),
        (&[&alike], Presented::Absent),
        (&["abide="], Presented::Forged),
        (&["abide=x; abide=y"], Presented::Forged),
        (&[&old, "abide=x"], Presented::Expired),
        (&["abide=x", &old], Presented::Expired),
        (&["abide=x", &old, &good], Presented::Valid),
        (&[&format!("a=1; abide=x; {good}; b=2")], Presented::Valid),
        (&["abide=1; abide=2; abide=3", &good], Presented::Valid),
        (&["abide=1; abide=2; abide=3; abide=4", &good], Presented::Forged),
    ] {
        assert_eq!(find(fields), expected, "{fields:?}");
    }
}

/// What is written after an answer from `a` to a visitor with this cookie.
fn after(sticky: &Sticky, value: &str, now: Time) -> CookieAction {
    let view = view(&["a", "b"]);
    let field = format!("abide={value}");
    let opened = sticky.find(&[field.as_bytes()], now);
    let verdict = decide(&view, &Keys::of(opened), now, 9);
    sticky.after(&view, &verdict, 0, now)
}

#[test]
fn a_cookie_is_written_only_when_needed() {
    let sticky = sticky("shop", &[1]);
    let at_home = value("shop", &[1], &ticket("a"));
    let quarter = HOUR * 6;
    assert_eq!(after(&sticky, &at_home, NOW), CookieAction::Keep);
    assert_eq!(after(&sticky, &at_home, NOW.after(quarter)), CookieAction::Keep);
    let later = NOW.after(quarter + Duration::from_secs(1));
    let expected = CookieAction::Write(Ticket { seen: later, ..ticket("a") });
    assert_eq!(after(&sticky, &at_home, later), expected);
}

#[test]
fn the_cookie_names_who_answered_and_keeps_the_visitor() {
    let elsewhere = Ticket { created: ago(HOUR), ..ticket("b") };
    let expected = Ticket { created: ago(HOUR), ..ticket("a") };
    let value = value("shop", &[1], &elsewhere);
    assert_eq!(after(&sticky("shop", &[1]), &value, NOW), CookieAction::Write(expected));
}

#[test]
fn a_visitor_without_a_good_cookie_gets_a_new_one() {
    let expected = CookieAction::Write(Ticket { visitor: 9, ..ticket("a") });
    assert_eq!(after(&sticky("shop", &[1]), "forged", NOW), expected);
    let old = value("shop", &[1], &Ticket { created: Time::EPOCH, ..ticket("a") });
    assert_eq!(after(&sticky("shop", &[1]), &old, NOW), expected);
}

#[test]
fn keys_are_rotated_without_losing_anybody() {
    // Each step is all that a balancer may meet while the step is rolled out.
    let steps: [&[u8]; 4] = [&[1], &[1, 2], &[2, 1], &[2]];
    for (before, after_step) in steps.iter().zip(&steps[1..]) {
        for (here, there) in [(before, after_step), (after_step, before)] {
            let value = value("shop", here, &ticket("a"));
            let is_last_step = there.len() == 1 && here[0] != there[0];
            let opened = sticky("shop", there).open(value.as_bytes(), NOW);
            assert_eq!(opened.presented() == Presented::Valid, !is_last_step, "{here:?} {there:?}");
        }
    }
}

#[test]
fn a_cookie_of_an_older_key_is_sealed_again() {
    let old = value("shop", &[1], &ticket("a"));
    let rotated = sticky("shop", &[2, 1]);
    let CookieAction::Write(written) = after(&rotated, &old, NOW) else { panic!("kept") };
    assert_eq!(written, ticket("a"));
    let new = rotated.seal(&written, NONCE);
    assert_eq!(after(&rotated, &new, NOW), CookieAction::Keep);
    assert_eq!(after(&sticky("shop", &[2]), &new, NOW), CookieAction::Keep);
}

#[test]
fn balancers_whose_clocks_differ_take_each_others_cookies() {
    let minutes = Duration::from_mins(5);
    let ahead = Ticket { created: NOW.after(minutes), seen: NOW.after(minutes), ..ticket("a") };
    let value = value("shop", &[1], &ahead);
    let behind = ago(minutes);
    assert_eq!(after(&sticky("shop", &[1]), &value, behind), CookieAction::Keep);
}

proptest! {
    #[test]
    fn opening_gives_what_was_sealed(
        server in any::<u64>(),
        visitor in any::<u32>(),
        age_secs in 0_u64..86_400,
        nonce in any::<[u8; Sticky::NONCE_BYTES]>(),
    ) {
        let created = Time::from_secs(NOW.as_secs().saturating_sub(age_secs));
        let ticket = Ticket {
            server: ServerTag(server), created, seen: NOW, visitor, with_old_key: false,
        };
        let value = sticky("shop", &[1]).seal(&ticket, nonce);
        prop_assert_eq!(sticky("shop", &[1]).open(value.as_bytes(), NOW), Opened::Open(ticket));
    }

    #[test]
    fn no_bytes_open_that_were_not_sealed(
        value in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            "[A-Za-z0-9_-]{66}".prop_map(String::into_bytes),
        ],
    ) {
        prop_assert_eq!(sticky("shop", &[1]).open(&value, NOW), Opened::Forged);
    }
}
