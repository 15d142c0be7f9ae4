//! One run: clients and faults, then peace, then a look at everything.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use abide_replica::{Answer, Kept, Mutant};
use abide_session::Slot;

use crate::check::{self, ANSWER_WITHIN, Checked, Violation};
use crate::clients;
use crate::faults::{self, paths::Table};
use crate::history::{HashedId, Open, Required, Session};
use crate::joining;
use crate::learn;
use crate::leaving;
use crate::network::{MILLI, Real, SECOND};
use crate::surveys::{self, Tour};
use crate::world::{Happening, World};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What all follows from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// How many of them, the last ones, are in nobody's list at first, and join.
    pub joiners: usize,
    /// Whether all are started again with the list that they had at first, and nothing is cut or stopped: what an
    /// old list lacks has to be heard in time.
    pub lists_stay: bool,
    /// How long faults go on, in seconds of the machines.
    pub seconds: u64,
    /// A mistake that the nodes make.
    pub mutant: Option<Mutant>,
    /// Whether nothing goes wrong, and machines are restarted one after another.
    pub is_rolling: bool,
    /// Whether to tell the story.
    pub is_told: bool,
}

impl Plan {
    /// Two, three or five nodes, as the seed has it: two most often, as most sites have.
    pub const fn nodes_of(seed: u64) -> usize {
        match seed % 4 {
            1 => 3,
            3 => 5,
            _ => 2,
        }
    }
}

/// The command that does it again.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, nodes, joiners, seconds, mutant, .. } = self;
        write!(f, "cargo run -p abide-sim --release -- --seeds 1 --seed {seed} --nodes {nodes}")?;
        write!(f, " --seconds {seconds}")?;
        write!(f, " --joiners {joiners}")?;
        f.write_str(if self.lists_stay { " --lists-stay" } else { "" })?;
        f.write_str(if self.is_rolling { " --rolling" } else { "" })?;
        let number = mutant.and_then(|mutant| Mutant::ALL.iter().position(|it| *it == mutant));
        number.map_or(Ok(()), |number| write!(f, " --mutant {number}"))
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is wrong, if anything.
    pub violation: Option<Violation>,
    /// The same for the same plan, and for no other.
    pub hash: u64,
    /// How often what was seen.
    pub counts: BTreeMap<&'static str, u64>,
    /// What happened, if it was to be told.
    pub story: Vec<String>,
}

/// How long peace takes to make everything well.
const PEACE: Real = 8 * SECOND;
/// How long the name of a dead machine is known where machines join: some are forgotten and come back.
const FORGET_AFTER: Duration = Duration::from_secs(3);
/// How often the machines are looked at.
const LOOK_EVERY: Real = 50 * MILLI;
const CLIENTS: usize = 5;

pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) world: World,
    pub(crate) sessions: Vec<Session>,
    /// Those that clients may go on to use, or some of them.
    pub(crate) in_use: Vec<usize>,
    /// The call of each client that is not answered.
    pub(crate) open: BTreeMap<usize, Open>,
    /// Clients on their way through the sessions of a subject.
    pub(crate) tours: BTreeMap<usize, Tour>,
    pub(crate) invented: Vec<HashedId>,
    pub(crate) last_number: u64,
    pub(crate) is_peace: bool,
    /// Whether machines are killed only when that loses nothing.
    pub(crate) is_gentle: bool,
    /// Whether clocks are set further off than a cluster has to bear.
    pub(crate) has_bad_clocks: bool,
    /// Where calls go, if whoever sends them does not know the leaders.
    pub(crate) table: Option<Table>,
    pub(crate) last_kill: Real,
    /// The longest that a call of a rolling restart took.
    slowest: Real,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// For each session the processes on which it has ended.
    ended: Vec<Vec<(usize, u64)>>,
}

/// Does what the plan says.
pub fn run(plan: Plan) -> Report {
    let mut run = Run::new(plan);
    let violation = run.go().err();
    let mut counts = run.counts;
    if plan.is_rolling {
        counts.insert("the slowest call, in ms", run.slowest / MILLI);
    }
    counts.extend(run.world.notes.iter().map(|(note, count)| (*note, *count)));
    for machine in 0..run.world.machines.len() {
        let digest =
            run.world.machines[machine].node.as_ref().map_or(0, |node| node.table().len() as u64);
        run.world.trace.mix(digest);
    }
    let mut story = run.world.trace.lines.take().unwrap_or_default();
    if let Some(number) = violation.as_ref().and_then(|violation| violation.session) {
        let slot = run.sessions.get(number).map(|session| session.id().slot());
        story.retain(|line| is_about(line, number, slot));
    }
    Report { violation, hash: run.world.trace.hash, counts, story }
}

/// Whether a line of the story belongs to that of one session: what was asked of it and done in its
/// slot, and what befell machines.
fn is_about(line: &str, session: usize, slot: Option<Slot>) -> bool {
    if line.contains("client ") {
        return line.contains(&format!(" {session} "));
    }
    let is_message = line.contains(" -> ") || line.contains(" <- ");
    let is_received = line.contains(" <- Received");
    let is_of_slot = slot.is_some_and(|slot| line.contains(&format!("OfSlot({slot},")));
    !line.contains("is answered")
        && (is_of_slot && !is_received || !is_message || line.contains("<- Broken"))
}

impl Run {
    fn new(plan: Plan) -> Self {
        let mut world = World::with_joiners(plan.seed, plan.nodes, plan.joiners, 4, plan.mutant);
        if plan.joiners > 0 {
            world.lists_stay = plan.lists_stay;
            if !plan.lists_stay {
                world.forget_after = FORGET_AFTER;
            }
        }
        if plan.seed % 5 == 4 && !plan.is_rolling {
            world.give_disks();
        }
        if plan.is_told {
            world.trace.lines = Some(Vec::new());
        }
        Self {
            plan,
            world,
            sessions: Vec::new(),
            in_use: Vec::new(),
            open: BTreeMap::new(),
            tours: BTreeMap::new(),
            invented: Vec::new(),
            last_number: 0,
            is_peace: false,
            is_gentle: plan.seed.is_multiple_of(2),
            has_bad_clocks: plan.seed % 7 == 3,
            table: None,
            last_kill: 0,
            slowest: 0,
            counts: BTreeMap::new(),
            ended: Vec::new(),
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn go(&mut self) -> Checked {
        for machine in 0..self.plan.nodes - self.plan.joiners {
            let at = self.world.random.between(0, 300 * MILLI);
            self.world.at(at, Happening::Start(machine));
        }
        joining::plan(self);
        for client in 0..CLIENTS {
            self.world.at(SECOND + client as Real * MILLI, Happening::Client(client));
        }
        let first = if self.plan.is_rolling {
            Happening::Rolls(self.plan.nodes - 1, 2 * SECOND)
        } else {
            Happening::Fault
        };
        self.world.at(2 * SECOND, first);
        self.world.at(LOOK_EVERY, Happening::Look);
        let chaos_until = self.plan.seconds * SECOND;
        while self.world.now < chaos_until + PEACE {
            if self.world.now >= chaos_until && !self.is_peace {
                self.is_peace = true;
                faults::make_peace(self);
            }
            self.next()?;
        }
        check::all_copies_are_equal(&mut self.world)?;
        learn::look_at_everything(self)?;
        for (number, session) in self.sessions.iter().enumerate() {
            check::no_update_is_lost(session).map_err(|violation| of(violation, number))?;
        }
        Ok(())
    }

    /// The next thing that happens.
    pub(crate) fn next(&mut self) -> Checked {
        let Some(happening) = self.world.next() else { return Ok(()) };
        match happening {
            Happening::Arrives(machine, process, event, connection) => {
                self.world.arrives(machine, process, *event, connection);
            }
            Happening::Dialed(machine, process, peer) => self.world.dialed(machine, process, peer),
            Happening::Client(client) => clients::act(self, client),
            Happening::ClientGivesUp(client, number) => {
                surveys::gives_up(self, client, number)?;
                self.gives_up(client, number)?;
            }
            Happening::Fault => faults::one(self)?,
            Happening::Start(machine) => joining::start(self, machine),
            Happening::Resume(machine) => self.world.resume(machine),
            Happening::Breaks(a, b, connection) => {
                if self.world.network.connection(a, b) == Some(connection) {
                    self.world.sever(a, b);
                }
            }
            Happening::Leaving(machine, process, since) => {
                leaving::look(self, machine, process, since)?;
            }
            Happening::Rolls(last, since) => leaving::roll(self, last, since)?,
            Happening::Hunts(last, since) => faults::hunt(self, last, since)?,
            Happening::Joins(machine) => joining::begin(self, machine),
            Happening::Strands(joiner, apart) => joining::strand(self, joiner, apart)?,
            Happening::Stutters(machine, until) => faults::machines::stutter(self, machine, until),
            Happening::Flaps(machine, times) => faults::machines::flap(self, machine, times)?,
            Happening::ClockIsSet(machine) => {
                self.world.set_clock(machine);
            }
            Happening::Look => self.look()?,
        }
        if let Some((machine, what)) = self.world.broken_invariant {
            let what = format!("node-{machine}: {what}");
            return Err(Violation { property: "an invariant of a node", what, session: None });
        }
        for machine in std::mem::take(&mut self.world.reads) {
            check::nobody_counted_on_has_gone_on(&mut self.world, machine)?;
        }
        for (machine, number, answer) in std::mem::take(&mut self.world.answers) {
            self.answered(machine, number, answer)?;
        }
        if let Some(violation) = self.world.violation.take() {
            return Err(violation);
        }
        for (machine, number, found) in std::mem::take(&mut self.world.surveyed) {
            surveys::answered(self, machine, number, found)?;
        }
        Ok(())
    }

    fn look(&mut self) -> Checked {
        self.world.at(self.world.now + LOOK_EVERY, Happening::Look);
        check::one_node_is_sure(&mut self.world)?;
        check::all_in_sync_hold_the_same(&mut self.world)?;
        if self.world.now.is_multiple_of(4 * LOOK_EVERY) {
            check::what_has_ended_stays_so(&self.world, &self.sessions, &mut self.ended)?;
        }
        Ok(())
    }

    fn answered(&mut self, machine: usize, number: u64, answer: Answer) -> Checked {
        let client = self
            .open
            .iter()
            .find(|(_, open)| open.number == number && open.machine == machine)
            .map(|(client, _)| *client);
        let Some(client) = client else { return Ok(()) };
        let Some(open) = self.open.remove(&client) else { return Ok(()) };
        self.count(match answer.kept {
            Kept::Full => "answers: full",
            Kept::Spilled => "answers: spilled",
            Kept::Degraded => "answers: degraded",
            Kept::Sole => "answers: sole",
        });
        let at = self.world.now;
        self.world.trace.mix(number);
        self.world.trace.line(at, || {
            let kind = &open.kind;
            format!("client {client}: {kind:?} {} is answered: {answer:?}", open.session)
        });
        let kept = if self.world.has_forgotten { Kept::Sole } else { answer.kept };
        let answer = Answer { kept, ..answer };
        let session = open.session;
        if self.plan.is_rolling {
            let took = self.world.now - open.invoked;
            self.slowest = self.slowest.max(took);
            check::nothing_fails_in_a_rolling_restart(&answer, took, open.machine)
                .map_err(|violation| of(violation, session))?;
        }
        surveys::heard(self, client, &answer);
        learn::answered(self, &open, answer).map_err(|violation| of(violation, session))?;
        self.pause_of(client);
        Ok(())
    }

    fn gives_up(&mut self, client: usize, number: u64) -> Checked {
        if self.open.get(&client).is_none_or(|open| open.number != number) {
            return Ok(());
        }
        let Some(open) = self.open.remove(&client) else { return Ok(()) };
        check::every_call_is_answered(&self.world, &open)
            .map_err(|violation| of(violation, open.session))?;
        self.count("calls that nobody answered");
        learn::is_unknown(self, &open);
        self.pause_of(client);
        Ok(())
    }

    /// A client thinks, then goes on.
    pub(crate) fn pause_of(&mut self, client: usize) {
        let pause = self.world.random.between(2 * MILLI, 60 * MILLI);
        self.world.at(self.world.now + pause, Happening::Client(client));
    }

    pub(crate) fn give_up_later(&mut self, client: usize, number: u64) {
        let at = self.world.now + ANSWER_WITHIN;
        self.world.at(at, Happening::ClientGivesUp(client, number));
    }

    /// What was required of a session and no process holds any more is lost; with only what was said to
    /// be kept by one, that may be.
    pub(crate) fn look_for_losses(&mut self, was_safe: bool) -> Checked {
        let near = self.world.true_wall().as_millis() + self.world.skew_ms();
        for (number, session) in self.sessions.iter_mut().enumerate() {
            let is_held = |required: &Required| {
                let nodes = self.world.machines.iter();
                let mut nodes = nodes.filter_map(|it| it.node.as_ref().or(it.asleep.as_ref()));
                nodes.any(|node| session.is_held(node, required))
            };
            let all = [&session.required, &session.acknowledged];
            if session.is_lost || all.iter().all(|required| is_held(required)) {
                continue;
            }
            let was_sure = !is_held(&session.required);
            session.is_lost = true;
            if session.hard_deadline.as_millis() <= near {
                continue;
            }
            if was_safe && was_sure && !session.was_sole && !session.is_split {
                return Err(of(
                    Violation {
                        property: "P8 what was acknowledged survives one death",
                        what: "no process holds it, after one was killed that was safe to stop"
                            .into(),
                        session: None,
                    },
                    number,
                ));
            }
        }
        Ok(())
    }
}

pub(crate) fn of(violation: Violation, session: usize) -> Violation {
    Violation { session: violation.session.or(Some(session)), ..violation }
}
