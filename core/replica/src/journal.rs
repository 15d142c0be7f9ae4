//! What a node writes to a disk, so that its sessions outlast all processes.
//!
//! A journal has every change that the node's table took over, whoever made it, and what the node knew of
//! other processes. A copy has all that the table held at a time. Both are *content*, parts of the
//! same form, and since entries merge, content may be taken in any order and more than once: a copy may be
//! made little by little while changes go on to the journal, and needs no moment at which all stands still.
//! Nothing says that an entry was dropped: one that has expired is dropped again, and one that is held
//! elsewhere is offered to its leader, who knows.
//!
//! ```text
//! frame   = "abj" 1 length(4) checksum(8) content     numbers of a frame: the low byte first
//! content = part*
//! part    = kind counted(bytes)                       1 version, 2 entry (as packed), 3 node
//! node    = counted(name) birth status counted(address)
//! ```
//!
//! A file begins with a frame of the version. A frame that is cut short or damaged is passed over, and reading
//! goes on at the next that is whole ([`Frames`]): a process that is killed while it writes leaves a
//! torn tail, and a bad block is not to cost what comes after it.
//!
//! # What a node that comes back may not know
//!
//! What is on its disk was all that it held when it stopped. Another process may have gone on without it: one
//! that it knew as living. So these are *missed*, and so is who dies, until all slots have a leader that
//! knows that it does without: what a dead process held is on its disk. Until a missed node is back and all is well
//! with both, or somebody says that it is lost ([`crate::Event::Lost`]), it may hold more, though nobody listens at
//! its address: whoever claims a slot without having been in sync with the last leader has it in doubt, and what it
//! says is [`crate::Kept::Sole`].

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::{error, fmt, str};

use xxhash_rust::xxh64::xxh64;

use crate::limits::MAX_LETTER_BYTES;
use crate::roster::Contact;
use crate::table::Table;
use crate::varint::{Reader, counted, number};
use crate::view::{Birth, Known};
use crate::wire::{read_status, write_status};

/// The version of the form of content.
const VERSION: u64 = 1;
const MAGIC: [u8; 4] = *b"abj\x01";
const HEAD_BYTES: usize = MAGIC.len() + size_of::<u32>() + size_of::<u64>();

/// The content of one frame at most: a journal is written in smaller ones, unless one entry is larger.
pub const MAX_CONTENT_BYTES: usize = MAX_LETTER_BYTES;

const FORMAT: u64 = 1;
const ENTRY: u64 = 2;
const NODE: u64 = 3;

/// What was on a disk.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub(crate) table: Table,
    known: BTreeMap<String, (Known, String)>,
    unread_bytes: u64,
}

/// Content that can not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaterVersion(
    /// The version that wrote it.
    pub u64,
);

impl Default for Recovered {
    fn default() -> Self {
        Self { table: Table::new(usize::MAX), known: BTreeMap::new(), unread_bytes: 0 }
    }
}

impl Recovered {
    /// Takes over content, in any order. What is no part in it is left out and counted.
    ///
    /// # Errors
    /// [`LaterVersion`] if a later version of this program wrote it: it may say more than this one can keep.
    pub fn take(&mut self, content: &[u8]) -> Result<(), LaterVersion> {
        let mut reader = Reader::new(content);
        while !reader.rest.is_empty() {
            let before = reader.rest.len();
            let Some((kind, part)) = part(&mut reader) else {
                self.leave_out(before);
                return Ok(());
            };
            if !self.take_part(kind, part)? {
                self.leave_out(part.len());
            }
        }
        Ok(())
    }

    fn take_part(&mut self, kind: u64, part: &[u8]) -> Result<bool, LaterVersion> {
        match kind {
            FORMAT => match Reader::new(part).number() {
                Some(version) if version > VERSION => Err(LaterVersion(version)),
                version => Ok(version.is_some()),
            },
            ENTRY => {
                let Ok((id, entry)) = crate::packed::unpack(part) else { return Ok(false) };
                Ok(self.table.merge(id, entry).is_ok())
            }
            NODE => {
                let Some((name, known, address)) = node(part) else { return Ok(false) };
                let said = (known, address);
                let kept = self.known.entry(name).or_insert_with(|| said.clone());
                if kept.0 <= said.0 {
                    *kept = said;
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn leave_out(&mut self, bytes: usize) {
        self.unread_bytes =
            self.unread_bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// How many entries there are, expired ones included.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether nothing was there: neither an entry nor a word of any process.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty() && self.known.is_empty()
    }

    /// Bytes within whole frames that could not be read.
    pub const fn unread_bytes(&self) -> u64 {
        self.unread_bytes
    }

    /// The last process of this name that was known. The next needs a later birth.
    pub fn birth(&self, name: &str) -> Option<Birth> {
        self.known.get(name).map(|(known, _)| known.birth)
    }

    /// The last process of this name, if it may have gone on without the one that wrote this.
    pub fn missed(&self, name: &str) -> Option<Birth> {
        let known = self.known.get(name).map(|(known, _)| known);
        known.filter(|known| !known.is_dead()).map(|known| known.birth)
    }

    /// The nodes that ran when this was written, and where they were found.
    pub(crate) fn living(&self) -> impl Iterator<Item = Contact> + '_ {
        let living = self.known.iter().filter(|(_, (known, _))| !known.is_dead());
        living.map(|(name, (_, address))| Contact::listed(name, address))
    }
}

/// The first frame of a file.
pub fn write_version(frames: &mut Vec<u8>) {
    let mut content = Vec::new();
    let mut version = Vec::new();
    number(&mut version, VERSION);
    write_part(&mut content, FORMAT, &version);
    write_frame(frames, &content);
}

/// Appends a frame of this content.
pub fn write_frame(frames: &mut Vec<u8>, content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    frames.extend_from_slice(&MAGIC);
    frames.extend_from_slice(&length.to_le_bytes());
    frames.extend_from_slice(&xxh64(content, 0).to_le_bytes());
    frames.extend_from_slice(content);
}

/// Appends an entry, packed, to content.
pub(crate) fn write_entry(content: &mut Vec<u8>, packed: &[u8]) {
    write_part(content, ENTRY, packed);
}

/// Appends what is known of a node to content.
pub(crate) fn write_node(content: &mut Vec<u8>, name: &str, known: Known, address: &str) {
    let mut bytes = Vec::new();
    counted(&mut bytes, name.as_bytes());
    number(&mut bytes, known.birth.0);
    number(&mut bytes, write_status(known.status));
    counted(&mut bytes, address.as_bytes());
    write_part(content, NODE, &bytes);
}

fn write_part(content: &mut Vec<u8>, kind: u64, bytes: &[u8]) {
    number(content, kind);
    counted(content, bytes);
}

fn part<'a>(reader: &mut Reader<'a>) -> Option<(u64, &'a [u8])> {
    Some((reader.number()?, reader.counted()?))
}

fn node(part: &[u8]) -> Option<(String, Known, String)> {
    let mut reader = Reader::new(part);
    let text = |bytes| str::from_utf8(bytes).ok().map(str::to_owned);
    let name = text(reader.counted()?)?;
    let known = Known { birth: Birth(reader.number()?), status: read_status(&mut reader)? };
    Some((name, known, text(reader.counted()?)?))
}

/// The frames of a file, as its bytes come.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    /// Where in them the next frame may begin.
    at: usize,
    skipped: u64,
    /// The part of `skipped` since the last whole frame.
    tail: u64,
}

/// What stands at a place.
enum Found {
    /// A frame, whose content is there and there.
    Whole(core::ops::Range<usize>),
    /// The beginning of one, perhaps.
    Cut,
    Nothing,
}

impl Frames {
    /// The next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The content of the next frame that is whole; none until more bytes have come. `is_end` says that none
    /// will come.
    pub fn next_content(&mut self, is_end: bool) -> Option<&[u8]> {
        loop {
            match self.look() {
                Found::Whole(content) => {
                    self.at = content.end;
                    self.tail = 0;
                    return self.bytes.get(content);
                }
                Found::Cut if !is_end => return None,
                Found::Cut | Found::Nothing => {
                    if self.at >= self.bytes.len() {
                        return None;
                    }
                    self.at = self.at.saturating_add(1);
                    self.skipped = self.skipped.saturating_add(1);
                    self.tail = self.tail.saturating_add(1);
                }
            }
        }
    }

    /// Bytes that were in no whole frame, and how many of them are the last of all: a torn tail, if no process
    /// stopped in good order.
    pub const fn skipped_bytes(&self) -> (u64, u64) {
        (self.skipped, self.tail)
    }

    fn look(&self) -> Found {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let begin = rest.get(..MAGIC.len().min(rest.len())).unwrap_or_default();
        if !MAGIC.starts_with(begin) {
            return Found::Nothing;
        }
        let mut reader = Reader::new(rest);
        let _magic = reader.bytes(MAGIC.len());
        let length = reader.bytes(size_of::<u32>()).and_then(|bytes| bytes.first_chunk());
        let checksum = reader.bytes(size_of::<u64>()).and_then(|bytes| bytes.first_chunk());
        let (Some(length), Some(checksum)) = (length, checksum) else { return Found::Cut };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_CONTENT_BYTES {
            return Found::Nothing;
        }
        let Some(content) = reader.bytes(length) else { return Found::Cut };
        if xxh64(content, 0) != u64::from_le_bytes(*checksum) {
            return Found::Nothing;
        }
        let from = self.at.saturating_add(HEAD_BYTES);
        Found::Whole(from..from.saturating_add(length))
    }
}

impl fmt::Display for LaterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it was written in version {} of its form, and this program reads {VERSION}",
            self.0
        )
    }
}

impl error::Error for LaterVersion {}

#[cfg(test)]
mod tests;
