//! A node that finds on a disk what it held, and what it writes down: see [`crate::journal`].

use alloc::vec::Vec;

use abide_session::Slot;

use super::seat::Seat;
use super::{Config, Node};
use crate::journal::{Recovered, write_entry, write_node};
use crate::message::Moment;
use crate::mutant::Mutant;
use crate::view::{Known, NodeId};

impl Node {
    /// A node that has just started, and holds what was on its disk. It goes on to note what it takes over:
    /// [`Node::take_news`]. Its birth has to be later than
    /// [`Recovered::birth`] of its name.
    pub fn restored(config: Config, recovered: Recovered, now: Moment) -> Self {
        // A disk knows others that the list may not have: without them nobody could be asked what he holds.
        let mut config = config;
        for contact in recovered.living() {
            if config.roster.iter().all(|listed| listed.name != contact.name) {
                config.roster.push(contact);
            }
        }
        let others = config.roster.iter().filter(|contact| contact.node != config.own);
        let missed =
            others.filter_map(|contact| Some((contact.node, recovered.missed(&contact.name)?)));
        let missed = missed.collect();
        let mut node = Self::new(config, now);
        if !node.around.makes(Mutant::MissesNobody) {
            node.around.missed = missed;
        }
        node.around.table = recovered.table;
        node.around.table.note_news();
        node.around.has_news_of_nodes = true;
        node
    }

    /// What this node has learned since this was last called and would need if it were restored: content for a
    /// journal. Empty if nothing, or if it was not restored.
    pub fn take_news(&mut self) -> Vec<u8> {
        let Some(mut news) = self.around.table.take_news() else { return Vec::new() };
        if core::mem::take(&mut self.around.has_news_of_nodes) {
            self.write_nodes(&mut news);
        }
        news
    }

    /// Appends what it knows of others to the content of a copy. Who is missed counts as living.
    pub fn write_nodes(&self, content: &mut Vec<u8>) {
        let missed = self.around.missed.iter().map(|(node, birth)| (*node, Known::up(*birth)));
        let others = self.around.view.iter();
        let others = others.filter(|(node, _)| !self.around.missed.contains_key(node));
        for (node, known) in others.chain(missed) {
            if let Some(contact) = self.around.roster.get(node) {
                write_node(content, &contact.name, known, &contact.address);
            }
        }
    }

    /// Who is dead is missed no longer when all slots are led by somebody who knows that it does without.
    pub(crate) fn miss_nobody_in_vain(&mut self) {
        let view = &self.around.view;
        let is_dead = |node: &NodeId| view.get(*node).is_some_and(|known| known.is_dead());
        let dead: Vec<NodeId> = self.around.missed.keys().copied().filter(is_dead).collect();
        if dead.is_empty() {
            return;
        }
        let mut is_led = true;
        self.seats(|seat| is_led = is_led && seat.is_led_beyond_doubt());
        if is_led {
            self.around.missed.retain(|node, _| !dead.contains(node));
            self.around.has_news_of_nodes = true;
        }
    }

    /// Appends all that it holds of a slot to the content of a copy.
    pub fn write_slot(&self, slot: Slot, content: &mut Vec<u8>) {
        for packed in self.around.table.entries(slot, None) {
            write_entry(content, packed.bytes());
        }
    }

    /// The nodes that may hold more than this one brought from its disk, and have not been heard of.
    pub fn missed(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.around.missed.keys().copied()
    }
}

impl Seat<'_> {
    /// Whether who leads here knows of nobody who may hold more. That a leader is there is not enough: it may be in
    /// doubt itself, and die.
    fn is_led_beyond_doubt(&self) -> bool {
        if let Some(lead) = self.place.leading() {
            return lead.doubts.is_empty();
        }
        let is_sure = self.place.in_sync().is_some_and(|in_sync| in_sync.doubts.is_empty());
        let leader = self.usable_leader();
        leader.is_some_and(|leader| is_sure || self.node.is_known_to_be_settled(leader))
    }
}
