//! A server as the balancer knows it: name, weight, what the operator wants, what checks saw.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use abide_slots::Member;
use abide_time::Time;
use xxhash_rust::xxh64::xxh64;

use crate::AffinityError;

/// A server's name: 1 to 64 letters, digits, `.`, `_` and `-`. It is the server's identity.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(String);

impl ServerName {
    /// Checks a name. [`AffinityError::ServerName`] if it has another form.
    pub fn new(name: &str) -> Result<Self, AffinityError> {
        let fits = !name.is_empty() && name.len() <= Member::NAME_BYTES_MAX;
        let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if fits && name.bytes().all(is_name_byte) {
            Ok(Self(name.into()))
        } else {
            Err(AffinityError::ServerName)
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands for this name in a sticky cookie.
    pub fn tag(&self) -> ServerTag {
        ServerTag::of(self.0.as_bytes())
    }
}

impl FromStr for ServerName {
    type Err = AffinityError;

    fn from_str(name: &str) -> Result<Self, AffinityError> {
        Self::new(name)
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A server name as eight bytes: xxh64 of the name.
///
/// It needs no key of its own, because it is only ever seen sealed. Two names of one pool with the
/// same tag are refused as duplicates when a [`View`](crate::View) is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerTag(pub u64);

impl ServerTag {
    pub(crate) fn of(name: &[u8]) -> Self {
        Self(xxh64(name, 0))
    }
}

/// How much of the new sessions a server takes, relative to the others: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u8);

impl Weight {
    /// The weight of a server that names none.
    pub const ONE: Self = Self(1);

    /// Checks a weight. [`AffinityError::Weight`] unless it is from 1 to 100: a server that is to
    /// get nothing new is draining, not weightless.
    pub const fn new(weight: u8) -> Result<Self, AffinityError> {
        if weight == 0 || weight > Member::WEIGHT_MAX {
            Err(AffinityError::Weight)
        } else {
            Ok(Self(weight))
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What the operator wants of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admin {
    /// It serves.
    #[default]
    Ready,
    /// It keeps its sessions until the deadline, and gets no new ones. [`Time::MAX`] is no deadline.
    Draining {
        /// When the sessions that are left move on.
        until: Time,
    },
    /// It gets nothing, not even its own sessions.
    Maintenance,
}

/// What the checks saw last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It answers.
    #[default]
    Up,
    /// It does not.
    Down,
}

/// One server of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its identity.
    pub name: ServerName,
    /// Its share of new sessions.
    pub weight: Weight,
    /// What the operator wants of it.
    pub admin: Admin,
    /// What the checks saw last.
    pub health: Health,
}

impl Server {
    /// A server of weight 1 that is ready and up: how each begins.
    pub fn new(name: ServerName) -> Self {
        Self { name, weight: Weight::ONE, admin: Admin::Ready, health: Health::Up }
    }

    /// Admin and health in one word, for pages, logs and metrics.
    pub fn state(&self) -> State {
        match (self.admin, self.health) {
            (Admin::Maintenance, _) => State::Maintenance,
            (_, Health::Down) => State::Down,
            (Admin::Draining { .. }, Health::Up) => State::Draining,
            (Admin::Ready, Health::Up) => State::Up,
        }
    }

    /// Whether a visitor may be sent here for the first time.
    pub fn takes_new(&self) -> bool {
        self.state() == State::Up
    }

    /// Whether a visitor who is at home here may stay.
    pub fn keeps(&self, now: Time) -> bool {
        match self.admin {
            Admin::Ready => self.health == Health::Up,
            Admin::Draining { until } => self.health == Health::Up && now < until,
            Admin::Maintenance => false,
        }
    }
}

/// The state of a server in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Takes new sessions.
    Up,
    /// Does not answer.
    Down,
    /// Keeps its sessions, takes no new ones.
    Draining,
    /// Taken out by the operator.
    Maintenance,
}

impl State {
    /// All states, for a closed set of metric labels.
    pub const ALL: [Self; 4] = [Self::Up, Self::Down, Self::Draining, Self::Maintenance];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
