//! What a client knows of a session of its own: what was acknowledged, and what may have happened.
//!
//! Nobody else writes to it, and the client does one thing after the other. So a field holds the last
//! acknowledged number, or the one tried since whose outcome nobody told. A field of such an outcome is
//! not written to until the number has been seen: an old write that arrives late could not be told from
//! a lost one.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::browser::Cookies;

/// The cookie that names the session.
pub(crate) const SESSION_COOKIE: &str = "abide";
/// Fields that a session begins with: a later write must not hide that an earlier one is lost.
const FIRST_FIELDS: usize = 3;
/// Fields at which the client signs out. Each unknown outcome costs one.
const ENOUGH_FIELDS: usize = 24;

/// A session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    /// The cookie's value: the session's name among all.
    pub(crate) id: String,
    pub(crate) began: Instant,
    pub(crate) fields: Vec<Field>,
}

/// A field of it, which holds numbers that count up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// The least that a read may give.
    acknowledged: u64,
    /// What it was when that had been known for so long that it is on a disk.
    safe: u64,
    /// The most; greater only if the outcome of the last write is unknown.
    tried: u64,
    /// Who acknowledged, or showed, the least, and when.
    source: Option<(String, Instant)>,
}

/// How long an acknowledgement may be on no disk.
pub(crate) const UNSAFE_FOR: Duration = Duration::from_millis(50);

/// What a read says of what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is as it has to be.
    Right,
    /// Something acknowledged is not in it.
    Old,
    /// It holds what was never written.
    Invented,
}

impl Session {
    pub(crate) fn new(user: String, id: String) -> Self {
        Self { user, id, began: Instant::now(), fields: vec![Field::default(); FIRST_FIELDS] }
    }

    /// The cookies that a browser has that knows nothing but this session.
    pub(crate) fn cookies(&self) -> Cookies {
        Cookies::from([(SESSION_COOKIE.to_owned(), self.id.clone())])
    }

    /// The field to write next, and what: `choice` chooses among those that can be written.
    pub(crate) fn next_write(&mut self, choice: usize) -> (usize, u64) {
        let is_known = |field: &Field| field.tried == field.acknowledged;
        let mut known: Vec<usize> =
            (0..self.fields.len()).filter(|&place| is_known(&self.fields[place])).collect();
        if known.is_empty() {
            known.push(self.fields.len());
            self.fields.push(Field::default());
        }
        let place = known[choice % known.len()];
        let field = &mut self.fields[place];
        field.tried = field.acknowledged + 1;
        (place, field.tried)
    }

    /// Whether there are so many fields that a new session is due.
    pub(crate) fn is_full(&self) -> bool {
        self.fields.len() >= ENOUGH_FIELDS
    }

    /// The name of a field.
    pub(crate) fn name(place: usize) -> String {
        format!("n{place}")
    }
}

impl Field {
    /// The last write was acknowledged.
    pub(crate) fn acknowledge(&mut self, whence: &str) {
        self.know(self.tried, format!("acknowledged {whence}"));
    }

    fn know(&mut self, number: u64, source: String) {
        let now = Instant::now();
        if self.source.as_ref().is_none_or(|(_, at)| now.duration_since(*at) >= UNSAFE_FOR) {
            self.safe = self.acknowledged;
        }
        (self.acknowledged, self.source) = (number, Some((source, now)));
    }

    /// What was acknowledged since this time may be lost.
    pub(crate) fn forget(&mut self, since: Instant) {
        if self.source.take_if(|(_, at)| *at >= since).is_some() {
            self.acknowledged = self.safe;
        }
    }

    /// A read gave this number: what has been seen has to stay.
    pub(crate) fn see(&mut self, number: u64, whence: &str) -> Verdict {
        if number < self.acknowledged {
            return Verdict::Old;
        }
        if number > self.tried {
            return Verdict::Invented;
        }
        if number > self.acknowledged {
            self.know(number, format!("seen {whence}"));
        }
        Verdict::Right
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.acknowledged, self.tried)?;
        match &self.source {
            Some((source, at)) => write!(f, ", {source} {} ms before", at.elapsed().as_millis()),
            None => Ok(()),
        }
    }
}

/// Numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_right_between_what_was_acknowledged_and_what_was_tried() {
        let mut field = Field { acknowledged: 4, safe: 4, tried: 5, source: None };
        assert_eq!(field.see(3, "at a"), Verdict::Old);
        assert_eq!(field.see(6, "at a"), Verdict::Invented);
        assert_eq!(field.see(4, "at a"), Verdict::Right);
        assert_eq!(field.see(5, "at a"), Verdict::Right);
        assert_eq!(field.see(4, "at a"), Verdict::Old, "what has been seen stays");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_acknowledged_in_the_last_moment_before_all_were_killed_may_be_lost() {
        let mut field = Field { acknowledged: 4, safe: 4, tried: 5, source: None };
        field.acknowledge("at a");
        tokio::time::advance(UNSAFE_FOR).await;
        for tried in [6, 7] {
            field.tried = tried;
            field.acknowledge("at a");
        }
        let mut later = field.clone();
        field.forget(Instant::now() - UNSAFE_FOR / 2);
        assert_eq!((field.see(4, "at a"), field.see(5, "at a")), (Verdict::Old, Verdict::Right));
        tokio::time::advance(UNSAFE_FOR * 2).await;
        later.forget(Instant::now() - UNSAFE_FOR);
        assert_eq!(later.see(6, "at a"), Verdict::Old);
    }

    #[test]
    fn a_field_of_unknown_outcome_is_not_written_to_until_it_is_known() {
        let mut session = Session::new("ada".into(), "1".into());
        let places: Vec<usize> = (0..4).map(|_| session.next_write(0).0).collect();
        assert_eq!(places, [0, 1, 2, 3], "each has an outcome to come");
        session.fields[1].acknowledge("at a");
        assert_eq!(session.next_write(7), (1, 2));
        while !session.is_full() {
            session.next_write(0);
        }
        assert_eq!(session.fields.len(), ENOUGH_FIELDS);
    }
}
