//! What clients learn from the answers to their calls, and what that requires of all later ones.

use std::collections::BTreeMap;

use abide_replica::{Answer, Call, Fault, Kept, Operation, Reply};
use abide_session::{Commit, Create, Loaded, OldId, Stamp, Stamped, Time};

use crate::check::{self, Checked};
use crate::clients::{may_be_forgotten, may_have_expired};
use crate::history::{COUNTER, FIELDS, Kind, Open, Outcome, Required, Session};
use crate::network::SECOND;
use crate::run::{Run, of};
use crate::world::World;

/// A client learns that its call may have been done or not.
pub(crate) fn is_unknown(run: &mut Run, open: &Open) {
    set_outcome(run, open, Outcome::Unknown);
    let session = &mut run.sessions[open.session];
    session.is_split |= open.new_id.is_some();
}

fn set_outcome(run: &mut Run, open: &Open, outcome: Outcome) {
    let attempts = &mut run.sessions[open.session].attempts;
    if let Some(attempt) = attempts.iter_mut().rev().find(|it| it.number == open.number) {
        attempt.outcome = outcome;
    }
}

/// A client learns what came of its call.
pub(crate) fn answered(run: &mut Run, open: &Open, answer: Answer) -> Checked {
    let kept = answer.kept;
    match answer.reply {
        Reply::Fault(Fault::Unavailable) => {
            run.count("answers: unavailable");
            is_unknown(run, open);
            Ok(())
        }
        Reply::Fault(_) => {
            set_outcome(run, open, Outcome::Refused);
            Ok(())
        }
        Reply::Load(loaded) => is_loaded(run, open, &loaded, kept),
        Reply::Create(Create::Created(stamp)) => is_done(run, open, stamp, kept),
        Reply::Commit(Commit::Committed(stamp)) => {
            if open.kind == Kind::Invented {
                return check::nothing_is_made_but_by_create(true);
            }
            if open.kind != Kind::Create && !may_be_forgotten(run, open.session) {
                check::no_commit_after_the_end(open, kept)?;
            }
            is_done(run, open, stamp, kept)
        }
        Reply::End(end) => is_ended(run, open, end == abide_session::End::Ended, kept),
        Reply::Commit(commit) => {
            set_outcome(run, open, Outcome::Refused);
            if open.kind == Kind::Invented || kept == Kept::Sole || commit != Commit::Gone {
                return Ok(());
            }
            let may_have_expired = may_have_expired(run, open.session);
            // A renewal finds its new id taken if it was done and made again: not by this client.
            check::a_commit_finds_its_session(&run.sessions[open.session], open, may_have_expired)
        }
        Reply::Create(_) => {
            set_outcome(run, open, Outcome::Refused);
            Ok(())
        }
    }
}

/// What a write makes true for all reads after it.
fn effects(kind: &Kind, stamp: Stamp) -> Required {
    let mut required = Required { fields: BTreeMap::new(), is_made: true, is_ended: false };
    match kind {
        Kind::Create => required.field("a", stamp),
        Kind::Set(field) | Kind::Remove(field) | Kind::Replace(field, _) => {
            required.field(field, stamp);
        }
        Kind::Add => required.field(COUNTER, stamp),
        Kind::Load | Kind::End | Kind::Rename(_) | Kind::Invented => {}
    }
    required
}

fn is_done(run: &mut Run, open: &Open, stamp: Stamp, kept: Kept) -> Checked {
    set_outcome(run, open, Outcome::Done(stamp, kept));
    let effects = effects(&open.kind, stamp);
    let session = &mut run.sessions[open.session];
    if let Kind::Replace(field, based_on) = open.kind {
        session.replaced.push((field, based_on, stamp));
    }
    if let (Kind::Rename(old), Some(new_id)) = (&open.kind, open.new_id) {
        (session.buried, session.followed) = (None, None);
        if kept == Kept::Sole || open.id != session.id() {
            session.is_split = true;
        } else {
            session.maybe.retain(|id| *id != new_id);
            match old {
                OldId::Follows => {
                    let until = run.world.true_wall().as_millis() + 12_000;
                    session.followed =
                        Some((open.id, Time::from_millis(until - run.world.skew_ms())));
                }
                OldId::Ends => {
                    session.buried = Some(open.id);
                    // What a side on which nobody counts did under this id is lost with it.
                    session.acknowledged = session.required.clone();
                }
                _ => {}
            }
            session.ids.push(new_id);
        }
    }
    record(session, &effects, kept);
    // The answer may have come from one that has died since.
    let mut nodes = run.world.machines.iter().filter_map(|machine| machine.node.as_ref());
    session.is_lost |= !nodes.any(|node| session.is_held(node, &effects));
    if matches!(kept, Kept::Full | Kept::Spilled) && !may_have_expired(run, open.session) {
        let session = &run.sessions[open.session];
        check::two_processes_hold_it(&run.world, session, open, &effects)?;
    }
    Ok(())
}

/// Takes note of what is required from now on.
fn record(session: &mut Session, effects: &Required, kept: Kept) {
    let is_sure = kept != Kept::Sole;
    session.was_sole |= !is_sure;
    let mut known = vec![&mut session.acknowledged];
    if is_sure {
        known.push(&mut session.required);
    }
    for known in known {
        known.is_made |= effects.is_made;
        known.is_ended |= effects.is_ended;
        for (field, stamp) in &effects.fields {
            known.field(field, *stamp);
        }
    }
}

fn is_ended(run: &mut Run, open: &Open, is_done: bool, kept: Kept) -> Checked {
    let outcome = if is_done { Outcome::Done(Stamp::MAX, kept) } else { Outcome::Unknown };
    set_outcome(run, open, outcome);
    // Gone: it was ended before. Who asked had been told that it was made, and knows now that it is over,
    // also when the sides of a cut have met again: unless it was made by a side that who answers has never
    // counted on, and knows nothing of. Who is in doubt does not say so.
    let session = &mut run.sessions[open.session];
    let is_told = kept == Kept::Sole || open.required.is_made;
    let knows = is_done || (is_told && !session.is_being_renamed() && !session.is_split);
    if open.id != session.id() || !knows {
        return Ok(());
    }
    let effects = Required { is_ended: true, ..Required::default() };
    let is_sure = is_done || open.required.is_made;
    record(session, &effects, if is_sure { kept } else { Kept::Sole });
    let is_sure = matches!(kept, Kept::Full | Kept::Spilled);
    if is_done && is_sure && !may_be_forgotten(run, open.session) {
        let session = &run.sessions[open.session];
        check::two_processes_hold_it(&run.world, session, open, &effects)?;
    }
    Ok(())
}

fn is_loaded(run: &mut Run, open: &Open, loaded: &Loaded, kept: Kept) -> Checked {
    let may_have_expired = may_have_expired(run, open.session);
    let may_be_forgotten = may_be_forgotten(run, open.session);
    let asked_at = World::wall_at(open.invoked).as_millis() - run.world.skew_ms();
    let session = &mut run.sessions[open.session];
    if let Loaded::Live { record, .. } = loaded {
        check::nothing_is_served_late(session, asked_at)?;
        check::what_is_read_was_written(session, record)?;
        check::a_counter_is_exact(session, record)?;
    }
    let is_old = open.id != session.id();
    if kept == Kept::Sole || session.is_lost {
        return Ok(());
    }
    if is_old && session.is_split {
        return Ok(());
    }
    if !may_be_forgotten {
        check::what_has_ended_is_not_live(&open.required, loaded)?;
    }
    if is_old {
        return Ok(());
    }
    check::a_session_is_found(session, &open.required, loaded, may_have_expired)?;
    // A node by whose clock its time was over forgets it, and is given it back by one that has less of it.
    if !may_have_expired {
        check::a_read_shows_what_was_acknowledged(session, &open.required, loaded)?;
    }
    if let Loaded::Live { record: shown, .. } = loaded {
        let mut effects = Required { is_made: true, ..Required::default() };
        for field in FIELDS.into_iter().chain([COUNTER]) {
            if let Some(Stamped { stamp, .. }) = shown.fields.get(field) {
                session.seen.insert(field, *stamp);
                effects.field(field, *stamp);
            }
        }
        record(session, &effects, kept);
        if !may_be_forgotten {
            check::what_is_shown_is_held_by_all_in_sync(&mut run.world, session, open, &effects)?;
        }
    }
    Ok(())
}

/// After all: every session is loaded at every node.
pub(crate) fn look_at_everything(run: &mut Run) -> Checked {
    for machine in 0..run.plan.nodes {
        for session in 0..run.sessions.len() {
            run.last_number += 1;
            let (number, now) = (run.last_number, run.world.moment(machine).wall);
            let it = &run.sessions[session];
            let id = it.id();
            let required = it.acknowledged.clone();
            let process = run.world.machines[machine].process;
            let at = run.world.now;
            let open = Open {
                number,
                session,
                kind: Kind::Load,
                id,
                new_id: None,
                machine,
                process,
                invoked: at,
                required,
            };
            run.open.insert(usize::MAX - session, open);
            let operation = Operation::Load(id.hash());
            run.world.call(machine, number, Call { operation, now });
        }
        let until = run.world.now + 3 * SECOND;
        while run.world.now < until && run.open.keys().any(|client| *client > usize::MAX / 2) {
            run.next()?;
        }
        if let Some(open) = run.open.values().next() {
            return check::every_call_is_answered(&run.world, open)
                .map_err(|violation| of(violation, open.session));
        }
    }
    for (number, session) in run.sessions.iter().enumerate() {
        final_counter(run, session).map_err(|violation| of(violation, number))?;
    }
    Ok(())
}

/// The counter, as some node holds it in the end.
fn final_counter(run: &Run, session: &Session) -> Checked {
    let nodes = run.world.machines.iter().filter_map(|machine| machine.node.as_ref());
    for node in nodes {
        if let Some(abide_replica::Entry::Session(record)) = node.table().get(session.id().hash()) {
            check::a_counter_has_all_that_was_added(session, &record)?;
        }
    }
    Ok(())
}
