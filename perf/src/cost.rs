//! [`Costs`]: what a slice took beside time: the processor, page faults, and the device.
//!
//! The device's counters are those of the whole device: on a machine where others write, they tell nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};

/// What it took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Of all threads of the process, in user space and in the kernel.
    pub cpu_s: f64,
    /// Page faults that needed no reading.
    pub minor_faults: u64,
    /// Page faults that read from the device.
    pub major_faults: u64,
    /// If the kernel shows them for the file system's device.
    pub device: Option<Device>,
}

/// What the device was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Bytes written.
    pub written_bytes: u64,
    /// Flushes of its cache.
    pub flushes: u64,
}

/// Everything up to some moment.
#[derive(Clone, Copy, Debug)]
pub struct Meter(Costs);

impl Meter {
    /// Until now, for a log in `directory`.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn read(directory: &Path) -> Result<Self> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        let seconds =
            |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        Ok(Self(Costs {
            cpu_s: seconds(usage.user_time()) + seconds(usage.system_time()),
            minor_faults: u64::try_from(usage.minor_page_faults())?,
            major_faults: u64::try_from(usage.major_page_faults())?,
            device: device(directory),
        }))
    }

    /// What was spent since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Costs {
        let (now, then) = (self.0, earlier.0);
        let device = now.device.zip(then.device).map(|(now, then)| Device {
            written_bytes: now.written_bytes - then.written_bytes,
            flushes: now.flushes - then.flushes,
        });
        Costs {
            cpu_s: now.cpu_s - then.cpu_s,
            minor_faults: now.minor_faults - then.minor_faults,
            major_faults: now.major_faults - then.major_faults,
            device,
        }
    }
}

/// The counters of the block device below `directory`.
fn device(directory: &Path) -> Option<Device> {
    let device = fs::metadata(directory).ok()?.dev();
    let path = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
    parse(&fs::read_to_string(path).ok()?)
}

/// A line of the kernel's `stat`: sectors written are its seventh number, flushes its sixteenth.
fn parse(stat: &str) -> Option<Device> {
    let mut fields = stat.split_whitespace().map(str::parse::<u64>);
    Some(Device {
        written_bytes: fields.nth(6)?.ok()? * 512,
        flushes: fields.nth(8)?.ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_and_flushes_are_taken_from_their_columns() {
        let stat = " 1 2 3 4 5 6 70 8 9 10 11 12 13 14 15 160 17\n";
        let device = parse(stat).unwrap();
        assert_eq!((device.written_bytes, device.flushes), (70 * 512, 160));
        assert_eq!(parse("1 2 3"), None);
    }

    #[test]
    fn what_is_spent_is_counted() {
        let dir = testkit::TempDir::in_memory();
        let before = Meter::read(dir.path()).unwrap();
        let mut room = vec![1_u8; 8 << 20];
        while Meter::read(dir.path()).unwrap().since(&before).cpu_s <= 0.0 {
            for byte in &mut room {
                *byte = byte.wrapping_mul(3);
            }
        }
        let costs = Meter::read(dir.path()).unwrap().since(&before);
        assert!(costs.minor_faults > 0, "{costs:?} {}", room[0]);
    }
}
