//! What a node knows apart from its slots: the others, the grants between them, the time.

mod heirs;
mod judgement;
mod owners;
#[cfg(feature = "models")]
mod pings;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use abide_session::{Clock, Slot};

use super::Config;
use super::calls::Open;
use super::invariants::Touched;
use crate::grant::Grants;
use crate::limits::{EXPIRE_EVERY, HELD_UP, MAX_EXPIRED_PER_LOOK, PING_EVERY};
use crate::message::{Action, Letter, Message, Moment, Note, OfSlot};
use crate::mutant::Mutant;
use crate::reign::Term;
use crate::roster::{Roster, Statement};
use crate::survey::SlotSet;
use crate::table::Table;
use crate::view::{Birth, Known, News, NodeId, Status, View};

/// What a node knows apart from its slots.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) config: Config,
    pub(crate) own: NodeId,
    pub(crate) birth: Birth,
    /// The nodes that are known.
    pub(crate) roster: Roster,
    /// Those that this node was told of when it started: they are not forgotten.
    pub(crate) listed: BTreeSet<NodeId>,
    /// Those that may hold slots, as all know them.
    pub(crate) admitted: BTreeSet<NodeId>,
    /// Those that have been dead for so long that we do not say any more that we know them.
    pub(crate) long_dead: BTreeSet<NodeId>,
    /// Names that were not asked when somebody was admitted, as nobody had met a process of them.
    pub(crate) unasked: BTreeSet<NodeId>,
    /// When all were last to be admitted anew.
    pub(crate) expelled_at: Option<Duration>,
    /// Whether anybody has answered this process. Who dies before that may not have known of it, and have passed on
    /// what it had to somebody of whom we have not heard.
    pub(crate) is_heard: bool,
    /// How often what we say that we know has changed.
    pub(crate) statements_made: u64,
    /// Whether others have not been told what has changed in the roster.
    pub(crate) has_nodes_to_tell: bool,
    /// For each slot all nodes, the first owner first.
    pub(crate) ranks: Vec<Vec<NodeId>>,
    pub(crate) now: Moment,
    started: Duration,
    /// When this process was last found to have been held up.
    pub(crate) held_up: Duration,
    pub(crate) next_round: Duration,
    next_expiry: Duration,
    pub(crate) view: View,
    /// Whether the view has changed since it was written down.
    pub(crate) has_news_of_nodes: bool,
    /// Those that may hold more than we brought from a disk, and by which process: see [`crate::journal`].
    pub(crate) missed: BTreeMap<NodeId, Birth>,
    pub(crate) peers: BTreeMap<NodeId, Peer>,
    pub(crate) table: Table,
    pub(crate) clock: Clock,
    /// The calls of local clients.
    pub(crate) calls: BTreeMap<u64, Open>,
    /// The surveys of local clients.
    pub(crate) surveys: BTreeMap<u64, super::survey::Open>,
    /// Calls that wait for somebody to lead their slot.
    pub(crate) queued: BTreeMap<Slot, Vec<u64>>,
    /// Calls to be taken to a leader now.
    pub(crate) homeless: Vec<u64>,
    /// Slots in which something may have become possible.
    pub(crate) restless: BTreeSet<Slot>,
    /// Slots in which a call waits for something.
    pub(crate) waiting: BTreeSet<Slot>,
    /// Slots that are not as they should be.
    pub(crate) unsettled: SlotSet,
    /// Slots in which something may become due by time alone.
    pub(crate) busy: SlotSet,
    /// What is being filled.
    pub(crate) filling: BTreeSet<(Slot, NodeId)>,
    /// Slots that are to be filled when others are done: see [`crate::limits::MAX_FILLS`].
    pub(crate) to_fill: BTreeSet<Slot>,
    /// Since when it wants to stop.
    leaving_since: Option<Duration>,
    /// When it last led a slot, or was taken for who does.
    pub(crate) led_at: Option<Duration>,
    pub(crate) actions: Vec<Action>,
    /// What to look at when the step is over.
    pub(crate) touched: Touched,
}

/// A connection that is being made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    /// The process that was known when it was begun: if it is refused, that one is gone.
    pub(crate) known: Option<Birth>,
    /// The process that had said that it is found there: if that was an earlier one, it proves nothing.
    pub(crate) said_by: Birth,
    /// When it was begun.
    pub(crate) begun: Duration,
}

#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Peer {
    grants: Grants,
    is_connected: bool,
    /// Whether its first message has come on this connection.
    is_greeted: bool,
    /// Whether one of its processes ever was there since we started.
    was_met: bool,
    /// Whether a connection is being made, and which process was known then.
    dialed: Option<Dial>,
    /// When we last heard that a process of it had died.
    died_at: Option<Duration>,
    /// The last time at which it is sure that nobody listened.
    nobody_at: Option<Duration>,
    /// Since when nobody listens, if nobody has ever heard of it.
    pub(crate) refused_at: Option<Duration>,
    /// Nobody has ever heard of it, and nobody listens: for long enough that others would have come.
    pub(crate) is_absent: bool,
    /// It was silent before anybody had heard of it: what it was then, and told others, is not known.
    pub(crate) was_silent: bool,
    /// Since when it is known to be dead.
    pub(crate) dead_since: Option<Duration>,
    /// Whom its process has said that it knows.
    pub(crate) stated: Option<Statement>,
    /// When it was last asked of those times at which it found all well with itself.
    settled_at: Option<Duration>,
    /// The first ping of ours after which it has to know what we know of births and deaths.
    judges_from: u64,
    /// The process that is gone went because it wanted to.
    has_left: bool,
}

impl Around {
    pub(crate) fn new(config: Config, now: Moment) -> Self {
        let (own, birth) = (config.own, config.birth);
        let mut view = View::default();
        view.learn(own, Known::up(birth));
        let mut roster = Roster::new(own, config.copies, config.roster.iter().cloned());
        roster.said_by(birth);
        let listed: BTreeSet<NodeId> = roster.iter().map(|contact| contact.node).collect();
        let others = listed.iter().copied().filter(|node| *node != own);
        let mut around = Self {
            now,
            ranks: Vec::new(),
            started: now.passed,
            held_up: now.passed,
            next_round: now.passed,
            next_expiry: now.passed.saturating_add(EXPIRE_EVERY),
            view,
            has_news_of_nodes: false,
            missed: BTreeMap::new(),
            peers: others.map(|node| (node, Peer::default())).collect(),
            table: Table::of_slots(usize::from(config.slots.min(Slot::COUNT)), usize::MAX),
            clock: Clock::new(own.0),
            calls: BTreeMap::new(),
            surveys: BTreeMap::new(),
            queued: BTreeMap::new(),
            homeless: Vec::new(),
            restless: BTreeSet::new(),
            waiting: BTreeSet::new(),
            unsettled: SlotSet::new(),
            busy: SlotSet::new(),
            filling: BTreeSet::new(),
            to_fill: BTreeSet::new(),
            leaving_since: None,
            led_at: None,
            actions: Vec::new(),
            touched: Touched::new(),
            own,
            birth,
            admitted: BTreeSet::new(),
            unasked: BTreeSet::new(),
            long_dead: BTreeSet::new(),
            is_heard: false,
            expelled_at: None,
            statements_made: 0,
            has_nodes_to_tell: false,
            listed,
            roster,
            config,
        };
        around.rank();
        around
    }

    pub(crate) fn begin(&mut self, now: Moment) {
        // A process is woken for each round, so it was held up if it comes late.
        if now.passed > self.next_round.saturating_add(HELD_UP.saturating_sub(PING_EVERY)) {
            self.held_up = now.passed;
        }
        self.now = now;
    }

    pub(crate) fn is_round_due(&self) -> bool {
        self.now.passed >= self.next_round
    }

    /// Whether this mistake is to be made.
    #[cfg(feature = "mutants")]
    pub(crate) fn makes(&self, mutant: Mutant) -> bool {
        self.config.mutant == Some(mutant)
    }

    /// Whether this mistake is to be made: never.
    #[cfg(not(feature = "mutants"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn makes(&self, _: Mutant) -> bool {
        false
    }

    /// Whether any mistake is to be made.
    #[cfg(feature = "mutants")]
    pub(crate) const fn makes_any_mistake(&self) -> bool {
        self.config.mutant.is_some()
    }

    /// Whether any mistake is to be made: never.
    #[cfg(not(feature = "mutants"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn makes_any_mistake(&self) -> bool {
        false
    }

    pub(crate) fn note(&mut self, note: Note) {
        self.actions.push(Action::Note(note));
    }

    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        if self.is_connected(to) {
            self.actions.push(Action::Send(to, Letter { birth: self.birth, message }));
        }
    }

    pub(crate) fn say(&mut self, to: NodeId, slot: Slot, term: Term, said: OfSlot) {
        self.send(to, Message::OfSlot(slot, term, said));
    }

    pub(crate) fn peers(&self) -> Vec<NodeId> {
        self.peers.keys().copied().collect()
    }

    pub(crate) fn all_restless(&mut self) {
        self.restless.extend(Slot::all().take(self.ranks.len()));
    }

    // Connections.

    pub(crate) fn is_connected(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.is_connected)
    }

    pub(crate) fn connect(&mut self, node: NodeId) -> bool {
        let is_unheard = self.view.get(node).is_none();
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        (peer.is_connected, peer.is_greeted, peer.is_absent) = (true, false, false);
        (peer.dialed, peer.refused_at) = (None, None);
        if is_unheard {
            peer.dead_since = None;
        }
        self.pass_again(node);
        true
    }

    pub(crate) fn disconnect(&mut self, node: NodeId) -> bool {
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        (peer.is_connected, peer.is_greeted) = (false, false);
        peer.settled_at = None;
        self.pass_again(node);
        self.all_restless();
        true
    }

    pub(crate) fn dial(&mut self, node: NodeId) {
        let known = self.view.get(node).map(|known| known.birth);
        let said_by = self.roster.get(node).map_or(Birth(0), |contact| contact.birth);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if !peer.is_connected && peer.dialed.is_none() {
            peer.dialed = Some(Dial { known, said_by, begun: self.now.passed });
            self.actions.push(Action::Dial(node));
        }
    }

    /// Which process was known when the connection that came to nothing was begun.
    pub(crate) fn dialed(&mut self, node: NodeId) -> Option<Dial> {
        self.peers.get_mut(&node)?.dialed.take()
    }

    pub(crate) fn unreachable(&mut self, node: NodeId) {
        let _ = self.dialed(node);
        let is_unheard = self.view.get(node).is_none();
        if let Some(peer) = self.peers.get_mut(&node)
            && is_unheard
            && !peer.is_connected
        {
            (peer.was_silent, peer.is_absent) = (true, false);
            (peer.refused_at, peer.dead_since) = (None, None);
        }
    }

    pub(crate) fn greet(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.get_mut(&node) {
            (peer.is_greeted, peer.was_met) = (true, true);
        }
        self.all_restless();
    }

    /// What the process of this node held, which is gone, is on a disk, if ours is.
    pub(crate) fn may_come_back(&mut self, node: NodeId, birth: Birth) {
        if self.table.notes_news() {
            self.missed.insert(node, birth);
        }
    }

    /// Nothing that this process of the node held comes back.
    pub(crate) fn misses_no_longer(&mut self, node: NodeId, birth: Birth) {
        if self.missed.get(&node).is_some_and(|missed| *missed <= birth) {
            self.missed.remove(&node);
        }
    }

    pub(crate) fn spread_view(&mut self) {
        self.spread_nodes();
        let view: Vec<(NodeId, Known)> = self.view.iter().collect();
        for peer in self.peers() {
            self.send(peer, Message::View(view.clone()));
        }
    }

    // Grants.

    pub(crate) fn ping(&mut self, node: NodeId) {
        let (passed, is_whole) = (self.now.passed, self.is_settled());
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let (number, heard) = peer.grants.ping(passed);
        self.send(node, Message::Ping { number, heard, is_whole });
    }

    pub(crate) fn ping_or_dial(&mut self, node: NodeId) {
        if self.is_connected(node) {
            self.ping(node);
        } else {
            self.dial(node);
        }
    }

    pub(crate) fn on_ping(&mut self, from: NodeId, number: u64, heard: u64) {
        let passed = self.now.passed;
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let was_dropped = peer.grants.is_dropped;
        let mut has_to_hear = peer.grants.is_eager(passed);
        if peer.grants.on_ping(number, heard, passed) {
            let era = peer.grants.era;
            self.send(from, Message::Pong { number, era });
            if was_dropped {
                // Before what we say to it next: as long as it takes us for silent it asks us nothing.
                has_to_hear = true;
                self.all_restless();
            }
        }
        if has_to_hear {
            // They hear from us that we hear them: so there are grants when two have just met.
            self.ping(from);
        }
    }

    pub(crate) fn on_pong(&mut self, from: NodeId, number: u64, era: u64) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        self.is_heard |= peer.grants.sent_at(number).is_some();
        if peer.grants.on_pong(number, era) {
            // Copies that were in sync with it count no longer.
            self.all_restless();
        }
        let waiting = core::mem::take(&mut self.waiting);
        self.restless.extend(waiting);
    }

    /// For a mutant.
    pub(crate) fn heard(&mut self, from: NodeId) {
        let passed = self.now.passed;
        if self.makes(Mutant::TakesAnyMessageForAGrant)
            && let Some(peer) = self.peers.get_mut(&from)
        {
            peer.grants.renew_without_an_answer(passed);
        }
    }

    /// Whether this node will not go on without us, having not done so since this era.
    pub(crate) fn holds_grant(&self, of: NodeId, era: u64) -> bool {
        self.makes(Mutant::ReadsWithoutGrant) || self.holds_grant_truly(of, era)
    }

    pub(crate) fn holds_grant_truly(&self, of: NodeId, era: u64) -> bool {
        let passed = self.now.passed;
        self.peers.get(&of).is_some_and(|peer| peer.grants.holds(era, passed))
    }

    pub(crate) fn is_granted(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.grants.is_kept(self.now.passed))
    }

    pub(crate) fn era_of(&self, node: NodeId) -> Option<u64> {
        self.peers.get(&node)?.grants.their_era()
    }

    pub(crate) fn our_era(&self, node: NodeId) -> u64 {
        self.peers.get(&node).map_or(0, |peer| peer.grants.era)
    }

    /// Whether this node has just become silent: we go on without it.
    pub(crate) fn goes_on_without(&mut self, node: NodeId) -> bool {
        let (passed, held_up) = (self.now.passed, self.held_up);
        let is_past = self.is_gone(node) || self.view.get(node).is_none();
        let Some(peer) = self.peers.get_mut(&node) else { return false };
        if is_past || peer.grants.is_dropped || !peer.grants.is_silent(held_up, passed) {
            return false;
        }
        peer.grants.go_on_without();
        self.note(Note::Silent(node));
        self.pass_again(node);
        true
    }

    /// The process of this node that was known is gone.
    pub(crate) fn gone(&mut self, node: NodeId, news: News, was_leaving: bool) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.has_left = was_leaving && news == News::Died(node);
            peer.grants.start_over(self.now.passed);
            (peer.is_absent, peer.refused_at) = (false, None);
            peer.dead_since = (news == News::Died(node)).then_some(self.now.passed);
        }
        // Whoever came while it was dead was not told of it.
        self.admitted.remove(&node);
        self.has_nodes_to_tell = true;
        self.pass_again(node);
        if news == News::Died(node) {
            self.note(Note::Dead(node));
        }
    }

    pub(crate) fn begin_again(&mut self, past: Birth) {
        let wall = self.now.wall.as_millis();
        self.birth = Birth(past.0.saturating_add(1).max(wall));
        let status = self.view.get(self.own).map_or(Status::Up, |known| known.status);
        self.view.learn(self.own, Known { birth: self.birth, status });
        self.roster.said_by(self.birth);
        self.is_heard = false;
        for peer in self.peers.values_mut() {
            peer.grants.start_over(self.now.passed);
        }
        self.held_up = self.now.passed;
        self.note(Note::Reborn(self.birth));
    }

    /// Lets go of what has expired, a little at a time.
    pub(crate) fn expire(&mut self) {
        let passed = self.now.passed;
        if passed < self.next_expiry {
            return;
        }
        self.next_expiry = passed.saturating_add(EXPIRE_EVERY);
        self.table.drop_expired(self.now.wall, self.config.skew, MAX_EXPIRED_PER_LOOK);
        self.forget_ends_soon();
    }

    /// For a mutant.
    fn forget_ends_soon(&mut self) {
        if !self.makes(Mutant::ForgetsEndsSoon) {
            return;
        }
        let slots = Slot::all().take(self.ranks.len());
        let ids: Vec<_> = slots
            .flat_map(|slot| self.table.entries(slot, None).filter_map(crate::table::Packed::id))
            .filter(|id| matches!(self.table.get(*id), Some(crate::entry::Entry::Ended { .. })))
            .collect();
        for id in ids {
            self.table.remove(id);
        }
    }
}
