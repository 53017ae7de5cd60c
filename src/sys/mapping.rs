//! [`Mapping`]: the bytes of a file in memory, shared with the page cache, or those of a simulated file.
//!
//! Threads fill disjoint parts of one mapping while others read finished parts, so no reference to all of it ever
//! exists. Invariants, which the engine's claims keep and every `unsafe` caller cites:
//!
//! * M1: bytes that one thread stores to are, at that time, accessed by no other thread and by nothing else: no store, no
//!   [`DiskFile::write_at`](super::DiskFile::write_at), no `truncate`, no other process.
//! * M2: while a slice from [`Mapping::bytes`] lives, M1's accesses touch none of its bytes, and the file is not cut
//!   below its end.
//! * M3: the memory stays mapped, at one address and with one size, as long as the `Mapping` lives.
//!
//! Hazard: a store into a page that the file system cannot back (a hole on a full disk, a cut file, a bad sector) raises
//! `SIGBUS`. Allocated blocks and [`Mapping::populate_write`] ahead of the stores are what prevents it.

#![expect(unsafe_code, reason = "this file is where memory and file meet")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::{ptr, slice};

use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

#[cfg(feature = "fault")]
use super::sim::MappedImage;
use super::{Access, residence};

/// A shared mapping of the beginning of a file.
#[derive(Debug)]
pub struct Mapping {
    memory: Memory,
    /// Where stores end: the size, or nothing if the mapping can only be read.
    store_limit: usize,
}

#[derive(Debug)]
enum Memory {
    Real(MmapRaw),
    #[cfg(feature = "fault")]
    Simulated(MappedImage),
}

/// Whether the kernel could bring pages in ahead of their use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Populated {
    /// Every page of the range is there.
    Done,
    /// The kernel is older than 5.14 and cannot: touch a byte of each page instead, or go without.
    Unsupported,
}

/// Whether pages were in memory ever since they were brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of them, as the mapping's own faults put them there.
    Whole,
    /// Some were never brought in through the mapping, or the kernel has evicted them since. They may be in memory again, in
    /// large folios that another program's reads made.
    Lost,
}

impl Mapping {
    /// Maps the first `size` bytes of `file`, which must exist.
    pub(super) fn of_file(file: &File, size: usize, access: Access) -> io::Result<Self> {
        let mut options = MmapOptions::new();
        options.len(size);
        let map = match access {
            Access::Read => options.map_raw_read_only(file)?,
            Access::Write => options.map_raw(file)?,
        };
        // Large folios make each sync of a small store write all of the folio.
        uninterrupted(|| map.advise(Advice::Random))?;
        uninterrupted(|| map.advise(Advice::DontFork))?;
        Ok(Self {
            memory: Memory::Real(map),
            store_limit: store_limit(size, access),
        })
    }

    #[cfg(feature = "fault")]
    pub(super) fn of_image(image: MappedImage, access: Access) -> Self {
        let store_limit = store_limit(image.size(), access);
        Self {
            memory: Memory::Simulated(image),
            store_limit,
        }
    }

    /// The count of bytes that are mapped.
    pub fn size(&self) -> usize {
        match &self.memory {
            Memory::Real(map) => map.len(),
            #[cfg(feature = "fault")]
            Memory::Simulated(image) => image.size(),
        }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Panics
    /// If they do not fit, or if the file was opened for reading.
    ///
    /// # Safety
    /// M1 and M2 hold for the bytes from `offset` on.
    #[inline]
    pub unsafe fn store(&self, offset: usize, bytes: &[u8]) {
        check_bounds(offset, bytes.len(), self.store_limit);
        match &self.memory {
            Memory::Real(map) => {
                // SAFETY: the bounds were checked against the size of the map, M3.
                let to = unsafe { map.as_mut_ptr().add(offset) };
                // SAFETY: `to` has room by the check above; `bytes` lies elsewhere by M2; exclusive by M1.
                unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
            }
            #[cfg(feature = "fault")]
            // SAFETY: the bounds were checked, and the caller promises M1 and M2.
            Memory::Simulated(image) => unsafe { image.store(offset, bytes) },
        }
    }

    /// The bytes in `range`.
    ///
    /// # Panics
    /// If the range does not lie in the mapping.
    ///
    /// # Safety
    /// M2 holds as long as the slice lives.
    #[inline]
    pub unsafe fn bytes(&self, range: Range<usize>) -> &[u8] {
        let len = self.check_range(&range);
        // SAFETY: the bounds were checked, M3.
        let from = unsafe { self.base().add(range.start) };
        // SAFETY: mapped and in bounds as checked, M3; unchanged by M2.
        unsafe { slice::from_raw_parts(from, len) }
    }

    /// Makes the bytes of all pages that `range` touches durable; not the length of the file.
    ///
    /// # Errors
    /// Those of `msync`, after which the durable bytes are unknown: the kernel takes pages that it could not write for
    /// clean, so that a second call would succeed without writing them.
    pub fn sync(&self, range: Range<usize>) -> io::Result<()> {
        let len = self.check_range(&range);
        match &self.memory {
            Memory::Real(_) if len == 0 => Ok(()),
            Memory::Real(map) => uninterrupted(|| map.flush_range(range.start, len)),
            #[cfg(feature = "fault")]
            Memory::Simulated(image) => image.sync(range),
        }
    }

    /// Makes all pages that `range` touches present and writable, so that the next store into each of them is no fault.
    ///
    /// # Errors
    /// `EFAULT` where a store would raise `SIGBUS`: no space, a cut file, a bad sector; `EHWPOISON` for bad memory.
    pub fn populate_write(&self, range: Range<usize>) -> io::Result<Populated> {
        let advice = Advice::PopulateWrite;
        let len = self.check_range(&range);
        match &self.memory {
            Memory::Real(_) if len == 0 => Ok(Populated::Done),
            Memory::Real(map) => {
                populated(uninterrupted(|| map.advise_range(advice, range.start, len)))
            }
            #[cfg(feature = "fault")]
            Memory::Simulated(image) => image.populate_write(range),
        }
    }

    /// Whether every page was in memory ever since this mapping brought it in.
    pub fn kept(&self) -> Kept {
        match &self.memory {
            Memory::Real(map) => residence::kept(map.as_ptr(), map.len()),
            #[cfg(feature = "fault")]
            Memory::Simulated(image) => image.kept(),
        }
    }

    /// Lets go of all pages, so that [`DiskFile::drop_cache`](super::DiskFile::drop_cache) drops them too if they are clean. The
    /// bytes stay, in the cache or in the file, and the next access brings its page in again.
    pub fn release(&self) -> io::Result<()> {
        match &self.memory {
            Memory::Real(map) => {
                // SAFETY: a shared mapping of a file takes its bytes from the file again, unsynced ones included, M3.
                uninterrupted(|| unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) })
            }
            #[cfg(feature = "fault")]
            Memory::Simulated(image) => image.release(),
        }
    }

    fn base(&self) -> *const u8 {
        match &self.memory {
            Memory::Real(map) => map.as_ptr(),
            #[cfg(feature = "fault")]
            Memory::Simulated(image) => image.base(),
        }
    }

    /// The length of `range`, which lies in the mapping.
    #[inline]
    fn check_range(&self, range: &Range<usize>) -> usize {
        let len = range
            .end
            .checked_sub(range.start)
            .expect("a range ends before it begins");
        check_bounds(range.start, len, self.size());
        len
    }
}

const fn store_limit(size: usize, access: Access) -> usize {
    match access {
        Access::Read => 0,
        Access::Write => size,
    }
}

#[inline]
fn check_bounds(offset: usize, len: usize, limit: usize) {
    if offset > limit || len > limit - offset {
        out_of_bounds(offset, len, limit);
    }
}

#[cold]
#[inline(never)]
fn out_of_bounds(offset: usize, len: usize, limit: usize) -> ! {
    panic!("{len} bytes at {offset} do not lie in the {limit} bytes that may be accessed");
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn populated(result: io::Result<()>) -> io::Result<Populated> {
    match result {
        Ok(()) => Ok(Populated::Done),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(Populated::Unsupported),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::real::ScratchDir;
    use super::super::{Disk, DiskFile, RealDisk};
    use super::*;

    const SIZE: usize = 16384;

    fn file(scratch: &ScratchDir) -> Arc<dyn DiskFile> {
        let file = RealDisk.create(&scratch.path("file")).unwrap();
        file.write_at(0, &[0; SIZE]).unwrap();
        file
    }

    #[test]
    fn store_is_seen_by_reads_of_file_and_mapping() {
        let scratch = ScratchDir::new();
        let file = file(&scratch);
        let mapping = file.map(SIZE).unwrap();
        // SAFETY: this thread is alone, and has no slice of the mapping (M1, M2).
        unsafe { mapping.store(4090, b"across pages") };
        let mut buffer = [0; 12];
        file.read_at(4090, &mut buffer).unwrap();
        assert_eq!(&buffer, b"across pages");
        // SAFETY: nothing is stored while the slice lives (M2).
        assert_eq!(unsafe { mapping.bytes(4090..4102) }, b"across pages");
        mapping.sync(4090..4102).unwrap();
        mapping.sync(7..7).unwrap();
    }

    #[test]
    fn mapping_outlives_its_file() {
        let scratch = ScratchDir::new();
        let mapping = file(&scratch).map(SIZE).unwrap();
        // SAFETY: as above.
        unsafe { mapping.store(SIZE - 1, b"x") };
        mapping.sync(0..SIZE).unwrap();
        assert_eq!(mapping.size(), SIZE);
    }

    #[test]
    #[should_panic(expected = "2 bytes at 16383 do not lie")]
    fn store_beyond_the_end_panics() {
        let scratch = ScratchDir::new();
        let mapping = file(&scratch).map(SIZE).unwrap();
        // SAFETY: as above.
        unsafe { mapping.store(SIZE - 1, b"xx") };
    }

    #[test]
    #[should_panic(expected = "do not lie in the 0 bytes")]
    fn store_into_a_mapping_for_reading_panics() {
        let scratch = ScratchDir::new();
        drop(file(&scratch));
        let file = RealDisk.open(&scratch.path("file"), Access::Read).unwrap();
        // SAFETY: as above.
        unsafe { file.map(SIZE).unwrap().store(0, b"x") };
    }

    #[test]
    fn populating_a_cut_file_gives_efault_instead_of_a_signal() {
        let scratch = ScratchDir::new();
        let file = file(&scratch);
        let mapping = file.map(SIZE).unwrap();
        file.truncate(4096).unwrap();
        match mapping.populate_write(0..SIZE) {
            Ok(done) => assert_eq!(done, Populated::Unsupported),
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EFAULT)),
        }
    }
}
