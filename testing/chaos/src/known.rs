//! What a client knows of a session of its own: what was acknowledged, and what may have happened.
//!
//! Nobody else writes to it, and the client does one thing after the other. So a field holds the last
//! acknowledged number, or the one tried since whose outcome nobody told. A field of such an outcome is
//! not written to until the number has been seen: an old write that arrives late could not be told from
//! a lost one.
//!
//! A session may be given a new id. The ids that it had lead to it for their grace: until then each is as good
//! as its own. If nobody answers a renewal the session may have an id that nobody knows, and the one that is
//! known has a grace as well. What is answered after a grace says nothing.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::browser::Cookies;
use crate::places::Side;

/// The cookie that names the session.
pub(crate) const SESSION_COOKIE: &str = "abide";
/// Fields that a session begins with: a later write must not hide that an earlier one is lost.
const FIRST_FIELDS: usize = 3;
/// Fields at which the client signs out. Each unknown outcome costs one.
const ENOUGH_FIELDS: usize = 24;
/// Ids in a row that a store follows are four. One more renewal may be done that nobody answers.
const MAX_OLD_IDS: usize = 3;
/// How long an id that was renewed leads to its session: ten seconds of a wall clock, which may be set by a
/// little meanwhile.
const GRACE: Duration = Duration::from_millis(9_500);

/// A session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    /// The cookie's value: the session's name among all.
    pub(crate) id: String,
    /// Who said that this is its id.
    pub(crate) named: Source,
    /// The ids that it had before.
    old: Vec<Pass>,
    /// When it was to be renewed, if nobody answered that.
    renewal_in_doubt: Option<Instant>,
    pub(crate) fields: Vec<Field>,
}

/// An id by which a session can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) id: String,
    /// The end of its grace, if it has one.
    until: Option<Instant>,
}

/// Where an answer came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whence {
    pub(crate) server: String,
    pub(crate) is_balanced: bool,
    /// The server's side, if there was a cut.
    pub(crate) side: Option<Side>,
}

/// Who said something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    what: &'static str,
    pub(crate) whence: Whence,
    pub(crate) at: Instant,
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
    /// Who acknowledged, or showed, the least.
    source: Option<Source>,
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
    pub(crate) fn new(user: String, id: String, whence: Whence) -> Self {
        let fields = vec![Field::default(); FIRST_FIELDS];
        let named = Source::new("signed in", whence);
        Self { user, id, named, old: Vec::new(), renewal_in_doubt: None, fields }
    }

    /// Its own id.
    pub(crate) fn pass(&self) -> Pass {
        let until = self.renewal_in_doubt.map(|asked| asked + GRACE);
        Pass { id: self.id.clone(), until }
    }

    /// All ids that lead to it, its own first.
    pub(crate) fn passes(&self) -> Vec<Pass> {
        let all = [self.pass()].into_iter().chain(self.old.iter().cloned());
        all.filter(Pass::is_good).collect()
    }

    /// The slot that it is in, which is not secret.
    pub(crate) fn slot(&self) -> &str {
        self.id.get(..3).unwrap_or_default()
    }

    /// Its own id and those that it had.
    pub(crate) fn ids(&self) -> Vec<String> {
        let old = self.old.iter().map(|pass| &pass.id);
        [&self.id].into_iter().chain(old).cloned().collect()
    }

    /// Whether it can be given one more id, and the outcome be told.
    pub(crate) const fn can_be_renewed(&self) -> bool {
        self.old.len() < MAX_OLD_IDS && self.renewal_in_doubt.is_none()
    }

    /// It has another id, which was asked for at this time.
    pub(crate) fn rename(&mut self, id: String, asked: Instant, whence: Whence) {
        let id = std::mem::replace(&mut self.id, id);
        self.old.insert(0, Pass { id, until: Some(asked + GRACE) });
        self.named = Source::new("renewed", whence);
    }

    /// It may have another id, which was asked for at this time, and nobody knows it.
    pub(crate) const fn doubt_renewal(&mut self, asked: Instant) {
        self.renewal_in_doubt = Some(asked);
    }

    /// Whether it may live on: one side of a cut ended it under an id that it had before, and the other gave it
    /// the one that it has.
    pub(crate) fn may_outlive_its_end(&self, by: &Pass, ended: &Whence) -> bool {
        by.id != self.id && self.named.whence.is_beyond_the_cut(ended)
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

impl Pass {
    /// An id, however long it leads to anything.
    pub(crate) const fn of(id: String) -> Self {
        Self { id, until: None }
    }

    /// The cookies that a browser has that knows nothing but this session.
    pub(crate) fn cookies(&self) -> Cookies {
        Cookies::from([(SESSION_COOKIE.to_owned(), self.id.clone())])
    }

    /// Whether it leads to its session still.
    pub(crate) fn is_good(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

impl Whence {
    /// Whether this is the one side of a cut and the other one the other.
    pub(crate) fn is_beyond_the_cut(&self, other: &Self) -> bool {
        let sides = self.side.zip(other.side);
        sides.is_some_and(|(ours, theirs)| ours.is_beyond(theirs))
    }
}

impl Source {
    fn new(what: &'static str, whence: Whence) -> Self {
        Self { what, whence, at: Instant::now() }
    }
}

impl Field {
    /// The last write was acknowledged.
    pub(crate) fn acknowledge(&mut self, whence: Whence) {
        self.know(self.tried, Source::new("acknowledged", whence));
    }

    fn know(&mut self, number: u64, source: Source) {
        let is_old = |last: &Source| source.at.duration_since(last.at) >= UNSAFE_FOR;
        if self.source.as_ref().is_none_or(is_old) {
            self.safe = self.acknowledged;
        }
        (self.acknowledged, self.source) = (number, Some(source));
    }

    /// What was acknowledged since this time may be lost.
    pub(crate) fn forget(&mut self, since: Instant) {
        if self.source.take_if(|source| source.at >= since).is_some() {
            self.acknowledged = self.safe;
        }
    }

    /// Whether what is known of it was said on the other side of a cut.
    pub(crate) fn is_known_beyond_the_cut(&self, whence: &Whence) -> bool {
        self.source.as_ref().is_some_and(|source| source.whence.is_beyond_the_cut(whence))
    }

    /// A read gave this number: what has been seen has to stay.
    pub(crate) fn see(&mut self, number: u64, whence: Whence) -> Verdict {
        if number < self.acknowledged {
            return Verdict::Old;
        }
        if number > self.tried {
            return Verdict::Invented;
        }
        if number > self.acknowledged {
            self.know(number, Source::new("seen", whence));
        }
        Verdict::Right
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.acknowledged, self.tried)?;
        match &self.source {
            Some(source) => write!(f, ", {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, whence, at } = self;
        write!(f, "{what} {whence} {} ms before", at.elapsed().as_millis())
    }
}

impl fmt::Display for Whence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.is_balanced { " through the balancer" } else { "" };
        write!(f, "at {}{by}", self.server)
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

    fn at_a() -> Whence {
        Whence { server: "a".into(), ..Whence::default() }
    }

    fn on_a_side(cut: Instant, is_far: bool) -> Whence {
        Whence { side: Some(Side { cut, is_far }), ..at_a() }
    }

    fn session() -> Session {
        Session::new("ada".into(), "1".into(), at_a())
    }

    #[test]
    fn a_read_is_right_between_what_was_acknowledged_and_what_was_tried() {
        let mut field = Field { acknowledged: 4, safe: 4, tried: 5, source: None };
        assert_eq!(field.see(3, at_a()), Verdict::Old);
        assert_eq!(field.see(6, at_a()), Verdict::Invented);
        assert_eq!(field.see(4, at_a()), Verdict::Right);
        assert_eq!(field.see(5, at_a()), Verdict::Right);
        assert_eq!(field.see(4, at_a()), Verdict::Old, "what has been seen stays");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_acknowledged_in_the_last_moment_before_all_were_killed_may_be_lost() {
        let mut field = Field { acknowledged: 4, safe: 4, tried: 5, source: None };
        field.acknowledge(at_a());
        tokio::time::advance(UNSAFE_FOR).await;
        for tried in [6, 7] {
            field.tried = tried;
            field.acknowledge(at_a());
        }
        let mut later = field.clone();
        field.forget(Instant::now() - UNSAFE_FOR / 2);
        assert_eq!((field.see(4, at_a()), field.see(5, at_a())), (Verdict::Old, Verdict::Right));
        tokio::time::advance(UNSAFE_FOR * 2).await;
        later.forget(Instant::now() - UNSAFE_FOR);
        assert_eq!(later.see(6, at_a()), Verdict::Old);
    }

    #[test]
    fn a_field_of_unknown_outcome_is_not_written_to_until_it_is_known() {
        let mut session = session();
        let places: Vec<usize> = (0..4).map(|_| session.next_write(0).0).collect();
        assert_eq!(places, [0, 1, 2, 3], "each has an outcome to come");
        session.fields[1].acknowledge(at_a());
        assert_eq!(session.next_write(7), (1, 2));
        while !session.is_full() {
            session.next_write(0);
        }
        assert_eq!(session.fields.len(), ENOUGH_FIELDS);
    }

    #[tokio::test(start_paused = true)]
    async fn each_id_leads_to_a_session_until_its_grace_is_over() {
        let mut session = session();
        let asked = Instant::now();
        let ids = |session: &Session| -> Vec<String> {
            session.passes().into_iter().map(|pass| pass.id).collect()
        };
        session.rename("2".into(), asked, at_a());
        assert_eq!(ids(&session), ["2", "1"]);
        tokio::time::advance(GRACE / 2).await;
        session.rename("3".into(), Instant::now(), at_a());
        tokio::time::advance(GRACE / 2).await;
        assert_eq!(ids(&session), ["3", "2"]);
        assert_eq!(session.ids(), ["3", "2", "1"], "whoever ends it ends all of them");
        assert!(session.can_be_renewed());
        session.doubt_renewal(Instant::now());
        assert!(!session.can_be_renewed());
        assert!(session.pass().is_good());
        tokio::time::advance(GRACE).await;
        assert_eq!(ids(&session), [""; 0], "it may have an id that nobody knows");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_outlives_its_end_only_if_the_sides_of_one_cut_renewed_and_ended_it() {
        let cut = Instant::now();
        tokio::time::advance(GRACE / 2).await;
        let later = Instant::now();
        let mut session = session();
        let first = session.pass();
        session.rename("2".into(), later, on_a_side(cut, false));
        let may_outlive = |by: &Pass, ended| session.may_outlive_its_end(by, &ended);
        assert!(may_outlive(&first, on_a_side(cut, true)));
        assert!(!may_outlive(&first, on_a_side(cut, false)), "the side that renewed it");
        assert!(!may_outlive(&first, on_a_side(later, true)), "another cut");
        assert!(!may_outlive(&first, at_a()), "no cut");
        assert!(!may_outlive(&session.pass(), on_a_side(cut, true)), "under the id that it has");
    }
}
