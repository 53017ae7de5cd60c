//! [`Device`]: the block device below a directory, its file system, and what was written to it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The unit of the kernel's counters, whatever the device's own is.
const SECTOR_SIZE: u64 = 512;

/// The numbers of a device; some file systems have one that no block device answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    major: u64,
    minor: u64,
}

impl Device {
    /// The device that `path` lies on.
    pub(crate) fn below(path: &Path) -> io::Result<Self> {
        Ok(Self::of(fs::metadata(path)?.dev()))
    }

    /// Bytes that the whole device was told to write since the system started; none where the kernel does not show it.
    pub(crate) fn written_bytes(self) -> Option<u64> {
        let path = format!("/sys/dev/block/{}:{}/stat", self.major, self.minor);
        let sectors = sectors_written(&fs::read_to_string(path).ok()?)?;
        Some(sectors * SECTOR_SIZE)
    }

    /// The type of the file system on it.
    pub(crate) fn file_system(self) -> Option<String> {
        self.file_system_in(&fs::read_to_string("/proc/self/mountinfo").ok()?)
    }

    /// Takes a device number apart as Linux packs it.
    const fn of(number: u64) -> Self {
        Self {
            major: (number >> 8) & 0xfff | (number >> 32) & 0xffff_f000,
            minor: number & 0xff | (number >> 12) & 0xffff_ff00,
        }
    }

    /// As [`file_system`](Self::file_system), by this list of mounts.
    fn file_system_in(self, mounts: &str) -> Option<String> {
        let numbers = format!("{}:{}", self.major, self.minor);
        let is_of_device = |line: &&str| line.split(' ').nth(2) == Some(&numbers);
        let (_, after) = mounts.lines().find(is_of_device)?.split_once(" - ")?;
        after.split(' ').next().map(str::to_owned)
    }
}

/// The seventh number of a block device's `stat` file.
fn sectors_written(stat: &str) -> Option<u64> {
    stat.split_ascii_whitespace().nth(6)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_apart_as_the_kernel_packs_them() {
        let device = |major, minor| Device { major, minor };
        assert_eq!(Device::of(65_024), device(254, 0));
        assert_eq!(Device::of(0x0010_3400), device(0x34, 0x100));
        assert_eq!(Device::of(0x0000_5000_0000_0300), device(0x5003, 0));
    }

    #[test]
    fn the_file_system_is_read_from_the_line_of_the_device() {
        let mounts = "22 27 0:21 / /proc rw shared:5 - proc proc rw\n\
                      27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n";
        let of = |number| Device::of(number).file_system_in(mounts);
        assert_eq!(of(65_024).as_deref(), Some("ext4"));
        assert_eq!(of(65_025), None);
    }

    #[test]
    fn sectors_written_are_the_seventh_number() {
        let stat =
            "   77677    22936  7037962    51295    16353    29645  6266680    13465        0\n";
        assert_eq!(sectors_written(stat), Some(6_266_680));
        assert_eq!(sectors_written("1 2 3"), None);
    }
}
