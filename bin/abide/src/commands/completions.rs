//! `abide completions`: what a shell can complete.

use clap::CommandFactory;

use crate::arguments::{Arguments, Completions};
use crate::failure::Failure;
use crate::process;

/// Prints the script.
pub(crate) fn completions(arguments: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "abide", &mut script);
    process::print(&String::from_utf8_lossy(&script))
}
