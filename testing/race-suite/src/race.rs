//! A race, how it is played, and what came of it.

use std::fmt;
use std::pin::Pin;

use abide::SessionLayer;

use crate::course::{Course, Server};

/// Rounds of each race, unless `ABIDE_RACE_ROUNDS` says otherwise: what goes wrong once in three
/// hundred rounds is missed by fewer than one run in twenty-five.
pub const ROUNDS: u32 = 1000;

/// What keeps the sessions, as far as it decides which races apply. Each holds what the ones before
/// it hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kept {
    /// The browser, in a sealed cookie. A copy of it lives until it expires, and of two responses
    /// at once the cookie of the later one stays: by nature, so no race asks for more.
    Sealed,
    /// The browser, and a store knows which sessions have ended.
    Revocable,
    /// A store.
    Store,
}

/// A race: requests of one session that overlap, and what must hold afterwards.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    name: &'static str,
    needs: Kept,
    play: for<'a> fn(&'a Course) -> Play<'a>,
}

pub(crate) type Play<'a> = Pin<Box<dyn Future<Output = Tally> + 'a>>;

/// What came of a race.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Which race it was.
    pub race: &'static str,
    /// How often it was played.
    pub rounds: u32,
    /// In how many of these rounds something went wrong.
    pub bad: u32,
    /// What went wrong in the first of them.
    pub first_bad: Option<String>,
    /// With this number in `ABIDE_RACE_SEED` the same moments are drawn again.
    pub seed: u64,
}

/// What the rounds came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) bad: u32,
    pub(crate) first: Option<(u32, Bad)>,
}

/// What went wrong in a round.
#[derive(Debug)]
pub(crate) struct Bad(String);

/// Nothing, or what went wrong.
pub(crate) type Round = Result<(), Bad>;

pub(crate) fn bad<T>(what: impl Into<String>) -> Result<T, Bad> {
    Err(Bad(what.into()))
}

/// Goes on if this holds.
macro_rules! ensure {
    ($holds:expr, $($otherwise:tt)+) => {
        if !$holds {
            return $crate::race::bad(format!($($otherwise)+));
        }
    };
}
pub(crate) use ensure;

impl Race {
    pub(crate) const fn new(
        name: &'static str,
        needs: Kept,
        play: for<'a> fn(&'a Course) -> Play<'a>,
    ) -> Self {
        Self { name, needs, play }
    }

    /// Its name, which is what must hold.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What has to keep the sessions for this race to apply.
    pub const fn needs(&self) -> Kept {
        self.needs
    }

    /// Plays it on servers with the layers that `make` makes, in a runtime with time and I/O.
    ///
    /// # Panics
    /// If a layer does not stand on [`Server::watch`] though the sessions need a store, or a server
    /// does not answer.
    pub async fn play(
        &self,
        kept: Kept,
        make: impl Fn(&Server) -> SessionLayer,
        rounds: u32,
    ) -> Outcome {
        let course = Course::open(kept, make, rounds).await;
        let tally = (self.play)(&course).await;
        Outcome {
            race: self.name,
            rounds,
            bad: tally.bad,
            first_bad: tally.first.map(|(round, Bad(what))| format!("round {round}: {what}")),
            seed: course.seed(),
        }
    }

    /// Plays it for so many rounds, or as `ABIDE_RACE_ROUNDS` says, and prints a line about it.
    ///
    /// # Panics
    /// If anything went wrong in any round; and as [`Race::play`].
    #[expect(clippy::print_stdout, reason = "the figures of a test; shown if asked for")]
    pub async fn hold(&self, kept: Kept, rounds: u32, make: impl Fn(&Server) -> SessionLayer) {
        let rounds = crate::course::number_in("ABIDE_RACE_ROUNDS")
            .map_or(rounds, |rounds| u32::try_from(rounds).unwrap_or(u32::MAX));
        let begun = tokio::time::Instant::now();
        let outcome = self.play(kept, make, rounds).await;
        println!("{outcome}, in {:.1} s", begun.elapsed().as_secs_f64());
        assert_eq!(outcome.bad, 0, "{outcome}");
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} bad rounds of {}", self.race, self.bad, self.rounds)?;
        if let Some(first) = &self.first_bad {
            write!(f, "; {first}; draw again with ABIDE_RACE_SEED={}", self.seed)?;
        }
        Ok(())
    }
}
