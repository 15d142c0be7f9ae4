//! Explores all states of a few nodes until there are no more, or until it is told to stop.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that reports")]

use std::process::ExitCode;
use std::time::Duration;

use abide_models::{Bounds, Limits, Mutant, Progress, Verdict, explore, mutant_of};
use clap::Parser;

/// Explores every state of a few nodes: what clients ask for and what goes wrong happens at every time and in every
/// order. Ends when there are no more states, or when one is wrong: then it says how it came to that.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many nodes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=5))]
    nodes: u8,
    /// How often the session is written to.
    #[arg(long, default_value_t = 1)]
    puts: usize,
    /// How often it is ended.
    #[arg(long, default_value_t = 1)]
    ends: usize,
    /// How often it is loaded, besides being looked at in every state.
    #[arg(long, default_value_t = 0)]
    loads: usize,
    /// How often paths between nodes are cut.
    #[arg(long, default_value_t = 0)]
    cuts: usize,
    /// How often a connection breaks.
    #[arg(long, default_value_t = 0)]
    breaks: usize,
    /// How often a process is killed; others may start in its place.
    #[arg(long, default_value_t = 0)]
    kills: usize,
    /// How often a process is stopped for a while.
    #[arg(long, default_value_t = 0)]
    pauses: usize,
    /// How many cuts, breaks, kills and pauses together; without it there is no such bound.
    #[arg(long)]
    faults: Option<usize>,
    /// For how many steps of time paths are cut at most. Of two nodes it need not be bounded.
    #[arg(long)]
    cut_steps: Option<u8>,
    /// The last node owns the slot, and not the first.
    #[arg(long)]
    reversed: bool,
    /// Pings arrive in any order with other letters, and nodes wake in any order.
    #[arg(long)]
    fine: bool,
    /// A mistake that the nodes make, by its name.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
    /// States that are more steps away from the first are left out.
    #[arg(long)]
    depth: Option<usize>,
    /// Ends after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

/// How often it says how far it is.
const SPEAKS_EVERY: Duration = Duration::from_secs(10);

fn mutant(name: &str) -> Result<Mutant, String> {
    let names = || Mutant::ALL.map(|mutant| format!("{mutant:?}")).join(", ");
    mutant_of(name).ok_or_else(|| format!("there are: {}", names()))
}

fn main() -> ExitCode {
    let it = Arguments::parse();
    let nodes = usize::from(it.nodes);
    let bounds = Bounds {
        nodes,
        is_reversed: it.reversed,
        puts: it.puts,
        ends: it.ends,
        loads: it.loads,
        cuts: it.cuts,
        breaks: it.breaks,
        kills: it.kills,
        pauses: it.pauses,
        faults: it.faults.unwrap_or(usize::MAX),
        is_fine: it.fine,
        mutant: it.mutant,
        cut_steps: it.cut_steps.or_else(|| Bounds::calm(nodes).cut_steps),
    };
    let time = it.seconds.map(Duration::from_secs);
    let limits = Limits { depth: it.depth, time, threads: it.threads };
    let mut spoke = Duration::ZERO;
    let report = explore(bounds, limits, |progress| {
        if progress.took >= spoke + SPEAKS_EVERY {
            spoke = progress.took;
            eprintln!("{}", line(progress));
        }
    });
    println!("{bounds}: {}", line(&report.progress));
    if let Some(story) = &report.story {
        println!("{story}");
    } else if !report.is_complete {
        println!("there are more states");
    }
    for (name, verdict) in &report.verdicts {
        println!("  {:<6}  {name}", format!("{verdict:?}").to_lowercase());
    }
    let is_seen = !report.is_complete || report.of(Verdict::Unseen).is_empty();
    if report.story.is_none() && is_seen { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line(progress: &Progress) -> String {
    let Progress { states, steps, depth, took } = progress;
    format!("{states} states, {steps} steps, depth {depth}, {:.1} s", took.as_secs_f64())
}
