use alloc::collections::BTreeMap;
use alloc::vec;

use abide_session::{Field, Stamp, Stamped};
use proptest::prelude::*;

use super::*;
use crate::packed::pack;
use crate::samples::{entries, field, id, ids, subject_of};

/// What happens to a table.
#[derive(Clone, Debug)]
enum Step {
    Merge(IdHash, Entry),
    Remove(IdHash),
    Expire { now: u64, skew: u64, at_most: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let expire = (0_u64..30, 0_u64..9, 0_usize..5).prop_map(|(now, skew, at_most)| Step::Expire {
        now,
        skew,
        at_most,
    });
    let step = prop_oneof![
        8 => (ids(), entries()).prop_map(|(id, entry)| Step::Merge(id, entry)),
        1 => ids().prop_map(Step::Remove),
        2 => expire,
    ];
    prop::collection::vec(step, 0..40)
}

/// Everything the module promises of a table with this content.
fn check(table: &Table, content: &BTreeMap<IdHash, Entry>) {
    let kept: Vec<(IdHash, Entry)> = Slot::all()
        .flat_map(|slot| table.entries(slot, None))
        .map(|packed| (packed.id().unwrap(), packed.entry().unwrap()))
        .collect();
    assert!(kept.iter().map(|(id, entry)| (id, entry)).eq(content), "{kept:?} {content:?}");
    assert_eq!(table.len(), content.len());
    assert_eq!(table.is_empty(), content.is_empty());
    assert_eq!(table.sessions(), content.values().filter(|entry| entry.is_session()).count());
    let sizes = content.iter().map(|(id, entry)| size(pack(*id, entry).len(), entry.subject()));
    assert_eq!(table.bytes(), sizes.sum());
    let bound: BTreeSet<_> = content
        .iter()
        .filter_map(|(id, entry)| Some((subject_hash(entry.subject()?), *id)))
        .collect();
    assert_eq!(table.subjects, bound);
    let mut queued = BTreeSet::new();
    for slot in Slot::all() {
        let part = table.part(slot).unwrap();
        let here = || content.iter().filter(|(id, _)| id.slot() == slot);
        let digest = here().fold(0, |sum, (id, entry)| sum ^ xxh64(&pack(*id, entry), 0));
        assert_eq!((table.digest(slot), table.len_of(slot)), (digest, here().count()));
        let earliest = here().map(|(_, entry)| Tick::of(entry.due())).min();
        assert_eq!(part.earliest(), earliest.unwrap_or(Tick::NEVER));
        assert!(part.queued <= part.earliest());
        if part.queued != Tick::NEVER {
            queued.insert((part.queued, slot));
        }
    }
    assert_eq!(table.queue, queued);
}

/// What has to become of an entry, if it is due by then.
fn fate(entry: &Entry, last: Tick) -> Option<(Expired, Option<Entry>)> {
    if Tick::of(entry.due()) > last {
        return None;
    }
    let hard_deadline = entry.hard_deadline();
    Some(match entry {
        Entry::Moved(_) if Tick::of(hard_deadline) > last => {
            (Expired::Ended, Some(Entry::Ended { hard_deadline }))
        }
        _ => (Expired::Dropped, None),
    })
}

fn step(table: &mut Table, content: &mut BTreeMap<IdHash, Entry>, step: Step) {
    match step {
        Step::Merge(id, entry) => {
            let before = content.get(&id).cloned();
            let merged = before.clone().map_or_else(
                || entry.clone().normal(),
                |mut before| {
                    before.merge(entry.clone());
                    before
                },
            );
            let expected = match before {
                None => Merged::New,
                Some(before) if before == merged => Merged::Same,
                Some(_) => Merged::Changed,
            };
            assert_eq!(table.merge(id, entry), Ok(expected));
            content.insert(id, merged);
        }
        Step::Remove(id) => assert_eq!(table.remove(id), content.remove(&id).is_some()),
        Step::Expire { now, skew, at_most } => {
            let (now, skew) = (Time::from_secs(now), Duration::from_secs(skew));
            let last = Tick::last_due(now, skew);
            let done = table.drop_expired(now, skew, at_most);
            assert!(done.len() <= at_most);
            for (id, expired) in done {
                let (fate, after) = fate(&content[&id], last).expect("it was due");
                assert_eq!(fate, expired);
                match after {
                    Some(after) => content.insert(id, after),
                    None => content.remove(&id),
                };
            }
            if !table.is_due(now, skew) {
                assert!(content.values().all(|entry| fate(entry, last).is_none()));
            }
        }
    }
}

proptest! {
    #[test]
    fn a_table_is_what_was_merged_into_it(steps in steps()) {
        let (mut table, mut content) = (Table::new(usize::MAX), BTreeMap::new());
        for next in steps {
            step(&mut table, &mut content, next);
        }
        check(&table, &content);
        for number in 0..9 {
            prop_assert_eq!(table.get(id(number)), content.get(&id(number)).cloned());
        }
    }

    #[test]
    fn tables_that_heard_the_same_are_equal_slot_by_slot(
        merges in prop::collection::vec((ids(), entries()), 1..20), detour in steps()
    ) {
        let (mut one, mut other) = (Table::new(usize::MAX), Table::new(usize::MAX));
        let mut content = BTreeMap::new();
        for next in detour {
            step(&mut other, &mut content, next);
        }
        for number in 0..9 {
            other.remove(id(number));
        }
        for (id, entry) in &merges {
            one.merge(*id, entry.clone()).unwrap();
        }
        for (id, entry) in merges.iter().rev().chain(&merges) {
            other.merge(*id, entry.clone()).unwrap();
        }
        prop_assert_eq!(one.bytes(), other.bytes());
        for slot in Slot::all() {
            prop_assert_eq!(one.digest(slot), other.digest(slot));
            let bytes = |table: &Table| -> Vec<Vec<u8>> {
                table.entries(slot, None).map(|packed| packed.bytes().to_vec()).collect()
            };
            prop_assert_eq!(bytes(&one), bytes(&other));
        }
    }

    #[test]
    fn a_digest_tells_other_content(a in (ids(), entries()), b in (ids(), entries())) {
        let table = |(id, entry): &(IdHash, Entry)| {
            let mut table = Table::new(usize::MAX);
            table.merge(*id, entry.clone()).unwrap();
            Slot::all().map(|slot| table.digest(slot)).collect::<Vec<_>>()
        };
        prop_assert_eq!(table(&a) == table(&b), a == b);
    }

    /// Ids that are spread evenly, crowded, or alike in the bytes that a list is searched by.
    #[test]
    fn every_id_of_a_list_is_found(
        numbers in prop::collection::btree_set(0_u32..2000, 0..400), spread in 0_u32..3
    ) {
        let key = |number: u32| {
            let mut bytes = [0; Key::BYTES];
            let place = match spread {
                0 => number.wrapping_mul(0x9e37_79b9),
                1 => number / 3,
                _ => 7,
            };
            bytes[2..6].copy_from_slice(&place.to_be_bytes());
            bytes[18..].copy_from_slice(&number.to_be_bytes());
            Key::from_bytes(bytes).unwrap().id().unwrap()
        };
        let mut table = Table::new(usize::MAX);
        let mark = Entry::Ended { hard_deadline: Time::MAX };
        for number in &numbers {
            prop_assert_eq!(table.merge(key(*number), mark.clone()), Ok(Merged::New));
        }
        let slot = Slot::of_number(0);
        let mut sorted: Vec<IdHash> = numbers.iter().map(|number| key(*number)).collect();
        sorted.sort_unstable();
        for number in 0..2000 {
            let id = key(number);
            prop_assert_eq!(table.packed(id).is_some(), numbers.contains(&number));
            if number % 50 == 0 {
                let after: Vec<IdHash> =
                    table.entries(slot, Some(id)).filter_map(Packed::id).collect();
                prop_assert_eq!(&after[..], &sorted[sorted.partition_point(|other| *other <= id)..]);
            }
        }
        for number in &numbers {
            prop_assert!(table.remove(key(*number)));
        }
        prop_assert!(table.is_empty() && table.digest(slot) == 0);
    }
}

fn session(seen: u64, idle: u64, hard_deadline: u64, subject: Option<&str>) -> Record {
    let mut record = Record::default();
    (record.created, record.seen) = (Time::from_secs(1), Time::from_secs(seen));
    record.hard_deadline = Time::from_secs(hard_deadline);
    record.idle_timeout = Stamped::new(Stamp::new(1, 0), Duration::from_secs(idle));
    record.subject = Stamped::new(Stamp::new(seen, 0), subject.map(subject_of));
    record
}

#[test]
fn a_session_that_is_used_is_not_dropped_at_its_first_deadline() {
    let mut table = Table::new(usize::MAX);
    let nobody_waits = Duration::ZERO;
    table.merge(id(0), session(100, 60, 1000, None).into()).unwrap();
    for used in (140..900).step_by(40) {
        table.merge(id(0), session(used, 60, 1000, None).into()).unwrap();
        let done = table.drop_expired(Time::from_secs(used), nobody_waits, 9);
        assert_eq!(done, [], "at {used}");
    }
    assert_eq!(table.drop_expired(Time::from_secs(919), nobody_waits, 9), []);
    let dropped = table.drop_expired(Time::from_secs(920), nobody_waits, 9);
    assert_eq!(dropped, [(id(0), Expired::Dropped)]);
    assert!(table.is_empty() && !table.is_due(Time::MAX, nobody_waits));
}

#[test]
fn a_deadline_that_moves_earlier_is_kept_too() {
    let mut table = Table::new(usize::MAX);
    table.merge(id(0), session(100, 900, 1000, None).into()).unwrap();
    let mut shorter = Record::default();
    shorter.idle_timeout = Stamped::new(Stamp::new(9, 0), Duration::from_secs(20));
    table.merge(id(0), shorter.into()).unwrap();
    assert_eq!(table.drop_expired(Time::from_secs(120), Duration::ZERO, 1).len(), 1);
}

#[test]
fn a_mark_stays_until_its_hard_deadline_and_the_skew_of_clocks() {
    let mut table = Table::new(usize::MAX);
    let skew = Duration::from_mins(2);
    table.merge(id(0), session(100, 60, 1000, None).into()).unwrap();
    table.merge(id(0), Record::ended(Time::from_secs(1000)).into()).unwrap();
    assert_eq!(table.drop_expired(Time::from_secs(1119), skew, 9), []);
    assert_eq!(table.merge(id(0), session(990, 60, 1000, None).into()), Ok(Merged::Same));
    assert_eq!(table.drop_expired(Time::from_secs(1120), skew, 9), [(id(0), Expired::Dropped)]);
}

#[test]
fn an_old_id_becomes_a_mark_when_its_grace_is_over() {
    let mut table = Table::new(usize::MAX);
    let moved = Moved {
        to: id(3),
        until: Time::from_secs(200),
        before: Some(Box::new(session(100, 60, 1000, None))),
        hard_deadline: Time::from_secs(1000),
    };
    table.merge(id(0), Entry::Moved(moved.clone())).unwrap();
    let large = table.bytes();
    let done = table.drop_expired(Time::from_secs(200), Duration::ZERO, 9);
    assert_eq!(done, [(id(0), Expired::Ended)]);
    assert!(table.bytes() < large && table.len() == 1);
    // Who still has the stub can not bring it back.
    assert_eq!(table.merge(id(0), Entry::Moved(moved)), Ok(Merged::Same));
    assert_eq!(table.drop_expired(Time::from_secs(999), Duration::ZERO, 9), []);
    assert_eq!(table.drop_expired(Time::from_secs(1000), Duration::ZERO, 9).len(), 1);
}

#[test]
fn what_is_due_never_stays() {
    let mut table = Table::new(usize::MAX);
    table.merge(id(0), Entry::Ended { hard_deadline: Time::MAX }).unwrap();
    assert!(!table.is_due(Time::MAX, Duration::ZERO));
    assert_eq!(table.drop_expired(Time::MAX, Duration::ZERO, 9), []);
}

#[test]
fn no_more_is_dropped_at_once_than_was_asked_for() {
    let mut table = Table::new(usize::MAX);
    for number in 0..9 {
        table.merge(id(number), session(100, 60, 1000, None).into()).unwrap();
    }
    let now = Time::from_secs(160);
    for left in (0..9).rev() {
        assert_eq!(table.drop_expired(now, Duration::ZERO, 1).len(), 1);
        assert_eq!((table.len(), table.is_due(now, Duration::ZERO)), (left, left > 0));
    }
    assert_eq!(table.drop_expired(now, Duration::ZERO, 0), []);
}

#[test]
fn a_full_table_refuses_what_is_new_and_nothing_else() {
    let entry = Entry::from(session(100, 60, 1000, Some("alice")));
    let one = size(pack(id(0), &entry).len(), entry.subject());
    let mut table = Table::new(one);
    assert_eq!(table.merge(id(0), entry.clone()), Ok(Merged::New));
    let digest = table.digest(id(0).slot());
    for number in 1..9 {
        assert_eq!(table.merge(id(number), Record::ended(Time::MAX).into()), Err(Full));
    }
    assert_eq!((table.len(), table.digest(id(0).slot())), (1, digest));
    let mut grown = session(101, 60, 1000, Some("a longer name than before"));
    let fields: [(_, Field); 1] = [field("a", Stamp::new(7, 0), Some(vec![7; 9000]))];
    grown.fields.extend(fields);
    assert_eq!(table.merge(id(0), grown.into()), Ok(Merged::Changed));
    assert!(table.bytes() > one);
    assert!(table.remove(id(0)));
    assert_eq!(table.merge(id(1), entry), Ok(Merged::New));
}

#[test]
fn sessions_are_found_by_whom_they_belong_to() {
    let mut table = Table::new(usize::MAX);
    let (alice, bob, now) = (subject_of("alice"), subject_of("bob"), Time::from_secs(120));
    let found = |table: &Table, subject: &Subject, now| -> Vec<IdHash> {
        table.of_subject(subject, now).map(|(id, _)| id).collect()
    };
    for number in 0..6 {
        let name = if number % 2 == 0 { "alice" } else { "bob" };
        table.merge(id(number), session(100, 60, 1000, Some(name)).into()).unwrap();
    }
    table.merge(id(8), session(100, 60, 1000, None).into()).unwrap();
    let mut evens = vec![id(0), id(2), id(4)];
    evens.sort_unstable();
    assert_eq!(found(&table, &alice, now), evens);
    assert_eq!(found(&table, &alice, Time::from_secs(160)), [], "they have expired");
    // One goes over to bob, one ends, one is removed.
    table.merge(id(0), session(110, 60, 1000, Some("bob")).into()).unwrap();
    table.merge(id(2), Record::ended(Time::from_secs(1000)).into()).unwrap();
    table.remove(id(4));
    assert_eq!(found(&table, &alice, now), []);
    assert_eq!(found(&table, &bob, now).len(), 4);
    assert_eq!(found(&table, &subject_of("carol"), now), []);
    // The record comes with it.
    assert!(
        table
            .of_subject(&bob, now)
            .all(|(_, record)| record.subject.value == Some(subject_of("bob")))
    );
}

#[test]
fn debug_shows_nothing_of_a_session() {
    let mut table = Table::new(usize::MAX);
    table.merge(id(0), session(100, 60, 1000, Some("alice")).into()).unwrap();
    let shown = alloc::format!("{table:?}");
    assert!(shown.contains("count: 1") && !shown.contains("alice"), "{shown}");
}
