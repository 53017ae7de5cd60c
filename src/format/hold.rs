//! [`HoldSlot`]: the position that a named hold keeps, in the file `NAME.hold`.
//!
//! Two blocks of 4096 bytes with a slot of 64 at the start of each, written in place in turn, as in `COOKIE`: a torn write
//! leaves the slot before it. The newest valid slot counts; an older one may only be lower, and so keeps more. The checksum
//! begins with the name of the hold, so a file under another name is not valid.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!  0 │ "SEGWAL\0R"                                                   │
//!  8 │ generation                                                    │
//! 16 │ LSN                                                           │
//! 24 │ log UUID                                                      │
//! 32 │                                                               │
//! 40 │ zero                                                          │
//! 48 │                                                               │
//! 56 │                               │ checksum                      │
//! ```

use super::cookie::{GENERATIONS, SlotFault};
use super::field::{PART_LEN, Part, array_at, is_sealed, is_zero, part_at, put, seal, u64_at};
use super::{BLOCK_SIZE, Checksum, FIRST_FRAME, Uuid};
use crate::lsn::Lsn;

/// The size of the file, in bytes.
pub(crate) const HOLD_SIZE: u64 = 2 * BLOCK_SIZE;

const MAGIC: [u8; 8] = *b"SEGWAL\0R";
const MAX_NAME_LEN: usize = 64;
const RESERVED: std::ops::Range<usize> = 40..60;

/// What a slot says: everything from its LSN on is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldSlot {
    /// Greater with each statement.
    pub(crate) generation: u64,
    pub(crate) lsn: Lsn,
    pub(crate) uuid: Uuid,
}

/// Whether a hold may have this name: it is part of a file's.
pub(crate) fn is_hold_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=MAX_NAME_LEN).contains(&name.len()) && name.bytes().all(allowed)
}

/// Where in the file the slot for this generation begins, in bytes.
pub(crate) fn hold_slot_offset(generation: u64) -> u64 {
    generation % 2 * BLOCK_SIZE
}

impl HoldSlot {
    /// The 64 bytes at [`hold_slot_offset`] in the file of the hold `name`.
    pub(crate) fn encode(&self, name: &str) -> Part {
        let mut part = [0; PART_LEN];
        put(&mut part, 0, MAGIC);
        put(&mut part, 8, self.generation.to_le_bytes());
        put(&mut part, 16, self.lsn.to_word().to_le_bytes());
        put(&mut part, 24, *self.uuid.as_bytes());
        seal(&mut part, Checksum::of(name.as_bytes()));
        part
    }

    /// What the whole file of the hold `name` of the log `uuid` says: its newest valid slot.
    ///
    /// # Errors
    /// The fault of the slot that was written first, unless that one was never written.
    pub(crate) fn decode(bytes: &[u8], name: &str, uuid: &Uuid) -> Result<Self, SlotFault> {
        match [1, 0].map(|turn| decode_slot(bytes, turn, name, uuid)) {
            [Ok(odd), Ok(even)] if even.generation > odd.generation => Ok(even),
            [Ok(odd), _] => Ok(odd),
            [_, Ok(even)] => Ok(even),
            [Err(SlotFault::Absent), Err(fault)] | [Err(fault), Err(_)] => Err(fault),
        }
    }
}

fn decode_slot(bytes: &[u8], turn: u64, name: &str, uuid: &Uuid) -> Result<HoldSlot, SlotFault> {
    let place = hold_slot_offset(turn);
    let part = usize::try_from(place)
        .ok()
        .and_then(|at| part_at(bytes, at))
        .ok_or(SlotFault::TooShort)?;
    if is_zero(part) {
        return Err(SlotFault::Absent);
    }
    if part[..8] != MAGIC {
        return Err(SlotFault::BadMagic);
    }
    if !is_sealed(part, Checksum::of(name.as_bytes())) {
        return Err(SlotFault::BadChecksum);
    }
    if !is_zero(&part[RESERVED]) {
        return Err(SlotFault::ReservedNotZero);
    }
    if u64_at(part, 8) >= GENERATIONS {
        return Err(SlotFault::BadGeneration);
    }
    let lsn = Lsn::from_word(u64_at(part, 16)).filter(|lsn| lsn.offset() >= FIRST_FRAME);
    let slot = HoldSlot {
        generation: u64_at(part, 8),
        lsn: lsn.ok_or(SlotFault::BadLsn)?,
        uuid: Uuid::from_bytes(array_at(part, 24)),
    };
    if slot.uuid != *uuid {
        return Err(SlotFault::WrongUuid);
    }
    if hold_slot_offset(slot.generation) == place {
        Ok(slot)
    } else {
        Err(SlotFault::WrongPlace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: Uuid = Uuid::from_bytes([5; 16]);

    fn slot(generation: u64) -> HoldSlot {
        HoldSlot {
            generation,
            lsn: Lsn::new(1, 4096 + generation * 8).unwrap(),
            uuid: UUID,
        }
    }

    fn file(slots: &[HoldSlot], name: &str) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(HOLD_SIZE).unwrap()];
        for slot in slots {
            let at = usize::try_from(hold_slot_offset(slot.generation)).unwrap();
            put(&mut bytes, at, slot.encode(name));
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<HoldSlot, SlotFault> {
        HoldSlot::decode(bytes, "archive", &UUID)
    }

    /// The fault of a first slot, sealed again after `alter`.
    fn fault(alter: impl FnOnce(&mut Part)) -> SlotFault {
        let mut part = slot(1).encode("archive");
        alter(&mut part);
        seal(&mut part, Checksum::of(b"archive"));
        let mut bytes = file(&[], "archive");
        put(&mut bytes, 4096, part);
        read(&bytes).unwrap_err()
    }

    #[test]
    fn the_newest_valid_slot_counts_and_a_torn_one_leaves_the_one_before_it() {
        assert_eq!(read(&file(&[slot(1)], "archive")), Ok(slot(1)));
        let mut bytes = file(&[slot(1), slot(4)], "archive");
        assert_eq!(read(&bytes), Ok(slot(4)));
        bytes[20] ^= 1;
        assert_eq!(read(&bytes), Ok(slot(1)));
        assert_eq!(read(&file(&[slot(5), slot(4)], "archive")), Ok(slot(5)));
        assert_eq!(read(&file(&[slot(2)], "archive")), Ok(slot(2)));
    }

    #[test]
    fn each_rule_refuses_by_its_name() {
        assert_eq!(read(&[0; 63]), Err(SlotFault::TooShort));
        assert_eq!(read(&file(&[], "")), Err(SlotFault::Absent));
        assert_eq!(fault(|part| part[0] = 0), SlotFault::BadMagic);
        let another = read(&file(&[slot(1)], "replica"));
        assert_eq!(another, Err(SlotFault::BadChecksum), "under another name");
        assert_eq!(fault(|part| part[59] = 1), SlotFault::ReservedNotZero);
        assert_eq!(fault(|part| part[40] = 1), SlotFault::ReservedNotZero);
        assert_eq!(fault(|part| part[17] = 0), SlotFault::BadLsn);
        assert_eq!(fault(|part| part[24] = 4), SlotFault::WrongUuid);
        assert_eq!(fault(|part| part[8] = 2), SlotFault::WrongPlace);
    }

    #[test]
    fn every_flipped_bit_and_every_length_is_seen() {
        let bytes = file(&[slot(1)], "archive");
        for bit in 4096 * 8..(4096 + PART_LEN) * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes).is_err(), "bit {bit}");
        }
        for len in 0..4096 + PART_LEN {
            assert!(read(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        for name in ["a", "archive-2_b", &"x".repeat(64)] {
            assert!(is_hold_name(name), "{name}");
        }
        for name in ["", "A", "a.b", "a/b", "..", "é", " ", &"x".repeat(65)] {
            assert!(!is_hold_name(name), "{name}");
        }
    }
}
