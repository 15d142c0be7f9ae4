//! Connections between machines: ordered, slow, and not to be relied on.
//!
//! A connection carries what is sent in order. When it breaks, what has not arrived never does. A cut
//! path holds what is sent, one way or both, until it is healed or the machines give up.

use std::collections::BTreeMap;

use crate::random::Random;

/// Microseconds of real time since the run began.
pub(crate) type Real = u64;

pub(crate) const MILLI: Real = 1000;
pub(crate) const SECOND: Real = 1_000_000;

#[derive(Debug, Default)]
pub(crate) struct Network {
    /// The connection of a pair, the smaller first.
    connections: BTreeMap<(usize, usize), u64>,
    /// Connections that are no more, and since when.
    broken: BTreeMap<u64, Real>,
    next: u64,
    /// When the last thing arrives, by who gets it and from whom.
    last: BTreeMap<(usize, usize), Real>,
    /// Paths that are cut, until when.
    cuts: BTreeMap<(usize, usize), Real>,
    /// Machines with a slow network, until when.
    pub(crate) slow: BTreeMap<usize, Real>,
    /// Whether nothing takes longer than usual, ever.
    pub(crate) is_even: bool,
    /// Paths that are long, until when.
    long: BTreeMap<(usize, usize), Real>,
}

impl Network {
    pub(crate) fn connection(&self, a: usize, b: usize) -> Option<u64> {
        self.connections.get(&(a.min(b), a.max(b))).copied()
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) -> u64 {
        self.next += 1;
        self.connections.insert((a.min(b), a.max(b)), self.next);
        self.next
    }

    /// Breaks the connection of a pair. True if there was one.
    pub(crate) fn sever(&mut self, a: usize, b: usize, now: Real) -> bool {
        let Some(connection) = self.connections.remove(&(a.min(b), a.max(b))) else { return false };
        self.broken.insert(connection, now);
        true
    }

    /// Whether what was sent on this connection and is due at `at` arrives.
    pub(crate) fn carries(&self, connection: u64, at: Real) -> bool {
        self.broken.get(&connection).is_none_or(|since| at <= *since)
    }

    pub(crate) fn cut(&mut self, from: usize, to: usize, until: Real) {
        let cut = self.cuts.entry((from, to)).or_default();
        *cut = (*cut).max(until);
    }

    pub(crate) fn is_cut(&self, from: usize, to: usize, now: Real) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|until| *until > now)
    }

    /// What goes this way takes long, until then.
    pub(crate) fn slow_down(&mut self, from: usize, to: usize, until: Real) {
        self.long.insert((from, to), until);
    }

    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
        self.long.clear();
        self.slow.clear();
    }

    /// When something that leaves now arrives; never before what left earlier.
    pub(crate) fn arrival(
        &mut self,
        from: usize,
        to: usize,
        now: Real,
        random: &mut Random,
    ) -> Real {
        let leaves = self.cuts.get(&(from, to)).copied().unwrap_or_default().max(now);
        let is_slow = [from, to].iter().any(|m| self.slow.get(m).is_some_and(|u| *u > now));
        let mut delay = random.between(150, 900);
        if is_slow {
            delay = delay * 10 + random.between(0, 20 * MILLI);
        }
        if self.long.get(&(from, to)).is_some_and(|until| *until > now) {
            delay += random.between(20 * MILLI, 120 * MILLI);
        }
        if !self.is_even && random.percent(1) {
            delay += random.between(0, 30 * MILLI);
        }
        let last = self.last.entry((from, to)).or_default();
        *last = (leaves + delay).max(*last + 1);
        *last
    }

    /// After a machine was started anew, nothing of before is ahead of what comes.
    pub(crate) fn forget(&mut self, machine: usize, now: Real) {
        for ((from, to), last) in &mut self.last {
            if *from == machine || *to == machine {
                *last = (*last).min(now);
            }
        }
    }
}
