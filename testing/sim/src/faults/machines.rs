//! What happens to machines less often: they stutter, hang for long, die again and again, and their clocks
//! are set anew.

use super::{lasts, pause_until, take_down};
use crate::check::Checked;
use crate::network::{MILLI, Real, SECOND};
use crate::run::Run;
use crate::world::Happening;

/// A machine is held up many times for a moment, as by a busy neighbour or a collector of garbage.
pub(super) fn begin_to_stutter(run: &mut Run) {
    let Some(machine) = any_up(run) else { return };
    run.count("machines that stutter");
    let until = run.world.now + run.world.random.between(SECOND, 4 * SECOND);
    stutter(run, machine, until);
}

/// It is held up once more.
pub(crate) fn stutter(run: &mut Run, machine: usize, until: Real) {
    let now = run.world.now;
    if run.is_peace || now >= until {
        return;
    }
    let goes_on = now + run.world.random.between(10 * MILLI, 180 * MILLI);
    if run.world.is_running(machine) {
        pause_until(run, machine, goes_on);
    }
    let again = goes_on + run.world.random.between(5 * MILLI, 150 * MILLI);
    run.world.at(again, Happening::Stutters(machine, until));
}

/// A machine is stopped for so long that what it holds has expired elsewhere when it goes on, marks of ends
/// among it.
pub(super) fn hang(run: &mut Run) {
    let Some(machine) = any_up(run) else { return };
    run.count("long pauses");
    let until = run.world.now + run.world.random.between(8 * SECOND, 40 * SECOND);
    pause_until(run, machine, until);
}

/// A machine begins to die soon after each start.
pub(super) fn begin_to_flap(run: &mut Run) -> Checked {
    let times = run.world.random.between(3, 6);
    let Some(machine) = any_up(run) else { return Ok(()) };
    if run.is_gentle {
        return Ok(());
    }
    run.count("machines that die again and again");
    flap(run, machine, times)
}

/// It dies once more.
pub(crate) fn flap(run: &mut Run, machine: usize, times: u64) -> Checked {
    if run.is_peace || times == 0 || run.world.up().len() < 2 || !run.world.is_up(machine) {
        return Ok(());
    }
    let absent = run.world.random.between(0, 80 * MILLI);
    let started = take_down(run, machine, false, absent)?;
    let again = started + run.world.random.between(MILLI, 300 * MILLI);
    run.world.at(again, Happening::Flaps(machine, times - 1));
    Ok(())
}

/// All machines lose their power at once, and come back one by one with what their disks kept.
pub(super) fn black_out(run: &mut Run) -> Checked {
    run.count("blackouts");
    if run.world.up().into_iter().any(|machine| !run.world.machines[machine].is_listed) {
        run.count("blackouts of machines that joined");
    }
    run.last_kill = run.world.now;
    for machine in run.world.up() {
        run.world.machines[machine].disturbed = run.world.now;
        let absent = lasts(run);
        run.world.at(run.world.now + absent, Happening::Start(machine));
    }
    run.world.black_out();
    run.look_for_losses(false)
}

/// The clock of a machine is set forward or back; in some worlds so far that it is off by more than may be.
pub(super) fn set_clock(run: &mut Run) {
    let machine = run.world.random.between(0, run.plan.nodes as u64 - 1) as usize;
    if !run.has_bad_clocks || run.world.random.percent(60) {
        let is_forward = run.world.set_clock(machine);
        run.count(if is_forward { "clocks set forward" } else { "clocks set back" });
        return;
    }
    let is_hours = run.world.random.percent(10);
    let seconds = if is_hours { 7200 } else { run.world.random.between(6, 50) };
    let offset = seconds as i64 * 1000;
    let is_forward = run.world.random.percent(50);
    run.count(if is_forward { "clocks far ahead" } else { "clocks far behind" });
    run.world.shift_clock(machine, if is_forward { offset } else { -offset });
    let until = run.world.now + 3 * lasts(run);
    run.world.at(until, Happening::ClockIsSet(machine));
}

fn any_up(run: &mut Run) -> Option<usize> {
    let up: Vec<usize> = run.world.up().into_iter().collect();
    run.world.random.pick(&up).copied()
}
