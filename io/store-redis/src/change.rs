//! Changes as the arguments of a script; `script/change.lua` says what stands where.

use abide_session::{Changes, Expected, Write};
use abide_time::Time;

use crate::format::{millis, span_millis, stamp_bytes};
use crate::script::{Call, Script};

/// The script for these changes: of three, the one for what counts, the one for what puts something
/// where nothing or less may have been, and the one for the rest, which a full server takes.
pub(crate) fn script_of(
    changes: &Changes,
    relative: &'static Script,
    more: &'static Script,
    less: &'static Script,
) -> &'static Script {
    if changes.is_relative() {
        relative
    } else if matches!(changes.subject, Some(Some(_)))
        || changes.fields.values().any(|change| !matches!(change.write, Write::Remove))
    {
        more
    } else {
        less
    }
}

/// The arguments that are there once.
pub(crate) fn changing(call: Call, changes: &Changes, token: [u8; 8], now: Time) -> Call {
    let time = |call: Call, time: Option<u64>| match time {
        Some(time) => call.number(time),
        None => call.arg(b""),
    };
    let call = call.number(millis(now)).arg(if changes.clear { b"1" } else { b"" });
    let call = time(call, changes.created.map(millis));
    let call = time(call, changes.seen.map(millis));
    let call = time(call, changes.idle_timeout.map(span_millis));
    let call = time(call, changes.hard_deadline.map(millis));
    match &changes.subject {
        None => call.arg(b""),
        Some(None) => call.arg(b"-"),
        Some(Some(subject)) => call.arg(&[b"+", &token[..], subject.as_str().as_bytes()].concat()),
    }
}

/// The arguments of each field.
pub(crate) fn with_fields(mut call: Call, changes: &Changes) -> Call {
    for (name, change) in &changes.fields {
        call = call.arg(name.as_str().as_bytes());
        call = match change.expected {
            Expected::Absent => call.arg(b"-"),
            // Another store's stamp: nothing here was written at it.
            Expected::Written(stamp) if stamp.node() != 0 => call.arg(b"!!"),
            Expected::Written(stamp) => call.arg(&stamp_bytes(stamp)),
            _ => call.arg(b""),
        };
        call = match &change.write {
            Write::Put(value) => call.arg(b"P").arg(value),
            Write::Add(more) => call.arg(b"A").arg(&more.to_be_bytes()),
            Write::Members(members) => {
                let mut bytes = Vec::new();
                for (member, is_in) in members {
                    bytes.push(u8::from(*is_in));
                    bytes.extend(u32::try_from(member.len()).unwrap_or(u32::MAX).to_be_bytes());
                    bytes.extend_from_slice(member);
                }
                call.arg(b"M").arg(&bytes)
            }
            _ => call.arg(b"R").arg(b""),
        };
    }
    call
}
