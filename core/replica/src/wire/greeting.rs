//! What two nodes say to each other before the first letter: who they are, and where they are found.
//!
//! Whoever has made the connection speaks first. The other answers with its own greeting, or says why
//! it will not talk. A later version may add to the end of both.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use crate::varint::{Reader, counted, number};
use crate::view::Birth;

/// The longest greeting or refusal, in bytes.
pub const MAX_GREETING_BYTES: usize = 4096;

/// The first words of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The version of the format of letters.
    pub version: u16,
    /// On how many nodes it keeps a session: the same on all nodes.
    pub copies: u64,
    /// The process that speaks.
    pub birth: Birth,
    /// Its name.
    pub from: String,
    /// The name of whom it means to talk to.
    pub to: String,
    /// Where others find it.
    pub address: String,
}

/// What comes first on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// Who somebody is.
    Greeting(Greeting),
    /// Why he does not talk.
    Refusal(String),
}

const MAGIC: &[u8] = b"abide node";
const GREETING: u64 = 1;
const REFUSAL: u64 = 2;

impl First {
    /// The bytes, for one frame.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        match self {
            Self::Greeting(greeting) => {
                number(&mut bytes, GREETING);
                number(&mut bytes, u64::from(greeting.version));
                number(&mut bytes, greeting.copies);
                number(&mut bytes, greeting.birth.0);
                counted(&mut bytes, greeting.from.as_bytes());
                counted(&mut bytes, greeting.to.as_bytes());
                counted(&mut bytes, greeting.address.as_bytes());
            }
            Self::Refusal(reason) => {
                number(&mut bytes, REFUSAL);
                // It tells names that somebody gave, which may be of any length.
                let end = reason.floor_char_boundary(MAX_GREETING_BYTES / 2);
                counted(&mut bytes, reason.as_bytes().get(..end).unwrap_or_default());
            }
        }
        bytes
    }

    /// What these bytes say; none if whoever wrote them is no node.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC)?);
        let text =
            |reader: &mut Reader<'_>| str::from_utf8(reader.counted()?).ok().map(str::to_owned);
        match reader.number()? {
            GREETING => {
                let version = reader.short()?;
                let copies = reader.number()?;
                let birth = Birth(reader.number()?);
                let (from, to) = (text(&mut reader)?, text(&mut reader)?);
                let address = text(&mut reader)?;
                Some(Self::Greeting(Greeting { version, copies, birth, from, to, address }))
            }
            REFUSAL => text(&mut reader).map(Self::Refusal),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::MAX_ADDRESS_BYTES;
    use crate::roster::{Contact, Roster};
    use crate::view::NodeId;

    #[test]
    fn nobody_says_more_at_first_than_the_limit() {
        let name = "n".repeat(abide_slots::Member::NAME_BYTES_MAX);
        let address = "a".repeat(MAX_ADDRESS_BYTES);
        let contacts = [Contact::listed(&name, address), Contact::listed("b", "")];
        let [a, b] = [&name, "b"].map(|own| Roster::new(NodeId::of(own), 2, contacts.clone()));
        let greeting = a.greeting(Birth(u64::MAX), NodeId::of("b"));
        let written = First::Greeting(greeting.clone()).write();
        assert!(written.len() <= MAX_GREETING_BYTES / 8);
        // Whoever speaks to us may give any name.
        let stranger = Greeting { from: "\u{7f}".repeat(MAX_GREETING_BYTES), ..greeting };
        let refusal = First::Refusal(b.meet(&stranger).unwrap_err()).write();
        assert!(refusal.len() <= MAX_GREETING_BYTES);
        assert!(matches!(First::read(&refusal), Some(First::Refusal(_))));
    }

    proptest! {
        #[test]
        fn what_is_said_first_is_read_again(
            version: u16, copies: u64, birth: u64, from in ".*", to in ".*", address in ".*",
            more: Vec<u8>
        ) {
            let greeting = Greeting { version, copies, birth: Birth(birth), from, to, address };
            let refusal = First::Refusal(greeting.from.clone());
            for first in [First::Greeting(greeting), refusal] {
                let mut bytes = first.write();
                bytes.extend(&more);
                prop_assert_eq!(First::read(&bytes), Some(first));
            }
        }

        #[test]
        fn any_bytes_are_somebody_or_nobody(bytes: Vec<u8>) {
            let _ = First::read(&bytes);
            let _ = First::read(&[MAGIC.to_vec(), bytes].concat());
        }
    }

    #[test]
    fn who_speaks_another_protocol_is_nobody() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"", b"abide nod", &[0x16, 3, 1]] {
            assert_eq!(First::read(bytes), None);
        }
    }
}
