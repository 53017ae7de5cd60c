//! [`Checksum`]: a running CRC-32C.
//!
//! The only caller of the `crc32c` crate. A checksum of parts equals the checksum of the parts joined, so a payload can be
//! summed before its position is known, and the header afterwards.

/// A CRC-32C (Castagnoli) of some bytes, which can be continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(u32);

impl Checksum {
    /// The checksum of no bytes.
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::EMPTY.then(bytes)
    }

    /// The checksum of the bytes so far, followed by these.
    #[inline]
    #[must_use]
    pub(crate) fn then(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.0, bytes))
    }

    #[inline]
    pub(crate) fn value(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bit by bit, from the polynomial alone.
    fn slow(bytes: &[u8]) -> u32 {
        let step = |crc: u32| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0x82F6_3B78
            } else {
                crc >> 1
            }
        };
        let add = |crc: u32, &byte: &u8| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc));
        !bytes.iter().fold(u32::MAX, add)
    }

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(Checksum::of(b"123456789").value(), 0xE306_9283);
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole(bytes: Vec<u8>, at: prop::sample::Index) {
            let (left, right) = bytes.split_at(at.index(bytes.len() + 1));
            prop_assert_eq!(Checksum::of(left).then(right), Checksum::of(&bytes));
            prop_assert_eq!(Checksum::of(&bytes).value(), slow(&bytes));
        }
    }
}
