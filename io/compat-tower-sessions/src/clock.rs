//! The one clock of this shell, and how it gets along with tower-sessions', which has its own.

use std::time::{Duration, SystemTime};

use abide_time::Time;
use time::OffsetDateTime;
use tokio::time::Instant;

/// Says what time it is: the wall clock as it was at the start, and monotonic from there, so that
/// it never goes back. In tests it stands still with tokio's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Time,
    monotonic: Instant,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    pub(crate) fn start() -> Self {
        // A machine set before 1970 counts from there.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { wall: Time::EPOCH.after(wall), monotonic: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        self.wall.after(self.monotonic.elapsed())
    }
}

/// How long it is until a date; zero if it has passed. tower-sessions computes dates from the wall
/// clock at the moment, so the same clock has to take it out again, or a step of it would change
/// how long sessions live.
pub(crate) fn until(date: OffsetDateTime) -> Duration {
    (date - OffsetDateTime::now_utc()).try_into().unwrap_or_default()
}

/// The date that lies so far ahead, as tower-sessions wants it.
pub(crate) fn date_in(span: Duration) -> OffsetDateTime {
    let span = span.try_into().unwrap_or(time::Duration::MAX);
    OffsetDateTime::now_utc().saturating_add(span)
}
