//! Connections between machines: ordered, and not to be relied on.
//!
//! A connection carries what is sent in order. When it breaks, what has not arrived never does, and each
//! end learns of it when that can reach it. A cut path holds what is sent, one way or both.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use abide_replica::{Answer, Letter, Message};

use crate::rendering::{STARTED, hash_of};

/// After how many steps of time both ends give up a connection of which a path is cut.
pub(crate) const GIVEN_UP_AFTER: u8 = 8;

/// What comes to a machine from another.
#[derive(Debug)]
pub(crate) enum Item {
    Connected,
    Broken,
    /// Broken, as this end found out alone: that needs no path.
    GivenUp,
    Letter(Letter),
}

/// An item and what tells it from others.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) item: Arc<Item>,
    pub(crate) hash: u64,
}

/// What is on its way from one machine to another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    pub(crate) items: VecDeque<Sent>,
    /// Whether who sends has heard of the connection that there is.
    pub(crate) is_open: bool,
    /// For how long it has been cut, in steps of time.
    pub(crate) cut: Option<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Network {
    machines: usize,
    /// By who sends and who receives.
    paths: Vec<Path>,
    /// Pairs with a connection, the smaller first.
    connections: BTreeSet<(usize, usize)>,
    /// Who has asked for a connection to whom.
    pub(crate) dials: BTreeSet<(usize, usize)>,
}

impl Sent {
    pub(crate) fn new(item: Item) -> Self {
        let hash = hash_of(&item, STARTED);
        Self { item: Arc::new(item), hash }
    }

    /// Whether it is one of the letters that say that somebody is there.
    pub(crate) fn is_ping(&self) -> bool {
        let Item::Letter(letter) = &*self.item else { return false };
        matches!(letter.message, Message::Ping { .. } | Message::Pong { .. })
    }
}

impl Sent {
    /// The answer to a call that it brings, if it brings one.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &*self.item {
            Item::Letter(Letter { message: Message::Answered(_, answer), .. }) => Some(answer),
            _ => None,
        }
    }
}

impl Network {
    pub(crate) fn new(machines: usize) -> Self {
        Self {
            machines,
            paths: vec![Path::default(); machines * machines],
            connections: BTreeSet::new(),
            dials: BTreeSet::new(),
        }
    }

    pub(crate) fn path(&self, from: usize, to: usize) -> &Path {
        &self.paths[from * self.machines + to]
    }

    fn path_mut(&mut self, from: usize, to: usize) -> &mut Path {
        &mut self.paths[from * self.machines + to]
    }

    /// All ways from one machine to another.
    pub(crate) fn ways(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let machines = self.machines;
        let all = (0..machines).flat_map(move |from| (0..machines).map(move |to| (from, to)));
        all.filter(|(from, to)| from != to)
    }

    /// All pairs, the smaller first.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        self.ways().filter(|(a, b)| a < b)
    }

    pub(crate) fn is_connected(&self, a: usize, b: usize) -> bool {
        self.connections.contains(&(a.min(b), a.max(b)))
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize) -> bool {
        self.path(from, to).cut.is_some()
    }

    /// Whether any path is cut.
    pub(crate) fn has_cuts(&self) -> bool {
        self.paths.iter().any(|path| path.cut.is_some())
    }

    /// The longest for which a path has been cut.
    pub(crate) fn longest_cut(&self) -> u8 {
        self.paths.iter().filter_map(|path| path.cut).max().unwrap_or_default()
    }

    /// Whether nothing is on its way, and nobody asks for a connection.
    pub(crate) fn is_quiet(&self) -> bool {
        self.dials.is_empty() && self.paths.iter().all(|path| path.items.is_empty())
    }

    /// Whether both ways of this pair are open.
    pub(crate) fn is_whole(&self, a: usize, b: usize) -> bool {
        !self.is_cut(a, b) && !self.is_cut(b, a)
    }

    /// What arrives next on this way, if anything can.
    pub(crate) fn head(&self, from: usize, to: usize) -> Option<&Sent> {
        let path = self.path(from, to);
        let head = path.items.front()?;
        (path.cut.is_none() || matches!(&*head.item, Item::GivenUp)).then_some(head)
    }

    pub(crate) fn take(&mut self, from: usize, to: usize) -> Option<Sent> {
        let sent = self.path_mut(from, to).items.pop_front()?;
        if matches!(&*sent.item, Item::Connected) {
            self.path_mut(to, from).is_open = true;
        }
        Some(sent)
    }

    /// Sends a letter, if who sends it has a connection, and has not only not heard that it is no more.
    pub(crate) fn send(&mut self, from: usize, to: usize, letter: Sent) {
        let is_connected = self.is_connected(from, to);
        let path = self.path_mut(from, to);
        if is_connected && path.is_open {
            path.items.push_back(letter);
        }
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        self.connections.insert((a.min(b), a.max(b)));
        for (from, to) in [(a, b), (b, a)] {
            let path = self.path_mut(from, to);
            path.is_open = false;
            path.items.push_back(Sent::new(Item::Connected));
        }
    }

    /// Breaks a connection. What is on its way is lost.
    pub(crate) fn sever(&mut self, a: usize, b: usize, is_given_up: bool) {
        if !self.connections.remove(&(a.min(b), a.max(b))) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            let path = self.path_mut(from, to);
            path.is_open = false;
            path.items.clear();
            let item = if is_given_up { Item::GivenUp } else { Item::Broken };
            path.items.push_back(Sent::new(item));
        }
    }

    /// A process is gone: its connections break, and nothing comes to it.
    pub(crate) fn forget(&mut self, machine: usize) {
        for other in (0..self.machines).filter(|other| *other != machine) {
            self.sever(machine, other, false);
            self.path_mut(other, machine).items.clear();
        }
        self.dials.retain(|(from, _)| *from != machine);
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.path_mut(from, to).cut = Some(0);
    }

    pub(crate) fn heal(&mut self) {
        for path in &mut self.paths {
            path.cut = None;
        }
    }

    /// A step of time: gives up connections of which a path has been cut for long. Of cuts that
    /// are older than the longest it does not matter how old they are.
    pub(crate) fn pass(&mut self, longest: u8) {
        for path in &mut self.paths {
            path.cut = path.cut.map(|steps| (steps + 1).min(longest));
        }
        let is_old = |from, to| self.path(from, to).cut >= Some(GIVEN_UP_AFTER);
        let old: Vec<_> = self.pairs().filter(|(a, b)| is_old(*a, *b) || is_old(*b, *a)).collect();
        for (a, b) in old {
            self.sever(a, b, true);
        }
    }

    /// The numbers of pings of one machine to another that are on their way, in pings and in answers.
    pub(crate) fn numbers(&self, from: usize, to: usize) -> Vec<u64> {
        let letters = |from, to| {
            self.path(from, to).items.iter().filter_map(|sent| match &*sent.item {
                Item::Letter(letter) => Some(&letter.message),
                _ => None,
            })
        };
        let pings = letters(from, to).filter_map(|message| match message {
            Message::Ping { number, .. } => Some(*number),
            _ => None,
        });
        let answers = letters(to, from).filter_map(|message| match message {
            Message::Ping { heard, .. } => Some(*heard),
            Message::Pong { number, .. } => Some(*number),
            _ => None,
        });
        pings.chain(answers).collect()
    }

    /// Gives the pings on a way the numbers from 1 on: see [`abide_replica::Node::renumber_pings`].
    pub(crate) fn renumber(&mut self, from: usize, to: usize, ours: &[u64], theirs: &[u64]) {
        let place = |number: u64, kept: &[u64]| {
            kept.binary_search(&number).map_or(0, |place| place as u64 + 1)
        };
        for sent in &mut self.path_mut(from, to).items {
            let Item::Letter(Letter { birth, message }) = &*sent.item else { continue };
            let message = match *message {
                Message::Ping { number, heard, is_whole } => Message::Ping {
                    number: place(number, ours),
                    heard: place(heard, theirs),
                    is_whole,
                },
                Message::Pong { number, era } => {
                    Message::Pong { number: place(number, theirs), era }
                }
                _ => continue,
            };
            *sent = Sent::new(Item::Letter(Letter { birth: *birth, message }));
        }
    }
}

impl Hash for Network {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for path in &self.paths {
            (path.items.len(), path.is_open, path.cut).hash(state);
            for sent in &path.items {
                sent.hash.hash(state);
            }
        }
        (&self.connections, &self.dials).hash(state);
    }
}
