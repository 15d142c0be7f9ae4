//! The program, as its users run it.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

fn sim(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide-sim"));
    command.args(arguments).env_remove("SIM_SEED");
    command
}

fn output_of(arguments: &[&str]) -> (Output, String) {
    let output = sim(arguments).output().expect("it runs");
    let text = String::from_utf8(output.stdout.clone()).expect("it speaks UTF-8");
    (output, text)
}

#[test]
fn ctrl_c_prints_what_the_runs_so_far_have_seen() {
    let mut child = sim(&["--seeds", "1000000", "--seconds", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "50 runs");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains(" of 1000000 runs of 1 s, nothing broken"), "{text}");
    assert!(text.contains("  answers: full"), "{text}");
}

#[test]
fn what_breaks_is_told_with_the_command_that_does_it_again() {
    let (output, text) = output_of(&["--seed", "1", "--seeds", "9", "--mutant", "0"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let last = text.lines().last().unwrap();
    let again = last.strip_prefix("cargo run -p abide-sim --release -- ").unwrap();
    let again: Vec<&str> = again.split(' ').collect();
    assert_eq!(output_of(&again).1, text);
}

#[test]
fn a_large_cluster_is_measured_as_a_table_and_as_json() {
    let (_, table) = output_of(&["scale", "--nodes", "2,4", "--sessions", "500"]);
    assert!(table.starts_with("500 sessions\n\n| nodes | 2 | 4 |\n|---|---|---|\n"), "{table}");
    let (_, json) = output_of(&["scale", "--nodes", "4", "--sessions", "500", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of = |key: &str| all[0][key].clone();
    assert_eq!(of("nodes"), 4);
    assert_eq!(of("slots_led")["mean"], 1024.0);
    assert_eq!(of("copies")["mean"], 250.0);
    // Who is well and idle says nothing but that it is there.
    assert_eq!(of("idle_letters"), 60.0);
    assert_eq!(of("idle_others"), 0.0);
    assert_eq!(of("read_at_leader"), serde_json::json!([0.0, 0.0]));
    assert_eq!(of("write_at_leader")[0], 2.0);
    // What comes or goes moves its own entries and no others.
    for key in ["death_entries", "arrival_entries", "departure_entries"] {
        assert_eq!(of(key)[0], of(key)[1], "{key}");
        assert!(of(key)[0].as_f64().unwrap() > 150.0, "{key}");
    }
}

#[test]
fn more_nodes_than_a_roster_may_have_are_refused() {
    let output = sim(&["scale", "--nodes", "1000"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("a cluster has 2 to "));
}
