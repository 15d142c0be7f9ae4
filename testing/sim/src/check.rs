//! What must be true of every run: one function for each sentence.
//!
//! The numbers are those of the properties in the design. A checker gets what a client saw, what it knew
//! when it asked, and, for what no client can see, the machines themselves.

use std::collections::BTreeSet;
use std::fmt;

use abide_replica::{Entry, Kept, Node};
use abide_session::{IdHash, Loaded, Record, Slot};

use crate::clients::SKEW_MS;
use crate::history::{COUNTER, FIELDS, Kind, Open, Outcome, Required, Session};
use crate::network::MILLI;
use crate::world::World;

/// What is wrong, by the name of the property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which property.
    pub property: &'static str,
    /// What happened.
    pub what: String,
    /// The session concerned, by its number in the run.
    pub session: Option<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.what)?;
        self.session.map_or(Ok(()), |session| write!(f, " (session {session})"))
    }
}

pub(crate) type Checked = Result<(), Violation>;

fn hold(is_true: bool, property: &'static str, what: impl FnOnce() -> String) -> Checked {
    if is_true { Ok(()) } else { Err(Violation { property, what: what(), session: None }) }
}

/// P8, P10, P22, P30: a read shows every write that was acknowledged, or shown, before it began.
pub(crate) fn a_read_shows_what_was_acknowledged(
    session: &Session,
    required: &Required,
    loaded: &Loaded,
) -> Checked {
    let Loaded::Live { record, .. } = loaded else { return Ok(()) };
    for (field, stamp) in &required.fields {
        let written = record.fields.get(*field).map(|field| field.stamp).unwrap_or_default();
        let is_shown = written >= *stamp || record.cleared >= *stamp;
        hold(is_shown || session.is_split, "P10 a read shows what was acknowledged", || {
            format!("field {field:?} was written at {stamp:?}, and shown as of {written:?}")
        })?;
    }
    Ok(())
}

/// P16: what has ended is not found live.
pub(crate) fn what_has_ended_is_not_live(required: &Required, loaded: &Loaded) -> Checked {
    let is_live = matches!(loaded, Loaded::Live { .. });
    hold(!required.is_ended || !is_live, "P16 what has ended is not live", || {
        "it was ended, and loaded live".into()
    })
}

/// P27, P8: a session that was made is found until it ends or expires.
pub(crate) fn a_session_is_found(
    session: &Session,
    required: &Required,
    loaded: &Loaded,
    may_have_expired: bool,
) -> Checked {
    let is_moving = session.is_split || session.is_being_renamed();
    let is_excused = session.end_tried || is_moving || may_have_expired;
    let is_found = matches!(loaded, Loaded::Live { .. });
    hold(!required.is_made || is_found || is_excused, "P27 a session is found", || {
        format!("it was made and never ended, and the answer is {loaded:?}")
    })
}

/// P14: what is read was written by somebody, and never what was refused.
pub(crate) fn what_is_read_was_written(session: &Session, record: &Record) -> Checked {
    for field in FIELDS {
        let Some(value) = record.get(field) else { continue };
        let number = <[u8; 8]>::try_from(&**value).map(u64::from_le_bytes).unwrap_or_default();
        let attempt = session.attempts.iter().find(|attempt| attempt.number == number);
        let is_written = attempt.is_some_and(|attempt| {
            let is_of_field = match attempt.kind {
                Kind::Set(of) | Kind::Replace(of, _) => of == field,
                Kind::Create => field == "a",
                _ => false,
            };
            is_of_field && attempt.outcome != Outcome::Refused
        });
        hold(is_written, "P14 what is read was written", || {
            format!("field {field:?} holds {number}: {attempt:?}")
        })?;
    }
    Ok(())
}

/// P23: a counter is what was added to it, and what may have been.
pub(crate) fn a_counter_is_exact(session: &Session, record: &Record) -> Checked {
    let value = record.get(COUNTER).map_or(0, |value| integer(value));
    let (sure, possible) = session.sums();
    // On two sides of a cut network one sum wins; and a read may come before the answer to an add.
    let is_checked = !session.was_sole && !session.is_lost && !session.is_split;
    hold(!is_checked || value <= possible, "P23 a counter is exact", || {
        format!("it is {value}, of at most {possible} added ({sure} for sure)")
    })
}

/// P23, at the end: nothing that was added is missing.
pub(crate) fn a_counter_has_all_that_was_added(session: &Session, record: &Record) -> Checked {
    let value = record.get(COUNTER).map_or(0, |value| integer(value));
    let (sure, _) = session.sums();
    let is_checked = !session.was_sole && !session.is_lost && !session.is_split;
    hold(!is_checked || value >= sure, "P23 a counter has all that was added", || {
        format!("it is {value}, and {sure} were added for sure")
    })
}

/// P18: a commit that began after the end was acknowledged finds it gone.
pub(crate) fn no_commit_after_the_end(open: &Open, kept: Kept) -> Checked {
    let is_after = open.required.is_ended && kept != Kept::Sole;
    hold(!is_after, "P18 no commit after the end", || "it was committed to".into())
}

/// P7: nothing becomes live but by create.
pub(crate) fn nothing_is_made_but_by_create(is_committed: bool) -> Checked {
    hold(!is_committed, "P7 nothing is made but by create", || {
        "a commit to an invented id was done".into()
    })
}

/// P27: a commit to a session that is there does not find it gone.
pub(crate) fn a_commit_finds_its_session(
    session: &Session,
    open: &Open,
    may_have_expired: bool,
) -> Checked {
    let is_moving = session.is_split || session.is_being_renamed() || open.id != session.id();
    let is_excused = session.end_tried || is_moving || may_have_expired || session.is_lost;
    hold(!open.required.is_made || is_excused, "P27 a commit finds its session", || {
        "it was made and never ended, and is gone".into()
    })
}

/// P9, P15: what is acknowledged as kept by more than one is held by two processes at that moment.
pub(crate) fn two_processes_hold_it(
    world: &World,
    session: &Session,
    open: &Open,
    required: &Required,
) -> Checked {
    let holds = |machine: &crate::world::Machine| {
        let is_held = |node| session.is_held(node, required);
        // One that has held it and died since counts: nobody can know in less than no time.
        let corpse = machine.corpse.as_ref().filter(|(_, at)| *at >= open.invoked);
        machine.node.as_ref().is_some_and(is_held) || corpse.is_some_and(|(node, _)| is_held(node))
    };
    let count = world.machines.iter().filter(|machine| holds(machine)).count();
    hold(count >= 2, "P9 two processes hold what is acknowledged", || {
        format!("{count} holds {:?} at its acknowledgement", open.kind)
    })
}

/// P26: every call is answered in time by a node that runs.
pub(crate) fn every_call_is_answered(world: &World, open: &Open) -> Checked {
    let machine = &world.machines[open.machine];
    let was_disturbed = machine.process != open.process || machine.disturbed >= open.invoked;
    hold(was_disturbed, "P26 every call is answered in time", || {
        format!("{:?} at node-{} was not", open.kind, open.machine)
    })
}

/// Invariant 3 and 4: two nodes never both answer reads of a slot without a flag.
pub(crate) fn one_node_is_sure(world: &mut World) -> Checked {
    for slot in Slot::all().take(usize::from(world.slots)) {
        let mut sure = Vec::new();
        for machine in 0..world.machines.len() {
            let moment = world.moment(machine);
            if !world.is_running(machine) {
                continue;
            }
            let node = world.machines[machine].node.as_mut();
            if node.is_some_and(|node| node.leads_whole(slot, moment)) {
                sure.push(machine);
            }
        }
        hold(sure.len() <= 1, "one node is sure", || {
            format!("nodes {sure:?} all lead slot {slot} and know of no other")
        })?;
    }
    Ok(())
}

/// P30, invariant 4: who answers reads without a flag counts on nobody who has gone on without it.
pub(crate) fn nobody_counted_on_has_gone_on(world: &mut World, machine: usize) -> Checked {
    let moment = world.moment(machine);
    for slot in Slot::all().take(usize::from(world.slots)) {
        let Some(node) = &mut world.machines[machine].node else { return Ok(()) };
        if !node.leads_whole(slot, moment) {
            continue;
        }
        let (reign, members) = (node.reign(slot), node.in_sync(slot).unwrap_or_default());
        for member in members {
            let other = world.machines.get_mut(usize::from(member.0));
            let Some(other) = other.and_then(|other| other.node.as_mut()) else { continue };
            let has_gone_on = other.in_sync(slot).is_some() && other.reign(slot) > reign;
            hold(!has_gone_on, "P30 nobody counted on has gone on", || {
                format!("node-{machine} answers reads of slot {slot}, and {member:?} leads it")
            })?;
        }
    }
    Ok(())
}

/// Invariants 2 and 6: when nothing is under way, all in sync hold the same.
pub(crate) fn all_in_sync_hold_the_same(world: &mut World) -> Checked {
    let wall = world.true_wall().as_millis() + SKEW_MS;
    for slot in Slot::all().take(usize::from(world.slots)) {
        for machine in 0..world.machines.len() {
            let Some(node) = &mut world.machines[machine].node else { continue };
            let Some(members) = node.in_sync(slot).filter(|_| node.is_at_rest(slot)) else {
                continue;
            };
            let Some(leader) = &world.machines[machine].node else { continue };
            for member in members {
                let other = world.machines.get(usize::from(member.0));
                let Some(other) = other.and_then(|other| other.node.as_ref()) else { continue };
                // Of a process that has died the leader may not know, if another has taken its place.
                let is_another = other.view().get(member) != leader.view().get(member);
                let is_equal = is_another
                    || other.promised(slot) != leader.reign(slot)
                    || other.table().digest(slot) == leader.table().digest(slot)
                    || lasting(other, slot, wall) == lasting(leader, slot, wall);
                hold(is_equal, "all in sync hold the same", || {
                    format!("{member:?} is in sync with node-{machine} and differs in slot {slot}")
                })?;
            }
        }
    }
    Ok(())
}

/// P14: what is shown without a flag is held by all that are in sync: nothing is shown before.
pub(crate) fn what_is_shown_is_held_by_all_in_sync(
    world: &mut World,
    session: &Session,
    open: &Open,
    shown: &Required,
) -> Checked {
    let slot = open.id.slot();
    let Some(node) = &mut world.machines[open.machine].node else { return Ok(()) };
    for member in node.in_sync(slot).unwrap_or_default() {
        let leader = world.machines[open.machine].node.as_ref();
        let known = leader.and_then(|leader| leader.view().get(member));
        let other = world.machines.get(usize::from(member.0));
        let is_held = |node: &Node| session.is_held(node, shown);
        let other = other.and_then(|other| other.node.as_ref());
        let other = other.filter(|other| other.view().get(member) == known);
        hold(other.is_none_or(is_held), "P14 what is shown is held by all in sync", || {
            format!("{member:?} does not hold {shown:?}")
        })?;
    }
    Ok(())
}

/// P3: on one process a session that has ended never lives again.
pub(crate) fn what_has_ended_stays_so(
    world: &World,
    sessions: &[Session],
    ended: &mut BTreeSet<(usize, u64, usize)>,
) -> Checked {
    for (machine, it) in world.machines.iter().enumerate() {
        let Some(node) = &it.node else { continue };
        for (number, session) in sessions.iter().enumerate() {
            let key = (machine, it.process, number);
            match node.table().get(session.ids[0].hash()) {
                Some(Entry::Ended { .. }) => {
                    ended.insert(key);
                }
                // The grace of an old id is over sooner on one clock than on another: that is no life.
                Some(entry @ Entry::Session(_)) if ended.contains(&key) => {
                    return Err(Violation {
                        property: "P3 what has ended stays so",
                        what: format!("on node-{machine} it is {entry:?} again"),
                        session: Some(number),
                    });
                }
                // Who was let go forgets, and may be told to make it anew by clients that only it knows.
                None => {
                    ended.remove(&key);
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// P24: some time after all is well again, all owners of a slot hold the same, and nobody else holds
/// anything; one leads, and knows of nobody who may hold more.
pub(crate) fn all_copies_are_equal(world: &mut World) -> Checked {
    const PROPERTY: &str = "P24 all copies are equal in the end";
    let wall = world.true_wall().as_millis() + SKEW_MS;
    for slot in Slot::all().take(usize::from(world.slots)) {
        let mut digests = Vec::new();
        let mut leaders = Vec::new();
        for (number, machine) in world.machines.iter_mut().enumerate() {
            let Some(node) = &mut machine.node else { continue };
            digests.push((number, lasting(node, slot, wall), node.table().len_of(slot)));
            if let Some(members) = node.in_sync(slot) {
                leaders.push((number, members));
            }
        }
        hold(leaders.len() == 1, PROPERTY, || format!("slot {slot} is led by {leaders:?}"))?;
        let (leader, members) = &leaders[0];
        hold(members.len() == 2, PROPERTY, || format!("slot {slot} is held by {members:?}"))?;
        let moment = world.moment(*leader);
        let node = world.machines[*leader].node.as_mut();
        let is_whole = node.is_some_and(|node| node.leads_whole(slot, moment));
        hold(is_whole, PROPERTY, || format!("node-{leader} is not sure of slot {slot}"))?;
        let is_member = |number: usize| members.iter().any(|it| usize::from(it.0) == number);
        let of_leader = digests.iter().find(|it| it.0 == *leader).map(|it| it.1.clone());
        for (number, digest, entries) in &digests {
            if is_member(*number) {
                hold(Some(digest) == of_leader.as_ref(), PROPERTY, || {
                    format!("slot {slot} on node-{number} is not what node-{leader} holds")
                })?;
            } else {
                hold(*entries == 0, PROPERTY, || {
                    format!("node-{number} still holds {entries} entries of slot {slot}")
                })?;
            }
        }
    }
    Ok(())
}

/// What a node holds of a slot, but for what its clock may have told it to let go of.
fn lasting(node: &Node, slot: Slot, wall: u64) -> Vec<(IdHash, Entry)> {
    let entries = node.table().entries(slot, None);
    let entries = entries.filter_map(|packed| Some((packed.id()?, packed.entry()?)));
    entries
        .filter(|(_, entry)| entry.hard_deadline().as_millis() > wall)
        .map(|(id, entry)| match entry {
            Entry::Moved(moved) if moved.until.as_millis() <= wall => {
                (id, Entry::Ended { hard_deadline: moved.hard_deadline })
            }
            entry => (id, entry),
        })
        .collect()
}

/// A replacement was based on the last write: nothing was acknowledged between the two.
pub(crate) fn no_update_is_lost(session: &Session) -> Checked {
    if session.was_sole || session.is_lost || session.is_split {
        return Ok(());
    }
    for (field, based_on, made) in &session.replaced {
        for attempt in &session.attempts {
            let (Kind::Set(of) | Kind::Remove(of) | Kind::Replace(of, _)) = attempt.kind else {
                continue;
            };
            let Outcome::Done(stamp, _) = attempt.outcome else { continue };
            let is_between = of == *field && stamp > *based_on && stamp < *made;
            hold(!is_between, "no update is lost", || {
                format!("{field:?} was replaced at {made:?}, over a write at {stamp:?}")
            })?;
        }
    }
    Ok(())
}

/// How long a machine may take beyond the limit of a call: its own rounds.
pub(crate) const ANSWER_WITHIN: u64 = 1300 * MILLI;

/// A small integer in MessagePack.
fn integer(bytes: &[u8]) -> i64 {
    match bytes {
        [small] => i64::from(*small),
        [0xcc, byte] => i64::from(*byte),
        [0xcd, high, low] => i64::from(u16::from_be_bytes([*high, *low])),
        _ => i64::MIN,
    }
}
