//! Real servers, struck while clients use them: what was acknowledged stays, and nobody waits for long.
//!
//! One test after the other, in whatever process: two at once would measure each other.

#![expect(clippy::unwrap_used, reason = "panics as tests do")]
#![expect(clippy::print_stdout, reason = "the figures are worth reading where nothing failed, too")]

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use abide_chaos::{Fault, Keep, Plan, Report, Run, abide_of_this_build, logs};

/// After these nobody waits for a second, whichever way they come.
const SHARP: [Fault; 4] = [Fault::Kill, Fault::RestartEmpty, Fault::SecondKill, Fault::Rolling];
/// The longest wait in milliseconds.
const STALL_MS: u64 = 1_000;
/// A machine that is further behind in any round says nothing of how long somebody waits.
const BEHIND_MS: u64 = 250;
/// Runs until one was on a machine that had time.
const TRIES: u64 = 4;
/// Longer than servers take to come up.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_lose_nothing_whatever_happens_to_them() {
    strike(2, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_lose_nothing_whatever_happens_to_them() {
    strike(3, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_servers_lose_nothing_whatever_happens_to_them() {
    strike(5, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sides_of_a_cut_become_one_and_lose_nothing_whether_one_hears_the_other_or_not() {
    let _alone = alone();
    for nodes in [2, 3] {
        nothing_is_lost(nodes, &[Fault::Cut, Fault::CutOneWay], Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_disks_that_are_all_killed_come_back_with_everything() {
    let _alone = alone();
    for nodes in [1, 2, 3] {
        nothing_is_lost(nodes, &[Fault::KillAll], Duration::from_secs(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_server_joins_and_the_first_two_go_and_come_and_nothing_is_lost() {
    let _alone = alone();
    nothing_is_lost(2, &[Fault::Join], Duration::ZERO).await;
}

/// Each fault once, and again and again for so long.
async fn nothing_is_lost(nodes: usize, faults: &[Fault], time: Duration) {
    let folder = logs(None).unwrap();
    let abide = abide_of_this_build().unwrap();
    let mut plan = Plan::new(abide, folder.path().to_owned(), nodes, faults);
    plan.time = time;
    let run = Run::new(plan);
    let outcome = run.go().await;
    let report = run.report();
    println!("{report}");
    assert!(outcome == Ok(()) && report.is_good(), "{outcome:?}\n{report}");
    assert!(report.faults.iter().all(|row| row.acknowledged > 0), "no traffic: {report}");
    assert!(report.faults.iter().any(|row| row.renewed > 0), "no renewals: {report}");
    folder.remove();
}

/// Each fault once. Nothing may be lost in any run. How long anybody waited is told by one on a machine
/// that had time for it.
async fn strike(nodes: usize, seed: u64) {
    let _alone = alone();
    for more in 0..TRIES {
        let report = strike_once(nodes, seed + more).await;
        assert!(report.is_good(), "{report}");
        for row in &report.faults {
            assert!(row.acknowledged > 0 && row.renewed > 0, "no traffic: {row}");
        }
        if report.faults.iter().all(|row| row.behind_ms < BEHIND_MS) {
            return check_times(&report);
        }
    }
    panic!("{TRIES} runs, and each time the machine had so much other work that times say nothing");
}

async fn strike_once(nodes: usize, seed: u64) -> Report {
    let folder = logs(None).unwrap();
    let faults = [&SHARP[..], &[Fault::Pause]].concat();
    let abide = abide_of_this_build().unwrap();
    let mut plan = Plan::new(abide, folder.path().to_owned(), nodes, &faults);
    plan.seed = seed;
    let run = Run::new(plan);
    let outcome = run.go().await;
    let report = run.report();
    println!("{report}");
    if outcome.is_ok() && report.is_good() {
        folder.remove();
    } else {
        println!("the logs of the servers are in {}", folder.path().display());
    }
    assert_eq!(outcome, Ok(()), "{report}");
    report
}

fn check_times(report: &Report) {
    for fault in SHARP {
        let row = report.of(fault).expect("it was done");
        assert_eq!(row.hung, 0, "after {}:\n{report}", row.fault);
        assert!(row.stall_all.count > 0 && row.stall_all.worst_ms < STALL_MS, "{row}\n{report}");
    }
    // What goes through the balancer to a server that hangs waits for it: nobody else has the request.
    let row = report.of(Fault::Pause).expect("it was done");
    assert!(row.stall_direct.count > 0 && row.stall_direct.worst_ms < STALL_MS, "{row}\n{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_keep_no_copies_are_found_to_lose_everything() {
    let _alone = alone();
    let folder = logs(None).unwrap();
    let abide = abide_of_this_build().unwrap();
    let mut plan = Plan::new(abide, folder.path().to_owned(), 2, &[Fault::RestartEmpty]);
    plan.keep = Keep::Memory;
    let run = Run::new(plan);
    let outcome = run.go().await;
    let report = run.report();
    assert_eq!(outcome, Ok(()), "{report}");
    assert!(!report.is_good(), "{report}");
    let row = report.of(Fault::RestartEmpty).expect("it was done");
    assert!(row.lost > 0 && row.sessions_lost > 0 && row.stale > 0, "{report}");
    assert!(!report.stories.is_empty(), "{report}");
    folder.remove();
}

#[test]
fn the_program_says_what_was_lost_as_json() {
    let _alone = alone();
    let output = program(&["--seconds=0", "--faults=kill", "--clients=4", "--json"]).output();
    let output = output.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["nodes"].as_u64(), json["faults"][1]["lost"].as_u64()), (Some(2), Some(0)));
    assert_eq!(json["faults"][1]["fault"], "kill");
    assert!(json["faults"][1]["acknowledged"].as_u64() > Some(0), "{json}");
}

#[test]
fn ctrl_c_ends_it_with_the_report_so_far() {
    let _alone = alone();
    let mut child = paused_in_the_middle();
    send("-INT", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let output = std::io::read_to_string(child.stdout.take().unwrap()).unwrap();
    assert!(output.contains("2 servers, 24 clients") && output.contains("pause"), "{output}");
}

#[test]
fn no_server_stays_however_the_program_ends() {
    let _alone = alone();
    for signal in ["-INT", "-KILL"] {
        let mut child = paused_in_the_middle();
        let pids = children_of(child.id());
        assert!(pids.iter().filter(|pid| is_abide(**pid)).count() >= 3, "{pids:?}");
        send(signal, child.id());
        child.wait().unwrap();
        let gone = || pids.iter().all(|pid| !is_abide(*pid)).then_some(());
        assert_eq!(abide_servers::until(PATIENCE, gone), Some(()), "after {signal}: {pids:?}");
    }
}

/// A run whose servers are there, one of them paused.
fn paused_in_the_middle() -> Child {
    let child = program(&["--seconds=600", "--faults=pause"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_paused = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.contains("State:\tT")
    };
    let paused = || children_of(child.id()).iter().any(is_paused).then_some(());
    assert_eq!(abide_servers::until(PATIENCE, paused), Some(()), "nobody was paused");
    child
}

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn program(arguments: &[&str]) -> Command {
    abide_of_this_build().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_abide-chaos"));
    command.args(arguments);
    command
}

fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |pid: &u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

/// Whether a process is there and is one of these, not another that got its number since.
fn is_abide(pid: u32) -> bool {
    let command = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.contains("--exit-with-stdin")
}

/// Waits until no other test measures how servers fare, in whatever process, and keeps it so while what
/// it gives lives. It is the same file as that of `testing/stores`.
fn alone() -> File {
    let path = std::env::temp_dir().join("abide-stores-alone");
    let file = File::options().create(true).append(true).open(path).unwrap();
    file.lock().unwrap();
    file
}
