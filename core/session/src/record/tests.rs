use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::changes::{Changes, FieldChange};
use crate::limits::MAX_RECORD_BYTES;

/// Few names, stamps and values, so that they meet often.
fn stamps() -> impl Strategy<Value = Stamp> {
    (1_u64..6, 0_u16..2).prop_map(|(reading, node)| Stamp::new(reading, node))
}

/// Never cleared, some time, or ended.
fn clearings() -> impl Strategy<Value = Stamp> {
    prop_oneof![8 => stamps(), 1 => Just(Stamp::ZERO), 1 => Just(Stamp::MAX)]
}

fn fields() -> impl Strategy<Value = BTreeMap<FieldName, Field>> {
    let names = prop_oneof![Just("a"), Just("b"), Just("c")];
    let values = prop::option::of(prop::collection::vec(0_u8..3, 0..2).prop_map(Bytes::from));
    let fields = (names, stamps(), values);
    prop::collection::vec(fields, 0..4).prop_map(|fields| {
        let fields = fields.into_iter().map(|(name, stamp, value)| {
            (FieldName::new(name).unwrap(), Stamped::new(stamp, value))
        });
        fields.collect()
    })
}

/// Any record that a merge could have made, deltas and ended ones among them.
fn records() -> impl Strategy<Value = Record> {
    let times = (1_u64..4).prop_map(Time::from_secs);
    let subjects = prop::option::of(prop_oneof![Just("alice"), Just("bob")]);
    let parts = (
        clearings(),
        times.clone(),
        times.clone(),
        times,
        stamps(),
        (stamps(), subjects),
        fields(),
    );
    parts.prop_map(|(cleared, created, seen, hard_deadline, idle, (bound, subject), fields)| {
        let idle_timeout = Stamped::new(idle, Duration::from_secs(idle.reading() % 7));
        let subject = Stamped::new(bound, subject.map(|subject| Subject::new(subject).unwrap()));
        let mut record = Record::default();
        record.merge(Record {
            cleared,
            created,
            seen,
            hard_deadline,
            idle_timeout,
            subject,
            fields,
        });
        record
    })
}

fn merged(records: &[&Record]) -> Record {
    records.iter().fold(Record::default(), |mut all, record| {
        all.merge((*record).clone());
        all
    })
}

proptest! {
    #[test]
    fn merge_is_commutative(a in records(), b in records()) {
        prop_assert_eq!(merged(&[&a, &b]), merged(&[&b, &a]));
    }

    #[test]
    fn merge_is_associative(a in records(), b in records(), c in records()) {
        prop_assert_eq!(merged(&[&merged(&[&a, &b]), &c]), merged(&[&a, &merged(&[&b, &c])]));
    }

    #[test]
    fn merge_is_idempotent(a in records(), b in records()) {
        prop_assert_eq!(merged(&[&a, &a]), a.clone());
        let both = merged(&[&a, &b]);
        prop_assert_eq!(merged(&[&both, &a, &b]), both);
    }

    #[test]
    fn the_default_is_the_delta_that_changes_nothing(a in records()) {
        prop_assert_eq!(merged(&[&a, &Record::default()]), a);
    }

    #[test]
    fn an_ended_session_shows_nothing_whatever_comes(before in records(), later in records()) {
        let session = merged(&[&before, &Record::ended(Time::from_secs(9)), &later]);
        prop_assert!(session.is_ended());
        prop_assert_eq!(session.iter().count(), 0);
        prop_assert!(session.hard_deadline >= Time::from_secs(9));
    }

    #[test]
    fn a_removed_field_comes_back_only_by_a_later_write(
        session in records(), removal in stamps(), others in prop::collection::vec(records(), 0..4)
    ) {
        let name = FieldName::new("a").unwrap();
        let mut removed = Record::default();
        removed.fields.insert(name, Stamped::new(removal, None));
        let mut all = vec![&session, &removed];
        all.extend(&others);
        if let Some(field) = merged(&all).visible("a") {
            // At one stamp a value beats a removal, on every node alike.
            prop_assert!(field.stamp >= removal);
        }
    }

    #[test]
    fn what_is_visible_is_the_last_write_after_the_last_clear(a in records(), b in records()) {
        let both = merged(&[&a, &b]);
        for name in ["a", "b", "c"] {
            let writes: Vec<&Field> =
                [&a, &b].into_iter().filter_map(|record| record.fields.get(name)).collect();
            let last = writes.into_iter().max().filter(|last| last.stamp > both.cleared);
            prop_assert_eq!(both.get(name), last.and_then(|last| last.value.as_ref()));
        }
    }

    #[test]
    fn changes_made_later_than_everything_take_effect(session in records()) {
        prop_assume!(!session.is_ended());
        let (kept, cleared) = (FieldName::new("b").unwrap(), FieldName::new("a").unwrap());
        let mut changes = Changes { clear: true, ..Changes::default() };
        let value = Bytes::from_static(b"new");
        changes.fields.insert(kept, FieldChange::blind(Some(value.clone())));
        let mut clock = crate::Clock::new(0);
        prop_assert!(clock.observe(session.latest(), Time::from_secs(1)));
        let delta = changes.at(clock.tick(Time::EPOCH), &session).unwrap();
        let after = merged(&[&session, &delta]);
        prop_assert_eq!(after.get("b"), Some(&value));
        prop_assert_eq!(after.get(cleared.as_str()), None);
        prop_assert_eq!(after.iter().count(), 1);
    }
}

/// What a request may ask of a session, all parts in any combination.
fn changes() -> impl Strategy<Value = Changes> {
    let times = || prop::option::of((1_u64..4).prop_map(Time::from_secs));
    let idle = prop::option::of((0_u64..7).prop_map(Duration::from_secs));
    let subjects = prop::option::of(prop::option::of(prop_oneof![Just("alice"), Just("bob")]));
    let parts = (any::<bool>(), fields(), times(), times(), times(), idle, subjects);
    parts.prop_map(|(clear, fields, created, seen, hard_deadline, idle_timeout, subject)| {
        let subject = subject.map(|name| name.map(|name| Subject::new(name).unwrap()));
        let fields =
            fields.into_iter().map(|(name, field)| (name, FieldChange::blind(field.value)));
        let fields = fields.collect();
        Changes { clear, fields, created, seen, idle_timeout, hard_deadline, subject }
    })
}

proptest! {
    #[test]
    fn applied_changes_are_what_their_delta_comes_to(session in records(), changes in changes()) {
        prop_assume!(!session.is_ended());
        let mut clock = crate::Clock::new(0);
        prop_assert!(clock.observe(session.latest(), Time::from_secs(1)));
        let stamp = clock.tick(Time::EPOCH);
        let mut applied = session.clone();
        changes.apply(&mut applied, stamp).unwrap();
        prop_assert_eq!(applied, merged(&[&session, &changes.at(stamp, &session).unwrap()]));
    }
}

#[test]
fn of_two_writes_at_one_stamp_the_greater_value_wins() {
    let stamp = Stamp::new(3, 1);
    let mut values = [None, Some(""), Some("a"), Some("b")].into_iter();
    let mut field: Field = Stamped::new(stamp, values.next().flatten().map(Bytes::from));
    for value in values {
        let greater = Stamped::new(stamp, value.map(Bytes::from));
        let mut other = greater.clone();
        other.merge(field.clone());
        field.merge(greater.clone());
        assert_eq!(field, greater);
        assert_eq!(other, greater);
    }
}

fn record_of(fields: usize, value_bytes: usize) -> Record {
    let mut record = Record::default();
    for number in 0..fields {
        let value = Bytes::from(vec![0; value_bytes]);
        let name = FieldName::new(format!("field {number}")).unwrap();
        record.fields.insert(name, Stamped::new(Stamp::new(1, 0), Some(value)));
    }
    record
}

fn limit_met<T>(result: Result<T, StoreError>) -> Option<Limit> {
    match result {
        Ok(_) => None,
        Err(StoreError::TooLarge(limit)) => Some(limit),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn records_are_held_to_their_limits() {
    assert_eq!(limit_met(record_of(MAX_FIELDS, 1).check()), None);
    assert_eq!(limit_met(record_of(MAX_FIELDS + 1, 1).check()), Some(Limit::Fields));
    assert_eq!(limit_met(record_of(1, MAX_VALUE_BYTES).check()), None);
    assert_eq!(limit_met(record_of(1, MAX_VALUE_BYTES + 1).check()), Some(Limit::Value));
    assert_eq!(limit_met(record_of(4, MAX_VALUE_BYTES).check()), Some(Limit::Record));
    assert!(record_of(4, MAX_VALUE_BYTES).size() > MAX_RECORD_BYTES);
}

#[test]
fn names_are_held_to_their_limits() {
    for (bytes, field, subject) in [
        (0, false, false),
        (1, true, true),
        (MAX_FIELD_NAME_BYTES, true, true),
        (MAX_FIELD_NAME_BYTES + 1, false, true),
        (MAX_SUBJECT_BYTES, false, true),
        (MAX_SUBJECT_BYTES + 1, false, false),
    ] {
        let name: String = "n".repeat(bytes);
        assert_eq!(limit_met(FieldName::new(name.clone())).is_none(), field, "{bytes}");
        assert_eq!(limit_met(Subject::new(name)).is_none(), subject, "{bytes}");
    }
}

#[test]
fn debug_shows_neither_values_nor_the_subject() {
    let mut record = record_of(1, 0);
    let value = Bytes::from_static(b"hunter2");
    record.fields.insert(FieldName::new("p").unwrap(), Stamped::new(Stamp::ZERO, Some(value)));
    record.subject.value = Some(Subject::new("alice").unwrap());
    let shown = format!("{record:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
}
