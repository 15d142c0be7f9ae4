//! How long a session lives: what tower-sessions' three kinds of expiry are in a store of abide's.
//!
//! | expiry | may stay unused | ends at the latest | cookie |
//! |---|---|---|---|
//! | none, `OnSessionEnd` | two weeks | absolute time-out | until the browser is closed |
//! | `OnInactivity(d)` | `d` | absolute time-out, or `d` if that is longer | until the latest end |
//! | `AtDateTime(t)` | until `t` | `t` | until `t` |
//!
//! A session keeps the lifetime that it was made with, until a request asks for another one by
//! `set_expiry`: with tower-sessions itself the next write by a request that does not ask falls
//! back to the layer's. Its latest end can move later, but not earlier.

use std::time::Duration;

use abide_session::{Changes, Record, touch_due};
use abide_time::Time;

/// tower-sessions' own lifetime of a session that nobody said anything about.
const BROWSER_SESSION: Duration = Duration::from_hours(14 * 24);

/// What tower-sessions loses between the moment at which it computes a date and the one at which we
/// take the span out of it again, and much more.
const TOLERANCE: Duration = Duration::from_secs(1);

/// How long a session is to live, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime {
    /// How long it may stay unused.
    pub(crate) idle_timeout: Duration,
    /// How long it may live in all.
    absolute_timeout: Duration,
    /// Use does not prolong it.
    is_fixed: bool,
    /// The browser forgets it when it is closed.
    pub(crate) is_browsers: bool,
}

impl Lifetime {
    pub(crate) fn of_browser_session(absolute_timeout: Duration) -> Self {
        Self { is_browsers: true, ..Self::of_inactivity(BROWSER_SESSION, absolute_timeout) }
    }

    pub(crate) fn of_inactivity(idle_timeout: Duration, absolute_timeout: Duration) -> Self {
        Self {
            idle_timeout,
            absolute_timeout: absolute_timeout.max(idle_timeout),
            is_fixed: false,
            is_browsers: false,
        }
    }

    pub(crate) const fn until(remaining: Duration) -> Self {
        Self {
            idle_timeout: remaining,
            absolute_timeout: remaining,
            is_fixed: true,
            is_browsers: false,
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.idle_timeout.is_zero()
    }

    /// How long the browser has to keep the cookie of a session that ends at `hard_deadline`.
    pub(crate) fn max_age(&self, hard_deadline: Time, now: Time) -> Option<Duration> {
        if self.is_browsers {
            None
        } else if self.is_fixed {
            Some(self.absolute_timeout)
        } else {
            Some(hard_deadline.since(now))
        }
    }

    /// Makes these the changes of a session that is made now.
    pub(crate) fn begin(&self, changes: &mut Changes, now: Time) {
        changes.created = Some(now);
        changes.seen = Some(now);
        changes.idle_timeout = Some(self.idle_timeout);
        changes.hard_deadline = Some(now.after(self.absolute_timeout));
    }

    /// Makes these the changes of a session whose time begins anew with these.
    pub(crate) fn renew(&self, changes: &mut Changes, now: Time) {
        changes.idle_timeout = Some(self.idle_timeout);
        self.prolong(changes, now);
    }

    /// Counts the absolute time-out anew.
    fn prolong(&self, changes: &mut Changes, now: Time) {
        changes.hard_deadline = Some(now.after(self.absolute_timeout));
    }
}

/// What a request wants of the lifetime of its session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) lifetime: Lifetime,
    /// The request asked for it; otherwise it is what the layer says.
    pub(crate) is_explicit: bool,
    /// It was concluded from a date, so that it may be too short.
    pub(crate) is_guess: bool,
}

impl Wish {
    /// What can be known when the app saves the session itself, and only a date comes along. If it
    /// is not the layer's, the session ends there for now; what was meant is known at the end of
    /// the request, and an end can be put off but not brought forward.
    pub(crate) fn guess(remaining: Duration, configured: Lifetime) -> Self {
        let is_explicit = remaining.abs_diff(configured.idle_timeout) > TOLERANCE;
        let lifetime = if is_explicit { Lifetime::until(remaining) } else { configured };
        Self { lifetime, is_explicit, is_guess: is_explicit }
    }
}

/// When a live session ends, as far as this request knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    idle_timeout: Duration,
    deadline: Time,
    pub(crate) hard_deadline: Time,
    is_touch_due: bool,
    is_guess: bool,
    /// The absolute time-out counts from this request.
    is_new: bool,
}

impl Deadlines {
    pub(crate) fn of(record: &Record, now: Time) -> Self {
        Self {
            idle_timeout: record.idle_timeout.value,
            deadline: record.deadline(),
            hard_deadline: record.hard_deadline,
            is_touch_due: touch_due(record, now),
            is_guess: false,
            is_new: false,
        }
    }

    /// How long until it expires.
    pub(crate) fn remaining(&self, now: Time) -> Duration {
        self.deadline.since(now)
    }

    /// Whether the use of the session has to be written down.
    pub(crate) const fn is_touch_due(&self, wish: &Wish) -> bool {
        self.is_touch_due && !wish.lifetime.is_fixed
    }

    /// Whether what the request wants is something else than what the session has. To ask for the
    /// same again in each request is no change.
    pub(crate) fn differ_from(&self, wish: &Wish, now: Time) -> bool {
        let Wish { lifetime, is_explicit, .. } = wish;
        let deadline = now.after(lifetime.idle_timeout.min(lifetime.absolute_timeout));
        let is_same = self.idle_timeout.abs_diff(lifetime.idle_timeout) <= TOLERANCE
            || deadline.since(self.deadline).max(self.deadline.since(deadline)) <= TOLERANCE;
        *is_explicit && (!is_same || self.is_guess && !lifetime.is_fixed)
    }

    /// Whether the browser may have a cookie of the other kind although nothing else differs: the
    /// store does not know which one that is.
    pub(crate) fn may_have_another_cookie(&self, wish: &Wish) -> bool {
        let is_like_browsers = self.idle_timeout.abs_diff(BROWSER_SESSION) <= TOLERANCE;
        wish.is_explicit && !wish.is_guess && !wish.lifetime.is_fixed && is_like_browsers
    }

    /// Makes these the changes of a session that lives so from now on. Its latest end is put off
    /// only if what is asked for would not fit: to ask for a lifetime is not to sign in.
    pub(crate) fn renew(&self, changes: &mut Changes, wish: &Wish, now: Time) {
        let Wish { lifetime, .. } = wish;
        changes.idle_timeout = Some(lifetime.idle_timeout);
        let fits = now.after(lifetime.idle_timeout) <= self.hard_deadline;
        if lifetime.is_fixed || self.is_new || !fits {
            lifetime.prolong(changes, now);
        }
    }

    /// Makes these the changes of a session that gets a new id.
    pub(crate) fn count_anew(&mut self, changes: &mut Changes, wish: &Wish, now: Time) {
        self.is_new = true;
        if wish.is_explicit {
            wish.lifetime.renew(changes, now);
        } else {
            wish.lifetime.prolong(changes, now);
        }
    }

    /// Notes what was committed.
    pub(crate) fn follow(&mut self, changes: &Changes, wish: &Wish, now: Time) {
        if let Some(idle_timeout) = changes.idle_timeout {
            self.idle_timeout = idle_timeout;
            self.is_guess = wish.is_guess;
        }
        if let Some(hard_deadline) = changes.hard_deadline {
            self.hard_deadline = self.hard_deadline.max(hard_deadline);
        }
        self.deadline = now.after(self.idle_timeout).min(self.hard_deadline);
        self.is_touch_due = false;
    }

    /// Those of a session that these changes have made.
    pub(crate) fn made(changes: &Changes, wish: &Wish, now: Time) -> Self {
        let mut deadlines = Self {
            idle_timeout: Duration::ZERO,
            deadline: now,
            hard_deadline: Time::EPOCH,
            is_touch_due: false,
            is_guess: false,
            is_new: true,
        };
        deadlines.follow(changes, wish, now);
        deadlines
    }
}
