//! The id of a session: what a browser holds, and what a store sees of it.
//!
//! An [`Id`] is 160 random bits and, apart from them, a slot of 12 bits that says where the session
//! lives. Its text has 30 characters:
//!
//! ```text
//! 0f3 Xq3kz0yV2bJm8H1nW9tRcA5dLpE
//! ^^^ the slot, three lower-case hex digits
//!     ^^^^^^^^^^^^^^^^^^^^^^^^^^^ 160 bits, 27 characters of base64url (RFC 4648, section 5)
//! ```
//!
//! (without the space). Every id has exactly one text; anything else does not parse. The slot is
//! drawn apart, so that a load balancer may know it, log it and route by it without learning one of
//! the 160 bits. Renewing an id keeps the slot: the session stays where its data is.
//!
//! A store sees an [`IdHash`]: the same slot, and the first 160 bits of SHA-256 over the text of
//! the id. Who reads the store, or a backup of it, can not sign in with what it finds. SHA-256
//! because every language has it, so that any tool can find the record of an id it was given.

use core::{fmt, str};

use abide_slots::Slot;
use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

/// Random bytes that [`Id::from_random`] takes: 20 for the secret and 2 for the slot.
pub const RANDOM_BYTES: usize = SECRET_BYTES + 2;

/// Bytes of an id's text, and of an id hash's.
pub const ID_TEXT_BYTES: usize = SLOT_DIGITS + SECRET_CHARACTERS;

/// The id of a session: a secret that only its browser holds.
///
/// Comparing ids takes time that depends on them. That tells nobody anything, because no id is ever
/// compared with one that is stored: stores look up by [`IdHash`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Id {
    slot: Slot,
    secret: [u8; SECRET_BYTES],
}

impl Id {
    /// A new id of these bytes, which must come from a cryptographic source and serve this one id.
    pub fn from_random(random: [u8; RANDOM_BYTES]) -> Self {
        let [high, low, secret @ ..] = random;
        Self { slot: Slot::of_number(u64::from(u16::from_be_bytes([high, low]))), secret }
    }

    /// The same in this slot. The first two bytes are not used.
    pub fn from_random_in(slot: Slot, random: [u8; RANDOM_BYTES]) -> Self {
        Self { slot, ..Self::from_random(random) }
    }

    /// The bytes that [`Id::from_random`] makes this id of.
    pub(crate) fn to_random(self) -> [u8; RANDOM_BYTES] {
        let mut random = [0; RANDOM_BYTES];
        if let Some((slot, secret)) = random.split_first_chunk_mut() {
            *slot = self.slot.number().to_be_bytes();
            secret.copy_from_slice(&self.secret);
        }
        random
    }

    /// A new id in the slot of this one: the session moves to another id, and stays where it is.
    pub fn renewed(self, random: [u8; RANDOM_BYTES]) -> Self {
        Self::from_random_in(self.slot, random)
    }

    /// The id with this text. None if the text is not exactly what [`Id::text`] gives for some id.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (slot, secret) = parse(text)?;
        Some(Self { slot, secret })
    }

    /// The text of this id. It is a secret: it belongs into the cookie of its owner and nowhere
    /// else.
    pub fn text(&self) -> IdText {
        IdText(text(self.slot, &self.secret))
    }

    /// Where the session lives.
    pub const fn slot(self) -> Slot {
        self.slot
    }

    /// What a store may know of this id.
    pub fn hash(&self) -> IdHash {
        let digest: [u8; 32] = Sha256::digest(text(self.slot, &self.secret)).into();
        let mut hash = [0; SECRET_BYTES];
        for (to, from) in hash.iter_mut().zip(digest) {
            *to = from;
        }
        IdHash { slot: self.slot, hash }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Id(secret)")
    }
}

/// What a store knows a session by. Its text has the form of an id's, but nobody can sign in with
/// it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdHash {
    slot: Slot,
    hash: [u8; SECRET_BYTES],
}

impl IdHash {
    /// The hash with this text. None if the text is not exactly what `Display` gives for some hash.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (slot, hash) = parse(text)?;
        Some(Self { slot, hash })
    }

    /// The hash that stands for something that is no id of ours: an id made by other software, or
    /// the name of a record that belongs to no browser. The purpose keeps the kinds apart; the slot
    /// follows from the hash.
    pub fn of_secret(purpose: &str, secret: &[u8]) -> Self {
        let length = u64::try_from(purpose.len()).unwrap_or(u64::MAX);
        let digest = Sha256::new()
            .chain_update(length.to_le_bytes())
            .chain_update(purpose)
            .chain_update(secret)
            .finalize();
        let mut random = [0; RANDOM_BYTES];
        for (to, from) in random.iter_mut().zip(digest) {
            *to = from;
        }
        let Id { slot, secret } = Id::from_random(random);
        Self { slot, hash: secret }
    }

    /// The bytes of this hash, in whose order hashes are: two of the slot, the high one first, and 20 of
    /// the hash itself.
    pub fn to_bytes(self) -> [u8; RANDOM_BYTES] {
        Id { slot: self.slot, secret: self.hash }.to_random()
    }

    /// The hash of these bytes. None if there is no such slot.
    pub fn from_bytes(bytes: [u8; RANDOM_BYTES]) -> Option<Self> {
        let [high, low, hash @ ..] = bytes;
        Some(Self { slot: Slot::new(u16::from_be_bytes([high, low]))?, hash })
    }

    /// Another hash in the slot of this one that follows from it and from the purpose: where a store
    /// keeps what belongs to a session and is not the session.
    pub fn beside(self, purpose: &str) -> Self {
        Self { slot: self.slot, ..Self::of_secret(purpose, &self.hash) }
    }

    /// Where the session lives: the same slot as the id's.
    pub const fn slot(self) -> Slot {
        self.slot
    }
}

impl fmt::Display for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IdText(text(self.slot, &self.hash)).fmt(f)
    }
}

impl fmt::Debug for IdHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdHash({}..)", self.slot)
    }
}

/// The 30 characters of an id. `Debug` does not show them, `Display` does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct IdText([u8; ID_TEXT_BYTES]);

impl IdText {
    /// The characters.
    pub fn as_str(&self) -> &str {
        // Written by `text`, so it is ASCII; an empty id, which nobody has, stands for the
        // impossible.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for IdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdText(secret)")
    }
}

const SECRET_BYTES: usize = 20;
const SECRET_CHARACTERS: usize = 27;
const SLOT_DIGITS: usize = 3;
const HEX: &[u8; 16] = b"0123456789abcdef";

fn text(slot: Slot, secret: &[u8; SECRET_BYTES]) -> [u8; ID_TEXT_BYTES] {
    let mut text = [b'0'; ID_TEXT_BYTES];
    if let Some((digits, characters)) = text.split_first_chunk_mut::<SLOT_DIGITS>() {
        for (digit, shift) in digits.iter_mut().zip([8, 4, 0]) {
            let nibble = usize::from((slot.number() >> shift) & 0xf);
            *digit = HEX.get(nibble).copied().unwrap_or(b'0');
        }
        // 27 characters are exactly what 20 bytes take.
        let _ = Base64UrlUnpadded::encode(secret, characters);
    }
    text
}

fn parse(text: &[u8]) -> Option<(Slot, [u8; SECRET_BYTES])> {
    let text: &[u8; ID_TEXT_BYTES] = text.try_into().ok()?;
    let (digits, characters) = text.split_first_chunk::<SLOT_DIGITS>()?;
    let mut slot = 0_u16;
    for digit in digits {
        let value = HEX.iter().position(|hex| hex == digit)?;
        slot = (slot << 4) | u16::try_from(value).ok()?;
    }
    let mut secret = [0; SECRET_BYTES];
    // Strict: the two bits that 27 characters have to spare must be zero.
    let decoded = Base64UrlUnpadded::decode(characters, &mut secret).ok()?;
    if decoded.len() != SECRET_BYTES {
        return None;
    }
    Some((Slot::new(slot)?, secret))
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parse_of_text_is_identity(random: [u8; RANDOM_BYTES]) {
            let id = Id::from_random(random);
            prop_assert_eq!(Id::parse(id.text().as_str().as_bytes()), Some(id));
            let hash = id.hash();
            prop_assert_eq!(IdHash::parse(hash.to_string().as_bytes()), Some(hash));
        }

        #[test]
        fn whatever_parses_is_the_one_text_of_its_id(text in "[0-9a-f]{3}[-_A-Za-z0-9]{27}") {
            if let Some(id) = Id::parse(text.as_bytes()) {
                prop_assert_eq!(id.text().to_string(), text);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Id::parse(&bytes);
        }

        #[test]
        fn renewing_keeps_the_slot_and_nothing_else(
            random: [u8; RANDOM_BYTES], other: [u8; RANDOM_BYTES]
        ) {
            prop_assume!(random != other);
            let id = Id::from_random(random);
            let renewed = id.renewed(other);
            prop_assert_eq!(renewed.slot(), id.slot());
            prop_assert_eq!(renewed.hash().slot(), id.slot());
            prop_assert_eq!(renewed.hash() == id.hash(), renewed == id);
        }
    }

    #[test]
    fn only_the_exact_form_parses() {
        let good = "0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(good.len(), ID_TEXT_BYTES);
        assert!(Id::parse(good.as_bytes()).is_some());
        for bad in [
            "",
            "0f3",
            "0F3AAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "0g3AAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "0f3AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "0f3AAAAAAAAAAAAAAAAAAAAAAAAAA",
            "0f3AAAAAAAAAAAAAAAAAAAAAAAAAAB",
            "0f3AAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "0f3AAAAAAAAAAAAAAAAAAAAAAAAA+A",
            "0f3AAAAAAAAAAAAAAAAAAAAAAAAA\0A",
        ] {
            assert_eq!(Id::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn the_hash_is_the_one_any_tool_computes() {
        // printf %s 0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA | sha256sum, the first 20 bytes as base64url.
        let id = Id::parse(b"0f3AAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
        assert_eq!(id.hash().to_string(), "0f3FGaOCKF4og73frspBKKpNQqv7VU");
    }

    #[test]
    fn the_same_secret_for_another_purpose_is_another_hash() {
        let hash = IdHash::of_secret("a", b"bc");
        assert_eq!(hash, IdHash::of_secret("a", b"bc"));
        for (purpose, secret) in [("ab", &b"c"[..]), ("", b"abc"), ("a", b"bd"), ("b", b"bc")] {
            assert_ne!(hash, IdHash::of_secret(purpose, secret));
        }
    }

    #[test]
    fn what_is_kept_beside_a_session_is_in_its_slot() {
        let hash = Id::from_random([7; RANDOM_BYTES]).hash();
        let beside = hash.beside("a");
        assert_eq!(beside.slot(), hash.slot());
        assert_eq!(beside, hash.beside("a"));
        assert!(beside != hash && beside != hash.beside("b") && beside.beside("a") != hash);
    }

    #[test]
    fn debug_shows_no_secret() {
        let id = Id::from_random([7; RANDOM_BYTES]);
        for shown in [format!("{id:?}"), format!("{:?}", id.text()), format!("{:?}", id.hash())] {
            assert!(!shown.contains("Bwc"), "{shown}");
        }
    }
}
