//! Contestants that take turns.
//!
//! A round is many short turns, one contestant after the other, and who begins changes each time:
//! so whatever else the machine does falls on all of them alike. What the app without sessions needs
//! is taken off within the round, and ratios are taken within it.

use serde::Serialize;

use crate::app::App;
use crate::contestants::{ABIDE, Contestant, Programs};
use crate::report::{Shown, Spread, quantile};
use crate::servers::Server;
use crate::visitors::{KINDS, Kind, Taken, Visitors};
use crate::wire::{self, Sent};

/// Added times below this many microseconds are not told apart over HTTP: no ratio is taken.
const TELLABLE_MICROS: f64 = 10.0;

/// abide is to add no more time than a peer.
const P50_RATIO_MAX: f64 = 1.0;
/// Of eight fields abide is to send the one that was changed, with what belongs to it.
const WRITE_BYTES_RATIO_MAX: f64 = 0.5;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    pub rounds: usize,
    pub turns: usize,
    pub requests: usize,
    pub sessions: usize,
}

/// What a kind of request adds with one contestant.
#[derive(Debug, Serialize)]
pub struct Row {
    pub kind: &'static str,
    pub contestant: &'static str,
    pub sent: Sent,
    pub p50_us: Option<Spread>,
    pub p99_us: Option<Spread>,
    pub cpu_us: Option<Spread>,
    /// Of abide's figure and this one; the peers have them.
    pub bytes_ratio: Option<f64>,
    pub p50_ratio: Option<Spread>,
    pub cpu_ratio: Option<Spread>,
}

/// What one contestant needed in each round.
#[derive(Clone, Debug, Default)]
struct Series {
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
    cpu_us: Vec<f64>,
}

/// Lets them take turns with every kind of request whose name contains `only`.
pub fn measure(
    contestants: &[Contestant],
    server: &Server,
    programs: &Programs,
    rounds: Rounds,
    only: &str,
) -> Result<Vec<Row>, String> {
    let mut counted = Vec::new();
    for contestant in contestants {
        counted.push(wire::count(*contestant, server, programs)?);
    }
    // The apps without sessions come last.
    let mut all = contestants.to_vec();
    for contestant in contestants {
        if !all.contains(&contestant.bare()) {
            all.push(contestant.bare());
        }
    }
    let mut visitors = Vec::new();
    for contestant in &all {
        visitors.push(start(*contestant, contestants, server, programs, rounds.sessions)?);
    }
    let mut rows = Vec::new();
    for kind in KINDS.into_iter().filter(|kind| kind.name.contains(only)) {
        let series = take_turns(&mut visitors, kind, rounds)?;
        let added: Vec<Series> = contestants
            .iter()
            .zip(&series)
            .map(|(contestant, with)| {
                let bare = all.iter().position(|other| *other == contestant.bare());
                bare.map_or_else(|| with.clone(), |bare| with.without(&series[bare]))
            })
            .collect();
        for (place, contestant) in contestants.iter().enumerate() {
            let sent = |place: usize| {
                let of_kind = counted[place].iter().find(|(counted, _)| *counted == kind);
                of_kind.map_or_else(Sent::default, |(_, sent)| *sent)
            };
            let is_peer = contestants[0] == ABIDE && place > 0;
            let ours = is_peer.then(|| (&added[0], sent(0)));
            rows.push(row(kind, *contestant, ours, (&added[place], sent(place))));
        }
    }
    Ok(rows)
}

fn start(
    contestant: Contestant,
    with_sessions: &[Contestant],
    server: &Server,
    programs: &Programs,
    sessions: usize,
) -> Result<Visitors, String> {
    let keeps = with_sessions.contains(&contestant);
    let url = if keeps { server.url(contestant.name) } else { "none".to_owned() };
    let app = App::start(&contestant.command(programs, &url))?;
    let mut visitors = Visitors::new(app, sessions)?;
    if keeps {
        // Without a store nobody can know that a cookie's session has ended.
        let forgets = !matches!(server, Server::Nowhere("sealed"));
        visitors.check(forgets).map_err(|error| format!("{}: {error}", contestant.name))?;
    }
    Ok(visitors)
}

/// What each needs for a request, of each round.
fn take_turns(
    visitors: &mut [Visitors],
    kind: Kind,
    rounds: Rounds,
) -> Result<Vec<Series>, String> {
    let mut all = vec![Series::default(); visitors.len()];
    for round in 0..=rounds.rounds {
        let mut sums: Vec<Taken> = visitors.iter().map(|_| Taken::default()).collect();
        for turn in 0..rounds.turns {
            for place in 0..visitors.len() {
                let who = (place + turn) % visitors.len();
                let taken = visitors[who].come(kind, rounds.requests)?;
                sums[who].micros.extend(taken.micros);
                sums[who].cpu_ns += taken.cpu_ns;
            }
        }
        // The first warms up.
        if round > 0 {
            for (series, mut taken) in all.iter_mut().zip(sums) {
                taken.micros.sort_by(f64::total_cmp);
                series.p50_us.push(quantile(&taken.micros, 0.5));
                series.p99_us.push(quantile(&taken.micros, 0.99));
                series.cpu_us.push(taken.cpu_ns as f64 / 1e3 / taken.micros.len() as f64);
            }
        }
    }
    Ok(all)
}

impl Series {
    /// What comes on top of the app without sessions, in each round.
    fn without(&self, bare: &Self) -> Self {
        let less = |with: &[f64], bare: &[f64]| {
            with.iter().zip(bare).map(|(with, bare)| with - bare).collect()
        };
        Self {
            p50_us: less(&self.p50_us, &bare.p50_us),
            p99_us: less(&self.p99_us, &bare.p99_us),
            cpu_us: less(&self.cpu_us, &bare.cpu_us),
        }
    }
}

fn row(
    kind: Kind,
    contestant: Contestant,
    ours: Option<(&Series, Sent)>,
    theirs: (&Series, Sent),
) -> Row {
    let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
    let ratio = |of: fn(&Series) -> &[f64]| {
        let (ours, theirs) = (of(ours?.0), of(theirs.0));
        let tells = spread(theirs)?.median >= TELLABLE_MICROS;
        tells.then(|| Spread::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs)))?
    };
    let bytes_ratio = ours.and_then(|(_, sent)| Some(sent.bytes? / theirs.1.bytes?));
    Row {
        kind: kind.name,
        contestant: contestant.name,
        sent: theirs.1,
        p50_us: spread(&theirs.0.p50_us),
        p99_us: spread(&theirs.0.p99_us),
        cpu_us: spread(&theirs.0.cpu_us),
        bytes_ratio: bytes_ratio.filter(|ratio| ratio.is_finite()),
        p50_ratio: ratio(|series| &series.p50_us),
        cpu_ratio: ratio(|series| &series.cpu_us),
    }
}

/// What abide was to reach and did not, one line for each.
pub fn missed(store: &str, rows: &[Row]) -> Vec<String> {
    let mut missed = Vec::new();
    for row in rows {
        let of_abide = |other: &&Row| other.contestant == ABIDE.name && other.kind == row.kind;
        let ours = rows.iter().find(of_abide).map(|row| row.sent);
        let mut miss = |what: &str, ours: f64, limit: f64| {
            if ours > limit {
                let Row { kind, contestant, .. } = row;
                missed.push(format!(
                    "{store}, {kind}, beside {contestant}: {what} {ours:.2}, not {limit:.2}"
                ));
            }
        };
        if let (Some(ours), Some(theirs)) =
            (ours.and_then(|ours| ours.round_trips), row.sent.round_trips)
        {
            miss("round trips", ours, theirs);
        }
        if let Some(ratio) = row.p50_ratio {
            miss("ratio of p50", ratio.median, P50_RATIO_MAX);
        }
        if let Some(ratio) = row.bytes_ratio.filter(|_| row.kind == "write") {
            miss("ratio of bytes", ratio, WRITE_BYTES_RATIO_MAX);
        }
    }
    missed
}

/// The table of one store.
pub fn print(store: &str, rows: &[Row]) {
    println!(
        "{store:<12}{:<20}{:>6}{:>8}{:>8}{:>8}  {:<20}{:<22}{:<20}{:<7}{:<19}ratio CPU",
        "",
        "trips",
        "bytes",
        "back",
        "log",
        "added p50, us",
        "added p99, us",
        "added CPU, us",
        "bytes",
        "ratio p50"
    );
    let mut kind = "";
    for row in rows {
        let shown = if row.kind == kind { "" } else { row.kind };
        kind = row.kind;
        let number =
            |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.0}"));
        let ratio = row.bytes_ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let spread =
            |spread: Option<Spread>| spread.map_or(String::new(), |spread| spread.shown(2));
        println!(
            "  {shown:<10}{:<20}{:>6}{:>8}{:>8}{:>8}  {:<20}{:<22}{:<20}{ratio:<7}{:<19}{}",
            row.contestant,
            row.sent.round_trips.map_or("-".to_owned(), |trips| format!("{trips:.2}")),
            number(row.sent.bytes),
            number(row.sent.bytes_back),
            number(row.sent.bytes_logged),
            Shown(row.p50_us, 0),
            Shown(row.p99_us, 0),
            Shown(row.cpu_us, 0),
            spread(row.p50_ratio),
            spread(row.cpu_ratio),
        );
    }
}
