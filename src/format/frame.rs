//! [`FrameHeader`]: the 24 bytes before every payload, and the checksum that ties both to their place and life.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!  0 │ checksum                      │ len                           │
//!  8 │ LSN                                                           │
//! 16 │ kind  │ tag   │ count         │ distance                      │
//! 24 │ payload …                                 zeros to the next 8 │
//! ```
//!
//! The checksum covers payload, then header bytes 4 to 24, then the salt. An aborted frame's payload is not covered: nobody
//! knows what its writer left there. [`FrameHeader::decode`] checks every rule but the checksum, so a length is bounded
//! before it is used; [`FrameHeader::verify`] checks the checksum.

use std::fmt;

use super::field::{put, u16_at, u32_at, u64_at};
use super::{Checksum, FRAME_HEADER_LEN, Salt};
use crate::lsn::{GRAIN, Lsn, low_half};
use crate::seeded::{self, Bug};

/// The bytes of a stored header.
pub(crate) const HEADER_LEN: usize = 24;
const _: () = assert!(
    HEADER_LEN as u64 == FRAME_HEADER_LEN,
    "one length, two types"
);

/// The payload of an epoch frame has one length.
pub(crate) const EPOCH_LEN: u32 = 40;

/// The payload of a rewind frame has one length.
pub(crate) const REWIND_LEN: u32 = 16;

/// One entry of a batch's directory.
pub(crate) const BATCH_ENTRY_LEN: u32 = 8;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// One record.
    Record = 1,
    /// Several records, all or none.
    Batch = 2,
    /// A reservation that was given up; its payload means nothing.
    Aborted = 3,
    /// A new salt for all that follows in the segment.
    Epoch = 4,
    /// Everything from a given position up to here is void.
    Rewind = 5,
}

impl FrameKind {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Record,
            2 => Self::Batch,
            3 => Self::Aborted,
            4 => Self::Epoch,
            5 => Self::Rewind,
            _ => return None,
        })
    }
}

/// How far behind a frame the durable bound was when it was reserved, or no statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurableDistance(u32);

impl DurableDistance {
    /// The frame says nothing about durability.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// The distance of the words; no statement if it is too large to say. A bound beyond `lsn` is stated as `lsn`.
    #[inline]
    pub(crate) fn between(lsn: Lsn, durable: Lsn) -> Self {
        let distance = lsn.to_word().saturating_sub(durable.to_word());
        u32::try_from(distance).map_or(Self::NONE, Self)
    }

    /// The durable bound that a frame at `lsn` states.
    pub(crate) fn durable(self, lsn: Lsn) -> Option<Lsn> {
        if self == Self::NONE {
            None
        } else {
            Lsn::from_word(lsn.to_word().checked_sub(self.0.into())?)
        }
    }
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// The payload's bytes, without padding.
    pub(crate) len: u32,
    pub(crate) lsn: Lsn,
    pub(crate) kind: FrameKind,
    /// The caller's; only a record has one here, the records of a batch have theirs in its directory.
    pub(crate) tag: u8,
    /// The records of a batch; zero for every other kind.
    pub(crate) count: u16,
    pub(crate) distance: DurableDistance,
}

/// The rule of `docs/format.md` that a frame breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameFault {
    /// F1: fewer bytes are left in the segment than a header has.
    NoRoom,
    /// F2: the LSN field holds another position than this.
    NotThisPosition,
    /// F3
    UnknownKind(u8),
    /// F4
    UnknownFlags(u8),
    /// F5: the frame would end behind its segment.
    TooLong,
    /// F6: a batch of no records, or a count in another kind.
    BadCount,
    /// F7: a tag in another kind than a record.
    BadTag,
    /// F8: not the length that this kind has, or less than the batch's directory.
    BadLength,
    /// F9
    BadChecksum,
    /// F10: the payload breaks a rule of its kind, though the checksum holds.
    BadPayload,
    /// F11: an epoch that does not continue the one before it.
    BrokenEpoch,
}

impl FrameHeader {
    /// That of an aborted frame.
    pub(crate) fn aborted(lsn: Lsn, len: u32) -> Self {
        Self {
            len,
            lsn,
            kind: FrameKind::Aborted,
            tag: 0,
            count: 0,
            // Whoever gives up knows of no durable bound, and a made-up one would condemn the log at the next open.
            distance: DurableDistance::NONE,
        }
    }

    /// The header as it is stored, with the checksum. `payload` sums the payload, without padding.
    #[inline]
    pub(crate) fn encode(&self, payload: Checksum, salt: Salt) -> [u8; HEADER_LEN] {
        debug_assert_eq!(
            self.shape_fault(),
            None,
            "an encoder writes nothing that the decoder refuses"
        );
        let mut bytes = [0; HEADER_LEN + 8];
        put(&mut bytes, 4, self.len.to_le_bytes());
        put(&mut bytes, 8, self.lsn.to_word().to_le_bytes());
        bytes[16] = self.kind as u8;
        bytes[17] = self.tag;
        put(&mut bytes, 18, self.count.to_le_bytes());
        put(&mut bytes, 20, self.distance.0.to_le_bytes());
        put(&mut bytes, HEADER_LEN, salt.to_word().to_le_bytes());
        let before = if self.kind == FrameKind::Aborted {
            Checksum::EMPTY
        } else {
            payload
        };
        let checksum = before.then(&bytes[4..]);
        put(&mut bytes, 0, checksum.value().to_le_bytes());
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&bytes[..HEADER_LEN]);
        header
    }

    /// What stands at `at`, where `room` bytes are left in the segment: every rule but the checksum.
    pub(crate) fn decode(bytes: &[u8; HEADER_LEN], at: Lsn, room: u64) -> Result<Self, FrameFault> {
        if room < FRAME_HEADER_LEN {
            return Err(FrameFault::NoRoom);
        }
        if !is_position(bytes, at) {
            return Err(FrameFault::NotThisPosition);
        }
        let header = Self {
            len: u32_at(bytes, 4),
            lsn: at,
            kind: FrameKind::from_bits(bytes[16] & 0x0F)
                .ok_or(FrameFault::UnknownKind(bytes[16] & 0x0F))?,
            tag: bytes[17],
            count: u16_at(bytes, 18),
            distance: DurableDistance(u32_at(bytes, 20)),
        };
        if bytes[16] >> 4 != 0 {
            return Err(FrameFault::UnknownFlags(bytes[16] >> 4));
        }
        if header.size() > room {
            return Err(FrameFault::TooLong);
        }
        header.shape_fault().map_or(Ok(header), Err)
    }

    /// Checks the checksum in `stored`, from which this header was decoded.
    pub(crate) fn verify(
        &self,
        stored: &[u8; HEADER_LEN],
        payload: &[u8],
        salt: Salt,
    ) -> Result<(), FrameFault> {
        debug_assert_eq!(
            payload.len(),
            self.len as usize,
            "the payload without padding"
        );
        let covered = if self.kind == FrameKind::Aborted {
            &[]
        } else {
            payload
        };
        let checksum = Checksum::of(covered)
            .then(&stored[4..])
            .then(&salt.to_word().to_le_bytes());
        if checksum.value() == u32_at(stored, 0) {
            Ok(())
        } else {
            Err(FrameFault::BadChecksum)
        }
    }

    /// The bytes that the frame takes in its segment, padding included.
    pub(crate) fn size(&self) -> u64 {
        frame_size(self.len)
    }

    /// The first rule of the kind that the fields break.
    fn shape_fault(&self) -> Option<FrameFault> {
        if (self.kind == FrameKind::Batch) != (self.count > 0) {
            return Some(FrameFault::BadCount);
        }
        if self.kind != FrameKind::Record && self.tag != 0 {
            return Some(FrameFault::BadTag);
        }
        let fits = match self.kind {
            FrameKind::Record | FrameKind::Aborted => true,
            FrameKind::Batch => self.len >= u32::from(self.count) * BATCH_ENTRY_LEN,
            FrameKind::Epoch => self.len == EPOCH_LEN,
            FrameKind::Rewind => self.len == REWIND_LEN,
        };
        if fits {
            None
        } else {
            Some(FrameFault::BadLength)
        }
    }
}

/// The bytes that a frame with this payload takes in its segment: the header, the payload, zeros to a multiple of eight.
#[inline]
pub(crate) const fn frame_size(payload_len: u32) -> u64 {
    FRAME_HEADER_LEN + (payload_len as u64).next_multiple_of(GRAIN)
}

/// The LSN field of a stored header, whatever it holds: the cheapest test of whether a frame may begin here.
#[inline]
pub(crate) fn lsn_word(header: &[u8; HEADER_LEN]) -> u64 {
    u64_at(header, 8)
}

/// Whether the LSN field of a stored header holds `at`.
fn is_position(header: &[u8; HEADER_LEN], at: Lsn) -> bool {
    let differ = lsn_word(header) ^ at.to_word();
    differ == 0 || (seeded::is(Bug::StaleFrameAccepted) && low_half(differ) == 0)
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom => f.write_str("no frame fits before the end of the segment"),
            Self::NotThisPosition => f.write_str("no frame of this position stands here"),
            Self::UnknownKind(kind) => write!(f, "the frame has the unknown kind {kind}"),
            Self::UnknownFlags(flags) => write!(f, "the frame has the unknown flags {flags:#x}"),
            Self::TooLong => f.write_str("the frame would end behind its segment"),
            Self::BadCount => f.write_str("the frame's count does not fit its kind"),
            Self::BadTag => f.write_str("the frame has a tag, which its kind has not"),
            Self::BadLength => f.write_str("the frame's length does not fit its kind"),
            Self::BadChecksum => f.write_str("the frame's checksum does not match"),
            Self::BadPayload => f.write_str("the frame's payload breaks a rule of its kind"),
            Self::BrokenEpoch => {
                f.write_str("the epoch frame does not continue the epoch before it")
            }
        }
    }
}

impl std::error::Error for FrameFault {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: Salt = Salt::new(0x1122_3344_5566_7788);

    fn lsn() -> Lsn {
        Lsn::new(3, 4096).unwrap()
    }

    fn header(kind: FrameKind, len: u32) -> FrameHeader {
        let count = u16::from(kind == FrameKind::Batch);
        FrameHeader {
            len,
            lsn: lsn(),
            kind,
            tag: 0,
            count,
            distance: DurableDistance::NONE,
        }
    }

    fn stored() -> [u8; HEADER_LEN] {
        header(FrameKind::Record, 5).encode(Checksum::of(b"hello"), SALT)
    }

    #[test]
    fn every_kind_round_trips() {
        let lens = [
            (FrameKind::Record, 0),
            (FrameKind::Batch, 8),
            (FrameKind::Aborted, 3),
        ];
        for (kind, len) in lens
            .into_iter()
            .chain([(FrameKind::Epoch, 40), (FrameKind::Rewind, 16)])
        {
            let header = header(kind, len);
            let payload = vec![9; len as usize];
            let bytes = header.encode(Checksum::of(&payload), SALT);
            assert_eq!(
                FrameHeader::decode(&bytes, lsn(), header.size()),
                Ok(header)
            );
            assert_eq!(header.verify(&bytes, &payload, SALT), Ok(()));
        }
    }

    #[test]
    fn sizes_are_multiples_of_eight() {
        for (len, size) in [
            (0, 24),
            (1, 32),
            (8, 32),
            (9, 40),
            (u32::MAX, 24 + (1 << 32)),
        ] {
            assert_eq!(frame_size(len), size);
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert_eq!(
            FrameHeader::decode(&[0; 24], lsn(), 4096),
            Err(FrameFault::NotThisPosition)
        );
    }

    #[test]
    fn a_frame_is_valid_at_its_own_position_only() {
        let other = Lsn::new(3, 4104).unwrap();
        assert_eq!(
            FrameHeader::decode(&stored(), other, 4096),
            Err(FrameFault::NotThisPosition)
        );
    }

    #[test]
    fn room_is_exact() {
        assert_eq!(
            FrameHeader::decode(&stored(), lsn(), 23),
            Err(FrameFault::NoRoom)
        );
        assert_eq!(
            FrameHeader::decode(&stored(), lsn(), 31),
            Err(FrameFault::TooLong)
        );
        assert!(FrameHeader::decode(&stored(), lsn(), 32).is_ok());
    }

    #[test]
    fn each_rule_refuses_by_its_name() {
        let altered = |at: usize, value: u8| {
            let mut bytes = stored();
            bytes[at] = value;
            FrameHeader::decode(&bytes, lsn(), 4096).unwrap_err()
        };
        assert_eq!(altered(16, 0), FrameFault::UnknownKind(0));
        assert_eq!(altered(16, 6), FrameFault::UnknownKind(6));
        assert_eq!(altered(16, 0x21), FrameFault::UnknownFlags(2));
        assert_eq!(altered(6, 1), FrameFault::TooLong);
        assert_eq!(altered(16, 2), FrameFault::BadCount);
        assert_eq!(altered(18, 1), FrameFault::BadCount);
        assert_eq!(altered(16, 4), FrameFault::BadLength);
        assert_eq!(altered(16, 5), FrameFault::BadLength);
    }

    #[test]
    fn a_tag_belongs_to_records() {
        let mut bytes = header(FrameKind::Aborted, 0).encode(Checksum::EMPTY, SALT);
        bytes[17] = 1;
        assert_eq!(
            FrameHeader::decode(&bytes, lsn(), 4096),
            Err(FrameFault::BadTag)
        );
    }

    #[test]
    fn a_batch_holds_its_directory() {
        let mut bytes = header(FrameKind::Batch, 8).encode(Checksum::EMPTY, SALT);
        bytes[18] = 2;
        assert_eq!(
            FrameHeader::decode(&bytes, lsn(), 4096),
            Err(FrameFault::BadLength)
        );
    }

    #[test]
    fn another_salt_fails_the_checksum() {
        let header = header(FrameKind::Record, 5);
        assert_eq!(
            header.verify(&stored(), b"hello", Salt::new(1)),
            Err(FrameFault::BadChecksum)
        );
    }

    #[test]
    fn an_aborted_payload_may_be_anything() {
        let header = header(FrameKind::Aborted, 5);
        let bytes = header.encode(Checksum::of(b"never looked at"), SALT);
        assert_eq!(header.verify(&bytes, b"hello", SALT), Ok(()));
        assert_eq!(header.verify(&bytes, b"other", SALT), Ok(()));
        assert_eq!(
            header.verify(&bytes, b"other", Salt::new(1)),
            Err(FrameFault::BadChecksum)
        );
    }

    #[test]
    fn distance_states_the_bound_or_nothing() {
        let at = |segment, offset| Lsn::new(segment, offset).unwrap();
        for durable in [at(3, 8192), at(3, 4096), at(2, 1 << 30)] {
            let distance = DurableDistance::between(at(3, 8192), durable);
            assert_eq!(distance.durable(at(3, 8192)), Some(durable));
        }
        assert_eq!(
            DurableDistance::between(at(3, 8192), at(2, 4096)),
            DurableDistance::NONE
        );
        assert_eq!(DurableDistance::NONE.durable(at(3, 8192)), None);
        assert_eq!(
            DurableDistance::between(at(3, 8), at(3, 16)).durable(at(3, 8)),
            Some(at(3, 8))
        );
        assert_eq!(DurableDistance(1 << 31).durable(at(1, 8)), None);
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_seen(payload in prop::collection::vec(any::<u8>(), 0..64), flip: prop::sample::Index) {
            let header = header(FrameKind::Record, u32::try_from(payload.len()).unwrap());
            let mut image = header.encode(Checksum::of(&payload), SALT).to_vec();
            image.extend(&payload);
            let bit = flip.index(image.len() * 8);
            image[bit / 8] ^= 1 << (bit % 8);
            let (stored, payload) = image.split_first_chunk().unwrap();
            let verdict = FrameHeader::decode(stored, lsn(), 4096).and_then(|header| {
                let len = header.len as usize;
                header.verify(stored, payload.get(..len).ok_or(FrameFault::TooLong)?, SALT)
            });
            prop_assert!(verdict.is_err());
        }

        #[test]
        fn arbitrary_bytes_never_reach_behind_the_room(bytes: [u8; 24], room in 0_u64..1 << 20) {
            let at = Lsn::from_word(lsn_word(&bytes)).unwrap_or(lsn());
            if let Ok(header) = FrameHeader::decode(&bytes, at, room) {
                prop_assert!(header.size() <= room);
            }
        }
    }
}
