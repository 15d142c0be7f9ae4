//! Nodes that die, come back empty, leave, and strangers; by a secret, and by certificates.

#![expect(clippy::unwrap_used, reason = "what tests do, in functions that they share")]

mod certificates;
mod cluster;
mod joining;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use abide_keys::Key;
use abide_node::{Config, NodeStore, join};
use abide_servers::free_port;
use abide_session::{
    Changes, Create, End, FieldChange, FieldName, Id, IdHash, Loaded, RANDOM_BYTES, Store,
    StoreError, Subject, Time,
};
use cluster::{Cluster, configs};
use tempfile::TempDir;

/// Longer than anything takes here that comes to an end.
const PATIENCE: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "a client of nodes, which go by the wall clock")]
fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap())
}

fn id(number: u64) -> IdHash {
    IdHash::of_secret("faults", &number.to_le_bytes())
}

fn session(number: u64) -> Changes {
    let mut changes = Changes::default();
    changes.created = Some(now());
    changes.seen = Some(now());
    changes.idle_timeout = Some(Duration::from_mins(30));
    changes.hard_deadline = Some(now().after(Duration::from_hours(1)));
    changes.subject = Some(Some(subject(number)));
    let value = FieldChange::blind(Some(number.to_le_bytes().to_vec().into()));
    changes.fields.insert(FieldName::new("number").unwrap(), value);
    changes
}

/// One of ten.
fn subject(number: u64) -> Subject {
    Subject::new(format!("subject {}", number % 10)).unwrap()
}

async fn create(node: &NodeStore, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let created = node.create(id(number), session(number), now()).await;
        assert!(matches!(created, Ok(Create::Created(_))), "{number}: {created:?}");
    }
}

async fn all_there(node: &NodeStore, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let loaded = node.load(id(number), now()).await;
        let record = loaded.unwrap().live().unwrap_or_else(|| panic!("{number} is lost"));
        assert_eq!(record.get("number").unwrap().as_ref(), number.to_le_bytes());
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while !is_so().await {
            pace.tick().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("in vain: {what}"));
}

async fn until_ready(nodes: &[&NodeStore]) {
    for node in nodes {
        until("a node that holds all that it should", || node.is_ready()).await;
        until("a node that may be stopped", || node.is_safe_to_stop()).await;
    }
}

#[tokio::test]
async fn a_node_that_dies_takes_nothing_with_it() {
    let cluster = Cluster::start(2).await;
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    until_ready(&[a, b]).await;
    create(a, 0..100).await;
    create(b, 100..200).await;
    a.stop().await;
    all_there(b, 0..200).await;
    assert!(matches!(a.load(id(0), now()).await, Err(StoreError::Unavailable(_))));
    // It goes on alone, and says so.
    create(b, 200..210).await;
    assert!(b.counters().answered_degraded >= 10 && b.counters().deaths == 1, "{:?}", b.counters());
    assert!(!b.is_safe_to_stop().await, "it has the only copies");
}

#[tokio::test]
async fn who_comes_back_empty_is_filled_and_then_the_other_may_die() {
    let ports = [free_port(), free_port()];
    let [config_a, config_b] = <[Config; 2]>::try_from(configs(&ports)).unwrap();
    let (a, b) = tokio::join!(join(config_a.clone()), join(config_b));
    let (a, b) = (a.unwrap(), b.unwrap());
    until_ready(&[&a, &b]).await;
    create(&a, 0..200).await;
    let ended = b.end(id(7), now()).await.unwrap();
    assert_eq!(ended, End::Ended);
    a.stop().await;
    create(&b, 200..300).await;
    let a = join(config_a).await.unwrap();
    until_ready(&[&a, &b]).await;
    b.stop().await;
    all_there(&a, 0..7).await;
    all_there(&a, 8..300).await;
    assert!(matches!(a.load(id(7), now()).await.unwrap(), Loaded::Ended), "a logout is final");
}

#[tokio::test]
async fn a_node_that_leaves_gives_away_everything_and_nobody_notices() {
    let cluster = Cluster::start(3).await;
    let [a, b, c] = &cluster.nodes[..] else { panic!("three nodes") };
    until_ready(&[a, b, c]).await;
    create(a, 0..100).await;
    let busy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (at, still) = (b.clone(), Arc::clone(&busy));
    let traffic = tokio::spawn(async move {
        let mut number = 1_000;
        while still.load(std::sync::atomic::Ordering::Relaxed) {
            create(&at, number..number + 1).await;
            number += 1;
        }
        number
    });
    assert!(a.leave(PATIENCE).await, "it had not given away everything");
    assert!(!a.is_ready().await, "who leaves wants no traffic");
    all_there(a, 0..100).await;
    a.stop().await;
    all_there(c, 0..100).await;
    busy.store(false, std::sync::atomic::Ordering::Relaxed);
    let last = traffic.await.unwrap();
    all_there(c, 1_000..last).await;
    assert_eq!((b.counters().unavailable, b.counters().answered_sole), (0, 0));
}

#[tokio::test]
async fn a_session_at_home_costs_no_message_to_read() {
    let cluster = Cluster::start(2).await;
    let [a, b] = &cluster.nodes[..] else { panic!("two nodes") };
    until_ready(&[a, b]).await;
    let slot = a.home(12_345).unwrap();
    let id = Id::from_random_in(slot, [5; RANDOM_BYTES]).hash();
    a.create(id, session(1), now()).await.unwrap();
    let before = a.counters();
    for _ in 0..2_000 {
        assert!(a.load(id, now()).await.unwrap().live().is_some());
    }
    let after = a.counters();
    // Pings go on meanwhile, ten a second.
    let letters = after.letters_sent - before.letters_sent;
    assert!(letters < 100, "{letters} letters for 2,000 reads");
    let before = b.counters();
    assert!(b.load(id, now()).await.unwrap().live().is_some());
    assert!(b.counters().letters_sent > before.letters_sent, "elsewhere it has to be asked for");
}

#[tokio::test]
async fn all_sessions_of_a_subject_end_on_all_nodes_but_for_the_excepted_one() {
    let cluster = Cluster::start(3).await;
    let [a, b, c] = &cluster.nodes[..] else { panic!("three nodes") };
    create(a, 0..100).await;
    let who = subject(3);
    assert_eq!(b.list(&who, now()).await.unwrap().len(), 10);
    b.end_all(&who, Some(id(33)), now()).await.unwrap();
    let left = c.list(&who, now()).await.unwrap();
    assert_eq!(left.iter().map(|one| one.id).collect::<Vec<_>>(), [id(33)]);
    assert!(matches!(c.load(id(3), now()).await.unwrap(), Loaded::Ended));
    all_there(c, 0..3).await;
}

#[tokio::test]
async fn who_does_not_know_the_secret_learns_nothing_and_changes_nothing() {
    let ports = [free_port(), free_port()];
    let nodes = [("a", ports[0].address()), ("b", ports[1].address())];
    let of = |name: &str, key| Config::new(name, nodes.clone()).secret(Key::new([key; Key::BYTES]));
    let (a, stranger) = tokio::join!(join(of("a", 1)), join(of("b", 2)));
    let (a, stranger) = (a.unwrap(), stranger.unwrap());
    // A has been alone all the time, and the stranger as well.
    create(&a, 0..20).await;
    assert_eq!((a.counters().letters_received, stranger.counters().letters_received), (0, 0));
    // Nor does it say that there is no such session: another node may have it, which does not answer.
    assert!(matches!(stranger.load(id(1), now()).await, Err(StoreError::Unavailable(_))));
    // Nor does somebody who speaks plainly, or nonsense, or nothing.
    for words in
        [&b"\x20\0\0\0abide node\x01\x01"[..], b"GET / HTTP/1.1\r\n\r\n", &[0xff; 5000], b""]
    {
        let mut stream = TcpStream::connect(ports[0].address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(words);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(!text.contains("abide"), "{text:?}");
    }
    create(&a, 20..40).await;
    assert_eq!(a.counters().letters_received, 0);
}

#[tokio::test]
async fn on_the_loopback_interface_nodes_may_do_without_a_secret() {
    let ports = [free_port(), free_port()];
    let nodes = [("a", ports[0].address()), ("b", ports[1].address())];
    let of = |name: &str| Config::new(name, nodes.clone()).plain();
    let (a, b) = tokio::join!(join(of("a")), join(of("b")));
    let (a, b) = (a.unwrap(), b.unwrap());
    create(&a, 0..50).await;
    all_there(&b, 0..50).await;
    assert!(a.counters().letters_received > 0);
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_to_be_and_nothing_is_left_running() {
    let port = free_port();
    let held = std::net::TcpListener::bind(port.address()).unwrap();
    let config = || Config::new("a", [("a", port.address())]);
    let refused = join(config()).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("can not listen at {}", port.address())), "{refused}");
    drop(held);
    let node = join(config()).await.unwrap();
    node.health().await.unwrap();
    // When nobody has it any more it stops, and the port is free.
    drop(node);
    until("a free port", async || std::net::TcpListener::bind(port.address()).is_ok()).await;
}

#[tokio::test]
async fn a_node_without_room_refuses_new_sessions_and_keeps_the_old() {
    let port = free_port();
    let config = Config::new("a", [("a", port.address())]).copies(1).memory_bytes(40_000);
    let node = join(config).await.unwrap();
    let mut made = 0;
    let refusal = loop {
        match node.create(id(made), session(made), now()).await {
            Ok(Create::Created(_)) => made += 1,
            other => break other,
        }
    };
    assert!(matches!(refusal, Err(StoreError::Full)), "{refusal:?}");
    assert!((20..400).contains(&made), "{made} sessions in 40,000 bytes");
    all_there(&node, 0..made).await;
    let metrics = node.metrics().await;
    let bytes = node.status().await.unwrap().bytes;
    for line in [format!("bytes {bytes}"), "bytes_max 40000".to_owned(), format!("sessions {made}")]
    {
        assert!(metrics.contains(&format!("\nabide_node_{line}\n")), "{line}: {metrics}");
    }
    assert_eq!(node.end(id(0), now()).await.unwrap(), End::Ended);
}

#[tokio::test]
async fn what_another_node_may_know_better_is_shown_but_not_as_certain() {
    let (ports, folders) = ([free_port(), free_port()], [(); 2].map(|()| TempDir::new().unwrap()));
    let config = |place: usize| configs(&ports)[place].clone().data(folders[place].path());
    let (a, b) = (join(config(0)).await.unwrap(), join(config(1)).await.unwrap());
    until_ready(&[&a, &b]).await;
    create(&a, 0..20).await;
    let syncs = a.counters().journal_syncs;
    until("a disk that has all of it", async || a.counters().journal_syncs > syncs).await;
    a.stop().await;
    b.stop().await;
    drop((a, b));

    // Alone it can not know what the other did since.
    let a = join(config(0)).await.unwrap();
    until("a node that leads", async || a.load(id(0), now()).await.is_ok()).await;
    all_there(&a, 0..20).await;
    let certain = a.certain();
    for refused in [
        certain.load(id(0), now()).await.map(|_| ()),
        certain.list(&subject(0), now()).await.map(|_| ()),
        certain.scan(None, now()).await.map(|_| ()),
        certain.end(id(0), now()).await.map(|_| ()),
    ] {
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    let b = join(config(1)).await.unwrap();
    until_ready(&[&a, &b]).await;
    until("a certain answer", async || certain.load(id(1), now()).await.is_ok()).await;
    all_there(&certain, 1..20).await;
    // A write that is not certain is a write all the same.
    assert!(matches!(certain.load(id(0), now()).await, Ok(Loaded::Ended)));
}

#[tokio::test]
async fn strangers_who_connect_and_say_nothing_hold_up_nobody() {
    let ports = [free_port(), free_port()];
    let [config_a, config_b] = <[Config; 2]>::try_from(configs(&ports)).unwrap();
    let a = join(config_a).await.unwrap();
    // Twice as many as are greeted at once.
    let strangers: Vec<TcpStream> =
        (0..128).map(|_| TcpStream::connect(ports[0].address()).unwrap()).collect();
    let begun = tokio::time::Instant::now();
    let b = join(config_b).await.unwrap();
    until_ready(&[&a, &b]).await;
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    create(&b, 0..50).await;
    all_there(&a, 0..50).await;
    drop(strangers);
}
