//! Clients that look for all sessions of a subject, and end all of them as the shell does: look, end
//! each that was found, and look again until there is none.

use std::collections::BTreeSet;

use abide_replica::{
    Answer, Call, Event, Fault, Found, Kept, Operation, Reply, SlotSet, Sought, Survey,
};
use abide_session::{IdHash, Subject, Time};

use crate::check::{self, Checked};
use crate::clients::{SKEW_MS, may_be_forgotten, may_have_expired};
use crate::history::{Attempt, HashedId, Kind, Open, Outcome, Session};
use crate::network::Real;
use crate::run::{Run, of};
use crate::world::World;

/// Subjects that sessions may have.
pub(crate) const SUBJECTS: u64 = 3;
/// How often a client looks again before it gives up: then what came of it is unknown.
const ROUNDS: usize = 8;

/// A client on its way through the sessions of a subject.
#[derive(Debug)]
pub(crate) struct Tour {
    subject: usize,
    machine: usize,
    process: u64,
    /// The survey that is not answered, and since when.
    asked: Option<(u64, Real)>,
    is_end_all: bool,
    /// Sessions made later than this are not to be ended.
    made_by: Time,
    /// The sessions that a survey has to find, and the ones that have ended: when it began.
    known: Vec<(usize, usize)>,
    ended: Vec<usize>,
    /// Sessions of the subject that were acknowledged before all began.
    before: Vec<usize>,
    to_end: Vec<HashedId>,
    round: usize,
    was_sole: bool,
}

impl Tour {
    /// Whether it asks this machine.
    pub(crate) const fn is_at(&self, machine: usize) -> bool {
        self.machine == machine
    }
}

/// The name of a subject.
pub(crate) fn subject_of(number: usize) -> Option<Subject> {
    Subject::new(format!("subject-{number}")).ok()
}

/// A client begins to look for the sessions of somebody.
pub(crate) fn begin(run: &mut Run, client: usize, is_end_all: bool) {
    let up = run.world.open();
    let Some(machine) = run.world.random.pick(&up).copied() else {
        run.pause_of(client);
        return;
    };
    let subject = run.world.random.between(0, SUBJECTS - 1) as usize;
    let wall = run.world.moment(machine).wall.as_millis();
    let is_hers = |session: &Session| session.subject == Some(subject) && session.required.is_made;
    let sessions = run.sessions.iter().enumerate();
    let before = sessions.filter(|(_, it)| is_hers(it)).map(|(number, _)| number).collect();
    let tour = Tour {
        subject,
        machine,
        process: run.world.machines[machine].process,
        asked: None,
        is_end_all,
        made_by: Time::from_millis(wall + SKEW_MS),
        known: Vec::new(),
        ended: Vec::new(),
        before,
        to_end: Vec::new(),
        round: 0,
        was_sole: false,
    };
    run.tours.insert(client, tour);
    go_on(run, client);
}

/// The next step of a client that is on its way.
pub(crate) fn go_on(run: &mut Run, client: usize) {
    let Some(mut tour) = run.tours.remove(&client) else { return };
    if tour.asked.is_some() {
        run.tours.insert(client, tour);
        return;
    }
    // Who has died since does not answer.
    if run.world.machines[tour.machine].process != tour.process || !run.world.is_up(tour.machine) {
        run.pause_of(client);
        return;
    }
    if let Some(id) = tour.to_end.pop() {
        end(run, client, &tour, id);
    } else {
        survey(run, client, &mut tour);
    }
    run.tours.insert(client, tour);
}

fn survey(run: &mut Run, client: usize, tour: &mut Tour) {
    tour.round += 1;
    let is_hers = |session: &Session| session.subject == Some(tour.subject);
    let sessions = || run.sessions.iter().enumerate().filter(|(_, session)| is_hers(session));
    let is_there = |session: &Session| {
        let is_moving = session.is_split || session.is_being_renamed();
        session.required.is_made && !session.end_tried && !is_moving && !session.is_lost
    };
    tour.known = sessions()
        .filter(|(_, session)| is_there(session))
        .map(|(number, session)| (number, session.ids.len()))
        .collect();
    tour.ended = sessions()
        .filter(|(_, session)| session.required.is_ended && !session.is_split)
        .map(|(number, _)| number)
        .collect();
    run.last_number += 1;
    let (number, now) = (run.last_number, run.world.now);
    tour.asked = Some((number, now));
    let Some(subject) = subject_of(tour.subject) else { return };
    let what = if tour.is_end_all { "ends all" } else { "lists" };
    run.world.trace.line(now, || format!("client {client}: {what} of {subject:?}"));
    run.give_up_later(client, number);
    run.world.surveys.insert(number, subject.clone());
    let survey =
        Survey { sought: Sought::OfSubject(subject), now: run.world.moment(tour.machine).wall };
    run.world.give(tour.machine, Event::Survey(number, survey), None);
}

fn end(run: &mut Run, client: usize, tour: &Tour, id: HashedId) {
    let mut sessions = run.sessions.iter();
    let Some(session) = sessions.position(|session| session.all_ids().any(|it| it == id)) else {
        return;
    };
    run.last_number += 1;
    let (number, invoked) = (run.last_number, run.world.now);
    let it = &mut run.sessions[session];
    it.end_tried = true;
    it.attempts.push(Attempt { number, kind: Kind::End, outcome: Outcome::Open });
    let required = it.required.clone();
    let Tour { machine, process, .. } = *tour;
    let (kind, new_id) = (Kind::End, None);
    let open = Open { number, session, kind, id, new_id, machine, process, invoked, required };
    run.world.trace.line(invoked, || format!("client {client}: Ends {session} at node-{machine}"));
    run.open.insert(client, open);
    run.give_up_later(client, number);
    let now = run.world.moment(machine).wall;
    run.world.call(machine, number, Call { operation: Operation::End(id.hash()), now });
}

/// An end was answered.
pub(crate) fn heard(run: &mut Run, client: usize, answer: &Answer) {
    if let Some(tour) = run.tours.get_mut(&client) {
        let is_known = !matches!(answer.reply, Reply::Fault(Fault::Unavailable));
        tour.was_sole |= answer.kept == Kept::Sole && is_known;
    }
}

/// A machine has told another of the sessions in some slots.
pub(crate) fn told(
    world: &mut World,
    machine: usize,
    number: u64,
    slots: &SlotSet,
    found: &Found,
) -> Checked {
    let Some(subject) = world.surveys.get(&number).cloned() else { return Ok(()) };
    let ids: BTreeSet<IdHash> = found.sessions.iter().map(|(id, _)| *id).collect();
    let is_sure = found.kept != Kept::Sole && !world.has_forgotten;
    for slot in slots.iter().filter(|_| is_sure) {
        check::who_lists_is_sure(world, machine, slot)?;
        check::what_is_not_listed_has_ended_everywhere(world, machine, slot, &subject, &ids)?;
    }
    Ok(())
}

/// A survey was answered.
pub(crate) fn answered(
    run: &mut Run,
    machine: usize,
    number: u64,
    found: Option<Found>,
) -> Checked {
    let is_it = |tour: &Tour| {
        tour.machine == machine && tour.asked.is_some_and(|(asked, _)| asked == number)
    };
    let client = run.tours.iter().find(|(_, tour)| is_it(tour)).map(|(client, _)| *client);
    let Some(client) = client else { return Ok(()) };
    let Some(mut tour) = run.tours.remove(&client) else { return Ok(()) };
    tour.asked = None;
    run.world.trace.mix(number);
    let now = run.world.now;
    run.world.trace.line(now, || format!("client {client}: survey is answered: {found:?}"));
    run.pause_of(client);
    let Some(found) = found else {
        run.count("surveys that nobody could answer");
        return Ok(());
    };
    run.count("surveys answered");
    let is_sole = found.kept == Kept::Sole || run.world.has_forgotten;
    tour.was_sole |= is_sole;
    let ids: BTreeSet<IdHash> = found.sessions.iter().map(|(id, _)| *id).collect();
    if !is_sole {
        is_complete(run, &tour, &ids)?;
    }
    if !tour.is_end_all {
        return Ok(());
    }
    let is_old = |id: &IdHash| {
        let record = found.sessions.iter().find(|(of, _)| of == id).and_then(|(_, of)| of.as_ref());
        record.is_none_or(|record| record.created <= tour.made_by)
    };
    let all = run.sessions.iter().flat_map(Session::all_ids);
    tour.to_end = all.filter(|id| ids.contains(&id.hash()) && is_old(&id.hash())).collect();
    if tour.to_end.is_empty() {
        have_ended(run, &tour);
    } else if tour.round < ROUNDS {
        run.tours.insert(client, tour);
    } else {
        run.count("end-alls given up");
    }
    Ok(())
}

/// A survey without a flag finds all that were acknowledged before it began and that nobody has touched
/// since, and none that had ended.
fn is_complete(run: &Run, tour: &Tour, found: &BTreeSet<IdHash>) -> Checked {
    for (number, ids) in &tour.known {
        let session = &run.sessions[*number];
        let is_touched = session.end_tried
            || session.is_split
            || session.is_lost
            || session.is_being_renamed()
            || session.ids.len() != *ids
            || may_have_expired(run, *number);
        check::a_survey_finds_it(is_touched || found.contains(&session.id().hash()))
            .map_err(|violation| of(violation, *number))?;
    }
    for number in &tour.ended {
        let session = &run.sessions[*number];
        let is_excused = session.is_split || session.is_lost || may_be_forgotten(run, *number);
        check::a_survey_does_not_find_what_has_ended(
            is_excused || !found.contains(&session.id().hash()),
        )
        .map_err(|violation| of(violation, *number))?;
    }
    Ok(())
}

/// A survey has found none: those that were there before have ended.
fn have_ended(run: &mut Run, tour: &Tour) {
    if tour.was_sole {
        run.count("end-alls as sole");
        return;
    }
    run.count("end-alls");
    for number in &tour.before {
        // One whose time is over by the clock of who asked is not found, and is soon over for all.
        if may_have_expired(run, *number) {
            continue;
        }
        let session = &mut run.sessions[*number];
        // By a clock that was far ahead it was made after all began.
        if session.made_at > tour.made_by {
            continue;
        }
        if !session.is_split && !session.is_lost {
            session.end_tried = true;
            session.required.is_ended = true;
            session.acknowledged.is_ended = true;
        }
    }
}

/// A client that waits for a survey has waited for long enough.
pub(crate) fn gives_up(run: &mut Run, client: usize, number: u64) -> Checked {
    let is_it = |tour: &Tour| tour.asked.is_some_and(|(asked, _)| asked == number);
    if !run.tours.get(&client).is_some_and(is_it) {
        return Ok(());
    }
    let Some(tour) = run.tours.remove(&client) else { return Ok(()) };
    run.pause_of(client);
    let invoked = tour.asked.map_or(0, |(_, at)| at);
    check::every_survey_is_answered(&run.world, tour.machine, tour.process, invoked)
}
