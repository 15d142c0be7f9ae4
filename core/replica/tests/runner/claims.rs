//! What a story says of how things are.

use std::collections::BTreeSet;

use abide_replica::{Node, NodeId};

use super::{Scenario, Step};

impl Scenario {
    /// Nothing comes back from a claim: it is true, or the story is wrong.
    pub(super) fn hold_true(&self, is_so: bool) -> Step<Option<String>> {
        if is_so { Ok(None) } else { Err(format!("that is not so\n{}", self.state())) }
    }

    /// Whether something is so. None, if these words claim nothing.
    pub(super) fn claims(&mut self, words: &[&str]) -> Option<Step<bool>> {
        let is_so = match words {
            [node, "leads", id] => self.leads(node, id),
            [node, "does", "not", "lead", id] => not(self.leads(node, id)),
            [node, "is", "sure", "of", id] => self.is_sure(node, id),
            [node, "is", "not", "sure", "of", id] => not(self.is_sure(node, id)),
            [node, "follows", leader, "in", id] => self.follows(node, leader, id),
            ["in", "sync", "in", id, members @ ..] => {
                self.are_in_sync(id.trim_end_matches(':'), members)
            }
            [node, "holds", id] => self.holds(node, id),
            [node, "does", "not", "hold", id] => not(self.holds(node, id)),
            [one, "and", other, "are", "equal", "in", id] => self.are_equal(one, other, id),
            [node, "is", "ready"] => self.ask(node, Node::is_ready),
            [node, "is", "not", "ready"] => not(self.ask(node, Node::is_ready)),
            [node, "is", "safe", "to", "stop"] => self.ask(node, Node::is_safe_to_stop),
            [node, "is", "not", "safe", "to", "stop"] => not(self.ask(node, Node::is_safe_to_stop)),
            [node, "has", "left"] => self.ask(node, Node::has_left),
            [node, "has", "not", "left"] => not(self.ask(node, Node::has_left)),
            [node, "takes", other, "for", "dead"] => self.takes_for_dead(node, other),
            [node, "does", "not", "take", other, "for", "dead"] => {
                not(self.takes_for_dead(node, other))
            }
            [node, "has", "begun", "again"] => self.world.has_begun_again(node),
            _ => return None,
        };
        Some(is_so)
    }

    fn ask(&mut self, name: &str, what: impl FnOnce(&mut Node) -> bool) -> Step<bool> {
        self.world.node(name).map(what)
    }

    fn leads(&mut self, name: &str, id: &str) -> Step<bool> {
        let slot = self.slot(id)?;
        self.ask(name, |node| node.in_sync(slot).is_some())
    }

    fn is_sure(&mut self, name: &str, id: &str) -> Step<bool> {
        let (slot, moment) = (self.slot(id)?, self.world.moment());
        self.ask(name, |node| node.leads_whole(slot, moment))
    }

    fn follows(&mut self, name: &str, leader: &str, id: &str) -> Step<bool> {
        let (slot, leader) = (self.slot(id)?, self.world.id(leader)?);
        self.ask(name, |node| {
            let is_led = node.reign(slot).is_some_and(|reign| reign.leader == leader);
            is_led && node.in_sync(slot).is_none()
        })
    }

    /// Whether one node leads the slot, and counts on these and no others.
    fn are_in_sync(&self, id: &str, members: &[&str]) -> Step<bool> {
        let slot = self.slot(id)?;
        let members: BTreeSet<NodeId> =
            members.iter().map(|name| self.world.id(name)).collect::<Step<_>>()?;
        let sets: Vec<_> = self.world.nodes().filter_map(|(_, node)| node.in_sync(slot)).collect();
        Ok(sets == [members])
    }

    fn holds(&mut self, name: &str, id: &str) -> Step<bool> {
        let id = self.id(id)?;
        self.ask(name, |node| node.table().get(id).is_some())
    }

    fn are_equal(&mut self, one: &str, other: &str, id: &str) -> Step<bool> {
        let slot = self.slot(id)?;
        let ours = self.world.node(one)?.table().digest(slot);
        Ok(ours == self.world.node(other)?.table().digest(slot))
    }

    fn takes_for_dead(&mut self, name: &str, other: &str) -> Step<bool> {
        let other = self.world.id(other)?;
        self.ask(name, |node| node.view().get(other).is_some_and(|known| known.is_dead()))
    }
}

fn not(is_so: Step<bool>) -> Step<bool> {
    is_so.map(|is_so| !is_so)
}
