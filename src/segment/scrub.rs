//! Overwriting what an earlier life of a file left, so that discarded payloads do not stay in files that are used again.
//!
//! In steps, each durable before the next begins, so that no commit waits behind all of a segment. A crash on the way leaves
//! a file that is dead, since the head beyond it is durable, and that is scrubbed when it is reused after all.

use std::io;

use crate::format::FIRST_FRAME;

use super::bytes::Exclusive;

/// How much is overwritten between two syncs.
const STEP: usize = 1 << 20;
const ZEROS: [u8; 4096] = [0; 4096];

/// Makes everything behind the first block zero, durably.
pub(super) fn scrub(bytes: &mut Exclusive) -> io::Result<()> {
    let size = bytes.mapping().size();
    let first = usize::try_from(FIRST_FRAME).unwrap_or(ZEROS.len());
    for start in (first..size).step_by(STEP) {
        let end = (start + STEP).min(size);
        // Sizes are multiples of a block.
        (start..end)
            .step_by(ZEROS.len())
            .for_each(|block| bytes.store(block, &ZEROS));
        bytes.mapping().sync(start..end)?;
    }
    Ok(())
}
