//! `abide sessions`: work on the sessions of a store.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use abide::{Error, Moved, Moving, Remaining};
use abide_time::Time;
use serde_json::json;
use tokio::time::Instant;

use super::FlagReader;
use crate::arguments::{MoveSessions, Sessions, SessionsAction};
use crate::configuration::Problems;
use crate::configuration::surroundings::Surroundings;
use crate::failure::Failure;
use crate::keep::{self, Ends, Opened};
use crate::process::{self, LogFormat};

/// How often progress is told to a log; a terminal has one line for it.
const TELL_EVERY_MS: u128 = 5_000;

/// Does what was asked.
pub(crate) fn sessions(arguments: &Sessions) -> Result<(), Failure> {
    match &arguments.action {
        SessionsAction::Move(arguments) => move_sessions(arguments),
    }
}

fn move_sessions(arguments: &MoveSessions) -> Result<(), Failure> {
    let flags = [
        ("from", arguments.from.clone()),
        ("to", arguments.to.clone()),
        ("keys-file", arguments.keys_file.clone()),
    ];
    let mut reader = FlagReader::with_environment(flags, &Ends::VARIABLES);
    let ends = reader.ends(&Surroundings::real(false)?);
    Problems::check(reader.into_problems())?;
    let Some(ends) = ends else { return Err(Failure::Told) };
    process::start_log(LogFormat::Text);
    keep::warn_of_passwords(&[&arguments.from, &arguments.to]);
    process::runtime()?.block_on(async {
        let stop = process::stop_asked(false)?;
        let from = Opened::open(&ends.from, ends.keys.as_deref(), "from").await?;
        let to = Opened::open(&ends.to, ends.keys.as_deref(), "to").await?;
        let moving = Moving::new(to.store(), from.store());
        let mut progress = Progress::start();
        let work = async {
            let moved = moving.move_all(|so_far| progress.tell(so_far)).await?;
            Ok::<_, Error>((moved, moving.remaining().await?))
        };
        let outcome = tokio::select! {
            done = work => Some(done),
            () = stop => None,
        };
        progress.end();
        let Some(done) = outcome else {
            return Err(Failure::Other(
                "stopped; what has moved has moved, and the same command goes on with the rest"
                    .to_owned(),
            ));
        };
        let (moved, remaining) = done.map_err(|error| failed(&error))?;
        let report = Report { ends: &ends, moved, remaining };
        report.print(arguments.json)?;
        if report.is_done() {
            Ok(())
        } else {
            Err(Failure::Other(report.advice(process::wall_clock())))
        }
    })
}

fn failed(error: &Error) -> Failure {
    Failure::Other(format!(
        "the move did not come to its end: {error}; what has moved has moved, and the same command \
         goes on with the rest"
    ))
}

/// What a person sees while it goes on, on standard error.
struct Progress {
    is_terminal: bool,
    told: Option<Instant>,
}

impl Progress {
    fn start() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), told: None }
    }

    // If nobody reads standard error, the report still tells.
    fn tell(&mut self, so_far: &Moved) {
        let now = Instant::now();
        if self.is_terminal {
            _ = write!(io::stderr(), "\r{so_far} ");
        } else if self.told.is_none_or(|told| (now - told).as_millis() >= TELL_EVERY_MS) {
            _ = writeln!(io::stderr(), "{so_far}");
        } else {
            return;
        }
        self.told = Some(now);
    }

    fn end(&self) {
        if self.is_terminal && self.told.is_some() {
            _ = writeln!(io::stderr());
        }
    }
}

/// What came of it.
struct Report<'a> {
    ends: &'a Ends,
    moved: Moved,
    remaining: Remaining,
}

impl Report<'_> {
    /// Whether nothing is left behind.
    fn is_done(&self) -> bool {
        self.remaining.sessions == 0
    }

    fn print(&self, as_json: bool) -> Result<(), Failure> {
        let Self { ends, moved, remaining } = self;
        if as_json {
            return process::print_json(&json!({
                "from": ends.from.to_string(), "to": ends.to.to_string(),
                "moved": moved.moved, "gone": moved.gone, "stayed": moved.stayed,
                "failed": moved.failed, "remaining": remaining.sessions,
                "can_be_switched_off": self.is_done(),
                "last_deadline_ms": remaining.last_deadline.map(Time::as_millis),
            }));
        }
        process::print(&format!(
            "moved      {}\ngone       {}  ended, or moved by a server meanwhile\n\
             stayed     {}  too large for the new store\nfailed     {}\nremaining  {}\n",
            moved.moved, moved.gone, moved.stayed, moved.failed, remaining.sessions,
        ))?;
        if self.is_done() {
            process::print(&format!(
                "Nothing is left in {}. In a minute, and when no server names it any more, it can be \
                 switched off.\n",
                ends.from
            ))?;
        }
        Ok(())
    }

    /// What to do about what is left.
    fn advice(&self, now: Time) -> String {
        let Remaining { sessions, last_deadline, .. } = self.remaining;
        let (from, noun) = (&self.ends.from, if sessions == 1 { "session" } else { "sessions" });
        let until = last_deadline.map_or_else(String::new, |deadline| {
            format!(", or wait {} until the last of them has ended", span(deadline.since(now)))
        });
        format!(
            "{sessions} {noun} are left in {from}, so it must stay: run the same command again when all \
             servers know both stores{until}"
        )
    }
}

/// So long at most, in the largest unit of which there are two.
fn span(span: Duration) -> String {
    let minutes = span.as_secs().div_ceil(60);
    let (number, unit) = match minutes {
        0..120 => (minutes, "minutes"),
        120..2880 => (minutes.div_ceil(60), "hours"),
        _ => (minutes.div_ceil(60 * 24), "days"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_one_number_that_is_not_too_short() {
        for (seconds, told) in [
            (61, "2 minutes"),
            (3_600, "60 minutes"),
            (7_201, "3 hours"),
            (86_400 * 14 - 5, "14 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), told);
        }
    }
}
