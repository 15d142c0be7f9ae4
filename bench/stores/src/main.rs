//! What keeping sessions in a store adds to a request: abide beside what others use with the same
//! server. `bench/stores/run` builds all and starts this; `bench/README.md` says how to read it.
//!
//! Every contestant is an app in a process of its own, visited over loopback by one browser. The
//! same app without sessions takes its turns too, and what it needs is taken off.

mod app;
mod browser;
mod contestants;
mod report;
mod rounds;
mod servers;
mod size;
mod visitors;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use contestants::{Contestant, Programs};
use rounds::Rounds;
use servers::{STORES, Server};

/// Every store of abide beside what others use with the same server.
#[derive(Parser, Debug)]
struct Arguments {
    /// Rounds that count; each gives a ratio.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Turns of each app in a round.
    #[arg(long, default_value_t = 8)]
    turns: usize,
    /// Requests in a turn.
    #[arg(long, default_value_t = 50)]
    requests: usize,
    /// Visitors with a session of 4 KB; requests go round them.
    #[arg(long, default_value_t = 500)]
    sessions: usize,
    /// Sessions of five small fields, to see what one takes; 0 leaves that out.
    #[arg(long, default_value_t = 10_000)]
    small_sessions: usize,
    /// Only these stores.
    #[arg(long, value_delimiter = ',', default_values_t = STORES.map(str::to_owned))]
    stores: Vec<String>,
    /// Only kinds of requests whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// A look at all of it within a few minutes: three short rounds, 2000 small sessions.
    #[arg(long)]
    quick: bool,
    /// Only these; what is compared is abide with the others.
    #[arg(long, value_delimiter = ',', default_values_t = contestants::names())]
    contestants: Vec<String>,
    /// Writes the figures to this file as well.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The app with abide.
    #[arg(long)]
    abide_app: PathBuf,
    /// The app with tower-sessions.
    #[arg(long)]
    tower_sessions_app: PathBuf,
    /// The app with express, a script for node.
    #[arg(long)]
    express_app: PathBuf,
}

/// All that came of one store.
#[derive(Debug, Serialize)]
struct Store {
    store: String,
    rows: Vec<rounds::Row>,
    sizes: Vec<size::Size>,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        (arguments.rounds, arguments.turns, arguments.small_sessions) = (3, 4, 2_000);
    }
    let mut stores = Vec::new();
    let mut failed = false;
    println!(
        "{}; {} rounds of {} requests of each kind; sessions of 4 KB in eight fields\n\
         median (lowest..highest round); what the app alone needs is taken off; ratios are abide's figure / this one\n",
        report::machine(),
        arguments.rounds,
        arguments.turns * arguments.requests,
    );
    for store in &arguments.stores {
        match measure(store, &arguments) {
            Ok(measured) => stores.push(measured),
            Err(error) => {
                failed = true;
                eprintln!("{store}: {error}");
            }
        }
    }
    let missed: Vec<String> =
        stores.iter().flat_map(|store| rounds::missed(&store.store, &store.rows)).collect();
    println!(
        "targets: round trips <= 1 x, p50 <= 1 x, bytes of a write <= 0.5 x; missed: {}",
        missed.len()
    );
    for line in &missed {
        println!("  {line}");
    }
    if let Err(error) = write_json(&arguments, &stores) {
        failed = true;
        eprintln!("the figures could not be written: {error}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure(store: &str, arguments: &Arguments) -> Result<Store, String> {
    let programs = Programs {
        abide: arguments.abide_app.clone(),
        tower_sessions: arguments.tower_sessions_app.clone(),
        express: arguments.express_app.clone(),
    };
    let contestants = Contestant::with(store, &arguments.contestants);
    let rounds = Rounds {
        rounds: arguments.rounds.max(1),
        turns: arguments.turns.max(1),
        requests: arguments.requests.max(1),
        sessions: arguments.sessions,
    };
    if contestants.is_empty() {
        return Ok(Store { store: store.to_owned(), rows: Vec::new(), sizes: Vec::new() });
    }
    let server = Server::start(store)?;
    let rows = rounds::measure(&contestants, &server, &programs, rounds, &arguments.only)?;
    drop(server);
    rounds::print(store, &rows);
    let mut sizes = Vec::new();
    if arguments.small_sessions > 0 {
        for contestant in &contestants {
            sizes.push(size::measure(*contestant, store, &programs, arguments.small_sessions)?);
        }
        size::print(&sizes);
    }
    println!();
    Ok(Store { store: store.to_owned(), rows, sizes })
}

fn write_json(arguments: &Arguments, stores: &[Store]) -> std::io::Result<()> {
    let Some(path) = &arguments.json else { return Ok(()) };
    let mut text = serde_json::to_string_pretty(stores)?;
    text.push('\n');
    std::fs::write(path, text)
}
