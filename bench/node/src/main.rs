//! Servers that keep the sessions themselves: what a read and a write cost on the wire and in time, what a
//! session costs in memory, and how long an empty node takes to hold its share.
//!
//! Latency is measured in turns with what one would run instead: Redis with a replica that confirms each
//! write (`WAIT 1`), and Redis alone.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "figures for people"
)]

mod cluster;
mod sessions;

use std::sync::Arc;
use std::time::{Duration, Instant};

use abide_node::Counters;
use abide_servers::Redis;
use abide_session::{Commit, IdHash, Store};
use abide_store_redis::RedisStore;
use clap::Parser;
use serde_json::{Value, json};

use cluster::Cluster;
use sessions::{change, id, id_in, now, session};

#[derive(Parser)]
#[command(about = "Measures replicated sessions. All figures go to standard output.")]
struct Arguments {
    /// Calls of each kind that are counted and timed, in each round
    #[arg(long, default_value_t = 2_000)]
    calls: u64,
    /// Rounds of latency
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Sessions of the measurement of memory; 0 leaves it out
    #[arg(long, default_value_t = 200_000)]
    sessions: u64,
    /// Sessions that a fresh node has to get its share of; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000)]
    fill: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// By this a process knows that it is one of those whose memory is measured.
const NODES_VARIABLE: &str = "ABIDE_BENCH_NODES";

fn main() {
    let arguments = Arguments::parse();
    if let Some(nodes) = std::env::var(NODES_VARIABLE).ok().and_then(|nodes| nodes.parse().ok()) {
        println!("{}", block_on(memory_of(nodes, arguments.sessions)));
        return;
    }
    let mut report = serde_json::Map::new();
    let mut part = |name: &str, value: Value| {
        if !arguments.json {
            println!("\n{name}\n{}", serde_json::to_string_pretty(&value).unwrap_or_default());
        }
        report.insert(name.to_owned(), value);
    };
    part("on the wire, per call", block_on(wire(arguments.calls)));
    part("microseconds of a call", block_on(latency(arguments.calls, arguments.rounds)));
    if arguments.sessions > 0 {
        part("bytes of a session", memory(arguments.sessions));
    }
    if arguments.fill > 0 {
        part("filling an empty node", block_on(filling(arguments.fill)));
    }
    if arguments.json {
        println!("{}", Value::Object(report));
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

/// Letters and bytes of each kind of call, of both nodes together, without the pings that go on meanwhile.
async fn wire(calls: u64) -> Value {
    let cluster = Cluster::start(2).await;
    let [a, b] = &cluster.nodes[..] else { unreachable!("two nodes") };
    let ids: Vec<IdHash> =
        (0..calls).map(|number| id_in(a.home(number as u16).expect("it leads"), number)).collect();
    for id in &ids {
        a.create(*id, session(), now()).await.expect("a session");
    }
    let total = || {
        let of = |counters: Counters| (counters.letters_sent, counters.bytes_sent);
        let ((letters, bytes), (more, most)) = (of(a.counters()), of(b.counters()));
        (letters + more, bytes + most)
    };
    let begun = (Instant::now(), total());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (seconds, (letters, bytes)) =
        (begun.0.elapsed().as_secs_f64(), total_since(begun.1, total()));
    let (idle_letters, idle_bytes) = (letters as f64 / seconds, bytes as f64 / seconds);
    let mut kinds = serde_json::Map::new();
    for (name, node, writes) in [
        ("read at home", a, false),
        ("read elsewhere", b, false),
        ("write at home", a, true),
        ("write elsewhere", b, true),
    ] {
        let (begun, before) = (Instant::now(), total());
        for (number, id) in (0_u64..).zip(&ids) {
            if writes {
                node.commit(*id, change(number), now()).await.expect("a commit");
            } else {
                node.load(*id, now()).await.expect("an answer");
            }
        }
        // The last bytes are counted a moment later.
        tokio::time::sleep(Duration::from_millis(50)).await;
        let seconds = begun.elapsed().as_secs_f64();
        let (letters, bytes) = total_since(before, total());
        let each = |sum: u64, idle: f64| ((sum as f64 - idle * seconds) / calls as f64).max(0.0);
        kinds.insert(
            name.to_owned(),
            json!({
                "letters": rounded(each(letters, idle_letters), 2),
                "bytes": rounded(each(bytes, idle_bytes), 0),
            }),
        );
    }
    kinds.insert(
        "idle, per second and pair of nodes".to_owned(),
        json!({ "letters": rounded(idle_letters, 0), "bytes": rounded(idle_bytes, 0) }),
    );
    Value::Object(kinds)
}

const fn total_since(before: (u64, u64), after: (u64, u64)) -> (u64, u64) {
    (after.0 - before.0, after.1 - before.1)
}

/// How long one client after the other waits for a commit and for a load, in turns.
async fn latency(calls: u64, rounds: usize) -> Value {
    let cluster = Cluster::start(2).await;
    let [a, b] = &cluster.nodes[..] else { unreachable!("two nodes") };
    let primary = Redis::start();
    let _replica = Redis::replica_of(&primary);
    let connect = |confirmed: bool| {
        let builder = RedisStore::builder(&primary.url());
        if confirmed { builder.wait_for_replicas(1, Duration::from_secs(1)) } else { builder }
    };
    let confirmed = connect(true).connect().await.expect("Redis");
    let alone = connect(false).connect().await.expect("Redis");
    let ids: Vec<IdHash> =
        (0..calls).map(|number| id_in(a.home(number as u16).expect("it leads"), number)).collect();
    let contestants: [(&str, Arc<dyn Store>); 4] = [
        ("two nodes, at home", Arc::new(a.clone())),
        ("two nodes, elsewhere", Arc::new(b.clone())),
        ("Redis, confirmed by its replica", Arc::new(confirmed)),
        ("Redis alone", Arc::new(alone)),
    ];
    for (name, store) in &contestants[..3] {
        if *name != "two nodes, elsewhere" {
            for id in &ids {
                store.create(*id, session(), now()).await.expect("a session");
            }
        }
    }
    let mut times: Vec<[Vec<f64>; 4]> = contestants.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        for turn in 0..contestants.len() {
            let place = (turn + round) % contestants.len();
            let store = &contestants[place].1;
            let (mut writes, mut reads) = (Vec::new(), Vec::new());
            for (number, id) in (0_u64..).zip(&ids) {
                let begun = Instant::now();
                let commit = store.commit(*id, change(number), now()).await;
                writes.push(begun.elapsed());
                assert!(matches!(commit, Ok(Commit::Committed(_))), "{commit:?}");
                let begun = Instant::now();
                let loaded = store.load(*id, now()).await.expect("an answer");
                reads.push(begun.elapsed());
                assert!(loaded.live().is_some());
            }
            let [write_half, write_most, read_half, read_most] = &mut times[place];
            for (all, half, most) in
                [(&mut writes, write_half, write_most), (&mut reads, read_half, read_most)]
            {
                all.sort_unstable();
                half.push(micros(all[all.len() / 2]));
                most.push(micros(all[all.len() * 99 / 100]));
            }
        }
    }
    let mut report = serde_json::Map::new();
    for ((name, _), times) in contestants.iter().zip(times) {
        let [write_half, write_most, read_half, read_most] = times.map(median);
        report.insert(
            (*name).to_owned(),
            json!({
                "write": { "p50": write_half, "p99": write_most },
                "read": { "p50": read_half, "p99": read_most },
            }),
        );
    }
    report.insert("rounds".to_owned(), json!(rounds));
    Value::Object(report)
}

/// What sessions take in this process, which has all nodes: so per copy, and per node.
fn memory(count: u64) -> Value {
    let mut report = serde_json::Map::new();
    for nodes in [1, 2, 3, 5] {
        let exe = std::env::current_exe().expect("a path of this program");
        let output = std::process::Command::new(exe)
            .env(NODES_VARIABLE, nodes.to_string())
            .args(["--calls", "1", "--sessions", &count.to_string()])
            .output()
            .expect("this program again");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = serde_json::from_str(&text).unwrap_or_else(|_| {
            panic!("{text}{}", String::from_utf8_lossy(&output.stderr));
        });
        report.insert(format!("{nodes} nodes"), value);
    }
    Value::Object(report)
}

/// The same in a process of its own, whose memory has held nothing else.
async fn memory_of(nodes: usize, count: u64) -> Value {
    let cluster = Cluster::start(nodes).await;
    let before = resident_bytes();
    cluster.fill(count).await;
    // What is on its way takes memory for a moment.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let grown = resident_bytes().saturating_sub(before);
    let copies = count * nodes.min(2) as u64;
    let mut held = Vec::new();
    for node in &cluster.nodes {
        held.push(node.status().await.map_or(0, |status| status.sessions));
    }
    json!({
        "resident bytes per session and copy": grown / copies,
        "resident bytes per session and node": grown / count / nodes as u64,
        "sessions held by each node": held,
    })
}

/// How long a node of two, that comes back empty, takes to hold its share.
async fn filling(count: u64) -> Value {
    let mut cluster = Cluster::start(2).await;
    let begun = Instant::now();
    cluster.fill(count).await;
    let made = begun.elapsed();
    let filled = cluster.restart(1).await;
    let held = cluster.nodes[1].status().await.map_or(0, |status| status.sessions);
    let sample = cluster.nodes[1].load(id(count / 2), now()).await.expect("an answer");
    assert!(sample.live().is_some(), "it was filled");
    json!({
        "sessions": count,
        "seconds to make them, 64 clients": rounded(made.as_secs_f64(), 1),
        "seconds until the empty node holds all": rounded(filled.as_secs_f64(), 1),
        "sessions held by it then": held,
    })
}

fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

fn micros(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e6, 1)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

fn rounded(number: f64, places: i32) -> f64 {
    let scale = 10_f64.powi(places);
    (number * scale).round() / scale
}
