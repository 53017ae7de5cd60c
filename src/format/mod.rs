//! What is on disk: bytes to values and back. No I/O, no atomics, no `unsafe`.
//!
//! Everything is little-endian, everything has a checksum, and no structure is valid when all its bytes are zero. The
//! boxes, the numbered validity rules and a worked dump stand in `docs/format.md`; the faults in this directory are named
//! after those rules, and their comments give the numbers.
//!
//! ```text
//! MANIFEST   64 bytes + user header                                  [manifest]
//! COOKIE     five blocks of 4096, a slot of 64 at the start of each  [cookie]
//!            durable 0 │ durable 1 │ head 0 │ head 1 │ clean
//! *.hold     two blocks of 4096, a slot of 64 at the start of each   [hold]
//! *.seg      0       prepared part, 64                               [segment_header]
//!            512     activation part, 64
//!            4096    frame │ frame │ … up to the seal                [frame]
//!                    record, batch, aborted, epoch, rewind           [batch] [control]
//! ```
//!
//! [`scan`] walks the frames of one segment; [`verdict`] judges where they end.

pub(crate) mod batch;
pub(crate) mod checksum;
pub(crate) mod control;
pub(crate) mod cookie;
#[cfg(test)]
mod dump;
mod field;
pub(crate) mod frame;
pub(crate) mod hold;
#[cfg(test)]
mod image;
pub(crate) mod manifest;
mod salt;
pub(crate) mod scan;
pub(crate) mod segment_header;
mod uuid;
pub(crate) mod verdict;

pub(crate) use batch::BatchLayout;
pub(crate) use checksum::Checksum;
pub(crate) use control::{EPOCH_FRAME_SIZE, Epoch, Rewind};
pub(crate) use cookie::{COOKIE_SIZE, Cookie, Slot, SlotFault, SlotKind};
pub(crate) use frame::{DurableDistance, FrameFault, FrameHeader, FrameKind, frame_size};
pub(crate) use hold::{HOLD_SIZE, HoldSlot, hold_slot_offset, is_hold_name};
pub(crate) use manifest::{MAX_MANIFEST_LEN, Manifest, ManifestFault};
pub(crate) use salt::Salt;
pub(crate) use scan::{ScannedFrame, Scanner, Source, Step, Stop, evidence_after};
pub(crate) use segment_header::{
    ACTIVATION_OFFSET, Activation, ActivationFault, HeaderFault, Prepared, PreviousEnd,
    decode_activation, decode_prepared, encode_block,
};
pub use uuid::Uuid;

use crate::lsn::GRAIN;

/// The version that this build writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 0;

/// The incompatible features that this build knows: none yet.
pub(crate) const KNOWN_INCOMPAT: u32 = 0;

/// The features that a reader may ignore and a writer may not, as far as this build knows them: none yet.
pub(crate) const KNOWN_RO_COMPAT: u32 = 0;

/// Parts that change at different times stand in different blocks.
pub(crate) const BLOCK_SIZE: u64 = 4096;

/// What a device writes whole; the two parts of a segment header stand in different sectors.
pub(crate) const SECTOR_SIZE: u64 = 512;

/// Where the first frame of every segment begins, in bytes.
pub(crate) const FIRST_FRAME: u64 = BLOCK_SIZE;

/// The bytes before a frame's payload.
pub(crate) const FRAME_HEADER_LEN: u64 = 24;

/// The smallest segment: the header block and one block of frames.
pub(crate) const MIN_SEGMENT_SIZE: u64 = 2 * BLOCK_SIZE;

/// The largest segment.
pub(crate) const MAX_SEGMENT_SIZE: u64 = 1 << 30;

const _: () = {
    assert!(
        FIRST_FRAME.is_multiple_of(GRAIN),
        "a frame begins at a multiple of the grain"
    );
    assert!(
        FRAME_HEADER_LEN.is_multiple_of(GRAIN),
        "an empty frame needs no padding"
    );
    assert!(
        BLOCK_SIZE.is_multiple_of(SECTOR_SIZE),
        "a block is whole sectors"
    );
    assert!(
        MAX_SEGMENT_SIZE / GRAIN <= u32::MAX as u64,
        "every offset fits half of an LSN"
    );
};

/// Whether a segment may have this size: whole blocks, within the limits.
pub(crate) const fn is_segment_size(size: u64) -> bool {
    size.is_multiple_of(BLOCK_SIZE) && MIN_SEGMENT_SIZE <= size && size <= MAX_SEGMENT_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segment_sizes_are_whole_blocks_within_the_limits() {
        for size in [MIN_SEGMENT_SIZE, MIN_SEGMENT_SIZE + 4096, MAX_SEGMENT_SIZE] {
            assert!(is_segment_size(size), "{size}");
        }
        for size in [
            0,
            4096,
            MIN_SEGMENT_SIZE + 512,
            MAX_SEGMENT_SIZE + 4096,
            u64::MAX,
        ] {
            assert!(!is_segment_size(size), "{size}");
        }
    }
}
