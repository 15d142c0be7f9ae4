//! The one binary. It only wires: arguments and files become values, values go into the libraries.

mod arguments;
mod cluster;
mod commands;
mod configuration;
mod demo;
mod exchange;
mod failure;
mod keep;
mod process;
mod shop;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use arguments::{Action, Arguments};
use failure::Failure;

// Small blocks of many connections are what a balancer allocates; the figures are in
// docs/design/decisions.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If nobody reads standard error, the exit status still tells.
            _ = writeln!(std::io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}

fn run(action: Action) -> Result<(), Failure> {
    match action {
        Action::Balance(arguments) => commands::balance(&arguments),
        Action::Demo(arguments) => commands::demo(&arguments),
        Action::App(arguments) => commands::app(&arguments),
        Action::Node(arguments) => commands::node(&arguments),
        Action::Sessions(arguments) => commands::sessions(&arguments),
        Action::Check(arguments) => commands::check(&arguments),
        Action::Explain(arguments) => commands::explain(&arguments),
        Action::Keygen(arguments) => commands::keygen(&arguments),
        Action::Completions(arguments) => commands::completions(&arguments),
    }
}

/// Help and version are what was asked for; anything else is wrong usage, which is not the status 2
/// that clap would give.
fn usage(error: &clap::Error) -> ExitCode {
    _ = error.print();
    if error.use_stderr() { ExitCode::from(failure::EXIT_USAGE) } else { ExitCode::SUCCESS }
}
