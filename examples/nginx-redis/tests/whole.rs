//! All of it, for real: Redis, two servers, a proxy with the configuration of this folder, and browsers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use abide_example_driver::{Browser, Example};
use abide_servers::{Haproxy, Nginx, Redis};

/// How often one asks where each request goes to the next server in turn: more than there are
/// servers, so that all of them answer.
const ROUNDS: usize = 6;

/// Two servers in Rust, and their Redis.
struct Servers {
    redis: Redis,
    a: Example,
    b: Example,
}

impl Servers {
    fn start() -> Self {
        let redis = Redis::start();
        let url = redis.url();
        let server = |name| {
            let program = env!("CARGO_BIN_EXE_abide-example-nginx-redis");
            Example::start(program, 1, &[("NAME", name), ("REDIS", &url)])
        };
        Self { a: server("a"), b: server("b"), redis }
    }

    /// A configuration of this folder, with the addresses of these servers, and the port at which
    /// the proxy is to listen.
    fn in_place(&self, configuration: &str, port: u16) -> String {
        let replaced = |text: String, from: &str, to: &str| {
            assert!(text.contains(from), "the configuration no longer names {from}");
            text.replace(from, to)
        };
        let text = std::fs::read_to_string(folder().join(configuration)).unwrap();
        let text = replaced(text, "127.0.0.1:3001", self.a.address());
        let text = replaced(text, "127.0.0.1:3002", self.b.address());
        replaced(text, "127.0.0.1:8080", &format!("127.0.0.1:{port}"))
    }
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The binary `abide`, which stands beside the test programs once the workspace is built.
static ABIDE: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("abide");
    if !program.exists() {
        let build = ["build", "--profile", "test", "-p", "abide-bin", "--bin", "abide"];
        let built = Command::new(env!("CARGO")).args(build).current_dir(folder()).status();
        assert!(built.unwrap().success(), "cargo build -p abide-bin");
    }
    program
});

/// `abide balance` before two servers, until it is dropped.
struct Balancer {
    process: Child,
    address: String,
}

impl Balancer {
    fn start(a: &str, b: &str) -> Self {
        let mut process = Command::new(&*ABIDE)
            .args(["balance", "--listen=127.0.0.1:0", "--check-path=/health"])
            .args([format!("--server=a={a}"), format!("--server=b={b}")])
            .arg("--session-id-cookie=sessionid")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("\"listen\":\"").expect(&line);
        let address = rest.split('"').next().unwrap().to_owned();
        Self { process, address }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Which server says that it is the one.
fn server(body: &str) -> &str {
    let (_, rest) = body.split_once("erver ").expect(body);
    &rest[..1]
}

/// Signs in through one server, is known by all, signs out, is unknown to all, and so is a copy of
/// the cookie. Every request goes to the next server in turn.
fn is_known_by_all_until_it_signs_out(front: &str) {
    let mut browser = Browser::default();
    assert!(browser.get(front, "/").body().contains("It does not know you."));
    assert_eq!(browser.cookie, None, "who is nobody gets no session");
    let answer = browser.post(front, "/sign-in", "user=alice&password=guessed");
    assert!(answer.body().contains("Wrong password."), "{answer:?}");
    let answer = browser.post(front, "/sign-in", "user=alice&password=secret");
    assert_eq!((answer.status(), answer.field("location")), ("303", Some("/")));

    let mut answered = String::new();
    for visit in 1..=ROUNDS {
        let answer = browser.get(front, "/");
        let expected = format!("Hello, <b>alice</b>. This is visit {visit}.");
        assert!(answer.body().contains(&expected), "{expected}: {answer:?}");
        answered += server(answer.body());
    }
    assert!(answered.contains('a') && answered.contains('b'), "both had a turn: {answered}");

    let mut copy = browser.clone();
    browser.post(front, "/sign-out", "");
    assert_eq!(browser.cookie, None);
    for _ in 0..ROUNDS {
        let answer = copy.get(front, "/");
        assert!(answer.body().contains("It does not know you."), "{answer:?}");
    }
}

/// Of two browsers, the second sends what the first has in its cookie as a header of its own.
fn takes_no_id_from_a_client(front: &str) {
    let mut browser = Browser::default();
    browser.post(front, "/sign-in", "user=alice&password=secret");
    let id = browser.cookie.clone().unwrap();
    let (_, id) = id.split("; ").find_map(|pair| pair.split_once("sessionid=")).unwrap();
    let mut thief = Browser {
        // What a browser says that it is stands at the end of a line: here begins another.
        user_agent: format!("thief\r\nX-Session-Id: {id}").leak(),
        ..Browser::default()
    };
    for _ in 0..ROUNDS {
        let answer = thief.get(front, "/");
        assert!(answer.body().contains("It does not know you."), "{answer:?}");
    }
}

#[test]
fn behind_nginx_every_server_knows_who_signed_in() {
    let servers = Servers::start();
    let nginx = Nginx::start(|port| servers.in_place("nginx.conf", port));
    is_known_by_all_until_it_signs_out(&nginx.address());
    takes_no_id_from_a_client(&nginx.address());
}

#[test]
fn behind_haproxy_every_server_knows_who_signed_in() {
    let servers = Servers::start();
    let haproxy = Haproxy::start(|port| servers.in_place("haproxy.cfg", port));
    is_known_by_all_until_it_signs_out(&haproxy.address());
    takes_no_id_from_a_client(&haproxy.address());
}

#[test]
fn the_id_comes_by_the_header_that_nginx_makes_of_the_cookie() {
    let servers = Servers::start();
    let nginx = Nginx::start(|port| {
        // Without the cookie itself, what the app knows it knows by the header.
        let configuration = servers.in_place("nginx.conf", port);
        let line = "proxy_set_header X-Session-Id $cookie_sessionid;";
        assert!(configuration.contains(line));
        configuration.replace(line, &format!("{line} proxy_set_header Cookie \"\";"))
    });
    let mut browser = Browser::default();
    browser.post(&nginx.address(), "/sign-in", "user=alice&password=secret");
    assert!(browser.get(&nginx.address(), "/").body().contains("alice"));
}

#[test]
fn a_killed_server_signs_nobody_out() {
    let mut servers = Servers::start();
    let nginx = Nginx::start(|port| servers.in_place("nginx.conf", port));
    let front = nginx.address();
    let mut browser = Browser::default();
    browser.post(&front, "/sign-in", "user=alice&password=secret");
    servers.a.kill();
    for _ in 0..ROUNDS {
        let answer = browser.get(&front, "/");
        assert!(answer.body().contains("Hello, <b>alice</b>"), "{answer:?}");
        assert_eq!(server(answer.body()), "b");
    }
}

#[test]
fn without_redis_the_answer_is_503_and_nobody_is_signed_out() {
    let servers = Servers::start();
    let nginx = Nginx::start(|port| servers.in_place("nginx.conf", port));
    let front = nginx.address();
    let mut browser = Browser::default();
    browser.post(&front, "/sign-in", "user=alice&password=secret");
    // It hangs, and keeps what it has: this Redis would forget all if it was killed.
    servers.redis.stop();
    let answer = browser.get(&front, "/");
    assert_eq!(answer.status(), "503", "{answer:?}");
    assert!(answer.field("retry-after").is_some());
    assert_eq!(browser.get(&front, "/health").status(), "200");
    servers.redis.cont();
    let back = abide_servers::until(std::time::Duration::from_secs(30), || {
        let answer = browser.get(&front, "/");
        (answer.status() == "200").then_some(answer)
    });
    let back = back.expect("Redis is back, and so are the sessions");
    assert!(back.body().contains("Hello, <b>alice</b>"), "{back:?}");
}

#[test]
fn behind_abide_balance_a_visitor_stays_until_the_server_dies() {
    let mut servers = Servers::start();
    let balancer = Balancer::start(servers.a.address(), servers.b.address());
    let front = balancer.address.as_str();
    let mut browser = Browser::default();
    browser.post(front, "/sign-in", "user=alice&password=secret");
    let home = server(browser.get(front, "/").body()).to_owned();
    for _ in 0..ROUNDS {
        assert_eq!(server(browser.get(front, "/").body()), home);
    }
    takes_no_id_from_a_client(front);
    if home == "a" {
        servers.a.kill();
    } else {
        servers.b.kill();
    }
    let answer = browser.get(front, "/");
    assert!(answer.body().contains("Hello, <b>alice</b>"), "{answer:?}");
    assert_ne!(server(answer.body()), home);
    browser.post(front, "/sign-out", "");
    assert!(browser.get(front, "/").body().contains("It does not know you."));
}

#[test]
fn an_app_in_python_shares_its_sessions_behind_abide_balance() {
    let redis = Redis::start();
    let program = folder().join("python/app.py").display().to_string();
    let address = redis.address();
    let server_named = |name| Example::start(&program, 1, &[("NAME", name), ("REDIS", &address)]);
    let (mut a, mut b) = (server_named("a"), server_named("b"));
    let balancer = Balancer::start(a.address(), b.address());
    let front = balancer.address.as_str();
    let mut browser = Browser::default();
    assert!(browser.get(front, "/").body().contains("nobody"));
    browser.post(front, "/sign-in", "user=alice&password=secret");
    let answer = browser.get(front, "/");
    let home = server(answer.body()).to_owned();
    assert_eq!(answer.body(), format!("server {home}: alice, visit 1\n"));
    if home == "a" {
        a.kill();
    } else {
        b.kill();
    }
    let next = if home == "a" { "b" } else { "a" };
    let answer = browser.get(front, "/");
    assert_eq!(answer.body(), format!("server {next}: alice, visit 2\n"));
    let mut copy = browser.clone();
    browser.post(front, "/sign-out", "");
    assert_eq!(copy.get(front, "/").body(), format!("server {next}: nobody\n"));
}
