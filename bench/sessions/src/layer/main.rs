//! What a session layer adds to a request: abide beside tower-sessions, each with its store in
//! memory, around the same axum app, called in this process without a network.
//!
//! The app without any layer takes its turns too, and what it needs is taken off the others.

mod apps;
mod session;
mod visitors;

use std::path::PathBuf;
use std::process::ExitCode;

use abide_bench_sessions::report::{Spread, machine, write_json};
use abide_bench_sessions::turns::{Rounds, Turn, take_turns};
use clap::Parser;
use serde::Serialize;

use visitors::Visitors;

/// What a session layer adds to a request: abide beside tower-sessions.
#[derive(Parser, Debug)]
struct Arguments {
    /// Rounds that count; each gives a ratio.
    #[arg(long, default_value_t = 30)]
    rounds: u32,
    /// Turns of each app in a round.
    #[arg(long, default_value_t = 8)]
    turns: u32,
    /// Requests in a turn.
    #[arg(long, default_value_t = 500)]
    requests: u32,
    /// Sessions in each store; requests go round them.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Only kinds of requests whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Writes the figures to this file as well.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What requests do with the session.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    name: &'static str,
    path: &'static str,
    /// Whether they come with the cookie of a live session.
    known: bool,
    /// The ratio to stay below.
    target: Option<f64>,
}

const KINDS: [Kind; 6] = [
    Kind { name: "untouched, no cookie", path: "/untouched", known: false, target: Some(0.5) },
    Kind { name: "untouched", path: "/untouched", known: true, target: Some(0.5) },
    Kind { name: "read a field", path: "/read", known: true, target: Some(0.5) },
    Kind { name: "write a field", path: "/write", known: true, target: Some(0.5) },
    Kind { name: "change a field", path: "/update", known: true, target: None },
    Kind { name: "first visit", path: "/first", known: false, target: None },
];

/// What came of one kind. Times are CPU nanoseconds for a request, over that of the bare app.
#[derive(Debug, Serialize)]
struct Row {
    kind: &'static str,
    bare: Spread,
    abide: Spread,
    tower_sessions: Spread,
    ratio: Spread,
    target: Option<f64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let rounds = Rounds {
        rounds: arguments.rounds.max(1),
        turns: arguments.turns.max(1),
        operations: arguments.requests.max(1),
    };
    println!(
        "{}; {} rounds of {} requests of each kind, {} sessions",
        machine(),
        rounds.rounds,
        rounds.turns * rounds.operations,
        arguments.sessions,
    );
    println!("CPU ns that the layer adds to a request (lowest-highest round)\n");
    println!(
        "{:<22}{:>8}{:>24}{:>26}   {:<20}  target",
        "", "bare", "abide", "tower-sessions", "abide/tower-sessions"
    );
    let mut rows = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| kind.name.contains(&arguments.only)) {
        let row = measure(kind, rounds, arguments.sessions);
        let target = row.target.map_or(String::new(), |target| format!("{target:.2}"));
        println!(
            "{:<22}{:>8.0}{:>24}{:>26}   {:<20}  {target}",
            row.kind,
            row.bare.median,
            whole(row.abide),
            whole(row.tower_sessions),
            row.ratio,
        );
        rows.push(row);
    }
    match write_json(arguments.json.as_deref(), &rows) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the figures could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(kind: Kind, rounds: Rounds, sessions: usize) -> Row {
    let apps: [fn() -> axum::Router; 3] =
        [apps::bare::app, apps::abide::app, apps::tower_sessions::app];
    let mut contestants: Vec<Turn<'_>> = Vec::new();
    for (place, app) in apps.into_iter().enumerate() {
        let mut visitors = Visitors::new(app, sessions);
        if place > 0 {
            visitors.check();
        }
        contestants.push(Box::new(move |requests| visitors.send(kind, requests)));
    }
    let taken = take_turns(&mut contestants, rounds);
    let [bare, abide, tower_sessions] = &taken[..] else { panic!("three apps take turns") };
    let added = |with: &[f64]| -> Vec<f64> {
        with.iter().zip(bare).map(|(with, bare)| with - bare).collect()
    };
    let (abide, tower_sessions) = (added(abide), added(tower_sessions));
    Row {
        kind: kind.name,
        bare: Spread::of(bare.iter().copied()),
        ratio: Spread::of_ratios(&abide, &tower_sessions),
        abide: Spread::of(abide),
        tower_sessions: Spread::of(tower_sessions),
        target: kind.target,
    }
}

fn whole(spread: Spread) -> String {
    format!("{:.0} ({:.0}-{:.0})", spread.median, spread.lowest, spread.highest)
}
