//! A budget for sending requests a second time, so that a failing pool is not made worse.

use abide_time::Time;

/// How many requests may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries earned by each request, in thousandths.
    pub per_request_milli: u32,
    /// Retries earned by each second, so that a quiet pool can retry at all.
    pub per_second: u32,
    /// The most retries that can be saved up. When a server is killed, everything in flight on it is
    /// sent again at once, and that must fit.
    pub burst: u32,
}

/// One retry for five requests, ten a second besides, and 1000 saved up.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self { per_request_milli: 200, per_second: 10, burst: 1000 }
    }
}

/// A token bucket of retries.
///
/// Invariant: never holds more than the burst. It begins full.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    policy: RetryPolicy,
    /// Thousandths of a retry.
    saved_milli: u64,
    filled_at: Time,
}

const ONE_RETRY_MILLI: u64 = 1000;

impl RetryBudget {
    /// A full budget.
    pub fn new(policy: RetryPolicy, now: Time) -> Self {
        let mut budget = Self { policy, saved_milli: 0, filled_at: now };
        budget.saved_milli = budget.burst_milli();
        budget
    }

    /// A request came, for the first time.
    pub fn earn(&mut self) {
        self.add(u64::from(self.policy.per_request_milli));
    }

    /// Whether a request may be sent again now; takes one retry if so.
    pub fn spend(&mut self, now: Time) -> bool {
        let elapsed_ms = u64::try_from(now.since(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        self.filled_at = self.filled_at.max(now);
        // A retry a second is a thousandth of a retry a millisecond.
        self.add(elapsed_ms.saturating_mul(u64::from(self.policy.per_second)));
        match self.saved_milli.checked_sub(ONE_RETRY_MILLI) {
            Some(left) => {
                self.saved_milli = left;
                true
            }
            None => false,
        }
    }

    fn add(&mut self, milli: u64) {
        self.saved_milli = self.saved_milli.saturating_add(milli).min(self.burst_milli());
    }

    fn burst_milli(&self) -> u64 {
        u64::from(self.policy.burst).saturating_mul(ONE_RETRY_MILLI)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    const START: Time = Time::from_secs(1000);

    fn drained(policy: RetryPolicy) -> RetryBudget {
        let mut budget = RetryBudget::new(policy, START);
        retries(&mut budget, START);
        budget
    }

    fn retries(budget: &mut RetryBudget, now: Time) -> usize {
        core::iter::repeat_with(|| budget.spend(now)).take_while(|may| *may).count()
    }

    #[test]
    fn a_new_budget_holds_the_burst_and_no_more() {
        let mut budget = RetryBudget::new(RetryPolicy::default(), START);
        (0..100).for_each(|_| budget.earn());
        assert_eq!(retries(&mut budget, START), 1000);
    }

    #[test]
    fn five_requests_earn_one_retry() {
        let mut budget = drained(RetryPolicy::default());
        (0..4).for_each(|_| budget.earn());
        assert!(!budget.spend(START));
        budget.earn();
        assert_eq!(retries(&mut budget, START), 1);
    }

    #[test]
    fn a_second_earns_ten_and_a_year_no_more_than_the_burst() {
        let mut budget = drained(RetryPolicy::default());
        assert_eq!(retries(&mut budget, START.after(Duration::from_millis(100))), 1);
        assert_eq!(retries(&mut budget, START.after(Duration::from_millis(1100))), 10);
        assert_eq!(retries(&mut budget, Time::MAX), 1000);
    }

    #[test]
    fn time_that_goes_back_earns_nothing_twice() {
        let mut budget = drained(RetryPolicy::default());
        let later = START.after(Duration::from_secs(1));
        assert_eq!(retries(&mut budget, later), 10);
        assert_eq!(retries(&mut budget, START), 0);
        assert_eq!(retries(&mut budget, later), 0);
    }
}
