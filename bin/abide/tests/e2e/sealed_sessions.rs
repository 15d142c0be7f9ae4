//! Sessions in sealed cookies: what a server's death means, what does not open, what does not fit.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::origin::{balancer, flags, keygen};
use crate::harness::process::signal;
use crate::harness::{Client, Process, eventually};

const NAME: &str = "abide";

/// A shop that seals its visitors' sessions with these keys.
fn shop(name: &str, keys: &str) -> Process {
    let arguments = format!("app --listen 127.0.0.1:0 --keep cookie --name {name}");
    Process::start_with(&arguments, &[("ABIDE_KEYS", keys)])
}

/// What stands in a metric of a shop.
fn metric(shop: &Process, name: &str) -> u64 {
    let answer = Client::new(shop.listen()).get("/metrics");
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4"));
    let text = String::from_utf8(answer.body).unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no metric `{name}` in\n{text}"))
}

/// Text that does not compress, the same each time: a small generator of random numbers.
fn random_text(characters: usize) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(letters[usize::try_from(state >> 58).unwrap()])
    };
    (0..characters).map(letter).collect()
}

#[test]
fn a_killed_server_of_the_demo_takes_no_session_with_it() {
    let demo = Process::start("demo --listen 127.0.0.1:0 --keep cookie");
    assert_eq!(demo.ready()["keep"], "cookie");
    let mut client = Client::new(demo.listen());
    client.fields.push_str("X-Abide-Demo: 1\r\n");
    for _ in 0..3 {
        assert_eq!(client.post("/shop/visit").status, 200);
    }
    client.post("/shop/login?user=ada");
    client.post("/shop/cart?item=teapot&add=2");
    let expected = |server: &str| {
        json!({
            "server": server, "kept": "cookie", "user": "ada", "visits": 3, "cart": { "teapot": 2 },
        })
    };
    let home = client.get("/shop/state").text("server");
    assert_eq!(client.get("/shop/state").json(), expected(&home));

    let servers = demo.ready()["servers"].as_array().unwrap();
    let pid =
        servers.iter().find(|server| server["name"] == home.as_str()).unwrap()["pid"].as_u64();
    signal(u32::try_from(pid.unwrap()).unwrap(), "KILL");
    let next = client.get("/shop/state");
    assert_ne!(next.text("server"), home);
    assert_eq!(next.json(), expected(&next.text("server")));

    let report = eventually("the demo to notice", || {
        let report = client.get("/demo/state").json();
        (!report["events"].as_array().unwrap().is_empty()).then_some(report)
    });
    let told = report["events"][0]["text"].as_str().unwrap();
    let expected_text = format!(
        "Server {home} ended without our doing. It held no sessions: each is in its browser, sealed. \
         Nobody lost anything."
    );
    assert_eq!(told, expected_text);
    let counts = report["servers"].as_array().unwrap().iter().map(|server| &server["sessions"]);
    assert!(counts.clone().all(Value::is_null), "no server holds any: {report}");

    // One by one all of them, until none runs that ever saw this visitor.
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        let stopped = client.post(&format!("/demo/stop?server={name}")).status;
        assert_eq!(stopped, if name == home { 409 } else { 200 }, "the first is dead already");
        eventually(&format!("server {name} to be stopped"), || {
            let state = client.get("/demo/state").json()["servers"][place]["state"].clone();
            (state == "stopped").then_some(())
        });
        assert_eq!(client.post(&format!("/demo/start?server={name}")).status, 200);
    }
    let now = client.get("/shop/state");
    assert_eq!(now.json(), expected(&now.text("server")));
    client.post("/shop/logout");
    assert_eq!(client.get("/shop/state").json()["user"], Value::Null);
}

#[test]
fn keys_of_the_demo_stand_in_no_command_line_and_no_environment() {
    let demo = Process::start_with(
        "demo --listen 127.0.0.1:0 --servers 2 --keep cookie",
        &[("ABIDE_KEYS", &keygen())],
    );
    let shops = demo.ready()["servers"].as_array().unwrap().iter().map(|shop| &shop["pid"]);
    for pid in shops.chain([&demo.ready()["balancer_pid"]]) {
        for what in ["cmdline", "environ"] {
            let bytes = std::fs::read(format!("/proc/{pid}/{what}")).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(text.contains("abide") || what == "environ", "{text}");
            assert!(!text.contains("k1."), "a key in {what} of process {pid}");
        }
    }
}

#[test]
fn cookies_that_no_key_opens_are_no_session_and_no_error() {
    let keys = keygen();
    let (ours, theirs) = (shop("a", &keys), shop("b", &keygen()));
    let sealed_by = |shop: &Process| {
        let mut client = Client::new(shop.listen());
        assert_eq!(client.post("/api/login?user=ada").status, 200);
        client.cookies[NAME].clone()
    };
    let good = sealed_by(&ours);
    let of_other_keys = sealed_by(&theirs);
    let mut flipped = good.clone().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    let forged = [
        String::from_utf8(flipped).unwrap(),
        of_other_keys,
        good[..good.len() - 1].to_owned(),
        good[..20].to_owned(),
        format!("{good}A"),
        format!("2{}", &good[1..]),
        "1".to_owned(),
        "9".to_owned(),
        String::new(),
        "A".repeat(4000),
    ];
    for cookie in &forged {
        let mut client = Client::new(ours.listen());
        client.cookies.insert(NAME.to_owned(), cookie.clone());
        let answer = client.get("/api/me");
        assert_eq!((answer.status, &answer.json()["user"]), (200, &Value::Null), "{cookie}");
        assert_eq!(client.post("/api/login?user=eve").status, 200, "{cookie}");
        assert_eq!(client.get("/api/me").text("user"), "eve", "{cookie}");
    }
    let refused = u64::try_from(forged.len()).unwrap();
    // Once when it was read, and once when somebody signed in over it.
    assert_eq!(metric(&ours, "abide_session_malformed_total"), 2 * refused);
    let mut client = Client::new(ours.listen());
    client.cookies.insert(NAME.to_owned(), good);
    assert_eq!(client.get("/api/me").text("user"), "ada");
}

#[test]
fn a_session_spreads_over_cookies_shrinks_again_and_is_refused_when_too_large() {
    let keys = keygen();
    let shops = [shop("a", &keys), shop("b", &keys)];
    let balancer = balancer(&flags(&shops), None);
    let mut client = Client::new(balancer.listen());
    client.post("/api/login?user=ada");
    let cookies =
        |client: &Client| client.cookies.keys().filter(|name| name.starts_with("abide.")).count();

    assert_eq!(client.post("/api/big?bytes=10000").json()["bytes"], 10_000);
    assert_eq!(cookies(&client), 0, "what repeats is compressed");
    let text = random_text(10_000);
    assert_eq!(client.post(&format!("/api/set?k=t&v={text}")).status, 200);
    assert_eq!(cookies(&client), 3, "{:?}", client.cookies.keys());

    // Too large: for a field, for a sealed session, and for one when the answer is ready already.
    let before = client.cookies.clone();
    for (bytes, reason) in [
        (8 * 1024 * 1024, "a value can have 1048576 bytes\n"),
        (1_000_000, "a sealed session can have 8 cookies and 65536 bytes of values\n"),
    ] {
        let answer = client.post(&format!("/api/big?bytes={bytes}"));
        assert_eq!(answer.status, 413);
        assert_eq!(String::from_utf8(answer.body).unwrap(), reason);
        assert_eq!(client.cookies, before, "the old session stays");
    }
    assert_eq!(client.post(&format!("/api/set?k=u&v={}", random_text(20_000))).status, 413);
    assert_eq!(client.cookies, before, "the old session stays");

    // The other server reads all of it.
    let other = shops.iter().find(|shop| shop.ready()["name"] != client.server().as_str()).unwrap();
    client.go_to(other.listen());
    assert_eq!(client.get("/api/me").text("user"), "ada");
    assert_eq!(client.get("/api/get?k=t").text("value"), text);
    assert_eq!(client.post("/api/set?k=t&v=short").status, 200);
    assert_eq!(cookies(&client), 0, "what is left over is removed");
    assert_eq!(client.get("/api/get?k=t").text("value"), "short");
}

#[test]
fn the_largest_sealed_session_passes_the_balancer() {
    let shop = shop("a", &keygen());
    let balancer = balancer(&flags([&shop]), None);
    let mut client = Client::new(balancer.listen());
    client.post("/api/login?user=ada");
    // Ever smaller steps, until nothing more fits.
    let mut step = 8192;
    let mut fields = 0;
    while step >= 16 {
        let target = format!("/api/set?k=f{fields}&v={}", random_text(step));
        client.go_to(shop.listen());
        let status = client.post(&target).status;
        client.go_to(balancer.listen());
        assert_eq!(client.get("/api/me").text("user"), "ada", "with {fields} fields");
        if status == 200 {
            fields += 1;
        } else {
            assert_eq!(status, 413);
            step /= 2;
        }
    }
    assert!(client.cookies.contains_key("abide.8"), "{:?}", client.cookies.keys());
}

#[test]
fn an_app_without_keys_draws_one_and_says_what_that_means() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
    command.args(["app", "--keep", "cookie", "--listen", "127.0.0.1:0", "--exit-with-stdin"]);
    let output = command.env_remove("ABIDE_KEYS").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    let said = "no keys were given, so all sessions end with this process and no other server opens \
                them; set --keys-file or ABIDE_KEYS to what `abide keygen` prints";
    assert!(log.contains(said), "{log}");
}
