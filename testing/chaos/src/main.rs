//! Strikes real servers until the time is over, and says what was lost.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that reports")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use abide_chaos::{Failure, Fault, Plan, Report, Run, abide_of_this_build};
use clap::Parser;

/// What a shell gives to who was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Strikes real servers under traffic, and says what was lost
///
/// Starts shop servers that keep sessions in each other, a balancer before them, and clients that
/// remember what was acknowledged to them; then one fault after the other.
#[derive(Debug, Parser)]
#[command(
    name = "abide-chaos",
    max_term_width = 100,
    after_help = "Examples:\n  \
        abide-chaos --nodes 2 --seconds 60 --faults kill,pause --seed 7\n  \
        RUST_LOG=debug abide-chaos --nodes 3 --faults second-kill --logs logs\n\n\
        In the table, `renewed` counts the acknowledged requests that gave a session a new id; for a \
        while the old one leads to it, and clients use both. Stalls are median / worst: how long a client's first request after a blow, and \
        those after it, went without a good answer; for clients that the struck server served through \
        the balancer, for clients that ask the other servers directly, and for all. `gap` is the longest \
        that a client was without a good answer, `recovered` how long servers took to be ready and \
        safe to stop, `behind` how late the clients were because the machine had other work.\n\n\
        Ctrl-C prints the report so far.\n\
        Exit status: 0 nothing lost, 1 something lost or a server that does not recover, 2 wrong \
        usage, 130 Ctrl-C."
)]
struct Arguments {
    /// How many servers
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=9))]
    nodes: u8,
    /// How many clients
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=500))]
    clients: u16,
    /// How long faults go on; each is done once at least, and what has begun is finished
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    seconds: u64,
    /// Which faults, in this order and over again
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "FAULTS",
        default_value = "kill,restart-empty,second-kill,pause,freeze,rolling,cut,cut-one-way"
    )]
    faults: Vec<Fault>,
    /// Chooses which servers are struck and what clients do
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep the logs of servers in this folder; `RUST_LOG` says what they hold [default: a new folder,
    /// which is removed if nothing went wrong]
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// The abide to run [default: the one of the same build]
    #[arg(long, value_name = "FILE")]
    abide: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match chaos(&arguments).await {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("abide-chaos: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn chaos(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let abide = match &arguments.abide {
        Some(abide) => abide.clone(),
        None => abide_of_this_build()?,
    };
    let logs = abide_chaos::logs(arguments.logs.as_deref())?;
    let nodes = usize::from(arguments.nodes);
    let mut plan = Plan::new(abide, logs.path().to_owned(), nodes, &arguments.faults);
    plan.clients = usize::from(arguments.clients);
    plan.time = Duration::from_secs(arguments.seconds);
    plan.seed = arguments.seed;
    let run = Run::new(plan);
    let outcome = tokio::select! {
        outcome = run.go() => Some(outcome),
        _ = tokio::signal::ctrl_c() => None,
    };
    let mut report = run.report();
    report.failure =
        outcome.as_ref().and_then(|outcome| outcome.as_ref().err()).map(ToString::to_string);
    print(&report, arguments.json);
    if report.is_good() && outcome.is_some() {
        logs.remove();
    } else {
        eprintln!("the logs of the servers are in {}", logs.path().display());
    }
    Ok(match outcome {
        None => ExitCode::from(INTERRUPTED),
        Some(_) if report.is_good() => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

fn print(report: &Report, is_json: bool) {
    if is_json {
        match serde_json::to_string(report) {
            Ok(json) => println!("{json}"),
            Err(error) => eprintln!("abide-chaos: the report is no JSON: {error}"),
        }
    } else {
        print!("{report}");
    }
}
