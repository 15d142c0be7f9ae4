//! A call, and the changes that it asks for, into bytes.

use alloc::vec::Vec;

use abide_session::{Changes, Expected, FieldChange, IdHash, OldId, Rename, Subject, Write};

use super::super::{change, operation, part};
use super::{duration, id, numbers, part_of, stamp, time};
use crate::message::{Call, Operation};
use crate::varint::{counted, length, number, zigzag};

pub(super) fn call(bytes: &mut Vec<u8>, call: &Call) {
    time(bytes, call.now);
    let mut head = |kind, of: &IdHash| {
        number(bytes, kind);
        id(bytes, *of);
    };
    match &call.operation {
        Operation::Create(of, made) => {
            head(operation::CREATE, of);
            changes(bytes, made);
        }
        Operation::Load(of) => head(operation::LOAD, of),
        Operation::Commit(of, made) => {
            head(operation::COMMIT, of);
            changes(bytes, made);
        }
        Operation::End(of) => head(operation::END, of),
        Operation::Rename(of, rename) => {
            head(operation::RENAME, of);
            renaming(bytes, rename);
        }
    }
}

fn renaming(bytes: &mut Vec<u8>, rename: &Rename) {
    id(bytes, rename.to);
    number(bytes, old_id(rename.old));
    time(bytes, rename.until);
    changes(bytes, &rename.changes);
}

/// 0 for what a later version of the session may have, which nobody reads.
const fn old_id(old: OldId) -> u64 {
    match old {
        OldId::Follows => 1,
        OldId::Freezes => 2,
        OldId::Ends => 3,
        _ => 0,
    }
}

fn changes(bytes: &mut Vec<u8>, changes: &Changes) {
    part_of(bytes, |bytes| {
        let part = |there: bool, part: u64| if there { part } else { 0 };
        let (subject, is_nobody) = match &changes.subject {
            Some(Some(subject)) => (Some(subject), false),
            Some(None) => (None, true),
            None => (None, false),
        };
        let parts = part(changes.clear, part::CLEAR)
            | part(changes.created.is_some(), part::CREATED)
            | part(changes.seen.is_some(), part::SEEN)
            | part(changes.idle_timeout.is_some(), part::IDLE_TIMEOUT)
            | part(changes.hard_deadline.is_some(), part::HARD_DEADLINE)
            | part(subject.is_some(), part::SUBJECT)
            | part(is_nobody, part::NOBODY);
        number(bytes, parts);
        for at in [changes.created, changes.seen, changes.hard_deadline].into_iter().flatten() {
            time(bytes, at);
        }
        if let Some(idle_timeout) = changes.idle_timeout {
            duration(bytes, idle_timeout);
        }
        if let Some(subject) = subject {
            counted(bytes, Subject::as_str(subject).as_bytes());
        }
        length(bytes, changes.fields.len());
        for (name, change) in &changes.fields {
            counted(bytes, name.as_str().as_bytes());
            field_change(bytes, change);
        }
    });
}

fn field_change(bytes: &mut Vec<u8>, change: &FieldChange) {
    match change.expected {
        Expected::Absent => number(bytes, change::ABSENT),
        Expected::Written(of) => {
            number(bytes, change::WRITTEN);
            stamp(bytes, of);
        }
        // What is added later is expected by nobody who writes this version.
        _ => number(bytes, change::ANYTHING),
    }
    match &change.write {
        Write::Put(value) => {
            number(bytes, change::PUT);
            counted(bytes, value);
        }
        Write::Add(more) => numbers(bytes, change::ADD, &[zigzag(*more)]),
        Write::Members(members) => {
            number(bytes, change::MEMBERS);
            length(bytes, members.len());
            for (member, is_in) in members {
                counted(bytes, member);
                number(bytes, u64::from(*is_in));
            }
        }
        // Nothing else is made by this version.
        _ => number(bytes, change::REMOVE),
    }
}
