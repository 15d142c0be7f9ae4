//! What happens when something fails, and what must not happen twice.

use crate::harness::{Origin, PATIENCE, Reply, Running, checks, config, eventually, ok};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_server_that_takes_no_connection_costs_nobody_an_answer() {
    let origin = Origin::named("b");
    let running = Running::start(config(&[("a", nobody()), ("b", origin.address)]));
    for _ in 0..6 {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        for answer in [running.get("/", ""), running.ask(post)] {
            assert_eq!(answer.text(), "b");
            assert!(answer.cookie().is_some(), "the cookie names the server that answered");
        }
    }
    assert_eq!(origin.last().content, b"hello");
    let state = "abide_balancer_server_state{server=\"a\",state=\"down\"}";
    assert_eq!(running.metric(state), 1, "three failures in a row");
}

/// Two origins, one of which breaks off every request but the first, and a target that it owns.
fn one_that_breaks_off() -> (Origin, Origin, Running, String) {
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken);
    let dies =
        Origin::start(
            move |_| {
                if breaks.load(SeqCst) { Reply::Close } else { Reply::Bytes(ok("a")) }
            },
        );
    let lives = Origin::named("b");
    let mut config = config(&[("a", dies.address), ("b", lives.address)]);
    config.affinity = vec!["query:id".parse().unwrap()];
    let running = Running::start(config);
    let owned = (0..100)
        .map(|id| format!("/?id={id}"))
        .find(|target| running.get(target, "").text() == "a")
        .expect("an id that this server owns");
    broken.store(true, SeqCst);
    (dies, lives, running, owned)
}

#[test]
fn a_get_in_flight_is_sent_again() {
    let (_dies, _lives, running, target) = one_that_breaks_off();
    let answer = running.get(&target, "");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "b"));
    assert_eq!(answer.field("x-abide-verdict"), Some("b moved:failed"));
}

#[test]
fn what_may_have_been_read_is_never_sent_twice() {
    let (dies, lives, running, target) = one_that_breaks_off();
    let before = (dies.requests().len(), lives.requests().len());
    // A GET with content can not be sent again either: the content is gone.
    for method in ["POST", "GET"] {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(running.ask(&request).status(), 502);
    }
    assert_eq!((dies.requests().len(), lives.requests().len()), (before.0 + 2, before.1));
}

#[test]
fn an_idle_connection_that_the_server_closed_costs_nobody_an_answer() {
    // Each connection answers once, without saying that it will close.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            use std::io::{Read, Write};
            let (mut stream, mut buffer) = (stream.unwrap(), [0; 4096]);
            if stream.read(&mut buffer).unwrap() > 0 {
                stream.write_all(&ok("once")).unwrap();
            }
        }
    });
    let running = Running::start(config(&[("a", address)]));
    let mut client = running.connect();
    for _ in 0..20 {
        assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "once");
    }
}

#[test]
fn no_server_at_all_is_a_503_that_says_when_to_come_back() {
    let mut config = config(&[("a", nobody())]);
    config.check = Some(checks());
    let running = Running::start(config);
    eventually("the check", || running.ask_admin("GET", "/ready", "").status() == 503);
    let answer = running.get("/", "");
    assert_eq!((answer.status(), answer.field("retry-after")), (503, Some("1")));
    assert_eq!(answer.field("x-abide-verdict"), Some("- none"));
}

#[test]
fn a_check_takes_a_server_out_and_brings_it_back() {
    let well = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&well);
    let origin = Origin::start(move |request| {
        let ill = request.head.starts_with("GET /health") && !says.load(SeqCst);
        let bad = "HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n";
        Reply::Bytes(if ill { bad.into() } else { ok("a") })
    });
    let other = Origin::named("b");
    let mut config = config(&[("a", origin.address), ("b", other.address)]);
    config.check = Some(checks());
    let running = Running::start(config);
    let state = |state: &str| {
        running.metric(&format!("abide_balancer_server_state{{server=\"a\",state=\"{state}\"}}"))
    };
    eventually("the bad check", || state("down") == 1);
    for _ in 0..4 {
        assert_eq!(running.get("/", "").text(), "b");
    }
    well.store(true, SeqCst);
    eventually("the good check", || state("up") == 1);
    eventually("its turn", || running.get("/", "").text() == "a");
}

#[test]
fn a_server_that_never_answers_is_a_504() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(&[("a", silent.local_addr().unwrap())]);
    config.timeouts.response = Duration::from_millis(300);
    let running = Running::start(config);
    assert_eq!(running.get("/", "").status(), 504);
    assert_eq!(running.metric("abide_balancer_timeouts_total{phase=\"response\"}"), 1);
}

#[test]
fn a_head_that_trickles_in_is_a_408_and_an_idle_client_is_let_go() {
    let origin = Origin::named("a");
    let mut config = config(&[("a", origin.address)]);
    config.timeouts.idle = Duration::from_millis(300);
    let running = Running::start(config);
    let mut slow = running.connect();
    slow.send(b"GET / HTTP/1.1\r\nHost:");
    assert_eq!(slow.answer(false).unwrap().status(), 408);
    let mut idle = running.connect();
    assert_eq!(idle.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
    assert!(idle.is_closed());
    assert_eq!(running.metric("abide_balancer_timeouts_total{phase=\"header\"}"), 1);
    assert_eq!(running.metric("abide_balancer_timeouts_total{phase=\"idle\"}"), 1);
}

#[test]
fn content_that_stops_coming_ends_the_connection() {
    let origin = Origin::named("a");
    let mut config = config(&[("a", origin.address)]);
    config.timeouts.stall = Duration::from_millis(300);
    let running = Running::start(config);
    let mut client = running.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.answer(false).unwrap().status(), 408);
    assert!(client.is_closed());
    assert_eq!(running.metric("abide_balancer_timeouts_total{phase=\"stall\"}"), 1);
    assert_eq!(origin.requests().iter().filter(|r| r.content.len() == 10).count(), 0);
}

#[test]
fn a_client_that_breaks_off_is_no_failure_of_its_server() {
    let (a, b) = (Origin::named("a"), Origin::named("b"));
    let running = Running::start(config(&[("a", a.address), ("b", b.address)]));
    for round in 1..=12 {
        let mut client = running.connect();
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
        eventually("the upload", || {
            let connects = |server| {
                running.metric(&format!("abide_balancer_connects_total{{server=\"{server}\"}}"))
            };
            connects("a") + connects("b") == round
        });
        drop(client);
    }
    eventually("the end of all uploads", || running.metric("abide_balancer_connections_open") == 0);
    for server in ["a", "b"] {
        let broken = format!("abide_balancer_broken_total{{server=\"{server}\"}}");
        let up = format!("abide_balancer_server_state{{server=\"{server}\",state=\"up\"}}");
        assert_eq!((running.metric(&broken), running.metric(&up)), (0, 1), "{server}");
    }
}

#[test]
fn a_strict_pool_answers_503_rather_than_move_a_session() {
    let origin = Origin::named("b");
    let gone = Origin::start(|_| Reply::Close);
    let mut config = config(&[("a", gone.address), ("b", origin.address)]);
    config.strict = true;
    config.affinity = vec!["query:id".parse().unwrap()];
    let running = Running::start(config);
    let statuses: Vec<u16> =
        (0..32).map(|id| running.get(&format!("/?id={id}"), "").status()).collect();
    assert!(statuses.contains(&200) && statuses.iter().any(|status| *status >= 500));
    let moved = running.metric("abide_balancer_requests_total{verdict=\"moved:failed\"}");
    assert_eq!(moved, 0);
}

#[test]
fn a_stop_finishes_what_is_under_way_and_takes_nothing_new() {
    let (begin, begun) = std::sync::mpsc::channel();
    let (finish, finished) = std::sync::mpsc::channel::<()>();
    let finished = std::sync::Mutex::new(finished);
    let origin = Origin::start(move |_| {
        begin.send(()).unwrap();
        finished.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        Reply::Bytes(ok("done"))
    });
    let mut running = Running::start(config(&[("a", origin.address)]));
    let mut idle = running.connect();
    let mut busy = running.connect();
    busy.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    begun.recv_timeout(PATIENCE).unwrap();
    running.ask_to_stop();
    assert!(idle.is_closed(), "an idle connection is closed at once");
    assert_eq!(running.ask_admin("GET", "/ready", "").status(), 503);
    finish.send(()).unwrap();
    let answer = busy.answer(false).unwrap();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("done", Some("close")));
    running.join();
    assert!(TcpStream::connect(running.address).is_err());
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = config(&[("a", silent.local_addr().unwrap())]);
    config.timeouts.shutdown = Duration::from_millis(200);
    let mut running = Running::start(config);
    let mut client = running.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let _under_way = silent.accept().unwrap();
    running.join();
    assert!(client.is_closed());
}

#[test]
fn an_answer_before_the_content_reaches_a_client_that_sends_all_of_it_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        // One that refuses by the head alone, and neither reads on nor closes.
        let mut answered = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n");
            answered.push(stream);
        }
    });
    let running = Running::start(config(&[("a", origin)]));
    let mebibyte = vec![b'x'; 1024 * 1024];
    for round in 0..20 {
        let mut client = TcpStream::connect(running.address).unwrap();
        client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4194304\r\n\r\n").unwrap();
        for _ in 0..4 {
            client.write_all(&mebibyte).unwrap_or_else(|error| panic!("{error} in round {round}"));
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer} in round {round}");
    }
}
