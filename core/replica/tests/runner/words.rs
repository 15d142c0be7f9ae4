//! The words of a story: what calls ask for, what answers and letters say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use abide_replica::{Answer, Event, Fault, Found, Kept, Message, Note, OfSlot, Reply};
use abide_session::{
    Changes, Commit, Create, End, FieldChange, FieldName, IdHash, Loaded, OldId, Record, Rename,
    Slot, Standing, Subject, Time, Write,
};
use bytes::Bytes;

use super::Step;

/// How long an old id leads to its session.
const GRACE: Duration = Duration::from_mins(1);

pub(crate) fn number(text: &str) -> Step<usize> {
    text.parse().map_err(|fault| format!("{text}: {fault}"))
}

pub(crate) fn span(number: &str, unit: &str) -> Step<Duration> {
    let count = number.parse().map_err(|fault| format!("{number}: {fault}"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        _ => Err(format!("{unit} is neither ms nor s")),
    }
}

/// What makes a session, which lives for long.
pub(crate) fn new_session(words: &[&str], now: Time) -> Step<Changes> {
    let (subject, words) = match words {
        ["of", subject, words @ ..] => {
            (Some(Subject::new(*subject).map_err(|fault| format!("{subject}: {fault}"))?), words)
        }
        words => (None, words),
    };
    let mut made = changes(words)?;
    made.created = Some(now);
    made.seen = Some(now);
    made.idle_timeout = Some(Duration::from_hours(1));
    made.hard_deadline = Some(now.after(Duration::from_hours(10)));
    made.subject = subject.map(Some);
    Ok(made)
}

/// `cart=1` sets a field, `visits+1` adds to one.
pub(crate) fn changes(words: &[&str]) -> Step<Changes> {
    let mut changes = Changes::default();
    for word in words {
        let (name, change) = if let Some((name, value)) = word.split_once('=') {
            (name, FieldChange::blind(Some(packed(value)?)))
        } else if let Some((name, count)) = word.split_once('+') {
            let count = count.parse().map_err(|fault| format!("{count}: {fault}"))?;
            (name, FieldChange::relative(Write::Add(count)))
        } else {
            return Err(format!("{word} is neither `field=value` nor `field+number`"));
        };
        let name = FieldName::new(name.to_owned()).map_err(|fault| format!("{name}: {fault}"))?;
        changes.fields.insert(name, change);
    }
    Ok(changes)
}

/// To this id; `old` says what becomes of the one before.
pub(crate) fn rename(to: IdHash, from: &str, old: &[&str], now: Time) -> Step<Rename> {
    let old = match old {
        [] => OldId::Follows,
        ["and", "end", same] if *same == from => OldId::Ends,
        ["and", "freeze", same] if *same == from => OldId::Freezes,
        _ => return Err(format!("write `and end {from}`, `and freeze {from}` or nothing")),
    };
    Ok(Rename::new(to, Changes::default(), old, now.after(GRACE)))
}

/// A small number or a short word, as MessagePack has it.
fn packed(value: &str) -> Step<Bytes> {
    if let Ok(number @ 0..=0x7F) = value.parse::<u8>() {
        return Ok(Bytes::from(vec![number]));
    }
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 32);
    let length = length.ok_or_else(|| format!("{value} is too long"))?;
    Ok(Bytes::from([&[0xA0 | length], value.as_bytes()].concat()))
}

fn unpacked(value: &[u8]) -> String {
    match value {
        [number @ 0..=0x7F] | [0xCC, number] => number.to_string(),
        [0xCD, high, low] => u16::from_be_bytes([*high, *low]).to_string(),
        [0xA0..=0xBF, word @ ..] => String::from_utf8_lossy(word).into_owned(),
        other => format!("{other:02X?}"),
    }
}

/// What came back, and how well that is kept.
pub(crate) fn answer(answer: &Answer) -> String {
    let reply = match &answer.reply {
        Reply::Create(Create::Created(_)) => "created".to_owned(),
        Reply::Create(Create::Taken) => "taken".to_owned(),
        Reply::Load(Loaded::Live { record, standing }) => live(record, *standing),
        Reply::Load(Loaded::Ended) | Reply::End(End::Ended) => "ended".to_owned(),
        Reply::Load(Loaded::Expired) => "expired".to_owned(),
        Reply::Load(Loaded::Unknown) => "unknown".to_owned(),
        Reply::Commit(Commit::Committed(_)) => "committed".to_owned(),
        Reply::Commit(Commit::Conflict(_)) => "conflict".to_owned(),
        Reply::Commit(Commit::Gone) | Reply::End(End::Gone) => "gone".to_owned(),
        Reply::Fault(Fault::Unavailable) => return "unavailable".to_owned(),
        other => format!("{other:?}"),
    };
    format!("{reply}, {}", kept(answer.kept))
}

fn live(record: &Record, standing: Standing) -> String {
    let mut told = "live".to_owned();
    for (name, value) in record.iter() {
        write!(told, " {}={}", name.as_str(), unpacked(value)).expect("a string takes everything");
    }
    match standing {
        Standing::Current => told,
        Standing::Old => told + " by an old id",
        Standing::Frozen => told + " as it was",
        other => format!("{told} {other:?}"),
    }
}

const fn kept(kept: Kept) -> &'static str {
    match kept {
        Kept::Full => "full",
        Kept::Spilled => "spilled",
        Kept::Degraded => "degraded",
        Kept::Sole => "sole",
    }
}

/// The names of the sessions that were found.
pub(crate) fn found(found: Option<&Found>, sessions: &BTreeMap<String, IdHash>) -> String {
    let Some(found) = found else { return "nobody could tell".to_owned() };
    let is_found = |id: &IdHash| found.sessions.iter().any(|(found, _)| found == id);
    let names: Vec<&str> =
        sessions.iter().filter(|(_, id)| is_found(id)).map(|(name, _)| name.as_str()).collect();
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(" ") };
    format!("{names}, {}", kept(found.kept))
}

/// What happened to a node, if that is no call, no letter and no time.
pub(crate) fn event(event: &Event) -> Option<String> {
    match event {
        Event::Call(..) | Event::Survey(..) | Event::Received(..) | Event::Woken => None,
        other => Some(format!("{other:?}")),
    }
}

/// The slot that something happened in.
pub(crate) const fn slot_of(note: Note) -> Option<Slot> {
    match note {
        Note::Leads { slot, .. }
        | Note::SteppedDown(slot)
        | Note::Filled(slot, _)
        | Note::Merged(slot, _)
        | Note::Released(slot, _)
        | Note::HandedOver(slot, _)
        | Note::Forgot(slot)
        | Note::WaitedForGrant(slot)
        | Note::WaitedForWrite(slot) => Some(slot),
        Note::Silent(_)
        | Note::Dead(_)
        | Note::Reborn(_)
        | Note::Admitted(_)
        | Note::Clash(_)
        | Note::SentAgain => None,
    }
}

pub(crate) const fn kind(message: &Message) -> &'static str {
    match message {
        Message::Hello(..) => "hello",
        Message::Nodes(..) => "nodes",
        Message::View(_) => "view",
        Message::Ping { .. } => "ping",
        Message::Pong { .. } => "pong",
        Message::Pass(..) => "pass",
        Message::Answered(..) => "answered",
        Message::Lost(_) => "lost",
        Message::NotLeader(..) => "not-leader",
        Message::Survey(..) => "survey",
        Message::Surveyed(..) => "surveyed",
        Message::OfSlot(_, _, said) => match said {
            OfSlot::Reign => "reign",
            OfSlot::Replicate(..) => "replicate",
            OfSlot::Kept(_) => "kept",
            OfSlot::Missed(_) => "missed",
            OfSlot::Superseded(_) => "superseded",
            OfSlot::Set { .. } => "set",
            OfSlot::Out => "out",
            OfSlot::Ask(..) => "ask",
            OfSlot::Held { .. } => "held",
            OfSlot::Refused(_) => "refused",
            OfSlot::Part { .. } => "part",
            OfSlot::Taken(_) => "taken",
            OfSlot::Compare(..) => "compare",
            OfSlot::Same(..) => "same",
            OfSlot::Differs(_) => "differs",
            OfSlot::Hand { .. } => "hand",
            OfSlot::Offer(_) => "offer",
            OfSlot::Forget(_) => "forget",
        },
    }
}

/// A letter in a line: of what kind, about which slot, in whose reign, and at which number.
pub(crate) fn letter(message: &Message) -> String {
    let kind = kind(message);
    let Message::OfSlot(slot, term, said) = message else { return kind.to_owned() };
    let number = match said {
        OfSlot::Replicate(number, entries) => format!(" {number} ({} entries)", entries.len()),
        OfSlot::Kept(number) | OfSlot::Compare(number, _) | OfSlot::Same(number, _) => {
            format!(" {number}")
        }
        OfSlot::Set { members, doubts, .. } => format!(" {members:?} doubts {doubts:?}"),
        OfSlot::Held { entries, .. } | OfSlot::Part { entries, .. } => {
            format!(" ({} entries)", entries.len())
        }
        _ => String::new(),
    };
    format!("{kind}{number}, slot {slot}, reign {term:?}")
}
