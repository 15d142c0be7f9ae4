//! Servers that die, drain, or never answer.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::origin::{Foreign, balancer, flags, metric, recorder, shops};
use crate::harness::{Client, Folder, Process, eventually};

const VISITORS: usize = 16;

/// Two servers that note what they read, one of which is killed while visitors ask and order without
/// pause. Gives the balancer, what the visitors saw, and what the servers read.
struct Crash {
    balancer: Process,
    /// Orders that visitors saw answered, and those that failed.
    answered: Vec<String>,
    failed: Vec<String>,
    gets: usize,
    /// How often each target was read.
    read: BTreeMap<String, usize>,
}

fn crash(name: &str) -> Crash {
    let folder = Folder::new(name);
    let record = folder.path().join("record");
    let (mut a, b) = (recorder("a", &record), recorder("b", &record));
    let balancer = balancer(&format!("--server a={} --server b={}", a.address, b.address), None);
    let address = balancer.listen();
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let visitor = |number: usize| {
        let mut client = Client::new(address);
        let (mut answered, mut failed, mut gets) = (Vec::new(), Vec::new(), 0);
        for order in 0_u32.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let get = client.get(&format!("/page?visitor={number}&n={order}"));
            assert_eq!(get.status, 200, "a GET never fails");
            gets += 1;
            let target = format!("/order?visitor={number}&n={order}");
            match client.try_ask("POST", &target) {
                Ok(answer) if answer.status == 200 => answered.push(target),
                Ok(answer) => {
                    assert!((502..=504).contains(&answer.status), "{}", answer.status);
                    failed.push(target);
                }
                Err(error) => panic!("the balancer answers, whatever happens: {error}"),
            }
            asked.fetch_add(1, Ordering::Relaxed);
        }
        (answered, failed, gets)
    };
    let seen: Vec<_> = std::thread::scope(|scope| {
        let visitor = &visitor;
        let visitors: Vec<_> =
            (0..VISITORS).map(|number| scope.spawn(move || visitor(number))).collect();
        let so_many = |count| {
            let what = format!("{count} rounds of visitors");
            eventually(&what, || (asked.load(Ordering::Relaxed) >= count).then_some(()));
        };
        so_many(VISITORS * 3);
        a.kill();
        so_many(VISITORS * 8);
        stop.store(true, Ordering::Relaxed);
        visitors.into_iter().map(|visitor| visitor.join().unwrap()).collect()
    });
    let mut read = BTreeMap::new();
    for line in std::fs::read_to_string(&record).unwrap().lines() {
        *read.entry(line.to_owned()).or_default() += 1;
    }
    let (mut answered, mut failed, mut gets) = (Vec::new(), Vec::new(), 0);
    for (of_one, failed_of_one, gets_of_one) in seen {
        answered.extend(of_one);
        failed.extend(failed_of_one);
        gets += gets_of_one;
    }
    Crash { balancer, answered, failed, gets, read }
}

#[test]
fn kill_9_under_load_fails_no_get_and_sends_no_post_twice() {
    // That no GET failed is asserted by each visitor.
    let crash = crash("crash");
    assert!(crash.gets >= VISITORS * 8, "{}", crash.gets);
    for (line, times) in crash.read.iter().filter(|(line, _)| line.starts_with("POST")) {
        assert_eq!(*times, 1, "{line} was read {times} times");
    }
    for target in &crash.answered {
        assert_eq!(crash.read.get(&format!("POST {target}")), Some(&1), "{target}");
    }
    // Those that were in flight: at most one a visitor.
    assert!(crash.failed.len() <= VISITORS, "{:?}", crash.failed);
    assert!(metric(&crash.balancer, "abide_balancer_retries_total") >= 1, "some went elsewhere");
}

#[test]
fn a_visitor_of_a_dead_server_moves_once_and_stays_when_it_returns() {
    let shops = shops(3);
    let servers = flags(&shops);
    let balancer =
        balancer(&format!("{servers} --check-path /health --check-interval-ms 100"), None);
    let mut shops = shops;
    let mut client = Client::new(balancer.listen());
    let home = client.server();
    let place = usize::from(home.as_bytes()[0] - b'a');
    let address = shops[place].listen();
    shops[place].kill();

    let (next, reason) = client.get("/api/plain").verdict();
    assert_ne!(next, home);
    assert!(reason == "moved:failed" || reason == "moved:down", "{reason}");
    let stays = || (next.clone(), "sticky".to_owned());
    assert_eq!(client.get("/api/plain").verdict(), stays());

    let mut admin = Client::new(balancer.address("admin"));
    let mut is_in_state = |state: &str| {
        let servers = admin.get("/servers").json();
        let all = servers.as_array().or_else(|| servers["servers"].as_array()).unwrap().clone();
        let found = all.iter().find(|server| server["name"] == home.as_str()).unwrap();
        (found["state"] == state).then_some(())
    };
    eventually("the server to be seen down", || is_in_state("down"));
    let _back = Process::start(&format!("app --listen {address} --name {home}"));
    eventually("the server to be seen up", || is_in_state("up"));
    assert_eq!(client.get("/api/plain").verdict(), stays(), "no flapping");
    eventually("a new visitor to find it again", || {
        (Client::new(balancer.listen()).server() == home).then_some(())
    });
}

#[test]
fn draining_keeps_its_visitors_and_takes_no_new_ones() {
    let shops = shops(2);
    let balancer = balancer(&flags(&shops), None);
    let mut of_a = loop {
        let mut client = Client::new(balancer.listen());
        if client.server() == "a" {
            break client;
        }
    };
    let mut admin = Client::new(balancer.address("admin"));
    admin.fields.push_str("X-Abide-Admin: 1\r\n");
    assert!((200..300).contains(&admin.post("/servers/a/drain").status));
    for _ in 0..6 {
        assert_eq!(Client::new(balancer.listen()).server(), "b");
        assert_eq!(of_a.get("/api/plain").verdict(), ("a".to_owned(), "sticky".to_owned()));
    }
    assert!((200..300).contains(&admin.post("/servers/a/drain?seconds=0").status));
    assert_eq!(of_a.get("/api/plain").verdict(), ("b".to_owned(), "moved:drained".to_owned()));
    assert!((200..300).contains(&admin.post("/servers/a/ready").status));
    eventually("a new visitor to find it again", || {
        (Client::new(balancer.listen()).server() == "a").then_some(())
    });
    assert_eq!(of_a.server(), "b", "who moved stays");
}

#[test]
fn strict_refuses_rather_than_move() {
    let mut shops = shops(2);
    let balancer = balancer(&format!("{} --strict", flags(&shops)), None);
    let mut client = Client::new(balancer.listen());
    let home = client.server();
    shops[usize::from(home.as_bytes()[0] - b'a')].kill();
    let answer = client.get("/api/plain");
    assert_eq!(answer.status, 503);
    assert!(answer.field("retry-after").is_some());
    assert_eq!(answer.verdict().1, "strict");
    assert_ne!(Client::new(balancer.listen()).server(), home, "new visitors are served");
}

#[test]
fn a_server_that_never_answers_is_a_504_and_holds_up_nobody_else() {
    // It takes connections and reads, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in silent.incoming() {
            let Ok(mut connection) = connection else { return };
            std::thread::spawn(move || while matches!(connection.read(&mut [0; 4096]), Ok(1..)) {});
        }
    });
    let shops = shops(1);
    let servers = format!("{} --server silent={address}", flags(&shops));
    let balancer = balancer(&format!("{servers} --threads 1 --response-timeout-ms 300"), None);
    let mut answers: Vec<(u16, String)> = (0..2)
        .map(|_| {
            let answer = Client::new(balancer.listen()).get("/api/plain");
            (answer.status, answer.verdict().0)
        })
        .collect();
    answers.sort();
    assert_eq!(answers[0], (200, "a".to_owned()));
    assert_eq!(answers[1].0, 504, "{answers:?}");
}

#[test]
fn no_server_at_all_is_a_503_and_the_balancer_goes_on() {
    let mut shops = shops(1);
    let balancer = balancer(&flags(&shops), None);
    shops[0].kill();
    let mut client = Client::new(balancer.listen());
    for _ in 0..3 {
        let status = client.get("/api/plain").status;
        assert!((502..=503).contains(&status), "{status}");
    }
    assert_eq!(Client::new(balancer.address("admin")).get("/health").status, 200);
}

#[test]
fn the_recorder_reads_what_it_notes() {
    // The tests above conclude from what is missing in the record, so it must not miss anything.
    let folder = Folder::new("recorder");
    let record = folder.path().join("record");
    let server: Foreign = recorder("r", &record);
    let mut client = Client::new(server.address);
    assert_eq!(client.post("/order?n=1").text("server"), "r");
    assert_eq!(client.get("/page").status, 200);
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "POST /order?n=1\nGET /page\n");
}
