//! The cluster that is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use abide_replica::{Answer, Call, Event, Kept, Node, NodeId, Operation, Reply, Table};
use abide_session::{
    Changes, Commit, Create, FieldChange, FieldName, Id, IdHash, Loaded, Slot, Time,
};
use bytes::Bytes;

use super::{PATIENCE, ScalePlan};
use crate::check::{Checked, Violation};
use crate::network::{MILLI, Real, SECOND};
use crate::world::{Happening, World};

/// The fields that every store of ours is measured with: 95 characters with their names.
const FIELDS: [(&str, &str); 5] = [
    ("user", "184467"),
    ("csrf", "pK3v9sQmYt0bXw7LrN2cHf5aJd8eUg1i"),
    ("cart", "SHOE-42,SOCK-3"),
    ("locale", "de-DE"),
    ("page", "/products/100000"),
];
/// Calls that are made in one millisecond.
const CALLS_IN_A_MILLI: usize = 20;
/// How often is looked whether what is waited for has come.
const LOOK_EVERY: Real = 10 * MILLI;

pub(super) struct Cluster {
    pub(super) plan: ScalePlan,
    pub(super) world: World,
    sessions: Vec<IdHash>,
    /// Who leads each slot, when that was looked at last.
    leaders: BTreeMap<Slot, usize>,
    last_number: u64,
    /// Calls that are not answered.
    open: usize,
}

/// Where something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Where {
    Leader,
    Another,
}

pub(super) const fn broken(what: String) -> Violation {
    Violation { property: "all is well in a calm cluster", what, session: None }
}

impl Cluster {
    /// All nodes, ready and with nothing in them.
    pub(super) fn start(plan: ScalePlan) -> Result<Self, Violation> {
        let mut world = World::with_joiners(plan.seed, plan.nodes, 0, Slot::COUNT, None);
        world.network.is_even = true;
        for machine in 0..plan.nodes {
            world.at(1, Happening::Start(machine));
        }
        let (sessions, leaders) = (Vec::new(), BTreeMap::new());
        let mut it = Self { plan, world, sessions, leaders, last_number: 0, open: 0 };
        it.go_on_until(MILLI)?;
        let are_ready = |it: &mut Self| {
            it.is_settled() && (0..it.plan.nodes).all(|machine| it.is_ready(machine))
        };
        it.wait("all nodes are ready", are_ready)?;
        Ok(it)
    }

    /// The node that comes and goes.
    pub(super) const fn last(&self) -> usize {
        self.plan.nodes - 1
    }

    pub(super) fn table(&self, machine: usize) -> Option<&Table> {
        self.world.machines[machine].node.as_ref().map(Node::table)
    }

    /// Who leads each slot.
    pub(super) fn leaders(&self) -> impl Iterator<Item = (Slot, usize)> + '_ {
        let nodes = 0..self.plan.nodes;
        Slot::all().filter_map(move |slot| {
            Some((slot, nodes.clone().find(|machine| self.world.leads(*machine, slot))?))
        })
    }

    /// The entries of a node, and their bytes.
    pub(super) fn holds(&self, machine: usize) -> (u64, u64) {
        let Some(table) = self.table(machine) else { return (0, 0) };
        let entries = Slot::all().flat_map(|slot| table.entries(slot, None));
        entries
            .fold((0, 0), |(count, bytes), packed| (count + 1, bytes + packed.bytes().len() as u64))
    }

    /// How many sessions no node holds.
    pub(super) fn missing(&self) -> usize {
        let is_held = |id: &IdHash| {
            let mut tables = (0..self.plan.nodes).filter_map(|machine| self.table(machine));
            tables.any(|table| table.packed(*id).is_some())
        };
        self.sessions.iter().filter(|id| !is_held(id)).count()
    }

    /// All that happens until then.
    pub(super) fn go_on_until(&mut self, until: Real) -> Checked {
        while self.world.next_at().is_some_and(|at| at <= until) {
            match self.world.next() {
                Some(Happening::Arrives(machine, process, event, connection)) => {
                    self.world.arrives(machine, process, *event, connection);
                }
                Some(Happening::Dialed(machine, process, peer)) => {
                    self.world.dialed(machine, process, peer);
                }
                Some(Happening::Start(machine)) => self.world.start(machine),
                _ => {}
            }
            self.hear()?;
        }
        self.world.now = self.world.now.max(until);
        Ok(())
    }

    /// Goes on until this is so, and says when.
    pub(super) fn wait(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&mut Self) -> bool,
    ) -> Result<Real, Violation> {
        let latest = self.world.now + PATIENCE;
        while !is_so(self) {
            if self.world.now > latest {
                return Err(broken(format!("in {} s it is not so that {what}", PATIENCE / SECOND)));
            }
            self.go_on_until(self.world.now + LOOK_EVERY)?;
        }
        Ok(self.world.now)
    }

    /// Takes the answers that have come.
    fn hear(&mut self) -> Checked {
        for (machine, number, answer) in self.world.answers.drain(..) {
            self.open = self.open.saturating_sub(1);
            if !is_good(&answer) {
                return Err(broken(format!("node-{machine} answers call {number}: {answer:?}")));
            }
        }
        self.world.reads.clear();
        if let Some((machine, what)) = self.world.broken_invariant {
            return Err(broken(format!("node-{machine}: {what}")));
        }
        self.world.violation.take().map_or(Ok(()), Err)
    }

    fn node(&mut self, machine: usize) -> Option<&mut Node> {
        self.world.machines[machine].node.as_mut()
    }

    pub(super) fn is_ready(&mut self, machine: usize) -> bool {
        self.node(machine).is_some_and(Node::is_ready)
    }

    pub(super) fn has_left(&mut self, machine: usize) -> bool {
        self.node(machine).is_some_and(Node::has_left)
    }

    /// Whether each node that is there may be killed: all copies are where they are to be.
    pub(super) fn is_settled(&mut self) -> bool {
        let up = self.world.up();
        up.into_iter().all(|it| self.node(it).is_some_and(Node::is_safe_to_stop))
    }

    /// Whether all others know that this one is dead.
    pub(super) fn is_known_dead(&mut self, machine: usize) -> bool {
        let id = NodeId(machine as u16);
        let up = self.world.up();
        let is_told = |node: &mut Node| node.view().get(id).is_some_and(|known| known.is_dead());
        up.into_iter().all(|it| self.node(it).is_some_and(is_told))
    }

    pub(super) fn leave(&mut self, machine: usize) {
        self.world.give(machine, Event::Leave, None);
    }

    /// Makes all sessions, each where its slot is led.
    pub(super) fn fill(&mut self) -> Checked {
        self.look_at_leaders();
        for number in 0..self.plan.sessions {
            let id = Id::from_random(self.world.random.bytes()).hash();
            self.sessions.push(id);
            let Some(machine) = self.leaders.get(&id.slot()).copied() else { continue };
            let now = self.world.moment(machine).wall;
            self.call(machine, Operation::Create(id, fresh(now)), now);
            self.take_turns(number)?;
        }
        self.wait_for_answers()
    }

    /// Reads or writes of sessions, one as good as another.
    pub(super) fn ask(&mut self, is_write: bool, at: Where, count: usize) -> Checked {
        self.look_at_leaders();
        for number in 0..count {
            let Some(id) = self.world.random.pick(&self.sessions).copied() else { continue };
            let Some(mut machine) = self.leaders.get(&id.slot()).copied() else { continue };
            if at == Where::Another {
                let further = self.world.random.between(1, self.plan.nodes as u64 - 1) as usize;
                machine = (machine + further) % self.plan.nodes;
            }
            let now = self.world.moment(machine).wall;
            let operation = if is_write {
                Operation::Commit(id, another_page(now))
            } else {
                Operation::Load(id)
            };
            self.call(machine, operation, now);
            self.take_turns(number)?;
        }
        self.wait_for_answers()
    }

    fn look_at_leaders(&mut self) {
        self.leaders = self.leaders().collect();
    }

    fn call(&mut self, machine: usize, operation: Operation, now: Time) {
        self.last_number += 1;
        self.open += 1;
        self.world.call(machine, self.last_number, Call { operation, now });
    }

    fn take_turns(&mut self, number: usize) -> Checked {
        let is_full = number % CALLS_IN_A_MILLI == CALLS_IN_A_MILLI - 1;
        if is_full { self.go_on_until(self.world.now + MILLI) } else { self.hear() }
    }

    fn wait_for_answers(&mut self) -> Checked {
        self.wait("all calls are answered", |it| it.open == 0)?;
        Ok(())
    }
}

/// Whether this is what is answered where all is well.
fn is_good(answer: &Answer) -> bool {
    let is_done = matches!(
        answer.reply,
        Reply::Create(Create::Created(_))
            | Reply::Commit(Commit::Committed(_))
            | Reply::Load(Loaded::Live { .. })
    );
    is_done && answer.kept == Kept::Full
}

/// A session as it is made.
fn fresh(now: Time) -> Changes {
    let mut changes = Changes::default();
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(Duration::from_hours(24));
    changes.hard_deadline = Some(now.after(Duration::from_hours(14 * 24)));
    for (name, value) in FIELDS {
        put(&mut changes, name, value);
    }
    changes
}

/// One field is set again, and the session was used.
fn another_page(now: Time) -> Changes {
    let mut changes = Changes::default();
    changes.seen = Some(now);
    put(&mut changes, "page", "/products/200000");
    changes
}

fn put(changes: &mut Changes, name: &'static str, value: &'static str) {
    if let Ok(name) = FieldName::new(name) {
        let value = Bytes::from_static(value.as_bytes());
        changes.fields.insert(name, FieldChange::blind(Some(value)));
    }
}
