//! [`Epoch`] and [`Rewind`]: the payloads of the frames that the log writes for itself.
//!
//! An epoch is written by each writing open at the end that it found: what follows in the segment is summed under a fresh
//! salt, so frames behind the old end stay void for ever. It is itself summed under the salt before, names that salt, and
//! points back at the epoch before it: the salts of a segment are read backwards, one frame each, without a scan.

use std::fmt;

use super::field::{is_zero, put, u32_at, u64_at};
use super::frame::{EPOCH_LEN, REWIND_LEN, frame_size};
use super::{FIRST_FRAME, Salt};
use crate::lsn::{GRAIN, Lsn};

/// The bytes of an epoch frame.
pub(crate) const EPOCH_FRAME_SIZE: u64 = frame_size(EPOCH_LEN);
const _: () = assert!(EPOCH_FRAME_SIZE == 64, "one read gets it");

/// A fresh salt for what follows in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// In force behind this frame.
    pub(crate) salt: Salt,
    /// In force before this frame, and for it.
    pub(crate) previous_salt: Salt,
    /// The offset in bytes of the epoch frame before this one in the segment.
    pub(crate) previous_offset: Option<u64>,
    /// Everything below was durable when this was written.
    pub(crate) durable: Lsn,
    /// How often the log has been opened for writing, this time included.
    pub(crate) opened: u64,
}

/// Everything from a position up to this frame is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rewind {
    /// The first position that is void.
    pub(crate) from: Lsn,
}

/// The rule of `docs/format.md` that such a payload breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlFault {
    /// E1, R1: not the length of this payload.
    BadLength,
    /// E2, R2: reserved bytes are not zero.
    ReservedNotZero,
    /// E3: the epoch before is not a frame before this one.
    BadPreviousEpoch,
    /// E4: the durable bound is no position, or is behind this frame.
    BadDurable,
    /// R3: the position is none, or is not before this frame.
    BadTarget,
}

impl Epoch {
    pub(crate) fn encode(&self) -> [u8; EPOCH_LEN as usize] {
        let mut bytes = [0; EPOCH_LEN as usize];
        put(&mut bytes, 0, self.salt.to_word().to_le_bytes());
        put(&mut bytes, 8, self.previous_salt.to_word().to_le_bytes());
        put(&mut bytes, 16, grains(self.previous_offset).to_le_bytes());
        put(&mut bytes, 24, self.durable.to_word().to_le_bytes());
        put(&mut bytes, 32, self.opened.to_le_bytes());
        bytes
    }

    /// The epoch whose frame stands at `at`.
    pub(crate) fn decode(payload: &[u8], at: Lsn) -> Result<Self, ControlFault> {
        let bytes: &[u8; EPOCH_LEN as usize] =
            payload.try_into().map_err(|_| ControlFault::BadLength)?;
        if !is_zero(&bytes[20..24]) {
            return Err(ControlFault::ReservedNotZero);
        }
        let previous_offset = offset(u32_at(bytes, 16));
        if previous_offset.is_some_and(|epoch| !is_epoch_before(epoch, at.offset())) {
            return Err(ControlFault::BadPreviousEpoch);
        }
        let durable = Lsn::from_word(u64_at(bytes, 24)).filter(|&durable| durable <= at);
        Ok(Self {
            salt: Salt::new(u64_at(bytes, 0)),
            previous_salt: Salt::new(u64_at(bytes, 8)),
            previous_offset,
            durable: durable.ok_or(ControlFault::BadDurable)?,
            opened: u64_at(bytes, 32),
        })
    }
}

impl Rewind {
    /// This version reads rewinds and writes none.
    #[cfg(test)]
    pub(crate) fn encode(self) -> [u8; REWIND_LEN as usize] {
        let mut bytes = [0; REWIND_LEN as usize];
        put(&mut bytes, 0, self.from.to_word().to_le_bytes());
        bytes
    }

    /// The rewind whose frame stands at `at`.
    pub(crate) fn decode(payload: &[u8], at: Lsn) -> Result<Self, ControlFault> {
        let bytes: &[u8; REWIND_LEN as usize] =
            payload.try_into().map_err(|_| ControlFault::BadLength)?;
        if !is_zero(&bytes[8..]) {
            return Err(ControlFault::ReservedNotZero);
        }
        let from = Lsn::from_word(u64_at(bytes, 0)).filter(|&from| from < at);
        from.map(|from| Self { from })
            .ok_or(ControlFault::BadTarget)
    }
}

/// Whether an epoch frame at `epoch` can stand in a segment and end at or before `limit`.
pub(super) fn is_epoch_before(epoch: u64, limit: u64) -> bool {
    FIRST_FRAME <= epoch && epoch + EPOCH_FRAME_SIZE <= limit
}

/// An offset as its field holds it, in grains; zero for none.
pub(super) fn grains(offset: Option<u64>) -> u32 {
    let grains = offset.unwrap_or(0) / GRAIN;
    u32::try_from(grains).expect("an offset in a segment is below 32 GiB")
}

/// The offset in bytes that such a field holds.
pub(super) fn offset(grains: u32) -> Option<u64> {
    (grains != 0).then(|| u64::from(grains) * GRAIN)
}

impl fmt::Display for ControlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadLength => "the payload has not the length of its kind",
            Self::ReservedNotZero => "reserved bytes are not zero",
            Self::BadPreviousEpoch => "the epoch before does not stand before this one",
            Self::BadDurable => "the durable bound is no position up to this frame",
            Self::BadTarget => "the rewind leads to no position before it",
        })
    }
}

impl std::error::Error for ControlFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Lsn {
        Lsn::new(2, offset).unwrap()
    }

    fn epoch() -> Epoch {
        Epoch {
            salt: Salt::new(1),
            previous_salt: Salt::new(2),
            previous_offset: Some(4096),
            durable: at(4160),
            opened: 3,
        }
    }

    fn altered(place: usize, value: u8) -> Result<Epoch, ControlFault> {
        let mut bytes = epoch().encode();
        bytes[place] = value;
        Epoch::decode(&bytes, at(4160))
    }

    #[test]
    fn epochs_round_trip() {
        assert_eq!(Epoch::decode(&epoch().encode(), at(4160)), Ok(epoch()));
        let first = Epoch {
            previous_offset: None,
            durable: at(4096),
            ..epoch()
        };
        assert_eq!(Epoch::decode(&first.encode(), at(4096)), Ok(first));
    }

    #[test]
    fn each_rule_of_an_epoch_refuses_by_its_name() {
        assert_eq!(
            Epoch::decode(&[0; 39], at(4160)),
            Err(ControlFault::BadLength)
        );
        assert_eq!(altered(20, 1), Err(ControlFault::ReservedNotZero));
        assert_eq!(altered(16, 1), Err(ControlFault::BadPreviousEpoch));
        assert_eq!(altered(17, 1), Err(ControlFault::BadPreviousEpoch));
        assert_eq!(altered(28, 3), Err(ControlFault::BadDurable));
        assert_eq!(altered(28, 0), Err(ControlFault::BadDurable));
        assert_eq!(
            Epoch::decode(&[0; 40], at(4160)),
            Err(ControlFault::BadDurable)
        );
    }

    #[test]
    fn rewinds_round_trip_and_lead_backwards() {
        let rewind = Rewind { from: at(4096) };
        assert_eq!(Rewind::decode(&rewind.encode(), at(4104)), Ok(rewind));
        assert_eq!(
            Rewind::decode(&rewind.encode(), at(4096)),
            Err(ControlFault::BadTarget)
        );
        assert_eq!(
            Rewind::decode(&[0; 16], at(4096)),
            Err(ControlFault::BadTarget)
        );
        assert_eq!(
            Rewind::decode(&[0; 8], at(4096)),
            Err(ControlFault::BadLength)
        );
        let mut bytes = rewind.encode();
        bytes[15] = 1;
        assert_eq!(
            Rewind::decode(&bytes, at(4104)),
            Err(ControlFault::ReservedNotZero)
        );
    }
}
