//! An immutable snapshot of a pool: its servers, their states, and who owns which slot.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

use abide_slots::{Member, Slot, first_owners, owner};

use crate::{AffinityError, Server, ServerName, ServerTag, Weight};

/// What happens to a session whose server can not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLost {
    /// It goes to the next server in rendezvous order, and stays there.
    #[default]
    Move,
    /// The visitor gets an error until the server is back ("strict"). Sessions of a server that can
    /// not come back, because it was removed or its drain has ended, move all the same.
    Refuse,
}

/// An immutable snapshot of a pool.
///
/// The shell makes a new one whenever a server or a state changes, and each worker reads the one it
/// has. A server's *place* is its index in this snapshot; it means nothing in another one.
///
/// Invariant: names and tags are unique.
#[derive(Clone, Debug)]
pub struct View {
    servers: Vec<Server>,
    on_lost: OnLost,
    takes_new: bool,
    placement: Arc<Placement>,
}

impl View {
    /// The most servers in a pool. Every walk over all of them stays within a few microseconds.
    pub const SERVERS_MAX: usize = 1000;

    /// A snapshot of these servers. An empty list is a pool that answers nobody.
    ///
    /// [`AffinityError::TooManyServers`] or [`AffinityError::DuplicateServer`].
    pub fn new(servers: Vec<Server>, on_lost: OnLost) -> Result<Self, AffinityError> {
        let placement = Arc::new(Placement::new(&servers)?);
        Ok(Self::with_placement(servers, on_lost, placement))
    }

    /// The snapshot that follows this one. The same as [`View::new`], but what was worked out about
    /// slots is kept if only states changed.
    pub fn succeed(&self, servers: Vec<Server>, on_lost: OnLost) -> Result<Self, AffinityError> {
        if self.placement.is_of(&servers) {
            Ok(Self::with_placement(servers, on_lost, Arc::clone(&self.placement)))
        } else {
            Self::new(servers, on_lost)
        }
    }

    fn with_placement(servers: Vec<Server>, on_lost: OnLost, placement: Arc<Placement>) -> Self {
        let takes_new = servers.iter().any(Server::takes_new);
        Self { servers, on_lost, takes_new, placement }
    }

    /// All servers; the index is their place.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The server at a place.
    pub fn server(&self, place: usize) -> Option<&Server> {
        self.servers.get(place)
    }

    /// The place of the server of this name.
    pub fn place_of(&self, name: &[u8]) -> Option<usize> {
        let place = self.place_of_tag(ServerTag::of(name))?;
        // Another name may have the same tag.
        let is_it = self.server(place)?.name.as_str().as_bytes() == name;
        is_it.then_some(place)
    }

    /// The place of the server with this tag.
    pub fn place_of_tag(&self, tag: ServerTag) -> Option<usize> {
        let by_tag = &self.placement.by_tag;
        let found = by_tag.binary_search_by_key(&tag, |(tag, _)| *tag).ok()?;
        by_tag.get(found).map(|(_, place)| usize::from(*place))
    }

    /// The tag of the server at a place.
    pub fn tag_of(&self, place: usize) -> Option<ServerTag> {
        self.server(place).map(|server| server.name.tag())
    }

    /// Whether any server takes a visitor who has not been here.
    pub fn takes_new(&self) -> bool {
        self.takes_new
    }

    /// What happens to a session whose server can not answer.
    pub fn on_lost(&self) -> OnLost {
        self.on_lost
    }

    /// The first server in the slot's rendezvous order that `may` allows.
    pub fn first_in_order(
        &self,
        slot: Slot,
        may: impl Fn(usize, &Server) -> bool,
    ) -> Option<usize> {
        self.placement
            .first(slot, |place| self.servers.get(place).is_some_and(|server| may(place, server)))
    }

    /// Whether two snapshots have the same names and weights at the same places, as far as can be
    /// told at no cost.
    pub(crate) fn same_places(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.placement, &other.placement)
    }
}

/// Who owns which slot: what does not depend on the states of servers.
///
/// The first owners of a slot are worked out when somebody first asks, and kept: a new list of
/// servers costs nothing at once, and no request pays for more than its own slot. All threads work
/// out the same value, so it does not matter who stores it.
struct Placement {
    members: Vec<(ServerName, Weight)>,
    /// Sorted by tag.
    by_tag: Vec<(ServerTag, u16)>,
    /// Per slot the places of the first owners, or [`UNKNOWN`].
    first: Box<[AtomicU64]>,
}

/// How many owners of a slot are kept: four places fill a word.
const KEPT: usize = 4;
/// No server: places end at 999.
const NOBODY: u16 = 0xfffe;
/// Four times `0xffff`, which is no place.
const UNKNOWN: u64 = u64::MAX;

impl Placement {
    fn new(servers: &[Server]) -> Result<Self, AffinityError> {
        if servers.len() > View::SERVERS_MAX {
            return Err(AffinityError::TooManyServers);
        }
        let mut by_tag: Vec<(ServerTag, u16)> =
            servers.iter().map(|server| server.name.tag()).zip(0..).collect();
        by_tag.sort_unstable();
        let twins = by_tag.array_windows().find(|[one, other]| one.0 == other.0);
        if let Some([(_, place), _]) = twins
            && let Some(server) = servers.get(usize::from(*place))
        {
            return Err(AffinityError::DuplicateServer(server.name.clone()));
        }
        Ok(Self {
            members: servers.iter().map(|server| (server.name.clone(), server.weight)).collect(),
            by_tag,
            first: (0..Slot::COUNT).map(|_| AtomicU64::new(UNKNOWN)).collect(),
        })
    }

    fn is_of(&self, servers: &[Server]) -> bool {
        self.members.len() == servers.len()
            && self
                .members
                .iter()
                .zip(servers)
                .all(|((name, weight), server)| *name == server.name && *weight == server.weight)
    }

    fn first(&self, slot: Slot, may: impl Fn(usize) -> bool) -> Option<usize> {
        for place in self.kept(slot) {
            if place == NOBODY {
                return None;
            }
            if may(usize::from(place)) {
                return Some(usize::from(place));
            }
        }
        owner(slot, self.members(), may)
    }

    fn kept(&self, slot: Slot) -> [u16; KEPT] {
        let cell = self.first.get(usize::from(slot.number()));
        let known = cell.map_or(UNKNOWN, |cell| cell.load(Ordering::Relaxed));
        let places = unpack(known);
        if known != UNKNOWN {
            return places;
        }
        let places = first_owners::<KEPT>(slot, self.members())
            .map(|place| place.and_then(|place| u16::try_from(place).ok()).unwrap_or(NOBODY));
        if let Some(cell) = cell {
            cell.store(pack(places), Ordering::Relaxed);
        }
        places
    }

    /// All members in their places. None is left out: what makes a name and a weight of this crate
    /// makes a member.
    fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.members
            .iter()
            .filter_map(|(name, weight)| Member::new(name.as_str(), weight.get()).ok())
    }
}

impl fmt::Debug for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placement").field("members", &self.members).finish_non_exhaustive()
    }
}

fn pack(places: [u16; KEPT]) -> u64 {
    places.into_iter().fold(0, |word, place| (word << 16) | u64::from(place))
}

fn unpack(word: u64) -> [u16; KEPT] {
    [48_u32, 32, 16, 0].map(|shift| u16::try_from((word >> shift) & 0xffff).unwrap_or(NOBODY))
}

#[cfg(test)]
mod tests;
