//! Every server comes up, does what the harness says, comes back after a kill, and is gone when its
//! value is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use abide_servers::{
    Haproxy, MariaDb, Memcached, Nginx, Postgres, Redis, RedisCluster, RedisSentinel, RedisSetup,
    WireCount, until,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn redis_comes_back_after_a_kill_with_what_it_wrote_to_disk() {
    let mut redis = Redis::durable();
    redis.cli(&["SET", "key", "value"]);
    redis.kill();
    assert!(redis.try_cli(&["GET", "key"]).is_err());
    redis.restart();
    assert_eq!(redis.cli(&["GET", "key"]), "value");
    let folder = redis.folder().to_owned();
    drop(redis);
    assert!(!folder.exists());
}

#[test]
fn redis_hangs_and_goes_on() {
    let redis = Redis::start();
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    redis.stop();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    assert!(stream.read_exact(&mut answer).is_err());
    redis.cont();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[test]
fn redis_knows_passwords_and_users() {
    let redis = Redis::with(&["--requirepass", "hidden"]);
    assert_eq!(redis.cli(&["PING"]), "PONG");
    assert!(redis.url().contains(":hidden@"));
    let acl = vec!["user app on >secret ~abide:* +@all".to_owned()];
    let redis = RedisSetup { acl, ..RedisSetup::default() }.start();
    assert!(redis.cli(&["ACL", "LIST"]).contains("user app on"));
}

#[test]
fn redis_listens_for_tls() {
    let redis = Redis::tls();
    let address = redis.tls_url().replace("rediss://", "");
    let authority = redis.certificates().authority.display().to_string();
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address, "-CAfile", &authority, "-verify_return_error"])
        .args(["-verify_hostname", "localhost"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("Verification: OK"), "{said}");
}

#[test]
fn a_replica_has_what_its_primary_has_and_refuses_writes() {
    let primary = Redis::start();
    primary.cli(&["SET", "key", "value"]);
    let replica = Redis::replica_of(&primary);
    assert_eq!(replica.cli(&["GET", "key"]), "value");
    assert!(replica.try_cli(&["SET", "key", "other"]).unwrap_err().contains("READONLY"));
}

#[test]
fn valkey_is_valkey() {
    let valkey = Redis::valkey();
    assert!(valkey.info("valkey_version").starts_with("9."));
}

#[test]
fn sentinels_make_the_replica_the_primary_when_that_is_killed() {
    let mut group = RedisSentinel::start();
    let killed = group.kill_primary();
    let other = until(PATIENCE, || group.primary().filter(|primary| *primary != killed));
    assert!(other.is_some());
    group.servers_mut()[killed].restart();
    group.await_replication();
}

#[test]
fn a_cluster_serves_all_slots_and_replaces_a_killed_primary() {
    let mut cluster = RedisCluster::start(6);
    assert_eq!(cluster.primaries().len(), 3);
    let place = cluster.primary_of("key");
    cluster.nodes_mut()[place].kill();
    let replaced = until(PATIENCE, || (cluster.primaries().len() == 3).then_some(()));
    assert!(replaced.is_some());
    cluster.await_agreement();
    cluster.nodes_mut()[place].restart();
    cluster.await_agreement();
}

#[test]
fn valkey_forms_a_cluster() {
    assert_eq!(RedisCluster::valkey(3).primaries().len(), 3);
}

#[test]
fn postgres_comes_back_after_a_kill_with_what_was_committed() {
    let mut postgres = Postgres::fast();
    postgres.sql("abide", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)");
    postgres.kill();
    assert!(postgres.try_sql("abide", "SELECT 1").is_err());
    postgres.restart();
    assert_eq!(postgres.sql("abide", "SELECT n FROM t"), "7");
    postgres.new_database("other");
    assert_eq!(postgres.sql("other", "SELECT 1"), "1");
}

#[test]
fn a_standby_of_postgres_refuses_writes() {
    let primary = Postgres::fast();
    let standby = Postgres::standby_of(&primary);
    assert_eq!(standby.sql("abide", "SELECT pg_is_in_recovery()"), "t");
    assert!(standby.try_sql("abide", "CREATE TABLE t (n int)").unwrap_err().contains("read-only"));
}

#[test]
fn mariadb_comes_back_after_a_kill_with_what_was_committed() {
    let mut mariadb = MariaDb::fast();
    mariadb.sql("abide", "CREATE TABLE t (n int); INSERT INTO t VALUES (7)");
    mariadb.kill();
    assert!(mariadb.try_sql("abide", "SELECT 1").is_err());
    mariadb.restart();
    assert_eq!(mariadb.sql("abide", "SELECT n FROM t"), "7");
    mariadb.new_database("other");
    assert_eq!(mariadb.sql("other", "SELECT 1"), "1");
}

#[test]
fn a_disk_of_its_own_is_full_when_it_is() {
    let postgres = Postgres::on_disk_of(80);
    postgres.sql("abide", "CREATE TABLE t (text text)");
    let fill = "INSERT INTO t SELECT repeat(md5(n::text), 60) FROM generate_series(1, 20000) n";
    let refused = (0..8).find_map(|_| postgres.try_sql("abide", fill).err());
    assert!(refused.unwrap().contains("No space left on device"));
    let mariadb = MariaDb::on_disk_of(100);
    mariadb.sql("abide", "CREATE TABLE t (text longblob)");
    let fill = "INSERT INTO t VALUES (repeat('x', 9000000))";
    assert!((0..20).any(|_| mariadb.try_sql("abide", fill).is_err()));
}

#[test]
fn memcached_comes_back_empty_after_a_kill() {
    let mut memcached = Memcached::with(&["-m", "8"]);
    let mut stream = TcpStream::connect(memcached.address()).unwrap();
    stream.write_all(b"set key 0 0 1\r\nv\r\n").unwrap();
    let mut stored = [0; 8];
    stream.read_exact(&mut stored).unwrap();
    assert_eq!((&stored, memcached.stat("curr_items")), (b"STORED\r\n", 1));
    memcached.kill();
    memcached.restart();
    assert_eq!(memcached.stat("curr_items"), 0);
}

#[test]
fn nginx_and_haproxy_serve_what_they_are_configured_to() {
    let nginx = Nginx::start(|port| {
        format!(
            "events {{}}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port};\n\
             location / {{ return 200 hello; }} }} }}\n"
        )
    });
    let haproxy = Haproxy::start(|port| {
        let times = "timeout connect 5s\ntimeout client 5s\ntimeout server 5s";
        let upstream = nginx.address();
        format!(
            "defaults\nmode http\n{times}\nfrontend f\nbind 127.0.0.1:{port}\ndefault_backend b\n\
             backend b\nserver one {upstream}\n"
        )
    });
    let mut stream = TcpStream::connect(haproxy.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("hello"), "{text}");
}

#[test]
fn the_counting_proxy_counts_how_often_a_client_waits() {
    let redis = Redis::start();
    let wire = WireCount::in_front_of(&redis.address());
    let mut stream = TcpStream::connect(wire.address()).unwrap();
    let mut answer = [0; 7];
    for _ in 0..3 {
        stream.write_all(b"PING\r\n").unwrap();
        stream.read_exact(&mut answer).unwrap();
    }
    let before = wire.total();
    assert_eq!((before.round_trips, before.bytes_to_server, before.bytes_to_client), (3, 18, 21));
    // Two commands at once are one wait.
    stream.write_all(b"PING\r\nPING\r\n").unwrap();
    stream.read_exact(&mut answer).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(wire.total().since(before).round_trips, 1);
    wire.cut();
    assert_eq!(stream.read(&mut answer).unwrap(), 0);
}

#[test]
fn a_killed_test_leaves_nothing() {
    // The test that is killed is this one, in another process.
    if let Some(file) = std::env::var_os("ABIDE_SERVERS_TELL") {
        let redis = Redis::start();
        let told = format!("{}\n{}\n", redis.process(), redis.folder().display());
        std::fs::write(file, told).unwrap();
        std::thread::park();
    }
    let file = std::env::temp_dir().join(format!("abide-servers-tell-{}", std::process::id()));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_test_leaves_nothing"])
        .env("ABIDE_SERVERS_TELL", &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let told = until(PATIENCE, || {
        let text = std::fs::read_to_string(&file).ok()?;
        (text.lines().count() == 2).then_some(text)
    });
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_file(&file).unwrap();
    let told = told.unwrap();
    let mut lines = told.lines();
    let process = format!("/proc/{}", lines.next().unwrap());
    let folder = lines.next().unwrap();
    let gone = || !Path::new(&process).exists() && !Path::new(folder).exists();
    assert!(until(PATIENCE, || gone().then_some(())).is_some(), "{process} {folder}");
}
