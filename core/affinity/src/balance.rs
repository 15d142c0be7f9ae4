//! Which server a visitor gets who belongs nowhere yet.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use crate::{Server, View};

/// How new visitors are spread. All three honour weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// In turn, with the turns of a heavy server spread evenly between those of the others: the
    /// smooth weighted round robin that nginx has used since 2012. Each turn every server gains its
    /// weight, the richest is taken and pays the sum of all weights.
    #[default]
    SmoothWeightedRoundRobin,
    /// The server with the fewest requests in flight for its weight.
    LeastConnections,
    /// The better of two drawn at random by weight (Mitzenmacher, "The Power of Two Choices in
    /// Randomized Load Balancing", 2001): nearly as even as the least of all, and many balancers that
    /// do not know of each other do not all run to the same server.
    TwoRandomChoices,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] =
        [Self::SmoothWeightedRoundRobin, Self::LeastConnections, Self::TwoRandomChoices];

    /// Its name in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SmoothWeightedRoundRobin => "round-robin",
            Self::LeastConnections => "least-connections",
            Self::TwoRandomChoices => "two-random-choices",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The name is none of [`Algorithm::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("balancing is `round-robin`, `least-connections` or `two-random-choices`")
    }
}

impl core::error::Error for UnknownAlgorithm {}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

/// Picks servers for new visitors, and remembers whose turn it is.
///
/// Only [`Balancer::pick`] advances it: requests that a session ties to a server do not, so they can
/// not skew the turns. They do count as load, which the shell passes in.
#[derive(Clone, Debug)]
pub struct Balancer {
    algorithm: Algorithm,
    /// The view that `credits` belongs to.
    view: Option<View>,
    /// Round robin: what each server has gained and not yet paid, by place.
    credits: Vec<i64>,
}

impl Balancer {
    /// One that has picked nobody yet.
    pub const fn new(algorithm: Algorithm) -> Self {
        Self { algorithm, view: None, credits: Vec::new() }
    }

    /// Picks a server that takes new visitors; none if there is none.
    ///
    /// `loads` are the requests in flight per place of the view, counting 0 where it is too short.
    /// `random` breaks ties and draws the two choices. The same calls give the same picks.
    pub fn pick(&mut self, view: &View, loads: &[u32], random: u64) -> Option<usize> {
        match self.algorithm {
            Algorithm::SmoothWeightedRoundRobin => self.take_turn(view),
            Algorithm::LeastConnections => least_loaded(view, loads, random),
            Algorithm::TwoRandomChoices => better_of_two(view, loads, random),
        }
    }

    fn take_turn(&mut self, view: &View) -> Option<usize> {
        self.adopt(view);
        let mut total: i64 = 0;
        let mut richest: Option<(usize, &mut i64)> = None;
        let all = view.servers().iter().zip(&mut self.credits).enumerate();
        for (place, (server, credit)) in all.filter(|(_, (server, _))| server.takes_new()) {
            let weight = i64::from(server.weight.get());
            total = total.saturating_add(weight);
            *credit = credit.saturating_add(weight);
            if richest.as_ref().is_none_or(|(_, most)| *credit > **most) {
                richest = Some((place, credit));
            }
        }
        let (place, credit) = richest?;
        *credit = credit.saturating_sub(total);
        Some(place)
    }

    /// Carries the credits over to the places of a new view, by name.
    fn adopt(&mut self, view: &View) {
        if self.view.as_ref().is_some_and(|known| known.same_places(view)) {
            return;
        }
        let known = self.view.as_ref();
        let credit_of = |server: &Server| {
            let place = known?.place_of_tag(server.name.tag())?;
            self.credits.get(place).copied()
        };
        let credits =
            view.servers().iter().map(|server| credit_of(server).unwrap_or_default()).collect();
        self.credits = credits;
        self.view = Some(view.clone());
    }
}

fn least_loaded(view: &View, loads: &[u32], random: u64) -> Option<usize> {
    let least = candidates(view, loads).min_by(Candidate::cmp_load)?;
    let ties = || candidates(view, loads).filter(|other| other.cmp_load(&least).is_eq());
    draw(ties, random >> 32).map(|candidate| candidate.place)
}

fn better_of_two(view: &View, loads: &[u32], random: u64) -> Option<usize> {
    let first = draw(|| candidates(view, loads), random >> 32)?;
    let others = || candidates(view, loads).filter(|other| other.place != first.place);
    let second = draw(others, random & u64::from(u32::MAX));
    let better = second.filter(|second| second.cmp_load(&first).is_lt()).unwrap_or(first);
    Some(better.place)
}

/// A server that takes new visitors.
struct Candidate {
    place: usize,
    weight: u64,
    load: u64,
}

impl Candidate {
    /// Compares load per weight, without fractions. 32 bits times 7 do not overflow.
    fn cmp_load(&self, other: &Self) -> Ordering {
        self.load.saturating_mul(other.weight).cmp(&other.load.saturating_mul(self.weight))
    }
}

fn candidates(view: &View, loads: &[u32]) -> impl Iterator<Item = Candidate> {
    let all = view.servers().iter().enumerate();
    all.filter(|(_, server)| server.takes_new()).map(|(place, server)| Candidate {
        place,
        weight: u64::from(server.weight.get()),
        load: loads.get(place).copied().unwrap_or_default().into(),
    })
}

/// One of the candidates, each as often as its weight says; `random` has 32 bits.
fn draw<I: Iterator<Item = Candidate>>(all: impl Fn() -> I, random: u64) -> Option<Candidate> {
    let total = all().fold(0_u64, |total, candidate| total.saturating_add(candidate.weight));
    let mut rest = random.saturating_mul(total) >> 32;
    all().find(|candidate| {
        let is_it = rest < candidate.weight;
        rest = rest.saturating_sub(candidate.weight);
        is_it
    })
}

#[cfg(test)]
mod tests;
