use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use abide_keys::Key;

use super::*;
use crate::configuration::Place;
use crate::configuration::keys::{KEYS, Shape};

const EXAMPLE: &str = include_str!("../../../../../examples/abide.toml");

/// Settles a file's text (none if empty) and flags written as `key value`, one a line.
fn settled(text: &str, flags: &str) -> Result<Settings, Vec<String>> {
    settled_with(text, flags, None)
}

fn settled_with(text: &str, flags: &str, keys: Option<&str>) -> Result<Settings, Vec<String>> {
    let key = Key::new([0; Key::BYTES]).expose().to_string();
    let files = BTreeMap::from([
        ("abide.toml", text.to_owned()),
        ("/etc/abide/keys", format!("# ours\n{key}\n\n")),
        ("/etc/abide/admin-token", "0123456789abcdef0123\n".to_owned()),
        ("short", "abc".to_owned()),
    ]);
    let read = |path: &Path| {
        let found = path.to_str().and_then(|path| files.get(path)).cloned();
        found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let flag = |line: &str| {
        let (name, text) = line.trim().split_once(' ').unwrap();
        let key = KEYS.iter().find(|key| key.name == name).unwrap().name;
        Written { key, text: text.to_owned(), place: Place::Flag }
    };
    let flags: Vec<Written> =
        flags.lines().filter(|line| !line.trim().is_empty()).map(flag).collect();
    let surroundings = Surroundings {
        keys: keys.map(str::to_owned),
        read: &read,
        random: [7; Key::BYTES],
        cores: NonZeroUsize::new(2).unwrap(),
    };
    let path = (!text.is_empty()).then(|| Path::new("abide.toml"));
    settle(path, &flags, &surroundings)
        .map_err(|problems| problems.as_slice().iter().map(ToString::to_string).collect())
}

#[test]
fn the_example_is_the_defaults() {
    let example = settled(EXAMPLE, "").unwrap();
    let defaults = settled("", "server a=127.0.0.1:8081\nserver b=127.0.0.1:8082").unwrap();
    assert_eq!(format!("{example:#?}"), format!("{defaults:#?}"));
}

#[test]
fn the_example_has_every_key_and_each_that_is_off_can_be_switched_on() {
    for key in KEYS {
        let line = format!("{} = {}", key.name, key.example);
        if EXAMPLE.contains(&format!("\n{} = ", key.name)) {
            continue;
        }
        let off = format!("\n#{line}\n");
        assert!(EXAMPLE.contains(&off), "examples/abide.toml needs a line `#{line}`");
        settled(&EXAMPLE.replace(&off, &format!("\n{line}\n")), "").expect(key.name);
    }
}

/// `UPDATE=1` rewrites the table.
#[test]
fn the_manual_has_every_key_with_its_default_and_limit() {
    const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operate/configure.md");
    const BEGIN: &str = "<!-- keys: from bin/abide/src/configuration/keys.rs -->\n";
    const END: &str = "<!-- end of keys -->\n";
    let mut table = String::from("| key | meaning | default | values |\n|--|--|--|--|\n");
    for key in KEYS {
        let cell = |text: &str| text.replace('|', "\\|");
        let many = if key.shape == Shape::Many { " (list)" } else { "" };
        let (meaning, default) = (cell(key.meaning), cell(key.default));
        let row = format!("| `{}`{many} | {meaning} | {default} | {} |", key.name, cell(key.limit));
        writeln!(table, "{row}").unwrap();
    }
    let manual = std::fs::read_to_string(MANUAL).unwrap();
    let (before, rest) = manual.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}{table}{END}{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(MANUAL, &expected).unwrap();
    }
    let is_current = manual == expected || std::env::var_os("UPDATE").is_some();
    assert!(is_current, "docs/operate/configure.md is behind; run this test with UPDATE=1");
}

#[test]
fn every_example_of_a_key_is_right() {
    for key in KEYS {
        let server = if key.name == "server" { "" } else { "server = [\"a=127.0.0.1:1\"]\n" };
        settled(&format!("{server}{} = {}", key.name, key.example), "").expect(key.name);
    }
}

#[test]
fn a_flag_wins_over_the_file_and_a_list_replaces_the_whole_list() {
    let file = "listen = \"127.0.0.1:1\"\npool = \"blue\"\nserver = [\"a=127.0.0.1:8081\"]\n";
    let settings = settled(file, "listen 127.0.0.1:2\nserver b=127.0.0.1:3").unwrap();
    assert_eq!(settings.balancer.listen.port(), 2);
    assert_eq!(settings.balancer.pool, "blue");
    let names: Vec<&str> = settings.balancer.servers.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["b"]);
}

#[test]
fn all_errors_come_at_once_with_their_lines() {
    let file = "\
lisen = \"127.0.0.1:8080\"
threads = 0
server = [
  \"a=127.0.0.1:8081\",
  \"b=127.0.0.1:8082,weight=0\",
  \"a=127.0.0.1:8083\",
]
strict = \"yes\"
what is this
";
    let problems = settled(file, "balance luck").unwrap_err();
    let expected = [
        "abide.toml:1: lisen: this key is not known; did you mean `listen`?",
        "abide.toml:2: threads: 0 is out of range; write a whole number from 1 to 256",
        "abide.toml:5: server: `0` is no weight; write a whole number from 1 to 100, as in weight=2",
        "abide.toml:6: server: the name `a` is taken by another server; give each server a name of its own",
        "abide.toml:8: strict: this is a text, not true or false; write `strict = false`",
    ];
    for line in expected {
        assert!(problems.contains(&line.to_owned()), "{line}\nis not in {problems:#?}");
    }
    assert!(problems.iter().any(|line| line.starts_with("abide.toml:9: this is not TOML")));
    assert!(problems.iter().any(|line| line.starts_with("--balance: `luck`")), "{problems:#?}");
}

#[test]
fn what_only_the_whole_shows_is_an_error_too() {
    let one = "server a=127.0.0.1:8081\n";
    for (flags, expected) in [
        (String::new(), "there is no server to send requests to"),
        (format!("{one}admin 0.0.0.0:9090"), "--admin: 0.0.0.0:9090 can be reached"),
        (format!("{one}admin 127.0.0.1:8080"), "--admin: 127.0.0.1:8080 is where clients connect"),
        (
            format!("{one}server b=127.0.0.1:8080"),
            "--server: 127.0.0.1:8080 is this balancer's own",
        ),
        (format!("{one}cookie-same-site none"), "--cookie-same-site: browsers drop"),
        (format!("{one}cookie-partitioned true"), "--cookie-partitioned: browsers drop"),
        (format!("{one}cookie-name __Host-x"), "--cookie-name: browsers drop"),
        (
            format!("{one}cookie-name __Host-x\ncookie-secure always\ncookie-domain a.example"),
            "--cookie-domain: browsers drop",
        ),
        (format!("{one}cookie-life-seconds 60"), "--cookie-life-seconds: 60 is out of range"),
        (format!("{one}affinity sticky\naffinity sticky"), "--affinity: `sticky` is named twice"),
        (format!("{one}keys-file missing"), "--keys-file: can not read `missing`"),
        (format!("{one}keys-file short"), "--keys-file: line 1 of short is not a key"),
        (format!("{one}admin-token-file short"), "--admin-token-file: `short` holds no token"),
    ] {
        let problems = settled("", &flags).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(expected), "{problems:?}\nis not {expected}");
    }
}

#[test]
fn wrong_values_of_each_kind_say_what_to_write() {
    for (flag, expected) in [
        ("listen here", "`here` is not an address; write an IP address and a port"),
        ("server a", "`a` has no name; write NAME=ADDRESS"),
        ("server a b=127.0.0.1:1", "`a b` can not be a server's name"),
        ("server a=127.0.0.1:0", "127.0.0.1:0 has no port"),
        ("server a=localhost:8081", ""),
        ("server a=no-such-host.invalid:80", "`no-such-host.invalid` can not be looked up"),
        (
            "server a=two words:80",
            "`two words:80` is not an address; write an IP address or a host",
        ),
        ("server a=127.0.0.1:1,backup", "`backup` is no option of a server"),
        ("affinity cookie", "`cookie` is not a source"),
        ("balance luck", "`luck` is no way to balance; write one of round-robin,"),
        ("check-path health", "`health` is not a path"),
        ("trusted-proxy 10.0.0.0/99", "`10.0.0.0/99` is no address or range"),
        ("cookie-name a=b", "`a=b` can not be a cookie's name"),
        ("cookie-domain -", ""),
        ("cookie-secure maybe", "`maybe` is not known here; write one of by-scheme, always, never"),
        ("log-format xml", "`xml` is not known here; write one of text, json"),
        ("pool a/b", "`a/b` can not be a pool's name"),
        (
            "stop-timeout-ms soon",
            "`soon` is not a whole number; write a whole number from 0 to 3600000",
        ),
    ] {
        let (key, value) = flag.split_once(' ').unwrap();
        let server = if key == "server" { "" } else { "server a=127.0.0.1:1\n" };
        let result = settled("", &format!("{server}{key} {value}"));
        if expected.is_empty() {
            result.unwrap();
            continue;
        }
        let problems = result.unwrap_err();
        assert!(problems[0].starts_with(&format!("--{key}: {expected}")), "{problems:?}");
    }
}

#[test]
fn keys_come_from_a_file_or_the_variable_or_are_drawn_and_no_message_shows_one() {
    let server = "server a=127.0.0.1:8081\n";
    assert!(settled("", server).unwrap().keys_are_new);
    let file = format!("{server}keys-file /etc/abide/keys");
    assert!(!settled_with("", &file, Some("nonsense")).unwrap().keys_are_new);
    let good = Key::new([1; Key::BYTES]).expose().to_string();
    assert!(!settled_with("", server, Some(&good)).unwrap().keys_are_new);
    let damaged = good.replace("AQ", "BQ");
    for bad in [damaged.as_str(), "", "k1.6c.AAAAAAAAAAAAA"] {
        let problems = settled_with("", server, Some(bad)).unwrap_err();
        assert!(problems[0].starts_with("ABIDE_KEYS: "), "{problems:?}");
        assert!(!problems[0].contains("AAAA") && !problems[0].contains("AQEB"), "{problems:?}");
    }
}
