//! What has to happen when a request ends.
//!
//! [`plan`] is the whole policy of the session layer as one function of values. The rules, the
//! first that applies decides:
//!
//! * A request that ends its session does nothing else. If nothing was there to end, only the
//!   cookie goes, and only if one came.
//! * A request that recorded nothing and loaded nothing costs nothing.
//! * An id that finds no session is not adopted: what the request keeps goes under a new id, and if
//!   it keeps nothing, nothing happens. The stale cookie is left alone: a response that removes it
//!   could arrive after one that replaced it.
//! * A request that only wrote, and never looked, commits without looking: the store knows whether
//!   there is a session to change. If there is none, the session is loaded after all, and this rule
//!   does not apply again.
//! * A session is made only if it would hold a field or belong to somebody.
//! * A live session is renewed if the request asked for it or changed whom it belongs to. A second
//!   renewal under an old id, in its grace, is the same renewal asked for twice and only commits.
//! * A session bound to somebody under an id that is frozen, because another request just did so,
//!   is made anew with what it held before: both requests proved who they are, and both get a
//!   session.
//! * Otherwise the changes are committed, if there are any, or the session is touched, if that is
//!   due.
//!
//! The status of the response does not matter. A handler that signed a visitor in and failed after
//! that has signed him in: dropping what it recorded would leave the browser with an id that is
//! gone.

use alloc::sync::Arc;

use abide_time::Time;

use crate::changes::{Changes, FieldChange};
use crate::expiry::{Policy, touch_due};
use crate::operations::{Lifetime, Operations};
use crate::record::Record;
use crate::store::{OldId, Standing};
use crate::write::Write;

/// What is known of the session whose id a request presents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Presented {
    /// It presents no id.
    Nothing,
    /// It presents one that nobody has looked up yet.
    Unloaded,
    /// It presents one that no session is or was known by.
    Unknown,
    /// The session has expired.
    Expired,
    /// The session has ended.
    Ended,
    /// The session was there when it was loaded. If it has ended or expired since, the store says
    /// so when it is told to change it: what the request wrote may rest on what it read.
    Live {
        /// What it holds.
        record: Arc<Record>,
        /// What the id may do.
        standing: Standing,
    },
}

impl Presented {
    /// The record of a live session.
    pub fn record(&self) -> Option<&Record> {
        match self {
            Self::Live { record, .. } => Some(record),
            _ => None,
        }
    }
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// What to tell the store.
    pub action: Action,
    /// What to tell the browser, if the store did what it was told.
    pub cookie: CookieAction,
}

/// What to tell the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Load the session, then plan again.
    Load,
    /// Make a session of this, under a new id.
    Create(Changes),
    /// Change the session. If it has not been loaded and the store says that it is gone, it is to be
    /// loaded, then planned again.
    Commit(Changes),
    /// Change the session and move it to a new id in the same slot.
    Rename(Changes, OldId),
    /// End the session.
    End,
}

/// What to tell the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieAction {
    /// Nothing.
    None,
    /// The new id, to be kept until then.
    Set(Time),
    /// To forget the id.
    Remove,
}

/// What has to happen at the end of a request that presented this and recorded that.
pub fn plan(presented: &Presented, operations: &Operations, now: Time, policy: &Policy) -> Plan {
    if operations.is_ended() {
        return end(presented);
    }
    match presented {
        Presented::Live { record, standing } => {
            continued(record, *standing, operations, now, policy)
        }
        Presented::Unloaded if operations.is_empty() => NOTHING,
        Presented::Unloaded => {
            let action = operations.changes_of_any().map_or(Action::Load, |changes| {
                Action::Commit(Changes { seen: Some(now), ..changes })
            });
            Plan { action, cookie: CookieAction::None }
        }
        Presented::Nothing | Presented::Unknown | Presented::Expired | Presented::Ended => {
            made(&Record::default(), operations, now, policy)
        }
    }
}

const NOTHING: Plan = Plan { action: Action::Nothing, cookie: CookieAction::None };

/// The end of a session, or of what somebody takes for one.
fn end(presented: &Presented) -> Plan {
    let action = match presented {
        Presented::Nothing => return NOTHING,
        Presented::Unloaded | Presented::Live { .. } => Action::End,
        Presented::Unknown | Presented::Expired | Presented::Ended => Action::Nothing,
    };
    Plan { action, cookie: CookieAction::Remove }
}

/// A new session that starts with the fields of `before`, if it would hold anything.
fn made(before: &Record, operations: &Operations, now: Time, policy: &Policy) -> Plan {
    let mut changes = operations.changes(&Record::default());
    changes.clear = false;
    for name in operations.written() {
        // What is added to a field is added to what it held before.
        if let Ok(value) = operations.value(name.as_str(), before.get(name.as_str())) {
            changes.fields.insert(name.clone(), FieldChange::blind(value));
        }
    }
    changes.fields.retain(|_, change| change.write != Write::Remove);
    for (name, value) in before.iter() {
        if !operations.writes(name.as_str()) {
            changes.fields.insert(name.clone(), FieldChange::blind(Some(value.clone())));
        }
    }
    if changes.fields.is_empty() && changes.subject.is_none() {
        return NOTHING;
    }
    let lifetime = operations.lifetime.unwrap_or_else(|| policy.lifetime());
    let hard_deadline = now.after(lifetime.absolute_timeout);
    changes.created = Some(now);
    changes.seen = Some(now);
    changes.idle_timeout = Some(lifetime.idle_timeout);
    changes.hard_deadline = Some(hard_deadline);
    Plan { action: Action::Create(changes), cookie: CookieAction::Set(hard_deadline) }
}

/// A session that is there and goes on.
fn continued(
    record: &Record,
    standing: Standing,
    operations: &Operations,
    now: Time,
    policy: &Policy,
) -> Plan {
    let mut changes = operations.changes(record);
    let bound = matches!(changes.subject, Some(Some(_)));
    if standing == Standing::Frozen && bound {
        return made(record, operations, now, policy);
    }
    extend(&mut changes, record, operations.lifetime, now);
    let renewed = match standing {
        Standing::Current => operations.renewed || changes.subject.is_some(),
        Standing::Old => changes.subject.is_some(),
        Standing::Frozen => false,
    };
    if renewed {
        let old = match (&changes.subject, &record.subject.value) {
            (None, _) => OldId::Follows,
            (Some(_), None) => OldId::Freezes,
            (Some(_), Some(_)) => OldId::Ends,
        };
        changes.seen = Some(now);
        if bound && operations.lifetime.is_none() {
            changes.hard_deadline = Some(now.after(policy.absolute_timeout));
        }
        let until = record.hard_deadline.max(changes.hard_deadline.unwrap_or_default());
        return Plan { action: Action::Rename(changes, old), cookie: CookieAction::Set(until) };
    }
    if !changes.is_empty()
        || (standing != Standing::Frozen && (operations.touched || touch_due(record, now)))
    {
        changes.seen = Some(now);
        // An old id is not sent: by now the browser has a newer one.
        let extended = changes.hard_deadline.filter(|_| standing == Standing::Current);
        let cookie = extended.map_or(CookieAction::None, CookieAction::Set);
        return Plan { action: Action::Commit(changes), cookie };
    }
    NOTHING
}

/// Adds what a lifetime of its own changes of a session that is there.
fn extend(changes: &mut Changes, record: &Record, lifetime: Option<Lifetime>, now: Time) {
    let Some(lifetime) = lifetime else { return };
    let idle_timeout = lifetime.idle_timeout;
    changes.idle_timeout = Some(idle_timeout).filter(|new| *new != record.idle_timeout.value);
    let hard_deadline = now.after(lifetime.absolute_timeout);
    changes.hard_deadline = Some(hard_deadline).filter(|new| *new > record.hard_deadline);
}

#[cfg(test)]
mod tests;
