use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::fmt::Write as _;
use core::time::Duration;

use abide_session::{Field, FieldName, Record, Stamp, Stamped, Time};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::entry::Moved;
use crate::samples::{entries, field, id, ids, subject_of, wide_entries};

proptest! {
    #[test]
    fn what_is_packed_unpacks_to_its_normal_form(id in ids(), entry in wide_entries()) {
        let bytes = pack(id, &entry);
        prop_assert_eq!(&bytes, &pack(id, &entry.clone().normal()));
        prop_assert_eq!(unpack(&bytes), Ok((id, entry.normal())));
    }

    #[test]
    fn bytes_are_equal_if_and_only_if_entries_are(
        one in ids(), a in entries(), other in ids(), b in entries()
    ) {
        let same = (one, &a) == (other, &b);
        prop_assert_eq!(pack(one, &a) == pack(other, &b), same);
    }

    #[test]
    fn any_bytes_are_an_error_or_the_bytes_of_their_entry(bytes: Vec<u8>) {
        if let Ok((id, entry)) = unpack(&bytes) {
            prop_assert_eq!(pack(id, &entry), bytes);
        }
    }

    #[test]
    fn bytes_with_a_fault_are_an_error_or_the_bytes_of_another_entry(
        id in ids(), entry in wide_entries(), place: Index, fault in 1_u8.., cut: bool
    ) {
        let mut bytes = pack(id, &entry);
        let place = place.index(bytes.len());
        bytes[place] ^= fault;
        if cut {
            bytes.truncate(place);
        }
        if let Ok((other, changed)) = unpack(&bytes) {
            prop_assert!((other, &changed) != (id, &entry.normal()));
            prop_assert_eq!(pack(other, &changed), bytes);
        }
    }

    #[test]
    fn an_entry_that_is_cut_or_followed_by_something_is_malformed(
        id in ids(), entry in wide_entries(), cut: Index, more: u8
    ) {
        let mut bytes = pack(id, &entry);
        prop_assert_eq!(unpack(&bytes[..cut.index(bytes.len())]), Err(Malformed));
        bytes.push(more);
        prop_assert_eq!(unpack(&bytes), Err(Malformed));
    }
}

/// What `golden/packed-v1.txt` has a line of each.
fn golden_entries() -> Vec<(&'static str, Entry)> {
    let created = Time::from_secs(1_795_000_000);
    let at = |millis: u64, counter: u64, node| {
        Stamp::new((created.after(Duration::from_millis(millis)).as_millis() << 16) | counter, node)
    };
    let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    let mut fresh = Record::default();
    (fresh.created, fresh.seen) = (created, created);
    fresh.hard_deadline = created.after(Duration::from_hours(14 * 24));
    fresh.idle_timeout = Stamped::new(at(0, 5, 3), Duration::from_hours(24));
    fresh.fields.extend([field("user", at(0, 5, 3), value("184467"))]);
    fresh.fields.extend([field("cart", at(0, 5, 3), value(""))]);
    let mut used = fresh.clone();
    used.seen = created.after(Duration::from_mins(30));
    used.subject = Stamped::new(at(1000, 0, 3), Some(subject_of("alice")));
    used.idle_timeout = Stamped::new(at(2000, 5, 4), Duration::from_millis(1_234_567));
    used.fields.extend([field("page", at(1_800_000, 0, 4), None::<Bytes>)]);
    let mut cleared = used.clone();
    cleared.cleared = at(9000, 65_535, 2);
    let mut delta = Record::default();
    delta.fields.extend([field("cart", at(90_000, 1, 3), value("SHOE-42"))]);
    delta.subject = Stamped::new(at(90_000, 1, 3), None);
    let moved = |before| Moved {
        to: id(4),
        until: created.after(Duration::from_secs(10)),
        before,
        hard_deadline: fresh.hard_deadline,
    };
    vec![
        ("a session as it was made", Entry::Session(fresh.clone())),
        ("one that was used", Entry::Session(used.clone())),
        ("one that was cleared", Entry::Session(cleared)),
        ("a delta", Entry::Session(delta)),
        ("the delta that changes nothing", Entry::Session(Record::default())),
        ("moved", Entry::Moved(moved(None))),
        ("moved and frozen", Entry::Moved(moved(Some(Box::new(used))))),
        ("ended", Entry::Ended { hard_deadline: fresh.hard_deadline }),
        ("ended, for ever", Entry::Ended { hard_deadline: Time::MAX }),
    ]
}

#[test]
fn the_format_has_not_changed() {
    let golden = include_str!("../../golden/packed-v1.txt");
    let golden: Vec<&str> = golden.lines().filter(|line| !line.starts_with('#')).collect();
    let packed: Vec<String> = golden_entries()
        .iter()
        .map(|(name, entry)| {
            let bytes = pack(id(1), &entry.clone().normal());
            let mut line = format!("{name}: ");
            for byte in bytes {
                write!(line, "{byte:02x}").unwrap();
            }
            line
        })
        .collect();
    assert_eq!(packed, golden, "{packed:#?}");
}

#[test]
fn what_golden_bytes_say_can_be_read() {
    for (name, entry) in golden_entries() {
        assert_eq!(unpack(&pack(id(1), &entry)), Ok((id(1), entry.normal())), "{name}");
    }
}

/// Bytes of a session with this content.
fn session(content: &[u8]) -> Vec<u8> {
    [&pack(id(1), &Entry::Session(Record::default()))[..KEY_PLACE.end], content].concat()
}

#[test]
fn only_the_one_form_is_taken() {
    assert_eq!(unpack(&session(&[0, 0])), Ok((id(1), Entry::Session(Record::default()))));
    let faults: [(&str, &[u8]); 14] = [
        ("a default that is written", &[flag::SEEN, 0, 0]),
        ("a number with a zero too much", &[flag::SEEN, 0x82, 0, 0]),
        (
            "a number of more than 64 bits",
            &[flag::SEEN, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0],
        ),
        ("a base that nothing refers to", &[flag::BASE, 2, 0, 0, 0]),
        ("a base of zero", &[flag::BASE, 0, 0, 0, 0]),
        ("a base that is not the earliest", &[flag::BASE | flag::IDLE, 2, 0, 0, 5, 1, 0]),
        ("a counter of the base", &[flag::BASE | flag::IDLE, 2, 0, 0, 3, 0, 1, 0]),
        ("a node of the base", &[flag::BASE | flag::IDLE, 2, 0, 0, 2, 0, 1, 0]),
        ("a stamp without a base", &[flag::IDLE, 1, 1, 0]),
        ("nanoseconds of no idle time-out", &[flag::NANOSECONDS, 0]),
        (
            "a session that has ended",
            &[
                flag::BASE | flag::CLEARED,
                0xfe,
                255,
                255,
                255,
                255,
                255,
                127,
                255,
                255,
                3,
                255,
                255,
                3,
                1,
                0,
            ],
        ),
        ("names in another order", &[0, 2, 1, b'b', 0, 0, 1, b'a', 0, 0]),
        ("a name without text", &[0, 1, 0, 0, 0]),
        ("a field that was cleared", &[flag::BASE | flag::CLEARED, 2, 0, 0, 1, 1, 1, b'a', 1, 0]),
    ];
    for (what, content) in faults {
        assert_eq!(unpack(&session(content)), Err(Malformed), "{what}");
    }
    for kind in (0..=255).filter(|kind| ![SESSION, MOVED, FROZEN, ENDED].contains(kind)) {
        let mut bytes = session(&[0, 0]);
        bytes[0] = kind;
        assert_eq!(unpack(&bytes), Err(Malformed), "kind {kind}");
    }
    let mut bytes = session(&[0, 0]);
    bytes[1] = 0x10;
    assert_eq!(unpack(&bytes), Err(Malformed), "there is no slot 4096");
}

#[test]
fn a_count_that_lies_costs_nothing() {
    let huge = [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
    assert_eq!(unpack(&session(&huge)), Err(Malformed));
}

#[test]
fn five_small_fields_with_names_of_103_characters_take_162_bytes() {
    let created = Time::from_secs(1_795_000_000);
    let stamp = Stamp::new(created.as_millis() << 16, 3);
    let mut record = Record::default();
    (record.created, record.seen) = (created, created);
    record.hard_deadline = created.after(Duration::from_hours(14 * 24));
    record.idle_timeout = Stamped::new(stamp, Duration::from_hours(24));
    // 103 characters with their names, as in bench/stores.
    for (name, length) in [("user", 6), ("csrf", 32), ("cart", 14), ("locale", 5), ("page", 24)] {
        record.fields.extend([field(name, stamp, Some(vec![b'x'; length]))]);
    }
    let text = |(name, field): (&FieldName, &Field)| {
        name.as_str().len() + field.value.as_ref().map_or(0, Bytes::len)
    };
    assert_eq!(record.fields.iter().map(text).sum::<usize>(), 103);
    assert_eq!(pack(id(1), &Entry::Session(record)).len(), 162);
}
