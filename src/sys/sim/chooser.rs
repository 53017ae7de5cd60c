//! [`Chooser`]: what a power cut leaves of each thing that was not durable.

use std::slice;
use std::sync::atomic::AtomicU64;

use super::super::random::splitmix64;

/// How many 8-byte words a sector has; the device does not tear a word.
const WORDS: usize = super::SECTOR / 8;

/// Decides one thing after the other, in a fixed order.
#[derive(Debug)]
pub(super) enum Chooser<'a> {
    /// By chance. A cut as a whole leans to new or to old, so that "nearly all" and "nearly none" occur as well.
    Random {
        state: AtomicU64,
        newest_of_8: u64,
        /// From which offset on blocks may be lost.
        loses_from: usize,
    },
    /// Oldest or newest, as given; a missing answer means the oldest.
    Given(slice::Iter<'a, bool>),
}

/// Which version of a sector is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// One of them.
    Whole(usize),
    /// The first words of a version, the rest of the one before it.
    Torn { version: usize, words: usize },
}

impl<'a> Chooser<'a> {
    pub(super) fn random(seed: u64) -> Self {
        let state = AtomicU64::new(seed);
        let newest_of_8 = [1, 4, 4, 7][below(&state, 4)];
        Self::Random {
            state,
            newest_of_8,
            loses_from: usize::MAX,
        }
    }

    /// As [`Chooser::random`], on a device that may lose blocks which it is writing, from offset `from` of each file on.
    pub(super) fn losing_blocks(seed: u64, from: usize) -> Self {
        let mut chooser = Self::random(seed);
        if let Self::Random { loses_from, .. } = &mut chooser {
            *loses_from = from;
        }
        chooser
    }

    pub(super) fn given(new: &'a [bool]) -> Self {
        Self::Given(new.iter())
    }

    /// Whether a thing with two states is in the new one.
    pub(super) fn is_new(&mut self) -> bool {
        self.version(2) == 1
    }

    /// One of `count` versions, the oldest first.
    pub(super) fn version(&mut self, count: usize) -> usize {
        let newest = count - 1;
        match self {
            Self::Random {
                state, newest_of_8, ..
            } => {
                if splitmix64(state) % 8 < *newest_of_8 {
                    newest
                } else {
                    below(state, newest.max(1))
                }
            }
            Self::Given(new) => {
                if new.next().copied().unwrap_or(false) {
                    newest
                } else {
                    0
                }
            }
        }
    }

    /// As [`Chooser::version`], with a tear between two versions now and then.
    pub(super) fn sector(&mut self, count: usize) -> Left {
        if let Self::Random { state, .. } = self
            && count > 1
            && below(state, 8) == 0
        {
            let version = 1 + below(state, count - 1);
            return Left::Torn {
                version,
                words: below(state, WORDS),
            };
        }
        Left::Whole(self.version(count))
    }

    /// Whether the block at `offset`, a part of which was being written, is lost as a whole.
    pub(super) fn loses_block(&mut self, offset: usize) -> bool {
        match self {
            Self::Random {
                state, loses_from, ..
            } => offset >= *loses_from && below(state, 3) == 0,
            Self::Given(_) => false,
        }
    }
}

fn below(state: &AtomicU64, limit: usize) -> usize {
    usize::try_from(splitmix64(state) % limit as u64).expect("it is less than a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_reaches_every_version_and_tears() {
        let mut seen = [false; 5];
        for seed in 0..200 {
            match Chooser::random(seed).sector(4) {
                Left::Whole(version) => seen[version] = true,
                Left::Torn { version, words } => {
                    assert!((1..4).contains(&version) && words < WORDS);
                    seen[4] = true;
                }
            }
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn blocks_are_lost_from_the_given_offset_on_only() {
        let lost = |seed, offset| Chooser::losing_blocks(seed, 4096).loses_block(offset);
        assert!((0..50).all(|seed| !lost(seed, 0)));
        assert!((0..50).any(|seed| lost(seed, 4096)));
        assert!((0..50).any(|seed| !lost(seed, 4096)));
        assert!((0..50).all(|seed| !Chooser::random(seed).loses_block(1 << 20)));
    }

    #[test]
    fn given_answers_mean_oldest_or_newest() {
        let mut chooser = Chooser::given(&[true, false]);
        assert_eq!(chooser.sector(3), Left::Whole(2));
        assert_eq!(chooser.version(3), 0);
        assert!(!chooser.is_new());
    }
}
