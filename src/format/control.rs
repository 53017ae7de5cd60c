//! [`Epoch`] and [`Rewind`]: the payloads of the frames that the log writes for itself.
//!
//! An epoch is written by each writing open at the end that it found: what follows in the segment is summed under a fresh
//! salt, so frames behind the old end stay void for ever. It is itself summed under the salt before, names that salt, and
//! points back at the epoch before it: the salts of a segment are read backwards, one frame each, without a scan.
//!
//! A rewind makes everything from a position up to itself void, and points back at the rewind before it, wherever that
//! stands; a segment's activation names the last one before the segment. So what is void is known without a scan, too.

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
    /// The rewind frame before this one in the log, void or not.
    pub(crate) previous: Option<Lsn>,
}

/// The rule of `docs/format.md` that such a payload breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlFault {
    /// E1, R1: not the length of this payload.
    BadLength,
    /// E2: reserved bytes are not zero.
    ReservedNotZero,
    /// E3: the epoch before is not a frame before this one.
    BadPreviousEpoch,
    /// E4: the durable bound is no position, or is behind this frame.
    BadDurable,
    /// R2: the position is none, or is behind this frame.
    BadTarget,
    /// R3: the rewind before is no position before this frame.
    BadPreviousRewind,
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
    pub(crate) fn encode(self) -> [u8; REWIND_LEN as usize] {
        let mut bytes = [0; REWIND_LEN as usize];
        put(&mut bytes, 0, self.from.to_word().to_le_bytes());
        put(&mut bytes, 8, word(self.previous).to_le_bytes());
        bytes
    }

    /// The rewind whose frame stands at `at`.
    pub(crate) fn decode(payload: &[u8], at: Lsn) -> Result<Self, ControlFault> {
        let bytes: &[u8; REWIND_LEN as usize] =
            payload.try_into().map_err(|_| ControlFault::BadLength)?;
        let from = frame_at(u64_at(bytes, 0)).filter(|&from| from <= at);
        let from = from.ok_or(ControlFault::BadTarget)?;
        let is_before = |previous: &Lsn| *previous < at;
        let previous = optional(u64_at(bytes, 8), is_before, ControlFault::BadPreviousRewind)?;
        Ok(Self { from, previous })
    }
}

/// The word of a position that need not be there; zero for none.
pub(super) fn word(lsn: Option<Lsn>) -> u64 {
    lsn.map_or(0, Lsn::to_word)
}

/// The position that such a word holds; `fault` if no frame begins there or `rule` refuses it.
pub(super) fn optional<F>(
    word: u64,
    rule: impl FnOnce(&Lsn) -> bool,
    fault: F,
) -> Result<Option<Lsn>, F> {
    if word == 0 {
        return Ok(None);
    }
    frame_at(word).filter(rule).map(Some).ok_or(fault)
}

/// The position in a word, if a frame can begin or end there.
fn frame_at(word: u64) -> Option<Lsn> {
    Lsn::from_word(word).filter(|lsn| lsn.offset() >= FIRST_FRAME)
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
            Self::BadTarget => "the rewind leads to no position up to it",
            Self::BadPreviousRewind => "the rewind before does not stand before this one",
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

    fn altered_rewind(from: u64, previous: u64) -> Result<Rewind, ControlFault> {
        let mut bytes = [0; 16];
        put(&mut bytes, 0, from.to_le_bytes());
        put(&mut bytes, 8, previous.to_le_bytes());
        Rewind::decode(&bytes, at(4160))
    }

    #[test]
    fn rewinds_round_trip_and_lead_backwards() {
        let before = Lsn::new(1, 8152);
        for (from, previous) in [
            (at(4096), None),
            (at(4160), before),
            (before.unwrap(), before),
        ] {
            let rewind = Rewind { from, previous };
            assert_eq!(Rewind::decode(&rewind.encode(), at(4160)), Ok(rewind));
        }
    }

    #[test]
    fn each_rule_of_a_rewind_refuses_by_its_name() {
        assert_eq!(
            Rewind::decode(&[0; 8], at(4096)),
            Err(ControlFault::BadLength)
        );
        let (from, below) = (at(4096).to_word(), at(4088).to_word());
        for target in [0, 8, at(4168).to_word(), below] {
            assert_eq!(altered_rewind(target, 0), Err(ControlFault::BadTarget));
        }
        for previous in [8, at(4160).to_word(), at(4168).to_word(), below] {
            assert_eq!(
                altered_rewind(from, previous),
                Err(ControlFault::BadPreviousRewind)
            );
        }
    }
}
