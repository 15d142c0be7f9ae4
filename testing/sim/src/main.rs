//! Runs seeds until something breaks, or all are done; or measures a large cluster.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program that reports")]

mod measure;
mod play;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tries to break the replication of sessions
///
/// Each seed is a cluster that goes through everything that may happen to it, and the same one each
/// time. Stops at the first thing that must not be, tells what led to it, and how to see it again.
#[derive(Parser, Debug)]
#[command(
    name = "abide-sim",
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        abide-sim --seeds 2000\n  \
        abide-sim --seed 1055 --seeds 1 --nodes 5 --told\n  \
        abide-sim scale --nodes 2,5,32 --sessions 100000\n\n\
        Ctrl-C prints what the runs so far have seen.\n\
        Exit status: 0 nothing broken, 1 something broken, 2 wrong usage, 130 Ctrl-C."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    play: play::Runs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Measures a large cluster: how even it is, what is moved, and what nodes say to each other
    ///
    /// Prints a table with a column for each number of nodes. In it, time is that of the machines of
    /// the simulator, but for the last line; bytes are those of letters, without frames and TLS.
    Scale(measure::Clusters),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Scale(arguments)) => measure::run(&arguments),
        None => play::run(&arguments.play),
    }
}
