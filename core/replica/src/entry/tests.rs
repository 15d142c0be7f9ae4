use alloc::vec::Vec;

use abide_session::{Changes, Clock, FieldChange, FieldName, Stamped};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::samples::{entries, field, id, records};

fn merged<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Entry {
    let mut entries = entries.into_iter().cloned();
    let mut all = entries.next().expect("at least one").normal();
    for entry in entries {
        all.merge(entry);
    }
    all
}

/// Whether the merge with `small` adds nothing to `large`.
fn covers(large: &Entry, small: &Entry) -> bool {
    merged([large, small]) == *large
}

proptest! {
    #[test]
    fn merging_is_commutative(a in entries(), b in entries()) {
        prop_assert_eq!(merged([&a, &b]), merged([&b, &a]));
    }

    #[test]
    fn merging_is_associative(a in entries(), b in entries(), c in entries()) {
        let (left, right) = (merged([&a, &b]), merged([&b, &c]));
        prop_assert_eq!(merged([&left, &c]), merged([&a, &right]));
    }

    #[test]
    fn merging_is_idempotent(a in entries(), b in entries()) {
        prop_assert_eq!(merged([&a, &a]), a.clone());
        let both = merged([&a, &b]);
        prop_assert_eq!(merged([&both, &a, &b, &both]), both);
    }

    #[test]
    fn what_is_merged_only_grows(a in entries(), b in entries(), c in entries()) {
        let both = merged([&a, &b]);
        prop_assert!(covers(&both, &a) && covers(&both, &b));
        prop_assert!(a.rank() <= both.rank() && a.hard_deadline() <= both.hard_deadline());
        // The least of what covers both: whatever else covers both covers it too.
        let more = merged([&a, &c, &b]);
        prop_assert!(covers(&more, &both));
    }

    #[test]
    fn deltas_in_any_order_and_number_are_the_same_as_the_states_they_make(
        deltas in prop::collection::vec(entries(), 1..6),
        order in prop::collection::vec(any::<Index>(), 0..12),
        cut in any::<Index>(),
    ) {
        let all = merged(&deltas);
        // Some twice, in another order, and then each at least once.
        let shuffled = order.iter().map(|index| index.get(&deltas)).chain(deltas.iter().rev());
        prop_assert_eq!(merged(shuffled), all.clone());
        // Two copies that heard of different parts, and then of each other.
        let (one, other) = deltas.split_at(cut.index(deltas.len()));
        let other = merged(other);
        let whole = if one.is_empty() { other } else { merged([&other, &merged(one)]) };
        prop_assert_eq!(whole, all);
    }

    #[test]
    fn an_ended_session_stays_ended_until_the_last_deadline(
        before in entries(), ended in 1_u64..20, later in prop::collection::vec(entries(), 0..4)
    ) {
        let mark = Entry::Ended { hard_deadline: Time::from_secs(ended) };
        let all = merged([&before, &mark].into_iter().chain(&later));
        let latest = [&before, &mark].into_iter().chain(&later).map(Entry::hard_deadline).max();
        prop_assert_eq!(Some(all.hard_deadline()), latest);
        prop_assert!(matches!(all, Entry::Ended { .. }), "{all:?}");
    }

    #[test]
    fn nothing_becomes_live_that_was_not_created(
        deltas in prop::collection::vec(entries(), 1..6), now in 0_u64..20
    ) {
        let deltas = deltas.into_iter().map(|mut entry| {
            if let Entry::Session(record) = &mut entry {
                record.created = Time::MAX;
            }
            entry
        });
        let all = merged(&deltas.collect::<Vec<_>>());
        prop_assert!(all.live(Time::from_secs(now)).is_none(), "{all:?}");
    }

    #[test]
    fn a_removed_field_keeps_its_marker(
        record in records().prop_filter("ended", |record| !record.is_ended()), value: bool
    ) {
        let mut clock = Clock::new(1);
        let stamp = clock.tick(Time::from_secs(9));
        let mut removal = Record::default();
        removal.fields.extend([field("a", stamp, None::<Bytes>)]);
        let earlier = value.then_some(Bytes::from_static(b"x"));
        let mut write = Record::default();
        write.fields.extend([field("a", stamp.before(), earlier)]);
        let all = merged(&[record.into(), removal.into(), write.into()]);
        let Entry::Session(record) = all else { panic!("a session: {all:?}") };
        prop_assert_eq!(record.fields.get("a"), Some(&Stamped::new(stamp, None)));
    }

    #[test]
    fn a_session_is_what_its_records_make(a in records(), b in records()) {
        let mut record = a.clone();
        record.merge(b.clone());
        prop_assert_eq!(merged(&[Entry::Session(a), Entry::Session(b)]), Entry::from(record));
    }
}

#[test]
fn a_session_is_live_from_its_creation_to_its_deadline() {
    let now = Time::from_secs(100);
    let mut changes = Changes::default();
    (changes.created, changes.seen) = (Some(now), Some(now));
    changes.idle_timeout = Some(core::time::Duration::from_mins(1));
    changes.hard_deadline = Some(Time::from_secs(1000));
    let name = FieldName::new("a").unwrap();
    changes.fields.insert(name, FieldChange::blind(Some(Bytes::from_static(b"1"))));
    let record = changes.at(Clock::new(0).tick(now), &Record::default()).unwrap();
    let mut entry = Entry::from(record);
    assert!(entry.live(Time::from_millis(159_999)).is_some());
    assert!(entry.live(Time::from_secs(160)).is_none());
    assert_eq!(entry.due(), Time::from_secs(160));
    entry.merge(Record::ended(Time::from_secs(1000)).into());
    assert!(entry.live(now).is_none());
    assert_eq!(entry, Entry::Ended { hard_deadline: Time::from_secs(1000) });
}

#[test]
fn of_two_renewals_of_one_id_the_one_that_gives_less_wins() {
    let moved = |to, until, frozen: bool| Moved {
        to: id(to),
        until: Time::from_secs(until),
        before: frozen.then(Box::default),
        hard_deadline: Time::from_secs(50),
    };
    let (follows, freezes) = (moved(1, 40, false), moved(2, 30, true));
    assert!(freezes.stub().frozen && !follows.stub().frozen);
    let both = merged(&[Entry::Moved(follows), Entry::Moved(freezes.clone())]);
    assert_eq!(both, Entry::Moved(freezes));
}
