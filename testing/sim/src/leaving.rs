//! Machines that are stopped as an operator does it: told to leave, ended when nobody needs them any
//! more, started again empty. In a rolling restart that is all that happens, one machine after another.

use abide_replica::{Event, Node};

use crate::check::{self, Checked};
use crate::faults;
use crate::network::{MILLI, Real, SECOND};
use crate::run::Run;
use crate::world::Happening;

/// How long a machine may take to leave, and another to be ready after its start.
pub(crate) const PATIENCE: Real = 30 * SECOND;
/// How often the operator looks.
const LOOK_EVERY: Real = 10 * MILLI;
/// How soon after a death what a machine says of others may be older than it.
const KNOWN_AFTER: Real = SECOND;

/// A machine is told to leave.
pub(crate) fn begin(run: &mut Run, machine: usize) {
    run.count("leaves");
    let (now, process) = (run.world.now, run.world.machines[machine].process);
    run.world.trace.line(now, || format!("node-{machine} is told to leave"));
    run.world.machines[machine].is_leaving = true;
    run.world.give(machine, Event::Leave, None);
    run.world.at(now + LOOK_EVERY, Happening::Leaving(machine, process, now));
}

/// The operator looks whether a machine has left. If it has, it gets no more calls, and is ended when it
/// has answered those that it has.
pub(crate) fn look(run: &mut Run, machine: usize, process: u64, since: Real) -> Checked {
    if run.world.machines[machine].process != process || !run.world.is_up(machine) {
        return Ok(());
    }
    let now = run.world.now;
    let has_left = run.world.is_running(machine) && ask(run, machine, Node::has_left);
    let is_late = now >= since + PATIENCE;
    if run.plan.is_rolling {
        check::who_leaves_has_left_in_time(has_left || !is_late, machine)?;
    }
    let it = &mut run.world.machines[machine];
    it.is_closed |= has_left;
    // In peace clients go no further.
    let is_toured = !run.is_peace && run.tours.values().any(|tour| tour.is_at(machine));
    let is_used = is_toured || run.open.values().any(|open| open.machine == machine);
    if is_late || (has_left && !is_used) {
        let is_known = run.last_kill == 0 || now >= run.last_kill + KNOWN_AFTER;
        run.count(if has_left { "machines that left" } else { "machines that could not leave" });
        let absent = run.world.random.between(5 * MILLI, 500 * MILLI);
        // The last of all has nobody to leave its sessions to.
        let is_safe = is_known && ask(run, machine, Node::is_safe_to_stop);
        let started = faults::take_down(run, machine, has_left && is_safe, absent)?;
        if run.plan.is_rolling {
            run.world.at(started + LOOK_EVERY, Happening::Rolls(machine, started));
        }
    } else {
        run.world.at(now + LOOK_EVERY, Happening::Leaving(machine, process, since));
    }
    Ok(())
}

/// In a rolling restart: the machine that was started last is ready, and the next one has to go.
pub(crate) fn roll(run: &mut Run, last: usize, since: Real) -> Checked {
    let now = run.world.now;
    let is_ready = ask(run, last, Node::is_ready);
    check::who_starts_is_ready_in_time(is_ready || now < since + PATIENCE, last)?;
    if run.is_peace {
        return Ok(());
    }
    if is_ready {
        run.count("machines that were ready again");
        begin(run, (last + 1) % run.plan.nodes);
    } else {
        run.world.at(now + LOOK_EVERY, Happening::Rolls(last, since));
    }
    Ok(())
}

fn ask(run: &mut Run, machine: usize, what: impl FnOnce(&mut Node) -> bool) -> bool {
    run.world.machines[machine].node.as_mut().is_some_and(what)
}
