//! Large clusters, one after the other.

use std::process::ExitCode;

use abide_replica::limits::MAX_NODES;
use abide_sim::{Figures, ScalePlan, scale, table};

#[derive(clap::Args, Debug)]
pub(crate) struct Clusters {
    /// How many nodes; several numbers are several clusters
    #[arg(long, value_delimiter = ',', default_value = "32", value_parser = node_count)]
    nodes: Vec<usize>,
    /// How many sessions, each on two nodes
    #[arg(long, default_value_t = 100_000, value_parser = session_count)]
    sessions: usize,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print numbers for programs, as JSON
    #[arg(long)]
    json: bool,
}

/// More would take memory and tell nothing new.
const SESSIONS: std::ops::RangeInclusive<usize> = 1..=10_000_000;

fn node_count(text: &str) -> Result<usize, String> {
    let count: usize = text.parse().map_err(|error| format!("{error}"))?;
    if (2..=MAX_NODES).contains(&count) {
        Ok(count)
    } else {
        Err(format!("a cluster has 2 to {MAX_NODES} nodes"))
    }
}

fn session_count(text: &str) -> Result<usize, String> {
    let count: usize = text.parse().map_err(|error| format!("{error}"))?;
    if SESSIONS.contains(&count) {
        Ok(count)
    } else {
        Err(format!("from {} to {}", SESSIONS.start(), SESSIONS.end()))
    }
}

pub(crate) fn run(arguments: &Clusters) -> ExitCode {
    let mut all = Vec::new();
    for nodes in &arguments.nodes {
        let (seed, sessions) = (arguments.seed, arguments.sessions);
        let plan = ScalePlan { seed, nodes: *nodes, sessions };
        match timed(plan) {
            Ok(figures) => all.push(figures),
            Err(broken) => {
                eprintln!("{nodes} nodes: {broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    if arguments.json {
        let all: Vec<_> = all.iter().map(Figures::as_json).collect();
        println!("{}", serde_json::Value::from(all));
    } else {
        println!("{} sessions\n\n{}", arguments.sessions, table(&all));
    }
    ExitCode::SUCCESS
}

#[expect(clippy::disallowed_types, reason = "what measures time reads a clock")]
fn timed(plan: ScalePlan) -> Result<Figures, abide_sim::Violation> {
    let since = std::time::Instant::now();
    let mut figures = scale(plan)?;
    figures.one("real_seconds", "the whole run, in seconds of this machine", {
        since.elapsed().as_secs_f64()
    });
    Ok(figures)
}
