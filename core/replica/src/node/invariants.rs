//! What must always be true of a node, whatever happened to it.
//!
//! A build with debug assertions, or one that can make mistakes, looks after each step at the slots that the step
//! may have changed, and now and then at all of them: a look at 4096 slots takes as long as a hundred steps.

use alloc::collections::BTreeSet;
use core::fmt;

use abide_session::Slot;

use super::Node;
use crate::limits::{MAX_FILLS, MAX_OPEN_CALLS, MAX_OPEN_SURVEYS, MAX_PENDING, MAX_WAITING};
use crate::slot::{Place, Role};

/// An invariant does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

/// Whether each step is looked at. The tests' build has no debug assertions, which those of the standard library make
/// slow, and looks all the same, as the simulator needs mistakes in it.
const LOOKS: bool = cfg!(any(debug_assertions, feature = "mutants"));

/// The slots that a step may have changed: for builds that look, and empty in others.
#[derive(Clone)]
pub(crate) struct Touched {
    slots: BTreeSet<Slot>,
    are_all: bool,
    steps: u32,
}

impl Touched {
    pub(crate) const fn new() -> Self {
        Self { slots: BTreeSet::new(), are_all: false, steps: 0 }
    }

    /// A step begins.
    pub(crate) fn begin(&mut self) {
        if LOOKS {
            self.steps = self.steps.wrapping_add(1);
            self.slots.clear();
            self.are_all = self.steps.is_multiple_of(LOOK_AT_ALL_EVERY);
        }
    }

    pub(crate) fn insert(&mut self, slot: Slot) {
        if LOOKS {
            self.slots.insert(slot);
        }
    }

    pub(crate) const fn insert_all(&mut self) {
        self.are_all = true;
    }
}

/// Nothing of it says what a node is: two that differ in this only are equal to who looks.
impl fmt::Debug for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Touched")
    }
}

/// Steps from one look at all slots to the next.
const LOOK_AT_ALL_EVERY: u32 = 1024;

impl Node {
    /// In a build that looks: the step that ends has left everything as it must be. Not of a node that was
    /// told to make a mistake: who told it looks for itself.
    pub(crate) fn assert_invariants(&self) {
        if LOOKS && !self.around.makes_any_mistake() {
            let touched = &self.around.touched;
            let found = if touched.are_all {
                self.check_invariants()
            } else {
                let mut places = touched.slots.iter().filter_map(|slot| self.place(*slot));
                self.check_bounds().and_then(|()| places.try_for_each(|it| self.check_place(it)))
            };
            assert_eq!(found, Ok(()), "an invariant of a node is broken");
        }
    }

    fn place(&self, slot: Slot) -> Option<&Place> {
        self.places.get(usize::from(slot.number()))
    }

    /// Whether everything is as it must be between any two events.
    ///
    /// # Errors
    /// [`Broken`] says what is not.
    pub fn check_invariants(&self) -> Result<(), Broken> {
        self.check_bounds()?;
        self.places.iter().try_for_each(|place| self.check_place(place))
    }

    fn check_bounds(&self) -> Result<(), Broken> {
        hold(self.around.calls.len() <= MAX_OPEN_CALLS, "calls are within their bound")?;
        let surveys = self.around.surveys.len();
        hold(surveys <= MAX_OPEN_SURVEYS, "surveys are within their bound")?;
        hold(self.around.filling.len() <= MAX_FILLS, "fills are within their bound")
    }

    fn check_place(&self, place: &Place) -> Result<(), Broken> {
        let own = self.around.own;
        hold(place.reign <= Some(place.promised), "nobody follows a reign above its promise")?;
        let is_ours = place.promised.leader == own;
        match &place.role {
            Role::Follower(follower) => {
                let is_lower = place.reign != Some(place.promised);
                hold(follower.in_sync.is_none() || !is_lower, "in sync is who keeps its promise")
            }
            Role::Claiming(claim) => {
                hold(is_ours && place.reign.is_none(), "a claimant has promised to itself")?;
                hold(!claim.waits_for.contains_key(&own), "nobody asks itself")
            }
            Role::Leading(lead) => {
                let is_reign = is_ours && place.reign == Some(place.promised);
                hold(is_reign, "a leader leads in the reign that it promised")?;
                hold(!lead.members.contains_key(&own), "the members of a set are the others")?;
                let is_ordered = lead.members.values().all(|member| member.kept <= lead.number);
                hold(is_ordered, "nobody keeps what was not sent")?;
                // Merging takes over what there is, in as many changes as it takes.
                hold(
                    lead.pending.iter().filter(|pending| pending.then.is_some()).count()
                        <= MAX_PENDING,
                    "writes under way are within their bound",
                )?;
                hold(lead.waiting.len() <= MAX_WAITING, "waiting calls are within their bound")?;
                let is_hidden = |pending: &crate::slot::Pending| {
                    pending.is_kept || pending.ids.iter().all(|id| lead.under_way.contains_key(id))
                };
                hold(lead.pending.iter().all(is_hidden), "what is under way is hidden")
            }
        }
    }
}

const fn hold(is_true: bool, what: &'static str) -> Result<(), Broken> {
    if is_true { Ok(()) } else { Err(Broken(what)) }
}
