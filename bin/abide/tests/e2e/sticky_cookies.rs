//! What may stand in the balancer's cookie, and what becomes of it.

use crate::harness::origin::{balancer, flags, keygen, metric, shops};
use crate::harness::{Client, Process};

const NAME: &str = "abide-server";

fn cookie_of(balancer: &Process) -> String {
    let mut client = Client::new(balancer.listen());
    client.get("/api/plain");
    client.cookies[NAME].clone()
}

#[test]
fn forged_truncated_foreign_and_expired_cookies_are_treated_as_absent_and_counted() {
    let keys = keygen();
    let shops = shops(2);
    let flags = flags(&shops);
    let ours = balancer(&format!("{flags} --cookie-idle-seconds 60"), Some(&keys));
    let good = cookie_of(&ours);
    let of_other_pool = cookie_of(&balancer(&format!("{flags} --pool other"), Some(&keys)));
    let of_other_keys = cookie_of(&balancer(&flags, Some(&keygen())));
    let mut flipped = good.clone().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();

    let forged = [
        flipped.as_str(),
        &good[..good.len() - 1],
        &good[..10],
        "",
        "a",
        "b",
        "127.0.0.1:8081",
        &format!("{good}A"),
        &"A".repeat(good.len()),
        &"A".repeat(4000),
        of_other_pool.as_str(),
        of_other_keys.as_str(),
    ];
    for cookie in forged {
        let mut client = Client::new(ours.listen());
        client.cookies.insert(NAME.to_owned(), cookie.to_owned());
        let answer = client.get("/api/plain");
        assert_eq!(answer.status, 200, "{cookie}");
        assert_eq!(answer.verdict().1, "forged", "{cookie}");
        let new = client.cookies[NAME].clone();
        assert_ne!(new, cookie, "a good one is given instead");
        assert_eq!(client.get("/api/plain").verdict().1, "sticky");
    }
    let counted = metric(&ours, "abide_balancer_sticky_cookies_total{outcome=\"forged\"}");
    assert_eq!(counted, 12);
    assert_eq!(metric(&ours, "abide_balancer_requests_total{verdict=\"forged\"}"), 12);

    // One that is good but old: sealed under the same keys two hours ago, by the wall clock.
    let mut client = Client::new(ours.listen());
    client.cookies.insert(NAME.to_owned(), sealed_long_ago(&keys));
    let answer = client.get("/api/plain");
    assert_eq!((answer.status, answer.verdict().1.as_str()), (200, "expired"));
    assert_eq!(metric(&ours, "abide_balancer_sticky_cookies_total{outcome=\"expired\"}"), 1);
}

/// A cookie for server `a`, by the same library, two hours old.
fn sealed_long_ago(keys: &str) -> String {
    use abide_affinity::{Lifetime, ServerName, Sticky, Ticket};
    use abide_keys::{Key, KeyRing};
    let ring = KeyRing::new(vec![Key::parse(keys).unwrap()]).unwrap();
    let name = abide_cookie::CookieName::new(NAME).unwrap();
    let sticky = Sticky::new("default", name, ring, Lifetime::default());
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    let now = std::fs::metadata("/proc/self").unwrap().modified().unwrap();
    let then = now.duration_since(epoch).unwrap().as_secs() - 7200;
    let then = abide_time::Time::from_secs(then);
    let server = ServerName::new("a").unwrap().tag();
    let ticket = Ticket { server, created: then, seen: then, visitor: 7, with_old_key: false };
    sticky.seal(&ticket, [9; Sticky::NONCE_BYTES])
}

#[test]
fn the_cookie_is_written_once_and_the_app_never_sees_it() {
    let shops = shops(2);
    let balancer = balancer(&flags(&shops), None);
    let mut client = Client::new(balancer.listen());
    let first = client.get("/api/plain");
    let written = first.field("set-cookie").unwrap();
    for part in ["abide-server=", "; Path=/", "; HttpOnly", "; SameSite=Lax"] {
        assert!(written.contains(part), "{written}");
    }
    assert!(!written.contains("Secure"), "this is plain http: {written}");
    for _ in 0..3 {
        assert!(client.get("/api/plain").field("set-cookie").is_none());
    }
    assert_eq!(metric(&balancer, "abide_balancer_cookies_written_total"), 1);
}

#[test]
fn a_new_key_rolls_out_without_moving_anybody() {
    let (old, new) = (keygen(), keygen());
    let shops = shops(3);
    let flags = flags(&shops);
    let before = balancer(&flags, Some(&old));
    let mut client = Client::new(before.listen());
    let home = client.server();
    // Added last: sealed by the old one still.
    let step = balancer(&flags, Some(&format!("{old}\n{new}")));
    client.go_to(step.listen());
    let answer = client.get("/api/plain");
    assert_eq!(answer.verdict(), (home.clone(), "sticky".to_owned()));
    assert!(answer.field("set-cookie").is_none());
    // Made first: sealed anew.
    let step = balancer(&flags, Some(&format!("{new}\n{old}")));
    client.go_to(step.listen());
    let answer = client.get("/api/plain");
    assert_eq!(answer.verdict(), (home.clone(), "sticky".to_owned()));
    assert!(answer.field("set-cookie").is_some());
    // The old one dropped.
    let step = balancer(&flags, Some(&new));
    client.go_to(step.listen());
    assert_eq!(client.get("/api/plain").verdict(), (home, "sticky".to_owned()));
}
