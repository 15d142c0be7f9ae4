//! A session in a sealed cookie: abide beside what others use. Time to seal and to open, the making
//! and reading of JSON or MessagePack included, and size.

mod abide;
mod format;
mod iron;
mod jwe;
mod private_jar;
mod session;

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;

use abide_bench_sessions::report::{Spread, machine, write_json};
use abide_bench_sessions::turns::{Rounds, Turn, cpu_time, take_turns};
use clap::Parser;
use serde::Serialize;

use format::{BROWSER_BYTES, Format, sent_back};
use session::{Session, Shape};

/// A session in a sealed cookie: abide beside what others use.
#[derive(Parser, Debug)]
struct Arguments {
    /// Rounds that count; each gives a ratio.
    #[arg(long, default_value_t = 30)]
    rounds: u32,
    /// Turns of each format in a round.
    #[arg(long, default_value_t = 10)]
    turns: u32,
    /// Sessions sealed and opened in a turn.
    #[arg(long, default_value_t = 200)]
    sessions: u32,
    /// Writes the figures to this file as well.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only prints a session sealed in iron-session's format, for `verify-iron`.
    #[arg(long)]
    iron_sample: bool,
}

/// Sessions that differ, so that no one of them decides.
const SESSIONS: usize = 64;
/// What ours is to stay below, of the fastest and of the smallest of the others.
const TIME_TARGET: f64 = 1.0;
const SIZE_TARGET: f64 = 0.7;

#[derive(Debug, Serialize)]
struct Figures {
    /// CPU nanoseconds, of a session of the usual size.
    times: Vec<Time>,
    sizes: Vec<Sizes>,
}

#[derive(Debug, Serialize)]
struct Time {
    format: &'static str,
    seal: Spread,
    open: Spread,
    both: Spread,
    /// What abide takes of this, round by round.
    ratio: Spread,
}

#[derive(Debug, Serialize)]
struct Sizes {
    shape: &'static str,
    json_bytes: Spread,
    formats: Vec<Size>,
}

#[derive(Debug, Serialize)]
struct Size {
    format: &'static str,
    /// What a browser sends with each request: names and values.
    bytes: Spread,
    /// What abide takes of this, session by session.
    ratio: Spread,
    /// Whether a browser would keep all of it.
    kept: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.iron_sample {
        let session = &session::sessions(session::USUAL, 1)[0];
        let sample = serde_json::json!({
            "password": iron::PASSWORD, "sealed": iron::sealed(session), "session": session,
        });
        println!("{sample}");
        return ExitCode::SUCCESS;
    }
    let formats: [Box<dyn Format>; 5] = [
        Box::new(abide::Abide::new()),
        Box::new(abide::Abide::without_compression()),
        Box::new(private_jar::PrivateJar::new()),
        Box::new(jwe::Jwe::new()),
        Box::new(iron::Iron),
    ];
    let rounds = Rounds {
        rounds: arguments.rounds.max(1),
        turns: arguments.turns.max(1),
        operations: arguments.sessions.max(1),
    };
    println!(
        "{}; {} rounds of {} sessions",
        machine(),
        rounds.rounds,
        rounds.turns * rounds.operations
    );
    let shapes = [session::USUAL].into_iter().chain(session::OTHERS);
    let figures = Figures {
        times: times(&formats, rounds),
        sizes: shapes.map(|shape| sizes(&formats, shape)).collect(),
    };
    print(&figures);
    match write_json(arguments.json.as_deref(), &figures) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the figures could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn times(formats: &[Box<dyn Format>], rounds: Rounds) -> Vec<Time> {
    let sessions = session::sessions(session::USUAL, SESSIONS);
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for format in formats {
        turns.push(sealing(&**format, &sessions));
        turns.push(opening(&**format, &sessions));
    }
    let taken = take_turns(&mut turns, rounds);
    let both: Vec<Vec<f64>> = taken
        .chunks(2)
        .map(|taken| taken[0].iter().zip(&taken[1]).map(|(seal, open)| seal + open).collect())
        .collect();
    let rows = formats.iter().zip(taken.chunks(2)).zip(&both);
    rows.map(|((format, taken), sums)| Time {
        format: format.name(),
        seal: Spread::of(taken[0].iter().copied()),
        open: Spread::of(taken[1].iter().copied()),
        both: Spread::of(sums.iter().copied()),
        ratio: Spread::of_ratios(&both[0], sums),
    })
    .collect()
}

fn sealing<'a>(format: &'a dyn Format, sessions: &'a [Session]) -> Turn<'a> {
    Box::new(move |count| {
        cpu_time(|| {
            for session in sessions.iter().cycle().take(count as usize) {
                black_box(format.seal(black_box(session)));
            }
        })
    })
}

fn opening<'a>(format: &'a dyn Format, sessions: &'a [Session]) -> Turn<'a> {
    let fields: Vec<String> = sessions.iter().map(|session| field(&format.seal(session))).collect();
    for (field, session) in fields.iter().zip(sessions) {
        assert_eq!(format.open(field), *session, "{} gives back what it got", format.name());
    }
    Box::new(move |count| {
        cpu_time(|| {
            for field in fields.iter().cycle().take(count as usize) {
                black_box(format.open(black_box(field)));
            }
        })
    })
}

fn sizes(formats: &[Box<dyn Format>], shape: Shape) -> Sizes {
    let sessions = session::sessions(shape, SESSIONS);
    let json = sessions
        .iter()
        .map(|session| serde_json::to_vec(session).expect("a session is JSON").len() as f64);
    let mut kept = vec![true; formats.len()];
    let bytes: Vec<Vec<f64>> = formats
        .iter()
        .zip(&mut kept)
        .map(|(format, kept)| {
            let size = |session| {
                let texts = format.seal(session);
                *kept &= texts.iter().all(|text| text.len() <= BROWSER_BYTES);
                assert_eq!(format.open(&field(&texts)), *session, "{}", format.name());
                sent_back(&texts).len() as f64
            };
            sessions.iter().map(size).collect()
        })
        .collect();
    let rows = formats.iter().zip(&bytes).zip(kept).map(|((format, sizes), kept)| Size {
        format: format.name(),
        bytes: Spread::of(sizes.iter().copied()),
        ratio: Spread::of_ratios(&bytes[0], sizes),
        kept,
    });
    Sizes { shape: shape.name, json_bytes: Spread::of(json), formats: rows.collect() }
}

/// The `Cookie` field of a browser that has other cookies too.
fn field(texts: &[String]) -> String {
    format!("theme=dark; seen=1; {}", sent_back(texts))
}

fn print(figures: &Figures) {
    println!(
        "\nCPU ns for a session of 1 KB, JSON or MessagePack included; target {TIME_TARGET:.2}\n"
    );
    println!("{:<24}{:>8}{:>8}{:>10}   abide / this", "", "seal", "open", "both");
    for time in &figures.times {
        println!(
            "{:<24}{:>8.0}{:>8.0}{:>10.0}   {}",
            time.format, time.seal.median, time.open.median, time.both.median, time.ratio
        );
    }
    for sizes in &figures.sizes {
        let json = sizes.json_bytes;
        let target = if sizes.shape == session::USUAL.name {
            format!("; target {SIZE_TARGET:.2}")
        } else {
            String::new()
        };
        println!(
            "\nbytes that each request carries, {}: JSON of {:.0} ({:.0}-{:.0}){target}\n",
            sizes.shape, json.median, json.lowest, json.highest
        );
        for size in &sizes.formats {
            let dropped = if size.kept { "" } else { "   over 4096: browsers drop it" };
            println!("{:<24}{:>8.0}   {}{dropped}", size.format, size.bytes.median, size.ratio);
        }
    }
}
