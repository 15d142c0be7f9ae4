//! What nodes say to each other, what they are asked, and what they want done.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;

use abide_session::{
    Changes, Commit, Create, End, FieldName, IdHash, Limit, Loaded, Rename, Slot, Time,
};

use crate::entry::Entry;
use crate::reign::Term;
use crate::roster::{Contact, Statement};
use crate::survey::{Found, SlotSet, Survey};
use crate::view::{Birth, Known, NodeId};

/// What time it is, by both clocks of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    /// Time that passes evenly, from any point on: for grants and for waiting. It must go on while
    /// the process is stopped.
    pub passed: Duration,
    /// The wall clock: for stamps, terms and deadlines.
    pub wall: Time,
}

/// Something that happened to a node.
#[derive(Clone, Debug)]
pub enum Event {
    /// A local client asks for something, under a number that no other call of this process has.
    Call(u64, Call),
    /// A local client looks for sessions in many slots, under such a number.
    Survey(u64, Survey),
    /// This node has greeted: it is the one of this name, and found there. Before the first
    /// [`Event::Connected`] of a process.
    Met(Contact),
    /// There is a connection to this node. What comes from it from now on comes in the order in which
    /// it was sent, and nothing of an earlier connection comes any more.
    Connected(NodeId),
    /// The connection to this node is no more. What was sent last may have arrived or not.
    Broken(NodeId),
    /// An [`Action::Dial`] was refused: nobody listens, so the process is gone.
    Refused(NodeId),
    /// An [`Action::Dial`] came to nothing.
    Unreachable(NodeId),
    /// A message.
    Received(NodeId, Letter),
    /// This process wants to stop. Others are to hold what it holds: [`crate::Node::has_left`].
    Leave,
    /// Somebody who runs the cluster says that nothing comes back of this node, neither its process nor what
    /// it had on a disk. Of no effect while it can be talked to: [`crate::Node::is_here`].
    Lost(NodeId),
    /// The time of the last [`Action::Wake`] has come.
    Woken,
}

/// Something that a node wants done.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this on the connection to that node.
    Send(NodeId, Letter),
    /// Make a connection to this node, and say what came of it. A connection that the other has made
    /// is as good.
    Dial(NodeId),
    /// This node is known from now on, or is to be found elsewhere.
    Know(Contact),
    /// This node is not known any more.
    Forget(NodeId),
    /// The answer to a call.
    Answer(u64, Answer),
    /// The answer to a survey. None: there was a slot of which nobody could tell in time.
    Surveyed(u64, Option<Found>),
    /// Wake the node at this time, and forget the time that was said before.
    Wake(Duration),
    /// For metrics and logs.
    Note(Note),
}

/// What happened that somebody may want to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Note {
    /// This node leads the slot now; others may hold more if it is not whole.
    Leads {
        /// Which slot.
        slot: Slot,
        /// Since when.
        term: Term,
        /// Whether it knows of everything that was acknowledged.
        is_whole: bool,
    },
    /// It leads the slot no longer.
    SteppedDown(Slot),
    /// This node was filled and is in sync.
    Filled(Slot, NodeId),
    /// This node's copy was merged: it may have held more.
    Merged(Slot, NodeId),
    /// This node is no owner and was let go.
    Released(Slot, NodeId),
    /// The slot was handed over to this node.
    HandedOver(Slot, NodeId),
    /// A copy of the slot that nobody needed was forgotten here.
    Forgot(Slot),
    /// This node is silent: we go on without it.
    Silent(NodeId),
    /// The process of this node is proved to be gone.
    Dead(NodeId),
    /// All know this node, and it may hold slots.
    Admitted(NodeId),
    /// A node of this number has another name than the one that is known: it is not taken.
    Clash(NodeId),
    /// Others took this process for dead. It has begun again.
    Reborn(Birth),
    /// A call was sent again to another leader.
    SentAgain,
    /// A call waited for a grant.
    WaitedForGrant(Slot),
    /// A read waited for a write that was not acknowledged.
    WaitedForWrite(Slot),
}

/// What a client asks for, and what time it is for the client: see [`abide_session::Store`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What.
    pub operation: Operation,
    /// The time that deadlines are compared with.
    pub now: Time,
}

/// The calls of a store that concern one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Make a session.
    Create(IdHash, Changes),
    /// Find it.
    Load(IdHash),
    /// Change it.
    Commit(IdHash, Changes),
    /// End it.
    End(IdHash),
    /// Move it to another id.
    Rename(IdHash, Rename),
}

impl Operation {
    /// The id that it is about.
    pub const fn id(&self) -> IdHash {
        match self {
            Self::Create(id, _)
            | Self::Load(id)
            | Self::Commit(id, _)
            | Self::End(id)
            | Self::Rename(id, _) => *id,
        }
    }

    /// Whether to do it twice is to do it once, or to be refused.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Self::Create(..) | Self::Load(_) | Self::End(_) | Self::Rename(..) => true,
            Self::Commit(_, changes) => !changes.is_relative(),
        }
    }
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What came of it.
    pub reply: Reply,
    /// How well what it says is kept.
    pub kept: Kept,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Of [`Operation::Create`].
    Create(Create),
    /// Of [`Operation::Load`].
    Load(Loaded),
    /// Of [`Operation::Commit`] and [`Operation::Rename`].
    Commit(Commit),
    /// Of [`Operation::End`].
    End(End),
    /// It could not be done.
    Fault(Fault),
}

/// Why a call could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody could do it in time. Whether it took effect, or will, is unknown.
    Unavailable,
    /// There is no room for it. Nothing changed.
    Full,
    /// It would take the session past a limit. Nothing changed.
    TooLarge(Limit),
    /// The field does not hold what a relative write needs. Nothing changed.
    Incompatible(FieldName),
}

/// How well an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// On all owners, as many as there are to be copies; of a read: this is the last there was.
    Full,
    /// On as many nodes, and not all of them owners.
    Spilled,
    /// On one node alone.
    Degraded,
    /// Another node may hold more, and can not be asked.
    Sole,
}

/// A message, from one process to another.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The process that sent it.
    pub birth: Birth,
    /// What it says.
    pub message: Message,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Message {
    /// The first on a connection, and then what has changed of it: the nodes that the sender knows, but for
    /// those that are dead; whom it knows, as a statement, and at first what others have stated.
    Nodes(Vec<Contact>, Vec<Statement>),
    /// The second on a connection: what is known of processes, and the slots that the sender leads.
    Hello(Vec<(NodeId, Known)>, Vec<(Slot, Term)>),
    /// What is known of processes has changed.
    View(Vec<(NodeId, Known)>),
    /// Will you not go on without me?
    Ping {
        /// Counts up.
        number: u64,
        /// The latest ping of the other's that came in.
        heard: u64,
        /// Whether all slots of the sender's are kept as well as they are to be, on two nodes at
        /// least, and it holds nothing that others should.
        is_whole: bool,
    },
    /// I will not.
    Pong {
        /// The ping that this answers.
        number: u64,
        /// How often I did.
        era: u64,
    },
    /// A call, for the leader of its slot, under the number that the sender knows it by.
    Pass(u64, Call),
    /// The answer to a call that was passed on.
    Answered(u64, Answer),
    /// The call may have been done or not: who led lost the reign.
    Lost(u64),
    /// The call was not done: I do not lead; perhaps this reign is known to me.
    NotLeader(u64, Slot, Option<Term>),
    /// A survey of these slots, for those that the receiver leads.
    Survey(u64, SlotSet, Survey),
    /// What there is in these of the slots; of the others somebody else may know, or nobody yet.
    Surveyed(u64, SlotSet, Found),
    /// About the copies of a slot, in a reign of it.
    OfSlot(Slot, Term, OfSlot),
}

/// Entries on their way.
pub type Entries = Vec<(IdHash, Entry)>;

/// What is said about the copies of a slot.
#[derive(Clone, Debug)]
pub enum OfSlot {
    /// I lead.
    Reign,
    /// Changes, in order.
    Replicate(u64, Entries),
    /// I hold everything up to this number.
    Kept(u64),
    /// I hold everything up to this number, and what came is not the next. None: I am in no stream.
    Missed(Option<u64>),
    /// There is a higher reign, or somebody claims one.
    Superseded(Term),
    /// Who is in sync, who may hold more; and if that includes the receiver: in which era, and at
    /// which number.
    Set {
        /// Who is in sync, the leader included.
        members: BTreeSet<NodeId>,
        /// Who may hold more than they do.
        doubts: BTreeSet<NodeId>,
        /// The leader's era for the receiver, and the receiver's for the leader when it came in sync: if
        /// that is past, the leader will find out and does not count on it.
        eras: (u64, u64),
        /// The number up to which the receiver holds everything.
        number: u64,
    },
    /// I know that I am not in sync any more, or that my reign is over.
    Out,
    /// What do you hold, if it is not what I hold, of this digest? Take nothing of a lower reign from
    /// now on. And the reign that was handed over to me, if one was.
    Ask(u64, Option<Term>),
    /// What I hold, in parts.
    Held {
        /// Which part, from 0.
        part: u32,
        /// Some entries.
        entries: Entries,
        /// Whether that is all.
        is_last: bool,
        /// The digest of all.
        digest: u64,
        /// The sender's era for the receiver.
        era: u64,
        /// Who else may hold more, by what the sender knew of the reigns before.
        others: BTreeSet<NodeId>,
    },
    /// I follow this leader, and it is well.
    Refused(Term),
    /// A part of the slot, for who is to be in sync; what changes after this number follows.
    Part {
        /// Which part, from 0.
        part: u32,
        /// Some entries.
        entries: Entries,
        /// The number of the last change when the first part was sent.
        number: u64,
    },
    /// I have taken this part.
    Taken(u32),
    /// At this number the slot has this digest.
    Compare(u64, u64),
    /// So has mine. And my era for you.
    Same(u64, u64),
    /// Mine has not.
    Differs(u64),
    /// Lead in my place.
    Hand {
        /// Who is in sync.
        members: BTreeSet<NodeId>,
        /// Who may hold more than they do.
        doubts: BTreeSet<NodeId>,
    },
    /// I hold this and am not in sync: do you need it?
    Offer(u64),
    /// Nobody needs it, if it still is this.
    Forget(u64),
}
