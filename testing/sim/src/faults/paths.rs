//! What goes wrong between machines, and between them and clients, and is neither a cut of one path nor a
//! machine that is alone.

use super::{cut, lasts, two};
use crate::network::{MILLI, Real};
use crate::run::Run;

/// Where a balancer sends calls, whoever leads their slots by now.
#[derive(Debug)]
pub(crate) struct Table {
    /// For each slot.
    leaders: Vec<usize>,
    until: Real,
}

impl Table {
    /// Where it sends calls of this slot, if it is still in use.
    pub(crate) fn get(&self, slot: u16, now: Real) -> Option<usize> {
        self.leaders.get(usize::from(slot)).copied().filter(|_| now < self.until)
    }
}

/// Two machines are far from each other for a while, in one direction or both.
pub(super) fn slow_path(run: &mut Run) {
    run.count("slow paths");
    let (from, to) = two(run);
    let until = run.world.now + lasts(run);
    run.world.network.slow_down(from, to, until);
    if run.world.random.percent(50) {
        run.world.network.slow_down(to, from, until);
    }
}

/// The machines fall apart into two groups.
pub(super) fn split(run: &mut Run) {
    run.count("splits");
    let until = run.world.now + lasts(run);
    let nodes = run.plan.nodes;
    // Neither nobody nor everybody: bit by bit who is on the one side.
    let sides = run.world.random.between(1, (1 << nodes) - 2);
    let is_over_there = |machine: usize| sides & (1 << machine) != 0;
    for from in 0..nodes {
        for to in 0..nodes {
            if is_over_there(from) != is_over_there(to) {
                cut(run, from, to, until);
            }
        }
    }
}

/// A machine hears nobody, or nobody hears it.
pub(super) fn deafen(run: &mut Run) {
    let nodes = run.plan.nodes;
    let machine = run.world.random.between(0, nodes as u64 - 1) as usize;
    let until = run.world.now + lasts(run);
    let hears_nobody = run.world.random.percent(50);
    run.count(if hears_nobody {
        "machines that hear nobody"
    } else {
        "machines that nobody hears"
    });
    for other in (0..nodes).filter(|other| *other != machine) {
        let (from, to) = if hears_nobody { (other, machine) } else { (machine, other) };
        cut(run, from, to, until);
    }
}

/// The balancer does not learn of new leaders for a while, or sees one machine only.
pub(super) fn forget_leaders(run: &mut Run) {
    let nodes = run.plan.nodes;
    let now = run.world.now;
    let any = run.world.random.between(0, nodes as u64 - 1) as usize;
    let sees_one = run.world.random.percent(30);
    let slots = abide_session::Slot::all().take(usize::from(run.world.slots));
    let leader = |slot| (0..nodes).find(|machine| run.world.leads(*machine, slot)).unwrap_or(any);
    let leaders = slots.map(|slot| if sees_one { any } else { leader(slot) }).collect();
    run.count(if sees_one {
        "balancers that see one machine"
    } else {
        "stale tables of balancers"
    });
    let until = now + 2 * lasts(run);
    run.world
        .trace
        .line(now, || format!("calls go to {leaders:?}, slot by slot, until {} ms", until / MILLI));
    run.table = Some(Table { leaders, until });
}
