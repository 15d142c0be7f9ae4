//! Numbers that a seed determines.

/// `SplitMix64` (Steele, Lea and Flood, 2014): good enough to draw moments, and three lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The numbers of one round: the same whatever other rounds have drawn.
    pub(crate) fn of_round(seed: u64, round: u32) -> Self {
        let mut random = Self(seed ^ u64::from(round).wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, and without, the limit.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        let drawn = u128::from(self.next()) * u128::from(limit);
        u32::try_from(drawn >> 64).unwrap_or_default()
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        let limit = u32::try_from(choices.len()).unwrap_or(u32::MAX);
        let index = usize::try_from(self.below(limit)).unwrap_or_default();
        *choices.get(index).expect("there is something to choose from")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_seed_and_round_and_fill_their_range() {
        let draw = |seed, round| {
            let mut random = Random::of_round(seed, round);
            (0..200).map(|_| random.below(5)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 3), draw(7, 3));
        assert_ne!(draw(7, 3), draw(7, 4));
        assert_ne!(draw(7, 3), draw(8, 3));
        assert!((0..5).all(|number| draw(7, 3).contains(&number)));
        assert!(draw(7, 3).iter().all(|&number| number < 5));
    }
}
