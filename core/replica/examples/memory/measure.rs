//! Fills a table and looks at the process.
#![expect(clippy::disallowed_methods, reason = "what measures time reads a clock")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use abide_replica::{Entry, Merged, Table};
use abide_session::{
    Changes, Clock, FieldChange, FieldName, Id, IdHash, RANDOM_BYTES, Record, Slot, Subject, Time,
};
use bytes::Bytes;

/// The five small fields that `bench/stores` measures every store with
/// (`bench/stores/app/src/content.rs`): 95 characters with their names.
const SMALL: [(&str, &str); 5] = [
    ("user", "184467"),
    ("csrf", "pK3v9sQmYt0bXw7LrN2cHf5aJd8eUg1i"),
    ("cart", "SHOE-42,SOCK-3"),
    ("locale", "de-DE"),
    ("page", "/products/100000"),
];
/// A page that makes them 103 characters.
const LONG_PAGE: &str = "/products/100000?size=42";
const START: Time = Time::from_secs(1_795_000_000);
const IDLE: Duration = Duration::from_hours(24);
const LIFETIME: Duration = Duration::from_hours(14 * 24);
/// Calls of each kind that are timed.
const TIMED: u64 = 200_000;
const CALLS_PER_TURN: usize = 200;

/// Everything, for the number of sessions and the variant on the command line.
pub(crate) fn all(allocator: &str) -> String {
    let mut arguments = std::env::args().skip(1);
    let sessions: u64 = arguments.next().map_or(200_000, |text| text.parse().expect("a number"));
    let variant = arguments.next().unwrap_or_else(|| "fresh".to_owned());
    assert!(["fresh", "long", "written", "subject"].contains(&variant.as_str()), "no such variant");

    let mut table = Table::new(usize::MAX);
    let mut clock = Clock::new(3);
    let before = resident_bytes();
    let started = Instant::now();
    for number in 0..sessions {
        let entry = Entry::from(fresh(number, &variant, &mut clock));
        assert_eq!(table.merge(id(number), entry), Ok(Merged::New));
    }
    let filled = started.elapsed();
    if variant == "written" {
        for later in 1..=3 {
            for number in 0..sessions {
                let delta = Entry::from(written(number, later, &mut clock));
                assert_eq!(table.merge(id(number), delta), Ok(Merged::Changed));
            }
        }
    }
    let grown = resident_bytes().saturating_sub(before);

    let mut report = String::new();
    let packed: usize = Slot::all()
        .flat_map(|slot| table.entries(slot, None))
        .map(|entry| entry.bytes().len())
        .sum();
    let each = |bytes: usize| {
        let tenths = u64::try_from(bytes).expect("64 bits") * 10 / sessions;
        format!("{}.{}", tenths / 10, tenths % 10)
    };
    let _ = write!(
        report,
        "{sessions} sessions, {variant}, {allocator}: {} bytes each of the process, {} by the table's own \
         count, {} packed; made and merged in {} ns each",
        each(grown),
        each(table.bytes()),
        each(packed),
        filled.as_nanos() / u128::from(sessions),
    );
    times(&mut report, &mut table, sessions, &mut clock);
    report
}

/// Times of single calls, for ids in an order that no cache foresees.
fn times(report: &mut String, table: &mut Table, sessions: u64, clock: &mut Clock) {
    let picked: Vec<u64> = (0..TIMED).map(|turn| random(turn, 9) % sessions).collect();
    let mut look_up = |what: &str, turn: &dyn Fn(IdHash)| {
        let time = median(&picked, id, turn);
        let _ = write!(report, "\n  {what}: {time} ns");
    };
    look_up("look-up, packed", &|id| assert!(black_box(table.packed(id)).is_some()));
    look_up("get", &|id| assert!(black_box(table.get(id)).is_some()));
    let mut merge = |what: &str, later: u64, expected: Merged| {
        let prepare = |number| (id(number), Entry::from(written(number, later, clock)));
        let time = median(&picked, prepare, |(id, delta)| {
            assert_eq!(table.merge(id, delta), Ok(expected));
        });
        let _ = write!(report, "\n  {what}: {time} ns");
    };
    merge("merge of a changed field and a touch", 9, Merged::Changed);
    let now = START.after(IDLE * 20);
    let started = Instant::now();
    let mut dropped = 0;
    while table.is_due(now, Duration::ZERO) {
        dropped += table.drop_expired(now, Duration::ZERO, 64).len();
    }
    let each = started.elapsed().as_nanos() / u128::from(sessions);
    let _ = write!(report, "\n  drop_expired, 64 at a time, all of them: {each} ns");
    assert_eq!((u64::try_from(dropped), table.bytes()), (Ok(sessions), 0));
}

/// Nanoseconds of one call: the median of what it takes on average in turns of some hundred, so that
/// turns in which another process had the processor do not count. What a turn needs is made before it.
fn median<T>(picked: &[u64], mut prepare: impl FnMut(u64) -> T, mut call: impl FnMut(T)) -> u128 {
    let mut turns: Vec<u128> = Vec::new();
    for turn in picked.chunks(CALLS_PER_TURN) {
        let prepared: Vec<T> = turn.iter().map(|number| prepare(*number)).collect();
        let started = Instant::now();
        for each in prepared {
            call(each);
        }
        turns.push(
            started.elapsed().as_nanos() / u128::try_from(turn.len()).expect("a few hundred"),
        );
    }
    turns.sort_unstable();
    turns[turns.len() / 2]
}

/// A session as it is made.
fn fresh(number: u64, variant: &str, clock: &mut Clock) -> Record {
    let now = Time::from_millis(START.as_millis() + number / 8);
    let mut changes = Changes::default();
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(IDLE);
    changes.hard_deadline = Some(now.after(LIFETIME));
    if variant == "subject" {
        let subject = format!("user-{:08}", random(number, 7) % 100_000_000);
        changes.subject = Some(Some(Subject::new(subject).expect("a short name")));
    }
    for (name, value) in SMALL {
        let is_long = variant == "long" && name == "page";
        set(&mut changes, name, if is_long { LONG_PAGE } else { value });
    }
    changes.at(clock.tick(now), &Record::default()).expect("nothing is added up")
}

/// A field that is set again some hours later.
fn written(number: u64, later: u64, clock: &mut Clock) -> Record {
    let hours = Duration::from_secs(later * 3600 + random(number, later) % 3000);
    let now = Time::from_millis(START.as_millis() + number / 8).after(hours);
    let mut changes = Changes::default();
    changes.seen = Some(now);
    let (name, value) = SMALL[usize::try_from(later % 5).expect("less than five")];
    set(&mut changes, name, value);
    changes.at(clock.tick(now), &Record::default()).expect("nothing is added up")
}

fn set(changes: &mut Changes, name: &'static str, value: &'static str) {
    let name = FieldName::new(name).expect("a short name");
    changes.fields.insert(name, FieldChange::blind(Some(Bytes::from_static(value.as_bytes()))));
}

fn id(number: u64) -> IdHash {
    let mut bytes = [0; RANDOM_BYTES];
    for (chunk, part) in bytes.chunks_mut(8).zip(0..) {
        chunk.copy_from_slice(&random(number, part).to_le_bytes()[..chunk.len()]);
    }
    Id::from_random(bytes).hash()
}

/// A number that looks random (splitmix64).
fn random(number: u64, part: u64) -> u64 {
    let mut state = number.wrapping_mul(16).wrapping_add(part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says how large it is");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its size");
    let kibibytes: usize =
        line.trim().trim_end_matches(" kB").parse().expect("a number of kibibytes");
    kibibytes * 1024
}
