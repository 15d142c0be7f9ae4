//! Processes from outside: when they start, what they say, how they end.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::harness::origin::{balancer, flags, shop, shops};
use crate::harness::{Client, Process};

fn run(arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
    command.env_remove("ABIDE_KEYS").stdin(Stdio::null());
    command.args(arguments.split_whitespace()).output().unwrap()
}

#[test]
fn a_port_in_use_is_one_clear_line_and_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for arguments in [
        format!("balance --listen {address} --keys-file {} --server a=127.0.0.1:1", keys_file()),
        format!("app --listen {address}"),
        format!("demo --listen {address}"),
    ] {
        let output = run(&arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert_eq!(
            errors,
            format!(
                "error: can not listen on {address}: another program has this port; stop it, or choose \
                 another port (0 takes a free one)\n"
            )
        );
        assert!(output.stdout.is_empty(), "nothing was ready");
    }
}

fn keys_file() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cmd/files/keys")
}

#[test]
fn a_stop_finishes_what_is_under_way() {
    let shop = shop("a");
    let mut balancer = balancer(&flags([&shop]), None);
    let mut slow = Client::new(balancer.listen());
    slow.post("/api/login?user=ada");
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| slow.get("/api/read?delay_ms=700"));
        // The request is under way when the shop has counted it.
        let mut watcher = Client::new(shop.listen());
        crate::harness::eventually("the request to arrive", || {
            (watcher.get("/status").json()["requests"].as_u64() >= Some(2)).then_some(())
        });
        balancer.signal("TERM");
        asking.join().unwrap()
    });
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text("user"), "ada");
    assert_eq!(balancer.wait(), Some(0));
}

#[test]
fn a_balancer_or_shop_that_follows_its_parent_ends_when_standard_input_does() {
    let mut shop = Process::start("app --listen 127.0.0.1:0 --exit-with-stdin");
    let flags = flags([&shop]);
    let mut balancer = balancer(&format!("--exit-with-stdin {flags}"), None);
    balancer.close_stdin();
    assert_eq!(balancer.wait(), Some(0));
    shop.close_stdin();
    assert_eq!(shop.wait(), Some(0));
}

#[test]
fn the_admin_listener_tells_health_and_servers() {
    let shops = shops(2);
    let balancer = balancer(&flags(&shops), None);
    let mut admin = Client::new(balancer.address("admin"));
    assert_eq!(admin.get("/health").status, 200);
    assert_eq!(admin.get("/ready").status, 200);
    let servers = admin.get("/servers").json().to_string();
    assert!(servers.contains("\"a\"") && servers.contains("\"b\""), "{servers}");
}

#[test]
fn the_example_app_speaks_its_whole_api() {
    let shop = shop("a");
    let mut client = Client::new(shop.listen());
    assert_eq!(client.get("/api/me").json(), serde_json::json!({ "user": null, "server": "a" }));
    assert!(client.cookies.is_empty(), "reading makes no session");
    assert_eq!(client.post("/api/login?user=ada").text("user"), "ada");
    assert_eq!(client.get("/api/me").text("user"), "ada");
    assert_eq!(client.post("/api/set?k=color&v=red&delay_ms=1").text("value"), "red");
    assert_eq!(client.get("/api/get?k=color").text("value"), "red");
    assert_eq!(client.post("/api/incr?k=n").json()["value"], 1);
    assert_eq!(client.post("/api/incr?k=n&delay_ms=1").json()["value"], 2);
    assert_eq!(client.get("/api/get?k=n").json()["value"], 2);
    let before = client.cookies.clone();
    assert_eq!(client.post("/api/renew").text("user"), "ada");
    assert_ne!(client.cookies, before, "a new id");
    assert_eq!(client.get("/api/read?delay_ms=1").text("user"), "ada");
    assert_eq!(client.get("/api/plain").text("server"), "a");
    assert_eq!(client.post("/api/big?bytes=20000").json()["bytes"], 20000);
    assert!(client.post("/api/big?bytes=9000000").status >= 400);
    assert_eq!(client.post("/api/login?user=").status, 400);
    assert_eq!(client.post("/api/set?k=user&v=eve").status, 200);
    assert_eq!(client.get("/api/me").text("user"), "ada", "no signing in by a field of that name");
    assert_eq!(client.get("/api/none").status, 404);
    client.post("/api/logout");
    assert!(client.cookies.is_empty(), "{:?}", client.cookies);
    assert_eq!(client.get("/api/me").json()["user"], serde_json::Value::Null);
    assert_eq!(client.get("/health").status, 200);
}
