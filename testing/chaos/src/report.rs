//! What came of a run: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::fault::Fault;
use crate::tally::{Counts, Round, Strike, Tally, Wait, Way};

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How many servers there were.
    pub nodes: usize,
    /// How many clients.
    pub clients: usize,
    /// What chose servers and requests.
    pub seed: u64,
    /// One row for each fault, in the order in which they first came; before the first it is `calm`.
    pub faults: Vec<Row>,
    /// What went wrong, in order; not more than some.
    pub stories: Vec<String>,
    /// How much more did.
    pub untold: usize,
    /// What was asked for and not done, and why.
    pub skipped: Vec<String>,
    /// What ended the run early.
    pub failure: Option<String>,
}

/// What came of all faults of one name.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// Its name.
    pub fault: String,
    /// How often it was done.
    pub times: u64,
    /// Requests.
    pub requests: u64,
    /// Acknowledged sign-ins, writes, renewals and sign-outs.
    pub acknowledged: u64,
    /// The renewals among them.
    pub renewed: u64,
    /// Acknowledged writes that were not there afterwards.
    pub lost: u64,
    /// Sessions that were not there afterwards.
    pub sessions_lost: u64,
    /// Answers that were older than what had been acknowledged.
    pub stale: u64,
    /// The same during a cut, of the other side.
    pub stale_cut: u64,
    /// Ended sessions that showed their user.
    pub revived: u64,
    /// The same during a cut, of the other side.
    pub revived_cut: u64,
    /// Sessions that live on as one side of a cut ended them under an id that they had, and the other gave them
    /// a new one.
    pub outlived: u64,
    /// Answers with what nobody wrote.
    pub invented: u64,
    /// What could not be looked for afterwards.
    pub unaudited: u64,
    /// Requests that took longer than 1 s.
    pub hung: u64,
    /// Requests without a good answer, by kind.
    pub errors: BTreeMap<String, u64>,
    /// From the first request that a client sent after the blow to its first good answer, for clients that
    /// the struck server served through the balancer.
    pub stall_struck: Stall,
    /// The same, for clients that ask the other servers directly.
    pub stall_direct: Stall,
    /// The same, for all clients.
    pub stall_all: Stall,
    /// The longest that any client was without a good answer.
    pub longest_gap_ms: u64,
    /// The longest from the end of the fault until all servers were ready and safe to stop.
    pub recovered_ms: u64,
    /// How late the clients were at worst because the machine had other work.
    pub behind_ms: u64,
}

/// How long clients waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stall {
    /// How many waits.
    pub count: usize,
    /// Half of them were not longer.
    pub median_ms: u64,
    /// None was longer.
    pub worst_ms: u64,
}

impl Report {
    pub(crate) fn new(tally: &Tally, nodes: usize, clients: usize, seed: u64) -> Self {
        let mut rows: Vec<(Row, Vec<Strike>)> = Vec::new();
        for round in tally.rounds() {
            let name = round.fault.map_or("calm", Fault::name);
            let place = rows.iter().position(|(row, _)| row.fault == name).unwrap_or(rows.len());
            if place == rows.len() {
                rows.push((Row { fault: name.to_owned(), ..Row::default() }, Vec::new()));
            }
            let (row, strikes) = &mut rows[place];
            row.add(&round);
            strikes.extend(round.strikes);
        }
        let finish = |(mut row, strikes): (Row, Vec<Strike>)| {
            row.stall_struck = Stall::of(&strikes, |wait| wait.is_struck);
            row.stall_direct = Stall::of(&strikes, |wait| wait.way == Way::Direct);
            row.stall_all = Stall::of(&strikes, |_| true);
            row
        };
        let faults = rows.into_iter().map(finish).collect();
        let (stories, untold) = tally.stories();
        let (skipped, failure) = (tally.skipped(), None);
        Self { nodes, clients, seed, faults, stories, untold, skipped, failure }
    }

    /// The row of a fault.
    pub fn of(&self, fault: Fault) -> Option<&Row> {
        self.faults.iter().find(|row| row.fault == fault.name())
    }

    /// Whether everything that was acknowledged was kept, and no answer was wrong.
    pub fn is_good(&self) -> bool {
        self.failure.is_none() && self.faults.iter().all(Row::is_good)
    }
}

impl Row {
    fn add(&mut self, round: &Round) {
        let Counts { errors, .. } = &round.counts;
        for (kind, count) in errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        let counts = &round.counts;
        self.times += 1;
        self.requests += counts.requests;
        self.acknowledged += counts.acknowledged;
        self.renewed += counts.renewed;
        self.lost += counts.lost;
        self.sessions_lost += counts.sessions_lost;
        self.stale += counts.stale;
        self.stale_cut += counts.stale_cut;
        self.revived += counts.revived;
        self.revived_cut += counts.revived_cut;
        self.outlived += counts.outlived;
        self.invented += counts.invented;
        self.unaudited += counts.unaudited;
        self.hung += counts.hung;
        self.longest_gap_ms = self.longest_gap_ms.max(ms(round.longest_gap));
        self.recovered_ms = self.recovered_ms.max(ms(round.recovered_after.unwrap_or_default()));
        self.behind_ms = self.behind_ms.max(ms(round.behind));
    }

    /// Whether nothing was lost, and no answer wrong but for what the two sides of a cut can not know.
    pub const fn is_good(&self) -> bool {
        self.lost == 0
            && self.sessions_lost == 0
            && self.stale == 0
            && self.revived == 0
            && self.invented == 0
            && self.unaudited == 0
    }
}

impl Stall {
    fn of(strikes: &[Strike], is_counted: impl Fn(&Wait) -> bool) -> Self {
        let waits = strikes.iter().flat_map(|strike| &strike.waits).filter(|wait| is_counted(wait));
        let mut waits: Vec<u64> = waits.filter_map(Wait::time).map(ms).collect();
        waits.sort_unstable();
        Self {
            count: waits.len(),
            median_ms: waits.get(waits.len() / 2).copied().unwrap_or(0),
            worst_ms: waits.last().copied().unwrap_or(0),
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, clients, seed, .. } = self;
        writeln!(f, "{nodes} servers, {clients} clients, seed {seed}; times in ms")?;
        writeln!(
            f,
            "{:14}{:>5}{:>9}{:>9}{:>6}{:>9}{:>7}{:>9}{:>6}{:>8} {:>12} {:>12} {:>12}{:>6}{:>10}{:>7}",
            "fault",
            "times",
            "acked",
            "renewed",
            "lost",
            "sessions",
            "stale",
            "revived",
            "hung",
            "errors",
            "stall struck",
            "direct",
            "all",
            "gap",
            "recovered",
            "behind"
        )?;
        for row in &self.faults {
            writeln!(f, "{row}")?;
        }
        for row in &self.faults {
            for (kind, count) in &row.errors {
                writeln!(f, "  {}: {count} x {kind}", row.fault)?;
            }
            for (count, what) in [
                (row.invented, "answers held what nobody wrote"),
                (row.unaudited, "questions of the audit got no answer"),
                (row.stale_cut, "answers of the other side of a cut were older"),
                (row.revived_cut, "ended sessions were alive on the other side of a cut"),
                (
                    row.outlived,
                    "sessions live on, ended by one side of a cut and renewed by the other",
                ),
            ] {
                if count > 0 {
                    writeln!(f, "  {}: {count} {what}", row.fault)?;
                }
            }
        }
        for story in &self.stories {
            writeln!(f, "  {story}")?;
        }
        if self.untold > 0 {
            writeln!(f, "  and {} more", self.untold)?;
        }
        for skipped in &self.skipped {
            writeln!(f, "SKIPPED {skipped}")?;
        }
        if let Some(failure) = &self.failure {
            writeln!(f, "FAILED {failure}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: u64 = self.errors.values().sum();
        write!(
            f,
            "{:14}{:>5}{:>9}{:>9}{:>6}{:>9}{:>7}{:>9}{:>6}{errors:>8} {:>12} {:>12} {:>12}{:>6}{:>10}{:>7}",
            self.fault,
            self.times,
            self.acknowledged,
            self.renewed,
            self.lost,
            self.sessions_lost,
            self.stale,
            self.revived,
            self.hung,
            self.stall_struck.to_string(),
            self.stall_direct.to_string(),
            self.stall_all.to_string(),
            self.longest_gap_ms,
            self.recovered_ms,
            self.behind_ms
        )
    }
}

/// Median and worst.
impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => f.write_str("-"),
            _ => write!(f, "{} / {}", self.median_ms, self.worst_ms),
        }
    }
}
