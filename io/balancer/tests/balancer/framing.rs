//! Every file of tests/corpus, as the client sends it, whole and cut at every byte.
//!
//! The origin here is stricter than the balancer needs: it records whole messages byte for byte, and
//! it is the only witness. MANIFEST.md says what must have reached it.

use crate::harness::{Client, Origin, Reply, Running, config, eventually, ok};
use std::fs;
use std::path::{Path, PathBuf};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

/// The rows of the manifest: file, expectation.
fn rows(folder: &str) -> Vec<(String, String)> {
    let manifest = fs::read_to_string(corpus().join("MANIFEST.md")).unwrap();
    let prefix = format!("| `{folder}/");
    let rows: Vec<(String, String)> = manifest
        .lines()
        .filter(|line| line.starts_with(&prefix))
        .map(|line| {
            let cells: Vec<&str> = line.split(" | ").collect();
            (cells[0].trim_matches(['|', ' ', '`']).to_owned(), cells[2].to_owned())
        })
        .collect();
    let files = fs::read_dir(corpus().join(folder)).unwrap().count();
    assert_eq!(rows.len(), files, "each file of {folder} has a row, and each row a file");
    rows
}

/// What a case did: statuses that the client got, and the requests that the origin got whole.
struct Outcome {
    statuses: Vec<u16>,
    arrived: Vec<String>,
    closed: bool,
}

/// One balancer and one origin for all cases, one connection for each.
struct Bench {
    origin: Origin,
    running: Running,
}

impl Bench {
    fn new() -> Self {
        let origin = Origin::start(|request| {
            Reply::Bytes(if request.head.starts_with("HEAD") {
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()
            } else {
                ok("fine")
            })
        });
        let running = Running::start(config(&[("a", origin.address)]));
        Self { origin, running }
    }

    fn send(&self, bytes: &[u8], cut: Option<usize>) -> Outcome {
        let mut client = self.running.connect();
        let (first, second) = bytes.split_at(cut.unwrap_or(bytes.len()));
        client.send(first);
        client.send(second);
        let outcome = read_all(&mut client, bytes);
        let arrived = self.origin.take_requests();
        let arrived = arrived.iter().map(|request| {
            let line = request.head.lines().next().unwrap_or_default();
            assert_normal(&request.head);
            let content = data(&request.head, &request.content);
            let target = line.trim_end_matches(" HTTP/1.1").to_owned();
            if content.is_empty() { target } else { format!("{target} {content}") }
        });
        Outcome { arrived: arrived.collect(), ..outcome }
    }
}

/// Reads answers until the connection ends, or until there is one for each request.
fn read_all(client: &mut Client, bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    let mut statuses = Vec::new();
    // A request of ours that is whole gets an answer; a faulty one ends the connection. So reading
    // goes on until it ends, and a last plain request makes it end where nothing else does.
    client.send(b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut heads = text.match_indices("HEAD /").count();
    loop {
        let to_head = heads > 0 && statuses.is_empty();
        let answer = if to_head {
            client.head().map(|head| (head, true))
        } else {
            client.answer(false).map(|answer| (answer.head, false))
        };
        let Some((head, was_head)) = answer else {
            return Outcome { statuses, arrived: Vec::new(), closed: client.is_closed() };
        };
        if was_head {
            heads -= 1;
        }
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        if status != 100 {
            statuses.push(status);
        }
    }
}

/// What every server must be able to count on.
fn assert_normal(head: &str) {
    let mut lengths = 0;
    let mut codings = 0;
    for line in head.trim_end_matches("\r\n").split("\r\n").skip(1) {
        assert!(!line.contains(['\r', '\n', '\0']) && !line.starts_with([' ', '\t']), "{head:?}");
        let (name, value) = line.split_once(':').unwrap();
        assert!(!name.contains([' ', '\t']), "{head:?}");
        lengths += usize::from(name.eq_ignore_ascii_case("content-length"));
        if name.eq_ignore_ascii_case("transfer-encoding") {
            codings += 1;
            assert_eq!(value.trim(), "chunked", "{head:?}");
        }
    }
    assert!(lengths + codings <= 1, "{head:?}");
}

/// The data of a recorded content, without its chunks.
fn data(head: &str, content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content).into_owned();
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return text;
    }
    let mut data = String::new();
    let mut rest = text.as_str();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        data.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    data
}

#[test]
fn what_two_readers_could_read_differently_reaches_no_server() {
    let bench = Bench::new();
    for (file, expected) in rows("refused") {
        let bytes = fs::read(corpus().join(&file)).unwrap();
        for cut in std::iter::once(None).chain((1..bytes.len()).map(Some)) {
            let outcome = bench.send(&bytes, cut);
            let Outcome { statuses, arrived, closed } = &outcome;
            let what = || format!("{file} cut at {cut:?}: {statuses:?}, arrived {arrived:?}");
            assert!(*closed, "{}", what());
            assert!(!arrived.iter().any(|line| line.contains("/smuggled")), "{}", what());
            assert!(!arrived.iter().any(|line| line.contains("/last")), "{}", what());
            match expected.as_str() {
                "refused" => assert!(statuses.last().is_some_and(|s| *s >= 400), "{}", what()),
                "cut" => assert!(statuses.iter().all(|status| *status != 200), "{}", what()),
                other => panic!("{file} expects {other:?}"),
            }
            if cut.is_none() && expected == "refused" {
                let good = statuses.iter().filter(|status| **status < 400).count();
                assert_eq!(arrived.len(), good, "{}", what());
            }
        }
    }
}

#[test]
fn good_requests_arrive_in_normal_form_and_in_order() {
    let bench = Bench::new();
    for (file, expected) in rows("accepted") {
        let bytes = fs::read(corpus().join(&file)).unwrap();
        let wanted: Vec<String> = expected
            .split(", `")
            .map(|request| request.trim_matches('`').replace("` `", " "))
            .collect();
        for cut in std::iter::once(None).chain((1..bytes.len()).map(Some)) {
            let mut arrived = bench.send(&bytes, cut).arrived;
            arrived.retain(|line| !line.contains("/last"));
            assert_eq!(arrived, wanted, "{file} cut at {cut:?}");
        }
    }
}

#[test]
fn a_head_that_never_ends_is_answered_431_or_closed() {
    let bench = Bench::new();
    let many = "X-Field: value\r\n".repeat(200);
    let long = format!("X-Field: {}\r\n", "v".repeat(70_000));
    for fields in [many, long] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let outcome = bench.send(request.as_bytes(), None);
        let refused = outcome.statuses.iter().all(|status| [400, 431].contains(status));
        assert!(refused && outcome.closed, "{:?}", outcome.statuses);
        assert_eq!(outcome.arrived.len(), 0);
    }
    // A client can see the end of its connection a little before it is counted.
    let series = "abide_balancer_refused_total{fault=\"line_too_long\"}";
    eventually("the count", || bench.running.metric(series) == 1);
}
