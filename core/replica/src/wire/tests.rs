use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;
use std::fs;

use abide_session::{
    Changes, Commit, Create, End, Expected, FieldChange, FieldName, IdHash, Limit, Loaded, OldId,
    Record, Rename, Slot, Stamp, Standing, Time, Write,
};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::entry::Entry;
use crate::limits::{MAX_ADDRESS_BYTES, MAX_NAME_BYTES};
use crate::message::{Answer, Call, Entries, Fault, Kept, Message, OfSlot, Operation, Reply};
use crate::reign::Term;
use crate::roster::{Contact, Statement};
use crate::samples::{ids, records, subject_of, wide_entries};
use crate::survey::{Found, SlotSet, Sought, Survey};
use crate::view::{Birth, Known, NodeId, Status};

fn numbers() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![0_u64..200, any::<u64>()]
}

fn slots() -> impl Strategy<Value = Slot> {
    (0..Slot::COUNT).prop_map(|number| Slot::new(number).unwrap())
}

fn terms() -> impl Strategy<Value = Term> {
    (numbers(), any::<u16>()).prop_map(|(number, node)| Term::of(number, NodeId(node)))
}

fn stamps() -> impl Strategy<Value = Stamp> {
    (numbers(), any::<u16>()).prop_map(|(reading, node)| Stamp::new(reading, node))
}

fn nodes() -> impl Strategy<Value = BTreeSet<NodeId>> {
    prop::collection::btree_set(any::<u16>().prop_map(NodeId), 0..4)
}

fn normal_records() -> impl Strategy<Value = Record> {
    let normal = |record| match Entry::Session(record).normal() {
        Entry::Session(record) => Some(record),
        _ => None,
    };
    records().prop_filter_map("it has ended", normal)
}

fn packed_entries() -> impl Strategy<Value = Entries> {
    prop::collection::vec((ids(), wide_entries().prop_map(Entry::normal)), 0..4)
}

fn names() -> impl Strategy<Value = FieldName> {
    "[a-z]{1,9}".prop_map(|name| FieldName::new(name).unwrap())
}

fn field_changes() -> impl Strategy<Value = FieldChange> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let write = prop_oneof![
        bytes().prop_map(Write::Put),
        Just(Write::Remove),
        any::<i64>().prop_map(Write::Add),
        prop::collection::btree_map(bytes(), any::<bool>(), 0..4).prop_map(Write::Members),
    ];
    let expected = prop_oneof![
        Just(Expected::Anything),
        Just(Expected::Absent),
        stamps().prop_map(Expected::Written),
    ];
    (write, expected).prop_map(|(write, expected)| {
        let mut change = FieldChange::relative(write);
        change.expected = expected;
        change
    })
}

fn changes() -> impl Strategy<Value = Changes> {
    let times = || prop::option::of(numbers().prop_map(Time::from_millis));
    let idle = prop::option::of((numbers(), 0_u32..1_000_000_000));
    let subject = prop::option::of(prop::option::of("[a-z]{1,9}"));
    let fields = prop::collection::btree_map(names(), field_changes(), 0..4);
    (any::<bool>(), times(), times(), times(), idle, subject, fields).prop_map(
        |(clear, created, seen, hard_deadline, idle, subject, fields)| {
            let mut changes = Changes::default();
            (changes.clear, changes.created, changes.seen) = (clear, created, seen);
            changes.hard_deadline = hard_deadline;
            changes.idle_timeout = idle.map(|(seconds, part)| Duration::new(seconds, part));
            changes.subject = subject.map(|name| name.as_deref().map(subject_of));
            changes.fields = fields;
            changes
        },
    )
}

fn calls() -> impl Strategy<Value = Call> {
    let renames = (ids(), changes(), 0..3, numbers()).prop_map(|(id, changes, old, until)| {
        let to = id.beside("another");
        let old = [OldId::Follows, OldId::Freezes, OldId::Ends][usize::try_from(old).unwrap()];
        Operation::Rename(id, Rename::new(to, changes, old, Time::from_millis(until)))
    });
    let operation = prop_oneof![
        (ids(), changes()).prop_map(|(id, changes)| Operation::Create(id, changes)),
        ids().prop_map(Operation::Load),
        (ids(), changes()).prop_map(|(id, changes)| Operation::Commit(id, changes)),
        ids().prop_map(Operation::End),
        renames,
    ];
    (operation, numbers())
        .prop_map(|(operation, now)| Call { operation, now: Time::from_millis(now) })
}

fn kepts() -> impl Strategy<Value = Kept> {
    prop::sample::select(vec![Kept::Full, Kept::Spilled, Kept::Degraded, Kept::Sole])
}

fn answers() -> impl Strategy<Value = Answer> {
    let standings = vec![Standing::Current, Standing::Old, Standing::Frozen];
    let limits = vec![
        Limit::FieldName,
        Limit::Fields,
        Limit::Value,
        Limit::Record,
        Limit::Subject,
        Limit::Cookie,
    ];
    let reply = prop_oneof![
        stamps().prop_map(|stamp| Reply::Create(Create::Created(stamp))),
        Just(Reply::Create(Create::Taken)),
        (normal_records(), prop::sample::select(standings)).prop_map(|(record, standing)| {
            Reply::Load(Loaded::Live { record: Arc::new(record), standing })
        }),
        Just(Reply::Load(Loaded::Ended)),
        Just(Reply::Load(Loaded::Expired)),
        Just(Reply::Load(Loaded::Unknown)),
        stamps().prop_map(|stamp| Reply::Commit(Commit::Committed(stamp))),
        prop::collection::vec(names(), 0..4)
            .prop_map(|names| Reply::Commit(Commit::Conflict(names))),
        Just(Reply::Commit(Commit::Gone)),
        Just(Reply::End(End::Ended)),
        Just(Reply::End(End::Gone)),
        Just(Reply::Fault(Fault::Unavailable)),
        Just(Reply::Fault(Fault::Full)),
        prop::sample::select(limits).prop_map(|limit| Reply::Fault(Fault::TooLarge(limit))),
        names().prop_map(|name| Reply::Fault(Fault::Incompatible(name))),
    ];
    (reply, kepts()).prop_map(|(reply, kept)| Answer { reply, kept })
}

fn surveys() -> impl Strategy<Value = Survey> {
    let sought = prop_oneof![
        "[a-z]{1,9}".prop_map(|name| Sought::OfSubject(subject_of(&name))),
        (slots(), prop::option::of(ids())).prop_map(|(slot, after)| Sought::Page(slot, after)),
        ids().prop_map(Sought::Trail),
    ];
    (sought, numbers()).prop_map(|(sought, now)| Survey { sought, now: Time::from_millis(now) })
}

fn founds() -> impl Strategy<Value = Found> {
    let sessions = prop::collection::vec((ids(), prop::option::of(normal_records())), 0..4);
    (sessions, kepts()).prop_map(|(sessions, kept)| Found { sessions, kept })
}

fn slot_sets() -> impl Strategy<Value = SlotSet> {
    prop::collection::vec(slots(), 0..9).prop_map(|slots| slots.into_iter().collect())
}

fn of_slots() -> impl Strategy<Value = OfSlot> {
    let first = prop_oneof![
        Just(OfSlot::Reign),
        (numbers(), packed_entries()).prop_map(|(of, entries)| OfSlot::Replicate(of, entries)),
        numbers().prop_map(OfSlot::Kept),
        prop::option::of(numbers()).prop_map(OfSlot::Missed),
        terms().prop_map(OfSlot::Superseded),
        (nodes(), nodes(), numbers(), numbers(), numbers()).prop_map(
            |(members, doubts, era, ours, number)| {
                OfSlot::Set { members, doubts, eras: (era, ours), number }
            }
        ),
        Just(OfSlot::Out),
        (numbers(), prop::option::of(terms())).prop_map(|(of, handed)| OfSlot::Ask(of, handed)),
    ];
    let held = (any::<u32>(), packed_entries(), any::<bool>(), numbers(), numbers(), nodes());
    let second = prop_oneof![
        held.prop_map(|(part, entries, is_last, digest, era, others)| {
            OfSlot::Held { part, entries, is_last, digest, era, others }
        }),
        terms().prop_map(OfSlot::Refused),
        (any::<u32>(), packed_entries(), numbers())
            .prop_map(|(part, entries, number)| OfSlot::Part { part, entries, number }),
        any::<u32>().prop_map(OfSlot::Taken),
        (numbers(), numbers()).prop_map(|(of, digest)| OfSlot::Compare(of, digest)),
        (numbers(), numbers()).prop_map(|(of, era)| OfSlot::Same(of, era)),
        numbers().prop_map(OfSlot::Differs),
        (nodes(), nodes()).prop_map(|(members, doubts)| OfSlot::Hand { members, doubts }),
        numbers().prop_map(OfSlot::Offer),
        numbers().prop_map(OfSlot::Forget),
    ];
    prop_oneof![first, second]
}

fn contacts() -> impl Strategy<Value = Contact> {
    (any::<u16>(), numbers(), ".{0,9}", ".{0,9}").prop_map(|(node, birth, name, address)| Contact {
        node: NodeId(node),
        name,
        address,
        birth: Birth(birth),
    })
}

fn statements() -> impl Strategy<Value = Statement> {
    (any::<u16>(), numbers(), numbers(), nodes()).prop_map(|(node, birth, number, knows)| {
        Statement { node: NodeId(node), birth: Birth(birth), number, knows }
    })
}

fn messages() -> impl Strategy<Value = Message> {
    let views = || {
        let statuses =
            prop::sample::select(vec![Status::Up, Status::Leaving, Status::Dead, Status::Lost]);
        let known = (any::<u16>(), numbers(), statuses).prop_map(|(node, birth, status)| {
            (NodeId(node), Known { birth: Birth(birth), status })
        });
        prop::collection::vec(known, 0..4)
    };
    let of_nodes =
        prop_oneof![
            (views(), prop::collection::vec((slots(), terms()), 0..4))
                .prop_map(|(view, led)| Message::Hello(view, led)),
            views().prop_map(Message::View),
            (prop::collection::vec(contacts(), 0..4), prop::collection::vec(statements(), 0..4))
                .prop_map(|(contacts, statements)| Message::Nodes(contacts, statements)),
            (numbers(), numbers(), any::<bool>())
                .prop_map(|(number, heard, is_whole)| Message::Ping { number, heard, is_whole }),
            (numbers(), numbers()).prop_map(|(number, era)| Message::Pong { number, era }),
            (numbers(), calls()).prop_map(|(number, call)| Message::Pass(number, call)),
            (numbers(), answers()).prop_map(|(number, answer)| Message::Answered(number, answer)),
            numbers().prop_map(Message::Lost),
            (numbers(), slots(), prop::option::of(terms()))
                .prop_map(|(number, slot, reign)| Message::NotLeader(number, slot, reign)),
            (numbers(), slot_sets(), surveys())
                .prop_map(|(number, slots, survey)| Message::Survey(number, slots, survey)),
            (numbers(), slot_sets(), founds())
                .prop_map(|(number, slots, found)| Message::Surveyed(number, slots, found)),
        ];
    let of_slots = (slots(), terms(), of_slots())
        .prop_map(|(slot, term, said)| Message::OfSlot(slot, term, said));
    prop_oneof![of_nodes, of_slots]
}

fn letters() -> impl Strategy<Value = Letter> {
    (numbers(), messages()).prop_map(|(birth, message)| Letter { birth: Birth(birth), message })
}

fn bytes_of(letter: &Letter) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(letter, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(letter in letters()) {
        let again = read(&bytes_of(&letter)).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{letter:?}"));
    }

    #[test]
    fn a_part_of_a_letter_is_none(letter in letters(), at in any::<prop::sample::Index>()) {
        let bytes = bytes_of(&letter);
        // What a ping has at its end was added: without it, it is one as it was before.
        let added = usize::from(matches!(letter.message, Message::Ping { .. }));
        let cut = at.index(bytes.len().saturating_sub(added));
        prop_assert_eq!(read(&bytes[..cut]).unwrap_err(), Unread::Malformed);
    }

    #[test]
    fn what_a_later_version_adds_at_the_end_is_passed_over(letter in letters(), more: Vec<u8>) {
        let mut bytes = bytes_of(&letter);
        bytes.extend(more);
        prop_assert_eq!(format!("{:?}", read(&bytes).unwrap()), format!("{letter:?}"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_changed_letter_is_read_or_refused(
        letter in letters(), at in any::<prop::sample::Index>(), to: u8
    ) {
        let mut bytes = bytes_of(&letter);
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = read(&bytes);
    }
}

#[test]
fn a_kind_of_letter_that_comes_later_is_told_from_a_broken_one() {
    for kind in [kind::NODES + 1, kind::FORGET + 1, 1 << 40] {
        let mut bytes = Vec::new();
        crate::varint::number(&mut bytes, 7);
        crate::varint::number(&mut bytes, kind);
        let expected = if !(kind::OF_SLOT..=kind::FORGET).contains(&kind) {
            Unread::Later
        } else {
            Unread::Malformed
        };
        assert_eq!(read(&bytes).unwrap_err(), expected, "{kind}");
    }
}

#[test]
fn a_renewal_that_leaves_the_slot_is_refused() {
    let (from, to) = (crate::samples::id(0), crate::samples::id(1));
    assert_ne!(from.slot(), to.slot());
    let rename = Rename::new(to, Changes::default(), OldId::Ends, Time::EPOCH);
    let call = Call { operation: Operation::Rename(from, rename), now: Time::EPOCH };
    let letter = Letter { birth: Birth(1), message: Message::Pass(1, call) };
    assert_eq!(read(&bytes_of(&letter)).unwrap_err(), Unread::Malformed);
}

/// Bytes that must stay the same: a node of this version talks to one of the next.
#[test]
fn letters_of_version_1_stay_what_they_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/letters-v1.txt");
    let lines = examples().into_iter().map(|(name, message)| {
        let bytes = bytes_of(&Letter { birth: Birth(1_795_000_000_000), message });
        (name, bytes)
    });
    let mut written = String::new();
    for (name, bytes) in lines.chain([("ping", PING_BEFORE.to_vec())]) {
        let _ = write!(written, "{name} ");
        for byte in bytes {
            let _ = write!(written, "{byte:02x}");
        }
        written.push('\n');
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, &written).unwrap();
    }
    assert_eq!(written, fs::read_to_string(path).unwrap());
}

/// A ping as it was before it said whether all is whole.
const PING_BEFORE: [u8; 11] = [0x80, 0xbc, 0xd9, 0xf2, 0x9e, 0x34, 0x03, 0xac, 0x02, 0xab, 0x02];

#[test]
fn a_ping_that_does_not_say_whether_all_is_whole_says_that_it_is_not() {
    let ping = read(&PING_BEFORE).unwrap().message;
    assert!(matches!(ping, Message::Ping { number: 300, heard: 299, is_whole: false }));
}

fn nodes_of(address: &str) -> Message {
    let birth = Birth(1_794_000_000_000);
    let contact = Contact { birth, ..Contact::listed("a", address) };
    let knows = BTreeSet::from([contact.node, NodeId::of("b")]);
    let statement = Statement { node: contact.node, birth, number: 1, knows };
    Message::Nodes(vec![contact], vec![statement])
}

#[test]
fn a_node_that_is_named_or_found_at_too_great_length_is_none() {
    let is_read = |message| {
        let mut bytes = Vec::new();
        write(&Letter { birth: Birth(1), message }, &mut bytes);
        read(&bytes).is_ok()
    };
    let named = |bytes| Message::Nodes(vec![Contact::listed("a".repeat(bytes), "")], Vec::new());
    assert!(is_read(nodes_of(&"a".repeat(MAX_ADDRESS_BYTES))) && is_read(named(MAX_NAME_BYTES)));
    assert!(!is_read(nodes_of(&"a".repeat(MAX_ADDRESS_BYTES + 1))));
    assert!(!is_read(named(MAX_NAME_BYTES + 1)));
}

fn examples() -> Vec<(&'static str, Message)> {
    let id: IdHash = crate::samples::id(4);
    let slot = Slot::new(0xabc).unwrap();
    let term = Term::of(1_795_000_000_001, NodeId(2));
    let mut made = Changes::default();
    made.created = Some(Time::from_millis(1_795_000_000_000));
    made.idle_timeout = Some(Duration::from_mins(30));
    made.subject = Some(Some(subject_of("alice")));
    made.fields = BTreeMap::from([
        (FieldName::new("cart").unwrap(), FieldChange::blind(Some(Bytes::from_static(b"tea")))),
        (FieldName::new("visits").unwrap(), FieldChange::relative(Write::Add(-3))),
    ]);
    let ended = Entry::Ended { hard_deadline: Time::from_millis(1_796_000_000_000) };
    let call = |operation| Call { operation, now: Time::from_millis(1_795_000_000_500) };
    let full = |reply| Answer { reply, kept: Kept::Full };
    let known = Known { birth: Birth(1_794_000_000_000), status: Status::Dead };
    vec![
        ("hello", Message::Hello(vec![(NodeId(1), known)], vec![(slot, term)])),
        ("ping-whole", Message::Ping { number: 300, heard: 299, is_whole: true }),
        ("leaving", Message::View(vec![(NodeId(1), Known { status: Status::Leaving, ..known })])),
        ("pong", Message::Pong { number: 300, era: 1 }),
        ("create", Message::Pass(7, call(Operation::Create(id, made.clone())))),
        ("load", Message::Pass(8, call(Operation::Load(id)))),
        ("commit", Message::Pass(9, call(Operation::Commit(id, made)))),
        ("end", Message::Pass(10, call(Operation::End(id)))),
        ("ended", Message::Answered(10, full(Reply::End(End::Ended)))),
        ("conflict", Message::Answered(9, full(Reply::Commit(Commit::Conflict(Vec::new()))))),
        (
            "survey",
            Message::Survey(
                11,
                [slot].into_iter().collect(),
                Survey {
                    sought: Sought::OfSubject(subject_of("alice")),
                    now: Time::from_millis(1_795_000_000_500),
                },
            ),
        ),
        ("replicate", Message::OfSlot(id.slot(), term, OfSlot::Replicate(12, vec![(id, ended)]))),
        ("kept", Message::OfSlot(slot, term, OfSlot::Kept(12))),
        ("nodes", nodes_of("10.0.0.1:7946")),
    ]
}
