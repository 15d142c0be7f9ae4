//! Contestants that take turns.
//!
//! A round is many short turns, one contestant after the other, and who begins changes each time:
//! so whatever else the machine does falls on all of them alike. Ratios are taken within a round.
//! Time is the CPU time of this thread, which does not count while somebody else has the core.

use std::time::Duration;

use cpu_time::ThreadTime;

/// Does a number of operations and says how much CPU time that took.
pub type Turn<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// Rounds that count; one before them warms up.
    pub rounds: u32,
    /// Turns of each contestant in a round.
    pub turns: u32,
    /// Operations in a turn.
    pub operations: u32,
}

/// The CPU time that `work` takes on this thread.
pub fn cpu_time(work: impl FnOnce()) -> Duration {
    let start = ThreadTime::now();
    work();
    start.elapsed()
}

/// CPU nanoseconds for an operation: for each contestant, of each round.
pub fn take_turns(contestants: &mut [Turn<'_>], rounds: Rounds) -> Vec<Vec<f64>> {
    let count = contestants.len();
    let mut all = vec![Vec::new(); count];
    for round in 0..=rounds.rounds {
        let mut sums = vec![Duration::ZERO; count];
        for turn in 0..rounds.turns {
            for place in 0..count {
                let who = (place + turn as usize) % count;
                sums[who] += contestants[who](rounds.operations);
            }
        }
        if round == 0 {
            continue;
        }
        let operations = f64::from(rounds.turns) * f64::from(rounds.operations);
        for (rounds_of, sum) in all.iter_mut().zip(sums) {
            rounds_of.push(sum.as_secs_f64() * 1e9 / operations);
        }
    }
    all
}
