//! [`Random`]: the moments of the kills, replayable by a seed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A splitmix64 generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

/// A seed that differs from run to run.
pub(crate) fn fresh_seed() -> u64 {
    RandomState::new().hash_one(std::process::id()) >> 32
}

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from `least` to below `bound`, which is greater.
    pub(crate) fn between(&mut self, least: u64, bound: u64) -> u64 {
        // The remainder favours small numbers by less than one in 2^40 for any range of interest.
        least + self.next() % (bound - least)
    }

    /// A time between the half and the whole of `whole`.
    pub(crate) fn part_of(&mut self, whole: Duration) -> Duration {
        let whole = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.between(whole / 2, whole + 1))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_numbers_stay_in_range() {
        let draw = || {
            let mut random = Random::new(7);
            (0..100).map(|_| random.between(3, 10)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        assert!((3..10).all(|number| draw().contains(&number)));
        assert!(draw().iter().all(|number| (3..10).contains(number)));
        let part = Random::new(7).part_of(Duration::from_secs(2));
        assert!((1_000..=2_000).contains(&part.as_millis()), "{part:?}");
    }
}
