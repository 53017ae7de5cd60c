//! A directory for one test, removed with everything in it when the test ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

#[derive(Debug)]
pub(in crate::sys) struct ScratchDir(PathBuf);

impl ScratchDir {
    pub(in crate::sys) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Relaxed: only the number itself is used.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("segwal-sys-{}-{count}", process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    pub(in crate::sys) fn dir(&self) -> &Path {
        &self.0
    }

    pub(in crate::sys) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What the test itself removed is no failure.
        drop(fs::remove_dir_all(&self.0));
    }
}
