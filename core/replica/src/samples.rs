//! Ids, records and entries for properties.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::time::Duration;

use abide_session::{
    Field, FieldName, Id, IdHash, RANDOM_BYTES, Record, Stamp, Stamped, Subject, Time,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::entry::{Entry, Moved};

/// One of nine ids, three each in three slots.
pub(crate) fn id(number: u8) -> IdHash {
    let mut random = [number; RANDOM_BYTES];
    (random[0], random[1]) = (0, number % 3);
    Id::from_random(random).hash()
}

pub(crate) fn ids() -> impl Strategy<Value = IdHash> + Clone {
    (0_u8..9).prop_map(id)
}

/// What few values there are, so that they meet often.
pub(crate) fn entries() -> impl Strategy<Value = Entry> {
    let times = || (1_u64..9).prop_map(Time::from_secs);
    let before = prop::option::weighted(0.3, records().prop_map(Box::new));
    let moved = (ids(), times(), before, times()).prop_map(|(to, until, before, hard_deadline)| {
        Entry::Moved(Moved { to, until, before, hard_deadline })
    });
    prop_oneof![
        6 => records().prop_map(Entry::from),
        2 => moved.prop_map(Entry::normal),
        1 => times().prop_map(|hard_deadline| Entry::Ended { hard_deadline }),
    ]
}

/// Records and deltas, ended and cleared ones among them, as no merge has left them yet.
pub(crate) fn records() -> impl Strategy<Value = Record> {
    let stamps = || (1_u64..6, 0_u16..2).prop_map(|(reading, node)| Stamp::new(reading, node));
    let clearings = prop_oneof![1 => stamps(), 4 => Just(Stamp::ZERO), 1 => Just(Stamp::MAX)];
    let times = || (0_u64..9).prop_map(Time::from_secs);
    let made = prop_oneof![times(), Just(Time::MAX)];
    let idle = (stamps(), 0_u64..7).prop_map(|(stamp, seconds)| Stamped::new(stamp, seconds));
    let people = prop::option::of(prop_oneof![Just("alice"), Just("bob")]);
    let subject = prop_oneof![
        Just(Stamped::default()),
        (stamps(), people).prop_map(|(stamp, name)| Stamped::new(stamp, name.map(subject_of))),
    ];
    let names = prop_oneof![Just("a"), Just("b"), Just("c")];
    let values = prop::option::of(prop::collection::vec(0_u8..3, 0..2));
    let fields = prop::collection::vec((names, stamps(), values), 0..4);
    (clearings, (made, times(), times()), idle, subject, fields).prop_map(
        |(cleared, times, idle, subject, fields)| {
            let fields = fields.into_iter().map(|(name, stamp, value)| field(name, stamp, value));
            let idle = Stamped::new(idle.stamp, Duration::from_secs(idle.value));
            record(cleared, times, idle, subject, fields.collect())
        },
    )
}

/// Entries with all that their types can hold.
pub(crate) fn wide_entries() -> impl Strategy<Value = Entry> {
    let times = || numbers().prop_map(Time::from_millis);
    let before = prop::option::of(wide_records().prop_map(Box::new));
    let moved = (ids(), times(), before, times()).prop_map(|(to, until, before, hard_deadline)| {
        Entry::Moved(Moved { to, until, before, hard_deadline })
    });
    prop_oneof![
        4 => wide_records().prop_map(Entry::Session),
        2 => moved,
        1 => times().prop_map(|hard_deadline| Entry::Ended { hard_deadline }),
    ]
}

fn wide_records() -> impl Strategy<Value = Record> {
    let nodes = prop_oneof![Just(0), Just(3), any::<u16>()];
    let stamps = move || {
        let stamp = (numbers(), nodes.clone()).prop_map(|(number, node)| Stamp::new(number, node));
        prop_oneof![1 => Just(Stamp::ZERO), 1 => Just(Stamp::MAX), 6 => stamp]
    };
    let times = || prop_oneof![3 => numbers(), 1 => Just(u64::MAX)].prop_map(Time::from_millis);
    let parts = prop_oneof![Just(0), 0_u32..1_000_000_000];
    let idle = (stamps(), numbers(), parts)
        .prop_map(|(stamp, seconds, part)| Stamped::new(stamp, Duration::new(seconds, part)));
    let subject = (stamps(), prop::option::of("[a-z]{1,20}"))
        .prop_map(|(stamp, name)| Stamped::new(stamp, name.as_deref().map(subject_of)));
    let values = prop::option::of(prop::collection::vec(any::<u8>(), 0..300));
    let fields = prop::collection::vec(("\\PC{1,9}", stamps(), values), 0..6);
    let cleared = prop_oneof![2 => Just(Stamp::ZERO), 1 => stamps()];
    (cleared, (times(), times(), times()), idle, subject, fields).prop_map(
        |(cleared, times, idle, subject, fields)| {
            let fields = fields.into_iter().map(|(name, stamp, value)| field(name, stamp, value));
            record(cleared, times, idle, subject, fields.collect())
        },
    )
}

/// Small ones, large ones, and those near a clock's readings.
fn numbers() -> impl Strategy<Value = u64> {
    let clock = (1_795_000_000_000_u64..1_795_000_100_000, 0_u64..3)
        .prop_map(|(millis, counter)| (millis << 16) | counter);
    prop_oneof![0_u64..4, clock, any::<u64>(), 0_u64..2_000_000_000_000]
}

fn record(
    cleared: Stamp,
    (created, seen, hard_deadline): (Time, Time, Time),
    idle_timeout: Stamped<Duration>,
    subject: Stamped<Option<Subject>>,
    fields: BTreeMap<FieldName, Field>,
) -> Record {
    let mut record = Record::default();
    (record.cleared, record.created, record.seen) = (cleared, created, seen);
    record.hard_deadline = hard_deadline;
    (record.idle_timeout, record.subject, record.fields) = (idle_timeout, subject, fields);
    record
}

pub(crate) fn field(
    name: impl Into<String>,
    stamp: Stamp,
    value: Option<impl Into<Bytes>>,
) -> (FieldName, Field) {
    let name = FieldName::new(name.into()).expect("a short name");
    (name, Stamped::new(stamp, value.map(Into::into)))
}

pub(crate) fn subject_of(name: &str) -> Subject {
    Subject::new(name).expect("a short name")
}
