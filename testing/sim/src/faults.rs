//! What goes wrong.

pub(crate) mod machines;
pub(crate) mod paths;

use abide_replica::NodeId;

use crate::check::{Checked, Violation};
use crate::leaving;
use crate::network::{MILLI, Real, SECOND};
use crate::run::Run;
use crate::world::Happening;

/// For how long an operator looks whom he may kill, and how often.
const HUNTS_FOR: Real = 3 * SECOND;
const HUNT_EVERY: Real = 3 * MILLI;
/// How many faults take the power of all machines, where they have disks, in percent.
const BLACKOUTS: u64 = 12;

/// One thing goes wrong, and soon another.
pub(crate) fn one(run: &mut Run) -> Checked {
    if run.is_peace {
        return Ok(());
    }
    let next = run.world.random.between(200 * MILLI, 2500 * MILLI);
    run.world.at(run.world.now + next, Happening::Fault);
    if run.world.has_disks() && run.world.random.percent(BLACKOUTS) {
        return machines::black_out(run);
    }
    let mut chance = run.world.random.between(0, 129);
    if run.plan.lists_stay && (25..78).contains(&chance) {
        chance = 80;
    }
    match chance {
        0..25 => kill(run)?,
        25..45 => pause(run),
        45..65 => cut_one(run),
        65..78 => isolate(run),
        78..88 => break_one(run),
        88..94 => leave(run),
        94..100 => slow(run),
        100..105 => machines::begin_to_stutter(run),
        105 => machines::hang(run),
        106..110 => machines::begin_to_flap(run)?,
        110..115 => machines::set_clock(run),
        115..119 => paths::slow_path(run),
        119..123 => paths::split(run),
        123..126 => paths::deafen(run),
        _ => paths::forget_leaders(run),
    }
    Ok(())
}

fn lasts(run: &mut Run) -> Real {
    let longest = if run.world.random.percent(70) { 1200 * MILLI } else { 5 * SECOND };
    run.world.random.between(50 * MILLI, longest)
}

fn kill(run: &mut Run) -> Checked {
    let up: Vec<usize> = run.world.up().into_iter().collect();
    let Some(machine) = run.world.random.pick(&up).copied() else { return Ok(()) };
    let is_recent = run.world.now - run.last_kill < SECOND && run.last_kill > 0;
    let is_safe = !is_recent && says_safe(run, machine);
    if up.len() < 2 || (run.is_gentle && !is_safe) {
        return Ok(());
    }
    run.count("kills");
    let absent = if run.world.random.percent(30) { 0 } else { lasts(run) };
    let started = take_down(run, machine, is_safe, absent)?;
    if run.is_gentle && run.world.random.percent(50) {
        run.world.at(started, Happening::Hunts(machine, started));
    }
    Ok(())
}

/// A process ends, and another begins after a while, empty: at the time that is returned.
pub(crate) fn take_down(
    run: &mut Run,
    machine: usize,
    is_safe: bool,
    absent: Real,
) -> Result<Real, Violation> {
    run.last_kill = run.world.now;
    run.world.machines[machine].disturbed = run.world.now;
    run.world.kill(machine);
    run.look_for_losses(is_safe)?;
    let at = run.world.now + absent + run.world.random.between(100, 50 * MILLI);
    run.world.at(at, Happening::Start(machine));
    Ok(at)
}

/// After a machine was killed and started again, empty, another one is killed as soon as it says that it
/// may be: it knows of the new process, as it has been told that it is there.
pub(crate) fn hunt(run: &mut Run, last: usize, since: Real) -> Checked {
    let now = run.world.now;
    if run.is_peace || now > since + HUNTS_FOR || !run.world.is_up(last) {
        return Ok(());
    }
    // What it calls itself, which may be another birth than the one it was started with.
    let its_own = |node: &abide_replica::Node| node.view().get(NodeId(last as u16));
    let birth = run.world.machines[last].node.as_ref().and_then(its_own).map(|known| known.birth);
    for machine in run.world.up() {
        let node = run.world.machines[machine].node.as_ref();
        let known = node.and_then(|node| node.view().get(NodeId(last as u16)));
        let is_told = machine != last && known.map(|known| known.birth) == birth;
        if is_told && says_safe(run, machine) {
            run.count("kills as soon as it is safe");
            let absent = lasts(run);
            take_down(run, machine, true, absent)?;
            return Ok(());
        }
    }
    run.world.at(now + HUNT_EVERY, Happening::Hunts(last, since));
    Ok(())
}

/// Whether a machine says that it may be killed.
fn says_safe(run: &mut Run, machine: usize) -> bool {
    let is_running = run.world.is_running(machine);
    let node = run.world.machines[machine].node.as_mut();
    is_running && node.is_some_and(abide_replica::Node::is_safe_to_stop)
}

/// A machine is told to leave, while others stay.
fn leave(run: &mut Run) {
    let others = (0..run.plan.nodes).filter(|machine| run.world.is_running(*machine));
    let staying: Vec<usize> =
        others.filter(|machine| !run.world.machines[*machine].is_leaving).collect();
    let Some(machine) = run.world.random.pick(&staying).copied() else { return };
    if staying.len() > 1 && staying.len() + 1 >= run.plan.nodes {
        leaving::begin(run, machine);
    }
}

fn pause(run: &mut Run) {
    let up: Vec<usize> = run.world.up().into_iter().collect();
    let Some(machine) = run.world.random.pick(&up).copied() else { return };
    let until = run.world.now + lasts(run).max(100 * MILLI);
    run.count("pauses");
    pause_until(run, machine, until);
}

fn pause_until(run: &mut Run, machine: usize, until: Real) {
    let it = &mut run.world.machines[machine];
    it.paused_until = it.paused_until.max(until);
    it.disturbed = it.paused_until;
    let until = it.paused_until;
    let at = run.world.now;
    run.world.trace.line(at, || format!("node-{machine} is paused until {} ms", until / MILLI));
    run.world.at(until, Happening::Resume(machine));
}

pub(crate) fn cut(run: &mut Run, from: usize, to: usize, until: Real) {
    run.world.network.cut(from, to, until);
    let now = run.world.now;
    run.world
        .trace
        .line(now, || format!("node-{from} does not reach node-{to} until {} ms", until / MILLI));
    // After a while the machines give up a connection on which nothing comes through.
    let gives_up = now + run.world.random.between(300 * MILLI, 3 * SECOND);
    if gives_up < until
        && let Some(connection) = run.world.network.connection(from, to)
    {
        run.world.at(gives_up, Happening::Breaks(from, to, connection));
    }
}

fn two(run: &mut Run) -> (usize, usize) {
    let nodes = run.plan.nodes as u64;
    let from = run.world.random.between(0, nodes - 1);
    let to = (from + run.world.random.between(1, nodes - 1)) % nodes;
    (from as usize, to as usize)
}

fn cut_one(run: &mut Run) {
    let (from, to) = two(run);
    let until = run.world.now + lasts(run);
    cut(run, from, to, until);
    if run.world.random.percent(60) {
        run.count("cuts");
        cut(run, to, from, until);
    } else {
        run.count("cuts in one direction");
    }
}

fn isolate(run: &mut Run) {
    run.count("isolations");
    let nodes = run.plan.nodes as u64;
    let alone = run.world.random.between(0, nodes - 1) as usize;
    let until = run.world.now + lasts(run);
    for other in 0..run.plan.nodes {
        if other != alone {
            cut(run, alone, other, until);
            cut(run, other, alone, until);
        }
    }
}

fn break_one(run: &mut Run) {
    run.count("broken connections");
    let (a, b) = two(run);
    run.world.sever(a, b);
}

fn slow(run: &mut Run) {
    run.count("slow networks");
    let nodes = run.plan.nodes as u64;
    let machine = run.world.random.between(0, nodes - 1) as usize;
    let until = run.world.now + lasts(run);
    run.world.network.slow.insert(machine, until);
}

/// Everything is well again, from now on.
pub(crate) fn make_peace(run: &mut Run) {
    let now = run.world.now;
    run.world.trace.line(now, || "peace".into());
    run.world.network.heal();
    run.table = None;
    for machine in 0..run.plan.nodes {
        run.world.machines[machine].paused_until = now;
        if run.world.is_far_off(machine) {
            run.world.set_clock(machine);
        }
        run.world.at(now + 1, Happening::Resume(machine));
        run.world.at(now + 2, Happening::Start(machine));
    }
}
