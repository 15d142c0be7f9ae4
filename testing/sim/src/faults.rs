//! What goes wrong.

use crate::check::Checked;
use crate::network::{MILLI, Real, SECOND};
use crate::run::Run;
use crate::world::Happening;

/// One thing goes wrong, and soon another.
pub(crate) fn one(run: &mut Run) -> Checked {
    if run.is_peace {
        return Ok(());
    }
    let next = run.world.random.between(200 * MILLI, 2500 * MILLI);
    run.world.at(run.world.now + next, Happening::Fault);
    match run.world.random.between(0, 99) {
        0..25 => kill(run)?,
        25..45 => pause(run),
        45..65 => cut_one(run),
        65..78 => isolate(run),
        78..90 => break_one(run),
        _ => slow(run),
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
    let mut is_safe = !is_recent;
    for number in &up {
        let node = run.world.machines[*number].node.as_mut();
        is_safe = is_safe && node.is_some_and(abide_replica::Node::is_safe_to_stop);
    }
    if up.len() < 2 || (run.is_gentle && !is_safe) {
        return Ok(());
    }
    run.last_kill = run.world.now;
    run.count("kills");
    run.world.machines[machine].disturbed = run.world.now;
    run.world.kill(machine);
    run.look_for_losses(is_safe)?;
    let absent = if run.world.random.percent(30) { 0 } else { lasts(run) };
    let at = run.world.now + absent + run.world.random.between(100, 50 * MILLI);
    run.world.at(at, Happening::Start(machine));
    Ok(())
}

fn pause(run: &mut Run) {
    let up: Vec<usize> = run.world.up().into_iter().collect();
    let Some(machine) = run.world.random.pick(&up).copied() else { return };
    let until = run.world.now + lasts(run).max(100 * MILLI);
    let it = &mut run.world.machines[machine];
    it.paused_until = it.paused_until.max(until);
    it.disturbed = it.paused_until;
    let until = it.paused_until;
    run.count("pauses");
    let at = run.world.now;
    run.world.trace.line(at, || format!("node-{machine} is paused until {} ms", until / MILLI));
    run.world.at(until, Happening::Resume(machine));
}

fn cut(run: &mut Run, from: usize, to: usize, until: Real) {
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
    for machine in 0..run.plan.nodes {
        run.world.machines[machine].paused_until = now;
        run.world.at(now + 1, Happening::Resume(machine));
        run.world.at(now + 2, Happening::Start(machine));
    }
}
