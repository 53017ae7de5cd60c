//! [`LiveSource`]: the bytes of a segment that another process may be writing, or about to use again.
//!
//! # Invariants
//! * L1. After each read of the file, and before a byte of it is looked at, the header is read again: it must show the
//!   activation under which the segment was opened. A file that was used again shows another, or none, because its header is
//!   stored and synced before its first new frame. So what is looked at was read in the life that it is checked against, and
//!   the checksum need not tell lives apart alone.
//! * L2. The header and the bytes come from one open file, whatever happens to its name.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::format::{Activation, Manifest, Salt, Source};
use crate::lsn::Lsn;
use crate::segment::{Directory, FileSource};
use crate::sys::Access;
use crate::wal::recover::header_of;

/// How much of a live segment is read at a time.
const STEP: usize = 64 << 10;

/// The bytes of one activated segment, in one life.
#[derive(Debug)]
pub(super) struct LiveSource {
    source: FileSource,
    path: PathBuf,
    id: u32,
    manifest: Manifest,
    salt: Salt,
    /// How many reads the header was checked after (L1).
    checked: u64,
}

impl LiveSource {
    /// Opens segment `id`; `None` if there is no such file, or it is not activated.
    pub(super) fn open(
        directory: &Directory,
        id: u32,
        manifest: &Manifest,
    ) -> Result<Option<(Self, Activation)>> {
        let path = directory.segment(id);
        let file = match directory.disk().open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("cannot open a segment", &path, error)),
        };
        let found = header_of(&*file, &path, id, manifest)?;
        let Some(&activation) = found.activation() else {
            return Ok(None);
        };
        let source = FileSource::new(Arc::clone(&file), manifest.segment_size)
            .map_err(|error| Error::io("cannot read a segment", &path, error))?;
        let live = Self {
            source: source.in_steps_of(STEP),
            path,
            id,
            manifest: manifest.clone(),
            salt: activation.salt,
            checked: 0,
        };
        Ok(Some((live, activation)))
    }

    /// Has the bytes read again: the writer has gone on.
    pub(super) fn forget(&mut self) {
        self.source.forget();
    }

    /// An error for a read that failed at `at`.
    pub(super) fn failed(&self, at: Lsn, error: io::Error) -> Error {
        Error::io("cannot read a segment", &self.path, error).at_lsn(at)
    }

    fn check_life(&self) -> io::Result<()> {
        let found = header_of(self.source.file(), &self.path, self.id, &self.manifest);
        let found = found.map_err(io::Error::other)?;
        let same = found
            .activation()
            .is_some_and(|activation| activation.salt == self.salt);
        if same {
            Ok(())
        } else {
            Err(io::Error::other("its file was used again"))
        }
    }
}

impl Source for LiveSource {
    fn bytes(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        self.source.bytes(offset, len)?;
        if self.source.reads() != self.checked {
            self.check_life()?;
            self.checked = self.source.reads();
        }
        self.source.bytes(offset, len)
    }

    fn size(&self) -> u64 {
        self.source.size()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::format::FIRST_FRAME;
    use crate::wal::Wal;

    /// The frames of the life before are still there and would pass: they belong to a segment that is gone.
    #[test]
    fn bytes_are_thrown_away_when_the_header_has_changed_since() {
        let dir = testkit::TempDir::in_memory();
        let mut options = crate::options::WalOptions::new();
        let wal = options.segment_size(8192).open(dir.path()).unwrap();
        wal.append(b"of this life").unwrap();
        let reader = Wal::open_read_only(dir.path()).unwrap();
        let opened = LiveSource::open(&reader.directory, 1, &reader.manifest);
        let (mut source, _) = opened.unwrap().unwrap();
        let frame = source.bytes(FIRST_FRAME, 24).unwrap().to_vec();
        let file = File::options()
            .write(true)
            .open(reader.directory.segment(1))
            .unwrap();
        file.write_all_at(&[0; 512], 512).unwrap();
        assert_eq!(source.bytes(FIRST_FRAME, 24).unwrap(), frame, "read before");
        source.forget();
        let error = source.bytes(FIRST_FRAME, 24).unwrap_err();
        assert!(error.to_string().contains("used again"), "{error}");
        let again = LiveSource::open(&reader.directory, 1, &reader.manifest);
        assert!(again.unwrap().is_none(), "it is not activated");
    }
}
