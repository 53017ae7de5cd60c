//! Fields of fixed width at fixed places, and the 64-byte part that most structures are.
//!
//! The callers index arrays or slices whose length they have checked; a place outside is a defect, not bad input.

use super::Checksum;

/// The size of a part: manifest header, cookie slot, either part of a segment header.
pub(super) const PART_LEN: usize = 64;

/// Where every part keeps its checksum; what it covers begins with all bytes before.
pub(super) const CHECKSUM_AT: usize = 60;

/// A structure of 64 bytes that ends in its checksum.
pub(super) type Part = [u8; PART_LEN];

/// The part at `at`, unless the bytes end before.
pub(super) fn part_at(bytes: &[u8], at: usize) -> Option<&Part> {
    bytes.get(at..)?.first_chunk()
}

/// Stores the checksum of `before`, continued over the part.
pub(super) fn seal(part: &mut Part, before: Checksum) {
    let checksum = before.then(&part[..CHECKSUM_AT]);
    put(part, CHECKSUM_AT, checksum.value().to_le_bytes());
}

/// Whether the part holds the checksum of `before`, continued over the part.
pub(super) fn is_sealed(part: &Part, before: Checksum) -> bool {
    u32_at(part, CHECKSUM_AT) == before.then(&part[..CHECKSUM_AT]).value()
}

#[inline]
pub(super) fn array_at<const W: usize>(bytes: &[u8], at: usize) -> [u8; W] {
    let mut value = [0; W];
    value.copy_from_slice(&bytes[at..at + W]);
    value
}

#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

#[inline]
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

#[inline]
pub(super) fn put<const W: usize>(bytes: &mut [u8], at: usize, value: [u8; W]) {
    bytes[at..at + W].copy_from_slice(&value);
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_binds_every_byte_and_what_came_before() {
        let before = Checksum::of(b"before");
        let mut part = [7; PART_LEN];
        seal(&mut part, before);
        assert!(is_sealed(&part, before));
        assert!(!is_sealed(&part, Checksum::EMPTY));
        for at in 0..PART_LEN {
            part[at] ^= 1;
            assert!(!is_sealed(&part, before), "byte {at}");
            part[at] ^= 1;
        }
    }

    #[test]
    fn fields_are_little_endian() {
        let mut bytes = [0; 16];
        put(&mut bytes, 2, 0x0102_0304_u32.to_le_bytes());
        assert_eq!(bytes[2..6], [4, 3, 2, 1]);
        assert_eq!(u16_at(&bytes, 2), 0x0304);
        assert_eq!(u32_at(&bytes, 2), 0x0102_0304);
        assert_eq!(u64_at(&bytes, 2), 0x0102_0304);
        assert!(!is_zero(&bytes) && is_zero(&bytes[6..]));
    }

    #[test]
    fn a_part_needs_all_its_bytes() {
        assert!(part_at(&[0; 64], 0).is_some());
        assert!(part_at(&[0; 64], 1).is_none());
        assert!(part_at(&[0; 64], 65).is_none());
    }
}
