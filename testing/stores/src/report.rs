//! What came of a fault under traffic.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::time::Duration;

/// What was acknowledged, what of it was lost, and how the calls fared.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Writes that were acknowledged: creates, commits, renewals, ends.
    pub acknowledged: u64,
    /// Acknowledged commits that were not there later, in sessions that were.
    pub lost_writes: u64,
    /// Sessions that were acknowledged and not there later.
    pub lost_sessions: u64,
    /// Sessions whose end was acknowledged and that were live later.
    pub revived: u64,
    /// Sessions in whose place there was another or an empty one.
    pub emptied: u64,
    /// Calls that ended with an error.
    pub errors: u64,
    /// Their texts, each with how often.
    pub texts: BTreeMap<String, u64>,
    /// The longest call.
    pub longest: Duration,
    /// How late this process was at worst with what it had to do at a certain time, because the
    /// machine had other work: as much later may a call have ended than it had to.
    pub behind: Duration,
    /// From the end of the fault to the end of the last error.
    pub recovered_after: Duration,
}

impl Report {
    /// Nothing that was acknowledged was lost.
    pub const fn lost_nothing(&self) -> bool {
        self.lost_writes == 0 && self.lost_sessions == 0 && self.revived == 0 && self.emptied == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:6} acknowledged, lost {:5} sessions {:3} writes, {} revived, {} emptied, {:5} errors, \
             longest call {:4} ms (machine behind by {} ms), well {:4} ms after",
            self.acknowledged,
            self.lost_sessions,
            self.lost_writes,
            self.revived,
            self.emptied,
            self.errors,
            self.longest.as_millis(),
            self.behind.as_millis(),
            self.recovered_after.as_millis(),
        )
    }
}

/// Waits until no other test measures how servers fare, in whatever process, and keeps it so while
/// what it gives lives: traffic beside traffic would measure each other.
pub fn alone() -> File {
    let path = std::env::temp_dir().join("abide-stores-alone");
    let file = File::options().create(true).append(true).open(path).unwrap();
    file.lock().unwrap();
    file
}

/// Runs a blocking step, such as the start of a server, beside the traffic of this runtime.
pub fn held_up<T>(step: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(step)
}
