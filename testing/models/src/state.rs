//! A state: the machines, what is on its way between them, and what clients know.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::check::Broken;
use crate::client::{Client, Outcome};
use crate::machine::{Machine, Process};
use crate::network::Network;

/// A state of all machines, of what is on its way between them, and of what clients know.
#[derive(Clone)]
pub struct State {
    pub(crate) machines: Vec<Machine>,
    pub(crate) network: Network,
    pub(crate) client: Client,
    pub(crate) spent: Spent,
    /// Whether two nodes have led at once.
    pub(crate) was_split: bool,
    /// What is wrong with it.
    pub(crate) broken: Option<Broken>,
    hash: u64,
}

/// How often what went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spent {
    pub(crate) cuts: usize,
    pub(crate) breaks: usize,
    pub(crate) kills: usize,
    pub(crate) pauses: usize,
}

impl Spent {
    pub(crate) const fn faults(self) -> usize {
        self.cuts + self.breaks + self.kills + self.pauses
    }
}

impl State {
    pub(crate) fn new(machines: usize) -> Self {
        Self {
            machines: vec![Machine::default(); machines],
            network: Network::new(machines),
            client: Client::default(),
            spent: Spent::default(),
            was_split: false,
            broken: None,
            hash: 0,
        }
    }

    /// Takes note of what tells it from others.
    pub(crate) fn seal(&mut self) {
        let mut hasher = DefaultHasher::new();
        for machine in &self.machines {
            let process = machine.process.as_ref().map(|process| process.hash);
            let wake = machine.process.as_ref().map(|process| process.is_due());
            (process, wake, machine.births, machine.paused, machine.corpse).hash(&mut hasher);
        }
        (&self.network, &self.client, self.spent, self.was_split).hash(&mut hasher);
        self.broken.as_ref().map(|broken| broken.property).hash(&mut hasher);
        self.hash = hasher.finish();
    }

    /// The process of a machine, if one runs and is not stopped.
    pub(crate) fn running(&self, machine: usize) -> Option<&Process> {
        let machine = self.machines.get(machine)?;
        machine.process.as_deref().filter(|_| machine.paused.is_none())
    }

    pub(crate) fn is_up(&self, machine: usize) -> bool {
        self.machines[machine].process.is_some()
    }

    pub(crate) fn is_running(&self, machine: usize) -> bool {
        self.running(machine).is_some()
    }

    pub(crate) fn all(&self) -> std::ops::Range<usize> {
        0..self.machines.len()
    }

    /// Whether something comes from one machine to another now, if anybody lets it.
    pub(crate) fn arrives(&self, from: usize, to: usize) -> bool {
        self.is_running(to) && self.network.head(from, to).is_some()
    }

    /// Whether it shows what becomes of a wish for a connection.
    pub(crate) fn is_answered(&self, from: usize, to: usize) -> bool {
        let can_answer = !self.is_up(to) || self.is_running(to);
        self.is_running(from) && can_answer && self.network.is_whole(from, to)
    }

    /// Whether everything that takes no time has happened.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_due = |machine| self.running(machine).is_some_and(Process::is_due);
        !self.network.ways().any(|(from, to)| self.arrives(from, to))
            && !self.network.dials.iter().any(|(from, to)| self.is_answered(*from, *to))
            && !self.all().any(is_due)
    }

    /// Whether all processes run and can talk, nothing is on its way, and all say that all is well.
    pub(crate) fn is_well(&self) -> bool {
        let is_safe = |machine| self.running(machine).is_some_and(|process| process.is_safe);
        self.all().all(is_safe) && !self.network.has_cuts() && self.network.is_quiet()
    }

    /// Those who answer reads as who knows of everything.
    pub(crate) fn sure(&self) -> impl Iterator<Item = (usize, &Process)> {
        let running = self.all().filter_map(|it| Some((it, self.running(it)?)));
        running.filter(|(_, process)| process.is_sure())
    }

    pub(crate) fn has_outcome(&self, is_it: impl Fn(&Outcome) -> bool) -> bool {
        self.client.attempts.iter().skip(1).any(|attempt| is_it(&attempt.outcome))
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, machine) in self.machines.iter().enumerate() {
            match &machine.process {
                Some(process) => write!(f, "n{number} {process:?}")?,
                None => write!(f, "n{number} is dead")?,
            }
            f.write_str(if machine.paused.is_some() { " (stopped); " } else { "; " })?;
        }
        let asked = self.client.attempts.iter();
        f.debug_list().entries(asked.map(|it| (it.request, it.machine, it.outcome))).finish()?;
        self.broken.as_ref().map_or(Ok(()), |broken| write!(f, "; BROKEN: {broken}"))
    }
}
