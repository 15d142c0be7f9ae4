//! The nodes that are known, for whoever makes connections or asks.
//!
//! The state machine decides who is known; this is what it has said last.

use std::sync::{Arc, PoisonError, RwLock};

use abide_replica::wire::Greeting;
use abide_replica::{Birth, Contact, NodeId, Roster};

/// What is known of nodes. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Nodes(Arc<RwLock<Roster>>);

impl Nodes {
    pub(crate) fn new(roster: Roster) -> Self {
        Self(Arc::new(RwLock::new(roster)))
    }

    fn read<T>(&self, read: impl FnOnce(&Roster) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, write: impl FnOnce(&mut Roster)) {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// The number of this node.
    pub(crate) fn own(&self) -> NodeId {
        self.read(Roster::own)
    }

    pub(crate) fn name(&self, node: NodeId) -> String {
        self.read(|roster| roster.name(node).to_owned())
    }

    /// All names, in their order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.read(|roster| roster.iter().map(|contact| contact.name.clone()).collect());
        names.sort();
        names
    }

    /// Where this node is found.
    pub(crate) fn address(&self, node: NodeId) -> Option<String> {
        self.read(|roster| roster.get(node).map(|contact| contact.address.clone()))
    }

    pub(crate) fn know(&self, contact: Contact) {
        self.write(|roster| roster.insert(contact));
    }

    pub(crate) fn forget(&self, node: NodeId) {
        self.write(|roster| roster.remove(node));
    }

    pub(crate) fn greeting(&self, birth: Birth, to: NodeId) -> Greeting {
        self.read(|roster| roster.greeting(birth, to))
    }

    pub(crate) fn meet(&self, greeting: &Greeting) -> Result<Contact, String> {
        self.read(|roster| roster.meet(greeting))
    }
}
