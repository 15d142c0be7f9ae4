//! The demo as programs see it.

use crate::harness::process::{runs, signal};
use crate::harness::{Client, Process, eventually};

/// Every process of a demo, by its ready line.
fn pids(demo: &Process) -> Vec<u64> {
    let ready = demo.ready();
    let shops = ready["servers"].as_array().unwrap().iter().map(|server| &server["pid"]);
    shops.chain([&ready["balancer_pid"]]).map(|pid| pid.as_u64().unwrap()).collect()
}

fn visitor(demo: &Process) -> Client {
    let mut client = Client::new(demo.listen());
    client.fields.push_str("X-Abide-Demo: 1\r\n");
    client
}

#[test]
fn no_process_of_the_demo_outlives_it_however_it_ends() {
    for end in ["TERM", "INT", "KILL"] {
        let mut demo = Process::start("demo --listen 127.0.0.1:0 --servers 2");
        let pids = pids(&demo);
        assert_eq!(pids.len(), 3);
        assert!(pids.iter().all(|pid| runs(*pid)), "{pids:?}");
        demo.signal(end);
        let status = demo.wait();
        assert_eq!(status, if end == "KILL" { None } else { Some(0) }, "{end}");
        for pid in pids {
            eventually(&format!("process {pid} to end after {end}"), || (!runs(pid)).then_some(()));
        }
    }
}

#[test]
fn a_stopped_server_loses_its_sessions_and_starts_again_empty() {
    let demo = Process::start("demo --listen 127.0.0.1:0 --keep memory");
    let mut client = visitor(&demo);
    assert_eq!(client.post("/shop/login?user=ada").status, 200);
    let home = client.get("/shop/state").text("server");
    let stopped = client.post(&format!("/demo/stop?server={home}"));
    assert_eq!(stopped.status, 200, "the answer gets out before the server is killed");

    let state = |client: &mut Client| {
        let report = client.get("/demo/state").json();
        let servers = report["servers"].as_array().unwrap().clone();
        servers.iter().find(|s| s["name"] == home.as_str()).unwrap().clone()
    };
    eventually("the server to be stopped", || {
        (state(&mut client)["state"] == "stopped").then_some(())
    });
    let after = client.get("/shop/state");
    assert_eq!(after.json()["user"], serde_json::Value::Null, "memory is the price");
    assert_ne!(after.text("server"), home);
    let told = client.get("/demo/state").json()["events"][0]["text"].to_string();
    assert!(told.contains(&format!("Server {home} was killed. It held 1 session")), "{told}");

    assert_eq!(client.post(&format!("/demo/stop?server={home}")).status, 409, "it is stopped");
    assert_eq!(client.post(&format!("/demo/start?server={home}")).status, 200);
    assert_eq!(state(&mut client)["state"], "up");
    assert_eq!(state(&mut client)["sessions"], 0);
    assert_eq!(client.post("/demo/stop?server=z").status, 409, "there is no server z");
}

#[test]
fn a_server_killed_from_outside_is_noticed() {
    let demo = Process::start("demo --listen 127.0.0.1:0 --servers 2");
    let pid = demo.ready()["servers"][0]["pid"].as_u64().unwrap();
    signal(u32::try_from(pid).unwrap(), "KILL");
    let mut client = visitor(&demo);
    eventually("the page to show it", || {
        let answer = client.get("/demo/state");
        let text = String::from_utf8(answer.body).unwrap();
        text.contains("Server a ended without our doing.").then_some(())
    });
}

#[test]
fn orders_need_the_field_that_other_sites_can_not_send() {
    let demo = Process::start("demo --listen 127.0.0.1:0 --servers 2");
    let mut stranger = Client::new(demo.listen());
    assert_eq!(stranger.get("/demo/state").status, 403);
    assert_eq!(stranger.post("/demo/stop?server=a").status, 403);
    assert_eq!(stranger.post("/demo/stop?server=b").status, 403);
    let report = visitor(&demo).get("/demo/state").json();
    let states =
        report["servers"].as_array().unwrap().iter().map(|server| server["state"].as_str());
    let runs = |state: Option<&str>| matches!(state, Some("up" | "catching up"));
    assert!(states.into_iter().all(runs), "{report}");
}

#[test]
fn keys_of_the_terminal_stop_and_start_servers_and_end_the_demo() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/harness/terminal.py");
    let mut python = std::process::Command::new("python3");
    let output = python.arg(script).arg(env!("CARGO_BIN_EXE_abide")).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs `python3`: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
