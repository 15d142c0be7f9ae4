//! Runs seeds until something breaks, or all are done.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that reports")]

use std::collections::BTreeMap;
use std::process::ExitCode;

use abide_sim::{Mutant, Plan, Report, run};
use clap::Parser;

/// Tries to break the replication of sessions.
#[derive(Parser, Debug)]
struct Arguments {
    /// How many runs.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, env = "SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// How many nodes; without it 2, 3 and 5 in turn.
    #[arg(long)]
    nodes: Option<usize>,
    /// How long faults go on in each run, in seconds of the machines.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Which mistake the nodes make, by its number.
    #[arg(long)]
    mutant: Option<usize>,
    /// Nothing goes wrong, and machines are restarted one after another.
    #[arg(long)]
    rolling: bool,
    /// Tells the first run from its beginning to its end.
    #[arg(long)]
    told: bool,
}

/// The last lines of a story that are shown, and how much of each.
const LINES: usize = 120;
const LINE_CHARACTERS: usize = 240;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for number in 0..arguments.seeds {
        let seed = arguments.seed + number;
        let nodes = arguments.nodes.unwrap_or_else(|| Plan::nodes_of(seed));
        let mutant = arguments.mutant.and_then(|number| Mutant::ALL.get(number).copied());
        let (is_rolling, is_told) = (arguments.rolling, arguments.told);
        let seconds = arguments.seconds;
        let plan = Plan { seed, nodes, seconds, mutant, is_rolling, is_told };
        let report = run(plan);
        if arguments.told {
            println!("{}", report.story.join("\n"));
        }
        if report.violation.is_some() {
            tell(plan);
            return ExitCode::FAILURE;
        }
        for (what, count) in report.counts {
            let total = counts.entry(what).or_default();
            *total =
                if what.starts_with("the slowest") { count.max(*total) } else { *total + count };
        }
        if (number + 1) % 50 == 0 {
            eprintln!("{} runs", number + 1);
        }
    }
    println!("{} runs of {} s, nothing broken", arguments.seeds, arguments.seconds);
    for (what, count) in counts {
        println!("{count:>10}  {what}");
    }
    ExitCode::SUCCESS
}

/// The same run once more, as a story.
fn tell(plan: Plan) {
    let Report { violation, story, .. } = run(Plan { is_told: true, ..plan });
    let Some(violation) = violation else { return };
    for line in &story[story.len().saturating_sub(LINES)..] {
        println!("{}", line.chars().take(LINE_CHARACTERS).collect::<String>());
    }
    println!("\n{violation}\n{plan}");
}
