//! What must be true of every run: one function for each sentence.
//!
//! The numbers are those of the properties in the design. A checker gets what a client saw, what it knew
//! when it asked, and, for what no client can see, the machines themselves.

mod machines;

use std::fmt;

use abide_replica::{Answer, Kept, Reply};
use abide_session::{Loaded, Record};

use crate::history::{COUNTER, FIELDS, Kind, Open, Outcome, Required, Session};
use crate::network::MILLI;
use crate::world::World;
pub(crate) use machines::*;

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

/// P20: nobody is shown a session whose time was over for all clocks when it was asked for.
pub(crate) fn nothing_is_served_late(session: &Session, asked_at: u64) -> Checked {
    let deadline = session.hard_deadline.as_millis();
    hold(deadline > asked_at, "P20 nothing is served late", || {
        format!("its time was over {} ms before", asked_at - deadline)
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
        let mut corpses = machine.corpses.iter().filter(|(_, at)| *at >= open.invoked);
        machine.node.as_ref().is_some_and(is_held) || corpses.any(|(node, _)| is_held(node))
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

/// P26: so is every survey.
pub(crate) fn every_survey_is_answered(
    world: &World,
    machine: usize,
    process: u64,
    invoked: u64,
) -> Checked {
    let it = &world.machines[machine];
    let was_disturbed = it.process != process || it.disturbed >= invoked;
    hold(was_disturbed, "P26 every call is answered in time", || {
        format!("a survey at node-{machine} was not")
    })
}

/// A machine that was told to leave, among others that are well, is needed by nobody soon.
pub(crate) fn who_leaves_has_left_in_time(has_left: bool, machine: usize) -> Checked {
    hold(has_left, "who leaves has left in time", || format!("node-{machine} has not"))
}

/// A machine that was started among others that are well is ready soon.
pub(crate) fn who_starts_is_ready_in_time(is_ready: bool, machine: usize) -> Checked {
    hold(is_ready, "who starts is ready in time", || format!("node-{machine} is not"))
}

/// While machines leave and come back one after another, every call is done, soon, and by who knows
/// of all.
pub(crate) fn nothing_fails_in_a_rolling_restart(
    answer: &Answer,
    took: u64,
    machine: usize,
) -> Checked {
    const PROPERTY: &str = "nothing fails in a rolling restart";
    let is_done = !matches!(answer.reply, Reply::Fault(_));
    hold(is_done, PROPERTY, || format!("node-{machine} answers {answer:?}"))?;
    hold(answer.kept <= Kept::Degraded, PROPERTY, || {
        format!("node-{machine} keeps it {:?}", answer.kept)
    })?;
    hold(took <= ROLLING_WITHIN, PROPERTY, || format!("node-{machine} took {} ms", took / MILLI))
}

/// What a call may take while its slot is handed over: the messages of that, each of which the network may
/// keep for 30 ms, and a tenth of a second.
const ROLLING_WITHIN: u64 = 250 * MILLI;

/// P8 for surveys: what was acknowledged before one began is found by it.
pub(crate) fn a_survey_finds_it(is_found: bool) -> Checked {
    hold(is_found, "P8 a survey finds what was acknowledged", || "it is not listed".into())
}

/// P16 for surveys, and for the end of all sessions of a subject.
pub(crate) fn a_survey_does_not_find_what_has_ended(is_absent: bool) -> Checked {
    hold(is_absent, "P16 what has ended is not listed", || "it was ended, and is listed".into())
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
