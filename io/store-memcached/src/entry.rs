//! What is kept under the key of a session, as bytes. The form is in the documentation of the crate.
//!
//! Invariant: no bytes make [`Entry::decode`] panic or take more memory than a few times their
//! length; and what [`Entry::encode`] made of an entry is read as the same.

use std::sync::Arc;
use std::time::Duration;

use abide_session::{
    Field, FieldName, IdHash, MAX_FIELDS, Record, Stamp, Stamped, StoreError, Stub, Subject,
};
use abide_time::Time;
use bytes::Bytes;
use rmp::{decode, encode};

use crate::error::corrupt;

/// The version of the form that is written, and the newest that is read.
pub(crate) const VERSION: u8 = 1;

/// The most bytes of one item: what is larger is cut into parts of this length. A server takes items
/// of up to 1 MiB unless told otherwise (`-I`), and needs no neighbouring memory for a quarter of that.
pub(crate) const PART_BYTES: usize = 256 << 10;

/// The most parts of one entry: a record has 4 MiB at most as it counts itself, which is more than it
/// takes here.
pub(crate) const PARTS_MAX: usize = 20;

/// What is kept under the key of a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    Live(Arc<Record>),
    /// The session has another id.
    Moved {
        stub: Stub,
        hard_deadline: Time,
        /// The session, as long as it may not yet be there under that id.
        pending: Option<Arc<Record>>,
    },
    /// It has ended.
    Ended {
        hard_deadline: Time,
    },
    /// It is too large for one item: an entry of this many bytes stands in so many items beside.
    Parted {
        parts: Parts,
        hard_deadline: Time,
    },
}

/// Where the parts of a large entry are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Drawn at random for each write, so that parts of two writes never mix.
    pub(crate) generation: u64,
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

const LIVE: u8 = 0;
const MOVED: u8 = 1;
const MOVING: u8 = 2;
const ENDED: u8 = 3;
const PARTED: u8 = 4;

/// Elements before those of the kind: version and kind.
const HEAD_LENGTH: u32 = 2;
const RECORD_LENGTH: u32 = 9;
const MOVED_LENGTH: u32 = 4;
const ENDED_LENGTH: u32 = 1;
const PARTED_LENGTH: u32 = 4;

impl Entry {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(256));
        match self {
            Self::Live(record) => {
                writer.head(LIVE, RECORD_LENGTH);
                writer.record(record);
            }
            Self::Moved { stub, hard_deadline, pending: None } => {
                writer.head(MOVED, MOVED_LENGTH);
                writer.stub(*stub, *hard_deadline);
            }
            Self::Moved { stub, hard_deadline, pending: Some(record) } => {
                writer.head(MOVING, MOVED_LENGTH.saturating_add(RECORD_LENGTH));
                writer.stub(*stub, *hard_deadline);
                writer.record(record);
            }
            Self::Ended { hard_deadline } => {
                writer.head(ENDED, ENDED_LENGTH);
                writer.number(hard_deadline.as_millis());
            }
            Self::Parted { parts: Parts { generation, count, bytes }, hard_deadline } => {
                writer.head(PARTED, PARTED_LENGTH);
                writer.number(*generation);
                writer.number(u64::try_from(*count).unwrap_or(u64::MAX));
                writer.number(u64::try_from(*bytes).unwrap_or(u64::MAX));
                writer.number(hard_deadline.as_millis());
            }
        }
        writer.0
    }

    /// What these bytes are.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], with a text that says if a newer version wrote them.
    pub(crate) fn decode(data: &Bytes) -> Result<Self, StoreError> {
        let mut reader = Reader { rest: data, all: data };
        let (length, version) = reader.head().ok_or_else(malformed)?;
        if version > u64::from(VERSION) {
            return Err(corrupt("it was written by a newer version of this store"));
        }
        reader.entry(length).ok_or_else(malformed)
    }

    /// Until when somebody may need to know of it.
    pub(crate) fn deadline(&self) -> Time {
        match self {
            Self::Live(record) => record.deadline(),
            Self::Moved { hard_deadline, .. }
            | Self::Ended { hard_deadline }
            | Self::Parted { hard_deadline, .. } => *hard_deadline,
        }
    }

    /// When every copy of the session is worthless.
    pub(crate) fn hard_deadline(&self) -> Time {
        match self {
            Self::Live(record) => record.hard_deadline,
            entry => entry.deadline(),
        }
    }
}

fn malformed() -> StoreError {
    corrupt("it is not in the form that this store writes")
}

pub(crate) struct Writer(pub(crate) Vec<u8>);

// Writing to a vector does not fail, so the outcome of each of these is that there is none.
impl Writer {
    pub(crate) fn array(&mut self, length: u32) {
        let _ = encode::write_array_len(&mut self.0, length);
    }

    pub(crate) fn number(&mut self, number: u64) {
        let _ = encode::write_uint(&mut self.0, number);
    }

    pub(crate) fn text(&mut self, text: &str) {
        let _ = encode::write_str(&mut self.0, text);
    }

    pub(crate) fn stamp(&mut self, stamp: Stamp) {
        if stamp.node() == 0 {
            self.number(stamp.reading());
        } else {
            self.array(2);
            self.number(stamp.reading());
            self.number(stamp.node().into());
        }
    }

    fn head(&mut self, kind: u8, length: u32) {
        self.array(HEAD_LENGTH.saturating_add(length));
        self.number(VERSION.into());
        self.number(kind.into());
    }

    fn stub(&mut self, stub: Stub, hard_deadline: Time) {
        self.text(&stub.to.to_string());
        let _ = encode::write_bool(&mut self.0, stub.frozen);
        self.number(stub.until.as_millis());
        self.number(hard_deadline.as_millis());
    }

    fn record(&mut self, record: &Record) {
        self.stamp(record.cleared);
        self.number(record.created.as_millis());
        self.number(record.seen.as_millis());
        self.number(record.hard_deadline.as_millis());
        // What is beyond 64 bits is "never" for `Time::after`, too.
        self.number(u64::try_from(record.idle_timeout.value.as_millis()).unwrap_or(u64::MAX));
        self.stamp(record.idle_timeout.stamp);
        match &record.subject.value {
            Some(subject) => self.text(subject.as_str()),
            None => {
                let _ = encode::write_nil(&mut self.0);
            }
        }
        self.stamp(record.subject.stamp);
        let count = u32::try_from(record.fields.len()).unwrap_or(u32::MAX);
        let _ = encode::write_map_len(&mut self.0, count);
        for (name, field) in &record.fields {
            self.text(name.as_str());
            self.array(2);
            self.stamp(field.stamp);
            match &field.value {
                Some(value) => {
                    let _ = encode::write_bin(&mut self.0, value);
                }
                None => {
                    let _ = encode::write_nil(&mut self.0);
                }
            }
        }
    }
}

/// What is left to read, and all of it, so that values can share its memory.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
    pub(crate) all: &'a Bytes,
}

impl<'a> Reader<'a> {
    pub(crate) fn array(&mut self) -> Option<u32> {
        decode::read_array_len(&mut self.rest).ok()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        decode::read_int(&mut self.rest).ok()
    }

    pub(crate) fn time(&mut self) -> Option<Time> {
        self.number().map(Time::from_millis)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = decode::read_str_from_slice(self.rest).ok()?;
        self.rest = rest;
        Some(text)
    }

    pub(crate) fn id(&mut self) -> Option<IdHash> {
        IdHash::parse(self.text()?.as_bytes())
    }

    pub(crate) fn stamp(&mut self) -> Option<Stamp> {
        let mut ahead = self.rest;
        if decode::read_array_len(&mut ahead).is_ok_and(|length| length == 2) {
            self.rest = ahead;
            return Some(Stamp::new(self.number()?, u16::try_from(self.number()?).ok()?));
        }
        self.number().map(|reading| Stamp::new(reading, 0))
    }

    fn bool(&mut self) -> Option<bool> {
        decode::read_bool(&mut self.rest).ok()
    }

    fn nil(&mut self) -> bool {
        let mut ahead = self.rest;
        let is_nil = decode::read_nil(&mut ahead).is_ok();
        if is_nil {
            self.rest = ahead;
        }
        is_nil
    }

    fn bin(&mut self) -> Option<Bytes> {
        let length = usize::try_from(decode::read_bin_len(&mut self.rest).ok()?).ok()?;
        let (value, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(self.all.slice_ref(value))
    }

    /// The number of elements, and the version.
    pub(crate) fn head(&mut self) -> Option<(u32, u64)> {
        Some((self.array()?, self.number()?))
    }

    fn entry(&mut self, length: u32) -> Option<Entry> {
        let kind = u8::try_from(self.number()?).ok()?;
        // More elements than are known here are additions of a later version, and come last.
        let length = length.checked_sub(HEAD_LENGTH)?;
        let at_least = |known: u32| (length >= known).then_some(());
        Some(match kind {
            LIVE => {
                at_least(RECORD_LENGTH)?;
                Entry::Live(self.record()?)
            }
            MOVED => {
                at_least(MOVED_LENGTH)?;
                let (stub, hard_deadline) = self.stub()?;
                Entry::Moved { stub, hard_deadline, pending: None }
            }
            MOVING => {
                at_least(MOVED_LENGTH.saturating_add(RECORD_LENGTH))?;
                let (stub, hard_deadline) = self.stub()?;
                Entry::Moved { stub, hard_deadline, pending: Some(self.record()?) }
            }
            ENDED => {
                at_least(ENDED_LENGTH)?;
                Entry::Ended { hard_deadline: self.time()? }
            }
            PARTED => {
                at_least(PARTED_LENGTH)?;
                let (generation, count, bytes) = (self.number()?, self.number()?, self.number()?);
                let count = usize::try_from(count).ok().filter(|count| *count <= PARTS_MAX)?;
                let bytes = usize::try_from(bytes).ok()?;
                (bytes.div_ceil(PART_BYTES) == count).then_some(())?;
                let parts = Parts { generation, count, bytes };
                Entry::Parted { parts, hard_deadline: self.time()? }
            }
            _ => return None,
        })
    }

    fn stub(&mut self) -> Option<(Stub, Time)> {
        let (to, frozen, until) = (self.id()?, self.bool()?, self.time()?);
        Some((Stub::new(to, frozen, until), self.time()?))
    }

    fn record(&mut self) -> Option<Arc<Record>> {
        let mut record = Record::default();
        record.cleared = self.stamp()?;
        record.created = self.time()?;
        record.seen = self.time()?;
        record.hard_deadline = self.time()?;
        let idle_timeout = Duration::from_millis(self.number()?);
        record.idle_timeout = Stamped::new(self.stamp()?, idle_timeout);
        let subject = if self.nil() { None } else { Some(Subject::new(self.text()?).ok()?) };
        record.subject = Stamped::new(self.stamp()?, subject);
        let count = usize::try_from(decode::read_map_len(&mut self.rest).ok()?).ok()?;
        if count > MAX_FIELDS {
            return None;
        }
        for _ in 0..count {
            let name = FieldName::new(self.text()?.to_owned()).ok()?;
            (self.array()? == 2).then_some(())?;
            let stamp = self.stamp()?;
            let value = if self.nil() { None } else { Some(self.bin()?) };
            let field: Field = Stamped::new(stamp, value);
            if record.fields.insert(name, field).is_some() {
                return None;
            }
        }
        Some(Arc::new(record))
    }
}

#[cfg(test)]
mod tests;
