//! A total order of writes, close to real time.
//!
//! A [`Stamp`] is a hybrid logical clock reading (Kulkarni, Demirbas, Madappa, Avva, Leone:
//! "Logical Physical Clocks", OPODIS 2014): 48 bits of milliseconds, 16 bits that count events
//! within one, and the number of the node that gave it. Stamps of one [`Clock`] only grow, whatever
//! the wall clock does; a stamp given after another was observed is later than it; and no two nodes
//! give the same.

use core::fmt;

use abide_time::Time;

/// When something was written, comparable across nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp {
    /// Milliseconds since the epoch in the upper 48 bits, a counter in the lower 16.
    reading: u64,
    /// Who gave it; decides between equal readings.
    node: u16,
}

impl Stamp {
    /// Before every write: "never written".
    pub const ZERO: Self = Self { reading: 0, node: 0 };
    /// After every write. No clock ever gives it: it is what an ended session is cleared to.
    pub const MAX: Self = Self { reading: u64::MAX, node: u16::MAX };

    /// The stamp with this reading, given by this node. A store that keeps stamps of its own (a
    /// version column, say) builds them with it.
    pub const fn new(reading: u64, node: u16) -> Self {
        Self { reading, node }
    }

    /// The clock reading: 48 bits of milliseconds and 16 of counter.
    pub const fn reading(self) -> u64 {
        self.reading
    }

    /// The number of the node that gave it.
    pub const fn node(self) -> u16 {
        self.node
    }

    /// The latest stamp that is earlier than this one; [`Stamp::ZERO`] has none and stays.
    pub const fn before(self) -> Self {
        if self.node > 0 {
            Self { reading: self.reading, node: self.node.saturating_sub(1) }
        } else if self.reading > 0 {
            Self { reading: self.reading.saturating_sub(1), node: u16::MAX }
        } else {
            self
        }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAX {
            return f.write_str("end");
        }
        write!(f, "{}.{}@{}", self.reading >> COUNTER_BITS, self.reading & COUNTER_MASK, self.node)
    }
}

/// A value and when it was written. The later write wins; of two writes with one stamp, the greater
/// value, so that every node decides alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub struct Stamped<T> {
    /// When it was written.
    pub stamp: Stamp,
    /// What was written.
    pub value: T,
}

impl<T> Stamped<T> {
    /// This value, written at `stamp`.
    pub const fn new(stamp: Stamp, value: T) -> Self {
        Self { stamp, value }
    }
}

impl<T: Ord> Stamped<T> {
    /// Takes `other` if it is the later write.
    pub fn merge(&mut self, other: Self) {
        if other > *self {
            *self = other;
        }
    }
}

/// Gives stamps. One per point of serialisation: a store, or a node.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Invariant: no stamp given so far has a greater reading.
    last: u64,
    node: u16,
}

impl Clock {
    /// A clock that signs its stamps with `node`.
    pub const fn new(node: u16) -> Self {
        Self { last: 0, node }
    }

    /// A stamp later than every one this clock has given or observed, and not before `now`.
    ///
    /// If more than 65,536 are asked for within a millisecond, the count runs over into the next
    /// one: stamps then lead the wall clock until it catches up.
    pub fn tick(&mut self, now: Time) -> Stamp {
        self.last = self.last.saturating_add(1).max(physical(now)).min(LAST_READING);
        Stamp { reading: self.last, node: self.node }
    }

    /// Takes note of another node's stamp, so that the next tick is later.
    ///
    /// False, and nothing noted, if the stamp leads `now` by more than [`MAX_CLOCK_LEAD_MS`]: one
    /// node with a broken clock must not drag all others into the future. [`Stamp::MAX`] is a mark,
    /// not a reading, and is accepted without effect.
    pub fn observe(&mut self, stamp: Stamp, now: Time) -> bool {
        if stamp == Stamp::MAX {
            return true;
        }
        let limit = physical(Time::from_millis(now.as_millis().saturating_add(MAX_CLOCK_LEAD_MS)));
        if stamp.reading > limit {
            return false;
        }
        self.last = self.last.max(stamp.reading);
        true
    }
}

/// How far another node's clock may lead: a minute is far more than any synchronised clock is off.
pub const MAX_CLOCK_LEAD_MS: u64 = 60_000;

const COUNTER_BITS: u32 = 16;
const COUNTER_MASK: u64 = (1 << COUNTER_BITS) - 1;
/// The reading before that of [`Stamp::MAX`], which no clock may give.
const LAST_READING: u64 = u64::MAX - 1;
/// 48 bits of milliseconds last until the year 10889.
const LAST_MILLIS: u64 = (1 << 48) - 1;

fn physical(now: Time) -> u64 {
    now.as_millis().min(LAST_MILLIS) << COUNTER_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_grow_when_the_wall_clock_stands_still_or_goes_back() {
        let mut clock = Clock::new(7);
        let first = clock.tick(Time::from_millis(1000));
        let second = clock.tick(Time::from_millis(1000));
        let third = clock.tick(Time::from_millis(1));
        assert!(first < second && second < third);
    }

    #[test]
    fn a_stamp_is_later_than_what_was_observed() {
        let now = Time::from_millis(1000);
        let theirs = Clock::new(1).tick(Time::from_millis(1500));
        let mut ours = Clock::new(0);
        assert!(ours.observe(theirs, now));
        assert!(ours.tick(now) > theirs);
    }

    #[test]
    fn a_clock_far_in_the_future_is_not_followed() {
        let now = Time::from_secs(1000);
        let far = Clock::new(1).tick(Time::from_millis(1_000_000 + MAX_CLOCK_LEAD_MS + 1));
        let mut ours = Clock::new(0);
        assert!(!ours.observe(far, now));
        assert!(ours.tick(now) < far);
    }

    #[test]
    fn no_clock_ever_reaches_the_end() {
        let mut clock = Clock { last: u64::MAX - 2, node: u16::MAX };
        for _ in 0..5 {
            assert!(clock.tick(Time::MAX) < Stamp::MAX);
        }
        assert!(clock.observe(Stamp::MAX, Time::EPOCH));
        assert!(clock.tick(Time::MAX) < Stamp::MAX);
    }

    #[test]
    fn the_stamp_before_is_the_very_one_before() {
        assert_eq!(Stamp::new(5, 3).before(), Stamp::new(5, 2));
        assert_eq!(Stamp::new(5, 0).before(), Stamp::new(4, u16::MAX));
        assert_eq!(Stamp::ZERO.before(), Stamp::ZERO);
    }
}
