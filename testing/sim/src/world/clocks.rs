//! Wall clocks: they are off, drift, and are set forward and back.
//!
//! What a cluster promises, it promises for clocks that differ by no more than the skew that its nodes
//! are told. If one is off by more, what its machine may do wrong is to let go of sessions, and of the marks
//! of their ends, by as much too early as that: all else holds. So the checkers ask for how much the
//! clocks have been off ([`World::skew_ms`]), and excuse only what is that near to its end.

use abide_replica::Birth;

use super::{Machine, World};
use crate::clients::SKEW_MS;
use crate::random::Random;

/// By how much a clock is off, in milliseconds, and how fast it drifts: ordinary ones, and those that run
/// wild. Two of a kind differ by less than the skew for as long as a run takes.
const ORDINARY: (u64, u64) = (2000, 1000);
const FAST: (u64, u64) = (1600, 10_000);

/// How far a clock is off, in milliseconds, and how fast it drifts, in millionths.
pub(super) fn draw(random: &mut Random) -> (i64, i64) {
    let (offset, drift) = if random.percent(20) { FAST } else { ORDINARY };
    (within(random, offset), within(random, drift))
}

/// Between minus this and this.
fn within(random: &mut Random, most: u64) -> i64 {
    random.between(0, 2 * most) as i64 - most as i64
}

impl World {
    /// Sets the wall clock of a machine anew, to where it may be. True if that is later than before.
    pub(crate) fn set_clock(&mut self, machine: usize) -> bool {
        let before = self.machines[machine].offset;
        let offset = within(&mut self.random, FAST.0);
        self.shift_clock(machine, offset);
        offset > before
    }

    /// Whether it is off by more than may be.
    pub(crate) fn is_far_off(&self, machine: usize) -> bool {
        self.machines[machine].offset.unsigned_abs() > ORDINARY.0
    }

    /// Sets the wall clock of a machine, off by so much.
    pub(crate) fn shift_clock(&mut self, machine: usize, offset: i64) {
        let before = self.machines[machine].offset;
        self.machines[machine].offset = offset;
        if self.is_far_off(machine) {
            // And what it drifts besides, and how far off the others are.
            self.widest_ms = self.widest_ms.max(offset.unsigned_abs() + SKEW_MS);
        }
        let now = self.now;
        self.trace.line(now, || {
            format!("the clock of node-{machine} is set from {before} ms to {offset} ms off")
        });
    }

    /// By how much any two clocks may have differed so far, the client's included.
    pub(crate) const fn skew_ms(&self) -> u64 {
        if self.widest_ms > SKEW_MS { self.widest_ms } else { SKEW_MS }
    }

    /// Whether some clock has been off by more than is promised to be borne.
    pub(crate) const fn was_far_off(&self) -> bool {
        self.widest_ms > SKEW_MS
    }
}

impl Machine {
    /// What a process that starts now calls itself: what the clock says, which may be earlier than what the
    /// process before said. That two of them say the same is not played: a process takes longer to start
    /// than a millisecond, and a clock would have to be set back to the very same one.
    pub(super) fn next_birth(&mut self, wall: u64) -> Birth {
        let mut birth = wall;
        while !self.births.insert(birth) {
            birth += 1;
        }
        Birth(birth)
    }
}
