//! What a node is to one slot.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use abide_session::IdHash;

use crate::message::{Answer, Call};
use crate::reign::Term;
use crate::view::{Birth, NodeId};

/// What a node is to one slot.
///
/// Invariants: `reign` is not above `promised`; a leader's reign is its own and is what it promised.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The highest reign that was seen or promised: nothing of a lower one is taken.
    pub(crate) promised: Term,
    /// The reign that is known, if there is one.
    pub(crate) reign: Option<Term>,
    pub(crate) role: Role,
    /// Since when there has been no leader that is well.
    pub(crate) lost_at: Option<Duration>,
    /// What this node may count on when it claims: it was in sync when the leader died.
    pub(crate) heir: Option<InSync>,
    pub(crate) offered_at: Option<Duration>,
    /// The leader that this node counted with until it heard of a later reign, if that one may not know yet.
    pub(crate) left: Option<Left>,
    /// Who may hold something of the slot, by the reigns that this node knew of: who claims it has to
    /// ask them as well.
    pub(crate) holders: BTreeSet<NodeId>,
}

/// A reign whose leader was well when this node left it for a later one. Until that leader knows it goes on, and no
/// call is passed to the later one: who wrote there would read what is old here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    pub(crate) reign: Term,
    pub(crate) since: Duration,
    /// When its leader was last told.
    pub(crate) told_at: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Follows, in sync or not.
    Follower(Follower),
    /// Asks the others what they hold.
    Claiming(Claim),
    Leading(Lead),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Follower {
    /// The number of the last change taken in this reign.
    pub(crate) last: Option<u64>,
    /// What it was told when it was in sync.
    pub(crate) in_sync: Option<InSync>,
}

/// What who is in sync knows of the others.
#[derive(Clone, Debug)]
pub(crate) struct InSync {
    pub(crate) members: BTreeSet<NodeId>,
    pub(crate) doubts: BTreeSet<NodeId>,
    /// The leader's era for this node; none if this node has gone on without the leader since.
    pub(crate) era: Option<u64>,
}

/// Somebody was asked for what it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    pub(crate) next_part: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) waits_for: BTreeMap<NodeId, Option<Asked>>,
    /// Who has answered: its digest, and its era for us.
    pub(crate) answered: BTreeMap<NodeId, (u64, u64)>,
    pub(crate) doubts: BTreeSet<NodeId>,
    /// Those who were asked and not in sync with us: what they held may be on a disk when they are gone.
    pub(crate) others: BTreeSet<NodeId>,
    /// Whether everybody is asked, and not only who was in sync.
    pub(crate) asks_all: bool,
    /// Whether this node was in sync when the claim began.
    pub(crate) was_in_sync: bool,
    /// Whether nobody was in doubt then, either: it lacks nothing but what others took without it since. Who leads in
    /// doubt may never have had all of it.
    pub(crate) was_complete: bool,
    /// The reign that was handed over.
    pub(crate) handed: Option<Term>,
}

#[derive(Clone, Debug)]
pub(crate) struct Lead {
    /// The others that hold everything.
    pub(crate) members: BTreeMap<NodeId, Member>,
    pub(crate) fills: BTreeMap<NodeId, Fill>,
    /// Who may hold more.
    pub(crate) doubts: BTreeSet<NodeId>,
    /// Whether that is no more than what they took since they are in doubt. A node that claimed a slot
    /// that it did not hold may lack all of it.
    pub(crate) is_complete: bool,
    pub(crate) asks: BTreeMap<NodeId, Asked>,
    /// Whose copy has been merged in this reign, and its digest then.
    pub(crate) merged: BTreeMap<NodeId, u64>,
    /// The number of the last change.
    pub(crate) number: u64,
    pub(crate) pending: VecDeque<Pending>,
    /// For each id with changes under way, the number of the last one.
    pub(crate) under_way: BTreeMap<IdHash, u64>,
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) resent_at: Duration,
    pub(crate) handing: Option<Handing>,
}

/// A node in sync, as the leader knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// Its era for the leader when it came in sync.
    pub(crate) era: u64,
    /// It holds everything up to this number.
    pub(crate) kept: u64,
    /// It was told that it is out, and has not said that it knows.
    pub(crate) is_leaving: bool,
}

/// A node on its way to be in sync.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) stage: Stage,
    pub(crate) at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It says what it holds.
    Asking,
    /// It takes parts: the number of the one that is out, the last id in it, whether there are more.
    Sending { part: u32, last: Option<IdHash>, is_last: bool },
    /// It compares at this number.
    Comparing(u64),
}

/// Changes under way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) number: u64,
    pub(crate) ids: Vec<IdHash>,
    pub(crate) entries: crate::message::Entries,
    pub(crate) then: Option<(Asker, Call, Answer)>,
    /// All in sync hold it. It stays for who is about to be, and may have to get it again.
    pub(crate) is_kept: bool,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Local(u64),
    Remote(NodeId, Birth, u64),
}

/// A call that waits for writes or grants.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) asker: Asker,
    pub(crate) call: Call,
    pub(crate) until: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Handing {
    pub(crate) to: NodeId,
    pub(crate) since: Duration,
    pub(crate) is_said: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            promised: Term::NONE,
            reign: None,
            role: Role::Follower(Follower::default()),
            lost_at: None,
            heir: None,
            offered_at: None,
            left: None,
            holders: BTreeSet::new(),
        }
    }
}

impl Place {
    pub(crate) fn lead(&mut self) -> Option<&mut Lead> {
        match &mut self.role {
            Role::Leading(lead) => Some(lead),
            _ => None,
        }
    }

    pub(crate) fn leading(&self) -> Option<&Lead> {
        match &self.role {
            Role::Leading(lead) => Some(lead),
            _ => None,
        }
    }

    pub(crate) fn in_sync(&self) -> Option<&InSync> {
        match &self.role {
            Role::Follower(follower) => follower.in_sync.as_ref(),
            _ => None,
        }
    }
}

impl Lead {
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            members: BTreeMap::new(),
            fills: BTreeMap::new(),
            doubts: BTreeSet::new(),
            is_complete: true,
            asks: BTreeMap::new(),
            merged: BTreeMap::new(),
            number: 0,
            pending: VecDeque::new(),
            under_way: BTreeMap::new(),
            waiting: VecDeque::new(),
            resent_at: now,
            handing: None,
        }
    }

    /// Everything up to this number is needed by nobody any more: who is comparing may yet miss what comes
    /// after its number.
    pub(crate) fn taken_by_all(&self) -> u64 {
        let compared = self.fills.values().filter_map(|fill| match fill.stage {
            Stage::Comparing(number) => Some(number),
            Stage::Asking | Stage::Sending { .. } => None,
        });
        self.kept_by_all().min(compared.min().unwrap_or(u64::MAX))
    }

    /// Everything up to this number is held by all.
    pub(crate) fn kept_by_all(&self) -> u64 {
        self.members.values().map(|member| member.kept).min().unwrap_or(self.number)
    }
}
