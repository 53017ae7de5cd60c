//! [`Writer`]: the process that has a log open for writing, found without touching its lock.
//!
//! To try the lock would be to hold it for a moment, in which a writer that starts would be refused. The kernel lists the
//! locks that are held in `/proc/locks`, by the inode of the file. On a file system whose inodes have other device numbers
//! there than `stat` gives, nothing is found; so absence proves nothing, and the text says so.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::Serialize;

use crate::output;

/// The process that holds `LOCK`.
#[derive(Debug, Serialize)]
pub(super) struct Writer {
    pub(super) pid: u32,
    pub(super) command: Option<String>,
}

impl Writer {
    /// The writer of the log in `dir`, if one can be seen.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let lock = fs::symlink_metadata(dir.join("LOCK")).ok()?;
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let pid = locks
            .lines()
            .find_map(|line| holder(line, lock.dev(), lock.ino()))?;
        let command = fs::read(format!("/proc/{pid}/comm")).ok();
        Some(Self {
            pid,
            command: command.map(|name| output::escaped(name.trim_ascii_end())),
        })
    }
}

/// The process of a line such as `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`, if it is about this file.
fn holder(line: &str, device: u64, inode: u64) -> Option<u32> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, "FLOCK", _, "WRITE", pid, file, ..] = words[..] else {
        return None;
    };
    let mut parts = file.split(':');
    let major = u64::from_str_radix(parts.next()?, 16).ok()?;
    let minor = u64::from_str_radix(parts.next()?, 16).ok()?;
    let is_it = parts.next()?.parse() == Ok(inode) && (major, minor) == numbers(device);
    is_it.then(|| pid.parse().ok()).flatten()
}

/// Major and minor number of a device, as Linux packs them.
fn numbers(device: u64) -> (u64, u64) {
    (
        device >> 32 & 0xFFFF_F000 | device >> 8 & 0xFFF,
        device >> 12 & 0xFFFF_FF00 | device & 0xFF,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_write_lock_on_this_very_file_names_its_holder() {
        let line = "7: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF";
        assert_eq!(holder(line, 0xFE01, 5678), Some(1234));
        assert_eq!(holder(line, 0xFE01, 5679), None);
        assert_eq!(holder(line, 0xFE02, 5678), None);
        assert_eq!(holder(&line.replace("WRITE", "READ"), 0xFE01, 5678), None);
        assert_eq!(holder(&line.replace("FLOCK", "POSIX"), 0xFE01, 5678), None);
        assert_eq!(holder("", 0, 0), None);
    }
}
