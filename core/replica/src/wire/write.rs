//! A letter into bytes.

mod call;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use abide_session::{Commit, Create, End, IdHash, Limit, Loaded, Slot, Stamp, Standing, Time};
use call::call;

use super::{kind, reply};
use crate::key::Key;
use crate::message::{Answer, Entries, Fault, Kept, Letter, Message, OfSlot, Reply};
use crate::packed::{pack_into, pack_record};
use crate::reign::Term;
use crate::roster::{Contact, Statement};
use crate::survey::{Found, SlotSet, Sought, Survey};
use crate::varint::{counted, length, number};
use crate::view::{Known, NodeId, Status};

pub(super) fn letter(bytes: &mut Vec<u8>, letter: &Letter) {
    number(bytes, letter.birth.0);
    match &letter.message {
        Message::Hello(known, led) => {
            number(bytes, kind::HELLO);
            view(bytes, known);
            length(bytes, led.len());
            for (slot, of) in led {
                number(bytes, u64::from(slot.number()));
                term(bytes, *of);
            }
        }
        Message::View(known) => {
            number(bytes, kind::VIEW);
            view(bytes, known);
        }
        Message::Nodes(contacts, statements) => {
            number(bytes, kind::NODES);
            length(bytes, contacts.len());
            for of in contacts {
                part_of(bytes, |bytes| contact(bytes, of));
            }
            length(bytes, statements.len());
            for of in statements {
                part_of(bytes, |bytes| statement(bytes, of));
            }
        }
        Message::Ping { number: of, heard, is_whole } => {
            numbers(bytes, kind::PING, &[*of, *heard, u64::from(*is_whole)]);
        }
        Message::Pong { number: of, era } => numbers(bytes, kind::PONG, &[*of, *era]),
        Message::Pass(of, asked) => {
            numbers(bytes, kind::PASS, &[*of]);
            part_of(bytes, |bytes| call(bytes, asked));
        }
        Message::Answered(of, said) => {
            numbers(bytes, kind::ANSWERED, &[*of]);
            part_of(bytes, |bytes| answer(bytes, said));
        }
        Message::Lost(of) => numbers(bytes, kind::LOST, &[*of]),
        Message::NotLeader(of, slot, reign) => {
            numbers(bytes, kind::NOT_LEADER, &[*of, u64::from(slot.number())]);
            optional(bytes, *reign, term);
        }
        Message::Survey(of, slots, asked) => {
            numbers(bytes, kind::SURVEY, &[*of]);
            slot_set(bytes, slots);
            part_of(bytes, |bytes| survey(bytes, asked));
        }
        Message::Surveyed(of, slots, there) => {
            numbers(bytes, kind::SURVEYED, &[*of]);
            slot_set(bytes, slots);
            part_of(bytes, |bytes| found(bytes, there));
        }
        Message::OfSlot(slot, of, said) => of_slot(bytes, *slot, *of, said),
    }
}

fn of_slot(bytes: &mut Vec<u8>, slot: Slot, of: Term, said: &OfSlot) {
    number(bytes, kind_of(said));
    number(bytes, u64::from(slot.number()));
    term(bytes, of);
    match said {
        OfSlot::Reign | OfSlot::Out => {}
        OfSlot::Replicate(of, given) => {
            number(bytes, *of);
            entries(bytes, given);
        }
        OfSlot::Missed(last) => optional(bytes, *last, number),
        OfSlot::Superseded(by) | OfSlot::Refused(by) => term(bytes, *by),
        OfSlot::Set { members, doubts, eras, number: of } => {
            nodes(bytes, members);
            nodes(bytes, doubts);
            for of in [eras.0, eras.1, *of] {
                number(bytes, of);
            }
        }
        OfSlot::Ask(digest, handed) => {
            number(bytes, *digest);
            optional(bytes, *handed, term);
        }
        OfSlot::Held { part, entries: given, is_last, digest, era, others } => {
            number(bytes, u64::from(*part));
            entries(bytes, given);
            for of in [u64::from(*is_last), *digest, *era] {
                number(bytes, of);
            }
            nodes(bytes, others);
        }
        OfSlot::Part { part, entries: given, number: of } => {
            number(bytes, u64::from(*part));
            entries(bytes, given);
            number(bytes, *of);
        }
        OfSlot::Taken(part) => number(bytes, u64::from(*part)),
        OfSlot::Compare(of, more) | OfSlot::Same(of, more) => {
            number(bytes, *of);
            number(bytes, *more);
        }
        OfSlot::Hand { members, doubts } => {
            nodes(bytes, members);
            nodes(bytes, doubts);
        }
        OfSlot::Kept(of) | OfSlot::Differs(of) | OfSlot::Offer(of) | OfSlot::Forget(of) => {
            number(bytes, *of);
        }
    }
}

const fn kind_of(said: &OfSlot) -> u64 {
    match said {
        OfSlot::Reign => kind::REIGN,
        OfSlot::Replicate(..) => kind::REPLICATE,
        OfSlot::Kept(_) => kind::KEPT,
        OfSlot::Missed(_) => kind::MISSED,
        OfSlot::Superseded(_) => kind::SUPERSEDED,
        OfSlot::Set { .. } => kind::SET,
        OfSlot::Out => kind::OUT,
        OfSlot::Ask(..) => kind::ASK,
        OfSlot::Held { .. } => kind::HELD,
        OfSlot::Refused(_) => kind::REFUSED,
        OfSlot::Part { .. } => kind::PART,
        OfSlot::Taken(_) => kind::TAKEN,
        OfSlot::Compare(..) => kind::COMPARE,
        OfSlot::Same(..) => kind::SAME,
        OfSlot::Differs(_) => kind::DIFFERS,
        OfSlot::Hand { .. } => kind::HAND,
        OfSlot::Offer(_) => kind::OFFER,
        OfSlot::Forget(_) => kind::FORGET,
    }
}

fn answer(bytes: &mut Vec<u8>, answer: &Answer) {
    kept(bytes, answer.kept);
    match &answer.reply {
        Reply::Create(Create::Created(of)) => stamped(bytes, reply::CREATED, *of),
        Reply::Create(_) => number(bytes, reply::TAKEN),
        Reply::Load(loaded) => load(bytes, loaded),
        Reply::Commit(Commit::Committed(of)) => stamped(bytes, reply::COMMITTED, *of),
        Reply::Commit(Commit::Conflict(fields)) => {
            number(bytes, reply::CONFLICT);
            length(bytes, fields.len());
            for field in fields {
                counted(bytes, field.as_str().as_bytes());
            }
        }
        Reply::Commit(_) => number(bytes, reply::GONE),
        Reply::End(End::Ended) => number(bytes, reply::END_ENDED),
        Reply::End(_) => number(bytes, reply::END_GONE),
        Reply::Fault(Fault::Unavailable) => number(bytes, reply::UNAVAILABLE),
        Reply::Fault(Fault::Full) => number(bytes, reply::FULL),
        Reply::Fault(Fault::TooLarge(limit)) => {
            numbers(bytes, reply::TOO_LARGE, &[limit_number(*limit)]);
        }
        Reply::Fault(Fault::Incompatible(field)) => {
            number(bytes, reply::INCOMPATIBLE);
            counted(bytes, field.as_str().as_bytes());
        }
    }
}

fn load(bytes: &mut Vec<u8>, loaded: &Loaded) {
    match loaded {
        Loaded::Live { record, standing } => {
            let standing = match standing {
                Standing::Old => 2,
                Standing::Frozen => 3,
                _ => 1,
            };
            numbers(bytes, reply::LIVE, &[standing]);
            part_of(bytes, |bytes| pack_record(bytes, record));
        }
        Loaded::Ended => number(bytes, reply::ENDED),
        Loaded::Expired => number(bytes, reply::EXPIRED),
        _ => number(bytes, reply::UNKNOWN),
    }
}

const fn limit_number(limit: Limit) -> u64 {
    match limit {
        Limit::FieldName => 1,
        Limit::Fields => 2,
        Limit::Value => 3,
        Limit::Subject => 5,
        Limit::Cookie => 6,
        _ => 4,
    }
}

fn survey(bytes: &mut Vec<u8>, survey: &Survey) {
    time(bytes, survey.now);
    match &survey.sought {
        Sought::OfSubject(subject) => {
            number(bytes, 1);
            counted(bytes, subject.as_str().as_bytes());
        }
        Sought::Page(slot, after) => {
            numbers(bytes, 2, &[u64::from(slot.number())]);
            optional(bytes, *after, id);
        }
        Sought::Trail(of) => {
            number(bytes, 3);
            id(bytes, *of);
        }
    }
}

fn found(bytes: &mut Vec<u8>, found: &Found) {
    kept(bytes, found.kept);
    length(bytes, found.sessions.len());
    for (of, record) in &found.sessions {
        id(bytes, *of);
        optional(bytes, record.as_ref(), |bytes, record| {
            part_of(bytes, |bytes| pack_record(bytes, record));
        });
    }
}

fn entries(bytes: &mut Vec<u8>, entries: &Entries) {
    length(bytes, entries.len());
    for (id, entry) in entries {
        part_of(bytes, |bytes| pack_into(bytes, &Key::of(*id), entry));
    }
}

fn view(bytes: &mut Vec<u8>, view: &[(NodeId, Known)]) {
    length(bytes, view.len());
    for (of, known) in view {
        node(bytes, *of);
        number(bytes, known.birth.0);
        number(bytes, status(known.status));
    }
}

fn contact(bytes: &mut Vec<u8>, of: &Contact) {
    node(bytes, of.node);
    number(bytes, of.birth.0);
    counted(bytes, of.name.as_bytes());
    counted(bytes, of.address.as_bytes());
}

fn statement(bytes: &mut Vec<u8>, of: &Statement) {
    node(bytes, of.node);
    number(bytes, of.birth.0);
    number(bytes, of.number);
    nodes(bytes, &of.knows);
}

/// Whether it is dead came first.
pub(crate) const fn status(of: Status) -> u64 {
    match of {
        Status::Up => 0,
        Status::Dead => 1,
        Status::Leaving => 2,
        Status::Lost => 3,
    }
}

fn slot_set(bytes: &mut Vec<u8>, slots: &SlotSet) {
    length(bytes, slots.words().len());
    for word in slots.words() {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

fn nodes(bytes: &mut Vec<u8>, nodes: &BTreeSet<NodeId>) {
    length(bytes, nodes.len());
    for of in nodes {
        node(bytes, *of);
    }
}

fn node(bytes: &mut Vec<u8>, node: NodeId) {
    number(bytes, u64::from(node.0));
}

fn term(bytes: &mut Vec<u8>, term: Term) {
    number(bytes, term.number());
    node(bytes, term.leader);
}

fn stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    number(bytes, stamp.reading());
    number(bytes, u64::from(stamp.node()));
}

fn stamped(bytes: &mut Vec<u8>, kind: u64, of: Stamp) {
    number(bytes, kind);
    stamp(bytes, of);
}

fn kept(bytes: &mut Vec<u8>, kept: Kept) {
    number(
        bytes,
        match kept {
            Kept::Full => 1,
            Kept::Spilled => 2,
            Kept::Degraded => 3,
            Kept::Sole => 4,
        },
    );
}

fn time(bytes: &mut Vec<u8>, time: Time) {
    number(bytes, time.as_millis());
}

fn duration(bytes: &mut Vec<u8>, duration: Duration) {
    number(bytes, duration.as_secs());
    number(bytes, u64::from(duration.subsec_nanos()));
}

fn id(bytes: &mut Vec<u8>, id: IdHash) {
    bytes.extend_from_slice(Key::of(id).as_bytes());
}

fn numbers(bytes: &mut Vec<u8>, kind: u64, numbers: &[u64]) {
    number(bytes, kind);
    for of in numbers {
        number(bytes, *of);
    }
}

fn optional<T>(bytes: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    number(bytes, u64::from(value.is_some()));
    if let Some(value) = value {
        write(bytes, value);
    }
}

/// A part with its length before it: a later version may add to its end.
fn part_of(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut part = Vec::new();
    write(&mut part);
    counted(bytes, &part);
}
