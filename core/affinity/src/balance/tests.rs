use alloc::format;
use alloc::string::String;
use alloc::vec;

use proptest::prelude::*;

use crate::fixture::view;

use super::*;

fn picks(balancer: &mut Balancer, view: &View, count: usize) -> String {
    let picked = core::iter::repeat_with(|| balancer.pick(view, &[], 0)).take(count);
    let names = picked.map(|place| view.server(place.unwrap()).unwrap().name.as_str());
    names.collect::<Vec<_>>().join(" ")
}

fn round_robin() -> Balancer {
    Balancer::new(Algorithm::SmoothWeightedRoundRobin)
}

#[test]
fn algorithms_read_what_they_print() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.as_str().parse(), Ok(algorithm));
    }
    assert_eq!("fair".parse::<Algorithm>(), Err(UnknownAlgorithm));
}

#[test]
fn turns_of_a_heavy_server_are_spread() {
    // The example of nginx's own commit message: weights 5, 1 and 1.
    let view = view(&["a*5", "b", "c"]);
    assert_eq!(picks(&mut round_robin(), &view, 8), "a a b a c a a a");
}

#[test]
fn servers_that_take_nobody_new_get_no_turn() {
    let view = view(&["a", "b draining", "c down", "d maintenance", "e"]);
    assert_eq!(picks(&mut round_robin(), &view, 4), "a e a e");
}

#[test]
fn an_empty_pool_has_nobody_to_pick() {
    for algorithm in Algorithm::ALL {
        for servers in [&[][..], &["a down"]] {
            assert_eq!(Balancer::new(algorithm).pick(&view(servers), &[], 7), None);
        }
    }
}

#[test]
fn a_new_list_does_not_start_the_turns_again() {
    let mut balancer = round_robin();
    assert_eq!(picks(&mut balancer, &view(&["a", "b", "c"]), 2), "a b");
    assert_eq!(picks(&mut balancer, &view(&["b", "x", "c", "a"]), 4), "c x b a");
}

#[test]
fn the_fewest_connections_count_per_weight() {
    let view = view(&["a*3", "b", "c down"]);
    let mut balancer = Balancer::new(Algorithm::LeastConnections);
    for (loads, expected) in
        [(&[3, 2, 0][..], 0), (&[7, 2, 0], 1), (&[1], 1), (&[u32::MAX, u32::MAX], 0), (&[0, 1], 0)]
    {
        assert_eq!(balancer.pick(&view, loads, 0), Some(expected), "{loads:?}");
    }
}

#[test]
fn of_two_random_ones_the_less_loaded_is_picked() {
    let view = view(&["a", "b"]);
    let mut balancer = Balancer::new(Algorithm::TwoRandomChoices);
    for random in [0, 1, u64::MAX, 0x8000_0000_0000_0000, 0x7fff_ffff_8000_0000] {
        assert_eq!(balancer.pick(&view, &[5, 4], random), Some(1));
        assert_eq!(balancer.pick(&view, &[4, 5], random), Some(0));
    }
}

/// How many of `count` picks each server gets; every pick stays for good as load.
fn spread(algorithm: Algorithm, view: &View, count: u32) -> Vec<u32> {
    let mut balancer = Balancer::new(algorithm);
    let mut loads = vec![0_u32; view.servers().len()];
    let mut random = 1_u64;
    for _ in 0..count {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let picked = balancer.pick(view, &loads, random).unwrap();
        loads[picked] = loads[picked].saturating_add(1);
    }
    loads
}

#[test]
fn all_algorithms_honour_weights() {
    let view = view(&["a*3", "b", "c*2", "d down"]);
    for algorithm in Algorithm::ALL {
        let loads = spread(algorithm, &view, 6000);
        for (load, expected) in loads.iter().zip([3000_u32, 1000, 2000, 0]) {
            let off = load.abs_diff(expected);
            assert!(off <= expected / 20, "{algorithm}: {loads:?}");
        }
    }
}

#[test]
fn two_choices_are_nearly_as_even_as_the_least_of_all() {
    let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    let view = view(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let loads = spread(Algorithm::TwoRandomChoices, &view, 20_000);
    assert!(loads.iter().all(|load| load.abs_diff(1000) <= 5), "{loads:?}");
}

proptest! {
    #[test]
    fn whoever_is_picked_takes_new_visitors(
        marks in prop::collection::vec(prop::sample::select(&["", " down", " draining"][..]), 1..8),
        loads in prop::collection::vec(any::<u32>(), 0..8),
        random in any::<u64>(),
    ) {
        let servers: Vec<String> =
            marks.iter().enumerate().map(|(number, mark)| format!("s{number}{mark}")).collect();
        let view = view(&servers.iter().map(String::as_str).collect::<Vec<_>>());
        for algorithm in Algorithm::ALL {
            let picked = Balancer::new(algorithm).pick(&view, &loads, random);
            prop_assert_eq!(picked.is_some(), view.takes_new());
            prop_assert!(picked.is_none_or(|place| view.server(place).unwrap().takes_new()));
        }
    }

    #[test]
    fn a_full_round_gives_each_server_its_weight(weights in prop::collection::vec(1_u8..=9, 1..6)) {
        let servers: Vec<String> =
            weights.iter().enumerate().map(|(number, weight)| format!("s{number}*{weight}")).collect();
        let view = view(&servers.iter().map(String::as_str).collect::<Vec<_>>());
        let total = weights.iter().copied().map(u32::from).sum();
        let turns = spread(Algorithm::SmoothWeightedRoundRobin, &view, total);
        prop_assert_eq!(turns, weights.iter().copied().map(u32::from).collect::<Vec<_>>());
    }
}
