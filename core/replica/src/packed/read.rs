//! An entry from bytes, in its one form or not at all.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use core::str;
use core::time::Duration;

use abide_session::{Field, FieldName, IdHash, Record, Stamp, Stamped, Subject, Time};
use bytes::Bytes;

use super::{COUNTER_BITS, COUNTER_MASK, ENDED, FROZEN, KEY_PLACE, MOVED, SESSION, flag};
use crate::entry::{Entry, Moved};
use crate::key::Key;
use crate::varint::{Reader, unzigzag};

const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

pub(super) fn entry(bytes: &[u8]) -> Option<(IdHash, Entry)> {
    let id = Key::from_bytes(*bytes.get(KEY_PLACE)?.first_chunk()?)?.id()?;
    Some((id, content(bytes)?))
}

/// The entry, whatever its id.
pub(crate) fn content(bytes: &[u8]) -> Option<Entry> {
    // All values of a record share one copy of the bytes.
    let shared = Bytes::copy_from_slice(bytes);
    let left = Reader::new(shared.get(KEY_PLACE.end..)?);
    let mut packed = Packed { left, shared: &shared };
    let kind = *bytes.first()?;
    let entry = match kind {
        SESSION => Entry::Session(packed.record().filter(|record| !record.is_ended())?),
        MOVED | FROZEN => {
            let to = Key::from_bytes(*packed.left.bytes(Key::BYTES)?.first_chunk()?)?.id()?;
            let until = packed.left.number()?;
            let hard_deadline = Time::from_millis(later(until, packed.left.number()?));
            let before = if kind == FROZEN { Some(Box::new(packed.record()?)) } else { None };
            Entry::Moved(Moved { to, until: Time::from_millis(until), before, hard_deadline })
        }
        ENDED => Entry::Ended { hard_deadline: Time::from_millis(packed.left.number()?) },
        _ => return None,
    };
    packed.left.rest.is_empty().then_some(entry)
}

/// A record, and nothing else.
pub(crate) fn record(bytes: &[u8]) -> Option<Record> {
    let shared = Bytes::copy_from_slice(bytes);
    let mut packed = Packed { left: Reader::new(&shared), shared: &shared };
    packed.record().filter(|_| packed.left.rest.is_empty())
}

/// What is left to read.
struct Packed<'a> {
    left: Reader<'a>,
    /// All of it.
    shared: &'a Bytes,
}

impl Packed<'_> {
    fn record(&mut self) -> Option<Record> {
        let flags = self.left.byte()?;
        let is_set = |flag: u8| flags & flag != 0;
        let mut record = Record::default();
        let mut created = 0;
        if is_set(flag::CREATED) {
            created = self.left.number()?;
            record.created = Time::from_millis(created);
        }
        if is_set(flag::SEEN) {
            record.seen = Time::from_millis(later(created, self.left.number()?));
        }
        if is_set(flag::HARD_DEADLINE) {
            record.hard_deadline = Time::from_millis(later(created, self.left.number()?));
        }
        let base = if is_set(flag::BASE) { self.base(created)? } else { Stamp::ZERO };
        let mut stamps = Stamps { base, earliest: Stamp::MAX, any: false };
        if is_set(flag::CLEARED) {
            record.cleared = self.stamp(&mut stamps)?;
        }
        if is_set(flag::IDLE) {
            let stamp = self.stamp(&mut stamps)?;
            let seconds = self.left.number()?;
            let part: u32 = if is_set(flag::NANOSECONDS) { self.left.short()? } else { 0 };
            if part >= NANOSECONDS_PER_SECOND {
                return None;
            }
            record.idle_timeout = Stamped::new(stamp, Duration::new(seconds, part));
        }
        if is_set(flag::SUBJECT) {
            let stamp = self.stamp(&mut stamps)?;
            let text = str::from_utf8(self.left.counted()?).ok()?;
            let subject = if text.is_empty() { None } else { Some(Subject::new(text).ok()?) };
            record.subject = Stamped::new(stamp, subject);
        }
        self.fields(&mut stamps, &mut record)?;
        (defaults_are_left_out(flags, &record) && stamps.base_is_right(is_set(flag::BASE)))
            .then_some(record)
    }

    fn fields(&mut self, stamps: &mut Stamps, record: &mut Record) -> Option<()> {
        let count = self.left.number()?;
        let mut last = "";
        for _ in 0..count {
            let name = str::from_utf8(self.left.counted()?).ok().filter(|name| *name > last)?;
            last = name;
            let stamp = self.stamp(stamps)?;
            if record.cleared != Stamp::ZERO && stamp <= record.cleared {
                return None;
            }
            let value = match self.left.length()?.checked_sub(1) {
                None => None,
                Some(length) => Some(self.shared.slice_ref(self.left.bytes(length)?)),
            };
            let field: Field = Stamped::new(stamp, value);
            record.fields.insert(FieldName::new(name.to_owned()).ok()?, field);
        }
        Some(())
    }

    fn base(&mut self, created: u64) -> Option<Stamp> {
        let millis = later(created, self.left.number()?);
        let (counter, node) = (self.left.short()?, self.left.short()?);
        Some(Stamp::new(reading(millis, counter)?, node))
    }

    fn stamp(&mut self, stamps: &mut Stamps) -> Option<Stamp> {
        let Some(head) = self.left.number()?.checked_sub(1) else { return Some(Stamp::ZERO) };
        let base = stamps.base;
        let millis = (base.reading() >> COUNTER_BITS).checked_add(head >> 2)?;
        let mut counter = u16::try_from(base.reading() & COUNTER_MASK).ok()?;
        if head & 2 != 0 {
            let of_base = counter;
            counter = self.left.short().filter(|counter| *counter != of_base)?;
        }
        let mut node = base.node();
        if head & 1 != 0 {
            node = self.left.short().filter(|node| *node != base.node())?;
        }
        let stamp = Stamp::new(reading(millis, counter)?, node);
        stamps.earliest = stamps.earliest.min(stamp);
        stamps.any = true;
        Some(stamp)
    }
}

/// What the stamps of a record are told by, and what has been seen of them.
struct Stamps {
    base: Stamp,
    earliest: Stamp,
    any: bool,
}

impl Stamps {
    /// Whether the base is the earliest of them all, or there is none.
    fn base_is_right(&self, has_base: bool) -> bool {
        let is_known = self.base != Stamp::ZERO;
        self.any == has_base && has_base == is_known && (!is_known || self.base == self.earliest)
    }
}

/// Whether each part that a flag announces is one that had to be.
fn defaults_are_left_out(flags: u8, record: &Record) -> bool {
    let agrees = |there: bool, flag: u8| there == (flags & flag != 0);
    agrees(record.created != Time::MAX, flag::CREATED)
        && agrees(record.seen != Time::EPOCH, flag::SEEN)
        && agrees(record.hard_deadline != Time::EPOCH, flag::HARD_DEADLINE)
        && agrees(record.cleared != Stamp::ZERO, flag::CLEARED)
        && agrees(record.idle_timeout != Stamped::default(), flag::IDLE)
        && agrees(record.idle_timeout.value.subsec_nanos() != 0, flag::NANOSECONDS)
        && agrees(record.subject != Stamped::default(), flag::SUBJECT)
}

/// None if there are not so many milliseconds in a stamp.
fn reading(millis: u64, counter: u16) -> Option<u64> {
    let shifted = millis << COUNTER_BITS;
    (shifted >> COUNTER_BITS == millis).then_some(shifted | u64::from(counter))
}

/// What is so much later than `from`, whatever that is.
fn later(from: u64, difference: u64) -> u64 {
    from.wrapping_add_signed(unzigzag(difference))
}
