//! What clients ask for, and where.

use abide_replica::{Call, Operation};
use abide_session::{Changes, Expected, FieldChange, FieldName, Id, OldId, Rename, Time, Write};
use bytes::Bytes;

use crate::history::{Attempt, COUNTER, FIELDS, HashedId, Kind, Open, Outcome, Session};
use crate::run::Run;
use crate::surveys;

/// By how much the clocks of the machines and the client may differ, and a little.
pub(crate) const SKEW_MS: u64 = 5000;
/// Sessions that are used at a time.
const ACTIVE: usize = 10;

/// A client does the next thing.
pub(crate) fn act(run: &mut Run, client: usize) {
    if run.is_peace || run.open.contains_key(&client) {
        return;
    }
    if run.tours.contains_key(&client) {
        surveys::go_on(run, client);
        return;
    }
    if run.world.random.percent(4) {
        let is_end_all = run.world.random.percent(25);
        surveys::begin(run, client, is_end_all);
        return;
    }
    run.last_number += 1;
    let number = run.last_number;
    let (session, kind) = choose(run, number);
    let id = match kind {
        Kind::Invented => {
            run.invented.last().copied().unwrap_or_else(|| run.sessions[session].id())
        }
        Kind::Load => id_to_load(run, session),
        _ => run.sessions[session].id(),
    };
    let Some(machine) = machine_for(run, id) else {
        run.pause_of(client);
        return;
    };
    let now = run.world.moment(machine).wall;
    let new_id = match kind {
        Kind::Rename(_) => Some(id.renewed(run.world.random.bytes())),
        _ => None,
    };
    run.sessions[session].maybe.extend(new_id);
    let mut required = run.sessions[session].required.clone();
    // An old id that a renewal has ended.
    required.is_ended |= run.sessions[session].buried == Some(id);
    if !matches!(kind, Kind::Load | Kind::Invented) {
        let attempt = Attempt { number, kind: kind.clone(), outcome: Outcome::Open };
        run.sessions[session].attempts.push(attempt);
        let is_end = matches!(kind, Kind::End);
        run.sessions[session].end_tried |= is_end;
    }
    let it = &mut run.sessions[session];
    if kind == Kind::Create && !it.acknowledged.is_made {
        it.made_at = it.made_at.max(now);
    }
    let at = run.world.now;
    run.world.trace.line(at, || format!("client {client}: {kind:?} {session} at node-{machine}"));
    let process = run.world.machines[machine].process;
    let open = Open { number, session, kind, id, new_id, machine, process, invoked: at, required };
    let operation = operation(run, &open, now);
    run.open.insert(client, open);
    run.give_up_later(client, number);
    run.world.call(machine, number, Call { operation, now });
}

/// A machine that is up: the one that should lead, mostly.
fn machine_for(run: &mut Run, id: HashedId) -> Option<usize> {
    let (up, slot, now) = (run.world.open(), id.slot(), run.world.now);
    let listed = run.table.as_ref().and_then(|table| table.get(slot.number(), now));
    if let Some(machine) = listed.filter(|machine| up.contains(machine))
        && run.world.random.percent(80)
    {
        return Some(machine);
    }
    if run.world.random.percent(60)
        && let Some(machine) = up.iter().copied().find(|it| run.world.leads(*it, slot))
    {
        return Some(machine);
    }
    run.world.random.pick(&up).copied()
}

fn choose(run: &mut Run, number: u64) -> (usize, Kind) {
    let active = active(run);
    let dice = run.world.random.between(0, 99);
    let is_create = active.is_empty() || (dice < 12 && active.len() < ACTIVE);
    if is_create {
        return (create(run), Kind::Create);
    }
    if dice < 16 {
        // One that may be made, has ended, or was made already: whatever there is.
        let session = run.world.random.between(0, run.sessions.len() as u64 - 1) as usize;
        let is_over = run.sessions[session].end_tried || may_have_expired(run, session);
        let kind = if dice < 14 && !is_over { Kind::Create } else { Kind::Load };
        return (session, kind);
    }
    let recent = &active[active.len().saturating_sub(ACTIVE)..];
    let session = run.world.random.pick(recent).copied().unwrap_or_default();
    let field = FIELDS[(number % FIELDS.len() as u64) as usize];
    let kind = match run.world.random.between(0, 99) {
        0..38 => Kind::Load,
        38..58 => Kind::Set(field),
        58..75 => Kind::Add,
        75..84 => match run.sessions[session].seen.get(field) {
            Some(stamp) => Kind::Replace(field, *stamp),
            None => Kind::Set(field),
        },
        84..88 => Kind::Remove(field),
        88..93 => Kind::End,
        93..97 => Kind::Rename(match run.world.random.between(0, 2) {
            0 => OldId::Follows,
            1 => OldId::Freezes,
            _ => OldId::Ends,
        }),
        _ => {
            let id = Id::from_random(run.world.random.bytes());
            let id = run.sessions[session].id().renewed(id_bytes(id));
            run.invented.push(id);
            Kind::Invented
        }
    };
    (session, kind)
}

/// The sessions that clients use: one that is over, for some reason, is so for good.
fn active(run: &mut Run) -> Vec<usize> {
    let mut in_use = std::mem::take(&mut run.in_use);
    let is_over = |session: &Session| session.end_tried || session.is_split;
    in_use.retain(|number| !is_over(&run.sessions[*number]) && !may_have_expired(run, *number));
    run.in_use = in_use;
    let in_use = run.in_use.iter().copied();
    in_use.filter(|number| run.sessions[*number].acknowledged.is_made).collect()
}

fn id_bytes(id: Id) -> [u8; 22] {
    let mut bytes = [0; 22];
    for (to, from) in bytes.iter_mut().zip(id.text().as_str().bytes()) {
        *to = from;
    }
    bytes
}

fn create(run: &mut Run) -> usize {
    let mut random: [u8; 22] = run.world.random.bytes();
    let slot = (run.world.random.next() % u64::from(run.world.slots)) as u16;
    [random[0], random[1]] = slot.to_be_bytes();
    let is_short = run.world.random.percent(10);
    let life = if is_short { 8 } else { 3600 };
    let hard = run.world.true_wall().as_millis() + life * 1000;
    let subject = run.world.random.between(0, 2 * surveys::SUBJECTS - 1);
    let subject = (subject < surveys::SUBJECTS).then_some(subject as usize);
    let id = HashedId::new(Id::from_random(random));
    run.sessions.push(Session { subject, ..Session::new(id, Time::from_millis(hard)) });
    run.in_use.push(run.sessions.len() - 1);
    run.sessions.len() - 1
}

/// The id that a browser has, or an old one that must do as well or must not.
fn id_to_load(run: &mut Run, session: usize) -> HashedId {
    let it = &run.sessions[session];
    if run.world.random.percent(20) {
        if let Some(buried) = it.buried {
            return buried;
        }
        let wall = run.world.true_wall().as_millis();
        if let Some((followed, until)) = it.followed
            && wall + run.world.skew_ms() < until.as_millis()
        {
            return followed;
        }
    }
    it.id()
}

fn operation(run: &Run, open: &Open, now: Time) -> Operation {
    let Open { id, new_id, number, session, kind, .. } = open;
    let (id, new_id, session) = (*id, *new_id, *session);
    let mut changes = Changes::default();
    changes.seen = Some(now);
    let value = Bytes::copy_from_slice(&number.to_le_bytes());
    let mut put = |field: &'static str, change: FieldChange| {
        if let Ok(name) = FieldName::new(field) {
            changes.fields.insert(name, change);
        }
    };
    match kind {
        Kind::Load => return Operation::Load(id.hash()),
        Kind::End => return Operation::End(id.hash()),
        Kind::Create => {
            put("a", FieldChange::blind(Some(value)));
            changes.created = Some(now);
            changes.idle_timeout = Some(std::time::Duration::from_hours(1));
            changes.hard_deadline = Some(run.sessions[session].hard_deadline);
            changes.subject = run.sessions[session].subject.map(surveys::subject_of);
            return Operation::Create(id.hash(), changes);
        }
        Kind::Set(field) => put(field, FieldChange::blind(Some(value))),
        Kind::Remove(field) => put(field, FieldChange::blind(None)),
        Kind::Replace(field, stamp) => {
            put(field, FieldChange::based_on(Expected::Written(*stamp), Some(value)));
        }
        Kind::Add => put(COUNTER, FieldChange::relative(Write::Add(1))),
        Kind::Invented => put("a", FieldChange::blind(Some(value))),
        Kind::Rename(old) => {
            let to = new_id.unwrap_or(id).hash();
            let until = Time::from_millis(now.as_millis() + 12_000);
            return Operation::Rename(id.hash(), Rename::new(to, changes, *old, until));
        }
    }
    Operation::Commit(id.hash(), changes)
}

/// Whether a clock that is off by more than is promised to be borne may have made a machine let go of it, or
/// of the mark of its end.
pub(crate) fn may_be_forgotten(run: &Run, session: usize) -> bool {
    run.world.was_far_off() && may_have_expired(run, session)
}

/// Whether its time may be over, by some clock.
pub(crate) fn may_have_expired(run: &Run, session: usize) -> bool {
    let wall = run.world.true_wall().as_millis();
    run.sessions[session].hard_deadline.as_millis() <= wall + run.world.skew_ms()
}
