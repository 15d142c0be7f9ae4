//! One step from a state to the next: what happens to machines, and what they do then.

use std::sync::Arc;
use std::time::Duration;

use abide_replica::{Answer, Kept, Note};

use crate::check::{self, Broken};
use crate::client::{Certainty, Outcome, Request, Told};
use crate::machine::{Held, Machine, Process, node_id, started};
use crate::model::Model;
use crate::network::GIVEN_UP_AFTER;
use crate::rendering::STARTED;
use crate::state::State;
use crate::step::{Effect, Happened};

/// A step from a state to the next.
pub(crate) struct Run<'a> {
    model: &'a Model,
    pub(crate) state: State,
    /// What the machines noted on the way.
    pub(crate) notes: Vec<(usize, Note)>,
}

/// By how much time goes on if there is nobody to wake.
const STEP: Duration = Duration::from_millis(100);
/// For so long a ping may be worth something: [`abide_replica::limits::GRANT_KEPT`], and a little.
const PING_MATTERS: Duration = Duration::from_millis(600);

impl<'a> Run<'a> {
    pub(crate) const fn new(model: &'a Model, state: State) -> Self {
        Self { model, state, notes: Vec::new() }
    }

    /// The state that came of it.
    pub(crate) fn end(self) -> State {
        let mut state = self.state;
        if !state.client.has_open() {
            for machine in &mut state.machines {
                machine.corpse = Held::Nothing;
            }
        }
        let is_stopped = state.machines.iter().any(|machine| machine.paused.is_some());
        let processes = state.machines.iter().filter_map(|machine| machine.process.as_ref());
        let leaders = processes.filter(|process| process.leads.is_some()).count();
        state.was_split |= (is_stopped || state.network.has_cuts()) && leaders > 1;
        if state.broken.is_none() {
            state.broken = check::look(&state).err();
        }
        state.seal();
        state
    }

    fn breaks(&mut self, checked: Result<(), Broken>) {
        if let Err(broken) = checked {
            self.state.broken.get_or_insert(broken);
        }
    }

    /// Something happens to a machine.
    fn step(&mut self, machine: usize, event: &Happened) {
        let Some(process) = self.state.machines[machine].process.clone() else { return };
        let step = process.step(event);
        self.state.machines[machine].process = Some(Arc::clone(&step.process));
        self.breaks(check::end_is_final(process.held, step.process.held, step.has_forgotten));
        self.breaks(step.invariants.clone());
        let is_told = event.is_an_answer();
        for effect in &step.effects {
            match effect {
                Effect::Send(to, letter) => {
                    if let Some(answer) = letter.answer() {
                        self.acknowledged(answer);
                    }
                    self.state.network.send(machine, *to, letter.clone());
                }
                Effect::Dial(to) => {
                    self.state.network.dials.insert((machine, *to));
                }
                Effect::Answer(number, answer) => {
                    if step.process.leads.is_some() && !is_told {
                        self.acknowledged(answer);
                    }
                    self.answered(*number, answer);
                }
                Effect::Note(note) => self.notes.push((machine, *note)),
            }
        }
    }

    /// A leader acknowledges something.
    fn acknowledged(&mut self, answer: &Answer) {
        let Told::Written(stamp) = Told::by(answer) else { return };
        // Nobody can know in less than no time that a process has died which has said that it holds it.
        let holds = |machine: &&Machine| {
            let held = machine.process.as_ref().map(|process| process.held);
            held.is_some_and(|held| held.has(stamp)) || machine.corpse.has(stamp)
        };
        let count = self.state.machines.iter().filter(holds).count();
        self.breaks(check::two_hold_it(count, answer.kept.into()));
    }

    /// A client is told what came of its call.
    fn answered(&mut self, number: u64, answer: &Answer) {
        let number = number as usize;
        let client = &self.state.client;
        let Some(attempt) = client.attempts.get(number) else { return };
        if attempt.outcome != Outcome::Open {
            return;
        }
        let attempt = attempt.clone();
        let certainty = Certainty::from(answer.kept);
        let is_sure = answer.kept != Kept::Sole;
        let (outcome, checked) = match Told::by(answer) {
            Told::Written(stamp) => {
                let is_put = attempt.request == Request::Put && is_sure;
                let checked = || check::a_commit_is_right(client, &attempt, true);
                let checked = if is_put { checked() } else { Ok(()) };
                (Outcome::Done(stamp, certainty), checked)
            }
            Told::Shown(read) => {
                // What has been lost since with all that held it nobody can show.
                let is_there = |number: &usize| client.attempts[*number].done().is_some();
                let required: Vec<usize> =
                    attempt.required.iter().copied().filter(is_there).collect();
                (Outcome::Over, check::a_read_is_right(client, &required, read))
            }
            Told::Gone => {
                let is_put = attempt.request == Request::Put && is_sure;
                let checked = || check::a_commit_is_right(client, &attempt, false);
                let checked = if is_put { checked() } else { Ok(()) };
                (Outcome::Over, checked)
            }
            Told::Unknown => (Outcome::Unknown, Ok(())),
        };
        self.breaks(checked);
        self.state.client.set(number, outcome);
    }

    /// What takes no time, and is not looked at in every order: pings arrive.
    fn let_pings_arrive(&mut self) {
        if self.model.bounds.is_fine {
            return;
        }
        let is_ping = |state: &State, from, to| {
            let head = state.network.head(from, to);
            state.is_running(to) && head.is_some_and(crate::network::Sent::is_ping)
        };
        while let Some((from, to)) =
            self.state.network.ways().find(|(from, to)| is_ping(&self.state, *from, *to))
        {
            self.hear(from, to);
        }
    }

    fn hear(&mut self, from: usize, to: usize) {
        if let Some(sent) = self.state.network.take(from, to) {
            self.step(to, &Happened::Came(from, sent));
        }
    }

    pub(crate) fn arrives(&mut self, from: usize, to: usize) {
        self.hear(from, to);
        self.let_pings_arrive();
    }

    /// It shows what becomes of a wish for a connection.
    pub(crate) fn dialed(&mut self, from: usize, to: usize) {
        self.state.network.dials.remove(&(from, to));
        if !self.state.is_up(to) {
            self.step(from, &Happened::Refused(to));
        } else if self.state.network.is_connected(from, to) {
            // The other has made it in the meantime.
            self.step(from, &Happened::Unreachable(to));
        } else {
            self.state.network.connect(from, to);
        }
        self.let_pings_arrive();
    }

    pub(crate) fn woken(&mut self, machine: usize) {
        self.step(machine, &Happened::Woken);
        self.let_pings_arrive();
    }

    pub(crate) fn asks(&mut self, request: Request, machine: usize) {
        let (number, call) = self.state.client.ask(request, machine);
        self.step(machine, &Happened::Called(number, call));
        self.let_pings_arrive();
    }

    /// The first call of all makes the session.
    pub(crate) fn creates(&mut self, machine: usize) {
        let (number, mut call) = self.state.client.ask(Request::Put, machine);
        call.operation = crate::client::create();
        self.step(machine, &Happened::Called(number, call));
    }

    pub(crate) fn start(&mut self, machine: usize) {
        let births = self.state.machines[machine].births + 1;
        let node = started(&self.model.names, machine, births, self.model.bounds.mutant);
        let process = Process::new(node, STARTED, STARTED);
        let it = &mut self.state.machines[machine];
        (it.process, it.births, it.paused) = (Some(Arc::new(process)), births, None);
        self.step(machine, &Happened::Woken);
    }

    pub(crate) fn kill(&mut self, machine: usize) {
        let state = &mut self.state;
        state.spent.kills += 1;
        let is_known = |process: &Process| {
            let mut others = state.all().filter(|other| *other != machine);
            let dead = |other: &usize| state.machines[*other].process.is_none();
            let births = |other: usize| state.machines[other].births;
            others.all(|other| {
                let (births, is_dead) = (births(other), dead(&other));
                // Of who has been killed before it has to know, or of who came after.
                let last = if is_dead { births } else { births - 1 };
                last == 0 || check::knows_of_death(process, other, last)
            })
        };
        let was_safe =
            state.running(machine).is_some_and(|process| process.is_safe && is_known(process));
        let it = &mut state.machines[machine];
        let process = it.process.take();
        it.paused = None;
        it.corpse = process.map_or(Held::Nothing, |process| process.held);
        state.network.forget(machine);
        state.client.forget(machine);
        let deaths = state.spent.kills;
        for number in check::lost(&self.state) {
            let attempt = self.state.client.attempts[number].clone();
            self.breaks(check::may_be_lost(&attempt, deaths, was_safe));
            self.state.client.set(number, Outcome::Lost);
        }
    }

    /// Time goes on, to when the next machine is to be woken.
    pub(crate) fn passes(&mut self) {
        let all = self.state.all();
        let running = all.clone().filter_map(|machine| self.state.running(machine));
        let left = running.map(|process| process.wake.saturating_sub(process.passed));
        let step = left.min().unwrap_or(STEP);
        let longest = self.model.bounds.cut_steps.unwrap_or_default().max(GIVEN_UP_AFTER);
        self.state.network.pass(longest);
        for machine in all.clone() {
            let it = &mut self.state.machines[machine];
            it.process = it.process.as_ref().map(|process| process.after(step));
            it.paused = it.paused.map(|steps| steps + 1);
        }
        // Who has waited in vain for a connection learns it.
        let dials = self.state.network.dials.iter().copied();
        let in_vain: Vec<_> = dials.filter(|(from, _)| self.state.is_running(*from)).collect();
        for (from, to) in in_vain {
            self.state.network.dials.remove(&(from, to));
            self.step(from, &Happened::Unreachable(to));
        }
        if !self.model.bounds.is_fine {
            for machine in all {
                if self.state.running(machine).is_some_and(Process::is_due) {
                    self.step(machine, &Happened::Woken);
                }
            }
            self.let_pings_arrive();
        }
        self.renumber_pings();
    }

    /// Gives those pings that still matter the numbers from 1 on.
    fn renumber_pings(&mut self) {
        let machines = self.state.all();
        let process = |machine: usize| self.state.machines[machine].process.as_ref();
        // By who sends and who receives.
        let kept = |from: usize, to: usize| -> Vec<u64> {
            let mut referred = self.state.network.numbers(from, to);
            referred.extend(process(to).map(|receiver| receiver.node.heard(node_id(from))));
            let Some(sender) = process(from) else { return Vec::new() };
            let matters = |(number, sent): &(u64, Duration)| {
                *sent + PING_MATTERS > sender.passed || referred.contains(number)
            };
            let pings = sender.node.pings(node_id(to)).into_iter();
            pings.filter(matters).map(|(number, _)| number).collect()
        };
        let all: Vec<Vec<Vec<u64>>> = machines
            .clone()
            .map(|from| machines.clone().map(|to| kept(from, to)).collect())
            .collect();
        for from in machines.clone() {
            for to in machines.clone().filter(|to| *to != from) {
                self.state.network.renumber(from, to, &all[from][to], &all[to][from]);
            }
            let of = |to: usize| (to, all[from][to].clone(), all[to][from].clone());
            let numbers: Vec<_> = machines.clone().filter(|to| *to != from).map(of).collect();
            let it = &mut self.state.machines[from];
            it.process = it.process.as_ref().map(|process| process.renumbered(&numbers));
        }
    }
}
