//! Servers that keep the sessions themselves, as processes.

use std::process::{Command, Output};

use abide_servers::{Port, free_port};
use serde_json::{Value, json};

use crate::harness::origin::keygen;
use crate::harness::{Client, Folder, Process, bulk, eventually};

/// Places for nodes a, b and so on, and one secret for all of them.
struct Nodes {
    ports: Vec<Port>,
    keep: String,
    keys: String,
}

impl Nodes {
    fn of(count: usize) -> Self {
        let ports: Vec<Port> = (0..count).map(|_| free_port()).collect();
        let names = ('a'..).zip(&ports).map(|(name, port)| format!("{name}={}", port.address()));
        let keep = format!("nodes://{}", names.collect::<Vec<_>>().join(","));
        Self { ports, keep, keys: keygen() }
    }

    fn start(&self, name: &str) -> Process {
        self.start_with(name, "")
    }

    fn start_with(&self, name: &str, flags: &str) -> Process {
        let arguments =
            format!("app --listen 127.0.0.1:0 --name {name} --keep {} {flags}", self.keep);
        Process::start_with(&arguments, &[("ABIDE_KEYS", &self.keys)])
    }

    /// What a server says that can not start.
    fn refused(&self, name: &str, flags: &str) -> String {
        let arguments =
            format!("app --listen 127.0.0.1:0 --name {name} --keep {} {flags}", self.keep);
        let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
        command.args(arguments.split_whitespace()).env("ABIDE_KEYS", &self.keys);
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// One that serves no visitors.
    fn start_bare(&self, name: &str) -> Process {
        let arguments = format!("node --name {name} --keep {} --admin 127.0.0.1:0", self.keep);
        Process::start_with(&arguments, &[("ABIDE_KEYS", &self.keys)])
    }

    /// Moves all sessions, as the node of this name.
    fn move_as(&self, name: &str, from: &str, to: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
        command.args(["sessions", "move", "--json", "--name", name, "--from", from, "--to", to]);
        command.env("RUST_LOG", "warn").env("ABIDE_KEYS", &self.keys).output().unwrap()
    }
}

fn ready(server: &Process) {
    for path in ["/ready", "/cluster/safe-to-stop"] {
        let mut client = Client::new(server.listen());
        eventually(path, || (client.get(path).status == 200).then_some(()));
    }
}

fn user(client: &mut Client) -> Value {
    client.get("/api/me").json()["user"].clone()
}

/// The same visitor at another server.
fn at(client: &Client, server: &Process) -> Client {
    let mut other = Client::new(server.listen());
    other.cookies = client.cookies.clone();
    other
}

#[test]
fn who_signs_in_at_one_node_is_known_at_the_other_also_when_the_first_is_killed() {
    let nodes = Nodes::of(2);
    let (mut a, b) = (nodes.start("a"), nodes.start("b"));
    ready(&a);
    ready(&b);
    let mut visitor = Client::new(a.listen());
    assert_eq!(visitor.post("/api/login?user=ada").status, 200);
    for count in 1..=3 {
        assert_eq!(visitor.post("/api/incr?k=visits").json()["value"], json!(count));
    }
    let mut there = at(&visitor, &b);
    assert_eq!(user(&mut there), "ada");
    a.kill();
    assert_eq!(there.post("/api/incr?k=visits").json()["value"], json!(4));
    let mut old = at(&there, &b);
    assert_eq!(there.post("/api/logout").status, 200);
    assert_eq!(user(&mut old), Value::Null, "a logout is final");
    // Who comes back empty learns it.
    drop(a);
    let a = nodes.start("a");
    ready(&a);
    assert_eq!(user(&mut at(&old, &a)), Value::Null);
}

#[test]
fn nodes_that_are_restarted_one_by_one_forget_nobody() {
    let nodes = Nodes::of(2);
    let mut servers = vec![nodes.start("a"), nodes.start("b")];
    servers.iter().for_each(ready);
    let mut visitor = Client::new(servers[0].listen());
    visitor.post("/api/login?user=ada");
    for (place, name) in ["a", "b", "a"].into_iter().enumerate() {
        let place = place % 2;
        let mut server = servers.remove(place);
        server.signal("TERM");
        let mut other = at(&visitor, &servers[0]);
        assert_eq!(user(&mut other), "ada", "while {name} leaves");
        assert_eq!(server.wait(), Some(0), "it has left in time");
        assert_eq!(user(&mut other), "ada", "when {name} has left");
        servers.insert(place, nodes.start(name));
        servers.iter().for_each(ready);
        assert_eq!(user(&mut at(&visitor, &servers[place])), "ada", "when {name} is back");
    }
}

#[test]
fn a_server_that_nobody_was_told_of_joins_and_is_one_of_them() {
    let nodes = Nodes::of(2);
    let (mut a, b) = (nodes.start("a"), nodes.start("b"));
    [&a, &b].into_iter().for_each(ready);
    let mut visitor = Client::new(a.listen());
    visitor.post("/api/login?user=ada");
    let port = free_port();
    let keep = format!("nodes://c={},a={}", port.address(), nodes.ports[0].address());
    let joiner = Nodes { ports: vec![port], keep, keys: nodes.keys.clone() };
    let c = joiner.start("c");
    [&a, &b, &c].into_iter().for_each(ready);
    assert_eq!(user(&mut at(&visitor, &c)), "ada");
    for server in [&a, &b, &c] {
        let mut client = Client::new(server.listen());
        assert_eq!(client.get("/cluster").json()["nodes"], json!(["a", "b", "c"]));
        let table = client.get("/cluster/slots").json();
        let leaders = table["leaders"].as_array().unwrap();
        assert!(leaders.iter().any(|leader| *leader == 2), "c leads nothing: {table}");
    }
    a.kill();
    [&b, &c].into_iter().for_each(ready);
    assert_eq!(user(&mut at(&visitor, &c)), "ada");
}

#[test]
fn a_node_says_what_it_holds_and_whether_it_may_be_killed() {
    let nodes = Nodes::of(2);
    let a = nodes.start("a");
    let mut client = Client::new(a.listen());
    let alone = client.get("/cluster/safe-to-stop");
    assert_eq!(alone.status, 503);
    let b = nodes.start("b");
    ready(&a);
    ready(&b);
    Client::new(b.listen()).post("/api/login?user=ada");
    let status = client.get("/cluster").json();
    assert_eq!((&status["node"], &status["sessions"]), (&json!("a"), &json!(1)), "{status}");
    assert_eq!(status["slots_without_leader"], 0);
    let metrics = String::from_utf8(client.get("/metrics").body).unwrap();
    assert!(metrics.contains("kept_by_all_owners"), "{metrics}");
    assert!(!metrics.contains(&nodes.keys) && nodes.ports.len() == 2);
    let none = Process::start("app --listen 127.0.0.1:0");
    assert_eq!(Client::new(none.listen()).get("/cluster").status, 404);
}

#[test]
fn sessions_move_from_a_file_to_nodes_while_people_are_signed_in() {
    let folder = Folder::new("nodes-from-sqlite");
    let file = format!("sqlite://{}/sessions.db", folder.path().display());
    let before = Process::start(&format!("app --listen 127.0.0.1:0 --keep {file}"));
    let mut visitor = Client::new(before.listen());
    visitor.post("/api/login?user=ada");
    let nodes = Nodes::of(2);
    let flags = format!("--keep-from {file}");
    let (mut a, b) = (nodes.start_with("a", &flags), nodes.start_with("b", &flags));
    assert_eq!(user(&mut at(&visitor, &a)), "ada");
    ready(&a);
    a.kill();
    assert_eq!(user(&mut at(&visitor, &b)), "ada");
}

#[test]
fn a_command_that_is_a_node_for_a_while_moves_all_sessions_to_nodes_and_from_them() {
    const SESSIONS: u32 = 300;
    let folder = Folder::new("move-nodes");
    let file = |name: &str| format!("sqlite://{}/{name}.db", folder.path().display());
    let (before, after) = (file("before"), file("after"));
    bulk::fill(&before, SESSIONS);
    let nodes = Nodes::of(3);
    let (mut a, b) = (nodes.start_bare("a"), nodes.start_bare("b"));
    [&a, &b].into_iter().for_each(ready);
    let report = |output: Output| -> Value {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let there = report(nodes.move_as("c", &before, &nodes.keep));
    assert_eq!((&there["moved"], &there["remaining"]), (&json!(SESSIONS), &json!(0)), "{there}");
    // It has left, so each of the two has all.
    for node in [&a, &b] {
        ready(node);
        assert_eq!(Client::new(node.listen()).get("/cluster").json()["sessions"], SESSIONS);
    }
    a.kill();
    let back = report(nodes.move_as("c", &nodes.keep, &after));
    assert_eq!((&back["moved"], &back["remaining"]), (&json!(SESSIONS), &json!(0)), "{back}");
    assert_eq!(bulk::missing_in_file(&after, SESSIONS), [0_u32; 0]);
}

#[test]
fn a_command_that_finds_no_other_node_moves_nothing() {
    let folder = Folder::new("move-no-nodes");
    let file = format!("sqlite://{}/sessions.db", folder.path().display());
    bulk::fill(&file, 3);
    let nodes = Nodes::of(2);
    let output = nodes.move_as("b", &file, &nodes.keep);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("nothing has moved: no other node of the list answers"), "{text}");
    assert_eq!(bulk::missing_in_file(&file, 3), [0_u32; 0]);
}

#[test]
fn a_node_without_an_app_holds_copies_for_those_with_one() {
    let nodes = Nodes::of(3);
    let (mut a, b) = (nodes.start("a"), nodes.start("b"));
    let mut c = nodes.start_bare("c");
    [&a, &b, &c].into_iter().for_each(ready);
    let mut visitor = Client::new(a.listen());
    visitor.post("/api/login?user=ada");
    a.kill();
    assert_eq!(user(&mut at(&visitor, &b)), "ada");
    let mut admin = Client::new(c.listen());
    let table = admin.get("/cluster/slots").json();
    assert_eq!(table["nodes"], json!(["a", "b", "c"]));
    let leaders = table["leaders"].as_array().unwrap();
    assert!(leaders.len() == 4096 && leaders.iter().any(|leader| *leader == 2));
    assert!(String::from_utf8(admin.get("/metrics").body).unwrap().contains("kept_by_all_owners"));
    // What c holds is needed now that a is dead, and given away before it stops.
    c.stop();
    assert_eq!(user(&mut at(&visitor, &b)), "ada");
}

#[test]
fn a_balancer_that_reads_the_session_id_sends_it_where_it_is_led() {
    let nodes = Nodes::of(3);
    let servers = ["a", "b", "c"].map(|name| nodes.start(name));
    servers.iter().for_each(ready);
    let named = ["a", "b", "c"].into_iter().zip(&servers);
    let flags: Vec<String> =
        named.map(|(name, server)| format!("--server {name}={}", server.listen())).collect();
    let table = Client::new(servers[0].listen()).get("/cluster/slots").json();
    let balancer = Process::start(&format!(
        "balance --listen 127.0.0.1:0 --verdict-header --affinity cookie:abide {}",
        flags.join(" ")
    ));
    for _ in 0..12 {
        let mut visitor = Client::new(balancer.listen());
        visitor.post("/api/login?user=ada");
        let slot = usize::from_str_radix(&visitor.cookies["abide"][..3], 16).unwrap();
        let leader = table["leaders"][slot].as_u64().unwrap();
        let name = table["nodes"][usize::try_from(leader).unwrap()].as_str().unwrap().to_owned();
        for _ in 0..3 {
            let answer = visitor.get("/api/me");
            assert_eq!((answer.text("server"), answer.text("user")), (name.clone(), "ada".into()));
        }
    }
}

#[test]
fn who_is_signed_in_still_is_when_all_nodes_were_killed_and_have_disks() {
    for count in [1, 2] {
        let (nodes, folder) = (Nodes::of(count), Folder::new("nodes-data"));
        let start = |name: &str| {
            nodes.start_with(name, &format!("--data {}", folder.path().join(name).display()))
        };
        let names = &["a", "b"][..count];
        let mut servers: Vec<Process> = names.iter().map(|name| start(name)).collect();
        let all_are_ready = |servers: &[Process]| {
            for server in servers {
                let mut client = Client::new(server.listen());
                eventually("/ready", || (client.get("/ready").status == 200).then_some(()));
            }
        };
        all_are_ready(&servers);
        let mut visitor = Client::new(servers[0].listen());
        visitor.post("/api/login?user=ada");
        let mut other = Client::new(servers[0].listen());
        other.post("/api/login?user=bob");
        let gone = at(&other, &servers[0]);
        other.post("/api/logout");
        let synced = |metrics: &str| {
            let line = metrics.lines().find(|line| line.contains("journal_synced"));
            line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        // When the disk has been asked once more, it has all that was answered before.
        for server in &servers {
            let mut client = Client::new(server.listen());
            let mut look = || synced(&String::from_utf8(client.get("/metrics").body).unwrap());
            visitor.post("/api/incr?k=visits");
            let before = look();
            eventually("a disk that is asked", || {
                visitor.post("/api/incr?k=visits");
                (look() > before).then_some(())
            });
        }
        let visits = visitor.post("/api/incr?k=visits").json()["value"].as_u64().unwrap();
        servers.iter_mut().for_each(Process::kill);
        servers.clear();
        let servers: Vec<Process> = names.iter().map(|name| start(name)).collect();
        all_are_ready(&servers);
        let mut visitor = at(&visitor, &servers[0]);
        assert_eq!(user(&mut visitor), "ada");
        // The last is one that may have been answered in the last moment.
        let after = visitor.post("/api/incr?k=visits").json()["value"].as_u64().unwrap();
        assert!((visits..=visits + 1).contains(&after), "{visits}, then {after}");
        assert_eq!(user(&mut at(&gone, &servers[0])), Value::Null, "a logout is final");
    }
}

#[test]
fn a_folder_that_can_not_be_used_is_said_before_anything_starts() {
    let (nodes, folder) = (Nodes::of(1), Folder::new("nodes-no-data"));
    let running = nodes.start_with("a", &format!("--data {}", folder.path().display()));
    let other = Nodes::of(1);
    let told = other.refused("a", &format!("--data {}", folder.path().display()));
    assert!(told.contains("another process uses it"), "{told}");
    drop(running);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let told = other.refused("a", &format!("--data {}/below", file.display()));
    assert!(told.contains("can not make the folder"), "{told}");
}

#[test]
fn a_node_that_waits_for_another_is_told_that_it_is_lost() {
    let (nodes, folder) = (Nodes::of(2), Folder::new("nodes-lost"));
    let node = |name: &str| {
        let keep = &nodes.keep;
        let data = folder.path().join(name);
        let arguments = format!(
            "node --name {name} --keep {keep} --admin 127.0.0.1:0 --data {}",
            data.display()
        );
        Process::start_with(&arguments, &[("ABIDE_KEYS", &nodes.keys)])
    };
    let (mut a, mut b) = (node("a"), node("b"));
    ready(&a);
    ready(&b);
    let mut client = Client::new(a.listen());
    assert_eq!(client.post("/cluster/lost/b").status, 403, "any web page could have sent that");
    client.fields.push_str("X-Abide-Admin: 1\r\n");
    assert_eq!(client.post("/cluster/lost/b").status, 409, "it is here");
    assert_eq!(client.post("/cluster/lost/x").status, 404);
    a.kill();
    b.kill();
    drop(a);
    let a = node("a");
    let mut client = Client::new(a.listen());
    client.fields.push_str("X-Abide-Admin: 1\r\n");
    assert_eq!(client.get("/cluster").json()["missed"], json!(["b"]));
    assert_eq!(client.post("/cluster/lost/b").status, 200);
    assert_eq!(client.get("/cluster").json()["missed"], json!([]));
}

#[test]
fn a_node_that_other_machines_reach_asks_operators_for_a_token() {
    let (nodes, folder) = (Nodes::of(1), Folder::new("nodes-token"));
    let file = folder.path().join("token");
    std::fs::write(&file, "a-token-of-operators\n").unwrap();
    let arguments = format!(
        "node --name a --keep {} --admin 0.0.0.0:0 --admin-token-file {}",
        nodes.keep,
        file.display()
    );
    let node = Process::start_with(&arguments, &[("ABIDE_KEYS", &nodes.keys)]);
    let mut client = Client::new(node.listen());
    eventually("/ready", || (client.get("/ready").status == 200).then_some(()));
    for path in ["/metrics", "/cluster", "/cluster/slots", "/cluster/safe-to-stop"] {
        assert_eq!(client.get(path).status, 401, "{path}");
    }
    assert_eq!(client.post("/cluster/lost/x").status, 401);
    client.fields.push_str("Authorization: Bearer a-token-of-operators\r\n");
    assert_eq!(client.get("/cluster").status, 200);
    assert_eq!(client.post("/cluster/lost/x").status, 404);
}
