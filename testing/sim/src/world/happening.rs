//! What happens, in the order of time.

use abide_replica::Event;

use crate::network::Real;

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Something reaches the process that a machine had when it was sent.
    Arrives(usize, u64, Box<Event>, Option<u64>),
    /// A connection that was asked for is made or not.
    Dialed(usize, u64, usize),
    Client(usize),
    ClientGivesUp(usize, u64),
    Fault,
    Start(usize),
    Resume(usize),
    Breaks(usize, usize, u64),
    /// An operator looks whether a process that was told to leave at this time has.
    Leaving(usize, u64, Real),
    /// An operator looks whether a machine that was started at this time is ready.
    Rolls(usize, Real),
    /// An operator looks whom he may kill, after a machine was killed and started at this time.
    Hunts(usize, Real),
    /// A machine starts that is in nobody's list.
    Joins(usize),
    /// All but two machines die: one that has joined, and one that may not know it.
    Strands(usize, usize),
    /// A machine that stutters until then is held up once more.
    Stutters(usize, Real),
    /// A machine that dies again and again, so many times more.
    Flaps(usize, u64),
    /// A clock that was far off is set right.
    ClockIsSet(usize),
    /// Time to do something: of the run's own.
    Look,
}

/// When something happens, in which order among what happens then, and what.
#[derive(Debug)]
pub(crate) struct Due(pub(crate) Real, pub(crate) u64, pub(crate) Happening);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
