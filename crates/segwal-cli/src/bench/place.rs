//! [`Place`]: the directory that a measurement makes for itself, and removes.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::outcome::{Failure, Outcome};

/// A new directory below the one that was asked for.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Directories that were made on the way, the innermost last.
    made: Vec<PathBuf>,
}

impl Place {
    /// Makes it, unless a log lies in `dir`.
    pub(super) fn make(dir: &Path) -> Outcome<Self> {
        let failed = |error| Failure::io("cannot use", dir, &error);
        let mut made = Vec::new();
        match fs::read_dir(dir) {
            Ok(entries) => {
                for entry in entries {
                    refuse_log(dir, &entry.map_err(failed)?.file_name().to_string_lossy())?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(dir).map_err(failed)?;
                made.push(dir.to_owned());
            }
            Err(error) => return Err(failed(error)),
        }
        let path = dir.join(format!("segwal-bench-{}", process::id()));
        let mut place = Self { path, made };
        create(&place.path).map_err(failed)?;
        place.made.push(place.path.clone());
        Ok(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what was made, and nothing else.
    pub(super) fn remove(mut self) -> Outcome<()> {
        self.take_away()
            .map_err(|error| Failure::io("cannot remove", &self.path, &error))
    }

    fn take_away(&mut self) -> io::Result<()> {
        if self.made.pop().is_some() {
            fs::remove_dir_all(&self.path)?;
        }
        self.made.pop().map_or(Ok(()), fs::remove_dir)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A failure that is on its way up is the one to tell.
        drop(self.take_away());
    }
}

fn create(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)
}

fn refuse_log(dir: &Path, name: &str) -> Outcome<()> {
    let is_log = ["MANIFEST", "COOKIE", "LOCK"].contains(&name)
        || Path::new(name).extension().is_some_and(|end| end == "seg");
    if is_log {
        return Err(Failure::usage(format!(
            "{} holds a log; name a directory beside it",
            dir.display()
        )));
    }
    Ok(())
}
