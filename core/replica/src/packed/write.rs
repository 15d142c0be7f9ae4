//! An entry into bytes.

use alloc::vec::Vec;
use core::time::Duration;

use abide_session::{Record, Stamp, Stamped, Subject, Time};
use bytes::Bytes;

use super::{COUNTER_BITS, COUNTER_MASK, ENDED, FROZEN, MOVED, SESSION, flag};
use crate::entry::Entry;
use crate::key::Key;
use crate::varint::{counted, length, number, zigzag};

/// Appends the bytes of an entry, in its normal form.
pub(crate) fn entry(bytes: &mut Vec<u8>, key: &Key, entry: &Entry) {
    let mut head = |kind| {
        bytes.push(kind);
        bytes.extend_from_slice(key.as_bytes());
    };
    match entry {
        Entry::Session(record) if record.is_ended() => {
            head(ENDED);
            number(bytes, record.hard_deadline.as_millis());
        }
        Entry::Session(of) => {
            head(SESSION);
            record(bytes, of);
        }
        Entry::Moved(moved) => {
            head(if moved.before.is_some() { FROZEN } else { MOVED });
            bytes.extend_from_slice(Key::of(moved.to).as_bytes());
            number(bytes, moved.until.as_millis());
            number(bytes, difference(moved.until.as_millis(), moved.hard_deadline.as_millis()));
            if let Some(before) = &moved.before {
                record(bytes, before);
            }
        }
        Entry::Ended { hard_deadline } => {
            head(ENDED);
            number(bytes, hard_deadline.as_millis());
        }
    }
}

/// Appends the bytes of a record in its normal form.
pub(crate) fn record(bytes: &mut Vec<u8>, record: &Record) {
    let base = base_of(record);
    let flags = flags_of(record, base);
    let is_set = |flag: u8| flags & flag != 0;
    bytes.push(flags);
    let created = if is_set(flag::CREATED) { record.created.as_millis() } else { 0 };
    if is_set(flag::CREATED) {
        number(bytes, created);
    }
    if is_set(flag::SEEN) {
        number(bytes, difference(created, record.seen.as_millis()));
    }
    if is_set(flag::HARD_DEADLINE) {
        number(bytes, difference(created, record.hard_deadline.as_millis()));
    }
    if is_set(flag::BASE) {
        number(bytes, difference(created, base.reading() >> COUNTER_BITS));
        number(bytes, base.reading() & COUNTER_MASK);
        number(bytes, u64::from(base.node()));
    }
    if is_set(flag::CLEARED) {
        stamp(bytes, base, record.cleared);
    }
    if is_set(flag::IDLE) {
        stamp(bytes, base, record.idle_timeout.stamp);
        number(bytes, record.idle_timeout.value.as_secs());
    }
    if is_set(flag::NANOSECONDS) {
        number(bytes, u64::from(record.idle_timeout.value.subsec_nanos()));
    }
    if is_set(flag::SUBJECT) {
        stamp(bytes, base, record.subject.stamp);
        counted(bytes, record.subject.value.as_ref().map_or("", Subject::as_str).as_bytes());
    }
    fields(bytes, base, record);
}

fn fields(bytes: &mut Vec<u8>, base: Stamp, record: &Record) {
    length(bytes, kept_fields(record).count());
    for (name, field) in kept_fields(record) {
        counted(bytes, name.as_bytes());
        stamp(bytes, base, field.stamp);
        match &field.value {
            None => bytes.push(0),
            Some(value) => {
                length(bytes, value.len().saturating_add(1));
                bytes.extend_from_slice(value);
            }
        }
    }
}

/// The fields that the normal form has.
fn kept_fields(record: &Record) -> impl Iterator<Item = (&str, &Stamped<Option<Bytes>>)> {
    let fields = record.fields.iter().map(|(name, field)| (name.as_str(), field));
    fields.filter(|(_, field)| record.cleared == Stamp::ZERO || field.stamp > record.cleared)
}

/// The earliest stamp there is, which others are told by; zero if nothing bears a stamp.
fn base_of(record: &Record) -> Stamp {
    let others = [record.cleared, record.idle_timeout.stamp, record.subject.stamp];
    let stamps = kept_fields(record).map(|(_, field)| field.stamp).chain(others);
    stamps.filter(|stamp| *stamp != Stamp::ZERO).min().unwrap_or_default()
}

fn flags_of(record: &Record, base: Stamp) -> u8 {
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    flag(record.created != Time::MAX, flag::CREATED)
        | flag(record.seen != Time::EPOCH, flag::SEEN)
        | flag(record.hard_deadline != Time::EPOCH, flag::HARD_DEADLINE)
        | flag(base != Stamp::ZERO, flag::BASE)
        | flag(record.cleared != Stamp::ZERO, flag::CLEARED)
        | flag(record.idle_timeout != Stamped::<Duration>::default(), flag::IDLE)
        | flag(record.idle_timeout.value.subsec_nanos() != 0, flag::NANOSECONDS)
        | flag(record.subject != Stamped::default(), flag::SUBJECT)
}

/// A stamp that is not before the base.
fn stamp(bytes: &mut Vec<u8>, base: Stamp, stamp: Stamp) {
    if stamp == Stamp::ZERO {
        bytes.push(0);
        return;
    }
    let (reading, from) = (stamp.reading(), base.reading());
    let counter = reading & COUNTER_MASK;
    let with_counter = counter != from & COUNTER_MASK;
    let with_node = stamp.node() != base.node();
    let later = (reading >> COUNTER_BITS).wrapping_sub(from >> COUNTER_BITS);
    let head = (later << 2) | (u64::from(with_counter) << 1) | u64::from(with_node);
    number(bytes, head.wrapping_add(1));
    if with_counter {
        number(bytes, counter);
    }
    if with_node {
        number(bytes, u64::from(stamp.node()));
    }
}

/// How much later `to` is than `from`, as a number.
fn difference(from: u64, to: u64) -> u64 {
    zigzag(to.wrapping_sub(from).cast_signed())
}
