//! The record of checks that ran and of checks that could not, one small file each, so that a whole run can be judged
//! after many processes wrote to it.
//!
//! A skip lies in `DIRECTORY/*.tsv`, a check that ran in `DIRECTORY/ran/*.tsv`, each as one line `name<TAB>reason`. The
//! file name is derived from that line, so the same entry written twice is one entry.
//!
//! # Limits
//!
//! Records stay until somebody removes them; `.ci/run` does so before it starts.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// Records that a check cannot run here, prints it, and returns from the test.
///
/// The reason takes format arguments: `skip!("device bytes", "no {tool} in PATH")`.
#[macro_export]
macro_rules! skip {
    ($name:expr, $($reason:tt)+) => {{
        $crate::record::skip($name, &format!($($reason)+));
        return;
    }};
}

/// Records that a check ran, for checks of which running zero times is a failure.
///
/// Call it at the end of the check, when it has seen what it wanted to see.
#[macro_export]
macro_rules! ran {
    ($name:expr) => {
        $crate::record::ran($name)
    };
}

/// One line of the record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name of the check, as `.ci/allowed-skips` and `.ci/must-run` know it.
    pub name: String,
    /// Why it could not run; empty for a check that ran.
    pub reason: String,
}

/// Records and prints a check that could not run; [`skip!`](crate::skip) calls it.
pub fn skip(name: &str, reason: &str) {
    println!("skipped: {name}: {reason}");
    write(&directory(), name, reason);
}

/// Records a check that ran; [`ran!`](crate::ran) calls it.
pub fn ran(name: &str) {
    write(&directory().join("ran"), name, "");
}

/// Where records go: `SEGWAL_SKIPS`, or `skips` in the target directory.
pub fn directory() -> PathBuf {
    env::var_os("SEGWAL_SKIPS").map_or_else(|| target_directory().join("skips"), PathBuf::from)
}

/// The target directory of the workspace: `CARGO_TARGET_DIR`, or `target` at its root.
pub fn target_directory() -> PathBuf {
    let root = workspace_root();
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// The nearest directory above this crate whose manifest opens a workspace.
pub fn workspace_root() -> PathBuf {
    let opens_workspace = |dir: &&Path| {
        fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"))
    };
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(opens_workspace)
        .expect("this crate lies in a workspace")
        .to_path_buf()
}

/// All entries of one record directory, sorted; none if the directory does not exist.
///
/// # Errors
///
/// The directory or a file in it cannot be read.
pub fn entries(directory: &Path) -> io::Result<Vec<Entry>> {
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for file in listing {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "tsv") {
            entries.extend(fs::read_to_string(path)?.lines().map(parse));
        }
    }
    entries.sort();
    Ok(entries)
}

fn parse(line: &str) -> Entry {
    let (name, reason) = line.split_once('\t').unwrap_or((line, ""));
    Entry {
        name: name.to_owned(),
        reason: reason.to_owned(),
    }
}

fn write(directory: &Path, name: &str, reason: &str) {
    let line = format!("{}\t{}\n", one_line(name), one_line(reason));
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    let path = directory.join(format!("{}-{:016x}.tsv", file_name(name), hasher.finish()));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(&path, line))
        .unwrap_or_else(|error| panic!("cannot record {name} in {}: {error}", path.display()));
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.chars().take(60).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, reason: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn entries_come_back_once_each_and_on_one_line() {
        let dir = crate::TempDir::in_memory();
        write(dir.path(), "no root", "needs a loop\n\tdevice");
        write(dir.path(), "no root", "needs a loop device");
        write(dir.path(), "a/b", "");
        let expected = [entry("a/b", ""), entry("no root", "needs a loop device")];
        assert_eq!(entries(dir.path()).unwrap(), expected);
    }

    #[test]
    fn a_record_directory_that_is_not_there_is_empty() {
        let dir = crate::TempDir::in_memory();
        assert_eq!(entries(&dir.join("nothing")).unwrap(), []);
    }

    #[test]
    fn the_workspace_root_holds_the_manifest_with_the_lints() {
        let manifest = fs::read_to_string(workspace_root().join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[workspace.lints.clippy]"));
    }
}
