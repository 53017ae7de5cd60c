//! The operating system behind one seam, [`Disk`].
//!
//! Everything that can fail, tear or be lost in a power cut goes through this directory: names, directories, locks,
//! allocation, reads, syncs, and every store into a mapping. So the engine runs unchanged on the real disk
//! ([`real`]) and on one that keeps a live and a durable image of everything (`sim`, feature `fault`).
//!
//! What each operation promises, strictly by POSIX and no more:
//!
//! | operation | after it returned | after a power cut, unless followed by |
//! |---|---|---|
//! | [`Disk::create`], [`Disk::rename`], [`Disk::remove`] | the name is there or gone for every process | [`Disk::sync_dir`]: old or new |
//! | [`DiskFile::allocate`], [`DiskFile::truncate`] | the length is visible | [`DiskFile::sync`]: old or new |
//! | [`DiskFile::write_at`], [`Mapping::store`] | the bytes are visible to every process | a sync of the range: each sector old or new |
//! | [`DiskFile::unshare`] | no store into the range needs space | bytes as they were, shared or not |
//! | [`DiskFile::sync`] | bytes and length of the file are durable; its *name* is not | – |
//! | [`Mapping::sync`] | the bytes of the pages in the range are durable | – |
//! | [`Disk::sync_dir`] | the names in the directory are durable | – |
//!
//! A call that a signal interrupts is repeated by the real disk. Those on names are not, since repeated they could meet their
//! own effect: theirs is an error like any other.
//!
//! A failed sync leaves the durable image unknown: the caller must not retry it (see `docs/durability.md`).
//!
//! The parts that no disk has - [`futex`], [`random`], [`clock`], [`fork`], [`thread`] - are plain functions beside it.

#![allow(
    unreachable_pub,
    reason = "public to embedders' tests as the module `fault`, which a feature brings"
)]

mod handoff;
mod mapping;
mod real;
mod residence;

pub mod clock;
pub mod fork;
#[cfg(not(all(shuttle, feature = "shuttle")))]
pub mod futex;
pub mod random;
pub mod sigbus;
#[cfg(feature = "fault")]
pub mod sim;
pub mod thread;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

#[cfg(all(shuttle, feature = "shuttle"))]
pub(crate) use crate::sync::futex;

pub use handoff::Handoff;
pub use mapping::{Kept, Mapping, Populated};
pub use random::Random;
pub use real::{MemoryDisk, RealDisk};

/// The unit in which the page cache writes back, and of the blocks that a commit costs.
#[cfg(feature = "fault")]
pub const PAGE_SIZE: usize = 4096;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads only.
    Read,
    /// Reads, writes and writable mappings.
    Write,
}

/// What [`Disk::make_dir`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The directory is new.
    Created,
    /// The directory was there.
    Existed,
}

/// What is known of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext2, ext3 or ext4.
    Ext,
    /// XFS.
    Xfs,
    /// tmpfs: nothing survives a power cut, mapped appends are safe otherwise.
    Tmpfs,
    /// overlayfs: whatever lies below.
    Overlay,
    /// btrfs: a store into a synced page can fail on a full disk.
    Btrfs,
    /// Any other, by the magic number that `statfs` gives.
    Other(u64),
}

/// Which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode on it.
    pub inode: u64,
}

/// Names, directories and locks.
///
/// Every method is one operation for the purposes of fault injection. Paths are used as they are given.
pub trait Disk: Debug + Send + Sync {
    /// Makes the directory `dir` with mode 0700, if it is not there. Its parent must exist.
    ///
    /// # Errors
    /// `NotADirectory` if something else has the name.
    fn make_dir(&self, dir: &Path) -> io::Result<Made>;

    /// The names in `dir`, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the exclusive lock on the file `path`, creating the file with mode 0600 if it is not there.
    ///
    /// The lock dies with the returned value, with the process, and in a forked child (where the descriptor is closed).
    ///
    /// # Errors
    /// `WouldBlock` if another handle, in this process or another, holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>>;

    /// Creates a new empty file with mode 0600 and opens it for writing.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken, by whatever it may be.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file.
    ///
    /// # Errors
    /// `NotFound`; `InvalidInput` if it is not a regular file with exactly one link on the device of its directory, so
    /// that neither a symbolic link nor a hard link, pipe or device can stand in for a part of the log.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives the file `from` the name `to`, replacing what had it. A directory replaces no file, and no directory that is
    /// not empty.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name `path` of a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes the empty directory `dir`.
    ///
    /// # Errors
    /// `DirectoryNotEmpty`.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// The file system on which `dir` lies.
    fn file_system(&self, dir: &Path) -> io::Result<FileSystem>;
}

/// A held lock; dropping it releases it.
pub trait Lock: Debug + Send + Sync {}

/// One open file.
pub trait DiskFile: Debug + Send + Sync {
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Which file it is.
    ///
    /// # Errors
    /// Those of `fstat`.
    fn id(&self) -> io::Result<FileId>;

    /// Extends the file to `size` bytes and reserves blocks for all of them. New bytes read as zero.
    ///
    /// # Errors
    /// `StorageFull`, `QuotaExceeded`, `FileTooLarge`: the file may be partly extended.
    fn allocate(&self, size: u64) -> io::Result<()>;

    /// Cuts the file to `size` bytes. The caller knows of no mapping in use beyond.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Fills `buffer` from `offset` on; returns the count of bytes read, less than `buffer.len()` only at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes and the length of the file durable; not its name.
    fn sync(&self) -> io::Result<()>;

    /// Gives the file blocks of its own in `range`, wherever another file shares them after a copy by reflink; returns the
    /// count of bytes that were shared. The bytes stay as they are, and no store into them needs a block any more.
    ///
    /// The cache may hold the range in large folios afterwards, see [`DiskFile::drop_cache`].
    ///
    /// # Errors
    /// `StorageFull`, `QuotaExceeded`: some of the range may still be shared.
    fn unshare(&self, range: Range<u64>) -> io::Result<u64>;

    /// Tells the kernel that reads are not sequential, so that it builds no large folios (they would make each later
    /// sync of a small store write all of the folio).
    fn advise_random(&self) -> io::Result<()>;

    /// Drops clean cached pages of the file.
    fn drop_cache(&self) -> io::Result<()>;

    /// Maps the first `size` bytes, which must exist: shared, and writable if the file was opened so. The mapping is
    /// not inherited by forked children and outlives the descriptor.
    ///
    /// # Errors
    /// `InvalidInput` if the file is shorter than `size`; `OutOfMemory` if no mapping can be had.
    fn map(&self, size: usize) -> io::Result<Mapping>;
}
