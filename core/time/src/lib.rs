//! A point in time as a value.
//!
//! The cores read no clock: whoever calls them says what time it is. A [`Time`] counts whole
//! milliseconds since the Unix epoch, so that two processes mean the same by it and it can stand in
//! a cookie or a record. A shell derives it from the wall clock once at start and from a monotonic
//! clock after that, so that it never goes backwards inside a process.
//!
//! Invariant: no operation here overflows, wraps or panics. All of them saturate: a deadline beyond
//! [`Time::MAX`] is "never".

#![no_std]
#![warn(
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::unreachable,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::iter_over_hash_type
)]

use core::fmt;
use core::time::Duration;

/// Whole milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// 1970-01-01 00:00:00 UTC.
    pub const EPOCH: Self = Self(0);
    /// Later than everything else: "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The time this many milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The time this many whole seconds after the epoch; [`Time::MAX`] if it does not fit.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This time and `span` more; [`Time::MAX`] if it does not fit. Fractions of a millisecond are
    /// dropped.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAX { f.write_str("never") } else { write!(f, "{} ms", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_does_not_fit_is_never() {
        assert_eq!(Time::from_millis(5).after(Duration::MAX), Time::MAX);
        assert_eq!(Time::from_secs(u64::MAX), Time::MAX);
    }

    #[test]
    fn the_future_is_no_time_ago() {
        assert_eq!(Time::from_millis(5).since(Time::from_millis(9)), Duration::ZERO);
        assert_eq!(Time::from_millis(9).since(Time::from_millis(5)), Duration::from_millis(4));
    }
}
