//! Real servers under fire: killed, hung, restarted and cut off while clients count what they lose.
//!
//! A [`Run`] starts several `abide app` that keep sessions in each other and an `abide balance` before
//! them, as processes on this machine, and clients that use them as browsers do: each signs in, writes
//! numbers that count up, reads them back anywhere, has its session renewed (a new id, to which the old one
//! leads for a while) and signs out. Then it strikes the servers with one
//! [`Fault`] after the other. What the clients were told was done has to be there, at once and at every
//! server:
//!
//! * *lost*: a write was acknowledged and is not there when all servers say that all is well;
//! * *stale*: an answer is older than what was acknowledged before it was asked for;
//! * *revived*: the cookie of a session whose end was acknowledged shows its user;
//! * *hung*: a request took longer than a second.
//!
//! A request that failed may have been done or not: both are right, until one was seen.
//!
//! The simulator (`testing/sim`) finds what is wrong in the decisions, with time and luck of its own
//! making; this finds what is wrong in what is around them, and says how long people wait.

mod browser;
mod client;
mod cluster;
mod fault;
mod known;
mod logs;
mod network;
mod places;
mod process;
mod report;
mod run;
mod tally;

pub use cluster::Keep;
pub use fault::Fault;
pub use logs::{Logs, logs};
pub use process::Failure;
pub use report::{Report, Row, Stall};
pub use run::{Plan, Run};

use std::path::PathBuf;

/// The `abide` of the build that this program is of.
///
/// # Errors
/// If it is not there: how to build it.
pub fn abide_of_this_build() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().map_err(process::failed("who am I"))?;
    let folders = program.ancestors().skip(1).take(2);
    let mut places = folders.map(|folder| folder.join("abide"));
    places.find(|place| place.is_file()).ok_or_else(|| {
        Failure(format!(
            "there is no abide beside {}: run `cargo build -p abide-bin --profile test` first",
            program.display()
        ))
    })
}
