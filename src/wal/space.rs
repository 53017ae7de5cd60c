//! [`SpacePressure`]: whether there is room for the segments to come, and [`SpaceCause`]: what stands in the way.

use std::fmt;

use crate::error::Error;

/// Why no segment could be made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpaceCause {
    /// The file system is full (`ENOSPC`).
    DiskFull,
    /// A quota is used up (`EDQUOT`).
    Quota,
    /// A limit on the size of files, such as `RLIMIT_FSIZE`, is below the size of a segment (`EFBIG`).
    FileSize,
    /// The log has reached [`max_wal_bytes`](crate::WalOptions::max_wal_bytes).
    Limit,
    /// Every segment id has been used.
    Positions,
}

const CAUSES: [SpaceCause; 5] = [
    SpaceCause::DiskFull,
    SpaceCause::Quota,
    SpaceCause::FileSize,
    SpaceCause::Limit,
    SpaceCause::Positions,
];

impl SpaceCause {
    /// The operating system's error number, if the cause is one.
    pub fn os_error(self) -> Option<i32> {
        match self {
            Self::DiskFull => Some(ENOSPC),
            Self::Quota => Some(EDQUOT),
            Self::FileSize => Some(EFBIG),
            Self::Limit | Self::Positions => None,
        }
    }

    /// That of a preparation that failed.
    pub(crate) fn of(error: &Error) -> Self {
        match error.os_error() {
            Some(EDQUOT) => Self::Quota,
            Some(EFBIG) => Self::FileSize,
            _ => Self::DiskFull,
        }
    }
}

// The same numbers on every Linux that this crate runs on.
const EFBIG: i32 = 27;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

impl fmt::Display for SpaceCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiskFull => "the file system is full",
            Self::Quota => "a quota is used up",
            Self::FileSize => "the limit on the size of files is below the size of a segment",
            Self::Limit => "the log has reached max_wal_bytes",
            Self::Positions => "every segment id has been used",
        })
    }
}

/// Whether there is room for the segments to come. See [`Wal::space_pressure`](crate::Wal::space_pressure).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpacePressure {
    /// Segments can be made ready.
    None,
    /// A segment could not be made ready, but appends go on: it is time for a checkpoint.
    Low(SpaceCause),
    /// Only the reserve is left: ordinary appends wait or fail, and
    /// [`append_critical`](crate::Wal::append_critical) goes on.
    Full(SpaceCause),
}

const LOW: u8 = 1;
const FULL: u8 = 2;

impl SpacePressure {
    /// Why, unless there is none.
    pub fn cause(self) -> Option<SpaceCause> {
        match self {
            Self::None => None,
            Self::Low(cause) | Self::Full(cause) => Some(cause),
        }
    }

    /// The level in the lower four bits, the index of the cause above.
    pub(crate) fn to_byte(self) -> u8 {
        let byte = |cause, level| {
            let index = CAUSES.iter().position(|known| *known == cause);
            u8::try_from(index.unwrap_or(0)).unwrap_or(0) << 4 | level
        };
        match self {
            Self::None => 0,
            Self::Low(cause) => byte(cause, LOW),
            Self::Full(cause) => byte(cause, FULL),
        }
    }

    pub(crate) fn from_byte(byte: u8) -> Self {
        let cause = CAUSES[usize::from(byte >> 4) % CAUSES.len()];
        match byte & 0xf {
            LOW => Self::Low(cause),
            FULL => Self::Full(cause),
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_holds_each_level_with_its_cause() {
        for cause in CAUSES {
            for level in [
                SpacePressure::None,
                SpacePressure::Low(cause),
                SpacePressure::Full(cause),
            ] {
                assert_eq!(SpacePressure::from_byte(level.to_byte()), level);
            }
        }
    }
}
