//! Every bound and every time of a node, with its reason.

use core::time::Duration;

/// Nodes of a roster. Views travel whole, and every node pings every other.
pub const MAX_NODES: usize = 64;

/// The longest name of a node, in bytes: owners of slots follow from it.
pub const MAX_NAME_BYTES: usize = abide_slots::Member::NAME_BYTES_MAX;

/// The longest address of a node, in bytes: a host name (RFC 1035) and a port.
pub const MAX_ADDRESS_BYTES: usize = 260;

/// How long a node that is dead is known by its name, unless the list that a node was started with has it:
/// longer than anybody takes for a restart. After half of that it has to be admitted again when it comes back.
pub const FORGET_AFTER: Duration = Duration::from_hours(1);

/// Calls of local clients that a node holds open. More are refused as unavailable: they would wait
/// for longer than anybody does.
pub const MAX_OPEN_CALLS: usize = 65_536;

/// Surveys of local clients that a node holds open: each may hold as many sessions as a subject can
/// list.
pub const MAX_OPEN_SURVEYS: usize = 256;

/// Sessions of one page of a walk.
pub const MAX_PAGE: usize = 500;

/// Bytes of the entries of one part, if it is more than one entry, and of the sessions that one letter
/// tells of.
pub const MAX_PART_BYTES: usize = 1024 * 1024;

/// The bytes of one letter. The largest has a few sessions of the size that one may have at most, some of
/// them merged by two sides of a cut.
pub const MAX_LETTER_BYTES: usize = 64 * 1024 * 1024;

/// Calls that wait at the leader of one slot for writes or grants.
pub const MAX_WAITING: usize = 4096;

/// Writes of one slot that are under way: what the leader may have to send again.
pub const MAX_PENDING: usize = 1024;

/// Slots that a node fills at once. Each takes one part on the wire at a time.
pub const MAX_FILLS: usize = 64;

/// Entries of one part of a slot on its way to another node.
pub const MAX_PART_ENTRIES: usize = 64;

/// By how much the wall clocks of two nodes may differ, unless a node is told otherwise.
pub const SKEW: Duration = Duration::from_secs(5);

/// How often a node pings every other.
pub const PING_EVERY: Duration = Duration::from_millis(100);

/// How long who was granted counts on a grant, from when it sent the ping.
pub const GRANT_HELD: Duration = Duration::from_millis(500);

/// How long who granted keeps a grant, from when it answered. The difference is for clocks that run
/// at different speeds: a tenth, where quartz is off by a ten-thousandth.
pub const GRANT_KEPT: Duration = Duration::from_millis(550);

/// A node that was not asked anything for this long was held up itself. It wakes up at each ping.
pub const HELD_UP: Duration = Duration::from_millis(250);

/// How long a node that was held up listens before it judges who is silent: two rounds of pings. As long
/// it waits for others before it takes it that somebody of whom it has never heard is not there.
pub const LISTEN: Duration = Duration::from_millis(200);

/// How long what a node said of its slots counts, from when it was asked.
pub const JUDGEMENT_LASTS: Duration = Duration::from_millis(300);

/// How long a node waits, when it starts, for those of whom it has no sign.
pub const START_WAIT: Duration = Duration::from_secs(2);

/// How long the last node that leaves waits for one that has left before it to come back: long enough for a
/// restart, and short enough for whoever stops all of them.
pub const LAST_WAIT: Duration = Duration::from_secs(5);

/// How long a call may take; then it is answered as unavailable.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a call waits for what a node in doubt is about to say, before it is answered with what is there; or for a
/// leader to know that its reign is over. As long as for a node that has fallen silent.
pub const TELL_WAIT: Duration = Duration::from_millis(500);

/// After how long what was not answered is sent again.
pub const RESEND_AFTER: Duration = Duration::from_millis(100);

/// By how much a node waits longer to claim than the one before it in the order of owners.
pub const CLAIM_STAGGER: Duration = Duration::from_millis(150);

/// How long who is not in sync leaves it to those who are to claim a slot.
pub const OUTSIDER_WAIT: Duration = Duration::from_millis(300);

/// How long a promise to one claimant keeps a node from claiming itself.
pub const PROMISE_WAIT: Duration = Duration::from_millis(500);

/// How long a leader that hands its slot over waits for the next one before it goes on itself.
pub const HAND_WAIT: Duration = Duration::from_millis(500);

/// How often who holds what it need not hold offers it to the leader.
pub const OFFER_EVERY: Duration = Duration::from_millis(500);

/// Entries that one look for expired ones goes through.
pub const MAX_EXPIRED_PER_LOOK: usize = 256;

/// How often a node looks for expired entries.
pub const EXPIRE_EVERY: Duration = Duration::from_secs(1);
