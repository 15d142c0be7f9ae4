//! What the end of a request costs: deciding, and merging a change into a session.

use std::sync::Arc;
use std::time::Duration;

use abide_session::{
    Changes, FieldChange, FieldName, Id, Operations, Policy, Presented, RANDOM_BYTES, Record,
    Stamp, Stamped, Standing, plan,
};
use abide_time::Time;
use bytes::Bytes;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const NOW: Time = Time::from_secs(1_800_000_000);

/// A session of five small fields, as a shop keeps them.
fn session() -> Record {
    let mut record = Record::default();
    record.created = NOW;
    record.seen = NOW;
    record.hard_deadline = Time::MAX;
    record.idle_timeout = Stamped::new(Stamp::new(1, 0), Duration::from_hours(24));
    for name in ["user", "cart", "language", "csrf", "visits"] {
        let value = Bytes::from_static(b"a value of some thirty bytes...");
        record.fields.insert(name_of(name), Stamped::new(Stamp::new(1, 0), Some(value)));
    }
    record
}

fn live() -> Presented {
    Presented::Live { record: Arc::new(session()), standing: Standing::Current }
}

fn name_of(name: &'static str) -> FieldName {
    FieldName::new(name).expect("a short name")
}

fn visit() -> Operations {
    let mut operations = Operations::default();
    operations.set(name_of("visits"), Bytes::from_static(b"\x07"));
    operations
}

#[divan::bench]
fn plan_untouched(bencher: Bencher<'_, '_>) {
    let operations = Operations::default();
    bencher.bench(|| plan(&Presented::Unloaded, black_box(&operations), NOW, &Policy::default()));
}

#[divan::bench]
fn plan_read(bencher: Bencher<'_, '_>) {
    let (live, operations) = (live(), Operations::default());
    bencher.bench(|| plan(black_box(&live), &operations, NOW, &Policy::default()));
}

#[divan::bench]
fn plan_write(bencher: Bencher<'_, '_>) {
    let (live, operations) = (live(), visit());
    bencher.bench(|| plan(black_box(&live), &operations, NOW, &Policy::default()));
}

#[divan::bench]
fn merge_one_field(bencher: Bencher<'_, '_>) {
    let mut changes = Changes::default();
    changes.fields.insert(name_of("visits"), FieldChange::blind(Some(Bytes::from_static(b"\x07"))));
    let mut reading = 2;
    let mut record = session();
    bencher.bench_local(|| {
        reading += 1;
        let delta = black_box(&changes).at(Stamp::new(reading, 0), &record);
        record.merge(delta.expect("a value can be put anywhere"));
    });
}

#[divan::bench]
fn merge_whole_sessions(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| (session(), session())).bench_values(|(mut ours, theirs)| {
        ours.merge(theirs);
        ours
    });
}

#[divan::bench]
fn hash_of_an_id(bencher: Bencher<'_, '_>) {
    let id = Id::from_random([7; RANDOM_BYTES]);
    bencher.bench(|| black_box(id).hash());
}

#[divan::bench]
fn parse_an_id(bencher: Bencher<'_, '_>) {
    let text = Id::from_random([7; RANDOM_BYTES]).text();
    bencher.bench(|| Id::parse(black_box(text.as_str()).as_bytes()));
}
