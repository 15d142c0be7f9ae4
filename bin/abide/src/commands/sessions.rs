//! `abide sessions`: work on the sessions of a store.

use std::io::{self, IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;

use abide::{Error, Moved, Moving, Remaining};
use abide_affinity::ServerName;
use abide_node::NodeStore;
use abide_time::Time;
use serde_json::json;
use tokio::time::Instant;

use super::FlagReader;
use crate::arguments::{MoveSessions, Sessions, SessionsAction};
use crate::cluster;
use crate::configuration::Problems;
use crate::configuration::surroundings::Surroundings;
use crate::failure::Failure;
use crate::keep::{self, Ends, Keep, Opened, Server};
use crate::process::{self, LogFormat};

/// How often progress is told to a log; a terminal has one line for it.
const TELL_EVERY_MS: u128 = 5_000;

/// How long other nodes may take to let this one in: it is filled with its part of all sessions first.
const WHOLE_MAX: Duration = Duration::from_mins(1);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
        ("name", arguments.name.clone()),
        ("keys-file", arguments.keys_file.clone()),
    ];
    let mut reader = FlagReader::with_environment(
        flags.into_iter().chain(arguments.certificate.flags()),
        &Ends::VARIABLES,
    );
    let ends = reader.ends(&Surroundings::real(false)?);
    Problems::check(reader.into_problems())?;
    let Some(ends) = ends else { return Err(Failure::Told) };
    process::start_log(LogFormat::Text);
    keep::warn_of_passwords(&[&arguments.from, &arguments.to]);
    process::runtime()?.block_on(run(&ends, arguments.json))
}

/// Moves what there is, until it is done or somebody stops it. A node that this is for it is left in
/// either case.
async fn run(ends: &Ends, as_json: bool) -> Result<(), Failure> {
    let mut stop = pin!(process::stop_asked(false)?);
    let (from, to) = tokio::select! {
        opened = open(ends) => opened?,
        () = &mut stop => return Err(stopped(0)),
    };
    let moving = Moving::new(to.store(), from.store());
    let node = from.node().or_else(|| to.node());
    let mut progress = Progress::start();
    let work = async {
        if let Some(node) = node {
            whole(node, ends).await?;
        }
        let moved = moving.move_all(|so_far| progress.tell(so_far)).await;
        let moved = moved.map_err(|error| failed(&error))?;
        Ok((moved, moving.remaining().await.map_err(|error| failed(&error))?))
    };
    let outcome = tokio::select! {
        done = work => done,
        () = &mut stop => {
            let [(_, moved), _] = moving.counters();
            Err(stopped(moved))
        }
    };
    progress.end();
    if let Some(node) = node {
        leave(node).await?;
    }
    let (moved, remaining) = outcome?;
    let report = Report { ends, moved, remaining };
    report.print(as_json)?;
    if report.is_done() {
        Ok(())
    } else {
        Err(Failure::Other(report.advice(process::wall_clock())))
    }
}

/// Opens both ends: nodes last, so that nobody who joins them has to leave at once.
async fn open(ends: &Ends) -> Result<(Opened, Opened), Failure> {
    let keys = ends.keys.as_deref();
    let at = Server {
        name: ends.node.as_ref().map_or("", ServerName::as_str),
        data: None,
        certificates: ends.certificates.as_ref(),
        is_moving: true,
    };
    if matches!(ends.from, Keep::Nodes(_)) {
        let to = Opened::place(&ends.to, keys, "to", &at).await?;
        return Ok((Opened::place(&ends.from, keys, "from", &at).await?, to));
    }
    let from = Opened::place(&ends.from, keys, "from", &at).await?;
    Ok((from, Opened::place(&ends.to, keys, "to", &at).await?))
}

/// Waits until the others have let this node in and it could be killed again: what is put on a node
/// that has nobody to keep a copy would be lost with this command.
async fn whole(node: &NodeStore, ends: &Ends) -> Result<(), Failure> {
    let copies = [&ends.from, &ends.to].into_iter().find_map(|end| match end {
        Keep::Nodes(list) => Some(list.copies()),
        _ => None,
    });
    // Of one copy nothing can be killed without a loss, and whoever keeps one knows it.
    let has_several = copies.is_some_and(|copies| copies > 1);
    let waiting = async {
        node.ready().await;
        // Who is ready has heard of all others, or waited for them.
        if !has_company(node).await {
            return Err("no other node of the list answers");
        }
        let mut pace = tokio::time::interval(LOOK_EVERY);
        while has_several && !node.is_safe_to_stop().await {
            pace.tick().await;
        }
        Ok(())
    };
    let waited = tokio::time::timeout(WHOLE_MAX, waiting).await;
    waited.unwrap_or(Err("the nodes do not come to hold copies of everything")).map_err(|why| {
        Failure::Other(format!(
            "nothing has moved: {why}. The list needs `{}` with an address of this machine, and a node that \
             runs; `GET /cluster` of each says how it is",
            node.name(),
        ))
    })
}

/// Whether another node leads anything, as far as this one knows.
async fn has_company(node: &NodeStore) -> bool {
    let Some(leaders) = node.leaders().await else { return false };
    let own = leaders.nodes.iter().position(|name| name == node.name());
    leaders.of_slots.into_iter().flatten().any(|leader| Some(leader) != own)
}

/// Gives away what this node holds, and waits for it: what nobody else has would end with this process.
async fn leave(node: &NodeStore) -> Result<(), Failure> {
    let mut stop = pin!(process::stop_asked(false)?);
    loop {
        tokio::select! {
            has_left = node.leave(cluster::LEAVE_MAX) => {
                if has_left {
                    return Ok(());
                }
                tracing::warn!(
                    "the other nodes do not have all yet that this one holds; stopped again (Ctrl-C), \
                     it leaves at once"
                );
            }
            () = &mut stop => {
                return Err(Failure::Other(
                    "stopped before the other nodes had all that this one held: what only it held is \
                     lost"
                    .to_owned(),
                ));
            }
        }
    }
}

fn stopped(moved: u64) -> Failure {
    let (noun, verb) = if moved == 1 { ("session", "has") } else { ("sessions", "have") };
    Failure::Other(format!(
        "stopped: {moved} {noun} {verb} moved, the others are where they were, and the same command goes \
         on with them"
    ))
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
