//! Where a request goes: the one function that matters, and what follows from its verdict.

use abide_slots::Slot;
use abide_time::Time;

use crate::source::Found;
use crate::{Admin, Health, Keys, OnLost, Presented, Reason, Server, Ticket, View};

/// Where a request goes, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where.
    pub choice: Choice,
    /// Why.
    pub reason: Reason,
    /// The slot whose rendezvous order gives the next server, should this one fail.
    pub slot: Slot,
    /// What kind of sticky cookie the request had; count it beside the reason, because another source
    /// may have decided.
    pub presented: Presented,
    /// What a good sticky cookie said.
    pub ticket: Option<Ticket>,
    /// The visitor's random number: from the cookie, or the one drawn for this request.
    pub visitor: u32,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To the server at this place of the view.
    Server(usize),
    /// To whomever the [`Balancer`](crate::Balancer) picks.
    Balance,
    /// Nowhere: 503, with `Retry-After`.
    Nobody,
}

/// Decides where a request goes.
///
/// `visitor` is a random number for a visitor who has none yet; it need not be secret. The first
/// source that points to a server decides; a route that no server has points nowhere, and a cookie
/// that does not open neither. A server that can not serve its session passes it on to the next one
/// that takes new sessions in the slot's rendezvous order, or to nobody if the pool is strict.
pub fn decide(view: &View, keys: &Keys<'_>, now: Time, visitor: u32) -> Verdict {
    let ticket = keys.ticket();
    let visitor = ticket.map_or(visitor, |ticket| ticket.visitor);
    let id_slot = keys.id_slot();
    let slot = id_slot.unwrap_or_else(|| Slot::of_number(u64::from(visitor)));
    let presented = keys.presented();
    let mut verdict =
        Verdict { choice: Choice::Nobody, reason: Reason::None, slot, presented, ticket, visitor };

    let home = keys
        .found()
        .find_map(|found| home(view, found, &verdict))
        // An id whose route nobody has is still an id.
        .or_else(|| id_slot.and_then(|slot| owned(view, slot, Reason::Owner)));
    match home {
        Some(home) => {
            verdict.slot = home.slot;
            (verdict.choice, verdict.reason) = settle(view, &home, now);
        }
        None if view.takes_new() => {
            verdict.choice = Choice::Balance;
            verdict.reason = match presented {
                Presented::Forged => Reason::Forged,
                Presented::Expired => Reason::Expired,
                Presented::Absent | Presented::Valid => Reason::New,
            };
        }
        None => {}
    }
    verdict
}

/// The verdict after the servers at these places failed to answer this request.
///
/// The next server in the slot's rendezvous order, as `moved:failed`; nobody if none is left, or if
/// the pool is strict and the session was at home where it failed.
pub fn retry(view: &View, verdict: &Verdict, tried: &[usize]) -> Verdict {
    let was_at_home =
        matches!(verdict.reason, Reason::Sticky | Reason::Owner | Reason::Route | Reason::Address);
    let (choice, reason) = if was_at_home && view.on_lost() == OnLost::Refuse {
        (Choice::Nobody, Reason::Strict)
    } else {
        match next(view, verdict.slot, tried) {
            Some(place) => (Choice::Server(place), Reason::MovedFailed),
            None => (Choice::Nobody, Reason::None),
        }
    };
    Verdict { choice, reason, ..*verdict }
}

/// The next server in the slot's rendezvous order that takes new sessions and is not among `tried`.
pub fn next(view: &View, slot: Slot, tried: &[usize]) -> Option<usize> {
    view.first_in_order(slot, |place, server| server.takes_new() && !tried.contains(&place))
}

/// Where a session is at home, whether or not that server can answer.
struct Home {
    /// None if it is no longer configured.
    place: Option<usize>,
    /// The reason if it can answer.
    reason: Reason,
    /// Gives the order of those who come next.
    slot: Slot,
}

/// Where this points to, if anywhere.
fn home(view: &View, found: Found<'_>, verdict: &Verdict) -> Option<Home> {
    match found {
        Found::Sticky => {
            let place = view.place_of_tag(verdict.ticket?.server);
            Some(Home { place, reason: Reason::Sticky, slot: verdict.slot })
        }
        Found::Routed { id, route } => {
            let place = Some(view.place_of(route)?);
            Some(Home { place, reason: Reason::Route, slot: abide_slots::slot_of_id(id) })
        }
        Found::Id(id) => owned(view, abide_slots::slot_of_id(id), Reason::Owner),
        Found::Address(slot) => owned(view, slot, Reason::Address),
    }
}

/// The owner of a slot, whatever its state; none only in a pool without servers.
fn owned(view: &View, slot: Slot, reason: Reason) -> Option<Home> {
    let place = Some(view.first_in_order(slot, |_, _| true)?);
    Some(Home { place, reason, slot })
}

/// Home if it can answer, or who comes next.
fn settle(view: &View, home: &Home, now: Time) -> (Choice, Reason) {
    let server = home.place.and_then(|place| Some((place, view.server(place)?)));
    let lost = match server {
        Some((place, server)) if server.keeps(now) => return (Choice::Server(place), home.reason),
        Some((_, server)) => why_lost(server),
        None => Reason::MovedGone,
    };
    // Those two can come back; the others can not, so waiting for them would be in vain.
    let may_return = matches!(lost, Reason::MovedDown | Reason::MovedMaintenance);
    if may_return && view.on_lost() == OnLost::Refuse {
        return (Choice::Nobody, Reason::Strict);
    }
    match next(view, home.slot, &[]) {
        Some(place) => (Choice::Server(place), lost),
        None => (Choice::Nobody, Reason::None),
    }
}

fn why_lost(server: &Server) -> Reason {
    match (server.admin, server.health) {
        (Admin::Maintenance, _) => Reason::MovedMaintenance,
        (_, Health::Down) => Reason::MovedDown,
        (Admin::Draining { .. } | Admin::Ready, Health::Up) => Reason::MovedDrained,
    }
}

#[cfg(test)]
mod tests;
