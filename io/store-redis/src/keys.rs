//! The names of the keys, and where in a cluster they are.
//!
//! Three hexadecimal digits of a session's id say where it lives. They are the hash tag of its key,
//! so a session, its former ids and what is kept beside them are in one hash slot, and a script can
//! reach all of them. The key of a subject has no tag: it lives anywhere.

use abide_session::{IdHash, Subject};

use crate::error::ConnectError;

/// Hash slots of a cluster (Redis Cluster specification, "Key distribution model").
pub(crate) const SLOTS: u16 = 16_384;

/// A key and its hash slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: Vec<u8>,
    pub(crate) slot: u16,
}

#[derive(Debug)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str, bytes_max: usize) -> Result<Self, ConnectError> {
        if prefix.is_empty() || prefix.len() > bytes_max || prefix.contains(['{', '}']) {
            let part = format!("the prefix is not 1 to {bytes_max} bytes without {{ and }}");
            return Err(ConnectError::Url { part, example: "abide" });
        }
        Ok(Self { prefix: prefix.to_owned() })
    }

    /// Of the session under this id.
    pub(crate) fn session(&self, id: IdHash) -> Key {
        self.tagged(id, "")
    }

    /// Of what the session was before the renewal that took this id from it.
    pub(crate) fn frozen(&self, id: IdHash) -> Key {
        self.tagged(id, ":was")
    }

    /// Of the index of a subject's sessions.
    pub(crate) fn subject(&self, subject: &Subject) -> Key {
        let hash = IdHash::of_secret("subject", subject.as_str().as_bytes());
        let name = format!("{}:s:{hash}", self.prefix).into_bytes();
        Key { slot: slot_of(&name), name }
    }

    /// A pattern that the keys of sessions match, and few others.
    pub(crate) fn pattern(&self) -> String {
        let mut pattern = String::new();
        for character in self.prefix.chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push_str(":{???}");
        pattern.push_str(&"?".repeat(27));
        pattern
    }

    /// The id whose session has this key.
    pub(crate) fn id_of(&self, key: &[u8]) -> Option<IdHash> {
        let rest = key.strip_prefix(self.prefix.as_bytes())?.strip_prefix(b":{")?;
        let (slot, rest) = rest.split_at_checked(3)?;
        let secret = rest.strip_prefix(b"}")?;
        IdHash::parse(&[slot, secret].concat())
    }

    fn tagged(&self, id: IdHash, suffix: &str) -> Key {
        let text = id.to_string();
        let (slot, secret) = text.split_at_checked(3).unwrap_or_default();
        let name = format!("{}:{{{slot}}}{secret}{suffix}", self.prefix).into_bytes();
        Key { name, slot: crc16(slot.as_bytes()) % SLOTS }
    }
}

/// The hash slot of a key (Redis Cluster specification, "Hash tags").
pub(crate) fn slot_of(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, the polynomial 0x1021 from zero.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::new("abide", 64).unwrap()
    }

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of(b"foo"), 12182);
        assert_eq!(slot_of(b"{user1000}.following"), slot_of(b"{user1000}.followers"));
        assert_eq!(slot_of(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot_of(b"foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
    }

    #[test]
    fn a_key_is_found_where_the_server_looks_and_names_its_id() {
        let id = IdHash::of_secret("test", b"1");
        for key in [keys().session(id), keys().frozen(id)] {
            assert_eq!(key.slot, slot_of(&key.name));
        }
        assert_eq!(keys().session(id).slot, keys().session(id.beside("x")).slot);
        assert_eq!(keys().id_of(&keys().session(id).name), Some(id));
        assert_eq!(keys().id_of(&keys().frozen(id).name), None);
        assert_eq!(keys().id_of(b"other:{0f3}AAA"), None);
        let subject = keys().subject(&Subject::new("ann").unwrap());
        assert_eq!(keys().id_of(&subject.name), None);
    }

    #[test]
    fn a_prefix_must_not_hold_a_hash_tag() {
        for prefix in ["", "a{b", "a}", &"x".repeat(65)] {
            assert!(matches!(Keys::new(prefix, 64), Err(ConnectError::Url { .. })));
        }
        assert_eq!(
            Keys::new("a*", 64).unwrap().pattern(),
            format!("a\\*:{{???}}{}", "?".repeat(27))
        );
    }
}
