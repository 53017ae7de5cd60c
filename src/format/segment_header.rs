//! [`Prepared`] and [`Activation`]: the two parts in the first block of a segment.
//!
//! The prepared part is written when the file is made ready, the activation part when the log rotates into it. Only the
//! activation names a salt, and without a salt no frame can be valid. Its checksum covers the prepared part's fields first:
//! the activation of an earlier life dies with the prepared part that it was written beside.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!   0 │ "SEGWAL\0S"                                                   │  prepared
//!   8 │ version                       │ incompatible features         │
//!  16 │ log UUID                                                      │
//!  24 │                                                               │
//!  32 │ segment id                    │ zero                          │
//!  40 │ size in bytes                                                 │
//!  48 │ zero                                                          │
//!  56 │ zero                          │ checksum                      │
//!
//! 512 │ "SEGWAL\0A"                                                   │  activation
//! 520 │ salt                                                          │
//! 528 │ segment id                    │ previous seal ÷ 8             │
//! 536 │ previous salt                                                 │
//! 544 │ previous last epoch ÷ 8       │ zero                          │
//! 552 │ durable LSN                                                   │
//! 560 │ last rewind LSN                                               │
//! 568 │ zero                          │ checksum                      │
//! ```

use std::fmt;

use super::control::{grains, is_epoch_before, offset, optional, word};
use super::field::{
    CHECKSUM_AT, PART_LEN, Part, array_at, is_sealed, is_zero, part_at, put, seal, u32_at, u64_at,
};
use super::{
    Checksum, FIRST_FRAME, KNOWN_INCOMPAT, SECTOR_SIZE, Salt, Uuid, VERSION, is_segment_size,
};
use crate::lsn::Lsn;

const PREPARED_MAGIC: [u8; 8] = *b"SEGWAL\0S";
const ACTIVATION_MAGIC: [u8; 8] = *b"SEGWAL\0A";

/// Where the activation part stands in the file, in bytes.
pub(crate) const ACTIVATION_OFFSET: u64 = SECTOR_SIZE;
const ACTIVATION_AT: usize = 512;
const BLOCK_LEN: usize = 4096;
const _: () = assert!(
    ACTIVATION_AT as u64 == ACTIVATION_OFFSET && BLOCK_LEN as u64 == FIRST_FRAME,
    "one place, two types"
);

/// The part that is written when a file is made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) uuid: Uuid,
    pub(crate) segment: u32,
    /// The size of the file, in bytes.
    pub(crate) size: u64,
    pub(crate) incompat: u32,
}

/// The part that is written when the log rotates into the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activation {
    pub(crate) salt: Salt,
    pub(crate) segment: u32,
    /// Where the segment before ended; `None` for the first of a log.
    pub(crate) previous: Option<PreviousEnd>,
    /// The durable bound at the rotation.
    pub(crate) durable: Option<Lsn>,
    /// The last rewind frame of the log before this segment, wherever it stands.
    pub(crate) last_rewind: Option<Lsn>,
}

/// The end of the segment before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PreviousEnd {
    /// The end of its last frame, in bytes.
    pub(crate) seal: u64,
    /// The salt in force there.
    pub(crate) salt: Salt,
    /// The offset of its last epoch frame, in bytes.
    pub(crate) last_epoch: Option<u64>,
}

/// The rule of `docs/format.md` that a prepared part breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// S1: the file ends before.
    TooShort,
    /// S2: all bytes are zero.
    Absent,
    /// S3
    BadMagic,
    /// S4
    BadChecksum,
    /// S5: written by a newer version.
    NewerVersion(u32),
    /// S6: features that this build does not know.
    UnknownFeatures(u32),
    /// S7
    ReservedNotZero,
    /// S8: the segment id is zero.
    NoSegment,
    /// S9: not whole blocks, or outside the limits.
    BadSize(u64),
}

/// The rule of `docs/format.md` that an activation part breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActivationFault {
    /// A1: the file ends before.
    TooShort,
    /// A2: all bytes are zero.
    Absent,
    /// A3
    BadMagic,
    /// A4: damaged, or written beside another prepared part.
    BadChecksum,
    /// A5: of another segment than the prepared part.
    WrongSegment(u32),
    /// A6
    ReservedNotZero,
    /// A7: the segment before was sealed where no frame can end, or the first segment has one before.
    BadSeal,
    /// A8: the last epoch before is no frame before the seal; or salt or epoch stand there without a seal.
    BadEpoch,
    /// A9: the durable bound is no position, or is behind the first frame.
    BadDurable,
    /// A10: the last rewind is no position in an earlier segment.
    BadRewind,
}

impl Prepared {
    /// The 64 bytes at offset 0.
    pub(crate) fn encode(&self) -> Part {
        let mut part = [0; PART_LEN];
        put(&mut part, 0, PREPARED_MAGIC);
        put(&mut part, 8, VERSION.to_le_bytes());
        put(&mut part, 12, self.incompat.to_le_bytes());
        put(&mut part, 16, *self.uuid.as_bytes());
        put(&mut part, 32, self.segment.to_le_bytes());
        put(&mut part, 40, self.size.to_le_bytes());
        seal(&mut part, Checksum::EMPTY);
        part
    }

    /// What an activation's checksum continues: all but the part's own checksum, which would take the rest out again. The
    /// CRC of any bytes followed by their CRC is the same number.
    fn checksum(&self) -> Checksum {
        Checksum::of(&self.encode()[..CHECKSUM_AT])
    }

    fn decode(part: &Part) -> Result<Self, HeaderFault> {
        if is_zero(part) {
            return Err(HeaderFault::Absent);
        }
        if part[..8] != PREPARED_MAGIC {
            return Err(HeaderFault::BadMagic);
        }
        if !is_sealed(part, Checksum::EMPTY) {
            return Err(HeaderFault::BadChecksum);
        }
        if u32_at(part, 8) > VERSION {
            return Err(HeaderFault::NewerVersion(u32_at(part, 8)));
        }
        Self::decode_fields(part)
    }

    fn decode_fields(part: &Part) -> Result<Self, HeaderFault> {
        let prepared = Self {
            uuid: Uuid::from_bytes(array_at(part, 16)),
            segment: u32_at(part, 32),
            size: u64_at(part, 40),
            incompat: u32_at(part, 12),
        };
        if prepared.incompat & !KNOWN_INCOMPAT != 0 {
            return Err(HeaderFault::UnknownFeatures(
                prepared.incompat & !KNOWN_INCOMPAT,
            ));
        }
        if !is_zero(&part[36..40]) || !is_zero(&part[48..60]) {
            return Err(HeaderFault::ReservedNotZero);
        }
        if prepared.segment == 0 {
            return Err(HeaderFault::NoSegment);
        }
        if is_segment_size(prepared.size) {
            Ok(prepared)
        } else {
            Err(HeaderFault::BadSize(prepared.size))
        }
    }
}

impl Activation {
    /// The 64 bytes at [`ACTIVATION_OFFSET`] of the file that `prepared` heads.
    pub(crate) fn encode(&self, prepared: &Prepared) -> Part {
        let mut part = [0; PART_LEN];
        put(&mut part, 0, ACTIVATION_MAGIC);
        put(&mut part, 8, self.salt.to_word().to_le_bytes());
        put(&mut part, 16, self.segment.to_le_bytes());
        if let Some(previous) = self.previous {
            put(&mut part, 20, grains(Some(previous.seal)).to_le_bytes());
            put(&mut part, 24, previous.salt.to_word().to_le_bytes());
            put(&mut part, 32, grains(previous.last_epoch).to_le_bytes());
        }
        put(&mut part, 40, word(self.durable).to_le_bytes());
        put(&mut part, 48, word(self.last_rewind).to_le_bytes());
        seal(&mut part, prepared.checksum());
        part
    }

    fn decode(part: &Part, prepared: &Prepared) -> Result<Self, ActivationFault> {
        if is_zero(part) {
            return Err(ActivationFault::Absent);
        }
        if part[..8] != ACTIVATION_MAGIC {
            return Err(ActivationFault::BadMagic);
        }
        if !is_sealed(part, prepared.checksum()) {
            return Err(ActivationFault::BadChecksum);
        }
        if u32_at(part, 16) != prepared.segment {
            return Err(ActivationFault::WrongSegment(u32_at(part, 16)));
        }
        if !is_zero(&part[36..40]) || !is_zero(&part[56..60]) {
            return Err(ActivationFault::ReservedNotZero);
        }
        let is_earlier = |rewind: &Lsn| rewind.segment() < prepared.segment;
        Ok(Self {
            salt: Salt::new(u64_at(part, 8)),
            segment: prepared.segment,
            previous: PreviousEnd::decode(part, prepared)?,
            durable: decode_durable(part, prepared)?,
            last_rewind: optional(u64_at(part, 48), is_earlier, ActivationFault::BadRewind)?,
        })
    }
}

impl PreviousEnd {
    fn decode(part: &Part, prepared: &Prepared) -> Result<Option<Self>, ActivationFault> {
        let Some(seal) = offset(u32_at(part, 20)) else {
            return if is_zero(&part[24..36]) {
                Ok(None)
            } else {
                Err(ActivationFault::BadEpoch)
            };
        };
        if prepared.segment == 1 || seal < FIRST_FRAME || seal > prepared.size {
            return Err(ActivationFault::BadSeal);
        }
        let last_epoch = offset(u32_at(part, 32));
        if last_epoch.is_some_and(|epoch| !is_epoch_before(epoch, seal)) {
            return Err(ActivationFault::BadEpoch);
        }
        Ok(Some(Self {
            seal,
            salt: Salt::new(u64_at(part, 24)),
            last_epoch,
        }))
    }
}

fn decode_durable(part: &Part, prepared: &Prepared) -> Result<Option<Lsn>, ActivationFault> {
    let word = u64_at(part, 40);
    if word == 0 {
        return Ok(None);
    }
    let durable = Lsn::from_word(word)
        .filter(|&durable| Some(durable) <= Lsn::new(prepared.segment, FIRST_FRAME));
    durable.map(Some).ok_or(ActivationFault::BadDurable)
}

/// The whole first block of a ready file: the prepared part, then zeros, so that nothing of an earlier life is left in it.
pub(crate) fn encode_block(prepared: &Prepared) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    put(&mut block, 0, prepared.encode());
    block
}

/// The prepared part of the file that begins with `bytes`.
pub(crate) fn decode_prepared(bytes: &[u8]) -> Result<Prepared, HeaderFault> {
    part_at(bytes, 0).map_or(Err(HeaderFault::TooShort), Prepared::decode)
}

/// The activation part of the file that begins with `bytes` and is headed by `prepared`.
pub(crate) fn decode_activation(
    bytes: &[u8],
    prepared: &Prepared,
) -> Result<Activation, ActivationFault> {
    let part = part_at(bytes, ACTIVATION_AT).ok_or(ActivationFault::TooShort)?;
    Activation::decode(part, prepared)
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("the file ends before its header"),
            Self::Absent => f.write_str("the segment header is all zeros"),
            Self::BadMagic => f.write_str("the file does not begin as a segment"),
            Self::BadChecksum => f.write_str("the segment header's checksum does not match"),
            Self::NewerVersion(version) => {
                write!(f, "the segment has the newer format version {version}")
            }
            Self::UnknownFeatures(bits) => write!(f, "the segment uses unknown features {bits:#x}"),
            Self::ReservedNotZero => {
                f.write_str("reserved bytes of the segment header are not zero")
            }
            Self::NoSegment => f.write_str("the segment id is zero"),
            Self::BadSize(size) => write!(f, "no segment has a size of {size} bytes"),
        }
    }
}

impl std::error::Error for HeaderFault {}

impl fmt::Display for ActivationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("the file ends before its activation part"),
            Self::Absent => f.write_str("the segment was never activated"),
            Self::BadMagic => f.write_str("no activation part stands in the segment's header"),
            Self::BadChecksum => {
                f.write_str("the activation part is damaged or of an earlier life of the file")
            }
            Self::WrongSegment(id) => write!(f, "the activation part is of segment {id}"),
            Self::ReservedNotZero => {
                f.write_str("reserved bytes of the activation part are not zero")
            }
            Self::BadSeal => f.write_str("the segment before cannot have been sealed there"),
            Self::BadEpoch => f.write_str("the segment before cannot have its last epoch there"),
            Self::BadDurable => f.write_str("the durable bound is no position before the segment"),
            Self::BadRewind => f.write_str("the last rewind is no position before the segment"),
        }
    }
}

impl std::error::Error for ActivationFault {}

#[cfg(test)]
mod tests;
