//! Who gets which server, seen from outside.

use crate::harness::{Origin, Running, config};
use abide_affinity::Source;

fn three() -> (Vec<Origin>, Vec<(&'static str, std::net::SocketAddr)>) {
    let names = ["a", "b", "c"];
    let origins: Vec<Origin> = names.into_iter().map(Origin::named).collect();
    let list = names.into_iter().zip(origins.iter().map(|origin| origin.address)).collect();
    (origins, list)
}

#[test]
fn a_visitor_stays_with_one_server_and_gets_one_cookie() {
    let (_origins, list) = three();
    let running = Running::start(config(&list));
    let first = running.get("/", "");
    let cookie = first.cookie().unwrap();
    assert_eq!(first.field("x-abide-verdict"), Some(format!("{} new", first.text()).as_str()));
    assert_eq!(first.field("cache-control"), Some("private"));
    assert!(!first.head.contains(&first.text().repeat(3)), "the cookie does not show the name");
    for _ in 0..20 {
        let next = running.get("/", &format!("Cookie: {cookie}\r\n"));
        assert_eq!(next.text(), first.text());
        assert_eq!(next.field("set-cookie"), None, "written only when needed");
        assert_eq!(next.field("cache-control"), None);
    }
}

#[test]
fn new_visitors_are_spread_evenly_and_sticky_ones_do_not_take_turns() {
    let (origins, list) = three();
    let running = Running::start(config(&list));
    let cookie = running.get("/", "").cookie().unwrap();
    for _ in 0..9 {
        running.get("/", &format!("Cookie: {cookie}\r\n"));
        running.get("/", &format!("Cookie: {cookie}\r\n"));
        running.get("/", "");
    }
    let mut counts: Vec<usize> = origins.iter().map(|origin| origin.requests().len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [3, 3, 4 + 18]);
}

#[test]
fn the_app_does_not_see_the_cookie_and_sees_all_others_as_they_were() {
    let (origins, list) = three();
    let running = Running::start(config(&list[..1]));
    let cookie = running.get("/", "").cookie().unwrap();
    let fields = format!("Cookie: a=1;b=\"2\";  {cookie}; xabide_server=3\r\n");
    running.get("/", &fields);
    assert_eq!(origins[0].last().field("cookie"), Some("a=1;b=\"2\"; xabide_server=3"));
    running.get("/", &format!("Cookie: {cookie}\r\n"));
    assert_eq!(origins[0].last().field("cookie"), None);
}

#[test]
fn forged_and_foreign_cookies_count_as_absent() {
    let (_origins, list) = three();
    let running = Running::start(config(&list));
    let mut other = config(&list);
    other.pool = "another".to_owned();
    let foreign = Running::start(other).get("/", "").cookie().unwrap();
    let cookie = running.get("/", "").cookie().unwrap();
    let truncated = &cookie[..cookie.len() - 1];
    for bad in [foreign.as_str(), truncated, "abide_server=", "abide_server=\"%00\""] {
        let answer = running.get("/", &format!("Cookie: {bad}\r\n"));
        assert_eq!(answer.status(), 200);
        let verdict = answer.field("x-abide-verdict").unwrap();
        assert!(verdict.ends_with(" forged"), "{bad}: {verdict}");
        assert!(answer.cookie().is_some());
    }
    let counted = running.metric("abide_balancer_sticky_cookies_total{outcome=\"forged\"}");
    assert_eq!(counted, 4);
    // Beside a good one they do not matter.
    let answer = running.get("/", &format!("Cookie: {foreign}\r\nCookie: {cookie}\r\n"));
    assert!(answer.field("x-abide-verdict").unwrap().ends_with(" sticky"));
}

#[test]
fn two_balancers_with_shuffled_lists_agree_about_ids_and_cookies() {
    let (_origins, mut list) = three();
    let start = |list: &[(&str, std::net::SocketAddr)]| {
        let mut config = config(list);
        config.affinity = vec![Source::Sticky, "query:sid".parse().unwrap()];
        Running::start(config)
    };
    let one = start(&list);
    list.reverse();
    let two = start(&list);
    for id in 0..50 {
        let target = format!("/?sid=session-{id}");
        let (first, second) = (one.get(&target, ""), two.get(&target, ""));
        assert_eq!(first.text(), second.text());
        assert!(first.field("x-abide-verdict").unwrap().ends_with(" owner"));
        let cookie = one.get("/", "").cookie().unwrap();
        let home = one.get("/", &format!("Cookie: {cookie}\r\n")).text();
        assert_eq!(two.get("/", &format!("Cookie: {cookie}\r\n")).text(), home);
    }
}
