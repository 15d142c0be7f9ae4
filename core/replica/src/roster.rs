//! The nodes that a node knows, by their names, and where each is found.
//!
//! A roster grows: whoever meets another takes over what it did not know. Where a node is found it says
//! itself, so of two addresses that of the later process counts. A name is never another's: two names of
//! one number can not both be in it.

use alloc::borrow::ToOwned as _;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::limits::{MAX_ADDRESS_BYTES, MAX_NAME_BYTES, MAX_NODES};
use crate::view::{Birth, NodeId};
use crate::wire::{Greeting, VERSION};

/// A node as others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Its number.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Where it is found: what that means is for the shell to know.
    pub address: String,
    /// The process that said so; 0 if that was a configuration.
    pub birth: Birth,
}

/// Whom a process has said that it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The node.
    pub node: NodeId,
    /// The process of it.
    pub birth: Birth,
    /// Counts up: of two statements of one process the later counts.
    pub number: u64,
    /// Whom it knows, itself included.
    pub knows: BTreeSet<NodeId>,
}

/// The nodes that a node knows.
#[derive(Clone, Debug)]
pub struct Roster {
    own: NodeId,
    copies: usize,
    contacts: BTreeMap<NodeId, Contact>,
}

/// What a roster learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// There is a node of this name.
    Name,
    /// A later process of it has said where it is found.
    Place,
}

/// Why a node can not be in a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stranger {
    /// Another name has its number.
    Clash {
        /// Its name.
        name: String,
        /// The name that is known.
        known: String,
    },
    /// There are [`MAX_NODES`] already.
    Full,
}

impl NodeId {
    /// The number of the node of this name, the same everywhere.
    pub fn of(name: &str) -> Self {
        let [low, high, ..] = xxhash_rust::xxh64::xxh64(name.as_bytes(), 0).to_le_bytes();
        Self(u16::from_le_bytes([low, high]))
    }
}

impl Contact {
    /// A node of a configuration.
    pub fn listed(name: impl Into<String>, address: impl Into<String>) -> Self {
        let name = name.into();
        Self { node: NodeId::of(&name), name, address: address.into(), birth: Birth(0) }
    }

    /// Nodes of these names, with small numbers in this order: for who plays all of them.
    pub fn in_order<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Vec<Self> {
        let contact = |(number, name): (u16, N)| Self {
            node: NodeId(number),
            name: name.into(),
            address: String::new(),
            birth: Birth(0),
        };
        (0..).zip(names).map(contact).collect()
    }
}

impl Roster {
    /// The roster of a node. What can not be in it is left out: see [`Stranger`].
    pub fn new(own: NodeId, copies: usize, contacts: impl IntoIterator<Item = Contact>) -> Self {
        let mut roster = Self { own, copies, contacts: BTreeMap::new() };
        for contact in contacts {
            let _ = roster.learn(contact);
        }
        roster
    }

    /// The number of the node whose roster it is.
    pub const fn own(&self) -> NodeId {
        self.own
    }

    /// All nodes that are known, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    /// How many nodes are known, this one included.
    pub fn len(&self) -> usize {
        self.contacts.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }

    /// What is known of this node.
    pub fn get(&self, node: NodeId) -> Option<&Contact> {
        self.contacts.get(&node)
    }

    /// The name of a node.
    pub fn name(&self, node: NodeId) -> &str {
        self.get(node).map_or("", |contact| contact.name.as_str())
    }

    /// This process of the own node says where it is found.
    pub(crate) fn said_by(&mut self, birth: Birth) {
        if let Some(contact) = self.contacts.get_mut(&self.own) {
            contact.birth = birth;
        }
    }

    /// Takes over what somebody knows of a node.
    pub(crate) fn learn(&mut self, contact: Contact) -> Result<Option<Learned>, Stranger> {
        self.check(&contact)?;
        let learned = match self.contacts.get(&contact.node) {
            None => Learned::Name,
            Some(known) if known.birth < contact.birth => Learned::Place,
            Some(_) => return Ok(None),
        };
        self.contacts.insert(contact.node, contact);
        Ok(Some(learned))
    }

    /// Replaces what is known of a node, or adds it.
    pub fn insert(&mut self, contact: Contact) {
        self.contacts.insert(contact.node, contact);
    }

    /// Forgets a node.
    pub fn remove(&mut self, node: NodeId) {
        self.contacts.remove(&node);
    }

    fn check(&self, contact: &Contact) -> Result<(), Stranger> {
        match self.get(contact.node) {
            Some(known) if known.name != contact.name => {
                let (name, known) = (contact.name.clone(), known.name.clone());
                Err(Stranger::Clash { name, known })
            }
            None if self.contacts.len() >= MAX_NODES => Err(Stranger::Full),
            _ => Ok(()),
        }
    }

    /// What this process says to that node.
    pub fn greeting(&self, birth: Birth, to: NodeId) -> Greeting {
        let own = self.get(self.own);
        Greeting {
            version: VERSION,
            copies: u64::try_from(self.copies).unwrap_or(u64::MAX),
            birth,
            from: own.map_or("", |own| own.name.as_str()).to_owned(),
            to: self.name(to).to_owned(),
            address: own.map_or("", |own| own.address.as_str()).to_owned(),
        }
    }

    /// Who has greeted.
    ///
    /// # Errors
    /// Why it can not be talked to, for its log and for ours.
    pub fn meet(&self, greeting: &Greeting) -> Result<Contact, String> {
        let (own, from) = (self.name(self.own), &greeting.from);
        if greeting.to != own {
            return Err(format!(
                "this is {own:?} and not {:?}: an address in the list of nodes of {from:?} is that of another",
                greeting.to
            ));
        }
        if from == own {
            return Err(format!("{own:?} met a node of its own name: give each a name of its own"));
        }
        let copies = u64::try_from(self.copies).unwrap_or(u64::MAX);
        if greeting.copies != copies {
            return Err(format!(
                "{own:?} keeps {copies} copies of a session and {from:?} {}: they must be equal",
                greeting.copies
            ));
        }
        let is_name = (1..=MAX_NAME_BYTES).contains(&from.len());
        if !is_name || greeting.address.len() > MAX_ADDRESS_BYTES {
            return Err(format!(
                "a node is named by 1 to {MAX_NAME_BYTES} bytes, and found by {MAX_ADDRESS_BYTES}"
            ));
        }
        let birth = greeting.birth;
        let contact = Contact { birth, ..Contact::listed(from, &greeting.address) };
        self.check(&contact)
            .map_err(|stranger| format!("{own:?} does not take {from:?}: {stranger}"))?;
        Ok(contact)
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clash { name, known } => {
                write!(
                    f,
                    "the names {name:?} and {known:?} have the same number: choose another name"
                )
            }
            Self::Full => {
                write!(
                    f,
                    "{MAX_NODES} nodes are known, and a cluster takes no more: stop one that is not needed"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn roster(own: &str, names: &[&str], copies: usize) -> Roster {
        let contacts = names.iter().map(|name| Contact::listed(*name, format!("{name}:1")));
        Roster::new(NodeId::of(own), copies, contacts)
    }

    #[test]
    fn two_nodes_of_one_cluster_know_each_other_and_a_new_one_is_welcome() {
        let (a, b) = (roster("a", &["a", "b"], 2), roster("b", &["a", "b"], 2));
        let met = b.meet(&a.greeting(Birth(5), NodeId::of("b"))).unwrap();
        assert_eq!(met, Contact { birth: Birth(5), ..Contact::listed("a", "a:1") });
        let c = roster("c", &["c", "a"], 2);
        let met = a.meet(&c.greeting(Birth(6), NodeId::of("a"))).unwrap();
        assert_eq!(met, Contact { birth: Birth(6), ..Contact::listed("c", "c:1") });
    }

    #[test]
    fn who_can_not_be_in_the_cluster_is_told_why() {
        let a = roster("a", &["a", "b", "c"], 2);
        let greeting = |of: &Roster, to: &str| of.greeting(Birth(1), NodeId::of(to));
        let twin = twin_of("b");
        let cases = [
            (greeting(&roster("b", &["a", "b", "c"], 2), "c"), "this is \"a\" and not \"c\""),
            (greeting(&roster("a", &["a"], 2), "a"), "a node of its own name"),
            (greeting(&roster("b", &["a", "b", "c"], 3), "a"), "and \"b\" 3: they must be equal"),
            (greeting(&roster(&twin, &["a", &twin], 2), "a"), "choose another name"),
        ];
        for (greeting, told) in cases {
            let refusal = a.meet(&greeting).unwrap_err();
            assert!(refusal.contains(told), "{refusal}");
        }
        let mut numbers = BTreeSet::new();
        let all = (0..).map(|number| format!("node {number}"));
        let all: Vec<String> = all
            .filter(|name| numbers.insert(NodeId::of(name)))
            .take(MAX_NODES.saturating_add(1))
            .collect();
        let (last, most) = all.split_last().unwrap();
        let full =
            Roster::new(NodeId::of(&most[0]), 2, most.iter().map(|name| Contact::listed(name, "")));
        assert_eq!(full.len(), MAX_NODES);
        let new = Roster::new(
            NodeId::of(last),
            2,
            [most[0].clone(), last.clone()].map(|name| Contact::listed(name, "")),
        );
        let refusal = full.meet(&greeting(&new, &most[0])).unwrap_err();
        assert!(refusal.contains("takes no more"), "{refusal}");
        // Who is known is welcome all the same.
        let known = roster(&most[1], &[&most[0], &most[1]], 2);
        assert!(full.meet(&greeting(&known, &most[0])).is_ok());
    }

    /// Another name of the same number.
    fn twin_of(name: &str) -> String {
        let mut names = (0_u32..).map(|number| format!("{number}"));
        names.find(|other| NodeId::of(other) == NodeId::of(name)).unwrap()
    }

    #[test]
    fn where_a_node_is_found_its_latest_process_says() {
        let mut a = roster("a", &["a", "b"], 2);
        let at =
            |address: &str, birth| Contact { birth: Birth(birth), ..Contact::listed("b", address) };
        assert_eq!(a.learn(at("x:1", 0)), Ok(None));
        assert_eq!(a.learn(at("y:1", 7)), Ok(Some(Learned::Place)));
        assert_eq!(a.learn(at("z:1", 6)), Ok(None));
        assert_eq!(a.get(NodeId::of("b")).unwrap().address, "y:1");
        assert_eq!(a.learn(Contact::listed("c", "c:1")), Ok(Some(Learned::Name)));
        let clash = a.learn(Contact { name: "d".to_owned(), ..at("y:1", 9) });
        assert!(matches!(clash, Err(Stranger::Clash { .. })), "{clash:?}");
        assert_eq!(vec![a.name(NodeId::of("b")), a.name(NodeId(1))], ["b", ""]);
    }
}
