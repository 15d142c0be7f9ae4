//! Times, spans and stamps as a database keeps them: signed 64-bit integers.
//!
//! Invariant: the sum of any two of them fits in a `bigint`, so no SQL here can overflow.

use std::time::Duration;

use abide_session::Stamp;
use abide_time::Time;

/// What stands for "never", and for everything later: 2^61 ms, some 73 million years. A quarter of
/// the range, so that a time and a span can be added up.
pub(crate) const NEVER: i64 = 1 << 61;

/// Milliseconds that still fit when the counter's 16 bits are put behind them.
const STAMPED_MILLIS_MAX: u64 = (1 << 45) - 1;

pub(crate) fn of_time(time: Time) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(NEVER).min(NEVER)
}

pub(crate) fn to_time(millis: i64) -> Time {
    if millis >= NEVER { Time::MAX } else { Time::from_millis(u64::try_from(millis).unwrap_or(0)) }
}

pub(crate) fn of_span(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(NEVER).min(NEVER)
}

pub(crate) fn to_span(millis: i64) -> Duration {
    if millis >= NEVER {
        Duration::MAX
    } else {
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

/// The earliest stamp that something written at `now` may have.
pub(crate) fn reading(now: Time) -> i64 {
    of_time(Time::from_millis(now.as_millis().min(STAMPED_MILLIS_MAX) << 16))
}

pub(crate) fn to_stamp(reading: i64) -> Stamp {
    Stamp::new(u64::try_from(reading).unwrap_or(0), 0)
}

/// The number of a stamp that this store gave; no stored number if another gave it.
pub(crate) fn of_stamp(stamp: Stamp) -> i64 {
    if stamp.node() == 0 { i64::try_from(stamp.reading()).unwrap_or(-1) } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_spans_come_back_as_they_were() {
        for millis in [0, 1, 1_790_000_000_000] {
            assert_eq!(to_time(of_time(Time::from_millis(millis))).as_millis(), millis);
            let span = Duration::from_millis(millis);
            assert_eq!(to_span(of_span(span)), span);
        }
        assert_eq!(to_time(of_time(Time::MAX)), Time::MAX);
        assert_eq!(to_span(of_span(Duration::MAX)), Duration::MAX);
    }

    #[test]
    fn the_sum_of_any_two_fits() {
        assert!(of_time(Time::MAX).checked_add(of_span(Duration::MAX)).is_some());
        assert!(reading(Time::MAX).checked_add(1).is_some());
    }

    #[test]
    fn a_stamp_of_another_store_is_no_stamp_of_ours() {
        let ours = to_stamp(reading(Time::from_secs(5)));
        assert_eq!(to_stamp(of_stamp(ours)), ours);
        assert_eq!(of_stamp(Stamp::new(5, 1)), -1);
        assert_eq!(of_stamp(Stamp::MAX), -1);
    }
}
