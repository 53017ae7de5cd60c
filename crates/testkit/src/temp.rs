//! A directory of a test's own, removed with everything in it when the test ends, panicking or not.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::record::target_directory;

/// A temporary directory; dropping it removes it.
#[derive(Debug)]
pub struct TempDir {
    inner: tempfile::TempDir,
}

impl TempDir {
    /// On the file system of the target directory, for checks that need a real disk below them.
    pub fn on_disk() -> Self {
        Self::new_in(&target_directory().join("tmp"))
    }

    /// In memory where the system offers it, for checks that run many times.
    pub fn in_memory() -> Self {
        let shared_memory = Path::new("/dev/shm");
        let in_shared_memory = tempfile::Builder::new()
            .prefix("segwal-")
            .tempdir_in(shared_memory);
        in_shared_memory.map_or_else(|_| Self::new_in(&env::temp_dir()), |inner| Self { inner })
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// The path of `name` inside the directory.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    fn new_in(parent: &Path) -> Self {
        let made = fs::create_dir_all(parent).and_then(|()| {
            tempfile::Builder::new()
                .prefix("segwal-")
                .tempdir_in(parent)
        });
        match made {
            Ok(inner) => Self { inner },
            Err(error) => panic!("cannot make a directory in {}: {error}", parent.display()),
        }
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_differ_and_vanish_when_dropped() {
        for make in [TempDir::on_disk, TempDir::in_memory] {
            let (first, second) = (make(), make());
            assert_ne!(first.path(), second.path());
            fs::write(first.join("file"), "text").unwrap();
            let path = first.path().to_path_buf();
            drop(first);
            assert!(!path.exists(), "{} is still there", path.display());
        }
    }
}
