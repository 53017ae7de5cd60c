//! [`RealFile`]: one open file of the operating system.

#![expect(
    unsafe_code,
    reason = "fallocate and posix_fadvise have no wrapper in std"
)]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::super::thread::without_file_size_signal;
use super::super::{Access, DiskFile, FileId, Mapping};
use super::call::uninterrupted;
use super::shared;

#[derive(Debug)]
pub(super) struct RealFile {
    file: File,
    access: Access,
}

impl RealFile {
    pub(super) const fn new(file: File, access: Access) -> Self {
        Self { file, access }
    }
}

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn id(&self) -> io::Result<FileId> {
        let found = self.file.metadata()?;
        Ok(FileId {
            device: found.dev(),
            inode: found.ino(),
        })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        let size = libc::off_t::try_from(size).map_err(|_| ErrorKind::FileTooLarge)?;
        without_file_size_signal(|| fallocate(&self.file, size))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the method that the others shall not use"
    )]
    fn truncate(&self, size: u64) -> io::Result<()> {
        if size > self.len()? {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "truncate does not extend a file",
            ));
        }
        self.file.set_len(size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while count < buffer.len() {
            match self
                .file
                .read_at(&mut buffer[count..], offset + count as u64)
            {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        without_file_size_signal(|| self.file.write_all_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        sync(&self.file)
    }

    fn unshare(&self, range: Range<u64>) -> io::Result<u64> {
        shared::unshare(&self.file, &range)
    }

    fn advise_random(&self) -> io::Result<()> {
        advise(&self.file, libc::POSIX_FADV_RANDOM)
    }

    fn drop_cache(&self) -> io::Result<()> {
        advise(&self.file, libc::POSIX_FADV_DONTNEED)
    }

    fn map(&self, size: usize) -> io::Result<Mapping> {
        if size == 0 || self.len()? < size as u64 {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "the file is too short to be mapped",
            ));
        }
        Mapping::of_file(&self.file, size, self.access)
    }
}

/// Flushes a file, or a directory.
#[expect(
    clippy::disallowed_methods,
    reason = "the function that the others shall use; std goes on after a signal"
)]
pub(super) fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// `fallocate(2)` itself: the C library's `posix_fallocate` would write into every block where the file system cannot
/// allocate, which takes long and reserves nothing on a file system that copies on write.
fn fallocate(file: &File, size: libc::off_t) -> io::Result<()> {
    let allocated = uninterrupted(|| {
        // SAFETY: the descriptor is open as long as `file` lives; the call touches no memory.
        unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size) }
    });
    allocated.map_err(|error| match error.raw_os_error() {
        Some(libc::EOPNOTSUPP | libc::ENOSYS) => io::Error::new(
            ErrorKind::Unsupported,
            "the file system cannot allocate ahead",
        ),
        _ => error,
    })
}

fn advise(file: &File, advice: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `file` lives; the call touches no memory.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;
    use std::{env, fs};

    use super::super::super::{Disk, RealDisk};
    use super::super::ScratchDir;
    use super::*;

    fn create(scratch: &ScratchDir) -> Arc<dyn DiskFile> {
        RealDisk.create(&scratch.path("file")).unwrap()
    }

    #[test]
    fn allocated_file_has_its_blocks_and_reads_as_zero() {
        let scratch = ScratchDir::new();
        let file = create(&scratch);
        file.allocate(65536).unwrap();
        assert_eq!(file.len().unwrap(), 65536);
        assert!(fs::metadata(scratch.path("file")).unwrap().blocks() * 512 >= 65536);
        let mut buffer = [1; 10];
        assert_eq!(file.read_at(65530, &mut buffer).unwrap(), 6);
        assert_eq!(buffer, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn written_bytes_stay_when_the_file_is_cut_behind_them() {
        let scratch = ScratchDir::new();
        let file = create(&scratch);
        file.write_at(3, b"abcdef").unwrap();
        file.truncate(6).unwrap();
        assert_eq!(
            file.truncate(7).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
        file.sync().unwrap();
        file.advise_random().unwrap();
        file.drop_cache().unwrap();
        let mut buffer = [9; 8];
        assert_eq!(file.read_at(0, &mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"\0\0\0abc");
    }

    #[test]
    fn short_file_is_not_mapped() {
        let scratch = ScratchDir::new();
        let file = create(&scratch);
        file.allocate(4096).unwrap();
        assert_eq!(file.map(4097).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(file.map(0).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(file.map(4096).unwrap().size(), 4096);
    }

    /// The limit holds for all of the process, so a process of its own has it.
    #[test]
    fn limit_on_file_sizes_is_an_error_and_no_signal() {
        const CHILD: &str = "SEGWAL_TEST_FILE_SIZE_LIMIT";
        if env::var_os(CHILD).is_some() {
            return exceed_limit();
        }
        let name = "limit_on_file_sizes_is_an_error_and_no_signal";
        let path = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
        let mut command = Command::new(env::current_exe().unwrap());
        let output = command
            .args([&path, "--exact"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("1 passed"),
            "{output:?}"
        );
    }

    fn exceed_limit() {
        let limit = libc::rlimit {
            rlim_cur: 4096,
            rlim_max: 4096,
        };
        // SAFETY: the structure lives throughout the call.
        let result = unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        assert_eq!(result, 0);
        let scratch = ScratchDir::new();
        let file = create(&scratch);
        file.allocate(4096).unwrap();
        assert_eq!(
            file.allocate(8192).unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
        assert_eq!(
            file.write_at(4096, b"x").unwrap_err().kind(),
            ErrorKind::FileTooLarge
        );
    }
}
