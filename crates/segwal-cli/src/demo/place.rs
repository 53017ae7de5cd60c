//! [`Place`]: the directory of the demo's log, emptied without touching what is not the demo's.
//!
//! Only files that have the name of a log's file are ever removed, and only if the log is the demo's (its user header says
//! so), or if the directory is the default one and holds nothing that tells whose it is.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use segwal::{UnknownFilesystem, WalOptions};

use super::corpus;
use super::device::Device;
use crate::outcome::{Failure, Outcome, Status};

/// The user header of each log that the demo makes. It stands in `MANIFEST` as it is.
const MARK: &[u8] = b"made by segwal demo, wiped by the next one";
const MANIFEST: &str = "MANIFEST";
const LOCK: &str = "LOCK";
/// Small, so that a short run rotates several times.
const SEGMENT_SIZE: u64 = 1 << 20;
/// Where mapped appends have been shown to be safe.
const SUPPORTED: [&str; 4] = ["ext4", "xfs", "tmpfs", "overlay"];

/// A directory that is ready to take the demo's log.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) device: Device,
    choice: Choice,
    file_system: Option<String>,
}

/// How the directory came to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Asked,
    InRepository,
    InCurrentDirectory,
}

/// The settings with which both halves of the demo open the log.
pub(crate) fn options() -> WalOptions {
    let mut options = WalOptions::new();
    options
        .segment_size(SEGMENT_SIZE)
        .user_header(MARK)
        .allow_unknown_filesystem(UnknownFilesystem::Allow);
    options
}

impl Place {
    /// Makes or empties the directory that was asked for, or `target/segwal-demo`.
    pub(crate) fn prepare(dir: Option<&Path>) -> Outcome<Self> {
        let (dir, choice) = dir.map_or_else(default_dir, |dir| (dir.to_owned(), Choice::Asked));
        let failed = |error| Failure::io("cannot prepare", &dir, &error);
        fs::create_dir_all(&dir).map_err(failed)?;
        let names = names(&dir).map_err(failed)?;
        if !names.is_empty() {
            may_wipe(&dir, choice)?;
            wipe(&dir, &names).map_err(failed)?;
        }
        let device = Device::below(&dir).map_err(failed)?;
        let file_system = device.file_system();
        Ok(Self {
            dir,
            device,
            choice,
            file_system,
        })
    }

    pub(crate) fn file_system(&self) -> &str {
        self.file_system.as_deref().unwrap_or("unknown")
    }

    /// Directory, file system and why, for people.
    pub(crate) fn describe(&self) -> String {
        let why = match self.choice {
            Choice::Asked => "as asked",
            Choice::InRepository => "the default: it is in the repository and ignored by git",
            Choice::InCurrentDirectory => "the default, below the current directory",
        };
        let name = self.file_system();
        let note = if name == "tmpfs" {
            ", which is memory: a sync costs nothing here, and only a kill is survived"
        } else if SUPPORTED.contains(&name) {
            ", on which segwal keeps its promises"
        } else {
            ", on which segwal has not been shown to keep its promises; the demo goes on"
        };
        format!("{} ({why}), on {name}{note}", self.dir.display())
    }
}

fn default_dir() -> (PathBuf, Choice) {
    let name = Path::new("target").join("segwal-demo");
    match corpus::repository() {
        Some(root) => (root.join(name), Choice::InRepository),
        None => (name, Choice::InCurrentDirectory),
    }
}

/// Fails if what lies in the directory is somebody else's, or in use.
fn may_wipe(dir: &Path, choice: Choice) -> Outcome<()> {
    let manifest = fs::read(dir.join(MANIFEST)).ok();
    let is_marked = |bytes: &Vec<u8>| bytes.windows(MARK.len()).any(|window| window == MARK);
    let is_ours = manifest.as_ref().map_or(choice != Choice::Asked, is_marked);
    if !is_ours {
        let message = format!(
            "{} holds files that the demo did not make; choose an empty directory with --dir",
            dir.display()
        );
        return Err(Failure::usage(message));
    }
    let locked = File::open(dir.join(LOCK)).map(|lock| lock.try_lock());
    if matches!(locked, Ok(Err(TryLockError::WouldBlock))) {
        let message = format!("a demo already runs in {}; wait for its end", dir.display());
        return Err(Failure::new(Status::TryAgain, message));
    }
    Ok(())
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let name =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    fs::read_dir(dir)?.map(name).collect()
}

/// Removes the files of a log; the one that says whose it is goes last, should this end half way.
fn wipe(dir: &Path, names: &[String]) -> io::Result<()> {
    let of_log = names.iter().filter(|name| is_log_file(name));
    let (last, first): (Vec<_>, Vec<_>) = of_log.partition(|name| *name == MANIFEST);
    for name in first.into_iter().chain(last) {
        fs::remove_file(dir.join(name))?;
    }
    Ok(())
}

fn is_log_file(name: &str) -> bool {
    let is_segment = |name: &str| {
        let id = name.strip_suffix(".seg");
        id.is_some_and(|id| id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let finished = name.strip_suffix(".new").unwrap_or(name);
    matches!(finished, LOCK | MANIFEST | "COOKIE") || is_segment(finished)
}

#[cfg(test)]
mod tests {
    use testkit::TempDir;

    use super::*;

    const SEGMENT: &str = "00000000000000000001.seg";

    fn prepare(dir: &TempDir) -> Outcome<Place> {
        Place::prepare(Some(dir.path()))
    }

    fn sorted_names(dir: &TempDir) -> Vec<String> {
        let mut names = names(dir.path()).unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_new_and_an_empty_directory_are_taken() {
        let dir = TempDir::in_memory();
        prepare(&dir).unwrap();
        Place::prepare(Some(&dir.join("new/deep"))).unwrap();
    }

    #[test]
    fn files_of_others_are_refused_and_kept() {
        for names in [&["notes.txt"][..], &["MANIFEST", SEGMENT], &[SEGMENT]] {
            let dir = TempDir::in_memory();
            for name in names {
                fs::write(dir.join(name), "bytes of others").unwrap();
            }
            assert!(prepare(&dir).is_err(), "{names:?}");
            assert_eq!(sorted_names(&dir).len(), names.len());
        }
    }

    #[test]
    fn only_the_log_of_a_marked_directory_is_removed() {
        let dir = TempDir::in_memory();
        for name in [
            "COOKIE",
            "LOCK",
            "MANIFEST.new",
            SEGMENT,
            "1.seg",
            "notes.txt",
        ] {
            fs::write(dir.join(name), "bytes").unwrap();
        }
        let manifest = [b"identity", MARK, b"padding"].concat();
        fs::write(dir.join(MANIFEST), manifest).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(sorted_names(&dir), ["1.seg", "notes.txt"]);
    }

    #[test]
    fn a_directory_in_use_is_left_alone() {
        let dir = TempDir::in_memory();
        fs::write(dir.join(MANIFEST), MARK).unwrap();
        let lock = File::create(dir.join(LOCK)).unwrap();
        lock.lock().unwrap();
        let refused = prepare(&dir).unwrap_err();
        let Failure::Failed { status, .. } = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(status, Status::TryAgain);
        assert_eq!(sorted_names(&dir), ["LOCK", "MANIFEST"]);
    }
}
