//! What the clients count, kept by fault.
//!
//! Invariant: a round lasts from its fault to the next one, and what is found lost is counted in the
//! round whose audit found it: every round ends with one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::Fault;

/// What a client does not wait longer for; what takes longer counts as hung.
pub(crate) const HUNG: Duration = Duration::from_secs(1);
/// Stories that are kept: the first ones say what went wrong, the others that it went on.
const STORIES: usize = 60;
/// Of requests that took long, so many: those of losses must have their place.
const SLOW_STORIES: usize = 20;

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// Sign-ins, writes, renewals and sign-outs that were acknowledged.
    pub(crate) acknowledged: u64,
    /// The renewals among them.
    pub(crate) renewed: u64,
    /// Acknowledged writes that an audit did not find.
    pub(crate) lost: u64,
    /// Sessions that it did not find.
    pub(crate) sessions_lost: u64,
    /// Answers older than what was acknowledged before they were asked for.
    pub(crate) stale: u64,
    /// The same, of the other side of a cut that went on.
    pub(crate) stale_cut: u64,
    /// Answers to the cookie of an ended session that show its user.
    pub(crate) revived: u64,
    /// The same, of the other side of a cut that went on.
    pub(crate) revived_cut: u64,
    /// Sessions that one side of a cut ended under an id that they had, and the other gave a new one under which
    /// they live.
    pub(crate) outlived: u64,
    /// Answers that hold what nobody wrote.
    pub(crate) invented: u64,
    /// Questions of audits that got no answer: what they were about may be lost or not.
    pub(crate) unaudited: u64,
    /// Requests that took longer than [`HUNG`].
    pub(crate) hung: u64,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// One blow at one server.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) at: Instant,
    pub(crate) waits: Vec<Wait>,
}

/// How one client lived through a blow.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) way: Way,
    /// Whether the struck server served it.
    pub(crate) is_struck: bool,
    /// When it first asked after the blow. What was on its way to the server then is not counted: a
    /// process that hangs can not answer.
    asked: Option<Instant>,
    /// From then to its first good answer.
    waited: Option<Duration>,
}

/// How a client comes to a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the balancer, which keeps it at one server.
    #[default]
    Balanced,
    /// Directly, at any server that was not struck, and at another one each time.
    Direct,
}

/// A fault and all until the next one.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    /// None before the first.
    pub(crate) fault: Option<Fault>,
    pub(crate) counts: Counts,
    pub(crate) strikes: Vec<Strike>,
    /// The longest time that a client was without a good answer.
    pub(crate) longest_gap: Duration,
    /// From the end of the fault to all servers being ready and safe to stop.
    pub(crate) recovered_after: Option<Duration>,
    /// How late this process was at worst because the machine had other work.
    pub(crate) behind: Duration,
}

#[derive(Debug)]
struct Kept {
    rounds: Vec<Round>,
    clients: Vec<Seen>,
    stories: Vec<String>,
    untold: usize,
    skipped: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    last_good: Option<Instant>,
    way: Way,
    /// The server that last answered through the balancer.
    served_by: Option<String>,
}

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Tally {
    begun: Instant,
    kept: Mutex<Kept>,
}

impl Tally {
    pub(crate) fn new(clients: usize) -> Self {
        let clients = vec![Seen::default(); clients];
        let rounds = vec![Round::new(None)];
        let kept = Mutex::new(Kept {
            rounds,
            clients,
            stories: Vec::new(),
            untold: 0,
            skipped: Vec::new(),
        });
        Self { begun: Instant::now(), kept }
    }

    pub(crate) fn begin_round(&self, fault: Fault) {
        self.kept().rounds.push(Round::new(Some(fault)));
    }

    /// A server is struck now.
    pub(crate) fn strike(&self, server: &str) {
        let mut kept = self.kept();
        let wait = |seen: &Seen| Wait {
            way: seen.way,
            is_struck: seen.way == Way::Balanced && seen.served_by.as_deref() == Some(server),
            asked: None,
            waited: None,
        };
        let waits = kept.clients.iter().map(wait).collect();
        kept.round().strikes.push(Strike { at: Instant::now(), waits });
    }

    /// A client goes this way from now on.
    pub(crate) fn takes(&self, client: usize, way: Way) {
        if let Some(seen) = self.kept().clients.get_mut(client) {
            seen.way = way;
        }
    }

    /// A client asks.
    pub(crate) fn asks(&self, client: usize, begin: Instant) {
        for strike in &mut self.kept().round().strikes {
            if let Some(wait) = strike.waits.get_mut(client) {
                wait.asked.get_or_insert(begin);
            }
        }
    }

    /// A client has a good answer to what it asked at `begin`; `served_by` if through the balancer.
    pub(crate) fn good(&self, client: usize, begin: Instant, served_by: Option<String>) {
        let now = Instant::now();
        let mut kept = self.kept();
        let Some(seen) = kept.clients.get_mut(client) else { return };
        let gap = seen.last_good.replace(now).map_or(Duration::ZERO, |last| now - last);
        if served_by.is_some() {
            seen.served_by = served_by;
        }
        let round = kept.round();
        round.longest_gap = round.longest_gap.max(gap);
        for wait in round.strikes.iter_mut().filter_map(|strike| strike.waits.get_mut(client)) {
            if let Some(asked) = wait.asked.filter(|asked| *asked <= begin) {
                wait.waited.get_or_insert(now - asked);
            }
        }
    }

    pub(crate) fn count(&self, counting: impl FnOnce(&mut Counts)) {
        counting(&mut self.kept().round().counts);
    }

    pub(crate) fn recovered(&self, after: Duration) {
        self.kept().round().recovered_after = Some(after);
    }

    pub(crate) fn behind(&self, late: Duration) {
        let mut kept = self.kept();
        let round = kept.round();
        round.behind = round.behind.max(late);
    }

    /// Keeps what went wrong, with when.
    pub(crate) fn tell(&self, what: &str) {
        self.tell_up_to(STORIES, what);
    }

    /// The same of what only took long.
    pub(crate) fn tell_slow(&self, what: &str) {
        self.tell_up_to(SLOW_STORIES, what);
    }

    fn tell_up_to(&self, bound: usize, what: &str) {
        let mut kept = self.kept();
        if kept.stories.len() >= bound {
            kept.untold += 1;
            return;
        }
        let at = self.begun.elapsed().as_secs_f64();
        let round = kept.round();
        let fault = round.fault.map_or("calm", Fault::name);
        let since = round.strikes.last().map(|strike| strike.at.elapsed().as_millis());
        let since = since.map_or(String::new(), |ms| format!(", {ms} ms after the last blow"));
        kept.stories.push(format!("{at:9.3} s ({fault}{since}): {what}"));
    }

    /// What was asked for is not done.
    pub(crate) fn skip(&self, what: String) {
        self.kept().skipped.push(what);
    }

    pub(crate) fn skipped(&self) -> Vec<String> {
        self.kept().skipped.clone()
    }

    pub(crate) fn rounds(&self) -> Vec<Round> {
        self.kept().rounds.clone()
    }

    /// What went wrong, in order, and how much more did.
    pub(crate) fn stories(&self) -> (Vec<String>, usize) {
        let kept = self.kept();
        (kept.stories.clone(), kept.untold)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn round(&mut self) -> &mut Round {
        if self.rounds.is_empty() {
            self.rounds.push(Round::new(None));
        }
        let last = self.rounds.len() - 1;
        &mut self.rounds[last]
    }
}

impl Round {
    fn new(fault: Option<Fault>) -> Self {
        Self {
            fault,
            counts: Counts::default(),
            strikes: Vec::new(),
            longest_gap: Duration::ZERO,
            recovered_after: None,
            behind: Duration::ZERO,
        }
    }
}

impl Wait {
    /// How long it waited; if it did not get an answer, until now. None if it did not ask.
    pub(crate) fn time(&self) -> Option<Duration> {
        self.waited.or_else(|| self.asked.map(|asked| asked.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_lasts_from_the_first_request_after_a_blow_to_a_good_answer() {
        let tally = Tally::new(3);
        tally.takes(1, Way::Direct);
        tally.good(0, Instant::now(), Some("a".to_owned()));
        tally.begin_round(Fault::Kill);
        tally.strike("a");
        let begin = Instant::now();
        tally.asks(0, begin);
        tokio::time::advance(Duration::from_millis(70)).await;
        // What was asked before the blow and is answered after it says nothing of it.
        tally.good(1, begin, None);
        tally.asks(1, Instant::now());
        tokio::time::advance(Duration::from_millis(30)).await;
        tally.good(0, begin, Some("b".to_owned()));
        let rounds = tally.rounds();
        let waits = &rounds[1].strikes[0].waits;
        let told: Vec<_> = waits.iter().map(|wait| (wait.is_struck, wait.time())).collect();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(told, [(true, ms(100)), (false, ms(30)), (false, None)]);
        assert_eq!(rounds[1].longest_gap, Duration::from_millis(100));
    }

    #[test]
    fn stories_are_kept_up_to_a_bound_and_counted_past_it() {
        let tally = Tally::new(1);
        let told = || (tally.stories().0.len(), tally.stories().1);
        (0..SLOW_STORIES + 2).for_each(|number| tally.tell_slow(&number.to_string()));
        assert_eq!(told(), (SLOW_STORIES, 2));
        (SLOW_STORIES..STORIES + 2).for_each(|number| tally.tell(&number.to_string()));
        assert_eq!(told(), (STORIES, 4));
    }
}
