//! [`RealDisk`]: names, directories and locks of the operating system.
//!
//! Nothing is trusted that another user could have put in the directory: a name opens only if it is a regular file with
//! one link, on the device of its directory, reached through no symbolic link, and without waiting for a pipe's other end;
//! and for writing only if it belongs to the user that this process runs as, or its owner could not open the log again.
//! Directories get mode 0700 and files 0600 in the call that makes them, so that there is no moment in which others can
//! open them. No descriptor stays 0, 1 or 2, where a stray write to the standard streams would go into the log: in a process
//! without these streams a file has such a number for the instant between two calls.

#![expect(unsafe_code, reason = "statfs and fcntl have no wrapper in std")]

mod call;
mod file;
mod lock;
mod memory;
#[cfg(test)]
mod scratch;
mod shared;

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use super::{Access, Disk, DiskFile, FileSystem, Lock, Made};
use file::RealFile;
use lock::RealLock;
pub use memory::MemoryDisk;
#[cfg(test)]
pub(super) use scratch::ScratchDir;

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The disk of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn make_dir(&self, dir: &Path) -> io::Result<Made> {
        match DirBuilder::new().mode(DIR_MODE).create(dir) {
            Ok(()) => Ok(Made::Created),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::metadata(dir)?.is_dir() {
                    Ok(Made::Existed)
                } else {
                    Err(ErrorKind::NotADirectory.into())
                }
            }
            Err(error) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECTORY);
        file::sync(&above_standard_streams(options.open(dir)?)?)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        Ok(Box::new(RealLock::take(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        Ok(Arc::new(RealFile::new(
            open_file(&mut options, path, Access::Write)?,
            Access::Write,
        )))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Write);
        Ok(Arc::new(RealFile::new(
            open_file(&mut options, path, access)?,
            access,
        )))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the method that the others shall use"
    )]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn file_system(&self, dir: &Path) -> io::Result<FileSystem> {
        Ok(match magic(dir)? {
            0xEF53 => FileSystem::Ext,
            0x5846_5342 => FileSystem::Xfs,
            0x0102_1994 => FileSystem::Tmpfs,
            0x794C_7630 => FileSystem::Overlay,
            0x9123_683E => FileSystem::Btrfs,
            other => FileSystem::Other(other),
        })
    }
}

/// Opens `path` and makes sure that it is what it seems.
fn open_file(options: &mut OpenOptions, path: &Path, access: Access) -> io::Result<File> {
    // A pipe would wait for its other end; O_CLOEXEC is std's default.
    options
        .mode(FILE_MODE)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = above_standard_streams(options.open(path).map_err(refuse_others)?)?;
    check_regular(&file, path)?;
    if access == Access::Write {
        check_owner(&file.metadata()?)?;
    }
    Ok(file)
}

/// Those errors of open that only a link, a pipe, a socket or a directory causes.
fn refuse_others(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENXIO | libc::EISDIR) => not_regular("it is not a regular file"),
        _ => error,
    }
}

fn check_regular(file: &File, path: &Path) -> io::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(not_regular("it is not a regular file"));
    }
    if found.nlink() == 0 {
        // Removed since it was opened.
        return Err(ErrorKind::NotFound.into());
    }
    if found.nlink() != 1 {
        return Err(not_regular("it does not have exactly one name"));
    }
    if found.dev() != fs::metadata(parent(path))?.dev() {
        return Err(not_regular("it is on another device than its directory"));
    }
    Ok(())
}

/// New segments need names: a directory that gives none is refused when the log is opened, not at the first rotation.
fn check_writable(dir: &Path) -> io::Result<()> {
    let dir = CString::new(dir.as_os_str().as_bytes())?;
    let mode = libc::W_OK | libc::X_OK;
    // SAFETY: the path ends in a zero byte.
    match unsafe { libc::faccessat(libc::AT_FDCWD, dir.as_ptr(), mode, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A log that several users write to ends with files that one of them cannot open.
fn check_owner(found: &Metadata) -> io::Result<()> {
    // SAFETY: reads a number of this process.
    let user = unsafe { libc::geteuid() };
    let owner = found.uid();
    if owner == user {
        return Ok(());
    }
    let what = format!("it belongs to user {owner}, and this process runs as user {user}");
    Err(io::Error::new(ErrorKind::PermissionDenied, what))
}

fn not_regular(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn above_standard_streams(file: File) -> io::Result<File> {
    if file.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(file);
    }
    let least = libc::STDERR_FILENO + 1;
    // SAFETY: the descriptor is open as long as `file` lives; the call touches no memory.
    let copy = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) }.into())
}

/// The number by which the file system of `dir` is known.
fn magic(dir: &Path) -> io::Result<u64> {
    let dir = CString::new(dir.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    loop {
        // SAFETY: the path ends in a zero byte, and the kernel may write the whole structure.
        if unsafe { libc::statfs(dir.as_ptr(), found.as_mut_ptr()) } == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: the call succeeded, so the structure is written.
    let magic = unsafe { found.assume_init() }.f_type;
    // No machine with 64-bit numbers has negative ones here.
    Ok(u64::try_from(magic).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_made_belongs_to_its_owner_alone() {
        let scratch = ScratchDir::new();
        let dir = scratch.path("log");
        assert_eq!(RealDisk.make_dir(&dir).unwrap(), Made::Created);
        assert_eq!(RealDisk.make_dir(&dir).unwrap(), Made::Existed);
        RealDisk.create(&dir.join("1.seg")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), DIR_MODE);
        assert_eq!(mode(&dir.join("1.seg")), FILE_MODE);
    }

    #[test]
    fn names_come_and_go() {
        let scratch = ScratchDir::new();
        let (a, b) = (scratch.path("a"), scratch.path("b"));
        RealDisk.create(&a).unwrap().write_at(0, b"a").unwrap();
        assert_eq!(
            RealDisk.create(&a).unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        RealDisk.create(&b).unwrap();
        RealDisk.rename(&a, &b).unwrap();
        RealDisk.sync_dir(scratch.dir()).unwrap();
        assert_eq!(RealDisk.list(scratch.dir()).unwrap(), ["b"]);
        assert_eq!(fs::read(&b).unwrap(), b"a");
        RealDisk.remove(&b).unwrap();
        assert_eq!(
            RealDisk.open(&b, Access::Read).unwrap_err().kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn file_under_the_name_of_a_directory_is_refused() {
        let scratch = ScratchDir::new();
        RealDisk.create(&scratch.path("log")).unwrap();
        let error = RealDisk.make_dir(&scratch.path("log")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
    }

    #[test]
    fn only_a_regular_file_with_one_name_opens() {
        let scratch = ScratchDir::new();
        let refused = |name: &str| {
            for access in [Access::Read, Access::Write] {
                let error = RealDisk.open(&scratch.path(name), access).unwrap_err();
                assert_eq!(
                    error.kind(),
                    ErrorKind::InvalidInput,
                    "{name} {access:?}: {error}"
                );
            }
        };
        RealDisk.create(&scratch.path("file")).unwrap();
        RealDisk.open(&scratch.path("file"), Access::Write).unwrap();
        symlink(scratch.path("file"), scratch.path("link")).unwrap();
        refused("link");
        fs::hard_link(scratch.path("file"), scratch.path("other name")).unwrap();
        refused("file");
        RealDisk.make_dir(&scratch.path("dir")).unwrap();
        refused("dir");
        let _listener = UnixListener::bind(scratch.path("socket")).unwrap();
        refused("socket");
        let pipe = CString::new(scratch.path("pipe").as_os_str().as_bytes()).unwrap();
        // SAFETY: the path ends in a zero byte.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        refused("pipe");
    }

    #[test]
    fn proc_is_no_file_system_for_a_log() {
        let proc = RealDisk.file_system(Path::new("/proc")).unwrap();
        assert_eq!(proc, FileSystem::Other(0x9FA0));
    }

    #[test]
    fn path_without_a_directory_lies_in_the_current_one() {
        assert_eq!(parent(Path::new("1.seg")), Path::new("."));
        assert_eq!(parent(Path::new("log/1.seg")), Path::new("log"));
    }
}
