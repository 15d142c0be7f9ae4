//! Where in a request to look for what ties it to a server, and in which order.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

use abide_cookie::{CookieName, values};
use abide_slots::{Slot, slot_of_id};
use abide_time::Time;
use memchr::memchr;

use crate::{AffinityError, Opened, Presented, Sticky, Ticket};

/// What a request looks like to this crate.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The request target as it came: `/path;p=1?q=2`, or an absolute URI.
    pub target: &'a str,
    /// The values of all `Cookie` fields.
    pub cookies: &'a [&'a [u8]],
    /// Looks a header up by its lower-case name; the first value if there are several.
    pub header: &'a dyn Fn(&str) -> Option<&'a [u8]>,
    /// The client's address, behind trusted proxies.
    pub client: Option<IpAddr>,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Targets and cookies may hold session ids.
        f.debug_struct("Request").field("client", &self.client).finish_non_exhaustive()
    }
}

/// A place in a request that may tie it to a server.
///
/// As text: `sticky`, `address`, or `cookie:`, `header:`, `query:` or `path:` and a name. `+route` at
/// the end of one with a name says that the id ends in a dot and the name of its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Our own sealed cookie.
    Sticky,
    /// A session id of the application.
    Id {
        /// Where it stands.
        place: Place,
        /// Whether it ends in `.` and its server's name, as Tomcat's jvmRoute does.
        route: bool,
    },
    /// The client's address: IPv4 whole, IPv6 by its first 64 bits, because the rest changes with the
    /// privacy extensions (RFC 8981). An address can not tell a new visitor from one who returns, so a
    /// draining server keeps all of its addresses until its deadline.
    Address,
}

/// Where a session id stands. An empty one counts as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a cookie of this name. If there are several, the first that is not empty.
    Cookie(String),
    /// In a header of this name, in lower case.
    Header(String),
    /// In a query parameter of this name. Name and value are taken percent-encoded, as they stand:
    /// two spellings of one value count as two ids.
    Query(String),
    /// In a path parameter: `/path;jsessionid=…`. Taken as it stands, like a query parameter.
    PathParameter(String),
}

impl FromStr for Source {
    type Err = AffinityError;

    fn from_str(text: &str) -> Result<Self, AffinityError> {
        match text {
            "sticky" => return Ok(Self::Sticky),
            "address" => return Ok(Self::Address),
            _ => {}
        }
        let (kind, name) = text.split_once(':').ok_or(AffinityError::Source)?;
        let (name, route) = match name.strip_suffix("+route") {
            Some(name) => (name, true),
            None => (name, false),
        };
        // Characters of a token (RFC 9110) need no encoding in a query or a path either.
        if CookieName::new(name).is_err() {
            return Err(AffinityError::Source);
        }
        let place = match kind {
            "cookie" => Place::Cookie(name.into()),
            "header" => Place::Header(name.to_ascii_lowercase()),
            "query" => Place::Query(name.into()),
            "path" => Place::PathParameter(name.into()),
            _ => return Err(AffinityError::Source),
        };
        Ok(Self::Id { place, route })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sticky => f.write_str("sticky"),
            Self::Address => f.write_str("address"),
            Self::Id { place, route } => {
                let (kind, name) = match place {
                    Place::Cookie(name) => ("cookie", name),
                    Place::Header(name) => ("header", name),
                    Place::Query(name) => ("query", name),
                    Place::PathParameter(name) => ("path", name),
                };
                let suffix = if *route { "+route" } else { "" };
                write!(f, "{kind}:{name}{suffix}")
            }
        }
    }
}

/// The sources of a pool, in the order in which they count.
#[derive(Clone, Debug)]
pub struct Sources {
    order: Vec<Source>,
    sticky: Option<Sticky>,
}

impl Sources {
    /// The most sources of a pool.
    pub const COUNT_MAX: usize = 8;

    /// These sources in this order; `sticky` is needed if [`Source::Sticky`] is among them.
    ///
    /// [`AffinityError::Sources`] for too many, one given twice, or a sticky source without a cookie.
    /// None at all is fine: a pool without affinity.
    pub fn new(order: Vec<Source>, sticky: Option<Sticky>) -> Result<Self, AffinityError> {
        let is_twice =
            |(place, source): (usize, &Source)| order.iter().take(place).any(|o| o == source);
        let lacks_cookie = sticky.is_none() && order.contains(&Source::Sticky);
        if order.len() > Self::COUNT_MAX || lacks_cookie || order.iter().enumerate().any(is_twice) {
            return Err(AffinityError::Sources);
        }
        let sticky = sticky.filter(|_| order.contains(&Source::Sticky));
        Ok(Self { order, sticky })
    }

    /// The sticky cookie, if it is one of the sources.
    pub fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }

    /// The sources in their order.
    pub fn order(&self) -> &[Source] {
        &self.order
    }

    /// What a request has of each source. Allocates nothing.
    pub fn keys<'a>(&self, request: &Request<'a>, now: Time) -> Keys<'a> {
        let mut keys = Keys { opened: Opened::Absent, found: [const { None }; Self::COUNT_MAX] };
        for (source, found) in self.order.iter().zip(&mut keys.found) {
            *found = match source {
                Source::Sticky => {
                    if let Some(sticky) = &self.sticky {
                        keys.opened = sticky.find(request.cookies, now);
                    }
                    Some(Found::Sticky)
                }
                Source::Id { place, route } => {
                    id_at(place, request).map(|id| Found::id(id, *route))
                }
                Source::Address => {
                    request.client.map(|client| Found::Address(slot_of_address(client)))
                }
            };
        }
        keys
    }
}

/// What a request has of each source, in the order of the sources.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    opened: Opened,
    found: [Option<Found<'a>>; Sources::COUNT_MAX],
}

impl Keys<'_> {
    /// Of a request that has nothing.
    pub const NONE: Self = Self { opened: Opened::Absent, found: [None; Sources::COUNT_MAX] };

    /// Of a request that has a sticky cookie and nothing else.
    #[cfg(test)]
    pub(crate) fn of(opened: Opened) -> Self {
        let mut keys = Self { opened, ..Self::NONE };
        keys.found[0] = Some(Found::Sticky);
        keys
    }

    /// What kind of sticky cookie the request had.
    pub fn presented(&self) -> Presented {
        self.opened.presented()
    }

    /// What a good sticky cookie said.
    pub fn ticket(&self) -> Option<Ticket> {
        match self.opened {
            Opened::Open(ticket) => Some(ticket),
            Opened::Absent | Opened::Forged | Opened::Expired => None,
        }
    }

    /// The slot of the first session id.
    pub fn id_slot(&self) -> Option<Slot> {
        self.found().find_map(|found| match found {
            Found::Id(id) | Found::Routed { id, .. } => Some(slot_of_id(id)),
            Found::Sticky | Found::Address(_) => None,
        })
    }

    pub(crate) fn found(&self) -> impl Iterator<Item = Found<'_>> {
        self.found.iter().copied().flatten()
    }
}

/// Hides ids.
impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("presented", &self.presented())
            .field("id_slot", &self.id_slot())
            .finish_non_exhaustive()
    }
}

/// One thing found in a request.
#[derive(Clone, Copy)]
pub(crate) enum Found<'a> {
    /// The sticky cookie counts here, if it opened.
    Sticky,
    /// A session id.
    Id(&'a [u8]),
    /// A session id that ended in a route.
    Routed { id: &'a [u8], route: &'a [u8] },
    /// An address.
    Address(Slot),
}

impl<'a> Found<'a> {
    /// With `route`, cuts at the last dot. An id without one has no route.
    fn id(id: &'a [u8], route: bool) -> Self {
        let dot = if route { id.iter().rposition(|byte| *byte == b'.') } else { None };
        match dot.and_then(|dot| id.split_at_checked(dot)) {
            Some((id, route)) => Self::Routed { id, route: route.get(1..).unwrap_or_default() },
            None => Self::Id(id),
        }
    }
}

fn id_at<'a>(place: &Place, request: &Request<'a>) -> Option<&'a [u8]> {
    let target = request.target.as_bytes();
    let found = match place {
        Place::Cookie(name) => first_cookie(request.cookies, name.as_bytes()),
        Place::Header(name) => (request.header)(name).map(<[u8]>::trim_ascii),
        Place::Query(name) => {
            let (_, query) = target.split_at_checked(memchr(b'?', target)?)?;
            parameter(query.get(1..)?.split(|byte| *byte == b'&'), name.as_bytes())
        }
        Place::PathParameter(name) => {
            let path_end = memchr(b'?', target).unwrap_or(target.len());
            let (path, _) = target.split_at_checked(path_end)?;
            memchr(b';', path)?;
            // Parameters stand after a semicolon in any segment of the path (RFC 3986 section 3.3).
            let parameters = path
                .split(|byte| *byte == b'/')
                .flat_map(|segment| segment.split(|byte| *byte == b';').skip(1));
            parameter(parameters, name.as_bytes())
        }
    };
    found.filter(|id| !id.is_empty())
}

fn first_cookie<'a>(cookies: &[&'a [u8]], name: &[u8]) -> Option<&'a [u8]> {
    let mut all = cookies.iter().flat_map(|field| values(field, name));
    all.find(|value| !value.is_empty())
}

fn parameter<'a>(mut all: impl Iterator<Item = &'a [u8]>, name: &[u8]) -> Option<&'a [u8]> {
    all.find_map(|parameter| {
        let value = parameter.strip_prefix(name)?.strip_prefix(b"=")?;
        (!value.is_empty()).then_some(value)
    })
}

fn slot_of_address(client: IpAddr) -> Slot {
    match client.to_canonical() {
        IpAddr::V4(address) => slot_of_id(&address.octets()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            slot_of_id(&Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).octets())
        }
    }
}

#[cfg(test)]
mod tests;
