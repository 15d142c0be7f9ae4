use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use crate::fixture::{NOW, VISITOR, cookie_for, sources, strict, verdict, view};
use crate::{OnLost, Request, Server};

use super::*;

/// Name and reason, as `a (sticky)`; `balance` and `nobody` for what is no server.
fn shown(view: &View, verdict: &Verdict) -> alloc::string::String {
    let name = match verdict.choice {
        Choice::Server(place) => view.server(place).unwrap().name.as_str(),
        Choice::Balance => "balance",
        Choice::Nobody => "nobody",
    };
    format!("{name} ({})", verdict.reason)
}

fn check(view: &View, order: &[&str], target: &str, cookie: &str, expected: &str) {
    let verdict = verdict(view, order, target, cookie);
    assert_eq!(shown(view, &verdict), expected, "{order:?} {target} {cookie}");
}

#[test]
fn a_sticky_cookie_leads_home_in_every_state_of_home() {
    let table = [
        ("a", "a (sticky)", "a (sticky)"),
        ("a draining", "a (sticky)", "a (sticky)"),
        ("a drained", "b (moved:drained)", "b (moved:drained)"),
        ("a down", "b (moved:down)", "nobody (strict)"),
        ("a draining down", "b (moved:down)", "nobody (strict)"),
        ("a maintenance", "b (moved:maintenance)", "nobody (strict)"),
        ("c", "b (moved:gone)", "b (moved:gone)"),
    ];
    for (home, expected, when_strict) in table {
        // With `c` there, the session's server is not.
        let servers = [home, if home == "c" { "c down" } else { "d down" }, "b"];
        let servers = if home == "c" { &servers[1..] } else { &servers[..] };
        check(&view(servers), &["sticky"], "/", &cookie_for("a"), expected);
        check(&strict(servers), &["sticky"], "/", &cookie_for("a"), when_strict);
    }
}

#[test]
fn nobody_is_left() {
    for servers in [&["a down"][..], &["a draining"], &["a maintenance"], &[]] {
        check(&view(servers), &["sticky"], "/", "", "nobody (none)");
        check(&view(servers), &["sticky"], "/", "abide=x", "nobody (none)");
    }
    check(&view(&["a down", "b draining"]), &["sticky"], "/", &cookie_for("a"), "nobody (none)");
    check(&view(&[]), &["cookie:sid", "address"], "/", "sid=1", "nobody (none)");
}

#[test]
fn without_anything_that_points_anywhere_the_balancer_picks() {
    let view = view(&["a", "b"]);
    check(&view, &["sticky", "cookie:sid"], "/", "theme=dark", "balance (new)");
    check(&view, &[], "/", &cookie_for("a"), "balance (new)");
    check(&view, &["sticky"], "/", "abide=x", "balance (forged)");
    check(&view, &["cookie:sid"], "/", "sid=", "balance (new)");
    check(&view, &["cookie:sid+route"], "/", "", "balance (new)");
}

#[test]
fn the_first_source_that_points_anywhere_decides() {
    // The ids fall to different servers.
    let view = view(&["a", "b", "c"]);
    let both = format!("sid=1; {}", cookie_for("c"));
    let owner =
        |id: &str| shown(&view, &verdict(&view, &["cookie:sid"], "/", &format!("sid={id}")));
    assert!(owner("1").ends_with("(owner)"));
    check(&view, &["sticky", "cookie:sid"], "/", &both, "c (sticky)");
    check(&view, &["cookie:sid", "sticky"], "/", &both, &owner("1"));
    check(&view, &["query:sid", "cookie:sid"], "/?sid=7", &both, &owner("7"));
    check(&view, &["query:sid", "cookie:sid"], "/?sid=", &both, &owner("1"));
    check(&view, &["path:sid", "query:sid"], "/;sid=8?sid=7", "", &owner("8"));
    check(&view, &["header:x-session-id", "cookie:sid"], "/", &both, &owner("from-the-header"));
    check(&view, &["sticky", "cookie:sid"], "/", "abide=x; sid=1", &owner("1"));
    let by_address = shown(&view, &verdict(&view, &["sticky", "address"], "/", ""));
    assert!(by_address.ends_with("(address)"));
}

#[test]
fn a_route_names_its_server_and_an_unknown_one_falls_on() {
    let pool = view(&["n1", "n2", "n3"]);
    let order = ["cookie:J+route", "sticky"];
    check(&pool, &order, "/", "J=1.n2", "n2 (route)");
    check(&pool, &order, "/", &format!("J=1.gone; {}", cookie_for("n3")), "n3 (sticky)");
    // The last resort is the owner of the id, without its route.
    let owner = shown(&pool, &verdict(&pool, &["cookie:J"], "/", "J=1"));
    check(&pool, &order, "/", "J=1.gone", &owner);
    check(&pool, &order, "/", "J=1.", &owner);
    check(&pool, &["cookie:J+route"], "/", "J=1", &owner);
    check(&view(&["n1", "n2 down"]), &order, "/", "J=1.n2", "n1 (moved:down)");
    check(&strict(&["n1", "n2 down"]), &order, "/", "J=1.n2", "nobody (strict)");
}

#[test]
fn the_next_in_line_follows_from_the_session_id_or_else_from_the_visitor() {
    let all = view(&["a", "b", "c", "d", "e"]);
    let lost = view(&["a down", "b", "c", "d", "e"]);
    let expected = |slot| {
        let order = abide_slots::owners(
            slot,
            &["a", "b", "c", "d", "e"].map(|name| abide_slots::Member::new(name, 1).unwrap()),
        );
        order.into_iter().find(|place| *place != 0).unwrap()
    };
    for number in 0..20 {
        let cookie = format!("sid={number}; {}", cookie_for("a"));
        let with_id = verdict(&lost, &["sticky", "cookie:sid"], "/", &cookie);
        let slot = abide_slots::slot_of_id(format!("{number}").as_bytes());
        assert_eq!(with_id.choice, Choice::Server(expected(slot)));
    }
    let visitor = verdict(&lost, &["sticky"], "/", &cookie_for("a"));
    assert_eq!(visitor.choice, Choice::Server(expected(Slot::of_number(5))));
    assert_eq!(verdict(&all, &["sticky"], "/", &cookie_for("a")).choice, Choice::Server(0));
}

#[test]
fn a_failed_server_is_not_tried_twice_and_strict_pools_do_not_move() {
    let pool = view(&["a", "b", "c draining", "d down"]);
    let first = verdict(&pool, &["sticky"], "/", &cookie_for("a"));
    let second = retry(&pool, &first, &[0]);
    assert_eq!(shown(&pool, &second), "b (moved:failed)");
    assert_eq!(shown(&pool, &retry(&pool, &second, &[0, 1])), "nobody (none)");
    let pool = strict(&["a", "b"]);
    let first = verdict(&pool, &["sticky"], "/", &cookie_for("a"));
    assert_eq!(shown(&pool, &retry(&pool, &first, &[0])), "nobody (strict)");
    // A new visitor is at home nowhere yet.
    let first = verdict(&pool, &["sticky"], "/", "");
    assert_eq!(shown(&pool, &retry(&pool, &first, &[0])), "b (moved:failed)");
}

#[test]
fn a_draining_owner_keeps_its_ids_until_the_deadline() {
    let order = ["cookie:sid"];
    check(&view(&["a draining"]), &order, "/", "sid=1", "a (owner)");
    check(&view(&["a drained"]), &order, "/", "sid=1", "nobody (none)");
}

#[test]
fn the_visitor_is_taken_from_the_cookie_or_else_from_the_random_number() {
    let view = view(&["a"]);
    assert_eq!(verdict(&view, &["sticky"], "/", &cookie_for("a")).visitor, 5);
    let new = verdict(&view, &["sticky"], "/", "");
    assert_eq!((new.visitor, new.slot), (VISITOR, Slot::of_number(VISITOR.into())));
}

fn by_name(names: &[&str]) -> View {
    let servers = names.iter().map(|name| Server::new(name.parse().unwrap())).collect();
    View::new(servers, OnLost::Move).unwrap()
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

proptest! {
    #[test]
    fn balancers_with_shuffled_lists_agree_on_every_cookie(
        shuffled in Just(NAMES.to_vec()).prop_shuffle(),
        home in prop::sample::select(&["a", "f", "gone"][..]),
        id in "[a-z]{0,8}",
        order in prop::sample::subsequence(
            vec!["cookie:sid", "sticky", "address", "query:sid"], 1..=4
        ).prop_shuffle(),
    ) {
        let (here, there) = (by_name(&NAMES), by_name(&shuffled));
        let cookie = format!("sid={id}; {}", cookie_for(home));
        let decided = |view| shown(view, &verdict(view, &order, "/", &cookie));
        prop_assert_eq!(decided(&here), decided(&there));
    }

    #[test]
    fn only_the_sessions_of_removed_servers_move(
        left in prop::sample::subsequence(NAMES.to_vec(), 1..=5),
        added in prop::sample::subsequence(vec!["x", "y", "z"], 0..=3),
        home in prop::sample::select(&NAMES[..]),
    ) {
        let after: Vec<&str> = added.into_iter().chain(left.iter().copied()).collect();
        let view = by_name(&after);
        let verdict = verdict(&view, &["sticky"], "/", &cookie_for(home));
        if left.contains(&home) {
            prop_assert_eq!(shown(&view, &verdict), format!("{home} (sticky)"));
        } else {
            prop_assert_eq!(verdict.reason, Reason::MovedGone);
            prop_assert!(matches!(verdict.choice, Choice::Server(_)));
        }
    }

    #[test]
    fn any_bytes_lead_somewhere(
        target in ".{0,40}",
        cookie in prop::collection::vec(any::<u8>(), 0..80),
        header in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let all = ["sticky", "cookie:a+route", "header:a+route", "query:a+route", "path:a+route"];
        let request = Request {
            target: &target,
            cookies: &[&cookie, b"abide=", &cookie],
            header: &|_| Some(&header),
            client: None,
        };
        let view = by_name(&NAMES);
        let keys = sources(&all).keys(&request, NOW);
        prop_assert_eq!(keys.presented(), Presented::Forged);
        prop_assert!(decide(&view, &keys, NOW, 0).choice != Choice::Nobody);
    }
}
