//! Sessions that move from one store to another while their users are signed in.

use std::process::{Command, Output, Stdio};

use abide_servers::Redis;
use serde_json::{Value, json};

use crate::harness::process::signal;
use crate::harness::{Client, Folder, Process, bulk, eventually};

const USERS: usize = 20;

/// Two places: a file, and a Redis.
struct Places {
    _folder: Folder,
    redis: Redis,
    old: String,
    new: String,
}

impl Places {
    fn new(name: &str) -> Self {
        let (folder, redis) = (Folder::new(name), Redis::start());
        let old = format!("sqlite://{}/sessions.db", folder.path().display());
        let new = redis.url();
        Self { _folder: folder, redis, old, new }
    }

    fn shop(&self, name: &str, flags: &str) -> Process {
        let flags = flags.replace("OLD", &self.old).replace("NEW", &self.new);
        Process::start(&format!("app --listen 127.0.0.1:0 --name {name} {flags}"))
    }

    fn move_command(&self, more: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
        command.args(["sessions", "move", "--from", &self.old, "--to", &self.new]);
        command.args(more.split_whitespace()).env("RUST_LOG", "warn");
        command
    }

    fn move_all(&self, more: &str) -> Output {
        self.move_command(more).output().unwrap()
    }
}

fn at(client: &Client, shop: &Process) -> Client {
    let mut other = Client::new(shop.listen());
    other.cookies = client.cookies.clone();
    other
}

fn user(client: &mut Client) -> Value {
    client.get("/api/me").json()["user"].clone()
}

fn users(shop: &Process) -> Vec<Client> {
    let sign_in = |number| {
        let mut client = Client::new(shop.listen());
        client.post(&format!("/api/login?user=user{number}"));
        client.post(&format!("/api/set?k=n&v=value{number}"));
        client
    };
    (0..USERS).map(sign_in).collect()
}

#[test]
fn everybody_stays_signed_in_while_sessions_move_and_then_the_old_store_can_go() {
    let places = Places::new("move-all");
    let mut before = places.shop("a", "--keep OLD");
    let mut clients = users(&before);
    before.stop();

    let during = places.shop("a", "--keep NEW --keep-from OLD");
    for client in &mut clients {
        client.go_to(during.listen());
    }
    // Some come by themselves, one signs out before it was moved, and one after.
    for (number, client) in clients.iter_mut().enumerate().take(3) {
        assert_eq!(user(client), format!("user{number}"));
    }
    let gone = [clients.remove(5), clients.remove(0)];
    let copies: Vec<Client> = gone.iter().map(|client| at(client, &during)).collect();
    for mut client in gone {
        client.post("/api/logout");
    }

    let output = places.move_all("--json");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["moved"], USERS - 4, "three came by themselves, one signed out: {report}");
    assert_eq!((&report["failed"], &report["remaining"]), (&json!(0), &json!(0)));
    assert_eq!(report["can_be_switched_off"], true);

    drop(during);
    let after = places.shop("a", "--keep NEW");
    for client in &mut clients {
        client.go_to(after.listen());
        let name = user(client).as_str().unwrap().to_owned();
        assert_eq!(client.get("/api/get?k=n").text("value"), name.replace("user", "value"));
    }
    for copy in copies {
        assert_eq!(user(&mut at(&copy, &after)), Value::Null, "who signed out stays signed out");
    }
}

#[test]
fn servers_that_are_restarted_one_by_one_know_everybody_in_every_phase() {
    let places = Places::new("move-rolling");
    let first = places.shop("a", "--keep OLD");
    let mut clients = users(&first);
    drop(first);
    // Phase one everywhere, then one server goes on to phase two.
    let prepared = places.shop("a", "--keep OLD --keep-next NEW");
    let moving = places.shop("b", "--keep NEW --keep-from OLD");
    for (number, client) in clients.iter_mut().enumerate() {
        client.go_to(moving.listen());
        assert_eq!(user(client), format!("user{number}"), "it has moved now");
        client.go_to(prepared.listen());
        assert_eq!(user(client), format!("user{number}"), "and is found by who keeps to the old");
        assert_eq!(client.post("/api/set?k=m&v=there").status, 200);
        client.go_to(moving.listen());
        assert_eq!(client.get("/api/get?k=m").text("value"), "there");
        let copy = at(client, &prepared);
        client.go_to(if number % 2 == 0 { prepared.listen() } else { moving.listen() });
        client.post("/api/logout");
        for shop in [&prepared, &moving] {
            assert_eq!(user(&mut at(&copy, shop)), Value::Null, "a logout holds in both");
        }
    }
    let mut late = Client::new(prepared.listen());
    late.post("/api/login?user=late");
    late.go_to(moving.listen());
    assert_eq!(user(&mut late), "late");
}

#[test]
fn sessions_move_from_cookies_into_a_store_and_back() {
    let places = Places::new("move-cookies");
    let keys = crate::harness::origin::keygen();
    let shop = |flags: &str| {
        let flags = flags.replace("STORE", &places.old);
        let arguments = format!("app --listen 127.0.0.1:0 {flags}");
        Process::start_with(&arguments, &[("ABIDE_KEYS", &keys)])
    };
    let go = |clients: &mut Vec<Client>, shop: &Process| {
        for (number, client) in clients.iter_mut().enumerate() {
            client.go_to(shop.listen());
            assert_eq!(user(client), format!("user{number}"));
            assert_eq!(client.get("/api/get?k=n").text("value"), format!("value{number}"));
        }
    };
    let before = shop("--keep cookie");
    let mut clients = users(&before);
    let mut copy = at(&clients[0], &before);
    let into_store = shop("--keep STORE --keep-from cookie");
    go(&mut clients, &into_store);
    let mut leaver = clients.remove(0);
    leaver.post("/api/logout");
    copy.go_to(into_store.listen());
    assert_eq!(user(&mut copy), Value::Null, "a copy of the sealed cookie brings nothing back");
    clients.insert(0, leaver);
    clients[0].post("/api/login?user=user0");
    clients[0].post("/api/set?k=n&v=value0");
    let store_alone = shop("--keep STORE");
    go(&mut clients, &store_alone);
    let into_cookies = shop("--keep cookie --keep-from STORE");
    go(&mut clients, &into_cookies);
    let cookies_alone = shop("--keep cookie");
    go(&mut clients, &cookies_alone);
}

#[test]
fn a_move_says_for_people_what_is_left_and_whether_the_old_store_can_go() {
    let places = Places::new("move-text");
    let shop = places.shop("a", "--keep OLD");
    let _clients = users(&shop);
    let output = places.move_all("");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(&format!("moved      {USERS}\n")), "{text}");
    assert!(text.contains("can be switched off"), "{text}");
    let again = places.move_all("--json");
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&report["moved"], &report["remaining"]), (&json!(0), &json!(0)), "{report}");
}

#[test]
fn a_move_that_is_stopped_says_how_far_it_came_and_the_next_one_goes_on() {
    const SESSIONS: u32 = 1_500;
    // Of those that were under way when it was stopped, any may have arrived uncounted.
    const UNDER_WAY: u64 = 16;
    let places = Places::new("move-stopped");
    bulk::fill(&places.old, SESSIONS);
    let mut command = places.move_command("--json");
    let moving = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the first sessions to arrive", || {
        (places.redis.cli(&["DBSIZE"]).trim() != "0").then_some(())
    });
    signal(moving.id(), "INT");
    let stopped = moving.wait_with_output().unwrap();
    let text = String::from_utf8(stopped.stderr).unwrap();
    assert_eq!((stopped.status.code(), stopped.stdout.as_slice()), (Some(1), &b""[..]), "{text}");
    let told = text.trim_end().strip_prefix("error: stopped: ").expect(&text);
    let (moved, rest) = told.split_once(' ').unwrap();
    let moved: u64 = moved.parse().unwrap();
    assert!((1..u64::from(SESSIONS)).contains(&moved), "it was stopped while it ran: {text}");
    assert!(rest.contains("the same command goes on with them"), "{text}");

    let again = places.move_all("--json");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&report["failed"], &report["remaining"]), (&json!(0), &json!(0)), "{report}");
    let in_both = moved + report["moved"].as_u64().unwrap();
    let all = u64::from(SESSIONS);
    assert!((all - UNDER_WAY..=all).contains(&in_both), "{moved} before, and now {report}");
    assert_eq!(bulk::missing_in_redis(&places.new, SESSIONS), [0_u32; 0]);
}
