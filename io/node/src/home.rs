//! Slots in which a new session is at home on this node: those that it leads.
//!
//! Best are those that it is the first owner of while all nodes are up, as it goes on to lead these. The
//! others it leads in place of somebody, and hands them over when that one is back.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abide_replica::NodeId;
use abide_replica::wire::Roster;
use abide_session::Slot;
use abide_slots::{Member, owner};

/// The slots that a node leads.
#[derive(Debug)]
pub(crate) struct Home {
    /// Those that it is the first owner of.
    first: BTreeSet<Slot>,
    led: Mutex<Led>,
}

#[derive(Debug, Default)]
struct Led {
    first: Vec<Slot>,
    others: Vec<Slot>,
}

impl Home {
    pub(crate) fn new(roster: &Roster) -> Self {
        let members = roster.names.iter().filter_map(|name| Member::new(name, 1).ok());
        let members: Vec<Member<'_>> = members.collect();
        let is_ours = |slot: &Slot| {
            let first = owner(*slot, members.iter().copied(), |_| true);
            first.and_then(|place| u16::try_from(place).ok()).map(NodeId) == Some(roster.own)
        };
        Self { first: Slot::all().filter(is_ours).collect(), led: Mutex::default() }
    }

    pub(crate) fn leads(&self, slot: Slot, is_led: bool) {
        let mut led = self.led();
        let led = if self.first.contains(&slot) { &mut led.first } else { &mut led.others };
        led.retain(|other| *other != slot);
        if is_led {
            led.push(slot);
        }
    }

    /// One of them; none while it leads nothing.
    pub(crate) fn draw(&self, random: u16) -> Option<Slot> {
        let led = self.led();
        let led = if led.first.is_empty() { &led.others } else { &led.first };
        led.get(usize::from(random).checked_rem(led.len())?).copied()
    }

    fn led(&self) -> MutexGuard<'_, Led> {
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_session_is_where_its_slot_stays() {
        let names = vec!["a".to_owned(), "b".to_owned()];
        let home = Home::new(&Roster { names, own: NodeId(0), copies: 2 });
        let ours = home.first.iter().copied().next().unwrap();
        let theirs = Slot::all().find(|slot| !home.first.contains(slot)).unwrap();
        assert_eq!(home.draw(7), None);
        home.leads(theirs, true);
        assert_eq!(home.draw(7), Some(theirs));
        home.leads(ours, true);
        assert_eq!((home.draw(7), home.draw(8)), (Some(ours), Some(ours)));
        home.leads(ours, false);
        assert_eq!(home.draw(7), Some(theirs));
    }
}
