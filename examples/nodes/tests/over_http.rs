//! The example as two processes, of which one dies.

use std::time::Duration;

use abide_example_driver::{Browser, Example};
use abide_keys::Key;
use abide_servers::{free_port, until};

fn is_ready(server: &Example) {
    let ask = || Browser::default().get(server.address(), "/ready");
    let ready = until(Duration::from_secs(30), || (ask().status() == "200").then_some(()));
    assert_eq!(ready, Some(()), "{:?}", ask());
}

#[test]
fn who_is_counted_by_one_server_is_counted_on_by_the_other_when_that_one_is_killed() {
    let ports = [free_port(), free_port()];
    let nodes = format!("a={},b={}", ports[0].address(), ports[1].address());
    let secret = Key::new([7; Key::BYTES]).expose();
    let start = |name| {
        let variables = [("NAME", name), ("NODES", nodes.as_str()), ("SECRET", secret.as_str())];
        let example = Example::start(env!("CARGO_BIN_EXE_abide-example-nodes"), 1, &variables);
        is_ready(&example);
        example
    };
    let (mut a, mut b) = (start("a"), start("b"));
    is_ready(&a);
    let mut browser = Browser::default();
    assert_eq!(browser.get(a.address(), "/").body(), "1 visits\n");
    assert_eq!(browser.get(b.address(), "/").body(), "2 visits\n");
    a.kill();
    assert_eq!(browser.get(b.address(), "/").body(), "3 visits\n");
    let a = start("a");
    b.kill();
    assert_eq!(browser.get(a.address(), "/").body(), "4 visits\n");
    let metrics = browser.get(a.address(), "/metrics");
    let counted = "abide_store_events_total{store=\"nodes\",event=\"dead_nodes\"} 1\n";
    assert!(metrics.body().contains(counted), "{}", metrics.body());
}
