//! How long a session lives.
//!
//! Two limits hold together: a session ends when nobody used it for its idle time-out, and at its
//! hard deadline however much it is used. That it was used is written down only once a tenth of the
//! idle time-out has passed since it was last written down, so that reading a session costs no
//! write most of the time; a session may therefore expire up to a tenth of its idle time-out early,
//! and never late.

use core::time::Duration;

use abide_time::Time;

use crate::operations::Lifetime;
use crate::record::Record;

/// How long sessions live, and how they are renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// How long a session may stay unused. Default: one day.
    pub idle_timeout: Duration,
    /// How long a session may live in all, counted from when it was made and again from each
    /// sign-in. Default: 14 days.
    pub absolute_timeout: Duration,
    /// How long the old id is accepted after the id of a session was renewed, for requests that
    /// were already on their way. Default: 10 s, longer than a page takes to load and short for a
    /// thief.
    pub renewal_grace: Duration,
}

impl Policy {
    /// How long a session lives that has no lifetime of its own.
    pub const fn lifetime(&self) -> Lifetime {
        Lifetime { idle_timeout: self.idle_timeout, absolute_timeout: self.absolute_timeout }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_hours(24),
            absolute_timeout: Duration::from_hours(14 * 24),
            renewal_grace: Duration::from_secs(10),
        }
    }
}

/// Whether it is time to write down that the session is in use: a tenth of its idle time-out has
/// passed since that was last done.
pub fn touch_due(record: &Record, now: Time) -> bool {
    now.since(record.seen)
        >= record.idle_timeout.value.checked_div(TOUCHES_PER_IDLE_TIMEOUT).unwrap_or_default()
}

const TOUCHES_PER_IDLE_TIMEOUT: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::{Stamp, Stamped};

    fn record(seen: u64, idle: u64, hard: u64) -> Record {
        Record {
            seen: Time::from_secs(seen),
            idle_timeout: Stamped::new(Stamp::ZERO, Duration::from_secs(idle)),
            hard_deadline: Time::from_secs(hard),
            ..Record::default()
        }
    }

    #[test]
    fn the_earlier_of_both_limits_counts() {
        assert_eq!(record(100, 60, 1000).deadline(), Time::from_secs(160));
        assert_eq!(record(990, 60, 1000).deadline(), Time::from_secs(1000));
    }

    #[test]
    fn a_session_has_expired_at_its_deadline_and_not_before() {
        let record = record(100, 60, 1000);
        assert!(!record.is_expired(Time::from_millis(159_999)));
        assert!(record.is_expired(Time::from_millis(160_000)));
    }

    #[test]
    fn a_touch_is_due_after_a_tenth_of_the_idle_timeout() {
        let record = record(100, 60, 1000);
        assert!(!touch_due(&record, Time::from_millis(105_999)));
        assert!(touch_due(&record, Time::from_millis(106_000)));
    }

    #[test]
    fn a_clock_that_went_back_touches_nothing() {
        assert!(!touch_due(&record(100, 60, 1000), Time::from_secs(1)));
    }
}
