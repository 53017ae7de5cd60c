//! [`MemoryDisk`]: files without a file system, for logs that need not outlive their process.
//!
//! Each file is memory of the kernel's (`memfd_create`), so everything but names works as on a disk: mappings, reads beside
//! stores, what a cut file means. The names are a table here. What nobody has open or mapped any more is gone, and so is
//! all of it with the process, however that ends.
//!
//! Limits: one directory; a descriptor for each file.

#![expect(unsafe_code, reason = "memfd_create has no wrapper in std")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::{Access, Disk, DiskFile, FileSystem, Lock, Made};
use super::above_standard_streams;
use super::file::RealFile;

/// A disk of its own: what another one has it does not see.
#[derive(Debug, Default)]
pub struct MemoryDisk {
    files: Mutex<BTreeMap<PathBuf, File>>,
    /// Held twice while a lock is.
    lock: Arc<()>,
}

#[derive(Debug)]
struct MemoryLock(#[expect(dead_code, reason = "counted")] Arc<()>);

impl Lock for MemoryLock {}

impl MemoryDisk {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for MemoryDisk {
    fn make_dir(&self, _: &Path) -> io::Result<Made> {
        Ok(Made::Existed)
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        let files = self.files();
        let names = files.keys().filter_map(|path| path.file_name());
        Ok(names.map(OsString::from).collect())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Lock>> {
        let _files = self.files();
        if Arc::strong_count(&self.lock) > 1 {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(MemoryLock(Arc::clone(&self.lock))))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = self.files();
        if files.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = above_standard_streams(anonymous_file()?)?;
        let handle = RealFile::new(file.try_clone()?, Access::Write);
        files.insert(path.to_owned(), file);
        Ok(Arc::new(handle))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let files = self.files();
        let file = files.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Arc::new(RealFile::new(file.try_clone()?, access)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.files().remove(path);
        removed.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn file_system(&self, _: &Path) -> io::Result<FileSystem> {
        Ok(FileSystem::Tmpfs)
    }
}

/// A file that only its descriptors and mappings keep.
fn anonymous_file() -> io::Result<File> {
    // SAFETY: the name is a string that ends in zero.
    let descriptor = unsafe { libc::memfd_create(c"segwal".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a descriptor that is nobody else's.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(File::from(descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_locks_are_those_of_a_directory() {
        let disk = MemoryDisk::default();
        let (a, b) = (Path::new("log/a"), Path::new("log/b"));
        let kind = |result: io::Result<Arc<dyn DiskFile>>| result.map(drop).unwrap_err().kind();
        assert_eq!(kind(disk.open(a, Access::Read)), ErrorKind::NotFound);
        let file = disk.create(a).unwrap();
        assert_eq!(kind(disk.create(a)), ErrorKind::AlreadyExists);
        file.write_at(0, b"bytes").unwrap();
        disk.create(b).unwrap();
        disk.rename(a, b).unwrap();
        assert_eq!(disk.list(Path::new("log")).unwrap(), ["b"]);
        let mut buffer = [0; 5];
        let same = disk.open(b, Access::Read).unwrap();
        assert_eq!(same.read_at(0, &mut buffer).unwrap(), 5);
        assert_eq!(
            (&buffer, same.id().unwrap()),
            (b"bytes", file.id().unwrap())
        );
        assert!(
            same.write_at(0, b"x").is_ok(),
            "access is the mapping's affair"
        );
        disk.remove(b).unwrap();
        assert_eq!(disk.remove(b).unwrap_err().kind(), ErrorKind::NotFound);

        let lock = disk.lock(a).unwrap();
        assert_eq!(disk.lock(a).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(lock);
        drop(disk.lock(a).unwrap());
    }
}
