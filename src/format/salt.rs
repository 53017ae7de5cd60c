//! [`Salt`]: 64 random bits that tie a frame to one life of its file.
//!
//! A file's bytes outlive the segment that they were written for. Each activation of a file, and each writing open of the
//! log, draws a fresh salt; it is the last thing that a frame's checksum covers, so what an earlier life left behind fails.

use super::Checksum;

/// Random bits that the checksums of one stretch of frames cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(u64);

impl Salt {
    pub(crate) const fn new(word: u64) -> Self {
        Self(word)
    }

    pub(crate) const fn to_word(self) -> u64 {
        self.0
    }

    /// Whether frames summed under one of the two are valid under the other.
    ///
    /// A CRC is linear and the salt is the last that it covers, so two salts with the same CRC of their own stand for each
    /// other whatever precedes them. Who draws a salt draws again while this holds for any that was in force in the file:
    /// then an unaltered ghost *can never* pass, rather than hardly ever.
    pub(crate) fn passes_for(self, other: Self) -> bool {
        self.checksum() == other.checksum()
    }

    fn checksum(self) -> Checksum {
        Checksum::of(&self.0.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Eight bytes with the same CRC as eight zeros: the polynomial itself, found by elimination.
    fn twin_of_zero() -> Salt {
        let zero = Checksum::of(&[0; 8]).value();
        let mut basis: Vec<(u32, u64)> = Vec::new();
        for bit in 0..64 {
            let (mut sum, mut word) = (
                Checksum::of(&(1_u64 << bit).to_le_bytes()).value() ^ zero,
                1_u64 << bit,
            );
            for &(other, combination) in &basis {
                if sum & (1 << other.ilog2()) != 0 {
                    (sum, word) = (sum ^ other, word ^ combination);
                }
            }
            if sum == 0 {
                return Salt::new(word);
            }
            basis.push((sum, word));
        }
        unreachable!("64 bits cannot be independent in 32")
    }

    proptest! {
        #[test]
        fn twins_pass_for_each_other_after_any_bytes(bytes: Vec<u8>) {
            let (one, other) = (Salt::new(0), twin_of_zero());
            prop_assert_ne!(one, other);
            prop_assert!(one.passes_for(other));
            let sum = |salt: Salt| Checksum::of(&bytes).then(&salt.to_word().to_le_bytes());
            prop_assert_eq!(sum(one), sum(other));
        }

        #[test]
        fn others_pass_after_no_bytes(bytes: Vec<u8>, one: u64, other: u64) {
            let (one, other) = (Salt::new(one), Salt::new(other));
            let sum = |salt: Salt| Checksum::of(&bytes).then(&salt.to_word().to_le_bytes());
            prop_assert_eq!(one.passes_for(other), sum(one) == sum(other));
        }
    }
}
