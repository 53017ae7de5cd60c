//! [`Lsn`]: a position in the log, the first byte of a frame.
//!
//! One word, so that it can be the tail of the log and a field on disk:
//!
//! ```text
//!  63            32 31             0
//! ┌────────────────┬────────────────┐
//! │   segment id   │   offset ÷ 8   │
//! └────────────────┴────────────────┘
//! ```
//!
//! Segment ids begin at 1, so a zero word is no position.

use std::fmt;
use std::str::FromStr;

/// Frames begin at multiples of this many bytes.
pub(crate) const GRAIN: u64 = 8;

/// A position in the log: the segment and the byte offset of a frame's first byte.
///
/// Positions are totally ordered and never reused. As text an `Lsn` is `SEGMENT:OFFSET`, offset in bytes.
///
/// `append` returns the position of the record it wrote. The bounds [`durable`](crate::Wal::durable),
/// [`published`](crate::Wal::published), [`head`](crate::Wal::head) and [`end`](crate::Wal::end) are exclusive: a
/// record is durable if and only if its `lsn < durable`.
///
/// ```
/// use segwal::Lsn;
///
/// let lsn = Lsn::new(7, 4096).expect("a multiple of eight");
/// assert_eq!(lsn.to_string(), "7:4096");
/// assert_eq!("7:4096".parse::<Lsn>().unwrap(), lsn);
/// assert!(lsn < Lsn::new(8, 4096).unwrap());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(u64);

impl Lsn {
    /// The largest position that can be expressed: beyond the end of every log.
    pub const MAX: Self = Self(u64::MAX);

    /// The position `offset` bytes into the segment `segment`.
    ///
    /// `None` if `segment` is zero, if `offset` is not a multiple of eight, or if it is 32 GiB or more.
    pub const fn new(segment: u32, offset: u64) -> Option<Self> {
        let grains = offset / GRAIN;
        if segment == 0 || !offset.is_multiple_of(GRAIN) || grains > u32::MAX as u64 {
            return None;
        }
        Some(Self((segment as u64) << 32 | grains))
    }

    /// The position that a word holds; the inverse of [`to_word`](Self::to_word). `None` for a word without a segment.
    pub const fn from_word(word: u64) -> Option<Self> {
        if word >> 32 == 0 {
            None
        } else {
            Some(Self(word))
        }
    }

    /// One word that orders as the positions do, for storing a position elsewhere.
    pub const fn to_word(self) -> u64 {
        self.0
    }

    /// The id of the segment.
    pub const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The offset in the segment's file, in bytes.
    pub const fn offset(self) -> u64 {
        self.grains() as u64 * GRAIN
    }

    /// The offset in units of eight bytes.
    pub(crate) const fn grains(self) -> u32 {
        low_half(self.0)
    }

    /// The position at `grains` units of eight bytes in `segment`, which is not zero.
    pub(crate) const fn at(segment: u32, grains: u32) -> Self {
        debug_assert!(segment != 0, "segment ids begin at 1");
        Self((segment as u64) << 32 | grains as u64)
    }
}

/// The low 32 bits of a word.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
pub(crate) const fn low_half(word: u64) -> u32 {
    word as u32
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment(), self.offset())
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lsn({self})")
    }
}

/// What is wrong with a text that should be an [`Lsn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLsnError(String);

impl fmt::Display for ParseLsnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a position; write SEGMENT:OFFSET with an offset that is a multiple of 8, such as 7:4096",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for ParseLsnError {}

impl FromStr for Lsn {
    type Err = ParseLsnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseLsnError(text.to_owned());
        let (segment, offset) = text.split_once(':').ok_or_else(refuse)?;
        let segment = decimal(segment).and_then(|id| u32::try_from(id).ok());
        let lsn = segment
            .zip(decimal(offset))
            .and_then(|(segment, offset)| Self::new(segment, offset));
        lsn.ok_or_else(refuse)
    }
}

/// Digits only: `u64::from_str` would take a leading `+`.
fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_word_round_trip_at_the_extremes() {
        for (segment, offset) in [
            (1, 0),
            (1, 4096),
            (7, 8),
            (u32::MAX, u64::from(u32::MAX) * GRAIN),
        ] {
            let lsn = Lsn::new(segment, offset).unwrap();
            assert_eq!((lsn.segment(), lsn.offset()), (segment, offset));
            assert_eq!(lsn.to_string().parse::<Lsn>(), Ok(lsn));
            assert_eq!(Lsn::from_word(lsn.to_word()), Some(lsn));
        }
    }

    #[test]
    fn order_is_segment_then_offset() {
        assert!(Lsn::new(1, 1 << 30).unwrap() < Lsn::new(2, 0).unwrap());
        assert!(Lsn::new(2, 0).unwrap() < Lsn::new(2, 8).unwrap());
    }

    #[test]
    fn what_is_no_position_is_refused() {
        assert_eq!(Lsn::new(0, 8), None);
        assert_eq!(Lsn::new(1, 7), None);
        assert_eq!(Lsn::new(1, 1 << 35), None);
        assert_eq!(Lsn::from_word(8), None);
        for text in [
            "",
            ":",
            "1",
            "1:",
            ":8",
            "0:8",
            "1:7",
            "1:+8",
            "+1:8",
            " 1:8",
            "1:8 ",
            "1:8:8",
            "4294967296:8",
        ] {
            assert!(text.parse::<Lsn>().is_err(), "{text:?}");
        }
    }
}
