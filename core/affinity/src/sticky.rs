//! The sticky cookie: which server a visitor is at home on, sealed.
//!
//! The value is base64url, without padding, of
//!
//! ```text
//! key id 1 | nonce 12 | sealed( server tag 8 | created 4 | seen 4 | visitor 4 ) | seal 16
//! ```
//!
//! with numbers little-endian and times in seconds since 1970. Sealed is AES-256-GCM-SIV (RFC 8452), bound to
//! the purpose, the pool and the cookie's name, so that a value of one pool is worth nothing in
//! another. *Visitor* is a random number that stays the same for as long as the visitor comes: it
//! gives the slot of someone without a session id, so that all balancers agree where he goes when his
//! server is lost.
//!
//! Invariants: no bytes open that were not sealed by a key of the ring for this pool and this name.
//! Times are those of the wall clock, so that balancers agree about them; they may be
//! [`Sticky::SKEW_MAX`] apart.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use abide_cookie::{CookieName, values};
use abide_keys::{Key, KeyRing, base64url};
use abide_time::Time;

use crate::{ServerTag, Verdict, View};

/// How long a sticky cookie is good for, enforced by the balancer whatever the browser does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long a visitor may stay away.
    pub idle_max: Duration,
    /// How long he may keep coming before he is treated as new.
    pub life_max: Duration,
}

/// A day without a visit, thirty days in all: longer than the sessions of most applications.
impl Default for Lifetime {
    fn default() -> Self {
        Self { idle_max: Duration::from_hours(24), life_max: Duration::from_hours(30 * 24) }
    }
}

/// The sticky cookie of one pool.
#[derive(Clone, Debug)]
pub struct Sticky {
    name: CookieName,
    ring: KeyRing,
    lifetime: Lifetime,
    /// What every value is bound to: purpose, pool, name.
    bound_to: Vec<u8>,
}

impl Sticky {
    /// How far ahead a time in a cookie may be. Two balancers whose clocks are five minutes wrong in
    /// opposite directions still take each other's cookies.
    pub const SKEW_MAX: Duration = Duration::from_mins(10);
    /// How many cookies of our name are tried. Browsers send several if they were set for different
    /// paths or domains; more than a few is somebody playing.
    pub const CANDIDATES_MAX: usize = 4;
    /// The random bytes that [`Sticky::seal`] needs, from a cryptographic source.
    pub const NONCE_BYTES: usize = Key::NONCE_BYTES;

    /// The cookie of this name for this pool.
    pub fn new(pool: &str, name: CookieName, ring: KeyRing, lifetime: Lifetime) -> Self {
        let mut bound_to = Vec::new();
        for part in ["abide sticky cookie 1", pool, name.as_str()] {
            // Lengths keep the parts apart, whatever is in them.
            bound_to.extend_from_slice(&part.len().to_le_bytes());
            bound_to.extend_from_slice(part.as_bytes());
        }
        Self { name, ring, lifetime, bound_to }
    }

    /// The cookie's name: to set it, and to take it out of what the application sees.
    pub fn name(&self) -> &CookieName {
        &self.name
    }

    /// Looks for our cookie in all `Cookie` fields of a request, and opens it.
    ///
    /// With several of our name, the first that opens and is not out of date counts.
    pub fn find(&self, cookies: &[&[u8]], now: Time) -> Opened {
        let candidates = cookies.iter().flat_map(|field| values(field, self.name.as_bytes()));
        let mut best = Opened::Absent;
        for value in candidates.take(Self::CANDIDATES_MAX) {
            match (self.open(value, now), best) {
                (opened @ Opened::Open(_), _) => return opened,
                (Opened::Expired, _) | (_, Opened::Expired) => best = Opened::Expired,
                (other, _) => best = other,
            }
        }
        best
    }

    /// Opens one cookie value.
    pub fn open(&self, value: &[u8], now: Time) -> Opened {
        let Some((mut ticket, with_first_key)) = self.unseal(value) else {
            return Opened::Forged;
        };
        ticket.with_old_key = !with_first_key;
        let newest = now.after(Self::SKEW_MAX);
        let is_current = ticket.created <= newest
            && ticket.seen <= newest
            && now.since(ticket.seen) <= self.lifetime.idle_max
            && now.since(ticket.created) <= self.lifetime.life_max;
        if is_current { Opened::Open(ticket) } else { Opened::Expired }
    }

    fn unseal(&self, value: &[u8]) -> Option<(Ticket, bool)> {
        let mut bytes = [0; VALUE_BYTES];
        base64url::decode(value, &mut bytes)?;
        let (id, rest) = bytes.split_first_mut()?;
        let (nonce, rest) = rest.split_first_chunk_mut::<{ Key::NONCE_BYTES }>()?;
        let (text, rest) = rest.split_first_chunk_mut::<TEXT_BYTES>()?;
        let seal = rest.first_chunk::<{ Key::TAG_BYTES }>()?;
        let (is_first, _) =
            self.ring.with_id(*id).find(|(_, key)| key.open(nonce, &self.bound_to, text, seal))?;
        Some((Ticket::from_bytes(text)?, is_first))
    }

    /// The cookie value for a ticket. The nonce comes from a cryptographic source of randomness, anew
    /// each time.
    pub fn seal(&self, ticket: &Ticket, nonce: [u8; Key::NONCE_BYTES]) -> String {
        let mut text = ticket.to_bytes();
        let key = self.ring.first();
        let seal = key.seal(&nonce, &self.bound_to, &mut text);
        let mut bytes = Vec::with_capacity(VALUE_BYTES);
        bytes.push(key.id());
        for part in [&nonce[..], &text, &seal] {
            bytes.extend_from_slice(part);
        }
        base64url::encode(&bytes)
    }

    /// Which cookie to write, now that it is known who answered. The one place that decides it.
    ///
    /// One is written if the visitor has none that names the server at this place of the view, if his
    /// was sealed with an older key, or if more than a quarter of the idle time has passed since it
    /// was sealed. All other answers carry none.
    pub fn after(&self, view: &View, verdict: &Verdict, place: usize, now: Time) -> CookieAction {
        let Some(server) = view.tag_of(place) else {
            return CookieAction::Keep;
        };
        let visitor = verdict.visitor;
        let Some(ticket) = verdict.ticket else {
            let ticket = Ticket { server, created: now, seen: now, visitor, with_old_key: false };
            return CookieAction::Write(ticket);
        };
        let is_good = ticket.server == server
            && !ticket.with_old_key
            && now.since(ticket.seen).saturating_mul(4) <= self.lifetime.idle_max;
        if is_good {
            CookieAction::Keep
        } else {
            CookieAction::Write(Ticket { server, seen: now, with_old_key: false, ..ticket })
        }
    }
}

/// What became of the sticky cookies in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// There was none.
    Absent,
    /// None opened: truncated, damaged, of another pool, of a key that is gone, or made up.
    Forged,
    /// One opened, but it was too old or from the future.
    Expired,
    /// This one.
    Open(Ticket),
}

impl Opened {
    /// The same without the ticket, for counting.
    pub fn presented(&self) -> Presented {
        match self {
            Self::Absent => Presented::Absent,
            Self::Forged => Presented::Forged,
            Self::Expired => Presented::Expired,
            Self::Open(_) => Presented::Valid,
        }
    }
}

/// What kind of sticky cookie a request had, as a word to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presented {
    /// None.
    Absent,
    /// None that opened.
    Forged,
    /// One out of date.
    Expired,
    /// A good one.
    Valid,
}

impl Presented {
    /// All of them, for a closed set of metric labels.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Forged, Self::Expired, Self::Valid];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::Valid => "valid",
        }
    }
}

/// What to do about the cookie in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieAction {
    /// Nothing: what the visitor has is good.
    Keep,
    /// Set it to this ticket, sealed. The answer must not be stored by a shared cache then.
    Write(Ticket),
}

/// What a sticky cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The server the visitor is at home on.
    pub server: ServerTag,
    /// When he first came, in whole seconds.
    pub created: Time,
    /// When this was sealed, in whole seconds.
    pub seen: Time,
    /// His random number.
    pub visitor: u32,
    /// Whether it was sealed with another key than the first, and so should be sealed again.
    pub with_old_key: bool,
}

const TEXT_BYTES: usize = 8 + 4 + 4 + 4;
const VALUE_BYTES: usize = 1 + Key::NONCE_BYTES + TEXT_BYTES + Key::TAG_BYTES;

impl Ticket {
    fn to_bytes(self) -> [u8; TEXT_BYTES] {
        // Seconds fit 32 bits until 2106.
        let seconds = |time: Time| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let parts = [
            &self.server.0.to_le_bytes()[..],
            &seconds(self.created).to_le_bytes(),
            &seconds(self.seen).to_le_bytes(),
            &self.visitor.to_le_bytes(),
        ];
        let mut bytes = [0; TEXT_BYTES];
        for (place, byte) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; TEXT_BYTES]) -> Option<Self> {
        let (server, rest) = bytes.split_first_chunk::<8>()?;
        let (created, rest) = rest.split_first_chunk::<4>()?;
        let (seen, rest) = rest.split_first_chunk::<4>()?;
        let visitor = rest.first_chunk::<4>()?;
        let time = |bytes: &[u8; 4]| Time::from_secs(u64::from(u32::from_le_bytes(*bytes)));
        Some(Self {
            server: ServerTag(u64::from_le_bytes(*server)),
            created: time(created),
            seen: time(seen),
            visitor: u32::from_le_bytes(*visitor),
            with_old_key: false,
        })
    }
}

#[cfg(test)]
mod tests;
