//! A log in a directory that is removed when the bench ends.

use std::fs;
use std::path::PathBuf;

use segwal::{Wal, WalOptions};

/// A log of a bench, beside the build's output: on the disk of the repository.
pub(crate) struct Bench {
    path: PathBuf,
}

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
        fs::create_dir_all(&target).unwrap();
        let path = target.join(format!("bench-{name}-{}", std::process::id()));
        Self { path }
    }

    pub(crate) fn open(&self, segment_size: u64) -> Wal {
        WalOptions::new()
            .segment_size(segment_size)
            .open(&self.path)
            .unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.path));
    }
}
