//! Logs in memory, for unit tests of those who embed the log: everything but outliving the process.

use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::options::WalOptions;
use crate::sys::{MemoryDisk, Random};

use super::open::{Setting, open};
use super::signals::Staffing;
use super::{Wal, WalReader};

/// What the directory of such a log is called.
const NAME: &str = "in-memory";
/// Small, since unit tests are many and short.
const SEGMENT_SIZE: u64 = 1 << 20;

impl Wal {
    /// A new log without a file system, for unit tests: with segments of 1 MiB and else the default options.
    ///
    /// It has the same threads and does the same as a log on a disk, but is gone with its last handle, or with the process,
    /// and leaves nothing behind. What a power cut leaves is not its subject: see the feature `fault` for that.
    ///
    /// # Errors
    /// [`OutOfResources`](crate::ErrorKind::OutOfResources): each file of the log takes a descriptor, and its memory.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// let wal = segwal::Wal::in_memory()?;
    /// let lsn = wal.append(b"tested")?;
    /// wal.sync_to(lsn)?;
    /// assert_eq!(&*wal.get(lsn)?, b"tested");
    /// assert_eq!(wal.reader()?.get(lsn)?.payload(), b"tested");
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_memory() -> Result<Self> {
        let mut options = WalOptions::new();
        options.segment_size(SEGMENT_SIZE).preallocate_segments(1);
        options.open_in_memory()
    }

    /// A reader of this log, as [`open_read_only`](Self::open_read_only) gives one to another process: it sees what is in the
    /// files, and outlives the log. For a log in memory it is the only one.
    ///
    /// # Errors
    /// As [`open_read_only`](Self::open_read_only).
    pub fn reader(&self) -> Result<WalReader> {
        WalReader::of(self.shared().directory.clone())
    }
}

impl WalOptions {
    /// Opens a new log without a file system, as [`Wal::in_memory`] does, with these options.
    ///
    /// Two segments are filled with zeros at once, so smaller ones than the default are quicker to make.
    ///
    /// # Errors
    /// [`InvalidOption`](crate::ErrorKind::InvalidOption); otherwise as [`Wal::in_memory`].
    pub fn open_in_memory(&self) -> Result<Wal> {
        let setting = Setting {
            disk: Arc::new(MemoryDisk::default()),
            random: Arc::new(Random::system()),
            staffing: Staffing::Threads,
            boot: [0; 16],
        };
        open(self, Path::new(NAME), &setting)
    }
}
