//! A cluster of many nodes and sessions: how evenly they are spread, what is moved when a node comes or
//! goes, and what nodes say to each other.
//!
//! The nodes are real, all slots are there, and letters are measured as the bytes that they are. Time is that
//! of the machines, but for what says otherwise.

mod cluster;
mod figures;

use crate::check::{Checked, Violation};
use crate::network::{MILLI, Real, SECOND};
use crate::world::{Kind, Meter, Traffic};
use cluster::{Cluster, Where, broken};
pub use figures::{Figures, table};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct ScalePlan {
    /// What chance follows from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// How many sessions, each on two nodes.
    pub sessions: usize,
}

/// How long nobody asks for anything while what is said then is counted.
const IDLE: Real = 10 * SECOND;
/// Reads, and writes, of which the mean is taken.
const ASKED: usize = 2000;
/// How long anything may take.
const PATIENCE: Real = 120 * SECOND;

/// Measures it.
///
/// # Errors
/// Something did not come to its end, an invariant was broken, or an answer was not the one of a
/// cluster in which all is well.
pub fn scale(plan: ScalePlan) -> Result<Figures, Violation> {
    let mut figures = Figures::new(plan.nodes);
    let mut cluster = Cluster::start(plan)?;
    figures.one("start", "start: until all are ready, ms", millis(cluster.world.now));
    cluster.fill()?;
    placement(&cluster, &mut figures);
    memory(&cluster, &mut figures);
    idle(&mut cluster, &mut figures)?;
    calls(&mut cluster, &mut figures)?;
    death(&mut cluster, &mut figures)?;
    arrival(&mut cluster, &mut figures)?;
    departure(&mut cluster, &mut figures)?;
    Ok(figures)
}

fn millis(time: Real) -> f64 {
    time as f64 / MILLI as f64
}

fn placement(cluster: &Cluster, figures: &mut Figures) {
    let mut slots = vec![0; cluster.plan.nodes];
    let mut sessions = vec![0; cluster.plan.nodes];
    for (slot, leader) in cluster.leaders() {
        slots[leader] += 1;
        sessions[leader] += cluster.table(leader).map_or(0, |table| table.len_of(slot));
    }
    let nodes = 0..cluster.plan.nodes;
    let copies: Vec<usize> =
        nodes.map(|node| cluster.table(node).map_or(0, abide_replica::Table::len)).collect();
    figures.spread("slots_led", "slots led by a node", &slots);
    figures.spread("sessions_led", "sessions led by a node", &sessions);
    figures.spread("copies", "copies on a node", &copies);
}

/// As the tables count it: what a process grows by says little after all that was said at its start.
fn memory(cluster: &Cluster, figures: &mut Figures) {
    let tables = (0..cluster.plan.nodes).filter_map(|node| cluster.table(node));
    let (bytes, copies) =
        tables.fold((0, 0), |(bytes, copies), table| (bytes + table.bytes(), copies + table.len()));
    let each = bytes as f64 / copies.max(1) as f64;
    figures.one("memory", "memory of a copy, bytes", each);
}

/// What is said while nobody asks for anything.
fn idle(cluster: &mut Cluster, figures: &mut Figures) -> Checked {
    cluster.world.meter = Some(Meter::default());
    let until = cluster.world.now + IDLE;
    cluster.go_on_until(until)?;
    let meter = cluster.world.meter.take().unwrap_or_default();
    let each =
        |number: u64| number as f64 / cluster.plan.nodes as f64 / (IDLE as f64 / SECOND as f64);
    let pings = meter.of(&[Kind::Pings]);
    let others = meter.of(&[Kind::Views, Kind::Calls, Kind::Changes, Kind::Copies]);
    figures.one("idle_letters", "idle, of a node in a second: letters", each(pings.letters));
    figures.one("idle_bytes", "idle, of a node in a second: bytes", each(pings.bytes));
    figures.one(
        "idle_others",
        "idle, of a node in a second: letters that are no pings",
        each(others.letters),
    );
    Ok(())
}

/// What a read and a write make nodes say, where the slot is led and elsewhere.
fn calls(cluster: &mut Cluster, figures: &mut Figures) -> Checked {
    for (is_write, at, key, label) in [
        (false, Where::Leader, "read_at_leader", "a read where its slot is led"),
        (false, Where::Another, "read_elsewhere", "a read at another node"),
        (true, Where::Leader, "write_at_leader", "a write where its slot is led"),
        (true, Where::Another, "write_elsewhere", "a write at another node"),
    ] {
        cluster.world.meter = Some(Meter::default());
        cluster.ask(is_write, at, ASKED)?;
        let meter = cluster.world.meter.take().unwrap_or_default();
        let Traffic { letters, bytes, .. } = meter.of(&[Kind::Calls, Kind::Changes]);
        let each = |number: u64| number as f64 / ASKED as f64;
        figures.pair(key, &format!("{label}: letters, bytes"), (each(letters), each(bytes)));
    }
    Ok(())
}

/// A node is killed: the others make the copies again that it had.
fn death(cluster: &mut Cluster, figures: &mut Figures) -> Checked {
    let last = cluster.last();
    let (entries, bytes) = cluster.holds(last);
    cluster.world.meter = Some(Meter::default());
    let since = cluster.world.now;
    cluster.world.kill(last);
    if cluster.plan.nodes == 2 {
        // The other one is all there is.
        return cluster.go_on_until(since + SECOND);
    }
    cluster.wait("all know that the node is dead", move |it| it.is_known_dead(last))?;
    let all = cluster.wait("all copies are there again", Cluster::is_settled)?;
    moved(cluster, figures, "death", "a node dies", (entries, bytes));
    figures.one(
        "death_ms",
        "a node dies: until all copies are there again, ms",
        millis(all - since),
    );
    Ok(())
}

/// It is started again, empty.
fn arrival(cluster: &mut Cluster, figures: &mut Figures) -> Checked {
    let last = cluster.last();
    cluster.world.meter = Some(Meter::default());
    let since = cluster.world.now;
    cluster.world.start(last);
    let ready = cluster.wait("the node is ready", move |it| it.is_ready(last))?;
    let all = cluster.wait("all is well", Cluster::is_settled)?;
    let held = cluster.holds(last);
    moved(cluster, figures, "arrival", "a node comes, empty", held);
    figures.one(
        "arrival_ready_ms",
        "a node comes, empty: until it is ready, ms",
        millis(ready - since),
    );
    figures.one("arrival_ms", "a node comes, empty: until all is well, ms", millis(all - since));
    Ok(())
}

/// It leaves, as it was asked to.
fn departure(cluster: &mut Cluster, figures: &mut Figures) -> Checked {
    let last = cluster.last();
    let held = cluster.holds(last);
    cluster.world.meter = Some(Meter::default());
    let since = cluster.world.now;
    cluster.leave(last);
    let left = cluster.wait("the node has left", move |it| it.has_left(last))?;
    moved(cluster, figures, "departure", "a node leaves", held);
    figures.one("departure_ms", "a node leaves: until it has left, ms", millis(left - since));
    cluster.world.kill(last);
    let lost = cluster.missing();
    if lost > 0 {
        return Err(broken(format!("{lost} sessions are on no node any more")));
    }
    Ok(())
}

/// What was moved, beside what had to be.
fn moved(
    cluster: &mut Cluster,
    figures: &mut Figures,
    key: &str,
    label: &str,
    (entries, bytes): (u64, u64),
) {
    let meter = cluster.world.meter.take().unwrap_or_default();
    let copies = meter.of(&[Kind::Copies]);
    let all = meter.of(&[Kind::Copies, Kind::Views, Kind::Changes, Kind::Calls]);
    let of = |part: &str| format!("{key}_{part}");
    let row = |part: &str| format!("{label}: {part}");
    let entries = (copies.entries as f64, entries as f64);
    figures.pair(&of("entries"), &row("entries moved, of those it had"), entries);
    let bytes = (copies.bytes as f64, bytes as f64);
    figures.pair(&of("bytes"), &row("bytes for that, and of the entries"), bytes);
    figures.one(&of("letters"), &row("letters that are no pings"), all.letters as f64);
}
