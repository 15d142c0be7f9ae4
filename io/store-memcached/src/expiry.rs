//! When a server may drop what it keeps.

use abide_time::Time;

/// How much longer than its deadline an item is kept. Whether a session has expired is decided by
/// the time of who asks, so the server must not be faster: this is more than clocks of machines that
/// are kept in order differ, and more than any call takes.
const SLACK_SECS: u64 = 60;

/// Up to so many seconds an expiry is a span; what is more, Memcached takes for a point in time.
const SPAN_SECS_MAX: u64 = 30 * 24 * 60 * 60;

/// When the server may drop what somebody needs until `deadline`, as Memcached counts it.
pub(crate) fn expires(deadline: Time, now: Time) -> i32 {
    let left = deadline.since(now).as_millis().div_ceil(1000);
    let span = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(SLACK_SECS);
    let at = if span <= SPAN_SECS_MAX { span } else { now.as_secs().saturating_add(span) };
    // A point in time beyond what 31 bits count is "never", which is 0.
    i32::try_from(at).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn short_spans_are_relative_and_long_ones_a_point_in_time() {
        let now = Time::from_secs(1_700_000_000);
        let day = Duration::from_hours(24);
        for (deadline, expected) in [
            (now.after(Duration::from_millis(1)), 61),
            (now.after(day), 86_460),
            (Time::EPOCH, 60),
            (now.after(day * 30), 1_702_592_060),
            (now.after(day * 30).after(Duration::from_secs(1)), 1_702_592_061),
            (now.after(day * 365 * 30), 0),
            (Time::MAX, 0),
        ] {
            assert_eq!(expires(deadline, now), expected, "{deadline:?}");
        }
        let longest = now.after(Duration::from_mins(30 * 24 * 60 - 1));
        assert_eq!(expires(longest, now), 2_592_000);
    }
}
