//! The thread of a node: inputs go to the state machine one after the other, and what it wants done is
//! done.
//!
//! Everything that can happen comes in one queue. Whatever has come when the thread looks is taken
//! together, and what is to be sent for all of it goes out in one piece to each node: so under load there
//! are many letters in one write.
//!
//! Of two connections with one node, which come about when both dial, both ends keep the same: that of
//! a later process, or else the one made by the node of the lower number.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use abide_replica::{Action, Answer, Call, Event, Found, Letter, Moment, Node, NodeId, Survey};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::connect::Connector;
use crate::home::Home;
use crate::identity::Identity;
use crate::journal::Journal;
use crate::link::{Fresh, Link, append};

/// Something that comes to a node.
pub(crate) enum Input {
    Call(Call, oneshot::Sender<Answer>),
    Survey(Survey, oneshot::Sender<Option<Found>>),
    /// Nothing comes back of this node. False if it can be talked to.
    Lost(NodeId, oneshot::Sender<bool>),
    /// Gives everything away, and says when that is done.
    Leave(oneshot::Sender<()>),
    /// A question about the node itself.
    Look(Look),
    /// There is a connection.
    Up(Fresh),
    /// What came on that connection.
    Letters(NodeId, u64, Vec<Letter>),
    /// That connection is no more.
    Down(NodeId, u64),
    Refused(NodeId),
    Unreachable(NodeId),
}

/// Looks at a node, and says what it has seen.
pub(crate) type Look = Box<dyn FnOnce(&mut Node) + Send>;

/// Inputs that wait: as many as come while the thread does what a round of pings has for it.
pub(crate) const MAX_INPUTS: usize = 8192;
/// Inputs that are taken together.
const INPUTS_AT_ONCE: usize = 256;

pub(crate) struct Shell {
    node: Node,
    clock: Clock,
    connector: Arc<Connector>,
    links: BTreeMap<NodeId, Link>,
    /// What is to be sent when all that has come is done.
    frames: BTreeMap<NodeId, Vec<u8>>,
    calls: BTreeMap<u64, oneshot::Sender<Answer>>,
    surveys: BTreeMap<u64, oneshot::Sender<Option<Found>>>,
    /// Who waits until this node has left.
    leaving: Vec<oneshot::Sender<()>>,
    last_number: u64,
    wake: Instant,
    home: Arc<Home>,
    /// None: the node keeps its sessions in memory alone.
    journal: Option<Journal>,
}

impl Shell {
    /// A node that begins when it is run. `make` makes the state machine of what time it is.
    pub(crate) fn new(
        connector: Arc<Connector>,
        home: Arc<Home>,
        journal: Option<Journal>,
        make: impl FnOnce(Moment) -> Node,
    ) -> Self {
        let clock = Clock::start();
        Self {
            node: make(clock.now()),
            clock,
            connector,
            links: BTreeMap::new(),
            frames: BTreeMap::new(),
            calls: BTreeMap::new(),
            surveys: BTreeMap::new(),
            leaving: Vec::new(),
            last_number: 0,
            wake: clock.at(Duration::ZERO),
            home,
            journal,
        }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(
        mut self,
        listener: TcpListener,
        mut inputs: mpsc::Receiver<Input>,
        stop: &Notify,
    ) {
        let listening = tokio::spawn(Arc::clone(&self.connector).listen(listener));
        if let Some(renewal) = self.connector.identity.as_ref().and_then(Identity::renewal) {
            let _watching = tokio::spawn(Arc::clone(renewal).watch());
        }
        let mut taken = Vec::with_capacity(INPUTS_AT_ONCE);
        loop {
            let journal_due = self.journal.as_ref().map(Journal::due);
            tokio::select! {
                biased;
                () = stop.notified() => break,
                () = tokio::time::sleep_until(self.wake) => {
                    self.step(Event::Woken);
                    self.say_if_left();
                }
                _count = inputs.recv_many(&mut taken, INPUTS_AT_ONCE) => {
                    for input in taken.drain(..) {
                        self.take(input);
                    }
                }
                () = until(journal_due) => {}
            }
            self.flush();
            if let Some(journal) = &mut self.journal {
                journal.append(&mut self.node);
                journal.go_on(&self.node);
            }
        }
        // At once, and not after all sessions have been let go: by a refused connection others know.
        listening.abort();
        let _aborted = listening.await;
        if let Some(journal) = self.journal {
            journal.stop();
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Call(call, answer) => {
                let number = self.next_number();
                self.calls.insert(number, answer);
                self.step(Event::Call(number, call));
            }
            Input::Survey(survey, answer) => {
                let number = self.next_number();
                self.surveys.insert(number, answer);
                self.step(Event::Survey(number, survey));
            }
            Input::Leave(left) => {
                self.leaving.push(left);
                self.step(Event::Leave);
            }
            Input::Lost(peer, told) => {
                let is_here = self.node.is_here(peer);
                self.step(Event::Lost(peer));
                let _ = told.send(!is_here);
            }
            Input::Look(look) => look(&mut self.node),
            Input::Up(fresh) => self.connect(fresh),
            Input::Letters(peer, number, letters) => {
                self.connector.counts.letters_received(letters.len());
                for letter in letters {
                    // The one before may have ended the connection.
                    if self.is_current(peer, number) {
                        self.step(Event::Received(peer, letter));
                    }
                }
            }
            Input::Down(peer, number) => {
                if self.is_current(peer, number) {
                    self.disconnect(peer);
                }
            }
            Input::Refused(peer) => self.step(Event::Refused(peer)),
            Input::Unreachable(peer) => self.step(Event::Unreachable(peer)),
        }
    }

    fn connect(&mut self, fresh: Fresh) {
        let (peer, own) = (fresh.met.peer, self.connector.nodes.own());
        if self.is_twin(&fresh) {
            return;
        }
        if let Some(link) = self.links.get(&peer) {
            let dialer_of = |is_dialed| if is_dialed { own } else { peer };
            let (old, new) = (dialer_of(link.is_dialed), dialer_of(fresh.met.is_dialed));
            if (fresh.met.birth, old) < (link.birth, new) {
                return;
            }
        }
        let contact = fresh.contact.clone();
        self.step(Event::Met(contact.clone()));
        if self.node.roster().name(peer) != contact.name {
            // Another one of its number, or too many, came in between. It asks again, and is told.
            return;
        }
        let (node, counts) = (self.connector.node.clone(), Arc::clone(&self.connector.counts));
        self.frames.remove(&peer);
        self.links.insert(peer, Link::start(fresh, node, counts));
        self.step(Event::Connected(peer));
    }

    /// Whether somebody goes by the name of a node that runs elsewhere.
    fn is_twin(&self, fresh: &Fresh) -> bool {
        let Fresh { met, contact, .. } = fresh;
        let known = self.connector.nodes.address(met.peer);
        let is_elsewhere = known.is_some_and(|known| known != contact.address);
        let is_other = self.links.get(&met.peer).is_some_and(|link| link.birth != met.birth);
        let is_twin = is_elsewhere && is_other && self.node.hears(met.peer);
        if is_twin {
            let (name, address) = (&contact.name, &contact.address);
            self.connector.counts.warn_once(name, address, || {
                tracing::warn!(
                    node = name,
                    address,
                    "another node of a name that is taken; give it a name of its own"
                );
            });
        }
        is_twin
    }

    fn disconnect(&mut self, peer: NodeId) {
        self.links.remove(&peer);
        self.frames.remove(&peer);
        self.step(Event::Broken(peer));
    }

    fn step(&mut self, event: Event) {
        for action in self.node.step(self.clock.now(), event) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(peer, letter) => {
                if !append(&letter, self.frames.entry(peer).or_default()) {
                    tracing::error!("a letter to another node was too long, and was not sent");
                }
                self.connector.counts.letter_sent();
            }
            Action::Dial(peer) => {
                let _dialing = tokio::spawn(Arc::clone(&self.connector).dial(peer));
            }
            Action::Know(contact) => {
                let is_new = self.connector.nodes.address(contact.node).is_none();
                self.connector.nodes.know(contact);
                if is_new {
                    self.home.know(&self.connector.nodes.names());
                }
            }
            Action::Forget(node) => {
                self.connector.nodes.forget(node);
                self.home.know(&self.connector.nodes.names());
            }
            Action::Answer(number, answer) => {
                self.connector.counts.answered(&answer);
                if let Some(asker) = self.calls.remove(&number) {
                    // Who does not wait any more does not need it.
                    let _ = asker.send(answer);
                }
            }
            Action::Surveyed(number, found) => {
                if let Some(asker) = self.surveys.remove(&number) {
                    let _ = asker.send(found);
                }
            }
            Action::Wake(at) => self.wake = self.clock.at(at),
            Action::Note(note) => {
                self.connector.counts.note(note);
                self.tell(note);
            }
        }
    }

    fn tell(&self, note: abide_replica::Note) {
        use abide_replica::Note;
        let name = |node| self.connector.nodes.name(node);
        match note {
            Note::Leads { slot, .. } => self.home.leads(slot, true),
            Note::SteppedDown(slot) => self.home.leads(slot, false),
            Note::Silent(node) => {
                tracing::warn!(node = name(node), "another node is silent; going on without it");
            }
            Note::Admitted(node) => tracing::info!(node = name(node), "all nodes know this one"),
            Note::Clash(node) => {
                tracing::error!(
                    node = name(node),
                    "another node has a name of the same number; give it another name"
                );
            }
            Note::Dead(node) => tracing::warn!(node = name(node), "another node is dead"),
            Note::Reborn(birth) => {
                self.connector.birth.store(birth.0, Ordering::Relaxed);
                tracing::warn!("others took this process for dead; it has begun again");
            }
            other => tracing::trace!(?other, "node"),
        }
    }

    /// Looked at once a round: it takes a look at all slots.
    fn say_if_left(&mut self) {
        if !self.leaving.is_empty() && self.node.has_left() {
            for left in self.leaving.drain(..) {
                let _ = left.send(());
            }
        }
    }

    fn flush(&mut self) {
        while let Some((peer, frames)) = self.frames.pop_first() {
            // Who takes nothing is better off with a new connection. There is more to say to the others then.
            if self.links.get(&peer).is_some_and(|link| !link.send(frames)) {
                self.disconnect(peer);
            }
        }
    }

    fn is_current(&self, peer: NodeId, number: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.number == number)
    }

    const fn next_number(&mut self) -> u64 {
        self.last_number = self.last_number.wrapping_add(1);
        self.last_number
    }
}

/// Waits until then, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
