//! The sealed cookie: the whole session in the browser, encrypted and authenticated.
//!
//! A [`Seal`] turns what a session is into `Set-Cookie` texts and `Cookie` fields back into it. It is
//! no [`crate::Store`]: there is nothing to look up, nothing to lose and nothing to share but the
//! keys.
//!
//! # Format
//!
//! The text of the cookie `NAME` is one digit, the number of cookies that belong together (1 to 8),
//! and base64url without padding (RFC 4648 section 5), which goes on in `NAME.2` to `NAME.8`. Each
//! but the last holds whole groups of four characters. As the first says how many there are, what is
//! left over of a longer value does no harm. The text decodes to
//!
//! ```text
//! version 1 | key id 1 | nonce 12 | AES-256-GCM-SIV( content ) | tag 16
//! ```
//!
//! bound to the purpose, the version and the cookie's name (RFC 8452; a nonce drawn twice by chance
//! gives nothing away but that two contents are equal). The content is
//!
//! ```text
//! flags 1 | id 22 | created | seen - created | idle time-out | hard deadline - created
//!         | subject if flag 1: length, text | epoch if flag 2
//!         | number of fields, and for each: name length, name, 2 * length + is compressed,
//!                                           expanded length if it is compressed, bytes
//! ```
//!
//! with numbers as LEB128, times and spans in milliseconds and differences of times in zigzag form,
//! and fields in ascending order of their names. Milliseconds are all that a [`crate::Record`] counts
//! with, so every deadline is the same after opening as before. Stamps are not kept: what is opened
//! has one for all, later than [`crate::Stamp::ZERO`] and earlier than any that a clock gives at that
//! time. Neither are markers of removed fields, which only matter where records are merged.
//!
//! # Compression
//!
//! A value that becomes smaller by a thirty-second is kept as an LZ4 block. What is compressed together
//! tells by its length what it has in common; who can see the length of a cookie and put text of his
//! own beside a secret can so guess the secret piece by piece (the attacks CRIME and BREACH). **Each
//! value is therefore compressed alone, never with another, a name or the subject.** What remains is
//! an application that puts a secret and a visitor's text into one value:
//! [`Seal::without_compression`] is for that.
//!
//! # What always holds
//!
//! * Nothing opens that was not sealed by a key of the ring, for this name. There is no other way
//!   in, and every reason not to open is the same answer: [`Opened::Refused`].
//! * Nothing is decoded or expanded before it is authenticated, and nothing allocated for a length
//!   before all lengths together are within [`Seal::VALUES_BYTES_MAX`].
//! * Whatever a request brings, at most [`Seal::CANDIDATES_MAX`] values of at most
//!   [`Seal::PARTS_MAX`] cookies are tried; more cookies of our names cost no more than being read
//!   over.
//! * What is sealed can be opened: [`Seal::seal`] refuses what [`Seal::open`] would.
//! * A session that has ended or expired is never sealed.
//!
//! # What it can not do
//!
//! Two responses that seal at the same time overwrite each other in the browser, field by field they
//! can not be merged. And a copy of a cookie stays good until its deadline whatever happened since,
//! unless the shell asks a store whether it was revoked; [`Sealed::id`] and [`Sealed::epoch`] are for
//! that.

mod compression;
mod content;
mod presented;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use abide_cookie::{Attributes, CookieError, CookieName, SetCookie};
use abide_keys::{Key, KeyRing, base64url};
use abide_time::Time;
use bytes::Bytes;

use crate::error::{Limit, StoreError};
use crate::id::Id;
use crate::record::Record;

pub use presented::Parts;
use presented::Presented;

/// The sealed cookie of one application: its name and attributes, and the keys. Made once, and then
/// shared.
#[derive(Clone)]
pub struct Seal {
    ring: KeyRing,
    name: CookieName,
    /// `NAME`, `NAME.2` … `NAME.8`.
    parts: Vec<Part>,
    /// What every value is bound to: purpose, version, name.
    bound_to: Vec<u8>,
    compresses: bool,
}

impl Seal {
    /// The random bytes that [`Seal::seal`] takes.
    pub const NONCE_BYTES: usize = Key::NONCE_BYTES;
    /// The most cookies for one session: 32 KiB of `Cookie` fields is what servers commonly accept
    /// in all, and each request carries them.
    pub const PARTS_MAX: usize = presented::PARTS_MAX;
    /// How many values are tried if a request brings several cookies of our name, set for different
    /// paths or domains. More than a few is somebody playing.
    pub const CANDIDATES_MAX: usize = presented::CANDIDATES_MAX;
    /// The most bytes of all values of a session together, as they are before compression: what one
    /// request can make a server hold. It is about three times what the cookies hold, as much as
    /// text shrinks by.
    pub const VALUES_BYTES_MAX: usize = 64 * 1024;

    /// The sealed cookie of this name. An application with two kinds of sessions gives them
    /// different names, which keeps the values of one from opening as the other.
    ///
    /// # Errors
    /// Browsers would not take this name, or one of its numbered forms, with these attributes.
    pub fn new(
        ring: KeyRing,
        name: CookieName,
        attributes: &Attributes,
    ) -> Result<Self, CookieError> {
        let mut bound_to = Vec::new();
        for piece in [PURPOSE, &[VERSION], name.as_bytes()] {
            // Lengths keep the pieces apart, whatever is in them.
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            bound_to.extend_from_slice(&length.to_le_bytes());
            bound_to.extend_from_slice(piece);
        }
        let mut parts = Vec::with_capacity(Self::PARTS_MAX);
        for suffix in ["", ".2", ".3", ".4", ".5", ".6", ".7", ".8"] {
            let mut numbered = String::from(name.as_str());
            numbered.push_str(suffix);
            let cookie = SetCookie::new(CookieName::new(&numbered)?, attributes)?;
            parts.push(Part::new(cookie)?);
        }
        Ok(Self { ring, name, parts, bound_to, compresses: true })
    }

    /// The name of the first cookie.
    pub fn name(&self) -> &CookieName {
        &self.name
    }

    /// The same without compression: the length of a cookie then tells nothing but how much is in
    /// it. For applications that put a secret and text of a visitor's choice into one value. What
    /// was sealed with compression still opens.
    pub fn without_compression(self) -> Self {
        Self { compresses: false, ..self }
    }

    /// Opens what the `Cookie` fields of a request hold, and says which of our cookies there are.
    ///
    /// With several of our name, the first that opens and has not expired counts.
    pub fn open(&self, fields: &[&[u8]], now: Time) -> (Opened, Parts) {
        let presented = Presented::collect(fields, self.name.as_bytes());
        let mut best = Opened::Absent;
        for candidate in presented.candidates() {
            let opened = candidate
                .and_then(|(text, rest)| self.open_parts(text, rest.texts(), now))
                .unwrap_or(Opened::Refused);
            match (opened, &best) {
                (opened @ Opened::Open { .. }, _) => return (opened, presented.parts()),
                (_, Opened::Expired) => {}
                (opened, _) => best = opened,
            }
        }
        (best, presented.parts())
    }

    /// Which of our cookies the `Cookie` fields of a request hold: what [`Seal::open`] says, without
    /// opening.
    pub fn parts(&self, fields: &[&[u8]]) -> Parts {
        Presented::collect(fields, self.name.as_bytes()).parts()
    }

    /// The texts of the `Set-Cookie` fields that give a session to a browser, then those that remove
    /// what it has of a longer one.
    ///
    /// The nonce comes from a cryptographic source of randomness, anew for each call. `Max-Age`
    /// lasts until the hard deadline. A session that has ended or has expired at `now` is not
    /// sealed: then these are the [`Seal::removals`].
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] with [`Limit::Cookie`] if it does not fit [`Seal::PARTS_MAX`]
    /// cookies of [`SetCookie::BYTES_MAX`] bytes, attributes included, or its values are longer than
    /// [`Seal::VALUES_BYTES_MAX`]; with [`Limit::Fields`] for too many fields. The browser keeps
    /// what it has.
    pub fn seal(
        &self,
        sealed: &Sealed,
        presented: Parts,
        nonce: [u8; Self::NONCE_BYTES],
        now: Time,
    ) -> Result<Vec<String>, StoreError> {
        let record = &sealed.record;
        if record.is_ended() || record.is_expired(now) {
            return Ok(self.removals(presented));
        }
        let bytes =
            self.envelope(&nonce, |bytes| content::write(sealed, self.compresses, bytes))?;
        let characters = base64url::encoded_len(bytes.len());
        let count = self.count_for(characters).ok_or(StoreError::TooLarge(Limit::Cookie))?;
        let mut text = String::with_capacity(characters.saturating_add(1));
        text.push(char::from_digit(count, 10).unwrap_or('0'));
        base64url::encode_onto(&bytes, &mut text);

        let age = record.hard_deadline.since(now);
        let mut texts = Vec::with_capacity(Self::PARTS_MAX);
        let mut rest = text.as_str();
        for (number, part) in (1..).zip(&self.parts) {
            if number <= count {
                // The first has its digit besides.
                let length = part.room.saturating_add(usize::from(number == 1)).min(rest.len());
                let (value, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
                let text = part.cookie.text(value, Some(age));
                texts.push(text.map_err(|_too_long| StoreError::TooLarge(Limit::Cookie))?);
                rest = after;
            } else if presented.has(number) {
                texts.push(part.cookie.removal());
            }
        }
        Ok(texts)
    }

    /// The texts of the `Set-Cookie` fields that remove the session from a browser: the first cookie
    /// always, the others if the request came with them.
    pub fn removals(&self, presented: Parts) -> Vec<String> {
        let numbered = (1..).zip(&self.parts);
        let there = numbered.filter(|(number, _)| *number == 1 || presented.has(*number));
        there.map(|(_, part)| part.cookie.removal()).collect()
    }

    /// None is for "refused".
    fn open_parts(&self, first: &[u8], rest: &[&[u8]], now: Time) -> Option<Opened> {
        let characters = rest.iter().fold(first.len(), |sum, part| sum.saturating_add(part.len()));
        // base64 wants room for a group of three bytes to begin with each part.
        let mut bytes = Vec::with_capacity(characters);
        let mut parts = core::iter::once(first).chain(rest.iter().copied()).peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_some() && !part.len().is_multiple_of(4) {
                return None;
            }
            base64url::decode_onto(part, &mut bytes)?;
        }
        let (content, is_first) = self.unseal(bytes)?;
        let sealed = content::read(&content, now)?;
        if sealed.record.is_expired(now) {
            return Some(Opened::Expired);
        }
        Some(Opened::Open { sealed: Box::new(sealed), with_old_key: !is_first })
    }

    /// Seals the content that `write` appends.
    fn envelope(
        &self,
        nonce: &[u8; Self::NONCE_BYTES],
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        let key = self.ring.first();
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.extend_from_slice(&[VERSION, key.id()]);
        bytes.extend_from_slice(nonce);
        write(&mut bytes)?;
        let content = bytes.get_mut(HEAD_BYTES..).unwrap_or_default();
        let tag = key.seal(nonce, &self.bound_to, content);
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    /// The content of an envelope, and whether the first key sealed it.
    fn unseal(&self, mut bytes: Vec<u8>) -> Option<(Bytes, bool)> {
        let (head, rest) = bytes.split_first_chunk_mut::<HEAD_BYTES>()?;
        let (content, tag) = rest.split_last_chunk_mut::<{ Key::TAG_BYTES }>()?;
        let ([VERSION, id], nonce) = head.split_first_chunk::<2>()? else {
            return None;
        };
        let nonce = nonce.first_chunk::<{ Key::NONCE_BYTES }>()?;
        let (is_first, _) = self
            .ring
            .with_id(*id)
            .find(|(_, key)| key.open(nonce, &self.bound_to, content, tag))?;
        let end = bytes.len().checked_sub(Key::TAG_BYTES)?;
        bytes.truncate(end);
        Some((Bytes::from(bytes).slice(HEAD_BYTES..), is_first))
    }

    /// How many cookies a text of so many characters takes; none if there are not enough.
    fn count_for(&self, characters: usize) -> Option<u32> {
        let mut left = characters;
        for (number, part) in (1..).zip(&self.parts) {
            left = left.saturating_sub(part.room);
            if left == 0 {
                return Some(number);
            }
        }
        None
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal")
            .field("name", &self.name)
            .field("ring", &self.ring)
            .field("compresses", &self.compresses)
            .finish_non_exhaustive()
    }
}

/// What a sealed cookie holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sealed {
    /// The id of the session. No browser sees it: it is in the cookie, and that is sealed.
    pub id: Id,
    /// The session.
    pub record: Record,
    /// A number that the shell keeps beside the subject, to tell sealed sessions from before a
    /// revocation from those after it. It means nothing here.
    pub epoch: Option<u64>,
}

impl Sealed {
    /// This session under this id, without an epoch.
    pub const fn new(id: Id, record: Record) -> Self {
        Self { id, record, epoch: None }
    }
}

/// What became of the sealed cookies in a request.
#[derive(Clone, Debug)]
pub enum Opened {
    /// There was none.
    Absent,
    /// None opened: truncated, damaged, of another name, of a key that is gone, or made up.
    Refused,
    /// One opened, and has expired.
    Expired,
    /// This one.
    Open {
        /// What it holds.
        sealed: Box<Sealed>,
        /// Whether it was sealed with another key than the first, and so should be sealed again.
        with_old_key: bool,
    },
}

/// One of the cookies.
#[derive(Clone)]
struct Part {
    cookie: SetCookie,
    /// How many characters of base64 it holds, whole groups of four.
    room: usize,
}

impl Part {
    fn new(cookie: SetCookie) -> Result<Self, CookieError> {
        // With a digit, which the first has and the others do without.
        let around = cookie.text("1", Some(SetCookie::MAX_AGE_MAX))?.len();
        let room = SetCookie::BYTES_MAX.saturating_sub(around);
        Ok(Self { cookie, room: room.saturating_sub(room.checked_rem(4).unwrap_or(0)) })
    }
}

const PURPOSE: &[u8] = b"abide sealed session";
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1 + 1 + Key::NONCE_BYTES;
/// What most envelopes have room in.
const USUAL_BYTES: usize = 1024;

#[cfg(test)]
mod tests;
