//! What operators see and order.

use crate::harness::{Origin, Running, config};
use abide_balancer::config::{AccessLog, Admin, Token};
use abide_balancer::{Balancer, BalancerError};

const ORDER: &str = "X-Abide-Admin: 1\r\n";

#[test]
fn a_drained_server_keeps_its_visitors_and_gets_no_new_ones() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let running = Running::start(config(&[("a", a.address), ("b", b.address)]));
    let visitors: Vec<_> = (0..4).map(|_| running.get("/", "")).collect();
    let drained = running.ask_admin("POST", "/servers/a/drain?seconds=600", ORDER);
    assert_eq!(drained.status(), 200);
    assert!(drained.text().contains("\"state\":\"draining\""), "{}", drained.text());
    for visitor in &visitors {
        let cookie = visitor.cookie().unwrap();
        let again = running.get("/", &format!("Cookie: {cookie}\r\n"));
        assert_eq!(again.text(), visitor.text());
    }
    for _ in 0..4 {
        assert_eq!(running.get("/", "").text(), "b");
    }
    // The deadline has passed: its visitors move, and stay where they moved.
    running.ask_admin("POST", "/servers/a/drain?seconds=0", ORDER);
    let visitor = visitors.iter().find(|visitor| visitor.text() == "a").unwrap();
    let moved = running.get("/", &format!("Cookie: {}\r\n", visitor.cookie().unwrap()));
    assert_eq!(moved.field("x-abide-verdict"), Some("b moved:drained"));
    running.ask_admin("POST", "/servers/a/ready", ORDER);
    let again = running.get("/", &format!("Cookie: {}\r\n", moved.cookie().unwrap()));
    assert_eq!(again.field("x-abide-verdict"), Some("b sticky"));
}

#[test]
fn orders_need_more_than_a_link() {
    let origin = Origin::named("a");
    let running = Running::start(config(&[("a", origin.address)]));
    assert_eq!(running.ask_admin("POST", "/servers/a/maintenance", "").status(), 403);
    assert_eq!(running.ask_admin("GET", "/servers/a/maintenance", ORDER).status(), 404);
    assert_eq!(running.ask_admin("POST", "/servers/z/maintenance", ORDER).status(), 404);
    assert_eq!(running.ask_admin("POST", "/servers/a/drain?seconds=x", ORDER).status(), 400);
    assert_eq!(running.get("/", "").status(), 200);
    assert_eq!(running.ask_admin("POST", "/servers/a/maintenance", ORDER).status(), 200);
    assert_eq!(running.get("/", "").status(), 503);
}

#[test]
fn a_token_is_asked_for_everything_but_health() {
    let origin = Origin::named("a");
    let mut config = config(&[("a", origin.address)]);
    let token = Some(Token("secret".to_owned()));
    config.admin = Some(Admin { listen: "127.0.0.1:0".parse().unwrap(), token });
    assert!(!format!("{config:?}").contains("secret"));
    let running = Running::start(config);
    for (path, status) in [("/health", 200), ("/ready", 200), ("/metrics", 401), ("/servers", 401)]
    {
        assert_eq!(running.ask_admin("GET", path, "").status(), status, "{path}");
    }
    for (token, status) in [("secret", 200), ("secre", 401), ("secret2", 401), ("", 401)] {
        let fields = format!("Authorization: Bearer {token}\r\n");
        assert_eq!(running.ask_admin("GET", "/servers", &fields).status(), status, "{token}");
    }
}

#[test]
fn an_admin_address_that_others_reach_needs_a_token() {
    let origin = Origin::named("a");
    let mut config = config(&[("a", origin.address)]);
    config.admin = Some(Admin { listen: "0.0.0.0:0".parse().unwrap(), token: None });
    let refused = Balancer::bind(config);
    assert!(matches!(refused, Err(BalancerError::AdminNeedsToken(_))));
}

#[test]
fn a_port_in_use_is_said_and_nothing_is_half_started() {
    let origin = Origin::named("a");
    let running = Running::start(config(&[("a", origin.address)]));
    let mut second = config(&[("a", origin.address)]);
    second.listen = running.address;
    let refused = Balancer::bind(second).unwrap_err().to_string();
    assert!(refused.contains("is in use by another process"), "{refused}");
}

#[test]
fn every_request_is_a_line_of_the_access_log_and_no_session_id_is() {
    let origin = Origin::named("a");
    let path = std::env::temp_dir().join(format!("abide-test-access-{}", std::process::id()));
    let mut config = config(&[("a", origin.address)]);
    config.access_log = AccessLog::File(path.clone());
    let mut running = Running::start(config);
    let cookie = running.get("/cart?sid=topsecret", "").cookie().unwrap();
    running.get("/cart;sid=topsecret", &format!("Cookie: {cookie}\r\n"));
    running.join();
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let verdicts: Vec<&str> = log.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(verdicts, ["new", "sticky"], "{log}");
    assert!(log.lines().all(|line| line.contains(" 127.0.0.1 \"GET /cart\" 200 1 ")), "{log}");
    assert!(!log.contains("topsecret") && !log.contains(&cookie), "{log}");
}
