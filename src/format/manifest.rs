//! [`Manifest`]: the identity of a log, in the file `MANIFEST`.
//!
//! ```text
//!       0       1       2       3       4       5       6       7
//!  0 │ "SEGWAL\0M"                                                   │
//!  8 │ version                       │ compatible features           │
//! 16 │ read-only compatible features │ incompatible features         │
//! 24 │ log UUID                                                      │
//! 32 │                                                               │
//! 40 │ segment size in bytes                                         │
//! 48 │ length of the user header     │ zero                          │
//! 56 │ zero                          │ checksum                      │
//! 64 │ user header, 0 to 4096 bytes, to the end of the file          │
//! ```
//!
//! The file has exactly these bytes. The checksum covers the 60 before it, then the user header. Magic, version and
//! checksum keep their places in every version, so a newer log is told from a damaged one.

use std::fmt;

use super::field::{CHECKSUM_AT, PART_LEN, Part, array_at, is_zero, part_at, put, u32_at, u64_at};
use super::{Checksum, KNOWN_INCOMPAT, KNOWN_RO_COMPAT, Uuid, VERSION, is_segment_size};

const MAGIC: [u8; 8] = *b"SEGWAL\0M";

/// The longest user header, in bytes.
pub(crate) const MAX_USER_HEADER_LEN: usize = 4096;

/// The longest `MANIFEST`: a reader needs no more of a file than this and one byte.
pub(crate) const MAX_MANIFEST_LEN: usize = PART_LEN + MAX_USER_HEADER_LEN;

/// The identity of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) uuid: Uuid,
    /// The size of each segment, in bytes.
    pub(crate) segment_size: u64,
    /// The caller's own bytes.
    pub(crate) user_header: Vec<u8>,
    /// Features that every build may ignore.
    pub(crate) compat: u32,
    /// Features that a reader may ignore, and a writer may not.
    pub(crate) ro_compat: u32,
    /// Features that nobody may ignore.
    pub(crate) incompat: u32,
}

/// The rule of `docs/format.md` that a manifest breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ManifestFault {
    /// M1: shorter than its header.
    TooShort,
    /// M2
    BadMagic,
    /// M3: not the header and the user header, or a user header beyond its limit.
    BadLength,
    /// M4
    BadChecksum,
    /// M5: written by a newer version. Not damage.
    NewerVersion(u32),
    /// M6: features that this build does not know. Not damage.
    UnknownFeatures(u32),
    /// M7
    ReservedNotZero,
    /// M8: not whole blocks, or outside the limits.
    BadSegmentSize(u64),
}

impl Manifest {
    /// The bytes of the file. `None` if the user header is longer than [`MAX_USER_HEADER_LEN`].
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        if self.user_header.len() > MAX_USER_HEADER_LEN {
            return None;
        }
        let user_header_len = u32::try_from(self.user_header.len()).ok()?;
        let mut part = [0; PART_LEN];
        put(&mut part, 0, MAGIC);
        put(&mut part, 8, VERSION.to_le_bytes());
        put(&mut part, 12, self.compat.to_le_bytes());
        put(&mut part, 16, self.ro_compat.to_le_bytes());
        put(&mut part, 20, self.incompat.to_le_bytes());
        put(&mut part, 24, *self.uuid.as_bytes());
        put(&mut part, 40, self.segment_size.to_le_bytes());
        put(&mut part, 48, user_header_len.to_le_bytes());
        let checksum = checksum(&part, &self.user_header);
        put(&mut part, CHECKSUM_AT, checksum.value().to_le_bytes());
        Some([&part[..], &self.user_header].concat())
    }

    /// The manifest that is the whole file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, ManifestFault> {
        let part = part_at(bytes, 0).ok_or(ManifestFault::TooShort)?;
        let user_header = &bytes[PART_LEN..];
        if part[..8] != MAGIC {
            return Err(ManifestFault::BadMagic);
        }
        if user_header.len() > MAX_USER_HEADER_LEN || user_header.len() != u32_at(part, 48) as usize
        {
            return Err(ManifestFault::BadLength);
        }
        if u32_at(part, CHECKSUM_AT) != checksum(part, user_header).value() {
            return Err(ManifestFault::BadChecksum);
        }
        if u32_at(part, 8) > VERSION {
            return Err(ManifestFault::NewerVersion(u32_at(part, 8)));
        }
        Self::decode_fields(part, user_header)
    }

    fn decode_fields(part: &Part, user_header: &[u8]) -> Result<Self, ManifestFault> {
        let manifest = Self {
            uuid: Uuid::from_bytes(array_at(part, 24)),
            segment_size: u64_at(part, 40),
            user_header: user_header.to_vec(),
            compat: u32_at(part, 12),
            ro_compat: u32_at(part, 16),
            incompat: u32_at(part, 20),
        };
        if manifest.incompat & !KNOWN_INCOMPAT != 0 {
            return Err(ManifestFault::UnknownFeatures(
                manifest.incompat & !KNOWN_INCOMPAT,
            ));
        }
        if !is_zero(&part[52..CHECKSUM_AT]) {
            return Err(ManifestFault::ReservedNotZero);
        }
        if !is_segment_size(manifest.segment_size) {
            return Err(ManifestFault::BadSegmentSize(manifest.segment_size));
        }
        Ok(manifest)
    }

    /// The features for which this build may read the log and not write it; zero if it may do both.
    pub(crate) fn read_only_features(&self) -> u32 {
        self.ro_compat & !KNOWN_RO_COMPAT
    }
}

/// The version that the bytes of a manifest state, valid or not.
pub(crate) fn version(bytes: &[u8]) -> Option<u32> {
    part_at(bytes, 0).map(|part| u32_at(part, 8))
}

fn checksum(part: &Part, user_header: &[u8]) -> Checksum {
    Checksum::of(&part[..CHECKSUM_AT]).then(user_header)
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("the manifest ends before its header does"),
            Self::BadMagic => f.write_str("the file does not begin as a manifest"),
            Self::BadLength => f.write_str("the manifest has not the length that it states"),
            Self::BadChecksum => f.write_str("the manifest's checksum does not match"),
            Self::NewerVersion(version) => {
                write!(f, "the log has the newer format version {version}")
            }
            Self::UnknownFeatures(bits) => write!(f, "the log uses unknown features {bits:#x}"),
            Self::ReservedNotZero => f.write_str("reserved bytes of the manifest are not zero"),
            Self::BadSegmentSize(size) => write!(f, "no segment has a size of {size} bytes"),
        }
    }
}

impl std::error::Error for ManifestFault {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            uuid: Uuid::from_bytes([3; 16]),
            segment_size: 1 << 26,
            user_header: b"schema 4".to_vec(),
            compat: 1,
            ro_compat: 2,
            incompat: 0,
        }
    }

    /// The fault of the manifest with its checksum made right after `alter`.
    fn fault(alter: impl FnOnce(&mut Vec<u8>)) -> ManifestFault {
        let mut bytes = manifest().encode().unwrap();
        alter(&mut bytes);
        let sum = checksum(part_at(&bytes, 0).unwrap(), &bytes[PART_LEN..]);
        put(&mut bytes, CHECKSUM_AT, sum.value().to_le_bytes());
        Manifest::decode(&bytes).unwrap_err()
    }

    #[test]
    fn user_headers_round_trip_up_to_the_limit() {
        for len in [0, 1, MAX_USER_HEADER_LEN] {
            let manifest = Manifest {
                user_header: vec![9; len],
                ..manifest()
            };
            let bytes = manifest.encode().unwrap();
            assert_eq!(bytes.len(), PART_LEN + len);
            assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        }
        let over = Manifest {
            user_header: vec![9; MAX_USER_HEADER_LEN + 1],
            ..manifest()
        };
        assert_eq!(over.encode(), None);
    }

    #[test]
    fn each_rule_refuses_by_its_name() {
        assert_eq!(Manifest::decode(&[0; 63]), Err(ManifestFault::TooShort));
        assert_eq!(Manifest::decode(&[0; 64]), Err(ManifestFault::BadMagic));
        assert_eq!(fault(|bytes| bytes.push(0)), ManifestFault::BadLength);
        assert_eq!(fault(|bytes| bytes.truncate(71)), ManifestFault::BadLength);
        assert_eq!(fault(|bytes| bytes[8] = 1), ManifestFault::NewerVersion(1));
        assert_eq!(
            fault(|bytes| bytes[23] = 0x80),
            ManifestFault::UnknownFeatures(1 << 31)
        );
        assert_eq!(fault(|bytes| bytes[52] = 1), ManifestFault::ReservedNotZero);
        assert_eq!(
            fault(|bytes| bytes[40] = 1),
            ManifestFault::BadSegmentSize((1 << 26) + 1)
        );
    }

    #[test]
    fn a_user_header_beyond_the_limit_is_refused() {
        let over = fault(|bytes| {
            bytes.resize(PART_LEN + MAX_USER_HEADER_LEN + 1, 0);
            put(bytes, 48, 4097_u32.to_le_bytes());
        });
        assert_eq!(over, ManifestFault::BadLength);
    }

    #[test]
    fn unknown_read_only_features_let_it_be_read() {
        assert_eq!(manifest().read_only_features(), 2);
        let bytes = manifest().encode().unwrap();
        assert!(Manifest::decode(&bytes).is_ok());
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = manifest().encode().unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&altered).is_err(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(tail: Vec<u8>) {
            let bytes = [&MAGIC[..], &tail].concat();
            prop_assert!(Manifest::decode(&bytes).is_err());
        }
    }
}
