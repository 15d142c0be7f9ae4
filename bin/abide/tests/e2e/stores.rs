//! Sessions in a store that all servers share: what a server's death means, what the store's, and what
//! is said when a store can not be used.

use std::process::{Command, Output, Stdio};

use abide_servers::{MariaDb, Memcached, Postgres, Redis, RedisCluster, RedisSentinel, RedisSetup};
use serde_json::{Value, json};

use crate::harness::origin::keygen;
use crate::harness::process::signal;
use crate::harness::{Client, Folder, Process, eventually};

/// A shop that keeps its sessions there. The URL goes by the environment, as one with a password
/// should.
fn shop(name: &str, keep: &str) -> Process {
    shop_with(name, keep, "", &[])
}

fn shop_with(name: &str, keep: &str, flags: &str, variables: &[(&str, &str)]) -> Process {
    let arguments = format!("app --listen 127.0.0.1:0 --name {name} {flags}");
    let variables: Vec<_> = variables.iter().copied().chain([("ABIDE_KEEP", keep)]).collect();
    Process::start_with(&arguments, &variables)
}

/// Runs `abide` with these arguments and this place, which can not be used, until it ends.
fn refused(arguments: &str, keep: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
    command.args(arguments.split_whitespace()).env("ABIDE_KEEP", keep).env("RUST_LOG", "warn");
    command.env_remove("ABIDE_KEYS").stdin(Stdio::null()).output().unwrap()
}

/// The one line on standard error of an app that ends at once with status 1 and has said nothing on
/// standard output.
fn told(keep: &str) -> String {
    let app = refused("app --listen 127.0.0.1:0", keep);
    let text = String::from_utf8(app.stderr).unwrap();
    assert_eq!(app.status.code(), Some(1), "{text}");
    assert!(app.stdout.is_empty(), "it is not ready");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains("hunter2"), "a password in {text}");
    // The demo says the same, once, before it has started anything.
    let demo = refused("demo --listen 127.0.0.1:0", keep);
    assert_eq!((demo.status.code(), demo.stdout.as_slice()), (Some(1), &b""[..]));
    assert_eq!(String::from_utf8(demo.stderr).unwrap(), text);
    text.trim_end().strip_prefix("error: ").expect(&text).to_owned()
}

fn user(client: &mut Client) -> Value {
    client.get("/api/me").json()["user"].clone()
}

/// The same visitor at another server.
fn at(client: &Client, shop: &Process) -> Client {
    let mut other = Client::new(shop.listen());
    other.cookies = client.cookies.clone();
    other
}

/// Who signs in at one server is known at the other, also when the first is killed, and after a
/// logout at neither.
fn two_servers_share(keep: &str) {
    let (mut a, b) = (shop("a", keep), shop("b", keep));
    let mut client = Client::new(a.listen());
    client.post("/api/login?user=ada");
    client.post("/api/set?k=colour&v=green");
    let mut at_b = at(&client, &b);
    assert_eq!(user(&mut at_b), "ada", "{keep}");
    assert_eq!(at_b.get("/api/get?k=colour").text("value"), "green");
    a.kill();
    assert_eq!(at_b.get("/api/me").json(), json!({ "user": "ada", "server": "b" }));
    for number in 1..=3 {
        assert_eq!(at_b.post("/api/incr?k=n").json()["value"], number);
    }
    let again = shop("a", keep);
    let mut copy = at(&at_b, &again);
    assert_eq!(copy.get("/api/get?k=n").json()["value"], 3, "a restart loses nothing");
    at_b.post("/api/logout");
    assert!(!at_b.cookies.contains_key("abide"));
    assert_eq!(user(&mut copy), Value::Null, "a copy is worth nothing there, {keep}");
    assert_eq!(user(&mut at(&copy, &b)), Value::Null, "nor here");
    assert_eq!(Client::new(again.listen()).get("/ready").status, 200);
}

#[test]
fn two_servers_share_a_file_of_sqlite() {
    let folder = Folder::new("sqlite");
    two_servers_share(&format!("sqlite://{}/sessions.db", folder.path().display()));
}

#[test]
fn two_servers_share_postgresql() {
    let server = Postgres::fast();
    two_servers_share(&server.url());
}

#[test]
fn two_servers_share_mariadb() {
    let server = MariaDb::fast();
    two_servers_share(&server.url());
}

#[test]
fn two_servers_share_redis() {
    two_servers_share(&Redis::start().url());
}

#[test]
fn two_servers_share_redis_behind_sentinels() {
    two_servers_share(&RedisSentinel::start().url());
}

#[test]
fn two_servers_share_a_cluster_of_redis() {
    two_servers_share(&RedisCluster::start(3).url());
}

#[test]
fn two_servers_share_memcached() {
    let servers = [Memcached::start(), Memcached::start()];
    two_servers_share(&Memcached::url_of(&servers));
}

#[test]
fn while_the_store_is_away_answers_are_503_and_then_all_is_as_before() {
    let mut redis = Redis::durable();
    let shop = shop("a", &redis.url());
    let mut client = Client::new(shop.listen());
    client.post("/api/login?user=ada");
    assert_eq!(client.get("/ready").status, 200);
    redis.kill();
    let answer = client.get("/api/me");
    assert_eq!(answer.status, 503);
    assert!(answer.field("retry-after").is_some());
    assert_eq!(client.post("/api/set?k=a&v=b").status, 503, "what is not kept is not promised");
    assert_eq!(client.get("/ready").status, 503);
    assert_eq!(client.get("/health").status, 200, "a restart of this process would help nobody");
    assert_eq!(client.get("/api/plain").status, 200, "who needs no session needs no store");
    assert_eq!(client.get("/").status, 200, "the page is there too");
    redis.restart();
    eventually("the store to be back", || (client.get("/api/me").status == 200).then_some(()));
    assert_eq!(user(&mut client), "ada", "nobody was signed out");
    assert_eq!(client.post("/api/set?k=a&v=b").status, 200);
    assert_eq!(client.get("/ready").status, 200);
}

#[test]
fn a_database_that_was_restarted_is_found_again() {
    let mut postgres = Postgres::start();
    let shop = shop("a", &postgres.url());
    let mut client = Client::new(shop.listen());
    client.post("/api/login?user=ada");
    postgres.kill();
    assert_eq!(client.get("/api/me").status, 503);
    postgres.restart();
    eventually("the store to be back", || (client.get("/api/me").status == 200).then_some(()));
    assert_eq!(user(&mut client), "ada");
}

#[test]
fn a_store_that_can_not_be_used_is_one_line_and_nothing_is_started() {
    let address = abide_servers::free_port().address();
    for keep in [
        format!("redis://app:hunter2@{address}"),
        format!("postgres://app:hunter2@{address}/shop"),
        format!("mysql://app:hunter2@{address}/shop"),
        format!("memcached://{address}"),
        format!("redis+cluster://:hunter2@{address}"),
        format!("redis+sentinel://:hunter2@{address}/mymaster"),
        "sqlite:///no/such/folder/sessions.db".to_owned(),
    ] {
        let told = told(&keep);
        let place = if keep.starts_with("sqlite") { "/no/such/folder" } else { &address };
        assert!(told.contains(place), "{keep}: {told}");
    }
}

#[test]
fn a_wrong_password_or_database_is_said_as_what_it_is() {
    let redis = RedisSetup {
        acl: vec!["user app on >right ~abide:* +@all".to_owned()],
        ..RedisSetup::default()
    };
    let redis = redis.start();
    let told_by_redis = told(&redis.url_as("app", "hunter2"));
    assert!(told_by_redis.contains("refuses"), "{told_by_redis}");
    let postgres = Postgres::fast();
    let told_by_postgres = told(&postgres.url_of("nowhere"));
    assert!(told_by_postgres.contains("nowhere"), "{told_by_postgres}");
    let mariadb = MariaDb::fast();
    let told_by_mariadb = told(&mariadb.url_as("nobody", "hunter2", "abide"));
    assert!(told_by_mariadb.contains("nobody"), "{told_by_mariadb}");
}

#[test]
fn a_schema_of_a_newer_version_is_refused_and_stays_as_it_is() {
    let postgres = Postgres::fast();
    drop(shop("a", &postgres.url()));
    let database = postgres.url();
    let (_, database) = database.rsplit_once('/').unwrap();
    postgres.sql(database, "UPDATE abide_schema SET version = 9000");
    let told = told(&postgres.url());
    assert!(told.contains("9000"), "{told}");
    assert!(postgres.sql(database, "SELECT version FROM abide_schema").contains("9000"));
}

#[test]
fn a_url_that_its_store_does_not_understand_is_wrong_configuration() {
    let output = refused("app --listen 127.0.0.1:0", "redis://127.0.0.1:6379/database");
    assert_eq!(output.status.code(), Some(64));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_killed_server_of_the_demo_takes_nothing_with_it_if_sessions_are_in_sqlite() {
    let folder = Folder::new("demo-sqlite");
    let keep = format!("sqlite://{}/sessions.db", folder.path().display());
    let demo = Process::start(&format!("demo --listen 127.0.0.1:0 --keep {keep}"));
    assert_eq!(demo.ready()["keep"], keep);
    let mut client = Client::new(demo.listen());
    client.fields.push_str("X-Abide-Demo: 1\r\n");
    client.post("/shop/login?user=ada");
    client.post("/shop/cart?item=teapot&add=2");
    let expected = |server: &str| {
        json!({
            "server": server, "kept": "sqlite", "user": "ada", "visits": 0, "cart": { "teapot": 2 },
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
        "Server {home} ended without our doing. It held no sessions: all are in SQLite, which every \
         server reads. Nobody lost anything."
    );
    assert_eq!(told, expected_text);
    assert_eq!(client.post(&format!("/demo/start?server={home}")).status, 200);
    let events = client.get("/demo/state").json()["events"].to_string();
    assert!(events.contains("was started again, and finds every session in SQLite."), "{events}");
    client.post("/shop/logout");
    assert_eq!(client.get("/shop/state").json()["user"], Value::Null);
}

#[test]
fn a_password_of_a_store_is_shown_nowhere() {
    let redis = RedisSetup {
        acl: vec!["user app on >hunter2 ~* &* +@all".to_owned()],
        ..RedisSetup::default()
    };
    let redis = redis.start();
    let keep = redis.url_as("app", "hunter2");
    let demo = Process::start_with(
        "demo --listen 127.0.0.1:0 --servers 2",
        &[("ABIDE_KEEP", &keep), ("RUST_LOG", "debug")],
    );
    assert_eq!(demo.ready()["keep"], format!("redis://{}", redis.address()));
    let shops = demo.ready()["servers"].as_array().unwrap();
    let mut shown = demo.ready().to_string();
    for shop in shops {
        let mut client = Client::new(shop["listen"].as_str().unwrap().parse().unwrap());
        for target in ["/", "/status", "/ready", "/metrics", "/shop/state", "/api/me"] {
            shown += &String::from_utf8(client.get(target).body).unwrap();
        }
    }
    let pids = shops.iter().map(|shop| &shop["pid"]).chain([&demo.ready()["balancer_pid"]]);
    for pid in pids {
        shown += &String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap());
    }
    let balancer = &demo.ready()["balancer_pid"];
    shown += &String::from_utf8_lossy(&std::fs::read(format!("/proc/{balancer}/environ")).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_password_in_a_flag_is_warned_of() {
    let redis = Redis::with(&["--requirepass", "hunter2"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide"));
    command.args(["app", "--listen", "127.0.0.1:0", "--exit-with-stdin", "--keep", &redis.url()]);
    command.env("RUST_LOG", "trace");
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("a flag of this process holds a password"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn with_sealed_before_the_url_a_value_can_not_be_read_in_the_store() {
    let folder = Folder::new("sealed-sqlite");
    let secret = "the-word-that-nobody-may-read";
    let stored = |keep: &str, file: &str, keys: &str| {
        let keep = format!("{keep}://{}/{file}", folder.path().display());
        let flags = [("ABIDE_KEYS", keys)];
        let (a, b) = (shop_with("a", &keep, "", &flags), shop_with("b", &keep, "", &flags));
        let mut client = Client::new(a.listen());
        client.post("/api/login?user=ada");
        client.post(&format!("/api/set?k=word&v={secret}"));
        assert_eq!(at(&client, &b).get("/api/get?k=word").text("value"), secret);
        let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let of_store = files.filter(|path| path.display().to_string().contains(file));
        let bytes: Vec<u8> = of_store.flat_map(|path| std::fs::read(path).unwrap()).collect();
        bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    };
    let keys = keygen();
    assert!(stored("sqlite", "plain.db", &keys), "or this test looks in the wrong place");
    assert!(!stored("sealed+sqlite", "sealed.db", &keys));
}

#[test]
fn the_metrics_of_a_shop_count_what_its_store_was_asked() {
    let redis = Redis::start();
    let shop = shop("a", &redis.url());
    let mut client = Client::new(shop.listen());
    client.post("/api/login?user=ada");
    client.get("/api/me");
    client.get("/api/plain");
    let text = String::from_utf8(client.get("/metrics").body).unwrap();
    for line in [
        "abide_session_created_total 1",
        "abide_store_operations_total{store=\"redis\",operation=\"create\",outcome=\"ok\"} 1",
        "abide_store_operations_total{store=\"redis\",operation=\"load\",outcome=\"ok\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}
