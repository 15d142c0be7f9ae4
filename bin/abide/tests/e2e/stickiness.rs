//! Visitors stay with their server: under load, over restarts, between balancers.

use std::collections::BTreeSet;

use crate::harness::origin::{balancer, flags, keygen, shop, shops};
use crate::harness::{Client, Process};

/// So many visitors, each signed in and with the name of the server that has the session.
fn visitors(balancer: &Process, count: usize) -> Vec<(Client, String)> {
    let visitor = |number: usize| {
        let mut client = Client::new(balancer.listen());
        let home = client.post(&format!("/api/login?user=user{number}")).text("server");
        (client, home)
    };
    (0..count).map(visitor).collect()
}

#[test]
fn fifty_clients_times_two_hundred_requests_never_see_two_servers() {
    let shops = shops(3);
    let balancer = balancer(&flags(&shops), None);
    let address = balancer.listen();
    let client = |number: usize| {
        let mut client = Client::new(address);
        let name = format!("user{number}");
        let home = client.post(&format!("/api/login?user={name}")).text("server");
        for request in 1..200 {
            let answer = match request % 4 {
                0 => client.post("/api/incr?k=n"),
                1 => client.get("/api/get?k=n"),
                _ => client.get("/api/me"),
            };
            assert_eq!(answer.status, 200, "{name}, request {request}");
            assert_eq!(answer.text("server"), home, "{name}, request {request}");
        }
        assert_eq!(client.get("/api/me").text("user"), name);
        assert_eq!(client.get("/api/get?k=n").json()["value"], 49);
        home
    };
    let homes: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..50).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    for name in ["a", "b", "c"] {
        let share = homes.iter().filter(|home| *home == name).count();
        assert!((10..=24).contains(&share), "server {name} has {share} of 50 visitors");
    }
}

#[test]
fn a_server_added_removed_or_reordered_moves_only_sessions_of_removed_ones() {
    let keys = keygen();
    let four = shops(4);
    let (abc, dcba, adc) = (
        flags(four.iter().take(3)),
        flags(four.iter().rev()),
        flags([&four[0], &four[3], &four[2]]),
    );
    let first = balancer(&abc, Some(&keys));
    let mut visitors = visitors(&first, 30);
    drop(first);

    let second = balancer(&dcba, Some(&keys));
    for (client, home) in &mut visitors {
        client.go_to(second.listen());
        assert_eq!(client.server(), *home, "one more server and another order move nobody");
    }
    drop(second);

    let third = balancer(&adc, Some(&keys));
    for (client, home) in &mut visitors {
        client.go_to(third.listen());
        let answer = client.get("/api/me");
        let (server, reason) = answer.verdict();
        if home == "b" {
            assert_ne!(server, "b");
            assert_eq!(reason, "moved:gone");
            assert_eq!(client.get("/api/me").verdict(), (server, "sticky".to_owned()));
        } else {
            assert_eq!((server, reason), (home.clone(), "sticky".to_owned()));
        }
    }
}

#[test]
fn two_balancers_with_shuffled_lists_send_a_cookie_to_the_same_server() {
    let keys = keygen();
    let shops = shops(4);
    let one = balancer(&flags(&shops), Some(&keys));
    let other = balancer(&flags([&shops[2], &shops[0], &shops[3], &shops[1]]), Some(&keys));
    let mut visitors = visitors(&one, 24);
    let homes: BTreeSet<&String> = visitors.iter().map(|(_, home)| home).collect();
    assert_eq!(homes.len(), 4, "all four have some");
    for (client, home) in &mut visitors {
        for balancer in [&other, &one, &other] {
            client.go_to(balancer.listen());
            let answer = client.get("/api/me");
            assert_eq!(answer.verdict(), (home.clone(), "sticky".to_owned()));
            assert!(answer.field("set-cookie").is_none(), "nothing to write");
        }
    }
    // Without a cookie an id of the app decides, and both decide alike.
    let by_id =
        |shops: Vec<&Process>| balancer(&format!("--affinity query:sid {}", flags(shops)), None);
    let one = by_id(shops.iter().collect());
    let other = by_id(shops.iter().rev().collect());
    for id in 0..40 {
        let target = format!("/api/plain?sid={id}");
        let (at_one, at_other) =
            (Client::new(one.listen()).get(&target), Client::new(other.listen()).get(&target));
        assert_eq!(at_one.verdict(), at_other.verdict());
        assert_eq!(at_one.verdict().1, "owner");
    }
}

#[test]
fn restart_of_the_balancer_moves_nobody() {
    let keys = keygen();
    let shops = shops(3);
    let mut balancer_now = balancer(&flags(&shops), Some(&keys));
    let mut visitors = visitors(&balancer_now, 12);
    for signal in ["TERM", "KILL"] {
        balancer_now.signal(signal);
        balancer_now.wait();
        balancer_now = balancer(&flags(&shops), Some(&keys));
        for (number, (client, home)) in visitors.iter_mut().enumerate() {
            client.go_to(balancer_now.listen());
            let answer = client.get("/api/me");
            assert_eq!(answer.text("server"), *home);
            assert_eq!(answer.text("user"), format!("user{number}"), "still signed in");
        }
    }
}

#[test]
fn a_server_that_moves_to_another_address_keeps_its_visitors() {
    let keys = keygen();
    let shops = shops(2);
    let first = balancer(&flags(&shops), Some(&keys));
    let mut visitors = visitors(&first, 8);
    let moved = shop("b");
    assert_ne!(moved.listen(), shops[1].listen());
    let second = balancer(&flags([&shops[0], &moved]), Some(&keys));
    for (client, home) in &mut visitors {
        client.go_to(second.listen());
        assert_eq!(client.get("/api/me").verdict(), (home.clone(), "sticky".to_owned()));
    }
}
