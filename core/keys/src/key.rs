//! Keys and key rings: the first key seals, all of them open.
//!
//! A new key is rolled out in three steps, so that no process ever meets a value that it can not
//! open: add it as the second key everywhere, make it the first everywhere, and drop the old one
//! when its values have ended.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;

use aes::Aes256;
use aes_gcm_siv::aead::AeadInOut as _;
use aes_gcm_siv::{Aes256GcmSiv, KeyInit as _};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use zeroize::Zeroizing;

use crate::KeyError;

/// A secret key of 256 bits, wiped from memory when dropped; `Debug` shows its id only.
#[derive(Clone)]
pub struct Key {
    secret: Zeroizing<[u8; Self::BYTES]>,
    /// The secret, expanded once.
    cipher: Aes256GcmSiv,
    id: u8,
}

impl Key {
    /// The length of the secret in bytes.
    pub const BYTES: usize = 32;
    /// A random number for each value sealed. Should one ever repeat, all that shows is whether the
    /// two values are equal (RFC 8452 section 4); so it can be drawn, and needs no counter.
    pub const NONCE_BYTES: usize = 12;
    /// The length of the tag that authenticates a sealed value.
    pub const TAG_BYTES: usize = 16;

    /// A key of 32 random bytes.
    pub fn new(secret: [u8; Self::BYTES]) -> Self {
        let secret = Zeroizing::new(secret);
        let cipher = Aes256GcmSiv::from(Aes256::new((&*secret).into()));
        let mut key = Self { secret, cipher, id: 0 };
        // A byte of the tag over nothing shows nothing about the key.
        let [id, ..] = key.seal(&[0; Self::NONCE_BYTES], b"abide key id", &mut []);
        key.id = id;
        key
    }

    /// Reads what [`Key::expose`] prints.
    ///
    /// [`KeyError::Form`] if it is something else, [`KeyError::Damaged`] if the id
    /// in it does not belong to the rest. The error never contains the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.trim_ascii().split('.');
        let (Some("k1"), Some(id), Some(secret), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyError::Form);
        };
        let mut bytes = Zeroizing::new([0; Self::BYTES]);
        let decoded = Base64UrlUnpadded::decode(secret, bytes.as_mut_slice()).map(<[u8]>::len);
        let is_two_digits = id.len() == 2 && id.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = u8::from_str_radix(id, 16).ok().filter(|_| is_two_digits);
        let (Some(id), Ok(Self::BYTES)) = (id, decoded) else {
            return Err(KeyError::Form);
        };
        let key = Self::new(*bytes);
        if key.id == id { Ok(key) } else { Err(KeyError::Damaged) }
    }

    /// The key as text: `k1.`, its id as two hexadecimal digits, a dot, and the secret as 43
    /// characters of base64url. This is the secret itself: print it only where somebody asked for it.
    pub fn expose(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(Base64UrlUnpadded::encode_string(self.secret.as_slice()));
        let mut text = Zeroizing::new(String::with_capacity(64));
        // Writing to a String does not fail.
        let _ = write!(*text, "k1.{:02x}.{}", self.id, *secret);
        text
    }

    /// One byte derived from the key, to tell keys apart in a ring, a cookie and a log. It does not
    /// give the key away; two keys may have the same.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// Encrypts `text` in place, with AES-256-GCM-SIV (RFC 8452), and returns the tag that
    /// authenticates it together with `bound_to`: the purpose of the value and whatever else must
    /// be the same when it is opened.
    ///
    /// The nonce comes from a cryptographic source, anew for each value. A text of 64 GiB or more,
    /// which RFC 8452 does not allow, is wiped, and the tag opens nothing.
    pub fn seal(
        &self,
        nonce: &[u8; Self::NONCE_BYTES],
        bound_to: &[u8],
        text: &mut [u8],
    ) -> [u8; Self::TAG_BYTES] {
        let tag = self.cipher.encrypt_inout_detached(nonce.into(), bound_to, (&mut *text).into());
        tag.map_or_else(
            |_too_long| {
                text.fill(0);
                [0; Self::TAG_BYTES]
            },
            Into::into,
        )
    }

    /// Decrypts `text` in place. False, and `text` left as it was, if anything was changed.
    pub fn open(
        &self,
        nonce: &[u8; Self::NONCE_BYTES],
        bound_to: &[u8],
        text: &mut [u8],
        tag: &[u8; Self::TAG_BYTES],
    ) -> bool {
        self.cipher.decrypt_inout_detached(nonce.into(), bound_to, text.into(), tag.into()).is_ok()
    }

    /// A secret that follows from this one and the purpose, and tells nothing of it or of what follows
    /// for another purpose.
    ///
    /// It is the cipher stream that AES-256-GCM-SIV makes of the purpose: a pseudo-random function of it
    /// (RFC 8452 section 9).
    pub fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; Self::BYTES]> {
        let mut secret = Zeroizing::new([0; Self::BYTES]);
        let bound_to = [b"abide derived secret, ", purpose].concat();
        let _tag = self.seal(&[0; Self::NONCE_BYTES], &bound_to, secret.as_mut_slice());
        secret
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:02x}, ..)", self.id)
    }
}

/// One to eight keys. The first seals; all of them open.
#[derive(Clone, Debug)]
pub struct KeyRing {
    first: Key,
    older: Vec<Key>,
}

impl KeyRing {
    /// The most keys in a ring. Each may have to be tried on a forged value.
    pub const KEYS_MAX: usize = 8;

    /// A ring of these keys. [`KeyError::Ring`] for none, too many, or one given twice.
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        let is_twice = |(place, key): (usize, &Key)| {
            keys.iter().take(place).any(|other| other.secret == key.secret)
        };
        if keys.len() > Self::KEYS_MAX || keys.iter().enumerate().any(is_twice) {
            return Err(KeyError::Ring);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(KeyError::Ring)?;
        Ok(Self { first, older: keys.collect() })
    }

    /// The key that seals.
    pub fn first(&self) -> &Key {
        &self.first
    }

    /// All keys, the one that seals first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        core::iter::once(&self.first).chain(&self.older)
    }

    /// The keys of this id, the sealing one first, each with whether it is the sealing one.
    pub fn with_id(&self, id: u8) -> impl Iterator<Item = (bool, &Key)> {
        let older = self.older.iter().map(|key| (false, key));
        core::iter::once((true, &self.first)).chain(older).filter(move |(_, key)| key.id == id)
    }
}

#[cfg(test)]
mod tests;
