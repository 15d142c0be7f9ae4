//! The bytes inside the seal: see [`super`] for their form.

use alloc::string::String;
use alloc::vec::Vec;
use core::str;
use core::time::Duration;

use abide_time::Time;
use bytes::{Bytes, BytesMut};

use crate::error::{Limit, StoreError};
use crate::id::{Id, RANDOM_BYTES};
use crate::limits::MAX_FIELDS;
use crate::record::{FieldName, Record, Subject};
use crate::stamp::{Clock, Stamped};

use super::compression::{compress, expand};
use super::{Seal, Sealed};

const WITH_SUBJECT: u8 = 1;
const WITH_EPOCH: u8 = 2;

/// Appends what `sealed` holds.
///
/// # Errors
/// [`StoreError::TooLarge`] for what [`read`] would not take.
pub(super) fn write(
    sealed: &Sealed,
    compresses: bool,
    bytes: &mut Vec<u8>,
) -> Result<(), StoreError> {
    let Sealed { id, record, epoch } = sealed;
    let subject = record.subject.value.as_ref();
    let flag = |there: bool, flag: u8| if there { flag } else { 0 };
    bytes.push(flag(subject.is_some(), WITH_SUBJECT) | flag(epoch.is_some(), WITH_EPOCH));
    bytes.extend_from_slice(&id.to_random());
    write_number(bytes, record.created.as_millis());
    write_number(bytes, difference(record.created, record.seen));
    let idle_timeout = record.idle_timeout.value.as_millis();
    // What is beyond 64 bits is "never" for `Time::after`, too.
    write_number(bytes, u64::try_from(idle_timeout).unwrap_or(u64::MAX));
    write_number(bytes, difference(record.created, record.hard_deadline));
    if let Some(subject) = subject {
        write_text(bytes, subject.as_str());
    }
    if let Some(epoch) = epoch {
        write_number(bytes, *epoch);
    }
    write_fields(record, compresses, bytes)
}

fn write_fields(record: &Record, compresses: bool, bytes: &mut Vec<u8>) -> Result<(), StoreError> {
    let measure = |(count, names, values): (usize, usize, usize),
                   (name, value): (&FieldName, &Bytes)| {
        let names = names.saturating_add(name.as_str().len());
        (count.saturating_add(1), names, values.saturating_add(value.len()))
    };
    let (count, names, values) = record.iter().fold((0, 0, 0), measure);
    if count > MAX_FIELDS {
        return Err(StoreError::TooLarge(Limit::Fields));
    }
    if values > Seal::VALUES_BYTES_MAX {
        return Err(StoreError::TooLarge(Limit::Cookie));
    }
    let lengths = count.saturating_mul(LENGTHS_BYTES);
    bytes.reserve(names.saturating_add(values).saturating_add(lengths));

    write_length(bytes, count);
    let mut room = Vec::new();
    for (name, value) in record.iter() {
        write_text(bytes, name.as_str());
        let block = if compresses { compress(value, &mut room) } else { None };
        if let Some(block) = block {
            write_length(bytes, block.len().saturating_mul(2).saturating_add(1));
            write_length(bytes, value.len());
            bytes.extend_from_slice(block);
        } else {
            write_length(bytes, value.len().saturating_mul(2));
            bytes.extend_from_slice(value);
        }
    }
    Ok(())
}

/// What these bytes hold; none if they are not what [`write`] makes.
///
/// Values that are not compressed stay where they are: they share the memory of `content`.
pub(super) fn read(content: &Bytes, now: Time) -> Option<Sealed> {
    let mut reader = Reader(content);
    let flags = reader.byte()?;
    if flags & !(WITH_SUBJECT | WITH_EPOCH) != 0 {
        return None;
    }
    let id = Id::from_random(*reader.bytes(RANDOM_BYTES)?.first_chunk()?);
    let created = Time::from_millis(reader.number()?);
    let seen = later(created, reader.number()?);
    let idle_timeout = Duration::from_millis(reader.number()?);
    let hard_deadline = later(created, reader.number()?);
    let subject = if flags & WITH_SUBJECT != 0 {
        Some(Subject::new(str::from_utf8(reader.counted()?).ok()?).ok()?)
    } else {
        None
    };
    let epoch = if flags & WITH_EPOCH != 0 { Some(reader.number()?) } else { None };
    let count = reader.length().filter(|count| *count <= MAX_FIELDS)?;
    let mut expanded = BytesMut::zeroed(expanded_length(reader, count)?);

    // Earlier than whatever a clock gives from now on, later than what was never written.
    let stamp = Clock::new(0).tick(seen.min(now)).before();
    let mut record = Record {
        created,
        seen,
        hard_deadline,
        idle_timeout: Stamped::new(stamp, idle_timeout),
        subject: Stamped::new(stamp, subject),
        ..Record::default()
    };
    for _ in 0..count {
        let (name, value) = reader.field()?;
        let value = match value {
            Value::Plain(bytes) => content.slice_ref(bytes),
            Value::Block { bytes, length } => {
                let mut value = expanded.split_to(length);
                if !expand(bytes, &mut value) {
                    return None;
                }
                value.freeze()
            }
        };
        let name = FieldName::new(String::from(str::from_utf8(name).ok()?)).ok()?;
        record.fields.insert(name, Stamped::new(stamp, Some(value)));
    }
    Some(Sealed { id, record, epoch })
}

/// The bytes that the blocks among the next fields expand to, after the check that all is in its
/// form and within its limits, and nothing follows.
fn expanded_length(mut reader: Reader<'_>, count: usize) -> Option<usize> {
    let mut expanded = 0_usize;
    let mut plain = 0_usize;
    let mut last: &[u8] = &[];
    for _ in 0..count {
        let (name, value) = reader.field()?;
        if name <= last {
            return None;
        }
        last = name;
        match value {
            Value::Plain(bytes) => plain = plain.checked_add(bytes.len())?,
            Value::Block { length, .. } => expanded = expanded.checked_add(length)?,
        }
    }
    let is_within = expanded.checked_add(plain)? <= Seal::VALUES_BYTES_MAX;
    (is_within && reader.0.is_empty()).then_some(expanded)
}

/// A value as it stands in the content.
enum Value<'a> {
    Plain(&'a [u8]),
    /// An LZ4 block that expands to `length` bytes.
    Block {
        bytes: &'a [u8],
        length: usize,
    },
}

/// What is left to read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shifted = bits.checked_shl(shift)?;
            if shifted.checked_shr(shift)? != bits {
                return None;
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.bytes(length)
    }

    fn field(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let name = self.counted()?;
        let header = self.length()?;
        let is_block = header & 1 == 1;
        let length = if is_block { self.length()? } else { 0 };
        let bytes = self.bytes(header >> 1)?;
        Some((name, if is_block { Value::Block { bytes, length } } else { Value::Plain(bytes) }))
    }
}

pub(super) fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        if number < 0x80 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
        number >>= 7;
    }
}

fn write_length(bytes: &mut Vec<u8>, length: usize) {
    write_number(bytes, u64::try_from(length).unwrap_or(u64::MAX));
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// How much later `to` is than `from`, small numbers for small differences either way (zigzag).
fn difference(from: Time, to: Time) -> u64 {
    let difference = to.as_millis().wrapping_sub(from.as_millis()).cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The time that is so much later than `from`: what [`difference`] was made of, whatever it was.
fn later(from: Time, difference: u64) -> Time {
    let difference = (difference >> 1) ^ 0_u64.wrapping_sub(difference & 1);
    Time::from_millis(from.as_millis().wrapping_add(difference))
}

/// The most that the lengths of a field take.
const LENGTHS_BYTES: usize = 8;
