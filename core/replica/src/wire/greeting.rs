//! What two nodes say to each other before the first letter: who they are, and of which cluster.
//!
//! Whoever has made the connection speaks first. The other answers with its own greeting, or says why
//! it will not talk. A later version may add to the end of both.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::str;

use xxhash_rust::xxh64::Xxh64;

use super::VERSION;
use crate::varint::{Reader, counted, number};
use crate::view::{Birth, NodeId};

/// The longest greeting or refusal, in bytes.
pub const MAX_GREETING_BYTES: usize = 4096;

/// The first words of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The version of the format of letters.
    pub version: u16,
    /// The cluster: see [`Roster::cluster`].
    pub cluster: u64,
    /// The process that speaks.
    pub birth: Birth,
    /// Its name.
    pub from: String,
    /// The name of whom it means to talk to.
    pub to: String,
}

/// What comes first on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum First {
    /// Who somebody is.
    Greeting(Greeting),
    /// Why he does not talk.
    Refusal(String),
}

/// The nodes of a cluster, as each of them has to know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    /// The names of all, in the same order everywhere.
    pub names: Vec<String>,
    /// Which of them this node is.
    pub own: NodeId,
    /// On how many nodes a session is to be.
    pub copies: usize,
}

const MAGIC: &[u8] = b"abide node";
const GREETING: u64 = 1;
const REFUSAL: u64 = 2;

impl Roster {
    /// A number that is the same on two nodes if they know the same nodes and keep as many copies.
    pub fn cluster(&self) -> u64 {
        let mut hash = Xxh64::new(0);
        for name in &self.names {
            hash.update(name.as_bytes());
            hash.update(&[0]);
        }
        hash.update(&u64::try_from(self.copies).unwrap_or(u64::MAX).to_le_bytes());
        hash.digest()
    }

    /// The name of a node.
    pub fn name(&self, node: NodeId) -> &str {
        self.names.get(usize::from(node.0)).map_or("", String::as_str)
    }

    /// The node of this name.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        let place = self.names.iter().position(|of| of == name)?;
        u16::try_from(place).ok().map(NodeId)
    }

    /// What this process says to that node.
    pub fn greeting(&self, birth: Birth, to: NodeId) -> Greeting {
        let (from, to) = (self.name(self.own).to_owned(), self.name(to).to_owned());
        Greeting { version: VERSION, cluster: self.cluster(), birth, from, to }
    }

    /// Who has greeted.
    ///
    /// # Errors
    /// Why it can not be talked to, for its log and for ours.
    pub fn meet(&self, greeting: &Greeting) -> Result<NodeId, String> {
        let own = self.name(self.own);
        if greeting.to != own {
            return Err(format!(
                "this is {own:?} and not {:?}: an address in the list of nodes of {:?} is that of another",
                greeting.to, greeting.from
            ));
        }
        let Some(from) = self.node(&greeting.from).filter(|from| *from != self.own) else {
            return Err(format!(
                "{own:?} has no node {:?} in its list beside itself",
                greeting.from
            ));
        };
        if greeting.cluster != self.cluster() {
            return Err(format!(
                "{own:?} and {:?} have different lists of nodes or numbers of copies; they must be equal",
                greeting.from
            ));
        }
        Ok(from)
    }
}

impl First {
    /// The bytes, for one frame.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        match self {
            Self::Greeting(greeting) => {
                number(&mut bytes, GREETING);
                number(&mut bytes, u64::from(greeting.version));
                bytes.extend_from_slice(&greeting.cluster.to_le_bytes());
                number(&mut bytes, greeting.birth.0);
                counted(&mut bytes, greeting.from.as_bytes());
                counted(&mut bytes, greeting.to.as_bytes());
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
                let cluster = u64::from_le_bytes(*reader.bytes(size_of::<u64>())?.first_chunk()?);
                let birth = Birth(reader.number()?);
                let (from, to) = (text(&mut reader)?, text(&mut reader)?);
                Some(Self::Greeting(Greeting { version, cluster, birth, from, to }))
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

    fn roster(own: u16, names: &[&str], copies: usize) -> Roster {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Roster { names, own: NodeId(own), copies }
    }

    #[test]
    fn two_nodes_of_one_cluster_know_each_other() {
        let (a, b) = (roster(0, &["a", "b"], 2), roster(1, &["a", "b"], 2));
        assert_eq!(b.meet(&a.greeting(Birth(5), NodeId(1))), Ok(NodeId(0)));
        assert_eq!(a.meet(&b.greeting(Birth(6), NodeId(0))), Ok(NodeId(1)));
    }

    #[test]
    fn who_is_not_meant_is_not_known_or_knows_others_is_told_so() {
        let a = roster(0, &["a", "b", "c"], 2);
        let greeting = |of: &Roster, to| of.greeting(Birth(1), NodeId(to));
        let cases = [
            (greeting(&roster(1, &["a", "b", "c"], 2), 2), "this is \"a\" and not \"c\""),
            (greeting(&roster(1, &["a", "x"], 2), 0), "has no node \"x\""),
            (greeting(&roster(0, &["a"], 2), 0), "has no node \"a\""),
            (greeting(&roster(1, &["a", "b"], 2), 0), "have different lists"),
            (greeting(&roster(1, &["a", "b", "c"], 3), 0), "numbers of copies"),
        ];
        for (greeting, told) in cases {
            let refusal = a.meet(&greeting).unwrap_err();
            assert!(refusal.contains(told), "{refusal}");
        }
    }

    #[test]
    fn nobody_says_more_at_first_than_the_limit() {
        let name = "n".repeat(abide_slots::Member::NAME_BYTES_MAX);
        let (a, b) = (roster(0, &[&name, "b"], 2), roster(1, &["a", "b"], 2));
        let greeting = a.greeting(Birth(u64::MAX), NodeId(1));
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
            version: u16, cluster: u64, birth: u64, from in ".*", to in ".*", more: Vec<u8>
        ) {
            let greeting = Greeting { version, cluster, birth: Birth(birth), from, to };
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
