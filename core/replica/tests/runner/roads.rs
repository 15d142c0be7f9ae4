//! What lies between machines: connections, cuts, and letters that wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use abide_replica::Letter;

/// From which machine to which.
pub(crate) type Road = (usize, usize);

/// What lies between machines.
#[derive(Debug, Default)]
pub(crate) struct Roads {
    /// Pairs with a connection, the smaller first.
    connections: BTreeSet<Road>,
    cut: BTreeSet<Road>,
    held: BTreeSet<Road>,
    /// Letters that have not arrived, in their order.
    waiting: BTreeMap<Road, VecDeque<Letter>>,
    /// Who has not heard that its connection to whom is no more.
    unaware: BTreeSet<Road>,
}

impl Roads {
    pub(crate) fn is_connected(&self, one: usize, other: usize) -> bool {
        self.connections.contains(&pair(one, other))
    }

    pub(crate) fn connect(&mut self, one: usize, other: usize) {
        self.connections.insert(pair(one, other));
        for road in [(one, other), (other, one)] {
            self.waiting.remove(&road);
            self.unaware.remove(&road);
        }
    }

    /// Ends a connection; letters on it are lost. True if there was one.
    pub(crate) fn disconnect(&mut self, one: usize, other: usize) -> bool {
        self.waiting.remove(&(one, other));
        self.waiting.remove(&(other, one));
        self.connections.remove(&pair(one, other))
    }

    pub(crate) fn cut(&mut self, road: Road) {
        self.cut.insert(road);
    }

    pub(crate) fn is_cut(&self, road: Road) -> bool {
        self.cut.contains(&road)
    }

    /// Whether there is a way there and back.
    pub(crate) fn is_open(&self, one: usize, other: usize) -> bool {
        !self.is_cut((one, other)) && !self.is_cut((other, one))
    }

    pub(crate) fn hold(&mut self, road: Road) {
        self.held.insert(road);
    }

    pub(crate) fn release(&mut self, road: Road) {
        self.held.remove(&road);
    }

    /// Whether a letter would arrive at once.
    pub(crate) fn is_clear(&self, road: Road) -> bool {
        !self.is_cut(road) && !self.held.contains(&road) && !self.waiting.contains_key(&road)
    }

    pub(crate) fn keep(&mut self, road: Road, letter: Letter) {
        self.waiting.entry(road).or_default().push_back(letter);
    }

    /// The letter that has waited longest.
    pub(crate) fn next(&mut self, road: Road) -> Option<Letter> {
        let letters = self.waiting.get_mut(&road)?;
        let letter = letters.pop_front();
        if letters.is_empty() {
            self.waiting.remove(&road);
        }
        letter
    }

    pub(crate) fn letters(&self, road: Road) -> impl Iterator<Item = &Letter> {
        self.waiting.get(&road).into_iter().flatten()
    }

    pub(crate) fn does_not_hear_of(&mut self, end: Road) {
        self.unaware.insert(end);
    }

    /// Nothing is cut any more: who hears only now that a connection is gone, and the roads on which letters
    /// that waited arrive.
    pub(crate) fn heal(&mut self) -> (BTreeSet<Road>, Vec<Road>) {
        self.cut.clear();
        let arriving = self.waiting.keys().filter(|road| !self.held.contains(road)).copied();
        let arriving = arriving.collect();
        (std::mem::take(&mut self.unaware), arriving)
    }
}

fn pair(one: usize, other: usize) -> Road {
    (one.min(other), one.max(other))
}
