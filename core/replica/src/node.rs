//! One node of a cluster, as a state machine: events in, actions out.
//!
//! A [`Node`] is what it knows of the others and of calls ([`around`]), and for each slot a
//! [`crate::slot::Place`]: it leads, follows or claims. What it does in a place is in [`seat`]. It
//! reads no clock, draws no number and does nothing itself: the same events at the same moments give
//! the same actions.

mod around;
mod calls;
mod care;
mod claim;
mod fill;
mod follow;
mod invariants;
mod join;
mod lead;
mod leave;
mod restore;
mod seat;
mod stock;
mod survey;

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use abide_session::Slot;

use crate::limits::{FORGET_AFTER, PING_EVERY, SKEW};
use crate::message::{Action, Event, Letter, Message, Moment};
use crate::mutant::Mutant;
use crate::reign::Term;
use crate::roster::{Contact, Roster};
use crate::slot::Place;
use crate::table::Table;
use crate::view::{Birth, Known, News, NodeId, Status, View};
use around::Around;
pub use invariants::Broken;
use seat::Seat;

/// What a node is told when it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The nodes that it knows when it starts: itself, and at least one that runs. At most
    /// [`crate::limits::MAX_NODES`] count.
    pub roster: Vec<Contact>,
    /// Which of them this one is.
    pub own: NodeId,
    /// Which process of it: later than all before.
    pub birth: Birth,
    /// On how many nodes a session is to be.
    pub copies: usize,
    /// How many slots there are, from 0: all of them, but for who simulates many clusters.
    pub slots: u16,
    /// By how much two wall clocks may differ.
    pub skew: core::time::Duration,
    /// How long it knows the name of one that is dead, if that is not in its list.
    pub forget_after: core::time::Duration,
    /// How many bytes of entries it makes; what others made it takes all the same.
    pub bytes_max: usize,
    /// A mistake to make.
    #[cfg(feature = "mutants")]
    pub mutant: Option<Mutant>,
}

impl Config {
    /// A node of this roster, with two copies of each session, clocks that differ by five seconds at most,
    /// all slots and no limit to what it keeps.
    pub const fn new(roster: Vec<Contact>, own: NodeId, birth: Birth) -> Self {
        Self {
            roster,
            own,
            birth,
            copies: 2,
            slots: Slot::COUNT,
            skew: SKEW,
            forget_after: FORGET_AFTER,
            bytes_max: usize::MAX,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }
}

/// One node of a cluster.
#[derive(Clone, Debug)]
pub struct Node {
    pub(crate) places: Vec<Place>,
    pub(crate) around: Around,
}

impl Node {
    /// A node that has just started, and holds nothing.
    pub fn new(config: Config, now: Moment) -> Self {
        let slots = config.slots.min(Slot::COUNT);
        let places = (0..slots).map(|_| Place::default()).collect();
        let mut around = Around::new(config, now);
        around.all_restless();
        Self { places, around }
    }

    /// What becomes of an event.
    pub fn step(&mut self, now: Moment, event: Event) -> Vec<Action> {
        self.around.begin(now);
        self.around.touched.begin();
        match event {
            Event::Call(number, call) => self.around.open(number, call),
            Event::Survey(number, survey) => self.begin_survey(number, survey),
            Event::Met(contact) => self.hear_of(alloc::vec![contact]),
            Event::Connected(peer) => self.connected(peer),
            Event::Broken(peer) => self.broken(peer),
            Event::Refused(peer) => self.refused(peer),
            Event::Unreachable(peer) => self.around.unreachable(peer),
            Event::Received(from, letter) => self.received(from, letter),
            Event::Leave => self.leave(),
            Event::Lost(peer) => self.lose(peer),
            Event::Woken => {}
        }
        self.settle();
        if self.around.is_round_due() {
            self.round();
            self.settle();
        }
        self.assert_invariants();
        self.around.actions.push(Action::Wake(self.around.next_round));
        core::mem::take(&mut self.around.actions)
    }

    /// Who this node takes for the leader of the slot, and in which reign.
    pub fn reign(&self, slot: Slot) -> Option<Term> {
        self.places.get(usize::from(slot.number()))?.reign
    }

    /// The highest reign of the slot that this node has seen or promised: it takes nothing of a lower one.
    pub fn promised(&self, slot: Slot) -> Option<Term> {
        Some(self.places.get(usize::from(slot.number()))?.promised)
    }

    /// Whether it would answer a read of this slot without a flag, if it had nothing to wait for.
    pub fn leads_whole(&mut self, slot: Slot, now: Moment) -> bool {
        self.around.now = now;
        self.seat(slot).is_some_and(|seat| seat.is_sure())
    }

    /// The nodes that hold all that was acknowledged, as far as it knows, if it leads the slot: itself
    /// included.
    pub fn in_sync(&self, slot: Slot) -> Option<BTreeSet<NodeId>> {
        let lead = self.places.get(usize::from(slot.number()))?.leading()?;
        let kept = lead.pending.iter().filter(|pending| pending.is_kept);
        let last = kept.map(|pending| pending.number).max().unwrap_or_default();
        let members = lead.members.iter().filter(|(_, member)| member.kept >= last);
        let members = members.filter(|(_, member)| !member.is_leaving).map(|(node, _)| *node);
        Some(members.chain([self.around.own]).collect())
    }

    /// Whether no change of this slot is on its way to another node.
    pub fn is_at_rest(&self, slot: Slot) -> bool {
        let place = self.places.get(usize::from(slot.number()));
        place.and_then(Place::leading).is_none_or(|lead| lead.pending.is_empty())
    }

    /// What this node holds.
    pub const fn table(&self) -> &Table {
        &self.around.table
    }

    /// What it knows of processes.
    pub const fn view(&self) -> &View {
        &self.around.view
    }

    /// Whether it can talk to that node.
    pub fn is_here(&self, node: NodeId) -> bool {
        self.around.is_usable(node)
    }

    /// The nodes that it knows.
    pub const fn roster(&self) -> &Roster {
        &self.around.roster
    }

    /// Whether this node runs, as far as we have heard lately.
    pub fn hears(&self, node: NodeId) -> bool {
        self.around.is_connected(node) && self.around.is_granted(node)
    }

    pub(crate) fn seat(&mut self, slot: Slot) -> Option<Seat<'_>> {
        let place = self.places.get_mut(usize::from(slot.number()))?;
        self.around.touched.insert(slot);
        Some(Seat { slot, place, node: &mut self.around })
    }

    fn seats(&mut self, mut visit: impl FnMut(&mut Seat<'_>)) {
        self.around.touched.insert_all();
        for (slot, place) in Slot::all().zip(&mut self.places) {
            visit(&mut Seat { slot, place, node: &mut self.around });
        }
    }

    fn connected(&mut self, peer: NodeId) {
        if !self.around.connect(peer) {
            return;
        }
        let mut led = Vec::new();
        self.seats(|seat| {
            seat.forget_exchange(peer);
            if let (Some(_), Some(term)) = (seat.place.leading(), seat.place.reign) {
                led.push((seat.slot, term));
            }
        });
        self.introduce(peer, led);
        self.around.ping(peer);
    }

    fn broken(&mut self, peer: NodeId) {
        if !self.around.disconnect(peer) {
            return;
        }
        self.seats(|seat| seat.forget_exchange(peer));
        if self.around.makes(Mutant::TakesSilenceForDeath)
            && let Some(known) = self.around.view.get(peer)
        {
            self.learn([(peer, Known::dead(known.birth))]);
        }
        self.around.dial(peer);
    }

    fn refused(&mut self, peer: NodeId) {
        let Some(dialed) = self.around.dialed(peer) else { return };
        self.around.is_not_there(peer, dialed.begun);
        // A configuration is meant for all processes of a name.
        let was_there = |birth| dialed.said_by == Birth(0) || dialed.said_by >= birth;
        match (dialed.known, self.around.view.get(peer)) {
            (Some(birth), Some(known))
                if known.birth == birth && was_there(birth) && self.around.is_heard =>
            {
                self.learn([(peer, Known::dead(birth))]);
            }
            (None, None) => self.around.is_missed(peer),
            _ => {}
        }
    }

    fn received(&mut self, from: NodeId, letter: Letter) {
        let Letter { birth, message } = letter;
        if !self.around.is_connected(from) {
            return;
        }
        if self.around.view.is_past(from, birth) {
            // If it lives, it has to know.
            let view = self.around.view.iter().collect();
            self.around.send(from, Message::View(view));
            return;
        }
        self.learn([(from, Known::up(birth))]);
        self.around.heard(from);
        match message {
            Message::Nodes(contacts, statements) => {
                self.hear_of(contacts);
                self.on_statements(statements);
            }
            Message::Hello(view, led) => {
                self.learn(view);
                self.around.greet(from);
                self.around.admit();
                for (slot, term) in led {
                    if let Some(mut seat) = self.seat(slot) {
                        seat.on_reign(from, term);
                    }
                }
                self.seats(|seat| seat.greet(from));
            }
            Message::View(view) => self.learn(view),
            Message::Ping { number, heard, is_whole } => {
                self.around.on_ping(from, number, heard);
                self.around.judges(from, heard, is_whole);
            }
            Message::Pong { number, era } => self.around.on_pong(from, number, era),
            Message::Pass(number, call) => {
                let slot = call.operation.id().slot();
                if let Some(mut seat) = self.seat(slot) {
                    seat.serve_remote(from, birth, number, call);
                }
            }
            Message::Answered(number, answer) => self.around.answered(from, number, answer),
            Message::Lost(number) => self.around.lost_at(from, number),
            Message::NotLeader(number, slot, reign) => {
                if let (Some(mut seat), Some(term)) = (self.seat(slot), reign) {
                    seat.hear_of(term);
                }
                self.around.not_leader(from, number);
                self.pass_elsewhere(slot, from);
            }
            Message::Survey(number, slots, survey) => {
                self.on_survey(from, number, &slots, &survey);
            }
            Message::Surveyed(number, slots, found) => {
                self.on_surveyed(from, number, &slots, found);
            }
            Message::OfSlot(slot, term, said) => {
                if let Some(mut seat) = self.seat(slot) {
                    seat.received(from, term, said);
                }
            }
        }
    }

    /// Takes over what somebody knows of processes.
    fn learn(&mut self, view: impl IntoIterator<Item = (NodeId, Known)>) {
        let mut has_news = false;
        for (node, known) in view {
            if node == self.around.own {
                let is_about_us = known.birth >= self.around.birth;
                if is_about_us && (known.is_dead() || known.birth > self.around.birth) {
                    self.begin_again(known.birth);
                    has_news = true;
                }
                continue;
            }
            if known.status == Status::Lost {
                self.around.misses_no_longer(node, known.birth);
            }
            if self.around.roster.get(node).is_none() {
                continue;
            }
            let before = self.around.view.get(node);
            let Some(news) = self.around.view.learn(node, known) else { continue };
            has_news = true;
            if news == News::Leaves {
                continue;
            }
            if known.status == Status::Dead {
                self.around.may_come_back(node, known.birth);
            }
            // In both cases the process that was known before, if there was one, is gone.
            let is_another_born = news == News::Born(node);
            if before.is_none() && is_another_born {
                self.around.is_met(node);
            }
            if before.is_some() {
                self.around.dies(node);
            }
            self.seats(|seat| seat.on_dead(node, is_another_born));
            let was_leaving = before.is_some_and(|before| before.is_leaving());
            self.around.gone(node, news, was_leaving);
        }
        if has_news {
            self.around.has_news_of_nodes = true;
            self.around.forget_judgements();
            self.around.spread_view();
            self.around.admit();
            self.around.all_restless();
        }
    }

    /// Nothing comes back of this node: what it may have held more is not waited for.
    fn lose(&mut self, node: NodeId) {
        if self.is_here(node) || node == self.around.own {
            return;
        }
        let known = self.around.view.get(node).map(|known| known.birth);
        let missed = self.around.missed.get(&node).copied();
        let birth = known.max(missed).unwrap_or_default();
        self.learn([(node, Known { birth, status: Status::Lost })]);
    }

    /// Others took this process for dead and went on without it. It keeps what it holds and begins
    /// again as one that has just started.
    fn begin_again(&mut self, past: Birth) {
        #[allow(
            clippy::redundant_closure_for_method_calls,
            reason = "the method is for one lifetime"
        )]
        self.seats(|seat| seat.begin_again());
        self.around.begin_again(past);
        // What was said under the birth before does not count.
        for peer in self.around.peers() {
            self.introduce(peer, Vec::new());
        }
    }

    fn round(&mut self) {
        self.around.next_round = self.around.now.passed.saturating_add(PING_EVERY);
        for peer in self.around.peers() {
            self.around.ping_or_dial(peer);
            if self.around.goes_on_without(peer) {
                self.seats(|seat| seat.on_silent(peer));
                self.around.all_restless();
            }
        }
        self.miss_nobody_in_vain();
        self.look_after_roster();
        self.around.look_at_doubts();
        self.around.time_out();
        self.go_on_with_surveys();
        self.around.expire();
        self.around.stir_busy();
    }

    /// Does what has become possible or due, and what becomes possible by that.
    fn settle(&mut self) {
        for _ in 0..SETTLE_ROUNDS {
            if self.around.restless.is_empty() && self.around.homeless.is_empty() {
                return;
            }
            self.settle_once();
        }
    }

    fn settle_once(&mut self) {
        // Slots with one copy first: filling is bounded.
        let restless = core::mem::take(&mut self.around.restless);
        let is_alone = |slot: &Slot| {
            let place = self.places.get(usize::from(slot.number()));
            place.and_then(Place::leading).is_some_and(|lead| lead.members.is_empty())
        };
        let (alone, others): (Vec<Slot>, Vec<Slot>) = restless.into_iter().partition(is_alone);
        for slot in alone.into_iter().chain(others) {
            if let Some(mut seat) = self.seat(slot) {
                seat.care();
            }
        }
        for number in core::mem::take(&mut self.around.homeless) {
            self.dispatch(number);
        }
    }
}

/// One thing makes another possible; what is left over is done at the next event.
const SETTLE_ROUNDS: usize = 4;

#[cfg(test)]
mod tests;
