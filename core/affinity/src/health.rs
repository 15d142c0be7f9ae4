//! Whether a server answers: active checks and the failures of real requests, as a state machine.
//!
//! One [`Monitor`] per server. It begins up: a pool must serve before its first checks are done, and
//! the first check decides at once.
//!
//! *Active*: a probe each interval; after `fall` failures in a row the server is down, after `rise`
//! successes in a row it is up again. While something is unproven the probes come faster.
//!
//! *Passive*: a request that could not be sent, or broke off, counts against its server. After
//! `failures_in_row`, or `failures_in_window` within the window, the server is down: until active
//! checks have seen it rise, or, if there are none, for an ejection time that doubles with each
//! ejection that follows on another.
//!
//! Invariant: passive failures never take out the last server that is up. If all of them fail, the
//! cause is more likely on our side of them, or a request that kills whatever it meets, and an error
//! from a server is better than one from us. Active checks may: they ask the server itself, in its own
//! words.

use core::time::Duration;

use abide_time::Time;

use crate::Health;

/// How servers are probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivePolicy {
    /// Between probes of a server whose state is proven. Each is up to a tenth longer or shorter, so
    /// that balancers do not probe in step.
    pub interval: Duration,
    /// Between probes while a change is under way or the server is down.
    pub fast_interval: Duration,
    /// Failures in a row that take a server out.
    pub fall: u32,
    /// Successes in a row that bring it back.
    pub rise: u32,
}

/// Every two seconds, every half second when in doubt; three failures down, two successes up.
impl Default for ActivePolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_millis(500),
            fall: 3,
            rise: 2,
        }
    }
}

/// How the failures of real requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassivePolicy {
    /// Failures with no success between them that take a server out.
    pub failures_in_row: u32,
    /// Failures within the window that take it out, whatever succeeds between them.
    pub failures_in_window: u32,
    /// The window. It is counted in two halves, so it is at least half as long and at most this long.
    pub window: Duration,
    /// How long a server is out for the first time, if there are no active checks.
    pub ejection: Duration,
    /// The longest that doubling makes it.
    pub ejection_max: Duration,
}

/// Three in a row or twenty in ten seconds; out for five seconds, at most for five minutes.
impl Default for PassivePolicy {
    fn default() -> Self {
        Self {
            failures_in_row: 3,
            failures_in_window: 20,
            window: Duration::from_secs(10),
            ejection: Duration::from_secs(5),
            ejection_max: Duration::from_mins(5),
        }
    }
}

/// What happened to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time passed; call at the [`Monitor::deadline`] or later.
    Tick,
    /// A probe was answered well.
    ProbePassed,
    /// A probe failed, or took too long.
    ProbeFailed,
    /// A request was answered, whatever the status.
    RequestAnswered,
    /// A request could not be sent, or broke off before its answer began.
    RequestFailed {
        /// Whether no other server of the pool is up.
        is_last_up: bool,
    },
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Probe the server, and report how it went.
    Probe,
    /// Its health changed.
    Became(Health),
}

/// The health of one server.
#[derive(Clone, Debug)]
pub struct Monitor {
    active: Option<ActivePolicy>,
    passive: Option<PassivePolicy>,
    health: Health,
    told: Health,
    probing: Probing,
    failures: Failures,
    ejection: Ejection,
}

impl Monitor {
    /// A server that has not been looked at. Without policies it stays up for ever.
    ///
    /// `seed` is a random number per server, from which its jitter is drawn.
    pub fn new(
        active: Option<ActivePolicy>,
        passive: Option<PassivePolicy>,
        seed: u64,
        now: Time,
    ) -> Self {
        Self {
            active,
            passive,
            health: Health::Up,
            told: Health::Up,
            probing: Probing {
                next_at: if active.is_some() { now } else { Time::MAX },
                is_due: false,
                run: 0,
                is_unproven: true,
                jitter: seed,
            },
            failures: Failures::default(),
            ejection: Ejection::default(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, input: Input, now: Time) {
        match input {
            Input::Tick => self.tick(now),
            Input::ProbePassed => self.probe_passed(now),
            Input::ProbeFailed => self.probe_failed(now),
            Input::RequestAnswered => self.failures.in_row = 0,
            Input::RequestFailed { is_last_up } => self.request_failed(is_last_up, now),
        }
    }

    /// What to do next; ask until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        if self.told != self.health {
            self.told = self.health;
            return Some(Output::Became(self.health));
        }
        core::mem::take(&mut self.probing.is_due).then_some(Output::Probe)
    }

    /// Call [`Monitor::handle`] with [`Input::Tick`] no later than this.
    pub fn deadline(&self) -> Time {
        self.probing.next_at.min(self.ejection.ends_at)
    }

    /// The health now.
    pub fn health(&self) -> Health {
        self.health
    }

    fn tick(&mut self, now: Time) {
        if let Some(policy) = self.active
            && self.probing.next_at <= now
        {
            self.probing.is_due = true;
            // If the answer to this probe is never reported, the next one still comes.
            let interval = self.interval(&policy);
            self.probing.schedule(interval, now);
        }
        if self.ejection.ends_at <= now {
            self.ejection.end(now);
            self.health = Health::Up;
            // One more failure right away, and it is out again.
            self.failures = Failures::on_probation(self.passive.as_ref());
        }
    }

    fn probe_passed(&mut self, now: Time) {
        let Some(policy) = self.active else { return };
        if self.health == Health::Up {
            self.probing.run = 0;
        } else {
            self.probing.run = self.probing.run.saturating_add(1);
            if self.probing.run >= policy.rise {
                self.probing.run = 0;
                self.health = Health::Up;
                self.failures = Failures::default();
            }
        }
        self.probing.is_unproven = false;
        let interval = self.interval(&policy);
        self.probing.schedule(interval, now);
    }

    fn probe_failed(&mut self, now: Time) {
        let Some(policy) = self.active else { return };
        if self.health == Health::Down {
            self.probing.run = 0;
        } else {
            self.probing.run = self.probing.run.saturating_add(1);
            if self.probing.run >= policy.fall || self.probing.is_unproven {
                self.probing.run = 0;
                self.health = Health::Down;
            }
        }
        self.probing.is_unproven = false;
        let interval = self.interval(&policy);
        self.probing.schedule(interval, now);
    }

    fn request_failed(&mut self, is_last_up: bool, now: Time) {
        let Some(policy) = self.passive else { return };
        if self.health == Health::Down || !self.failures.count(&policy, now) || is_last_up {
            return;
        }
        self.health = Health::Down;
        self.failures = Failures::default();
        if self.active.is_some() {
            self.probing.run = 0;
            self.probing.is_unproven = false;
            // Ask the server itself at once.
            self.probing.next_at = now;
        } else {
            self.ejection.begin(&policy, now);
        }
    }

    fn interval(&self, policy: &ActivePolicy) -> Duration {
        if self.health == Health::Up && self.probing.run == 0 {
            policy.interval
        } else {
            policy.fast_interval
        }
    }
}

/// When to probe, and what the last probes said.
#[derive(Clone, Debug)]
struct Probing {
    next_at: Time,
    is_due: bool,
    /// Probes in a row that speak against the present health.
    run: u32,
    /// No probe has been answered yet.
    is_unproven: bool,
    jitter: u64,
}

impl Probing {
    /// The next probe after nine to eleven tenths of the interval.
    fn schedule(&mut self, interval: Duration, now: Time) {
        // Knuth's MMIX generator; its upper bits are random enough to keep balancers out of step.
        self.jitter = self
            .jitter
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let per_mille = ((self.jitter >> 32) % 201).saturating_add(900);
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let jittered_ms = interval_ms.saturating_mul(per_mille) / 1000;
        self.next_at = now.after(Duration::from_millis(jittered_ms.max(1)));
    }
}

/// Failures of real requests.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    in_row: u32,
    half_began_at: Time,
    this_half: u32,
    last_half: u32,
}

impl Failures {
    fn on_probation(policy: Option<&PassivePolicy>) -> Self {
        let in_row = policy.map_or(0, |policy| policy.failures_in_row.saturating_sub(1));
        Self { in_row, ..Self::default() }
    }

    /// Counts one; whether that is too many.
    fn count(&mut self, policy: &PassivePolicy, now: Time) -> bool {
        let age = now.since(self.half_began_at);
        if age.saturating_mul(2) >= policy.window {
            self.last_half = if age < policy.window { self.this_half } else { 0 };
            self.this_half = 0;
            self.half_began_at = now;
        }
        self.in_row = self.in_row.saturating_add(1);
        self.this_half = self.this_half.saturating_add(1);
        self.in_row >= policy.failures_in_row
            || self.this_half.saturating_add(self.last_half) >= policy.failures_in_window
    }
}

/// How long a server without active checks stays out.
#[derive(Clone, Copy, Debug)]
struct Ejection {
    ends_at: Time,
    ended_at: Time,
    length: Duration,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { ends_at: Time::MAX, ended_at: Time::EPOCH, length: Duration::ZERO }
    }
}

impl Ejection {
    /// Twice as long as the last one, if the server was not up for longer than that since.
    fn begin(&mut self, policy: &PassivePolicy, now: Time) {
        let follows = !self.length.is_zero() && now.since(self.ended_at) <= self.length;
        let doubled = self.length.saturating_mul(2);
        self.length = if follows { doubled } else { policy.ejection };
        self.length = self.length.clamp(policy.ejection, policy.ejection_max.max(policy.ejection));
        self.ends_at = now.after(self.length);
    }

    fn end(&mut self, now: Time) {
        self.ends_at = Time::MAX;
        self.ended_at = now;
    }
}

#[cfg(test)]
mod tests;
