//! Bringing every page of a segment in, one by one, so that no commit ever writes more than it touches.
//!
//! The kernel writes a mapping back by folios. Pages that faults of our mapping brought in are folios of their own; what a
//! program read through the file, such as `cat`, lies in large ones, and then each commit writes all of one. A page that
//! the mapping never brought in, or that was evicted since, may be of that kind, whether or not it is in memory now.
//!
//! # Protocol of a refill
//! Sync, since only clean pages can be dropped; let go of them; drop them; write zeros, a page at a time, so that nothing is
//! read; bring the pages in; sync. The records of the file are discarded.

use std::io;
use std::ops::Range;

use crate::sys::{DiskFile, Kept, Populated};

use super::bytes::Exclusive;

/// How far pages are brought in, and written, at a time.
const STEP: usize = 1 << 20;
const PAGE: usize = 4096;

/// Refills all pages, the header included, if the mapping of `bytes` lost any; how many bytes that is. `file` is what is
/// mapped.
pub(super) fn refill(bytes: &mut Exclusive, file: &dyn DiskFile) -> io::Result<u64> {
    if bytes.mapping().kept() == Kept::Whole {
        return Ok(0);
    }
    file.sync()?;
    bytes.mapping().release()?;
    file.drop_cache()?;
    let size = bytes.mapping().size();
    for step in steps(size) {
        for page in step.clone().step_by(PAGE) {
            file.write_at(page as u64, &[0; PAGE])?;
        }
        dirty(bytes, step.clone())?;
        bytes.mapping().sync(step)?;
    }
    Ok(size as u64)
}

/// Dirties every page: then the first sync writes every block.
pub(super) fn dirty_every_page(bytes: &mut Exclusive) -> io::Result<()> {
    let size = bytes.mapping().size();
    steps(size).try_for_each(|step| dirty(bytes, step))
}

/// Dirties pages of zeros, by the kernel where it can.
fn dirty(bytes: &mut Exclusive, range: Range<usize>) -> io::Result<()> {
    if bytes.mapping().populate_write(range.clone())? == Populated::Unsupported {
        range.step_by(PAGE).for_each(|page| bytes.store(page, &[0]));
    }
    Ok(())
}

fn steps(size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..size)
        .step_by(STEP)
        .map(move |start| start..(start + STEP).min(size))
}
