//! [`Flush`]: how frames in memory become durable.
//!
//! A seam: the mapped way is the only one so far, and one that stages frames and writes them through could stand beside
//! it for file systems on which mappings do not do.

use std::fmt::Debug;
use std::io;
use std::ops::Range;

use super::Segment;

/// Makes frames of one segment durable.
pub(crate) trait Flush: Debug + Send + Sync {
    /// Makes the frames from `range.start` up to `range.end` durable; with the first frame the segment's first block too.
    ///
    /// # Errors
    /// After one nothing is known of the range, and the caller poisons the log.
    fn flush(&self, segment: &Segment, range: Range<u64>) -> io::Result<()>;
}

/// By `msync` of the pages that the range touches: one call for one mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MsyncRange;

impl Flush for MsyncRange {
    fn flush(&self, segment: &Segment, range: Range<u64>) -> io::Result<()> {
        segment.sync(range)
    }
}
