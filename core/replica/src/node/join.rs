//! Joining: how what is known of nodes grows and shrinks, and who may hold slots.
//!
//! Whoever claims a slot without having been in sync asks everybody: so who may hold something has to be
//! known to all who may claim. Each says whom it knows. A node is *admitted*, and may be an owner, when
//! every process that is not proved dead has said that it knows it, and it has said that it knows each
//! of them. It stays so while it lives, as whoever comes later hears of it before anything else. A name of which
//! nobody has met a process need say nothing, until there is one: then all are admitted anew. Who is not
//! admitted itself claims nothing and asks nobody for what it holds, as others would not look for it here.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use abide_session::Slot;
use abide_slots::{Member as Ranked, owners};

use super::Node;
use super::around::Around;
use super::seat::Seat;
use crate::limits::{LISTEN, MAX_NODES};
use crate::message::{Action, Message, Note};
use crate::mutant::Mutant;
use crate::roster::{Contact, Learned, Statement};
use crate::slot::Role;
use crate::view::{Known, NodeId};

impl Node {
    /// Somebody knows these nodes.
    pub(crate) fn hear_of(&mut self, contacts: Vec<Contact>) {
        let names: Vec<NodeId> =
            contacts.into_iter().filter_map(|contact| self.around.know(contact)).collect();
        if names.is_empty() {
            return;
        }
        self.around.rank();
        for node in &names {
            // Before we say that we know it: then it may be filled by who is in doubt.
            self.seats(|seat| seat.on_new_name(*node));
        }
        self.around.state();
        self.around.all_restless();
    }

    /// Whom others have said that they know.
    pub(crate) fn on_statements(&mut self, statements: Vec<Statement>) {
        for statement in statements {
            self.around.note_statement(statement);
        }
        self.around.admit();
    }

    /// Says who we are: on a new connection, and under a new birth.
    pub(crate) fn introduce(&mut self, peer: NodeId, led: Vec<(Slot, crate::reign::Term)>) {
        let nodes = self.around.nodes(true);
        self.around.send(peer, nodes);
        // Who has never heard of a process that is missed would take it for gone, and go on without it.
        let missed = self.around.missed.iter().map(|(node, birth)| (*node, Known::up(*birth)));
        let view: Vec<(NodeId, Known)> = self.around.view.iter().chain(missed).collect();
        self.around.send(peer, Message::Hello(view, led));
    }

    /// What becomes due in the roster by time alone.
    pub(crate) fn look_after_roster(&mut self) {
        self.around.miss_the_absent();
        self.around.forget_the_dead();
        self.around.admit();
        self.around.spread_nodes();
    }
}

impl Seat<'_> {
    /// There is a node of which we had not heard. It holds nothing, unless somebody whom we can not ask has
    /// filled it.
    fn on_new_name(&mut self, node: NodeId) {
        let is_admitted = self.node.is_admitted(self.node.own);
        match &mut self.place.role {
            Role::Claiming(claim) if claim.asks_all => {
                claim.waits_for.entry(node).or_insert(None);
            }
            Role::Leading(lead) if !lead.doubts.is_empty() || !is_admitted => {
                lead.doubts.insert(node);
            }
            _ => {}
        }
    }
}

impl Around {
    /// The order of owners, by the names that are known.
    pub(crate) fn rank(&mut self) {
        let (nodes, ranked): (Vec<NodeId>, Vec<Ranked<'_>>) = self
            .roster
            .iter()
            .filter_map(|contact| Some((contact.node, Ranked::new(&contact.name, 1).ok()?)))
            .unzip();
        let order = |slot| {
            let places = owners(slot, &ranked).into_iter();
            places.filter_map(|place| nodes.get(place).copied()).collect()
        };
        self.ranks = Slot::all().take(usize::from(self.config.slots)).map(order).collect();
    }

    /// Takes over what somebody knows of a node. Its number, if the name is new.
    fn know(&mut self, contact: Contact) -> Option<NodeId> {
        let node = contact.node;
        // Where we are found nobody else knows better.
        let is_ours = node == self.own && contact.name == self.roster.name(node);
        if is_ours {
            return None;
        }
        match self.roster.learn(contact.clone()) {
            Ok(None) => None,
            Ok(Some(learned)) => {
                self.actions.push(Action::Know(contact));
                self.has_nodes_to_tell = true;
                if learned == Learned::Place {
                    return None;
                }
                self.peers.insert(node, super::around::Peer::default());
                Some(node)
            }
            Err(crate::roster::Stranger::Clash { .. }) => {
                self.note(Note::Clash(node));
                None
            }
            Err(_) => None,
        }
    }

    /// There is another name that we know, or one less.
    fn state(&mut self) {
        self.statements_made = self.statements_made.saturating_add(1);
        self.has_nodes_to_tell = true;
        self.spread_nodes();
    }

    /// Whom this process knows.
    fn statement(&self) -> Statement {
        let names = self.roster.iter().map(|contact| contact.node);
        let knows = names.filter(|node| !self.long_dead.contains(node)).collect();
        let (node, birth, number) = (self.own, self.birth, self.statements_made);
        Statement { node, birth, number, knows }
    }

    /// What we know of nodes, and at first what others have stated.
    pub(crate) fn nodes(&self, is_first: bool) -> Message {
        let is_there = |contact: &&Contact| !self.is_gone_for_good(contact.node);
        let contacts = self.roster.iter().filter(is_there).cloned().collect();
        let others = self.peers.values().filter_map(|peer| peer.stated.clone());
        let others = others.filter(|_| is_first);
        Message::Nodes(contacts, core::iter::once(self.statement()).chain(others).collect())
    }

    /// Tells all others what is news, if there is any.
    pub(crate) fn spread_nodes(&mut self) {
        if !core::mem::take(&mut self.has_nodes_to_tell) {
            return;
        }
        let nodes = self.nodes(false);
        for peer in self.peers() {
            self.send(peer, nodes.clone());
        }
    }

    fn note_statement(&mut self, statement: Statement) {
        let Some(peer) = self.peers.get_mut(&statement.node) else { return };
        let is_later =
            |known: &Statement| (known.birth, known.number) < (statement.birth, statement.number);
        if statement.knows.len() <= MAX_NODES && peer.stated.as_ref().is_none_or(is_later) {
            peer.stated = Some(statement);
        }
    }

    /// Whether this node may hold slots.
    pub(crate) fn is_admitted(&self, node: NodeId) -> bool {
        self.admitted.contains(&node) || self.makes(Mutant::TakesOverBeforeAllKnow)
    }

    /// Admits whom all know by now.
    pub(crate) fn admit(&mut self) {
        if !self.has_looked_around() {
            return;
        }
        let waiting = self.roster.iter().map(|contact| contact.node);
        let waiting = waiting.filter(|node| !self.admitted.contains(node));
        let known: Vec<NodeId> = waiting.filter(|node| self.is_known_to_all(*node)).collect();
        if known.is_empty() {
            return;
        }
        // Who is not there yet hears of all when it comes.
        let is_unmet = |node: &NodeId| self.view.get(*node).is_none() && !self.is_gone(*node);
        let names = self.roster.iter().map(|contact| contact.node);
        let unmet: Vec<NodeId> = names.filter(is_unmet).collect();
        self.unasked.extend(unmet);
        self.take_for_admitted(known);
    }

    /// Who is in sync with somebody has been admitted by it.
    pub(crate) fn take_for_admitted(&mut self, nodes: impl IntoIterator<Item = NodeId>) {
        for node in nodes {
            if self.roster.get(node).is_none() || !self.admitted.insert(node) {
                continue;
            }
            self.note(Note::Admitted(node));
            self.all_restless();
        }
    }

    /// There is a process of a name of which we had met none. If it was not asked, it may be one that does not know
    /// who was admitted: so all are admitted anew.
    pub(crate) fn is_met(&mut self, node: NodeId) {
        if self.unasked.contains(&node) {
            self.unasked.clear();
            self.admitted.clear();
            self.expelled_at = Some(self.now.passed);
            self.all_restless();
        }
    }

    /// Whether this process leads in a cluster that does not know it, as it had met nobody when it began to.
    pub(crate) fn is_usurper(&self) -> bool {
        let is_over = |at: Duration| at.saturating_add(LISTEN) <= self.now.passed;
        !self.is_admitted(self.own) && self.expelled_at.is_none_or(is_over)
    }

    /// Whether each process that is known and not proved dead has said that it knows this node, and it has said
    /// that it knows them.
    fn is_known_to_all(&self, node: NodeId) -> bool {
        let is_there = |of: NodeId| self.view.get(of).is_some() && !self.is_gone(of);
        let mut others = self.roster.iter().map(|contact| contact.node);
        let are_mutual = others.all(|other| {
            other == node || !is_there(other) || (self.says(other, node) && self.says(node, other))
        });
        is_there(node) && are_mutual
    }

    /// Whether the process of a node that we know has said that it knows another one.
    fn says(&self, node: NodeId, knows: NodeId) -> bool {
        if node == self.own {
            return self.roster.get(knows).is_some();
        }
        let stated = self.peers.get(&node).and_then(|peer| peer.stated.as_ref());
        let birth = self.view.get(node).map(|known| known.birth);
        stated.is_some_and(|stated| Some(stated.birth) == birth && stated.knows.contains(&knows))
    }

    /// Nobody listened where this node should be, and nobody has ever heard of it.
    pub(crate) fn is_missed(&mut self, node: NodeId) {
        let passed = self.now.passed;
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if !peer.was_silent {
            peer.refused_at = peer.refused_at.or(Some(passed));
        }
    }

    /// Who has been missed for so long that others would have told us if it were there is not.
    fn miss_the_absent(&mut self) {
        let (passed, held_up) = (self.now.passed, self.held_up);
        let mut has_news = false;
        for peer in self.peers.values_mut() {
            let since = peer.refused_at.map(|at| at.max(held_up));
            let is_over = since.is_some_and(|since| since.saturating_add(LISTEN) <= passed);
            if is_over && !peer.is_absent {
                (peer.is_absent, peer.dead_since, has_news) = (true, Some(passed), true);
            }
        }
        if has_news {
            self.all_restless();
        }
    }

    /// Whether it has been dead for this long.
    fn is_dead_for(&self, node: NodeId, time: Duration) -> bool {
        let since = self.peers.get(&node).and_then(|peer| peer.dead_since);
        since.is_some_and(|since| since.saturating_add(time) <= self.now.passed)
    }

    /// We may forget it soon, and say so before.
    fn is_long_dead(&self, node: NodeId) -> bool {
        self.is_dead_for(node, self.config.forget_after.checked_div(2).unwrap_or_default())
    }

    /// Who has been dead for long is forgotten, when all others know that it is.
    fn forget_the_dead(&mut self) {
        let names = self.peers.keys().copied();
        let long_dead: BTreeSet<NodeId> = names.filter(|node| self.is_long_dead(*node)).collect();
        if self.long_dead != long_dead {
            self.long_dead = long_dead;
            self.state();
        }
        let mut others = self.peers.keys();
        if !others.all(|node| self.is_usable(*node) || self.is_gone(*node)) {
            return;
        }
        let mut dead: Vec<(Duration, NodeId)> = self
            .peers
            .iter()
            .filter_map(|(node, peer)| Some((peer.dead_since?, *node)))
            .filter(|(_, node)| !self.listed.contains(node))
            .collect();
        dead.sort();
        let mut forgotten = BTreeSet::new();
        for (since, node) in dead {
            let is_over = since.saturating_add(self.config.forget_after) <= self.now.passed;
            if is_over || self.roster.len() >= MAX_NODES {
                self.forget(node);
                forgotten.insert(node);
            }
        }
        if !forgotten.is_empty() {
            self.rank();
            self.state();
            self.all_restless();
        }
    }

    fn forget(&mut self, node: NodeId) {
        self.roster.remove(node);
        self.peers.remove(&node);
        self.view.forget(node);
        self.admitted.remove(&node);
        self.actions.push(Action::Forget(node));
    }
}
