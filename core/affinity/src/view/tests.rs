use alloc::format;
use alloc::vec;

use crate::fixture::{server, view};

use super::*;

#[test]
fn names_are_unique() {
    let twins = vec![server("a"), server("b"), server("a down")];
    let name = ServerName::new("a").unwrap();
    assert_eq!(View::new(twins, OnLost::Move).unwrap_err(), AffinityError::DuplicateServer(name));
}

#[test]
fn a_pool_has_at_most_a_thousand_servers() {
    let many = |count: u32| (0..count).map(|number| server(&format!("s{number}"))).collect();
    let largest = View::new(many(1000), OnLost::Move).unwrap();
    assert_eq!(largest.place_of(b"s999"), Some(999));
    assert_eq!(largest.place_of_tag(largest.tag_of(999).unwrap()), Some(999));
    assert_eq!(View::new(many(1001), OnLost::Move).unwrap_err(), AffinityError::TooManyServers);
}

#[test]
fn a_pool_may_be_empty() {
    let view = view(&[]);
    assert!(!view.takes_new());
    assert_eq!(view.first_in_order(Slot::of_number(0), |_, _| true), None);
}

#[test]
fn the_order_is_that_of_the_slots_crate_when_asked_again_and_beyond_what_is_kept() {
    let names = ["a", "b*3", "c", "d", "e", "f*2", "g"];
    let view = view(&names);
    let members: Vec<Member<'_>> = view
        .servers()
        .iter()
        .map(|server| Member::new(server.name.as_str(), server.weight.get()).unwrap())
        .collect();
    for slot in Slot::all().step_by(11) {
        let order = abide_slots::owners(slot, &members);
        for _ in 0..2 {
            let mut passed = Vec::new();
            while let Some(place) = view.first_in_order(slot, |place, _| !passed.contains(&place)) {
                passed.push(place);
            }
            assert_eq!(passed, order, "{slot}");
        }
    }
}

#[test]
fn a_view_that_follows_keeps_its_placement_only_if_names_and_weights_stay() {
    let first = view(&["a", "b"]);
    let of = |servers: &[&str]| servers.iter().map(|text| server(text)).collect::<Vec<_>>();
    for (servers, same) in [
        (of(&["a down", "b draining"]), true),
        (of(&["b", "a"]), false),
        (of(&["a", "b*2"]), false),
        (of(&["a"]), false),
        (of(&["a", "b", "c"]), false),
    ] {
        let next = first.succeed(servers.clone(), OnLost::Refuse).unwrap();
        assert_eq!(next.same_places(&first), same, "{servers:?}");
        assert_eq!(next.servers(), servers);
        assert_eq!(next.on_lost(), OnLost::Refuse);
    }
}
