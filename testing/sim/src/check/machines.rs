//! What no client sees: what must be true of the machines themselves.

use std::collections::BTreeSet;

use abide_replica::{Entry, Node};
use abide_session::{IdHash, Slot, Subject, Time};

use super::{Checked, Violation, hold};
use crate::history::{Open, Required, Session};
use crate::world::World;

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

/// Invariant 4, for surveys: who lists the sessions of a slot without a flag is sure of it.
pub(crate) fn who_lists_is_sure(world: &mut World, machine: usize, slot: Slot) -> Checked {
    let moment = world.moment(machine);
    let node = world.machines[machine].node.as_mut();
    let is_sure = node.is_none_or(|node| node.leads_whole(slot, moment));
    hold(is_sure, "P30 who lists is sure", || {
        format!("node-{machine} lists sessions of slot {slot}, and is not sure of it")
    })
}

/// P14 for surveys: a session is left out only if nobody in sync holds it as live.
pub(crate) fn what_is_not_listed_has_ended_everywhere(
    world: &World,
    machine: usize,
    slot: Slot,
    subject: &Subject,
    listed: &BTreeSet<IdHash>,
) -> Checked {
    let Some(leader) = &world.machines[machine].node else { return Ok(()) };
    let late = Time::from_millis(world.true_wall().as_millis() + world.skew_ms());
    for member in leader.in_sync(slot).unwrap_or_default() {
        let other = world.machines.get(usize::from(member.0));
        let Some(other) = other.and_then(|other| other.node.as_ref()) else { continue };
        let is_another = other.view().get(member) != leader.view().get(member);
        if is_another || other.promised(slot) != leader.reign(slot) {
            continue;
        }
        let mut held = other.table().of_subject(subject, late);
        let hidden = held.find(|(id, _)| id.slot() == slot && !listed.contains(id));
        hold(hidden.is_none(), "P14 what is not listed has ended everywhere", || {
            format!("node-{machine} does not list {hidden:?}, which {member:?} holds")
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
    let wall = world.true_wall().as_millis() + world.skew_ms();
    let mut equal = Vec::new();
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
                let digests = (leader.table().digest(slot), other.table().digest(slot));
                let is_of_reign = other.promised(slot) == leader.reign(slot);
                // What was equal but for what is soon over stays so, as long as it is the same.
                let is_known = digests.0 == digests.1 || world.equal.contains(&digests);
                if is_another || !is_of_reign || is_known {
                    continue;
                }
                let is_equal = lasting(other, slot, wall) == lasting(leader, slot, wall);
                equal.push(digests);
                hold(is_equal, "all in sync hold the same", || {
                    format!("{member:?} is in sync with node-{machine} and differs in slot {slot}")
                })?;
            }
        }
    }
    world.equal.extend(equal);
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
    ended: &mut Vec<Vec<(usize, u64)>>,
) -> Checked {
    ended.resize(sessions.len(), Vec::new());
    for (machine, it) in world.machines.iter().enumerate() {
        let Some(node) = &it.node else { continue };
        let process = (machine, it.process);
        for (number, (session, ended)) in sessions.iter().zip(&mut *ended).enumerate() {
            let was_ended = ended.contains(&process);
            match node.table().packed(session.ids[0].hash()) {
                Some(packed) if packed.is_ended() && was_ended => {}
                Some(packed) if packed.is_ended() => ended.push(process),
                // The grace of an old id is over sooner on one clock than on another: that is no life.
                Some(packed) if was_ended => {
                    let entry = packed.entry();
                    // A mark is let go of when by no clock the session could be live; then a node that was
                    // away for long, or a disk, may bring back what it held, and nobody is shown it.
                    let machines = 0..world.machines.len();
                    let clocks = machines.map(|machine| world.moment(machine).wall);
                    let earliest = clocks.chain([world.true_wall()]).min();
                    let is_over = earliest.is_some_and(|wall| session.hard_deadline <= wall);
                    // By a clock further off than may be a mark is let go of too early, and a disk remembers more
                    // than the others do.
                    let is_promised = !(world.has_disks() && world.was_far_off());
                    let is_live =
                        matches!(entry, Some(Entry::Session(_))) && !is_over && is_promised;
                    let what = || format!("on node-{machine} it is {entry:?} again");
                    hold(!is_live, "P3 what has ended stays so", what)
                        .map_err(|violation| Violation { session: Some(number), ..violation })?;
                }
                // Who was let go forgets, and may be told to make it anew by clients that only it knows.
                None if was_ended => ended.retain(|it| *it != process),
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
    let wall = world.true_wall().as_millis() + world.skew_ms();
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
