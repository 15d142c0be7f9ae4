//! What goes through, and how.

use crate::harness::{Origin, Reply, Running, config, eventually};
use std::io::{Read, Write};
use std::net::TcpListener;

fn one(origin: &Origin) -> Running {
    Running::start(config(&[("a", origin.address)]))
}

#[test]
fn a_request_goes_through_and_says_who_asked() {
    let origin = Origin::named("a");
    let running = one(&origin);
    let answer = running.get("/path?query=1", "X-Mine: yes\r\nX-Forwarded-For: 192.0.2.1\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "a"));
    let request = origin.last();
    assert!(request.head.starts_with("GET /path?query=1 HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.field("host"), Some("shop.example"));
    assert_eq!(request.field("x-mine"), Some("yes"));
    assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.field("x-forwarded-proto"), Some("http"));
    assert_eq!(request.field("x-forwarded-host"), Some("shop.example"));
    let forwarded = "for=127.0.0.1;host=\"shop.example\";proto=http";
    assert_eq!(request.field("forwarded"), Some(forwarded));
}

#[test]
fn a_trusted_proxy_is_believed() {
    let origin = Origin::named("a");
    let mut config = config(&[("a", origin.address)]);
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let running = Running::start(config);
    let fields = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n";
    let answer = running.get("/", fields);
    assert_eq!(origin.last().field("x-forwarded-for"), Some("192.0.2.1, 127.0.0.1"));
    assert_eq!(origin.last().field("x-forwarded-proto"), Some("https"));
    assert!(answer.field("set-cookie").unwrap().contains("Secure"), "{}", answer.head);
}

#[test]
fn one_connection_serves_many_requests_over_one_connection_to_the_server() {
    let origin = Origin::named("a");
    let running = one(&origin);
    let mut client = running.connect();
    for _ in 0..20 {
        let answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.status(), 200);
    }
    assert_eq!(running.metric("abide_balancer_connects_total{server=\"a\"}"), 1);
}

#[test]
fn content_streams_both_ways_before_it_is_whole() {
    // The origin echoes each chunk; the client only sends the next when the last has come back.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 64 * 1024];
        let mut seen = Vec::new();
        while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
            let count = stream.read(&mut buffer).unwrap();
            seen.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        loop {
            let count = stream.read(&mut buffer).unwrap();
            stream.write_all(&buffer[..count]).unwrap();
            if buffer[..count].ends_with(b"0\r\n\r\n") {
                return;
            }
        }
    });
    let running = Running::start(config(&[("a", address)]));
    let mut client = running.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let head = client.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    for _ in 0..5 {
        client.send(b"5\r\nhello\r\n");
        assert_eq!(client.read(10), b"5\r\nhello\r\n");
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.read(5), b"0\r\n\r\n");
    echo.join().unwrap();
}

#[test]
fn sixteen_mebibytes_arrive_as_they_were_sent() {
    let content: Vec<u8> =
        (0..16_u32 << 20).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let sent = content.clone();
    let origin = Origin::start(move |request| {
        let same = request.content == sent;
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nX-Same: {same}\r\nContent-Length: {}\r\n\r\n", sent.len())
                .into_bytes();
        answer.extend_from_slice(&sent);
        Reply::Bytes(answer)
    });
    let running = one(&origin);
    let mut client = running.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", content.len());
    client.send(head.as_bytes());
    client.send(&content);
    let answer = client.answer(false).unwrap();
    assert_eq!(answer.field("x-same"), Some("true"));
    assert!(answer.content == content);
}

#[test]
fn head_has_the_length_and_no_content() {
    let origin =
        Origin::start(|_| Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()));
    let running = one(&origin);
    let mut client = running.connect();
    for _ in 0..3 {
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.head().unwrap();
        assert!(head.to_ascii_lowercase().contains("content-length: 5"), "{head}");
    }
}

#[test]
fn trailers_go_through_both_ways() {
    let origin = Origin::start(|_| {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                      2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
        Reply::Bytes(answer.as_bytes().to_vec())
    });
    let running = one(&origin);
    let answer = running.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\
         Transfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Check: 9\r\n\r\n",
    );
    let received = String::from_utf8(origin.last().content).unwrap().to_ascii_lowercase();
    assert!(received.ends_with("0\r\nx-check: 9\r\n\r\n"), "{received:?}");
    let sent = answer.text().to_ascii_lowercase();
    assert!(sent.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{sent:?}");
}

#[test]
fn hop_by_hop_fields_end_here_in_both_directions() {
    let origin = Origin::start(|_| {
        let answer = "HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: \
                      timeout=5\r\nContent-Length: 0\r\n\r\n";
        Reply::Bytes(answer.as_bytes().to_vec())
    });
    let running = one(&origin);
    let fields = "Connection: X-Ours, keep-alive\r\nX-Ours: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n";
    let answer = running.get("/", fields);
    for name in ["x-theirs", "keep-alive"] {
        assert_eq!(answer.field(name), None, "{}", answer.head);
    }
    for name in ["x-ours", "keep-alive", "upgrade", "connection"] {
        assert_eq!(origin.last().field(name), None, "{}", origin.last().head);
    }
}

#[test]
fn content_waits_for_a_server_that_was_asked_whether_it_wants_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let origin = std::thread::spawn(move || {
        let mut heads = Vec::new();
        for refuses in [false, true] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).unwrap();
            heads.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
            if refuses {
                stream.write_all(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n").unwrap();
                let count = stream.read(&mut buffer).unwrap_or(0);
                assert_eq!(count, 0, "no content after a refusal");
                continue;
            }
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
            let count = stream.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..count], b"hello");
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
        }
        heads
    });
    let running = Running::start(config(&[("a", address)]));
    let request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let mut client = running.connect();
    client.send(request.as_bytes());
    assert!(client.head().unwrap().starts_with("HTTP/1.1 100"));
    client.send(b"hello");
    assert_eq!(client.answer(false).unwrap().status(), 200);
    let mut client = running.connect();
    assert_eq!(client.ask(request).status(), 413, "the refusal comes before any 100");
    assert!(client.is_closed());
    for head in origin.join().unwrap() {
        assert!(head.to_ascii_lowercase().contains("expect: 100-continue"), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }
}

#[test]
fn an_upgrade_becomes_a_tunnel_and_counts_as_load() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let origin = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        let head = String::from_utf8_lossy(&buffer[..count]).to_ascii_lowercase();
        assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"));
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst";
        stream.write_all(answer).unwrap();
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            stream.write_all(&buffer[..count]).unwrap();
        }
    });
    let running = Running::start(config(&[("a", address)]));
    let mut client = running.connect();
    client.send(
        b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    let head = client.head().unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    assert!(head.contains("set-cookie: abide_server="), "a tunnel is sticky too: {head}");
    assert_eq!(client.read(5), b"first");
    // Bytes that no request could have.
    let frame = [0x82, 0, 255, b'\r', b'\n', b'\n', 0];
    for _ in 0..3 {
        client.send(&frame);
        assert_eq!(client.read(frame.len()), frame);
    }
    assert_eq!(running.metric("abide_balancer_tunnels_open"), 1);
    assert_eq!(running.metric("abide_balancer_server_in_flight{server=\"a\"}"), 1);
    drop(client);
    origin.join().unwrap();
    eventually("the end of the tunnel", || running.metric("abide_balancer_tunnels_open") == 0);
}

#[test]
fn content_that_ends_with_the_connection_goes_through() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut buffer) = (stream.unwrap(), [0; 4096]);
            _ = stream.read(&mut buffer).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nall of it").unwrap();
        }
    });
    let running = Running::start(config(&[("a", address)]));
    let mut client = running.connect();
    for _ in 0..3 {
        let answer = client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.text(), "9\r\nall of it\r\n0\r\n\r\n");
    }
}

#[test]
fn the_app_gets_its_session_id_in_a_header_and_only_a_true_one() {
    let origin = Origin::named("a");
    let mut config = config(&[("a", origin.address)]);
    config.session_id_cookie = Some("sessionid".to_owned());
    let running = Running::start(config);
    running.get("/", "Cookie: a=b; sessionid=abc\r\nX-Session-Id: forged\r\n");
    assert_eq!(origin.last().field("x-session-id"), Some("abc"));
    running.get("/", "X-Session-Id: forged\r\n");
    assert_eq!(origin.last().field("x-session-id"), None);
}

#[test]
fn what_is_no_request_for_a_resource_here_is_refused() {
    let origin = Origin::named("a");
    let running = one(&origin);
    let connect =
        running.ask("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n");
    assert_eq!(connect.status(), 405);
    assert_eq!(origin.requests().len(), 0);
}
