//! What must be true of every state, and of every step from one to another.
//!
//! The numbers are those of the properties in the design. What a read shows is what a node answers that is
//! asked in this very state: so every read that could be answered at once is checked, at every node and at every time.

use std::fmt;

use abide_replica::Node;

use crate::client::{Attempt, Certainty, Client, Outcome, Request};
use crate::machine::{Held, Process, Read, birth, machine_of, node_id, slot};
use crate::state::State;

/// What must be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Property {
    /// On one process a session that has ended never lives again, nor is its mark forgotten, but by who is
    /// told that nobody needs its copy.
    EndIsFinal,
    /// What is acknowledged by two survives one death, and everything that of who is safe to stop.
    SurvivesADeath,
    /// What is acknowledged as held by two is, at that moment.
    TwoHoldIt,
    /// An answer without a flag shows what was acknowledged without one.
    ReadsShowWhatWasAcknowledged,
    /// At no moment do two nodes answer without a flag.
    OneIsSure,
    /// Nobody on whom such a node counts leads the slot in a later reign.
    NobodyCountedOnWentOn,
    /// What has ended is not found live.
    EndedIsNotLive,
    /// A commit after the end finds the session gone.
    NoCommitAfterTheEnd,
    /// All in sync hold the same, when nothing is under way; what is shown they hold at any time.
    InSyncIsEqual,
    /// When all is well again, everything that was acknowledged is there, by whomever.
    SidesMeet,
    /// What a node says must always be true of itself.
    Invariants,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which property.
    pub property: Property,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.property, self.what)
    }
}

pub(crate) type Checked = Result<(), Broken>;

pub(crate) fn hold(is_true: bool, property: Property, what: impl FnOnce() -> String) -> Checked {
    if is_true { Ok(()) } else { Err(Broken { property, what: what() }) }
}

/// P3, of a step of a process.
pub(crate) fn end_is_final(before: Held, after: Held, has_forgotten: bool) -> Checked {
    let is_final =
        before != Held::Ended || after == Held::Ended || (after == Held::Nothing && has_forgotten);
    hold(is_final, Property::EndIsFinal, || format!("{before:?}, and then {after:?}"))
}

/// P10, P16: an answer shows what was acknowledged before it was asked for.
pub(crate) fn a_read_is_right(client: &Client, required: &[usize], read: Read) -> Checked {
    if read.is_sole {
        return Ok(());
    }
    let is_live = matches!(read.shown, Held::Session(_));
    hold(!(is_live && client.has_ended(required)), Property::EndedIsNotLive, || {
        "it was ended, and is found live".to_owned()
    })?;
    let may_be = read.shown != Held::Ended || client.end_was_tried();
    hold(may_be, Property::ReadsShowWhatWasAcknowledged, || {
        "nobody has ended it, and it is found ended".to_owned()
    })?;
    let missed = required.iter().find(|number| !client.attempts[**number].is_in(read.shown));
    hold(missed.is_none(), Property::ReadsShowWhatWasAcknowledged, || {
        format!("write {missed:?} was acknowledged, and what is shown is {:?}", read.shown)
    })
}

/// P18, and P10 for commits: of a commit that was answered without a flag.
pub(crate) fn a_commit_is_right(client: &Client, attempt: &Attempt, is_done: bool) -> Checked {
    let has_ended = client.has_ended(&attempt.required);
    hold(!(is_done && has_ended), Property::NoCommitAfterTheEnd, || {
        "it was ended, and then committed to".to_owned()
    })?;
    let is_found = is_done || client.end_was_tried() || attempt.required.is_empty();
    hold(is_found, Property::ReadsShowWhatWasAcknowledged, || {
        "it was made and never ended, and a commit finds it gone".to_owned()
    })
}

/// P9: so many processes hold what is acknowledged as held by two.
pub(crate) fn two_hold_it(count: usize, certainty: Certainty) -> Checked {
    hold(certainty != Certainty::Full || count >= 2, Property::TwoHoldIt, || {
        format!("{count} holds it at its acknowledgement")
    })
}

/// P8: this write is held by nobody any more.
pub(crate) fn may_be_lost(attempt: &Attempt, deaths: usize, was_safe: bool) -> Checked {
    let is_full = attempt.done().is_some_and(|(_, certainty)| certainty == Certainty::Full);
    hold(!was_safe, Property::SurvivesADeath, || {
        format!("who was killed had said that it is safe to stop, and {attempt:?} is lost")
    })?;
    hold(!(is_full && deaths <= 1), Property::SurvivesADeath, || {
        format!("one process has died, and {attempt:?} is lost")
    })
}

/// All that must be true of a state by itself.
pub(crate) fn look(state: &State) -> Checked {
    let required = state.client.required();
    let sure: Vec<usize> = state.sure().map(|(machine, _)| machine).collect();
    hold(sure.len() <= 1, Property::OneIsSure, || format!("nodes {sure:?} are both sure"))?;
    for machine in state.all() {
        let Some(process) = state.running(machine) else { continue };
        if let Some(read) = process.read {
            a_read_is_right(&state.client, &required, read)?;
        }
        if process.is_sure() {
            nobody_counted_on_went_on(state, process)?;
        }
        in_sync_is_equal(state, machine, process)?;
    }
    if state.is_well() {
        sides_have_met(state)?;
    }
    Ok(())
}

/// Those who are in sync, by the process that leads, and are the processes that it knows.
fn members<'a>(state: &'a State, leader: &'a Node) -> impl Iterator<Item = (usize, &'a Process)> {
    let members = leader.in_sync(slot()).unwrap_or_default().into_iter();
    members.filter_map(|member| {
        let process = state.machines.get(machine_of(member))?.process.as_deref()?;
        let is_known = process.node.view().get(member).map(|known| known.birth)
            == leader.view().get(member).map(|known| known.birth);
        is_known.then_some((machine_of(member), process))
    })
}

/// P30.
fn nobody_counted_on_went_on(state: &State, sure: &Process) -> Checked {
    for (machine, member) in members(state, &sure.node) {
        hold(member.leads <= sure.leads, Property::NobodyCountedOnWentOn, || {
            format!("node {machine} leads in {:?}, after {:?}", member.leads, sure.leads)
        })?;
    }
    Ok(())
}

/// P14, and the meaning of an in-sync set.
fn in_sync_is_equal(state: &State, machine: usize, leader: &Process) -> Checked {
    if leader.leads.is_none() {
        return Ok(());
    }
    let is_at_rest = leader.node.is_at_rest(slot());
    for (number, member) in members(state, &leader.node) {
        if member.node.promised(slot()) != leader.leads {
            continue;
        }
        let digest = |process: &Process| process.node.table().digest(slot());
        let is_equal = !is_at_rest || digest(member) == digest(leader);
        hold(is_equal, Property::InSyncIsEqual, || {
            format!("node {number} is in sync with node {machine}, and holds something else")
        })?;
        let is_held = leader.read.is_none_or(|read| match read.shown {
            Held::Session(stamp) => read.is_sole || member.held.has(stamp),
            Held::Ended => read.is_sole || member.held == Held::Ended,
            Held::Nothing => true,
        });
        hold(is_held, Property::InSyncIsEqual, || {
            format!("node {machine} shows what node {number} does not hold, in sync with it")
        })?;
    }
    Ok(())
}

/// P24, and P16 for what was acknowledged with a flag: all is well, so it is there, and all who count hold it.
/// (Who leads may not be sure for a moment: it waits for one to whom it was about to hand over.)
fn sides_have_met(state: &State) -> Checked {
    let running = state.all().filter_map(|machine| Some((machine, state.running(machine)?)));
    let leaders: Vec<_> = running.filter(|(_, process)| process.leads.is_some()).collect();
    let [(machine, leader)] = leaders[..] else {
        let count = leaders.len();
        let what = format!("all say that all is well, and {count} lead");
        return Err(Broken { property: Property::SidesMeet, what });
    };
    let done = state.client.attempts.iter().filter(|attempt| attempt.done().is_some());
    for attempt in done {
        for (number, member) in members(state, &leader.node).chain([(machine, leader)]) {
            hold(attempt.is_in(member.held), Property::SidesMeet, || {
                format!("{attempt:?}, all is well, and node {number} holds {:?}", member.held)
            })?;
        }
    }
    Ok(())
}

/// Whether a process knows that this process of another machine is gone, or that there is a later one.
pub(crate) fn knows_of_death(process: &Process, machine: usize, births: u64) -> bool {
    let known = process.node.view().get(node_id(machine));
    known.is_some_and(|known| {
        let is_later = known.birth >= birth(births + 1);
        is_later || (known.birth >= birth(births) && known.is_dead())
    })
}

/// Writes of which it is known that they are done, and that nobody holds any more.
pub(crate) fn lost(state: &State) -> Vec<usize> {
    let is_held = |attempt: &Attempt| {
        let processes = state.machines.iter().filter_map(|machine| machine.process.as_ref());
        let mut held = processes.map(|process| process.held);
        // What was written and then ended is held by who holds the end.
        held.any(|held| attempt.is_in(held))
    };
    let attempts = state.client.attempts.iter().enumerate();
    attempts
        .filter(|(_, attempt)| matches!(attempt.outcome, Outcome::Done(..)))
        .filter(|(_, attempt)| !is_held(attempt))
        .filter(|(_, attempt)| attempt.request != Request::Load)
        .map(|(number, _)| number)
        .collect()
}
