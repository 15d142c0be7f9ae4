//! Seeds, one after the other.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use abide_sim::{Mutant, Plan, Report, run as run_one};

#[derive(clap::Args, Debug)]
pub(crate) struct Runs {
    /// How many runs
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed
    #[arg(long, env = "SIM_SEED", default_value_t = 1)]
    seed: u64,
    /// How many nodes; without it 2, 3 and 5 in turn
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=16))]
    nodes: Option<u16>,
    /// How many of them are in nobody's list at first, and join
    #[arg(long, default_value_t = 0)]
    joiners: usize,
    /// Machines are started again with the list that they had at first, and nothing is cut or stopped
    #[arg(long)]
    lists_stay: bool,
    /// How long faults go on in each run, in seconds of the machines
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Which mistake the nodes make, by its number
    #[arg(long)]
    mutant: Option<usize>,
    /// Nothing goes wrong, and machines are restarted one after another
    #[arg(long)]
    rolling: bool,
    /// Tell the first run from its beginning to its end
    #[arg(long)]
    told: bool,
}

/// The last lines of a story that are shown, and how much of each.
const LINES: usize = 120;
const LINE_CHARACTERS: usize = 240;
/// What a shell gives to who was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(arguments: &Runs) -> ExitCode {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let is_over = ends_by_ctrl_c();
    let mut done = 0;
    while done < arguments.seeds && !is_over.load(Ordering::Relaxed) {
        let plan = plan(arguments, arguments.seed + done);
        let report = run_one(plan);
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
        done += 1;
        if done % 50 == 0 {
            eprintln!("{done} runs");
        }
    }
    let is_cut_short = done < arguments.seeds;
    let of = if is_cut_short { format!(" of {}", arguments.seeds) } else { String::new() };
    println!("{done}{of} runs of {} s, nothing broken", arguments.seconds);
    for (what, count) in counts {
        println!("{count:>10}  {what}");
    }
    if is_cut_short { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS }
}

/// What becomes true at Ctrl-C: the run that goes on is finished.
fn ends_by_ctrl_c() -> Arc<AtomicBool> {
    let is_over = Arc::new(AtomicBool::new(false));
    let of_handler = Arc::clone(&is_over);
    if let Err(error) = ctrlc::set_handler(move || of_handler.store(true, Ordering::Relaxed)) {
        eprintln!("Ctrl-C ends this without a summary: {error}");
    }
    is_over
}

fn plan(arguments: &Runs, seed: u64) -> Plan {
    Plan {
        seed,
        nodes: arguments
            .nodes
            .map_or_else(|| Plan::nodes_of(seed) + arguments.joiners, usize::from),
        joiners: arguments.joiners,
        lists_stay: arguments.lists_stay,
        seconds: arguments.seconds,
        mutant: arguments.mutant.and_then(|number| Mutant::ALL.get(number).copied()),
        is_rolling: arguments.rolling,
        is_told: arguments.told,
    }
}

/// The same run once more, as a story.
fn tell(plan: Plan) {
    let Report { violation, story, .. } = run_one(Plan { is_told: true, ..plan });
    let Some(violation) = violation else { return };
    for line in &story[story.len().saturating_sub(LINES)..] {
        println!("{}", line.chars().take(LINE_CHARACTERS).collect::<String>());
    }
    println!("\n{violation}\n{plan}");
}
