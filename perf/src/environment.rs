//! Where a measurement was taken: without it, a figure means nothing a month later.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};
use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};

/// The machine and the file system below a measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its release.
    pub kernel: String,
    /// As the kernel names it.
    pub cpu_model: String,
    /// That this process may use.
    pub core_count: usize,
    /// Below the logs.
    pub file_system: FileSystem,
    /// Below the file system, if it is a disk.
    pub device: Option<BlockDevice>,
}

/// What a commit meets below the file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDevice {
    /// The kernel's view of its cache: "write back" means that a sync flushes it.
    pub write_cache: String,
    /// Whether single writes can bypass that cache.
    pub has_fua: bool,
    /// In bytes.
    pub logical_block_size: u64,
}

/// The mount that a path lies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Such as ext4.
    pub kind: String,
    /// Where.
    pub mount_point: String,
    /// Of the mount itself, not of the file system below it.
    pub options: String,
    /// The device, or a word.
    pub source: String,
}

impl Environment {
    /// Of this machine, for measurements in `directory`.
    ///
    /// # Errors
    /// The directory is not there, or the kernel shows nothing of itself.
    pub fn capture(directory: &Path) -> Result<Self> {
        let directory = directory
            .canonicalize()
            .with_context(|| format!("no {}", directory.display()))?;
        let file_system = file_system(&read("/proc/self/mountinfo")?, &directory);
        Ok(Self {
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            cpu_model: cpu_model(&read("/proc/cpuinfo")?).to_owned(),
            core_count: thread::available_parallelism()?.get(),
            file_system: file_system
                .with_context(|| format!("no mount holds {}", directory.display()))?,
            device: block_device(&directory),
        })
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

fn block_device(directory: &Path) -> Option<BlockDevice> {
    let device = fs::metadata(directory).ok()?.dev();
    let path = format!("/sys/dev/block/{}:{}", major(device), minor(device));
    // A partition has no queue of its own.
    let queue = [format!("{path}/queue"), format!("{path}/../queue")]
        .into_iter()
        .find(|queue| Path::new(queue).exists())?;
    let value = |name| {
        Some(
            fs::read_to_string(format!("{queue}/{name}"))
                .ok()?
                .trim()
                .to_owned(),
        )
    };
    Some(BlockDevice {
        write_cache: value("write_cache")?,
        has_fua: value("fua")? == "1",
        logical_block_size: value("logical_block_size")?.parse().ok()?,
    })
}

fn cpu_model(cpu_info: &str) -> &str {
    let line = cpu_info.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, model)| model)
}

/// The mount with the longest mount point above `path`; of equal ones the last, which hides the others.
fn file_system(mount_info: &str, path: &Path) -> Option<FileSystem> {
    let mounts = mount_info.lines().filter_map(parse_mount);
    let above = mounts.filter(|mount| path.starts_with(&mount.mount_point));
    above.max_by_key(|mount| mount.mount_point.len())
}

/// One line of mountinfo: `36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/vda rw`.
fn parse_mount(line: &str) -> Option<FileSystem> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = after.split(' ');
    Some(FileSystem {
        mount_point: before.split(' ').nth(4)?.replace("\\040", " "),
        options: before.split(' ').nth(5)?.to_owned(),
        kind: fields.next()?.to_owned(),
        source: fields.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
        23 22 0:5 / /dev rw master:1 - devtmpfs dev rw\n\
        24 23 0:6 / /dev/shm rw - tmpfs tmpfs rw\n\
        25 22 0:7 / /a\\040b rw - xfs /dev/vdb rw";

    #[test]
    fn the_nearest_mount_above_a_path_is_its_file_system() {
        let kind = |path: &str| file_system(MOUNTS, Path::new(path)).unwrap().kind;
        assert_eq!(kind("/dev/shm/x"), "tmpfs");
        assert_eq!(kind("/dev/shmx"), "devtmpfs");
        assert_eq!(kind("/home"), "ext4");
        assert_eq!(kind("/a b/c"), "xfs");
    }

    #[test]
    fn this_machine_can_be_described() {
        let environment = Environment::capture(Path::new("/")).unwrap();
        assert!(environment.core_count > 0);
        assert!(!environment.kernel.is_empty());
    }
}
