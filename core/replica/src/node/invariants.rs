//! What must always be true of a node, whatever happened to it.

use super::Node;
use crate::limits::{MAX_FILLS, MAX_OPEN_CALLS, MAX_OPEN_SURVEYS, MAX_PENDING, MAX_WAITING};
use crate::slot::{Place, Role};

/// An invariant does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub &'static str);

impl Node {
    /// Whether everything is as it must be between any two events.
    ///
    /// # Errors
    /// [`Broken`] says what is not.
    pub fn check_invariants(&self) -> Result<(), Broken> {
        hold(self.around.calls.len() <= MAX_OPEN_CALLS, "calls are within their bound")?;
        let surveys = self.around.surveys.len();
        hold(surveys <= MAX_OPEN_SURVEYS, "surveys are within their bound")?;
        hold(self.around.filling.len() <= MAX_FILLS, "fills are within their bound")?;
        for place in &self.places {
            self.check_place(place)?;
        }
        Ok(())
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
