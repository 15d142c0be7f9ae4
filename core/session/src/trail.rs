//! From an id that was renewed to the session it was renewed into.
//!
//! A store that keeps a stub in place of each old id finds a session in steps: it looks under the
//! presented id, and while there is a stub, under the id that the stub names. [`Trail`] says after
//! each step whether to go on and what the presented id may still do. The steps need not be atomic
//! together: a stub never changes but to be dropped, so what it says stays true.
//!
//! ```
//! # use abide_session::{IdHash, Standing, Stub, Time, Trail};
//! # let (old, new) = (IdHash::of_secret("example", b"1"), IdHash::of_secret("example", b"2"));
//! # let now = Time::from_secs(100);
//! let mut trail = Trail::new(old);
//! let stub = Stub::new(new, true, now.after(std::time::Duration::from_secs(10))); // found under `old`
//! assert!(trail.follow(stub, now));
//! assert_eq!(trail.id(), new); // where to look next
//! assert_eq!(trail.standing(), Standing::Frozen);
//! assert_eq!(trail.frozen_at(), Some(old)); // what the session was before is kept beside this stub
//! ```

use abide_time::Time;

use crate::id::IdHash;
use crate::limits::MAX_RENEWALS_IN_GRACE;
use crate::store::Standing;

/// What a store keeps in place of a session that has another id now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stub {
    /// The id that it was given.
    pub to: IdHash,
    /// Whether this id sees only what the session was before ([`crate::OldId::Freezes`]).
    pub frozen: bool,
    /// When its grace is over; from then on it counts as ended.
    pub until: Time,
}

impl Stub {
    /// A stub that leads to this id.
    pub const fn new(to: IdHash, frozen: bool, until: Time) -> Self {
        Self { to, frozen, until }
    }
}

/// The way from a presented id to its session.
#[derive(Clone, Copy, Debug)]
pub struct Trail {
    id: IdHash,
    steps: usize,
    frozen_at: Option<IdHash>,
}

impl Trail {
    /// The way begins at the presented id.
    pub const fn new(presented: IdHash) -> Self {
        Self { id: presented, steps: 0, frozen_at: None }
    }

    /// Takes the step that a stub under [`Trail::id`] shows. False if there is no way on: the
    /// presented id counts as ended.
    pub fn follow(&mut self, stub: Stub, now: Time) -> bool {
        if stub.until <= now || self.steps >= MAX_RENEWALS_IN_GRACE {
            return false;
        }
        if stub.frozen && self.frozen_at.is_none() {
            self.frozen_at = Some(self.id);
        }
        self.id = stub.to;
        self.steps = self.steps.saturating_add(1);
        true
    }

    /// Where to look.
    pub const fn id(&self) -> IdHash {
        self.id
    }

    /// Whether nothing was followed yet. If there is nothing under [`Trail::id`], the presented id is
    /// unknown if it was the first, and ended otherwise.
    pub const fn is_at_start(&self) -> bool {
        self.steps == 0
    }

    /// What the presented id may do to the session that is found.
    pub const fn standing(&self) -> Standing {
        match (self.frozen_at, self.steps) {
            (Some(_), _) => Standing::Frozen,
            (None, 0) => Standing::Current,
            (None, _) => Standing::Old,
        }
    }

    /// The id beside whose stub the store keeps what the presented id sees, if that is not the
    /// session itself.
    pub const fn frozen_at(&self) -> Option<IdHash> {
        self.frozen_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_secs(1000);
    const LATER: Time = Time::from_secs(1010);

    fn id(number: usize) -> IdHash {
        IdHash::of_secret("test", &number.to_le_bytes())
    }

    #[test]
    fn an_id_that_was_not_renewed_is_the_current_one() {
        let trail = Trail::new(id(0));
        assert_eq!((trail.id(), trail.standing()), (id(0), Standing::Current));
        assert!(trail.is_at_start());
    }

    #[test]
    fn an_old_id_sees_the_earliest_freeze_on_its_way() {
        let mut trail = Trail::new(id(0));
        assert!(trail.follow(Stub::new(id(1), false, LATER), NOW));
        assert_eq!(trail.standing(), Standing::Old);
        assert!(trail.follow(Stub::new(id(2), true, LATER), NOW));
        assert!(trail.follow(Stub::new(id(3), true, LATER), NOW));
        assert_eq!((trail.id(), trail.standing()), (id(3), Standing::Frozen));
        assert_eq!(trail.frozen_at(), Some(id(1)));
    }

    #[test]
    fn the_way_ends_with_the_grace_and_after_so_many_renewals() {
        assert!(!Trail::new(id(0)).follow(Stub::new(id(1), false, NOW), NOW));
        let mut trail = Trail::new(id(0));
        for number in 1..=MAX_RENEWALS_IN_GRACE {
            assert!(trail.follow(Stub::new(id(number), false, LATER), NOW));
        }
        assert!(!trail.follow(Stub::new(id(9), false, LATER), NOW));
    }
}
