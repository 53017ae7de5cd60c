//! [`FileSource`]: the bytes of a segment for a scan, by `pread` in steps of a mebibyte, or of what its user says.
//!
//! A scan through a mapping would fault page by page, and one with read-ahead would leave large folios behind, which
//! each later sync of a small store would write in whole. So the file is read with random access announced, and its
//! clean pages are dropped afterwards.

use std::io;
use std::sync::Arc;

use crate::format::Source;
use crate::sys::DiskFile;

const STEP: usize = 1 << 20;

/// The bytes of one segment's file.
#[derive(Debug)]
pub(crate) struct FileSource {
    file: Arc<dyn DiskFile>,
    size: u64,
    window: Vec<u8>,
    /// Where the window begins in the file.
    begin: u64,
    step: usize,
    reads: u64,
}

impl FileSource {
    /// The first `size` bytes of `file`.
    pub(crate) fn new(file: Arc<dyn DiskFile>, size: u64) -> io::Result<Self> {
        file.advise_random()?;
        Ok(Self {
            file,
            size,
            window: Vec::new(),
            begin: 0,
            step: STEP,
            reads: 0,
        })
    }

    /// Reads at least `step` bytes at a time.
    pub(crate) fn in_steps_of(mut self, step: usize) -> Self {
        self.step = step;
        self
    }

    /// The file.
    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// How many times the file was read.
    pub(crate) fn reads(&self) -> u64 {
        self.reads
    }

    /// Gives up what was read, so that the file is read again.
    pub(crate) fn forget(&mut self) {
        self.window.clear();
    }

    fn covers(&self, offset: u64, len: usize) -> bool {
        offset >= self.begin && offset + len as u64 <= self.begin + self.window.len() as u64
    }

    fn fill(&mut self, offset: u64, len: usize) -> io::Result<()> {
        let room = usize::try_from(self.size - offset).unwrap_or(usize::MAX);
        self.window.resize(len.max(self.step).min(room), 0);
        self.begin = offset;
        self.reads += 1;
        let read = self.file.read_at(offset, &mut self.window)?;
        self.window.truncate(read);
        if read < len {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }
}

impl Source for FileSource {
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        if offset + len as u64 > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !self.covers(offset, len) {
            self.fill(offset, len)?;
        }
        let at = usize::try_from(offset - self.begin).unwrap_or(usize::MAX);
        Ok(&self.window[at..at + len])
    }

    fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for FileSource {
    fn drop(&mut self) {
        // Advice: a cache that stays is no error.
        drop(self.file.drop_cache());
    }
}
