use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

fn stamps() -> impl Strategy<Value = Stamp> {
    (any::<u64>(), prop_oneof![Just(0_u16), any::<u16>()])
        .prop_map(|(reading, node)| Stamp::new(reading, node))
}

fn records() -> impl Strategy<Value = Arc<Record>> {
    let fields =
        btree_map("[a-z\u{e9}]{1,8}", (stamps(), option::of(vec(any::<u8>(), 0..40))), 0..8);
    let times = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    (times, option::of("[a-z]{1,20}"), stamps(), stamps(), stamps(), fields).prop_map(
        |((created, seen, hard, idle), subject, cleared, of_idle, of_subject, fields)| {
            let mut record = Record::default();
            record.cleared = cleared;
            record.created = Time::from_millis(created);
            record.seen = Time::from_millis(seen);
            record.hard_deadline = Time::from_millis(hard);
            record.idle_timeout = Stamped::new(of_idle, Duration::from_millis(idle));
            let subject = subject.map(|subject| Subject::new(subject).unwrap());
            record.subject = Stamped::new(of_subject, subject);
            for (name, (stamp, value)) in fields {
                let field = Stamped::new(stamp, value.map(Bytes::from));
                record.fields.insert(FieldName::new(name).unwrap(), field);
            }
            Arc::new(record)
        },
    )
}

fn entries() -> impl Strategy<Value = Entry> {
    let moved = (any::<u64>(), any::<bool>(), any::<u64>(), any::<u64>(), option::of(records()));
    prop_oneof![
        records().prop_map(Entry::Live),
        moved.prop_map(|(id, frozen, until, hard_deadline, pending)| {
            let to = IdHash::of_secret("test", &id.to_le_bytes());
            let stub = Stub::new(to, frozen, Time::from_millis(until));
            Entry::Moved { stub, hard_deadline: Time::from_millis(hard_deadline), pending }
        }),
        any::<u64>().prop_map(|at| Entry::Ended { hard_deadline: Time::from_millis(at) }),
        (any::<u64>(), 1..=PARTS_MAX * PART_BYTES, any::<u64>()).prop_map(
            |(generation, bytes, at)| {
                let parts = Parts { generation, count: bytes.div_ceil(PART_BYTES), bytes };
                Entry::Parted { parts, hard_deadline: Time::from_millis(at) }
            }
        ),
    ]
}

proptest! {
    #[test]
    fn what_was_written_is_read_as_the_same(entry in entries()) {
        let bytes = Bytes::from(entry.encode());
        prop_assert_eq!(Entry::decode(&bytes).unwrap(), entry);
    }

    #[test]
    fn what_is_cut_short_is_corrupt(entry in entries(), cut in any::<prop::sample::Index>()) {
        let bytes = entry.encode();
        let short = Bytes::copy_from_slice(&bytes[..cut.index(bytes.len())]);
        prop_assert!(matches!(Entry::decode(&short), Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes: Vec<u8>, kind in 0_u8..6) {
        let _ = Entry::decode(&Bytes::copy_from_slice(&bytes));
        bytes.splice(..0, [0x9f, VERSION, kind]);
        let _ = Entry::decode(&Bytes::from(bytes));
    }

    #[test]
    fn what_a_later_version_adds_at_the_end_is_passed_over(entry in entries(), more: Vec<u8>) {
        let mut bytes = entry.encode();
        bytes.extend_from_slice(&more);
        prop_assert_eq!(Entry::decode(&Bytes::from(bytes)).unwrap(), entry);
    }
}

#[test]
fn what_a_newer_form_says_is_not_guessed_at() {
    let newer = Bytes::from_static(&[0x93, VERSION + 1, ENDED, 5]);
    let Err(StoreError::Corrupt(cause)) = Entry::decode(&newer) else { panic!("it was read") };
    assert!(cause.to_string().contains("newer version"), "{cause}");
    let known = Bytes::from_static(&[0x93, VERSION, ENDED, 5]);
    let ended = Entry::Ended { hard_deadline: Time::from_millis(5) };
    assert_eq!(Entry::decode(&known).unwrap(), ended);
}

#[test]
fn a_small_session_takes_few_bytes() {
    let stamp = Stamp::new(1_700_000_000_000 << 16, 0);
    let now = Time::from_millis(1_700_000_000_000);
    let mut record = Record::default();
    record.created = now;
    record.seen = now;
    record.hard_deadline = now.after(Duration::from_hours(24));
    record.idle_timeout = Stamped::new(stamp, Duration::from_mins(30));
    record.subject = Stamped::new(stamp, Some(Subject::new("user 12345").unwrap()));
    for (name, length) in [("cart", 20), ("locale", 5), ("name", 12), ("theme", 4), ("visits", 2)] {
        let value = Some(Bytes::from(vec![b'x'; length]));
        record.fields.insert(FieldName::new(name).unwrap(), Stamped::new(stamp, value));
    }
    // The documentation of the crate names this number.
    assert_eq!(Entry::Live(Arc::new(record)).encode().len(), 199);
}
