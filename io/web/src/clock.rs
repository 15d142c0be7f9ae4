//! The one clock of this shell.

use std::time::SystemTime;

use abide_time::Time;
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
