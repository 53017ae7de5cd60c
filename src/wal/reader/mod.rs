//! [`WalReader`]: a log read by a process that does not write it, beside one that may.
//!
//! It takes no lock and writes nothing. Bytes are copied by `pread` before they are checked, and what is handed out is the
//! copy: a writer that goes on appending, or recycles a segment, can only make a check fail. A frame that passes is
//! genuine, because its checksum covers its position and the salt of its segment's life.

mod ahead;
mod contents;
mod copy;
mod course;
mod follow;
mod inspection;
mod live;
mod record;
mod records;
mod segments;
mod stretch;
mod verify;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::verdict::{CookieState, Findings, SOUND, judge};
use crate::format::{Cookie, Manifest, Uuid};
use crate::lsn::Lsn;
use crate::segment::{COOKIE, Directory};
use crate::sys::{Disk, RealDisk};

use super::holds::StoredHold;
use super::recover::{Found, Survey, manifest_missing, read_cookie, read_headers, read_manifest};

pub use contents::SegmentContents;
pub use copy::{CopyReport, OnDamage};
pub use follow::Follower;
pub use inspection::{Identity, Inspection, Positions};
pub use record::OwnedRecord;
pub use records::ReaderRecords;
pub use segments::{SegmentInfo, SegmentState};
pub use verify::{Verdict, VerdictKind};

/// A log open for reading. See [`Wal::open_read_only`](crate::Wal::open_read_only).
#[derive(Debug)]
pub struct WalReader {
    directory: Directory,
    manifest: Manifest,
}

impl WalReader {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        Self::open_with(Arc::new(RealDisk), dir)
    }

    /// Reads the log in `dir` on a simulated disk.
    ///
    /// # Errors
    /// As [`Wal::open_read_only`](crate::Wal::open_read_only).
    #[cfg(feature = "fault")]
    pub fn open_on(disk: &crate::sys::sim::SimDisk, dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(Arc::new(disk.clone()), dir.as_ref())
    }

    fn open_with(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self> {
        Self::of(Directory::new(disk, dir.to_owned()))
    }

    pub(crate) fn of(directory: Directory) -> Result<Self> {
        let dir = directory.path();
        let list = directory
            .disk()
            .list(dir)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => no_log(dir),
                _ => Error::io("cannot list the directory of the log", dir, error),
            })?;
        if list.is_empty() {
            return Err(no_log(dir));
        }
        let survey = Survey::of(&directory)?;
        if survey.is_blank() {
            return Err(no_log(dir));
        }
        if !survey.has_manifest {
            return Err(manifest_missing(&directory));
        }
        let manifest = read_manifest(&directory)?;
        Ok(Self {
            directory,
            manifest,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The identity of the log.
    pub fn uuid(&self) -> Uuid {
        self.manifest.uuid
    }

    /// The embedder's own bytes.
    pub fn user_header(&self) -> &[u8] {
        &self.manifest.user_header
    }

    /// The size of each segment, in bytes.
    pub fn segment_size(&self) -> u64 {
        self.manifest.segment_size
    }

    /// Where the log begins, as `COOKIE` says now.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) if `COOKIE` is missing or has no valid head; [`Io`](ErrorKind::Io).
    pub fn head(&self) -> Result<Lsn> {
        let cookie = self
            .cookie()?
            .ok_or_else(|| self.without_cookie(CookieState::Missing))?;
        let head = cookie.head.ok_or_else(|| {
            let error = self.without_cookie(CookieState::WithoutHead);
            match cookie.head_fault {
                Some(fault) => error.caused_by(fault),
                None => error,
            }
        })?;
        Ok(head.lsn)
    }

    /// What is known to be durable, as `COOKIE` says now: it may be less than the truth.
    ///
    /// # Errors
    /// As [`head`](Self::head).
    pub fn durable(&self) -> Result<Lsn> {
        let head = self.head()?;
        let durable = self.cookie()?.and_then(|cookie| cookie.durable);
        Ok(durable.map_or(head, |slot| slot.lsn.max(head)))
    }

    fn without_cookie(&self, cookie: CookieState) -> Error {
        judge(Findings { cookie, ..SOUND })
            .refuse("where the log begins is not known")
            .at_path(&self.directory.file(COOKIE))
    }

    fn cookie(&self) -> Result<Option<Cookie>> {
        read_cookie(&self.directory, &self.manifest.uuid)
    }

    /// The named holds, by name: what their files say. One that is damaged is among them, with its
    /// [problem](StoredHold::problem).
    ///
    /// # Errors
    /// [`Io`](ErrorKind::Io) if the directory cannot be listed.
    pub fn holds(&self) -> Result<Vec<StoredHold>> {
        let names = Survey::of(&self.directory)?.holds;
        let read = |name: &String| StoredHold::read(&self.directory, name, &self.manifest.uuid);
        // One that was released meanwhile is none.
        let found = names.iter().map(read).filter(|hold| !hold.is_gone());
        Ok(found.collect())
    }

    /// The headers of all segments. A file that was renamed or removed between listing and opening is looked for again.
    fn files(&self) -> Result<BTreeMap<u32, Found>> {
        loop {
            let segments = Survey::of(&self.directory)?.segments;
            let found = read_headers(&self.directory, &segments, &self.manifest);
            if found.is_ok() || Survey::of(&self.directory)?.segments == segments {
                return found;
            }
        }
    }
}

#[cold]
fn discarded(lsn: Lsn, head: Lsn) -> Error {
    Error::new(ErrorKind::Discarded, "the record was discarded")
        .at_lsn(lsn)
        .advise(format!("read on from the head, {head}"))
}

fn no_log(dir: &Path) -> Error {
    Error::new(ErrorKind::NotFound, "there is no log")
        .at_path(dir)
        .advise("name the directory of a log")
}
