//! [`RealLock`]: `flock` on a file, which the kernel releases with the process.
//!
//! Whoever removes the lock file between another's open and its lock would let two hold "the lock": so the name is looked
//! at again once the lock is held. The lock belongs to the open file, not to the process, so a forked child shares it:
//! [`fork`] closes the child's descriptor, and the parent unlocks explicitly, which ends a leaked copy's lock too.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::fork::{self, Registration};
use super::super::{Access, Lock};
use super::{check_owner, check_writable, open_file, parent};

#[derive(Debug)]
pub(super) struct RealLock {
    /// Taken only by drop.
    held: Option<(File, Registration)>,
}

impl RealLock {
    /// Takes the lock, or fails with `WouldBlock`.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        loop {
            let (file, registration) = lock_found(path)?;
            if is_named(&file, path)? {
                return Ok(Self {
                    held: Some((file, registration)),
                });
            }
        }
    }
}

impl Lock for RealLock {}

impl Drop for RealLock {
    fn drop(&mut self) {
        let Some((file, registration)) = self.held.take() else {
            return;
        };
        if registration.is_inherited() {
            // The number is closed already and may name another's file by now.
            let _closed = file.into_raw_fd();
            return;
        }
        // Before the number is given back, so that no child closes another's file.
        drop(registration);
        // Closing releases the lock as well, unless a child has a copy: an error here loses nothing.
        drop(file.unlock());
    }
}

/// Locks whatever file has the name now.
fn lock_found(path: &Path) -> io::Result<(File, Registration)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    // Before the file is made in somebody else's directory.
    let dir = parent(path);
    check_owner(&fs::metadata(dir)?)?;
    check_writable(dir)?;
    let file = open_file(&mut options, path, Access::Write)?;
    try_lock(&file)?;
    let registration = fork::register(file.as_raw_fd())?;
    Ok((file, registration))
}

fn try_lock(file: &File) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_named(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok(named.dev() == held.dev() && named.ino() == held.ino()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::super::ScratchDir;
    use super::*;

    #[test]
    fn second_handle_is_refused_until_the_first_is_dropped() {
        let scratch = ScratchDir::new();
        let path = scratch.path("LOCK");
        let lock = RealLock::take(&path).unwrap();
        assert_eq!(
            RealLock::take(&path).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        drop(lock);
        RealLock::take(&path).unwrap();
    }

    #[test]
    fn lock_on_a_file_that_lost_its_name_does_not_count() {
        let scratch = ScratchDir::new();
        let path = scratch.path("LOCK");
        let (file, registration) = lock_found(&path).unwrap();
        assert!(is_named(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_named(&file, &path).unwrap());
        let lock = RealLock::take(&path).unwrap();
        assert!(!is_named(&file, &path).unwrap());
        drop((lock, registration));
    }

    #[test]
    fn removing_the_file_never_lets_two_hold_the_lock() {
        let scratch = ScratchDir::new();
        let path = scratch.path("LOCK");
        let holders = AtomicU32::new(0);
        let contend = || {
            for _ in 0..300 {
                let Ok(lock) = RealLock::take(&path) else {
                    continue;
                };
                // Relaxed: the count alone matters.
                assert_eq!(holders.fetch_add(1, Ordering::Relaxed), 0);
                thread::yield_now();
                // Relaxed: as above.
                holders.fetch_sub(1, Ordering::Relaxed);
                fs::remove_file(&path).unwrap();
                drop(lock);
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(contend);
            }
        });
    }
}
