//! Between two nodes: who counts on whom, and until when.
//!
//! Each pings the other. The answer to a ping is a *grant*: who answered will not go on without the
//! other for as long as it lasts, in any slot. Who was granted counts from when it *sent* the ping, who
//! granted from when it answered, and a little longer: so the one that is left out knows it before
//! the other acts on it, whatever the network does to messages in between. Only time that passes
//! evenly is compared, and each clock only with itself.
//!
//! A ping is answered only if it shows that its sender hears the other: a network that is cut in one
//! direction lets grants run out in both.
//!
//! Who goes on without the other raises its *era* for it, which comes with each grant. To have been
//! in sync with a leader means something only while the leader grants in the same era.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::limits::{GRANT_HELD, GRANT_KEPT, LISTEN, PING_EVERY};

/// What one node knows of the grants between it and another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    /// Pings sent lately, and when.
    sent: VecDeque<(u64, Duration)>,
    number: u64,
    /// The latest ping of theirs that came in.
    heard: u64,
    /// When the latest ping of ours was sent of which is known that they heard it, or when they were met.
    mutual: Option<Duration>,
    /// Until when they will not go on without us, and their era.
    held: Option<(Duration, u64)>,
    /// Until when we will not go on without them.
    kept: Option<Duration>,
    /// How often we went on without them.
    pub(crate) era: u64,
    /// Whether we did, and they do not know yet.
    pub(crate) is_dropped: bool,
}

/// Pings that are remembered: as many as fit into the time for which an answer is worth anything.
const MAX_SENT: usize = 32;
/// Pings in one round, at most, for who has just been met and shall hear at once that we hear it.
const OFTEN: usize = 4;

impl Grants {
    /// The next ping, with the latest one of theirs that was heard.
    pub(crate) fn ping(&mut self, now: Duration) -> (u64, u64) {
        self.number = self.number.saturating_add(1);
        self.sent.push_back((self.number, now));
        if self.sent.len() > MAX_SENT {
            self.sent.pop_front();
        }
        (self.number, self.heard)
    }

    /// A ping came in. True if it is to be answered.
    pub(crate) fn on_ping(&mut self, number: u64, heard: u64, now: Duration) -> bool {
        self.heard = self.heard.max(number);
        let sent = self.sent.iter().find(|(number, _)| *number == heard).map(|(_, sent)| *sent);
        self.mutual = self.mutual.max(sent);
        let is_mutual = sent.is_some_and(|sent| sent.saturating_add(GRANT_HELD) > now);
        if is_mutual {
            self.kept = self.kept.max(Some(now.saturating_add(GRANT_KEPT)));
            self.is_dropped = false;
        }
        is_mutual
    }

    /// An answer came in. True if they have gone on without us since the last one.
    pub(crate) fn on_pong(&mut self, number: u64, era: u64) -> bool {
        let Some((_, sent)) = self.sent.iter().find(|(sent, _)| *sent == number) else {
            return false;
        };
        let until = sent.saturating_add(GRANT_HELD);
        let before = self.held;
        self.mutual = self.mutual.max(Some(*sent));
        self.held = match before {
            Some((held, known)) if known == era => Some((held.max(until), era)),
            _ => Some((until, era)),
        };
        before.is_some_and(|(_, known)| known != era)
    }

    /// Something came in that is no answer; only a mutant counts it as one.
    pub(crate) fn renew_without_an_answer(&mut self, now: Duration) {
        if let Some((until, _)) = &mut self.held {
            *until = (*until).max(now.saturating_add(GRANT_HELD));
        }
    }

    /// Whether they will not go on without us now, having not done so since this era.
    pub(crate) fn holds(&self, era: u64, now: Duration) -> bool {
        self.held.is_some_and(|(until, theirs)| theirs == era && until > now)
    }

    /// Whether to ping before the next round: there is no grant of theirs, and they may hear from us what
    /// they need to give one.
    pub(crate) fn is_eager(&self, now: Duration) -> bool {
        let is_recent = |sent: &Duration| sent.saturating_add(PING_EVERY) > now;
        let recent = self.sent.iter().rev().take_while(|(_, sent)| is_recent(sent)).count();
        self.held.is_none_or(|(until, _)| until <= now) && recent < OFTEN
    }

    /// The number of the next ping.
    pub(crate) const fn next_number(&self) -> u64 {
        self.number.saturating_add(1)
    }

    /// When this ping of ours was sent, if that was lately.
    pub(crate) fn sent_at(&self, number: u64) -> Option<Duration> {
        self.sent.iter().find(|(sent, _)| *sent == number).map(|(_, at)| *at)
    }

    /// Their era for us, as far as we know.
    pub(crate) fn their_era(&self) -> Option<u64> {
        self.held.map(|(_, era)| era)
    }

    /// Whether we may not go on without them now.
    pub(crate) fn is_kept(&self, now: Duration) -> bool {
        self.kept.is_some_and(|kept| kept > now)
    }

    /// Whether they are silent, for somebody who has listened since `since`.
    pub(crate) fn is_silent(&self, since: Duration, now: Duration) -> bool {
        let heard = self.mutual.unwrap_or_default();
        !self.is_kept(now)
            && heard.saturating_add(GRANT_KEPT) <= now
            && since.saturating_add(LISTEN) <= now
    }

    /// We go on without them.
    pub(crate) fn go_on_without(&mut self) {
        self.era = self.era.saturating_add(1);
        self.is_dropped = true;
    }

    /// They are another process now, which knows nothing of what was before, and of which we have heard
    /// just now.
    pub(crate) fn start_over(&mut self, now: Duration) {
        let era = self.era.saturating_add(1);
        // The numbers of pings go on: an answer to an earlier one must not count.
        *self = Self { era, number: self.number, mutual: Some(now), ..Self::default() };
    }
}

#[cfg(feature = "models")]
impl Grants {
    pub(crate) fn sent(&self) -> impl Iterator<Item = (u64, Duration)> + '_ {
        self.sent.iter().copied()
    }

    pub(crate) const fn heard(&self) -> u64 {
        self.heard
    }

    /// See [`crate::Node::renumber_pings`].
    pub(crate) fn renumber(&mut self, ours: &[u64], theirs: &[u64]) {
        // Zero, as of a ping that never was, if it does not matter.
        let renumbered = |number: u64, kept: &[u64]| {
            let found = (1_u64..).zip(kept).find(|(_, kept)| **kept == number);
            found.map_or(0, |(place, _)| place)
        };
        self.sent.retain(|(number, _)| ours.contains(number));
        for (number, _) in &mut self.sent {
            *number = renumbered(*number, ours);
        }
        self.number = ours.last().map_or(0, |last| renumbered(*last, ours));
        self.heard = renumbered(self.heard, theirs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn pair() -> (Grants, Grants) {
        let (mut ours, mut theirs) = (Grants::default(), Grants::default());
        let (number, heard) = ours.ping(ms(0));
        assert!(!theirs.on_ping(number, heard, ms(1)), "nobody has heard of the other yet");
        let (number, heard) = theirs.ping(ms(1));
        assert!(ours.on_ping(number, heard, ms(2)));
        assert!(!theirs.on_pong(number, ours.era));
        (ours, theirs)
    }

    #[test]
    fn who_was_granted_knows_that_it_is_over_before_the_other_goes_on() {
        let (ours, theirs) = pair();
        assert!(theirs.holds(0, ms(500)) && !theirs.holds(0, ms(501)));
        assert!(ours.is_kept(ms(551)) && !ours.is_kept(ms(552)));
    }

    #[test]
    fn a_ping_of_somebody_who_does_not_hear_us_grants_nothing() {
        let (mut ours, mut theirs) = pair();
        for millis in (100..=2000).step_by(100) {
            let _lost = ours.ping(ms(millis));
            let (number, heard) = theirs.ping(ms(millis));
            let _ = ours.on_ping(number, heard, ms(millis));
        }
        assert!(!ours.is_kept(ms(2000)));
        assert!(ours.is_silent(ms(0), ms(2000)));
    }

    #[test]
    fn who_was_held_up_listens_before_it_judges() {
        let (ours, _) = pair();
        assert!(!ours.is_silent(ms(3000), ms(3100)));
        assert!(ours.is_silent(ms(3000), ms(3200)));
    }

    #[test]
    fn who_is_met_for_the_first_time_is_not_silent_before_it_could_answer() {
        let mut ours = Grants::default();
        ours.start_over(ms(1000));
        assert!(!ours.is_silent(ms(0), ms(1549)) && ours.is_silent(ms(0), ms(1550)));
    }

    #[test]
    fn who_holds_no_grant_pings_a_few_times_more_and_then_waits_for_the_next_round() {
        let mut ours = Grants::default();
        for millis in [0, 1, 2, 3] {
            assert!(ours.is_eager(ms(millis)));
            let _sent = ours.ping(ms(millis));
        }
        assert!(!ours.is_eager(ms(4)) && ours.is_eager(ms(101)));
        let (_, theirs) = pair();
        assert!(!theirs.is_eager(ms(200)));
        // What an answer is worth anything for is remembered, however often somebody pings.
        let rounds = usize::try_from(GRANT_HELD.as_millis() / PING_EVERY.as_millis()).unwrap();
        assert!(MAX_SENT >= rounds * (OFTEN + 1));
    }

    #[test]
    fn a_grant_of_another_era_is_none_for_who_was_left_out() {
        let (mut ours, mut theirs) = pair();
        ours.go_on_without();
        let (number, heard) = ours.ping(ms(1000));
        let _ = theirs.on_ping(number, heard, ms(1001));
        let (number, heard) = theirs.ping(ms(1002));
        assert!(ours.on_ping(number, heard, ms(1003)));
        assert!(theirs.on_pong(number, ours.era), "they went on without us");
        assert!(!theirs.holds(0, ms(1004)) && theirs.holds(1, ms(1004)));
    }
}
