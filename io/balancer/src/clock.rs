//! The one clock of this shell.

use abide_time::Time;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// The wall clock as it was at the start, and monotonic from there: two times of one process never
/// run backwards, and two processes mean the same by one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Duration,
    start: Instant,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the wall clock"
    )]
    pub(crate) fn start() -> Self {
        // A machine set before 1970 counts from there.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { wall, start: Instant::now() }
    }

    /// Since the Unix epoch, to the nanosecond.
    pub(crate) fn since_epoch(&self) -> Duration {
        self.wall + self.start.elapsed()
    }

    pub(crate) fn now(&self) -> Time {
        Time::EPOCH.after(self.since_epoch())
    }

    /// Since this clock was started.
    pub(crate) fn since_start(&self) -> Duration {
        self.start.elapsed()
    }
}
