//! Waiting for a condition, with an end to patience.

use std::time::Duration;

/// Longer than a server takes to come up on a slow machine with other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long servers that form a group may take to agree.
pub(crate) const AGREEMENT: Duration = Duration::from_secs(40);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until the condition gives something, and says whether it did in time.
///
/// ```
/// let mut looks = 0;
/// let seen = abide_servers::until(std::time::Duration::from_secs(1), || {
///     looks += 1;
///     (looks == 3).then_some(looks)
/// });
/// assert_eq!(seen, Some(3));
/// ```
#[expect(
    clippy::disallowed_types,
    reason = "waits for another process, whose time is the real one"
)]
pub fn until<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = std::time::Instant::now();
    loop {
        let found = condition();
        if found.is_some() || begin.elapsed() > patience {
            return found;
        }
        std::thread::park_timeout(PAUSE);
    }
}
