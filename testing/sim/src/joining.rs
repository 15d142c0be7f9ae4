//! Machines that are in nobody's list: they are started with a list of their own and join while all goes on.

use crate::check::Checked;
use crate::faults;
use crate::network::{MILLI, Real, SECOND};
use crate::run::Run;
use crate::world::Happening;

/// How many join while something stands in their way, in percent.
const IN_A_CUT: u64 = 60;
/// How long a machine waits for another one that it could find.
const FIND_EVERY: Real = 100 * MILLI;

/// Each joins at some time.
pub(crate) fn plan(run: &mut Run) {
    let last = (run.plan.seconds * SECOND / 2).max(4 * SECOND);
    for machine in 0..run.plan.nodes {
        if !run.world.machines[machine].is_listed {
            let at = run.world.random.between(2 * SECOND, last);
            run.world.at(at, Happening::Joins(machine));
        }
    }
}

/// A machine starts that nobody has heard of. Perhaps one of the others hears nothing of it for a while,
/// and all that know it die before that one does.
pub(crate) fn begin(run: &mut Run, joiner: usize) {
    if run.is_peace || run.world.is_up(joiner) {
        return;
    }
    let now = run.world.now;
    if run.world.would_be_alone(joiner) {
        return run.world.at(now + FIND_EVERY, Happening::Joins(joiner));
    }
    run.count("joins");
    run.world.start(joiner);
    let others: Vec<usize> =
        run.world.up().into_iter().filter(|machine| *machine != joiner).collect();
    let Some(apart) = run.world.random.pick(&others).copied() else { return };
    if run.is_gentle || run.plan.lists_stay || !run.world.random.percent(IN_A_CUT) {
        return;
    }
    run.count("joins in a cut");
    let until = now + run.world.random.between(800 * MILLI, 3 * SECOND);
    for other in others.into_iter().filter(|other| *other != apart) {
        faults::cut(run, apart, other, until);
        faults::cut(run, other, apart, until);
    }
    let until_joiner = until + run.world.random.between(0, 3 * SECOND);
    faults::cut(run, apart, joiner, until_joiner);
    faults::cut(run, joiner, apart, until_joiner);
    if run.world.random.percent(70) {
        run.world.at(until, Happening::Strands(joiner, apart));
    }
}

/// A machine starts again, as soon as there is anybody whom it can find.
pub(crate) fn start(run: &mut Run, machine: usize) {
    let now = run.world.now;
    if run.world.would_be_alone(machine) {
        return run.world.at(now + FIND_EVERY, Happening::Start(machine));
    }
    if run.world.has_disks() && !run.world.machines[machine].is_listed {
        run.count("joiners that come back to their disks");
    }
    run.world.start(machine);
}

/// All but these two die.
pub(crate) fn strand(run: &mut Run, joiner: usize, apart: usize) -> Checked {
    if run.is_peace {
        return Ok(());
    }
    let up = run.world.up();
    if !up.contains(&joiner) || !up.contains(&apart) {
        return Ok(());
    }
    run.count("joiners left alone with who did not know them");
    for machine in up.into_iter().filter(|machine| *machine != joiner && *machine != apart) {
        let absent = run.world.random.between(SECOND, 4 * SECOND);
        faults::take_down(run, machine, false, absent)?;
    }
    Ok(())
}
