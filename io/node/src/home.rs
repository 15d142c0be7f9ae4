//! Slots in which a new session is at home on this node: those that it leads.
//!
//! Best are those that it is the first owner of while all nodes are up, as it goes on to lead these. The
//! others it leads in place of somebody, and hands them over when that one is back.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use abide_session::Slot;
use abide_slots::{Member, owner};

/// The slots that a node leads.
#[derive(Debug)]
pub(crate) struct Home {
    /// The name of this node.
    own: String,
    led: Mutex<Led>,
}

#[derive(Debug, Default)]
struct Led {
    /// Those that it is the first owner of.
    owned: BTreeSet<Slot>,
    first: Vec<Slot>,
    others: Vec<Slot>,
}

impl Home {
    pub(crate) fn new(own: &str, names: &[String]) -> Self {
        let home = Self { own: own.to_owned(), led: Mutex::default() };
        home.know(names);
        home
    }

    /// There are these nodes now.
    pub(crate) fn know(&self, names: &[String]) {
        let members = names.iter().filter_map(|name| Member::new(name, 1).ok());
        let members: Vec<Member<'_>> = members.collect();
        let is_ours = |slot: &Slot| {
            let first = owner(*slot, members.iter().copied(), |_| true);
            first.and_then(|place| members.get(place)).is_some_and(|first| first.name() == self.own)
        };
        let owned: BTreeSet<Slot> = Slot::all().filter(is_ours).collect();
        let mut led = self.led();
        let all = std::mem::take(&mut led.first).into_iter().chain(std::mem::take(&mut led.others));
        let (first, others) = all.partition(|slot| owned.contains(slot));
        *led = Led { owned, first, others };
    }

    pub(crate) fn leads(&self, slot: Slot, is_led: bool) {
        let mut led = self.led();
        let Led { owned, first, others } = &mut *led;
        let led = if owned.contains(&slot) { first } else { others };
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
        let names = ["a", "b"].map(str::to_owned);
        let home = Home::new("a", &names);
        let owned = home.led().owned.clone();
        let ours = owned.iter().copied().next().unwrap();
        let theirs = Slot::all().find(|slot| !owned.contains(slot)).unwrap();
        assert_eq!(home.draw(7), None);
        home.leads(theirs, true);
        assert_eq!(home.draw(7), Some(theirs));
        home.leads(ours, true);
        assert_eq!((home.draw(7), home.draw(8)), (Some(ours), Some(ours)));
        home.leads(ours, false);
        assert_eq!(home.draw(7), Some(theirs));
    }

    #[test]
    fn with_another_node_some_slots_are_at_home_elsewhere() {
        let [a, b] = ["a", "b"].map(str::to_owned);
        let home = Home::new("a", std::slice::from_ref(&a));
        Slot::all().for_each(|slot| home.leads(slot, true));
        home.know(&[a, b]);
        let led = home.led();
        assert_eq!(led.first.len().saturating_add(led.others.len()), 4096);
        assert!(led.first.len() > 1500 && led.others.len() > 1500, "{}", led.first.len());
    }
}
