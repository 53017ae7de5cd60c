//! Blocks that two files share: found by `FIEMAP`, and given up for blocks of one's own.
//!
//! A copy by reflink, which `cp` makes unasked on XFS, shares every block. The next store into a mapped page of either file
//! then needs a new block, also where the page was written and synced before; on a full disk that store is a `SIGBUS`. So
//! the blocks are replaced while a want of space is still an error number.
//!
//! A file system that knows no `FIEMAP` shares nothing. One that shares and knows no `FALLOC_FL_UNSHARE_RANGE` (btrfs)
//! copies on every write whatever is done here, and is refused unless the embedder insists.

#![expect(unsafe_code, reason = "ioctl and fallocate have no wrapper in std")]

use std::fs::File;
use std::io;
use std::mem::size_of;
use std::ops::Range;
use std::os::fd::AsRawFd;

use super::call::uninterrupted;

/// `FS_IOC_FIEMAP`: read and write, the size of the request without extents, `'f'`, 11.
const FS_IOC_FIEMAP: libc::Ioctl = 0xC020_660B;
const FIEMAP_EXTENT_LAST: u32 = 0x1;
const FIEMAP_EXTENT_SHARED: u32 = 0x2000;
const BATCH: usize = 32;
const BATCH_COUNT: u32 = 32;

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Extent {
    logical: u64,
    physical: u64,
    len: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

/// `struct fiemap`, with room for a batch of extents.
#[repr(C)]
#[derive(Default)]
struct Request {
    start: u64,
    len: u64,
    flags: u32,
    mapped_count: u32,
    room_count: u32,
    reserved: u32,
    extents: [Extent; BATCH],
}

const _: () = assert!(size_of::<Extent>() == 56 && size_of::<Request>() == 32 + 56 * BATCH);

/// Gives `file` blocks of its own in `range`; how many bytes had been shared.
pub(super) fn unshare(file: &File, range: &Range<u64>) -> io::Result<u64> {
    let mut unshared = 0;
    for part in shared(file, range)? {
        match unshare_part(file, &part) {
            Ok(()) => unshared += part.end - part.start,
            Err(error) if is_unknown(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(unshared)
}

/// The parts of `range` that another file shares, ascending.
fn shared(file: &File, range: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut parts = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let found = match extents(file, start..range.end) {
            Err(error) if is_unknown(&error) => break,
            found => found?,
        };
        let count = usize::try_from(found.mapped_count).map_or(BATCH, |count| count.min(BATCH));
        for extent in &found.extents[..count] {
            if extent.flags & FIEMAP_EXTENT_SHARED != 0 {
                let end = extent.logical.saturating_add(extent.len);
                parts.push(extent.logical.max(range.start)..end.min(range.end));
            }
        }
        match found.extents[..count].last() {
            Some(last) if last.flags & FIEMAP_EXTENT_LAST == 0 => {
                start = last.logical.saturating_add(last.len).max(start + 1);
            }
            _ => break,
        }
    }
    Ok(parts)
}

fn extents(file: &File, range: Range<u64>) -> io::Result<Request> {
    let mut request = Request {
        start: range.start,
        len: range.end - range.start,
        room_count: BATCH_COUNT,
        ..Request::default()
    };
    uninterrupted(|| {
        let place = &raw mut request;
        // SAFETY: the descriptor is open as long as `file` lives; the kernel writes at most the extents that there is room
        // for, and both structures are laid out as it expects.
        unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP, place) }
    })?;
    Ok(request)
}

fn unshare_part(file: &File, part: &Range<u64>) -> io::Result<()> {
    let offset = libc::off_t::try_from(part.start).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let len =
        libc::off_t::try_from(part.end - part.start).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mode = libc::FALLOC_FL_UNSHARE_RANGE;
    uninterrupted(|| {
        // SAFETY: the descriptor is open as long as `file` lives; the call touches no memory.
        unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) }
    })
}

/// Whether the file system does not know the operation.
fn is_unknown(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::ENOTTY | libc::ENOSYS)
    )
}
