//! A letter from bytes.

use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::str;
use core::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, Expected, FieldChange, FieldName, IdHash, Limit, Loaded, OldId,
    Rename, Slot, Stamp, Standing, Subject, Time, Write,
};
use bytes::Bytes;

use super::{Unread, change, kind, operation, part, reply};
use crate::key::Key;
use crate::limits::{MAX_ADDRESS_BYTES, MAX_NAME_BYTES};
use crate::message::{
    Answer, Call, Entries, Fault, Kept, Letter, Message, OfSlot, Operation, Reply,
};
use crate::packed::{unpack, unpack_record};
use crate::reign::Term;
use crate::roster::{Contact, Statement};
use crate::survey::{Found, SlotSet, Sought, Survey};
use crate::varint::{Reader, unzigzag};
use crate::view::{Birth, Known, NodeId, Status};

const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

pub(super) fn letter(bytes: &[u8]) -> Result<Letter, Unread> {
    let mut reader = Reader::new(bytes);
    let head = |reader: &mut Reader<'_>| Some((Birth(reader.number()?), reader.number()?));
    let (birth, kind) = head(&mut reader).ok_or(Unread::Malformed)?;
    let message = if kind >= kind::OF_SLOT {
        if kind > kind::FORGET {
            return Err(Unread::Later);
        }
        of_slot(&mut reader, kind)
    } else {
        if kind > kind::NODES {
            return Err(Unread::Later);
        }
        message(&mut reader, kind)
    };
    message.map(|message| Letter { birth, message }).ok_or(Unread::Malformed)
}

fn message(reader: &mut Reader<'_>, kind: u64) -> Option<Message> {
    Some(match kind {
        kind::HELLO => {
            let known = view(reader)?;
            let count = reader.length()?;
            Message::Hello(known, many(count, || Some((slot(reader)?, term(reader)?)))?)
        }
        kind::VIEW => Message::View(view(reader)?),
        kind::NODES => {
            let count = reader.length()?;
            let contacts = many(count, || contact(&mut part(reader)?))?;
            let count = reader.length()?;
            Message::Nodes(contacts, many(count, || statement(&mut part(reader)?))?)
        }
        kind::PING => Message::Ping {
            number: reader.number()?,
            heard: reader.number()?,
            // It was not said at first.
            is_whole: reader.number() == Some(1),
        },
        kind::PONG => Message::Pong { number: reader.number()?, era: reader.number()? },
        kind::PASS => Message::Pass(reader.number()?, call(&mut part(reader)?)?),
        kind::ANSWERED => Message::Answered(reader.number()?, answer(&mut part(reader)?)?),
        kind::LOST => Message::Lost(reader.number()?),
        kind::NOT_LEADER => {
            Message::NotLeader(reader.number()?, slot(reader)?, optional(reader, term)?)
        }
        kind::SURVEY => {
            Message::Survey(reader.number()?, slot_set(reader)?, survey(&mut part(reader)?)?)
        }
        kind::SURVEYED => {
            Message::Surveyed(reader.number()?, slot_set(reader)?, found(&mut part(reader)?)?)
        }
        _ => return None,
    })
}

fn of_slot(reader: &mut Reader<'_>, kind: u64) -> Option<Message> {
    let (slot, of) = (slot(reader)?, term(reader)?);
    let said = match kind {
        kind::REIGN => OfSlot::Reign,
        kind::REPLICATE => OfSlot::Replicate(reader.number()?, entries(reader)?),
        kind::KEPT => OfSlot::Kept(reader.number()?),
        kind::MISSED => OfSlot::Missed(optional(reader, Reader::number)?),
        kind::SUPERSEDED => OfSlot::Superseded(term(reader)?),
        kind::SET => OfSlot::Set {
            members: nodes(reader)?,
            doubts: nodes(reader)?,
            eras: (reader.number()?, reader.number()?),
            number: reader.number()?,
        },
        kind::OUT => OfSlot::Out,
        kind::ASK => OfSlot::Ask(reader.number()?, optional(reader, term)?),
        kind::HELD => OfSlot::Held {
            part: reader.short()?,
            entries: entries(reader)?,
            is_last: truth(reader)?,
            digest: reader.number()?,
            era: reader.number()?,
            others: nodes(reader)?,
        },
        kind::REFUSED => OfSlot::Refused(term(reader)?),
        kind::PART => OfSlot::Part {
            part: reader.short()?,
            entries: entries(reader)?,
            number: reader.number()?,
        },
        kind::TAKEN => OfSlot::Taken(reader.short()?),
        kind::COMPARE => OfSlot::Compare(reader.number()?, reader.number()?),
        kind::SAME => OfSlot::Same(reader.number()?, reader.number()?),
        kind::DIFFERS => OfSlot::Differs(reader.number()?),
        kind::HAND => OfSlot::Hand { members: nodes(reader)?, doubts: nodes(reader)? },
        kind::OFFER => OfSlot::Offer(reader.number()?),
        kind::FORGET => OfSlot::Forget(reader.number()?),
        _ => return None,
    };
    Some(Message::OfSlot(slot, of, said))
}

fn call(reader: &mut Reader<'_>) -> Option<Call> {
    let now = time(reader)?;
    let (kind, of) = (reader.number()?, id(reader)?);
    let operation = match kind {
        operation::CREATE => Operation::Create(of, changes(reader)?),
        operation::LOAD => Operation::Load(of),
        operation::COMMIT => Operation::Commit(of, changes(reader)?),
        operation::END => Operation::End(of),
        operation::RENAME => {
            let (to, old, until) = (id(reader)?, old_id(reader)?, time(reader)?);
            // A session stays in its slot: whoever leads it has both ids.
            if to.slot() != of.slot() {
                return None;
            }
            Operation::Rename(of, Rename::new(to, changes(reader)?, old, until))
        }
        _ => return None,
    };
    Some(Call { operation, now })
}

fn old_id(reader: &mut Reader<'_>) -> Option<OldId> {
    match reader.number()? {
        1 => Some(OldId::Follows),
        2 => Some(OldId::Freezes),
        3 => Some(OldId::Ends),
        _ => None,
    }
}

fn changes(reader: &mut Reader<'_>) -> Option<Changes> {
    let mut reader = part(reader)?;
    let reader = &mut reader;
    let parts = reader.number()?;
    let is_there = |part: u64| parts & part != 0;
    let mut changes = Changes::default();
    changes.clear = is_there(part::CLEAR);
    if is_there(part::CREATED) {
        changes.created = Some(time(reader)?);
    }
    if is_there(part::SEEN) {
        changes.seen = Some(time(reader)?);
    }
    if is_there(part::HARD_DEADLINE) {
        changes.hard_deadline = Some(time(reader)?);
    }
    if is_there(part::IDLE_TIMEOUT) {
        let (seconds, part) = (reader.number()?, reader.short()?);
        if part >= NANOSECONDS_PER_SECOND {
            return None;
        }
        changes.idle_timeout = Some(Duration::new(seconds, part));
    }
    if is_there(part::SUBJECT) {
        changes.subject = Some(Some(subject(reader)?));
    } else if is_there(part::NOBODY) {
        changes.subject = Some(None);
    }
    for _ in 0..reader.number()? {
        let name = field_name(reader)?;
        changes.fields.insert(name, field_change(reader)?);
    }
    Some(changes)
}

fn field_change(reader: &mut Reader<'_>) -> Option<FieldChange> {
    let expected = match reader.number()? {
        change::ANYTHING => Expected::Anything,
        change::ABSENT => Expected::Absent,
        change::WRITTEN => Expected::Written(stamp(reader)?),
        _ => return None,
    };
    let write = match reader.number()? {
        change::PUT => Write::Put(Bytes::copy_from_slice(reader.counted()?)),
        change::REMOVE => Write::Remove,
        change::ADD => Write::Add(unzigzag(reader.number()?)),
        change::MEMBERS => {
            let mut members = BTreeMap::new();
            for _ in 0..reader.number()? {
                let member = Bytes::copy_from_slice(reader.counted()?);
                members.insert(member, truth(reader)?);
            }
            Write::Members(members)
        }
        _ => return None,
    };
    let mut change = FieldChange::relative(write);
    change.expected = expected;
    Some(change)
}

fn answer(reader: &mut Reader<'_>) -> Option<Answer> {
    let kept = kept(reader)?;
    let reply = match reader.number()? {
        reply::CREATED => Reply::Create(Create::Created(stamp(reader)?)),
        reply::TAKEN => Reply::Create(Create::Taken),
        reply::LIVE => {
            let standing = match reader.number()? {
                1 => Standing::Current,
                2 => Standing::Old,
                3 => Standing::Frozen,
                _ => return None,
            };
            let record = Arc::new(unpack_record(reader.counted()?)?);
            Reply::Load(Loaded::Live { record, standing })
        }
        reply::ENDED => Reply::Load(Loaded::Ended),
        reply::EXPIRED => Reply::Load(Loaded::Expired),
        reply::UNKNOWN => Reply::Load(Loaded::Unknown),
        reply::COMMITTED => Reply::Commit(Commit::Committed(stamp(reader)?)),
        reply::CONFLICT => {
            let count = reader.length()?;
            Reply::Commit(Commit::Conflict(many(count, || field_name(reader))?))
        }
        reply::GONE => Reply::Commit(Commit::Gone),
        reply::END_ENDED => Reply::End(End::Ended),
        reply::END_GONE => Reply::End(End::Gone),
        reply::UNAVAILABLE => Reply::Fault(Fault::Unavailable),
        reply::FULL => Reply::Fault(Fault::Full),
        reply::TOO_LARGE => Reply::Fault(Fault::TooLarge(limit(reader)?)),
        reply::INCOMPATIBLE => Reply::Fault(Fault::Incompatible(field_name(reader)?)),
        _ => return None,
    };
    Some(Answer { reply, kept })
}

fn limit(reader: &mut Reader<'_>) -> Option<Limit> {
    Some(match reader.number()? {
        1 => Limit::FieldName,
        2 => Limit::Fields,
        3 => Limit::Value,
        4 => Limit::Record,
        5 => Limit::Subject,
        6 => Limit::Cookie,
        _ => return None,
    })
}

fn survey(reader: &mut Reader<'_>) -> Option<Survey> {
    let now = time(reader)?;
    let sought = match reader.number()? {
        1 => Sought::OfSubject(subject(reader)?),
        2 => Sought::Page(slot(reader)?, optional(reader, id)?),
        3 => Sought::Trail(id(reader)?),
        _ => return None,
    };
    Some(Survey { sought, now })
}

fn found(reader: &mut Reader<'_>) -> Option<Found> {
    let kept = kept(reader)?;
    let count = reader.length()?;
    let sessions = many(count, || {
        let of = id(reader)?;
        Some((of, optional(reader, |reader| unpack_record(reader.counted()?))?))
    })?;
    Some(Found { sessions, kept })
}

fn entries(reader: &mut Reader<'_>) -> Option<Entries> {
    let count = reader.length()?;
    many(count, || unpack(reader.counted()?).ok())
}

fn view(reader: &mut Reader<'_>) -> Option<Vec<(NodeId, Known)>> {
    let count = reader.length()?;
    many(count, || {
        let (node, birth) = (node(reader)?, Birth(reader.number()?));
        Some((node, Known { birth, status: status(reader)? }))
    })
}

/// Whether it is dead came first.
pub(crate) fn status(reader: &mut Reader<'_>) -> Option<Status> {
    Some(match reader.number()? {
        0 => Status::Up,
        1 => Status::Dead,
        2 => Status::Leaving,
        3 => Status::Lost,
        _ => return None,
    })
}

fn slot_set(reader: &mut Reader<'_>) -> Option<SlotSet> {
    let count = reader.length()?;
    let words = many(count, || {
        let bytes = reader.bytes(size_of::<u64>())?;
        Some(u64::from_le_bytes(*bytes.first_chunk()?))
    })?;
    Some(SlotSet::from_words(words))
}

fn contact(reader: &mut Reader<'_>) -> Option<Contact> {
    let (node, birth) = (node(reader)?, Birth(reader.number()?));
    let (name, address) = (text(reader)?, text(reader)?);
    let is_short = name.len() <= MAX_NAME_BYTES && address.len() <= MAX_ADDRESS_BYTES;
    is_short.then_some(Contact { node, name, address, birth })
}

fn statement(reader: &mut Reader<'_>) -> Option<Statement> {
    let (node, birth, number) = (node(reader)?, Birth(reader.number()?), reader.number()?);
    Some(Statement { node, birth, number, knows: nodes(reader)? })
}

fn nodes(reader: &mut Reader<'_>) -> Option<BTreeSet<NodeId>> {
    let count = reader.length()?;
    Some(many(count, || node(reader))?.into_iter().collect())
}

fn node(reader: &mut Reader<'_>) -> Option<NodeId> {
    reader.short().map(NodeId)
}

fn slot(reader: &mut Reader<'_>) -> Option<Slot> {
    Slot::new(reader.short()?)
}

fn term(reader: &mut Reader<'_>) -> Option<Term> {
    Some(Term::of(reader.number()?, node(reader)?))
}

fn stamp(reader: &mut Reader<'_>) -> Option<Stamp> {
    Some(Stamp::new(reader.number()?, reader.short()?))
}

fn kept(reader: &mut Reader<'_>) -> Option<Kept> {
    Some(match reader.number()? {
        1 => Kept::Full,
        2 => Kept::Spilled,
        3 => Kept::Degraded,
        4 => Kept::Sole,
        _ => return None,
    })
}

fn truth(reader: &mut Reader<'_>) -> Option<bool> {
    match reader.number()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn time(reader: &mut Reader<'_>) -> Option<Time> {
    Some(Time::from_millis(reader.number()?))
}

fn id(reader: &mut Reader<'_>) -> Option<IdHash> {
    Key::from_bytes(*reader.bytes(Key::BYTES)?.first_chunk()?)?.id()
}

fn field_name(reader: &mut Reader<'_>) -> Option<FieldName> {
    FieldName::new(text(reader)?).ok()
}

fn subject(reader: &mut Reader<'_>) -> Option<Subject> {
    Subject::new(text(reader)?).ok()
}

fn text(reader: &mut Reader<'_>) -> Option<String> {
    str::from_utf8(reader.counted()?).ok().map(str::to_owned)
}

#[allow(clippy::option_option, reason = "whether it is there, and whether it can be read")]
#[expect(clippy::option_option, reason = "the outer one is whether it can be read")]
fn optional<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Option<Option<T>> {
    if truth(reader)? { Some(Some(read(reader)?)) } else { Some(None) }
}

/// So many, as they come: room is made for those that are there, not for those that are announced.
fn many<T>(count: usize, mut read: impl FnMut() -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(read()?);
    }
    Some(all)
}

/// A part with its length before it; what it has at its end is of a later version.
fn part<'a>(reader: &mut Reader<'a>) -> Option<Reader<'a>> {
    reader.counted().map(Reader::new)
}
