//! The clocks of a node: one that passes evenly, for grants and waiting, and the wall's, for stamps and
//! deadlines.

use std::time::{Duration, SystemTime};

use abide_replica::Moment;
use abide_time::Time;
use tokio::time::Instant;

/// Both clocks, since a node started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// What time it is by both. The first goes on while the process is stopped.
    pub(crate) fn now(self) -> Moment {
        Moment { passed: self.started.elapsed(), wall: wall() }
    }

    /// When so much has passed since the start.
    pub(crate) fn at(self, passed: Duration) -> Instant {
        self.started.checked_add(passed).unwrap_or(self.started)
    }
}

/// A clock before 1970 counts as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock of this crate")]
pub(crate) fn wall() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
