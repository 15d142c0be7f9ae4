//! Servers that are killed, replaced, or hang while sixteen clients use them.
//!
//! What holds for every store: errors stop by themselves when the server is back, no call takes
//! longer than its limit, no session is replaced by an empty one, and nothing is lost that the
//! server had on its disk. What a store loses that keeps nothing there is counted and printed.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what tests do, in functions that they share"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use abide_session::Store;
use abide_store_redis::RedisStore;
use abide_store_sql::SqlStore;
use abide_stores_tested::{CLIENTS, Kind, Place, Report, Traffic, Victim, alone, held_up};

/// The limit of a call: what every store has by default.
const LIMIT: Duration = Duration::from_secs(2);
/// What a busy machine may add to it.
const LATE: Duration = Duration::from_millis(700);
/// Errors have to stop within this time when the servers are well.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a hung server hangs: longer than a call may take.
const HUNG: Duration = Duration::from_secs(3);
/// Writes before a fault and after it.
const WRITES: u64 = 1_000;

async fn connect(place: &Place) -> Arc<dyn Store> {
    place.connect(LIMIT).await
}

/// Plays a fault under traffic.
fn struck(
    what: &str,
    place: &mut Place,
    connected: impl AsyncFnOnce(&Place) -> Arc<dyn Store>,
    fault: impl FnOnce(&mut Place),
) -> Report {
    let _alone = alone();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let store = connected(place).await;
        let traffic = Traffic::begin(&store);
        traffic.acknowledged(WRITES, PATIENCE).await;
        held_up(|| fault(place));
        traffic.recovered(PATIENCE).await;
        traffic.acknowledged(WRITES, PATIENCE).await;
        traffic.finish(&store).await
    });
    println!("{} {what}: {report}", place.kind());
    for (text, count) in &report.texts {
        println!("    {count:5} x {text}");
    }
    let longest = report.longest.saturating_sub(report.behind);
    assert!(longest < LIMIT + LATE, "a call took longer than it may: {report}");
    assert_eq!(report.emptied, 0, "another session in place of one: {report}");
    report
}

fn killed(kind: Kind) -> Report {
    let mut place = Place::start(kind);
    struck("killed and restarted", &mut place, connect, |place| {
        place.kill();
        place.restart();
    })
}

fn hung(kind: Kind) -> Report {
    let mut place = Place::start(kind);
    struck("hung for 3 s", &mut place, connect, hang)
}

fn hang(place: &mut Place) {
    place.stop();
    abide_servers::until(HUNG, || None::<()>);
    place.cont();
}

fn replaced(kind: Kind, connected: impl AsyncFnOnce(&Place) -> Arc<dyn Store>) -> Report {
    let mut place = Place::start(kind);
    struck("primary killed", &mut place, connected, |place| {
        place.kill();
        place.await_failover();
        place.restart();
        place.await_failover();
    })
}

#[test]
fn postgres_loses_nothing_when_it_is_killed() {
    assert!(killed(Kind::Postgres).lost_nothing());
}

#[test]
fn mariadb_loses_nothing_when_it_is_killed() {
    assert!(killed(Kind::MariaDb).lost_nothing());
}

#[test]
fn redis_with_a_log_loses_nothing_when_it_is_killed() {
    assert!(killed(Kind::DurableRedis).lost_nothing());
}

#[test]
fn redis_without_a_disk_loses_all_and_revives_nothing() {
    for kind in [Kind::Redis, Kind::Valkey] {
        let report = killed(kind);
        assert!(report.lost_sessions > 0, "it has no disk: {report}");
        assert_eq!((report.lost_writes, report.revived), (0, 0), "{report}");
    }
}

#[test]
fn memcached_loses_what_the_killed_server_had_and_revives_nothing() {
    for kind in [Kind::Memcached, Kind::ThreeMemcached] {
        let report = killed(kind);
        assert!(report.lost_sessions > 0, "it has no disk: {report}");
        assert_eq!((report.lost_writes, report.revived), (0, 0), "{report}");
    }
}

#[test]
fn a_server_that_hangs_loses_nothing() {
    for kind in [Kind::Postgres, Kind::MariaDb, Kind::Redis, Kind::Memcached] {
        let report = hung(kind);
        assert!(report.lost_nothing(), "{report}");
        assert!(report.errors > 0, "three seconds without an answer: {report}");
    }
}

/// The replica has almost all; what it had not received yet is lost, logouts included.
#[test]
fn sentinel_goes_on_with_the_replica() {
    replaced(Kind::Sentinel, connect);
}

#[test]
fn sentinel_loses_nothing_that_the_replica_confirmed() {
    let report = replaced(Kind::Sentinel, async |place: &Place| {
        let builder = RedisStore::builder(&place.url().unwrap());
        let store = builder.wait_for_replicas(1, Duration::from_secs(1)).connect().await.unwrap();
        Arc::new(store) as Arc<dyn Store>
    });
    assert!(report.lost_nothing(), "{report}");
}

#[test]
fn cluster_goes_on_with_the_replica() {
    for kind in [Kind::Cluster, Kind::ValkeyCluster] {
        replaced(kind, connect);
    }
}

/// A primary that hangs is replaced. When it goes on it takes writes that are thrown away, until the
/// others tell it: a node of a cluster learns that at once, Sentinel says it eight seconds later, and
/// who is connected to it loses what he writes, logouts included. How much is printed.
#[test]
fn a_primary_that_hangs_is_replaced() {
    for kind in [Kind::Sentinel, Kind::Cluster] {
        let mut place = Place::start(kind);
        struck("primary hung for 3 s", &mut place, connect, |place| {
            hang(place);
            place.await_agreement();
        });
    }
}

/// With `min-replicas-to-write` that primary takes no writes when it goes on, because its replica has gone
/// over. What it had answered in the very moment before it hung may not have gone out to the replica: at
/// most one call of each client, and without the setting it is hundreds.
#[test]
fn a_careful_primary_that_hangs_is_replaced_and_takes_no_writes_any_more() {
    let mut place = Place::careful_sentinel();
    let what = "primary hung for 3 s, min-replicas-to-write 1";
    let report = struck(what, &mut place, connect, |place| {
        hang(place);
        place.await_agreement();
    });
    let lost = report.lost_sessions + report.lost_writes + report.revived;
    assert!(lost <= u64::try_from(CLIENTS).unwrap(), "more than was under way: {report}");
}

/// There is no server to kill, so a process is killed that uses the file.
#[test]
fn sqlite_loses_nothing_when_the_process_is_killed() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connect = async |url: &str| SqlStore::connect(url).await.unwrap();
    // The process that is killed is this test in another process.
    if let Ok(url) = std::env::var("ABIDE_STORES_VICTIM") {
        return runtime.block_on(async {
            let store = connect(&url).await;
            for number in 0.. {
                Victim::new(number).write(&store).await;
                writeln!(std::io::stdout(), "\nacknowledged {number}").unwrap();
            }
        });
    }
    let place = Place::start(Kind::Sqlite);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sqlite_loses_nothing_when_the_process_is_killed", "--nocapture"])
        .env("ABIDE_STORES_VICTIM", place.url().unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged: Vec<u64> = Vec::new();
    for line in lines {
        acknowledged.extend(line.strip_prefix("acknowledged ").and_then(|n| n.parse::<u64>().ok()));
        if acknowledged.len() == 500 {
            // What it says until it is dead counts as well.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acknowledged.len() >= 500);
    runtime.block_on(async {
        let store = connect(&place.url().unwrap()).await;
        for number in &acknowledged {
            Victim::new(*number).check(&store).await;
        }
    });
    println!("SQLite, process killed: {} acknowledged, lost 0", acknowledged.len());
}
