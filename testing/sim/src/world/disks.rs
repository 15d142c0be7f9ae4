//! Disks of machines: what a node writes down, and what of it is there after a kill.
//!
//! In a world with disks each machine has one. A node writes each change at once, and the disk keeps it within
//! 50 ms: of the last changes a kill takes some away. Nothing is ever tidied up, as if no copy were ever finished.
//!
//! A disk tells of others by their names. Whoever reads of one that is not in its list makes its number of the
//! name; so where machines join, each has a name of which its number follows.

use abide_replica::journal::Recovered;
use abide_replica::{Node, NodeId};

use super::{Machine, World};
use crate::network::{MILLI, Real};

/// Within this time a disk keeps what was written.
const KEPT_WITHIN: Real = 50 * MILLI;

#[derive(Default)]
pub(crate) struct Disk {
    /// What no kill takes away any more, read once.
    kept: Recovered,
    /// What was written after that, and when.
    written: Vec<(Real, Vec<u8>)>,
}

impl Disk {
    pub(super) fn read(&mut self, now: Real) -> Recovered {
        let is_new = |(at, _): &(Real, Vec<u8>)| at.saturating_add(KEPT_WITHIN) >= now;
        let old = self.written.iter().position(is_new).unwrap_or(self.written.len());
        for (_, content) in self.written.drain(..old) {
            self.kept.take(&content).expect("it is of this version");
        }
        let mut recovered = self.kept.clone();
        for (_, content) in &self.written {
            recovered.take(content).expect("it is of this version");
        }
        recovered
    }
}

/// A name that has this number.
fn name_of(node: NodeId) -> String {
    let mut names = (0_u32..).map(|more| format!("node-{}-{more}", node.0));
    names.find(|name| NodeId::of(name) == node).expect("names do not end")
}

impl World {
    pub(crate) fn give_disks(&mut self) {
        let is_joined = self.machines.iter().any(|machine| !machine.is_listed);
        for (number, machine) in self.machines.iter_mut().enumerate() {
            machine.disk = Some(Disk::default());
            if is_joined {
                machine.name = name_of(NodeId(number as u16));
            }
        }
    }

    pub(crate) fn has_disks(&self) -> bool {
        self.machines.iter().any(|machine| machine.disk.is_some())
    }

    /// Whether a machine would start with a list and a disk that tell of nobody who runs: it would be a cluster of
    /// its own, which its operator has to prevent.
    pub(crate) fn would_be_alone(&mut self, machine: usize) -> bool {
        let now = self.now;
        let it = &mut self.machines[machine];
        let Some(disk) = it.disk.as_mut().filter(|_| !it.is_listed) else { return false };
        let recovered = disk.read(now);
        let it = &self.machines[machine];
        let is_known = |other: &Machine| {
            other.name != it.name
                && (other.node.is_some() || recovered.birth(&other.name).is_some())
        };
        !self.machines.iter().any(is_known)
    }

    /// What the node of a machine has learned goes to the disk.
    pub(super) fn write_down(&mut self, machine: usize) {
        let now = self.now;
        let it = &mut self.machines[machine];
        let (Some(disk), Some(node)) = (&mut it.disk, &mut it.node) else { return };
        let news = node.take_news();
        if !news.is_empty() {
            disk.written.push((now, news));
        }
    }

    /// What the disk had not kept yet is gone.
    pub(super) fn lose_what_is_not_kept(&mut self, machine: usize) {
        let others = self.machines.iter().enumerate().filter(|(number, _)| *number != machine);
        let names: Vec<String> = others.map(|(_, other)| other.name.clone()).collect();
        if let Some(disk) = &mut self.machines[machine].disk {
            let known = disk.read(self.now);
            let kept = self.now.saturating_sub(self.random.between(0, KEPT_WITHIN));
            disk.written.retain(|(at, _)| *at <= kept);
            // Whom it still misses under an earlier birth it waits for all the same.
            let left = disk.read(self.now);
            let is_forgotten = |name: &String| {
                left.birth(name) != known.birth(name) && left.missed(name).is_none()
            };
            if names.iter().any(is_forgotten) {
                self.has_forgotten = true;
                *self.notes.entry("machines that forgot whom they met").or_default() += 1;
            }
        }
    }

    /// All machines lose their power at once. What is on their disks is there again when they start.
    pub(crate) fn black_out(&mut self) {
        for machine in self.up() {
            self.kill(machine);
            let (config, moment, now) = (self.config_of(machine), self.moment(machine), self.now);
            let it = &mut self.machines[machine];
            let on_disk = it.disk.as_mut().map(|disk| disk.read(now));
            it.asleep = on_disk.map(|recovered| Node::restored(config, recovered, moment));
        }
    }
}
