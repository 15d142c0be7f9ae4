//! What stands in the hash of a session, and what it means.
//!
//! The layout is documented in lib.rs. Scripts write it, too; what both must agree on is tested in
//! `tests/format.rs` against bytes that must stay the same.

use std::time::Duration;

use abide_session::{
    Changes, FieldName, IdHash, Record, Stamp, Stamped, StoreError, Stub, Subject,
};
use abide_time::Time;
use bytes::Bytes;
use redis::Value;

/// The version of the layout.
pub(crate) const VERSION: u8 = 1;
/// The name under which a hash says what it is.
pub(crate) const META: &[u8] = b"";
/// The name under which it says whose session it is. Not UTF-8, so no field's.
pub(crate) const SUBJECT: &[u8] = b"\xff";
/// Names from this byte on are not UTF-8 and not of fields.
const FIRST_RESERVED: u8 = 0xf5;

pub(crate) const LIVE: u8 = b'L';
pub(crate) const MOVED: u8 = b'M';
pub(crate) const ENDED: u8 = b'E';
/// What the meta of a session has at least.
pub(crate) const META_BYTES: usize = 56;

/// How much longer than its deadline a key is kept: the server removes what nobody needs by its own
/// clock, and the clocks of the clients, which decide, may be behind it by so much.
pub(crate) const SLACK_MS: u64 = 60_000;

/// Six bytes of milliseconds; the largest stands for "never".
const MILLIS_MAX: u64 = (1 << 48) - 1;

/// A name of a hash, and the value under it.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// What is under a session's key.
#[derive(Debug)]
pub(crate) enum Stored {
    Live(Record),
    Moved(Stub),
    Ended,
}

/// Why stored bytes can not be read.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

pub(crate) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(Box::new(Unreadable(what.to_owned())))
}

pub(crate) fn newer(version: u8) -> StoreError {
    corrupt(&format!(
        "it was written by a newer version of abide (format {version}, this one reads {VERSION}); \
         update this server"
    ))
}

/// A time as the store has it.
pub(crate) fn millis(time: Time) -> u64 {
    time.as_millis().min(MILLIS_MAX)
}

/// A span as the store has it.
pub(crate) fn span_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(MILLIS_MAX)
}

/// The bytes of a stamp of this store, whose node is 0.
pub(crate) fn stamp_bytes(stamp: Stamp) -> [u8; 8] {
    stamp.reading().to_be_bytes()
}

pub(crate) fn stamp_of(bytes: &[u8]) -> Option<Stamp> {
    Some(Stamp::new(u64::from_be_bytes(bytes.try_into().ok()?), 0))
}

/// The first stamp of a session that is made now.
pub(crate) fn first_stamp(now: Time) -> Stamp {
    Stamp::new((millis(now) << 16).max(1), 0)
}

/// How long a key is kept whose content is of use until this deadline.
pub(crate) fn keep_ms(deadline: Time, now: Time) -> u64 {
    millis(deadline).saturating_sub(millis(now)).saturating_add(SLACK_MS)
}

/// The names and values of the hash of a new session.
pub(crate) fn encode(
    record: &Record,
    changes: &Changes,
    stamp: Stamp,
    token: [u8; 8],
) -> Vec<Pair> {
    let six = |number: u64| number.to_be_bytes().into_iter().skip(2);
    let cleared = if changes.clear { stamp } else { Stamp::ZERO };
    let mut meta = vec![VERSION, LIVE];
    for time in [record.created, record.seen, record.hard_deadline] {
        meta.extend(six(millis(time)));
    }
    meta.extend(six(span_millis(record.idle_timeout.value)));
    meta.extend(stamp_bytes(record.idle_timeout.stamp));
    meta.extend(stamp_bytes(cleared));
    meta.extend(stamp_bytes(stamp));
    meta.extend(u16::try_from(record.fields.len()).unwrap_or(u16::MAX).to_be_bytes());
    meta.extend(u32::try_from(record.size()).unwrap_or(u32::MAX).to_be_bytes());
    let mut pairs = vec![(META.to_vec(), meta)];
    if let Some(subject) = &record.subject.value {
        let value = [&stamp_bytes(stamp)[..], &token, subject.as_str().as_bytes()].concat();
        pairs.push((SUBJECT.to_vec(), value));
    }
    for (name, field) in &record.fields {
        if let Some(value) = &field.value {
            let value = [&stamp_bytes(field.stamp)[..], value].concat();
            pairs.push((name.as_str().as_bytes().to_vec(), value));
        }
    }
    pairs
}

/// What a reply to `HGETALL` shows; none if the key is not there.
pub(crate) fn decode(reply: Value) -> Result<Option<Stored>, StoreError> {
    let pairs = pairs_of(reply)?;
    let Some((_, meta)) = pairs.iter().find(|(name, _)| name == META) else {
        return if pairs.is_empty() { Ok(None) } else { Err(corrupt("it is no session")) };
    };
    let mut rest = &meta[..];
    match (take_byte(&mut rest)?, take_byte(&mut rest)?) {
        (VERSION, LIVE) => {}
        (VERSION, MOVED) => return stub_of(meta).map(|stub| Some(Stored::Moved(stub))),
        (VERSION, ENDED) => return Ok(Some(Stored::Ended)),
        (VERSION, _) => return Err(corrupt("it is of no known kind")),
        (version, _) => return Err(newer(version)),
    }
    let mut record = Record::default();
    record.created = take_time(&mut rest)?;
    record.seen = take_time(&mut rest)?;
    record.hard_deadline = take_time(&mut rest)?;
    let idle_timeout = take_time(&mut rest)?;
    let idle_timeout = match idle_timeout {
        Time::MAX => Duration::MAX,
        time => Duration::from_millis(time.as_millis()),
    };
    record.idle_timeout = Stamped::new(take_stamp(&mut rest)?, idle_timeout);
    record.cleared = take_stamp(&mut rest)?.before();
    for (name, value) in pairs {
        if name.first().is_none_or(|byte| *byte >= FIRST_RESERVED) {
            if name == SUBJECT {
                record.subject = subject_of(&value)?;
            }
            continue;
        }
        let name =
            String::from_utf8(name).map_err(|_fault| corrupt("a field's name is no text"))?;
        let name = FieldName::new(name).map_err(|_fault| corrupt("a field's name is too long"))?;
        let mut stamp = &value[..];
        let stamp = take_stamp(&mut stamp)?;
        let value = Bytes::from(value).slice(8..);
        record.fields.insert(name, Stamped::new(stamp, Some(value)));
    }
    Ok(Some(Stored::Live(record)))
}

/// When a live session with this meta expires. None if it is something else.
pub(crate) fn deadline_of(meta: &[u8]) -> Option<Time> {
    let mut rest = meta.strip_prefix(&[VERSION, LIVE])?;
    let _created = take_time(&mut rest).ok()?;
    let seen = take_time(&mut rest).ok()?;
    let hard_deadline = take_time(&mut rest).ok()?;
    let idle_timeout = Duration::from_millis(take_time(&mut rest).ok()?.as_millis());
    Some(seen.after(idle_timeout).min(hard_deadline))
}

/// The stub that stands under an id that was renewed.
pub(crate) fn stub_of(meta: &[u8]) -> Result<Stub, StoreError> {
    let mut rest = meta.strip_prefix(&[VERSION, MOVED]).ok_or_else(|| corrupt("it is no stub"))?;
    let frozen = take_byte(&mut rest)? == 1;
    let until = take_time(&mut rest)?;
    let to = take(&mut rest, abide_session::ID_TEXT_BYTES)?;
    let to = IdHash::parse(to).ok_or_else(|| corrupt("a stub leads to no id"))?;
    Ok(Stub::new(to, frozen, until))
}

/// The subject of a session, when it was bound to it.
pub(crate) fn subject_of(value: &[u8]) -> Result<Stamped<Option<Subject>>, StoreError> {
    let mut rest = value;
    let stamp = take_stamp(&mut rest)?;
    take(&mut rest, 8)?;
    let name = std::str::from_utf8(rest).map_err(|_fault| corrupt("its subject is no text"))?;
    let subject = Subject::new(name).map_err(|_fault| corrupt("its subject is too long"))?;
    Ok(Stamped::new(stamp, Some(subject)))
}

/// The names and values of a hash: a map in RESP3, in RESP2 an array of both by turns.
pub(crate) fn pairs_of(reply: Value) -> Result<Vec<Pair>, StoreError> {
    match reply {
        Value::Nil => Ok(Vec::new()),
        Value::Map(pairs) => {
            pairs.into_iter().map(|(name, value)| Ok((bytes_of(name)?, bytes_of(value)?))).collect()
        }
        Value::Array(flat) => {
            let mut pairs = Vec::with_capacity(flat.len() / 2);
            let mut rest = flat.into_iter();
            while let (Some(name), Some(value)) = (rest.next(), rest.next()) {
                pairs.push((bytes_of(name)?, bytes_of(value)?));
            }
            Ok(pairs)
        }
        _ => Err(unexpected()),
    }
}

pub(crate) fn bytes_of(value: Value) -> Result<Vec<u8>, StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        _ => Err(unexpected()),
    }
}

pub(crate) fn unexpected() -> StoreError {
    corrupt("the server answered something else than was asked for")
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], StoreError> {
    let (taken, after) = rest.split_at_checked(count).ok_or_else(|| corrupt("it is cut short"))?;
    *rest = after;
    Ok(taken)
}

fn take_byte(rest: &mut &[u8]) -> Result<u8, StoreError> {
    Ok(take(rest, 1)?.first().copied().unwrap_or_default())
}

fn take_time(rest: &mut &[u8]) -> Result<Time, StoreError> {
    let millis = take(rest, 6)?.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Ok(if millis == MILLIS_MAX { Time::MAX } else { Time::from_millis(millis) })
}

fn take_stamp(rest: &mut &[u8]) -> Result<Stamp, StoreError> {
    stamp_of(take(rest, 8)?).ok_or_else(unexpected)
}
