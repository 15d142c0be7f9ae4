//! The model: from where it begins, what can happen, and what must be true.

use abide_replica::Mutant;
use abide_slots::{Member, owners};
use stateright::Property as Wanted;

use crate::action::Action;
use crate::bounds::Bounds;
use crate::check::Property;
use crate::client::{Certainty, Outcome, Request};
use crate::machine::{Machine, Process, slot};
use crate::run::Run;
use crate::state::State;

/// For how long a process may be stopped, in steps of time.
const PAUSED_FOR: u8 = 9;
/// Steps of time in which everything comes to rest at the beginning.
const CALM: usize = 45;

/// A cluster, and what may happen to it.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) bounds: Bounds,
    /// The names of the nodes, so that the first of them owns the slot.
    pub(crate) names: Vec<String>,
}

impl Model {
    /// A cluster, and what may happen to it.
    pub fn new(bounds: Bounds) -> Self {
        let names: Vec<String> = (0..bounds.nodes).map(|number| format!("node-{number}")).collect();
        let members: Vec<Member<'_>> =
            names.iter().filter_map(|name| Member::new(name, 1).ok()).collect();
        let mut ranked: Vec<String> =
            owners(slot(), &members).into_iter().map(|place| names[place].clone()).collect();
        if bounds.is_reversed {
            ranked.reverse();
        }
        Self { bounds, names: ranked }
    }

    /// All nodes are up, one leads, and the session is made and held by two; all that has been for a while.
    fn first(&self) -> State {
        let mut run = Run::new(self, State::new(self.bounds.nodes));
        for machine in run.state.all() {
            run.start(machine);
        }
        let mut state = run.end();
        for step in 0..CALM {
            let mut run = Run::new(self, state);
            if step == CALM / 3 {
                run.creates(0);
            }
            let mut state_now = self.at_rest(run.end());
            let mut run = Run::new(self, state_now);
            run.passes();
            state_now = run.end();
            state = state_now;
        }
        self.at_rest(state)
    }

    /// The state after everything that takes no time has happened, in some order.
    fn at_rest(&self, mut state: State) -> State {
        loop {
            let mut actions = Vec::new();
            instantly(&state, &mut actions);
            let Some(action) = actions.first() else { return state };
            state = self.after(state, *action).0;
        }
    }

    /// The state after an action, and what the machines noted.
    pub(crate) fn after(
        &self,
        state: State,
        action: Action,
    ) -> (State, Vec<(usize, abide_replica::Note)>) {
        let mut run = Run::new(self, state);
        let state = &mut run.state;
        match action {
            Action::Arrives(from, to) => run.arrives(from, to),
            Action::Dialed(from, to) => run.dialed(from, to),
            Action::Woken(machine) => run.woken(machine),
            Action::Passes => run.passes(),
            Action::Asks(request, machine) => run.asks(request, machine),
            Action::CutOne(from, to) => {
                state.spent.cuts += 1;
                state.network.cut(from, to);
            }
            Action::CutBoth(a, b) => {
                state.spent.cuts += 1;
                state.network.cut(a, b);
                state.network.cut(b, a);
            }
            Action::Isolate(machine) => {
                state.spent.cuts += 1;
                for other in state.all().filter(|other| *other != machine) {
                    state.network.cut(machine, other);
                    state.network.cut(other, machine);
                }
            }
            Action::Heal => state.network.heal(),
            Action::Break(a, b) => {
                state.spent.breaks += 1;
                state.network.sever(a, b, true);
            }
            Action::Kill(machine) => run.kill(machine),
            Action::Start(machine) => run.start(machine),
            Action::Pause(machine) => {
                state.spent.pauses += 1;
                state.machines[machine].paused = Some(0);
            }
            Action::Resume(machine) => state.machines[machine].paused = None,
        }
        let notes = std::mem::take(&mut run.notes);
        (run.end(), notes)
    }

    /// An action, and what the machines note when it happens.
    pub fn told(&self, state: &State, action: Action) -> String {
        let (_, notes) = self.after(state.clone(), action);
        let notes: Vec<String> =
            notes.iter().map(|(machine, note)| format!("n{machine} {note:?}")).collect();
        format!("{action:?} {}", notes.join(", "))
    }

    /// Nothing is slower than a step of time, but what a cut or a pause holds up.
    fn can_pass(&self, state: &State) -> bool {
        let is_stopped_for_long = |machine: &Machine| machine.paused >= Some(PAUSED_FOR);
        let is_cut_for_long =
            self.bounds.cut_steps.is_some_and(|steps| state.network.longest_cut() >= steps);
        state.machines.iter().any(|machine| machine.process.is_some())
            && !state.machines.iter().any(is_stopped_for_long)
            && !is_cut_for_long
            && state.is_at_rest()
    }

    fn requests(&self, state: &State, actions: &mut Vec<Action>) {
        let Bounds { puts, ends, loads, .. } = self.bounds;
        for (request, most) in [(Request::Put, puts), (Request::End, ends), (Request::Load, loads)]
        {
            if state.client.count(request) < most {
                let running = state.all().filter(|machine| state.is_running(*machine));
                actions.extend(running.map(|machine| Action::Asks(request, machine)));
            }
        }
    }

    fn faults(&self, state: &State, actions: &mut Vec<Action>) {
        let (bounds, spent) = (&self.bounds, state.spent);
        let network = &state.network;
        if network.has_cuts() {
            actions.push(Action::Heal);
        }
        for machine in state.all() {
            if !state.is_up(machine) {
                actions.push(Action::Start(machine));
            } else if state.machines[machine].paused.is_some() {
                actions.push(Action::Resume(machine));
            }
        }
        if spent.faults() >= bounds.faults {
            return;
        }
        if spent.cuts < bounds.cuts {
            let ways = network.ways().filter(|(from, to)| !network.is_cut(*from, *to));
            actions.extend(ways.map(|(from, to)| Action::CutOne(from, to)));
            let pairs = network.pairs().filter(|(a, b)| network.is_whole(*a, *b));
            actions.extend(pairs.map(|(a, b)| Action::CutBoth(a, b)));
            if state.machines.len() > 2 && !network.has_cuts() {
                actions.extend(state.all().map(Action::Isolate));
            }
        }
        if spent.breaks < bounds.breaks {
            let pairs = network.pairs().filter(|(a, b)| network.is_connected(*a, *b));
            actions.extend(pairs.map(|(a, b)| Action::Break(a, b)));
        }
        let up = || state.all().filter(|machine| state.is_up(*machine));
        if spent.kills < bounds.kills {
            actions.extend(up().map(Action::Kill));
        }
        if spent.pauses < bounds.pauses {
            actions.extend(up().filter(|it| state.is_running(*it)).map(Action::Pause));
        }
    }
}

/// What can happen that takes no time and is nobody's will.
fn instantly(state: &State, actions: &mut Vec<Action>) {
    let ways = state.network.ways().filter(|(from, to)| state.arrives(*from, *to));
    actions.extend(ways.map(|(from, to)| Action::Arrives(from, to)));
    let dials = state.network.dials.iter().filter(|(from, to)| state.is_answered(*from, *to));
    actions.extend(dials.map(|(from, to)| Action::Dialed(*from, *to)));
    let is_due = |machine: &usize| state.running(*machine).is_some_and(Process::is_due);
    actions.extend(state.all().filter(is_due).map(Action::Woken));
}

impl stateright::Model for Model {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() || state.client.has_lost_all() {
            return;
        }
        instantly(state, actions);
        if self.can_pass(state) {
            actions.push(Action::Passes);
        }
        self.requests(state, actions);
        self.faults(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        Some(self.after(last.clone(), action).0)
    }

    fn properties(&self) -> Vec<Wanted<Self>> {
        let mut wanted = always();
        // Who makes a mistake need not get anywhere.
        if self.bounds.mutant.is_none() {
            wanted.extend(sometimes(&self.bounds));
        }
        wanted
    }
}

/// Mistakes by their names.
pub fn mutant_of(name: &str) -> Option<Mutant> {
    Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name)
}

fn is_whole(state: &State, property: Property) -> bool {
    state.broken.as_ref().is_none_or(|broken| broken.property != property)
}

fn always() -> Vec<Wanted<Model>> {
    use Property as P;
    vec![
        Wanted::always("P3: an end is final on each process", |_, state| {
            is_whole(state, P::EndIsFinal)
        }),
        Wanted::always("P8: what was acknowledged survives", |_, state| {
            is_whole(state, P::SurvivesADeath)
        }),
        Wanted::always("P9: two processes hold what is acknowledged", |_, state| {
            is_whole(state, P::TwoHoldIt)
        }),
        Wanted::always("P10: a read shows what was acknowledged", |_, state| {
            is_whole(state, P::ReadsShowWhatWasAcknowledged)
        }),
        Wanted::always("P10: one node is sure", |_, state| is_whole(state, P::OneIsSure)),
        Wanted::always("P10: nobody counted on went on", |_, state| {
            is_whole(state, P::NobodyCountedOnWentOn)
        }),
        Wanted::always("P14: all in sync hold the same", |_, state| {
            is_whole(state, P::InSyncIsEqual)
        }),
        Wanted::always("P16: what has ended is not live", |_, state| {
            is_whole(state, P::EndedIsNotLive)
        }),
        Wanted::always("P18: no commit after the end", |_, state| {
            is_whole(state, P::NoCommitAfterTheEnd)
        }),
        Wanted::always("P24: both sides have met", |_, state| is_whole(state, P::SidesMeet)),
        Wanted::always("the invariants of a node", |_, state| is_whole(state, P::Invariants)),
    ]
}

/// What a model with these bounds has to reach, so that what it shows means something.
fn sometimes(bounds: &Bounds) -> Vec<Wanted<Model>> {
    let mut wanted =
        vec![Wanted::sometimes("a read is served under a grant", |_, state: &State| {
            state.sure().any(|(_, it)| it.node.in_sync(slot()).is_some_and(|it| it.len() > 1))
        })];
    if bounds.puts + bounds.ends > 0 {
        wanted.push(Wanted::sometimes("a write is held by two", |_, state: &State| {
            state.has_outcome(|it| matches!(it, Outcome::Done(_, Certainty::Full)))
        }));
    }
    if bounds.cuts > 0 {
        wanted.push(Wanted::sometimes("a slot is claimed after a silence", |_, state: &State| {
            let led =
                state.all().filter(|it| state.running(*it).is_some_and(|it| it.leads.is_some()));
            state.network.has_cuts() && led.count() > 1
        }));
        wanted.push(Wanted::sometimes("two sides are one again", |_, state: &State| {
            state.was_split && state.is_well()
        }));
        if bounds.puts + bounds.ends > 0 {
            wanted.push(Wanted::sometimes("a side acknowledges by itself", |_, state: &State| {
                state.has_outcome(|it| matches!(it, Outcome::Done(_, Certainty::Sole)))
            }));
        }
    }
    if bounds.kills > 0 {
        wanted.push(Wanted::sometimes("who started again is in sync", |_, state: &State| {
            state.machines.iter().any(|machine| machine.births > 1) && state.is_well()
        }));
        if bounds.puts + bounds.ends > 0 {
            wanted.push(Wanted::sometimes("who is left acknowledges alone", |_, state: &State| {
                state.has_outcome(|it| matches!(it, Outcome::Done(_, Certainty::Degraded)))
            }));
        }
    }
    if bounds.pauses > 0 {
        wanted.push(Wanted::sometimes("who was stopped is well again", |_, state: &State| {
            state.spent.pauses > 0 && state.was_split && state.is_well()
        }));
    }
    wanted
}
