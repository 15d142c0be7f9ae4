//! Nodes that nobody was told of.

use abide_keys::Key;
use abide_node::{Config, NodeStore, join};
use abide_servers::{Port, free_port};

use super::{all_there, create, until, until_ready};

/// A node, and those that it is told of.
fn node(name: &str, list: &[(&str, &Port)]) -> Config {
    let list = list.iter().map(|(name, port)| (*name, port.address()));
    Config::new(name, list).secret(Key::new([7; Key::BYTES]))
}

/// A name of the same number as a.
const TWIN_OF_A: &str = "node-26812";

async fn know(node: &NodeStore, names: &[&str]) {
    until("a node that knows all", async || node.names() == names).await;
}

#[tokio::test]
async fn who_joins_need_know_one_node_and_holds_its_share_soon() {
    let [at_a, at_b, at_c] = &[free_port(), free_port(), free_port()];
    let first = [("a", at_a), ("b", at_b)];
    let (a, b) = tokio::join!(join(node("a", &first)), join(node("b", &first)));
    let (a, b) = (a.unwrap(), b.unwrap());
    until_ready(&[&a, &b]).await;
    create(&a, 0..200).await;
    let c = join(node("c", &[("c", at_c), ("b", at_b)])).await.unwrap();
    for node in [&a, &b, &c] {
        know(node, &["a", "b", "c"]).await;
    }
    until_ready(&[&a, &b, &c]).await;
    let status = c.status().await.unwrap();
    assert!(status.led > 800 && status.sessions > 60, "{status:?}");
    create(&c, 200..300).await;
    // One of the first dies. The other is started again as it was at first, and hears of the one that has joined.
    a.stop().await;
    until_ready(&[&b, &c]).await;
    assert!(b.leave(super::PATIENCE).await);
    b.stop().await;
    let b = join(node("b", &first)).await.unwrap();
    until_ready(&[&b, &c]).await;
    know(&b, &["a", "b", "c"]).await;
    c.stop().await;
    all_there(&b, 0..300).await;
    assert_eq!(b.counters().unavailable, 0);
}

#[tokio::test]
async fn two_that_join_at_once_by_different_nodes_know_each_other() {
    let ports = [free_port(), free_port(), free_port(), free_port()];
    let [at_a, at_b, at_c, at_d] = &ports;
    let first = [("a", at_a), ("b", at_b)];
    let (a, b) = tokio::join!(join(node("a", &first)), join(node("b", &first)));
    let (a, b) = (a.unwrap(), b.unwrap());
    create(&a, 0..100).await;
    let c = node("c", &[("c", at_c), ("a", at_a)]);
    let d = node("d", &[("d", at_d), ("b", at_b)]);
    let (c, d) = tokio::join!(join(c), join(d));
    let (c, d) = (c.unwrap(), d.unwrap());
    until_ready(&[&a, &b, &c, &d]).await;
    for node in [&a, &b, &c, &d] {
        know(node, &["a", "b", "c", "d"]).await;
        let status = node.status().await.unwrap();
        assert!(status.led > 500, "{}: {status:?}", node.name());
    }
    a.stop().await;
    until_ready(&[&b, &c, &d]).await;
    all_there(&d, 0..100).await;
}

#[tokio::test]
async fn who_can_not_be_in_the_cluster_is_not_taken_and_changes_nothing() {
    let [at_a, at_b, at_c, at_other] = &[free_port(), free_port(), free_port(), free_port()];
    let a = join(node("a", &[("a", at_a)])).await.unwrap();
    // Beside a it can not stand in a list, so the other is told of it by a third.
    let twin = TWIN_OF_A;
    let refused = join(node(twin, &[(twin, at_other), ("a", at_a)])).await.unwrap_err().to_string();
    assert!(refused.contains("choose another name"), "{refused}");
    let by_way_of_b = join(node("b", &[("b", at_b), ("a", at_a)])).await.unwrap();
    know(&a, &["a", "b"]).await;
    let letters = a.counters().letters_received;
    assert!(letters > 0);
    let stranger = join(node(twin, &[(twin, at_other), ("b", at_b)])).await.unwrap();
    assert_eq!((stranger.counters().letters_received, by_way_of_b.names().len()), (0, 2));
    drop((stranger, by_way_of_b));
    let copies = join(node("c", &[("c", at_c), ("a", at_a)]).copies(3)).await.unwrap();
    assert_eq!(copies.counters().letters_received, 0);
    assert_eq!(a.names(), ["a", "b"]);
}

#[tokio::test]
async fn who_is_alone_and_has_no_secret_lets_nobody_join() {
    let [at_a, at_b] = &[free_port(), free_port()];
    let a = join(Config::new("a", [("a", at_a.address())])).await.unwrap();
    let list = [("a", at_a.address()), ("b", at_b.address())];
    let b = join(Config::new("b", list).plain()).await.unwrap();
    assert_eq!((a.names(), b.counters().letters_received), (vec!["a".to_owned()], 0));
}

#[tokio::test]
async fn a_node_that_starts_elsewhere_under_its_name_is_found_there() {
    let [at_a, at_b, elsewhere, at_c] = &[free_port(), free_port(), free_port(), free_port()];
    let first = [("a", at_a), ("b", at_b)];
    let (a, b) = tokio::join!(join(node("a", &first)), join(node("b", &first)));
    let (a, b) = (a.unwrap(), b.unwrap());
    until_ready(&[&a, &b]).await;
    create(&a, 0..100).await;
    b.stop().await;
    let b = join(node("b", &[("b", elsewhere), ("a", at_a)])).await.unwrap();
    until_ready(&[&a, &b]).await;
    // Who joins by way of a finds b where it is now.
    let c = join(node("c", &[("c", at_c), ("a", at_a)])).await.unwrap();
    until_ready(&[&a, &b, &c]).await;
    a.stop().await;
    until_ready(&[&b, &c]).await;
    all_there(&c, 0..100).await;
}
