//! [`Cookie`]: what is known about the log beside the log itself, in the file `COOKIE`.
//!
//! Five blocks of 4096 bytes with a slot of 64 at the start of each, written in place. Durable and head have two slots and
//! write them in turn, so a torn write leaves the slot before it; each slot has a block of its own, so they do not tear
//! together. A slot may say less than the truth, never more.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!  0 │ "SEGWAL\0D" durable, "SEGWAL\0H" head, "SEGWAL\0C" clean      │
//!  8 │ generation                                                    │
//! 16 │ LSN                                                           │
//! 24 │ log UUID                                                      │
//! 32 │                                                               │
//! 40 │ boot id                                                       │
//! 48 │                                                               │
//! 56 │ zero                          │ checksum                      │
//! ```

use std::fmt;

use super::field::{PART_LEN, Part, array_at, is_sealed, is_zero, part_at, put, seal, u64_at};
use super::{BLOCK_SIZE, Checksum, FIRST_FRAME, Uuid};
use crate::lsn::Lsn;

/// The size of the file, in bytes.
pub(crate) const COOKIE_SIZE: u64 = 5 * BLOCK_SIZE;

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// Everything below its LSN is durable.
    Durable,
    /// Everything below its LSN is discarded.
    Head,
    /// The log was closed with its end at its LSN.
    Clean,
}

/// One statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Greater by one with each statement of the kind.
    pub(crate) generation: u64,
    pub(crate) lsn: Lsn,
    pub(crate) uuid: Uuid,
    /// The boot of the machine during which it was written.
    pub(crate) boot: [u8; 16],
}

/// The newest valid statement of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) durable: Option<Slot>,
    pub(crate) head: Option<Slot>,
    pub(crate) clean: Option<Slot>,
    /// If no head is valid, the rule that its slots break.
    pub(crate) head_fault: Option<SlotFault>,
}

/// The rule of `docs/format.md` that a slot breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotFault {
    /// C1: the file ends before.
    TooShort,
    /// C2: all bytes are zero.
    Absent,
    /// C3: not a slot of this kind.
    BadMagic,
    /// C4
    BadChecksum,
    /// C5
    ReservedNotZero,
    /// C6: no position of a frame.
    BadLsn,
    /// C7: of another log.
    WrongUuid,
    /// C8: of a generation that belongs into the other slot.
    WrongPlace,
    /// C9: of a generation that no log lives to, behind which none would be greater.
    BadGeneration,
}

/// Generations are less than this: counting on from any never begins again at zero.
pub(super) const GENERATIONS: u64 = 1 << 63;

impl SlotKind {
    const fn magic(self) -> [u8; 8] {
        match self {
            Self::Durable => *b"SEGWAL\0D",
            Self::Head => *b"SEGWAL\0H",
            Self::Clean => *b"SEGWAL\0C",
        }
    }

    /// The newest valid slot of this kind.
    fn newest(self, bytes: &[u8], uuid: &Uuid) -> Option<Slot> {
        let valid = |turn| decode_slot(bytes, self, turn, uuid).ok();
        valid(0)
            .into_iter()
            .chain(valid(1))
            .max_by_key(|slot| slot.generation)
    }
}

/// Where in the file the slot for this generation begins, in bytes.
pub(crate) fn slot_offset(kind: SlotKind, generation: u64) -> u64 {
    match kind {
        SlotKind::Durable => generation % 2 * BLOCK_SIZE,
        SlotKind::Head => (2 + generation % 2) * BLOCK_SIZE,
        SlotKind::Clean => 4 * BLOCK_SIZE,
    }
}

impl Slot {
    /// The 64 bytes at [`slot_offset`].
    pub(crate) fn encode(&self, kind: SlotKind) -> Part {
        let mut part = [0; PART_LEN];
        put(&mut part, 0, kind.magic());
        put(&mut part, 8, self.generation.to_le_bytes());
        put(&mut part, 16, self.lsn.to_word().to_le_bytes());
        put(&mut part, 24, *self.uuid.as_bytes());
        put(&mut part, 40, self.boot);
        seal(&mut part, Checksum::EMPTY);
        part
    }

    fn decode(part: &Part, kind: SlotKind) -> Result<Self, SlotFault> {
        if is_zero(part) {
            return Err(SlotFault::Absent);
        }
        if part[..8] != kind.magic() {
            return Err(SlotFault::BadMagic);
        }
        if !is_sealed(part, Checksum::EMPTY) {
            return Err(SlotFault::BadChecksum);
        }
        if !is_zero(&part[56..60]) {
            return Err(SlotFault::ReservedNotZero);
        }
        if u64_at(part, 8) >= GENERATIONS {
            return Err(SlotFault::BadGeneration);
        }
        let lsn = Lsn::from_word(u64_at(part, 16)).filter(|lsn| lsn.offset() >= FIRST_FRAME);
        Ok(Self {
            generation: u64_at(part, 8),
            lsn: lsn.ok_or(SlotFault::BadLsn)?,
            uuid: Uuid::from_bytes(array_at(part, 24)),
            boot: array_at(part, 40),
        })
    }
}

/// The slot of this kind that generations with the parity of `turn` write, in the whole file.
pub(crate) fn decode_slot(
    bytes: &[u8],
    kind: SlotKind,
    turn: u64,
    uuid: &Uuid,
) -> Result<Slot, SlotFault> {
    let place = slot_offset(kind, turn);
    let part = usize::try_from(place)
        .ok()
        .and_then(|at| part_at(bytes, at))
        .ok_or(SlotFault::TooShort)?;
    let slot = Slot::decode(part, kind)?;
    if slot.uuid != *uuid {
        return Err(SlotFault::WrongUuid);
    }
    if slot_offset(kind, slot.generation) == place {
        Ok(slot)
    } else {
        Err(SlotFault::WrongPlace)
    }
}

impl Cookie {
    /// The whole file with these statements, each in its slot.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        let mut bytes = vec![0; at(COOKIE_SIZE)];
        let slots = [
            (SlotKind::Durable, self.durable),
            (SlotKind::Head, self.head),
            (SlotKind::Clean, self.clean),
        ];
        for (kind, slot) in slots {
            if let Some(slot) = slot {
                put(
                    &mut bytes,
                    at(slot_offset(kind, slot.generation)),
                    slot.encode(kind),
                );
            }
        }
        bytes
    }

    /// What the whole file says about the log `uuid`. Invalid slots say nothing.
    pub(crate) fn decode(bytes: &[u8], uuid: &Uuid) -> Self {
        let head = SlotKind::Head.newest(bytes, uuid);
        let fault = || {
            let fault = |turn| decode_slot(bytes, SlotKind::Head, turn, uuid).err();
            // That it is another log's explains more than anything else.
            let faults = [fault(0), fault(1)];
            let foreign = faults.contains(&Some(SlotFault::WrongUuid));
            if foreign {
                Some(SlotFault::WrongUuid)
            } else {
                faults[0]
            }
        };
        Self {
            durable: SlotKind::Durable.newest(bytes, uuid),
            head,
            clean: SlotKind::Clean.newest(bytes, uuid),
            head_fault: head.map_or_else(fault, |_| None),
        }
    }
}

impl fmt::Display for SlotFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "the file ends before the slot",
            Self::Absent => "the slot was never written",
            Self::BadMagic => "the slot is not of its kind",
            Self::BadChecksum => "the slot's checksum does not match",
            Self::ReservedNotZero => "reserved bytes of the slot are not zero",
            Self::WrongUuid => "the slot is of another log than MANIFEST",
            Self::BadLsn => "the slot holds no position",
            Self::WrongPlace => "the slot's generation belongs into the other slot",
            Self::BadGeneration => "no log lives to the slot's generation",
        })
    }
}

impl std::error::Error for SlotFault {}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: Uuid = Uuid::from_bytes([5; 16]);
    const KINDS: [SlotKind; 3] = [SlotKind::Durable, SlotKind::Head, SlotKind::Clean];

    fn slot(generation: u64) -> Slot {
        let lsn = Lsn::new(1, 4096 + generation * 8).unwrap();
        Slot {
            generation,
            lsn,
            uuid: UUID,
            boot: [6; 16],
        }
    }

    fn empty() -> Vec<u8> {
        vec![0; usize::try_from(COOKIE_SIZE).unwrap()]
    }

    fn store(file: &mut [u8], kind: SlotKind, slot: &Slot) {
        let at = usize::try_from(slot_offset(kind, slot.generation)).unwrap();
        put(file, at, slot.encode(kind));
    }

    /// The fault of a durable slot, sealed again after `alter`.
    fn fault(alter: impl FnOnce(&mut Part)) -> SlotFault {
        let mut part = slot(0).encode(SlotKind::Durable);
        alter(&mut part);
        seal(&mut part, Checksum::EMPTY);
        decode_slot(&part, SlotKind::Durable, 0, &UUID).unwrap_err()
    }

    #[test]
    fn slots_of_all_kinds_stand_in_blocks_of_their_own() {
        let mut file = empty();
        for kind in KINDS {
            store(&mut file, kind, &slot(7));
            store(&mut file, kind, &slot(8));
        }
        let cookie = Cookie::decode(&file, &UUID);
        assert_eq!(
            cookie,
            Cookie {
                durable: Some(slot(8)),
                head: Some(slot(8)),
                head_fault: None,
                clean: Some(slot(8))
            }
        );
        let offsets: Vec<_> = [
            (KINDS[0], 0),
            (KINDS[0], 1),
            (KINDS[1], 0),
            (KINDS[1], 1),
            (KINDS[2], 0),
            (KINDS[2], 1),
        ]
        .map(|(kind, generation)| slot_offset(kind, generation))
        .into();
        assert_eq!(offsets, [0, 4096, 8192, 12288, 16384, 16384]);
    }

    #[test]
    fn a_torn_slot_leaves_the_one_before_it() {
        let mut file = empty();
        store(&mut file, SlotKind::Head, &slot(2));
        store(&mut file, SlotKind::Head, &slot(3));
        file[3 * 4096 + 20] ^= 1;
        assert_eq!(Cookie::decode(&file, &UUID).head, Some(slot(2)));
    }

    #[test]
    fn an_empty_or_short_file_says_nothing() {
        for file in [&empty()[..], &[], &[0; 4096]] {
            let cookie = Cookie::decode(file, &UUID);
            assert_eq!(
                (cookie.durable, cookie.head, cookie.clean),
                (None, None, None)
            );
            assert!(cookie.head_fault.is_some());
        }
    }

    #[test]
    fn without_a_head_that_it_is_of_another_log_is_said_first() {
        let mut file = empty();
        store(&mut file, SlotKind::Head, &slot(3));
        let other = Uuid::from_bytes([9; 16]);
        let fault = Cookie::decode(&file, &other).head_fault;
        assert_eq!(fault, Some(SlotFault::WrongUuid));
        assert_eq!(Cookie::decode(&file, &UUID).head_fault, None);
    }

    #[test]
    fn each_rule_refuses_by_its_name() {
        let read = |bytes: &[u8]| decode_slot(bytes, SlotKind::Durable, 0, &UUID).unwrap_err();
        assert_eq!(read(&[0; 63]), SlotFault::TooShort);
        assert_eq!(read(&[0; 64]), SlotFault::Absent);
        assert_eq!(read(&slot(0).encode(SlotKind::Head)), SlotFault::BadMagic);
        assert_eq!(fault(|part| part[59] = 1), SlotFault::ReservedNotZero);
        assert_eq!(fault(|part| part[24] = 4), SlotFault::WrongUuid);
        assert_eq!(fault(|part| part[17] = 0), SlotFault::BadLsn);
        assert_eq!(fault(|part| part[20] = 0), SlotFault::BadLsn);
        assert_eq!(fault(|part| part[8] = 1), SlotFault::WrongPlace);
        assert_eq!(fault(|part| part[15] = 0x80), SlotFault::BadGeneration);
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let mut part = slot(4).encode(SlotKind::Clean);
        for bit in 0..PART_LEN * 8 {
            part[bit / 8] ^= 1 << (bit % 8);
            assert!(Slot::decode(&part, SlotKind::Clean).is_err(), "bit {bit}");
            part[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
