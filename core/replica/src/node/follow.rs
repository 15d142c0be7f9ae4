//! Following: taking what the leader sends, in order, and promising to others.

use alloc::collections::BTreeSet;
use core::time::Duration;

use super::fill::part_after;
use super::seat::Seat;
use crate::limits::{CLAIM_STAGGER, OFFER_EVERY, OUTSIDER_WAIT, PROMISE_WAIT, START_WAIT};
use crate::message::{Entries, Note, OfSlot};
use crate::mutant::Mutant;
use crate::reign::Term;
use crate::slot::{Follower, InSync, Role};
use crate::table::Packed;
use crate::view::NodeId;

/// A part of the slot: see [`OfSlot::Part`].
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) place: u32,
    pub(crate) entries: Entries,
    pub(crate) number: u64,
}

impl Seat<'_> {
    /// Whether something of this reign may be taken. It may if nothing higher was promised.
    fn admits(&mut self, from: NodeId, term: Term) -> bool {
        if self.node.makes(Mutant::TakesALowerReign) && self.place.leading().is_none() {
            return true;
        }
        if term < self.place.promised || term.leader != from {
            self.node.say(from, self.slot, term, OfSlot::Superseded(self.place.promised));
            return false;
        }
        self.hear_of(term);
        self.place.reign == Some(term)
    }

    fn follower(&mut self) -> Option<&mut Follower> {
        match &mut self.place.role {
            Role::Follower(follower) => Some(follower),
            _ => None,
        }
    }

    pub(crate) fn on_replicate(&mut self, from: NodeId, term: Term, number: u64, entries: Entries) {
        if !self.admits(from, term) {
            return;
        }
        let takes_any = self.node.makes(Mutant::TakesChangesOutOfOrder);
        let Some(follower) = self.follower() else { return };
        let last = follower.last;
        let answer = match last {
            Some(last) if number <= last => OfSlot::Kept(last),
            Some(last) if number == last.saturating_add(1) || takes_any => {
                follower.last = Some(number);
                self.take(entries);
                OfSlot::Kept(number)
            }
            _ => OfSlot::Missed(last),
        };
        self.node.say(from, self.slot, term, answer);
    }

    pub(crate) fn on_set(
        &mut self,
        from: NodeId,
        term: Term,
        in_sync: Option<InSync>,
        number: u64,
    ) {
        if !self.admits(from, term) {
            return;
        }
        if let Some(in_sync) = &in_sync {
            self.place.holders = in_sync.members.union(&in_sync.doubts).copied().collect();
            self.node.take_for_admitted(in_sync.members.iter().copied());
        }
        let Some(follower) = self.follower() else { return };
        let is_in = in_sync.is_some();
        follower.in_sync = in_sync;
        if is_in {
            follower.last = follower.last.or(Some(number));
        } else {
            self.place.offered_at = None;
            self.node.say(from, self.slot, term, OfSlot::Out);
        }
    }

    pub(crate) fn on_part(&mut self, from: NodeId, term: Term, said: Part) {
        let Part { place: part, entries, number } = said;
        if !self.admits(from, term) {
            return;
        }
        let Some(follower) = self.follower() else { return };
        if part == 0 {
            *follower = Follower { last: Some(number), in_sync: follower.in_sync.take() };
        } else if follower.last.is_none() {
            return;
        }
        self.take(entries);
        self.node.say(from, self.slot, term, OfSlot::Taken(part));
    }

    pub(crate) fn on_compare(&mut self, from: NodeId, term: Term, number: u64, digest: u64) {
        if !self.admits(from, term) {
            return;
        }
        let is_same = self.node.table.digest(self.slot) == digest;
        let Some(follower) = self.follower() else { return };
        let answer = if follower.last == Some(number) && is_same {
            OfSlot::Same(number, self.node.our_era(from))
        } else {
            OfSlot::Differs(number)
        };
        self.node.say(from, self.slot, term, answer);
    }

    pub(crate) fn on_hand(
        &mut self,
        from: NodeId,
        term: Term,
        members: BTreeSet<NodeId>,
        doubts: BTreeSet<NodeId>,
    ) {
        if self.admits(from, term) && self.place.in_sync().is_some() {
            self.claim(Some(InSync { members, doubts, era: None }), Some(term));
        }
    }

    pub(crate) fn on_forget(&mut self, term: Term, digest: u64) {
        let is_same = self.node.table.digest(self.slot) == digest;
        let is_of_reign = self.place.reign == Some(term) && self.place.promised == term;
        let is_needless = matches!(&self.place.role, Role::Follower(f) if f.in_sync.is_none());
        if !is_of_reign || !is_needless || !is_same {
            return;
        }
        let entries = self.node.table.entries(self.slot, None);
        let ids: alloc::vec::Vec<_> = entries.filter_map(Packed::id).collect();
        for id in ids {
            self.node.table.remove(id);
        }
        if let Some(follower) = self.follower() {
            follower.last = None;
        }
        self.place.holders.clear();
        self.node.note(Note::Forgot(self.slot));
    }

    /// Somebody claims the slot, or leads it and wants to know what we hold.
    pub(crate) fn on_ask(&mut self, from: NodeId, term: Term, digest: u64, handed: Option<Term>) {
        if term < self.place.promised || term.leader != from {
            self.node.say(from, self.slot, term, OfSlot::Superseded(self.place.promised));
            return;
        }
        if term > self.place.promised {
            if let Some(reign) = self.healthy_reign(from).filter(|reign| handed != Some(*reign)) {
                self.node.say(from, self.slot, term, OfSlot::Refused(reign));
                return;
            }
            self.step_down(None);
            self.place.promised = term;
            self.place.lost_at = Some(self.node.now.passed);
        }
        self.tell(from, digest);
    }

    /// The reign that we follow, if its leader counts on us or is at least well.
    pub(crate) fn healthy_reign(&self, claimant: NodeId) -> Option<Term> {
        let reign = self.place.reign?;
        let leader = reign.leader;
        let may_be = leader != self.node.own && leader != claimant && !self.node.is_gone(leader);
        (may_be && self.node.is_granted(leader)).then_some(reign)
    }

    /// Says what we hold, if that is not the same.
    fn tell(&mut self, to: NodeId, theirs: u64) {
        let digest = self.node.table.digest(self.slot);
        let era = self.node.our_era(to);
        let is_the_same = digest == theirs;
        let (mut part, mut after) = (0_u32, None);
        loop {
            let (entries, is_last) = if is_the_same {
                (Entries::new(), true)
            } else {
                part_after(&self.node.table, self.slot, after)
            };
            after = entries.last().map(|(id, _)| *id);
            let others = self.place.holders.clone();
            self.say(to, OfSlot::Held { part, entries, is_last, digest, era, others });
            if is_last {
                return;
            }
            part = part.saturating_add(1);
        }
    }

    /// Looks whether there is a leader, and whether it is for us to become one.
    pub(crate) fn care_as_follower(&mut self) {
        let now = self.node.now.passed;
        self.tell_whom_we_left();
        if let Some(reign) = self.place.reign
            && reign.leader != self.node.own
            && self.node.is_well(reign.leader)
        {
            self.place.lost_at = None;
            self.look_whether_in_sync(reign.leader);
            if self.usable_leader().is_some() {
                self.node.dispatch_queued(self.slot);
            }
            self.offer(reign);
            return;
        }
        let since = *self.place.lost_at.get_or_insert(now);
        if self.node.has_looked_around()
            && self.node.is_admitted(self.node.own)
            && since.saturating_add(self.patience()) <= now
            && !self.is_bound()
        {
            let heir = self.place.heir.take();
            self.claim(heir, None);
        }
    }

    /// To have been in sync means nothing once one has gone on without the other.
    fn look_whether_in_sync(&mut self, leader: NodeId) {
        let known = self.node.era_of(leader);
        if let Some(follower) = self.follower() {
            let is_past = |in_sync: &InSync| in_sync.era.is_none() || in_sync.era < known;
            follower.in_sync.take_if(|in_sync| is_past(in_sync));
        }
    }

    /// Whether we must not go on without the leader.
    fn is_bound(&self) -> bool {
        let leader = self.place.reign.map(|reign| reign.leader);
        let leader = leader.filter(|leader| *leader != self.node.own);
        leader.is_some_and(|leader| !self.node.is_gone(leader) && self.node.is_granted(leader))
    }

    /// How long we leave it to others to claim.
    fn patience(&self) -> Duration {
        let stagger = |count: u32| CLAIM_STAGGER.saturating_mul(count);
        let known = self.place.heir.as_ref().or_else(|| self.place.in_sync());
        if let Some(in_sync) = known {
            let may = |node| in_sync.members.contains(&node);
            return stagger(self.node.before_us(self.slot, may));
        }
        let promised = self.place.promised;
        let base = match self.place.reign {
            _ if promised == Term::NONE => Duration::ZERO,
            Some(reign) if reign.leader == self.node.own => OUTSIDER_WAIT,
            Some(_) => START_WAIT,
            None if promised.leader != self.node.own && self.node.is_well(promised.leader) => {
                PROMISE_WAIT
            }
            None => OUTSIDER_WAIT,
        };
        base.saturating_add(stagger(self.node.before_us(self.slot, |_| true)))
    }

    /// Who holds something and is not in sync asks the leader whether anybody needs it.
    fn offer(&mut self, reign: Term) {
        let now = self.node.now.passed;
        let is_due = self.place.offered_at.is_none_or(|at| at.saturating_add(OFFER_EVERY) <= now);
        let is_needed = self.place.in_sync().is_some();
        if is_due && !is_needed && self.node.table.len_of(self.slot) > 0 {
            self.place.offered_at = Some(now);
            let digest = self.node.table.digest(self.slot);
            self.node.say(reign.leader, self.slot, reign, OfSlot::Offer(digest));
        }
    }
}
