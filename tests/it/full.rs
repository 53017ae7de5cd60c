//! A simulated disk without a free block, for the tests of what happens then.

use segwal::fault::SimDisk;
use segwal::{ErrorKind, Lsn, OnFull, SpaceCause, SpacePressure, Wal, WalOptions};

use crate::scene::small;

pub(crate) const DIR: &str = "/log";

pub(crate) const ENOSPC: i32 = 28;

pub(crate) const FULL: SpacePressure = SpacePressure::Full(SpaceCause::DiskFull);

pub(crate) const LOW: SpacePressure = SpacePressure::Low(SpaceCause::DiskFull);

pub(crate) fn options() -> WalOptions {
    let mut options = small();
    options
        .preallocate_segments(1)
        .max_unsynced_segments(16)
        .on_full(OnFull::Fail);
    options
}

pub(crate) fn open(disk: &SimDisk, options: &WalOptions) -> Wal {
    options.open_on(disk, DIR, 7).unwrap()
}

/// Appends records of 1,000 bytes until one is refused for want of space; what was appended.
pub(crate) fn fill(wal: &Wal) -> Vec<Lsn> {
    let mut lsns = Vec::new();
    loop {
        match wal.append(&[lsns.len() as u8; 1000]) {
            Ok(lsn) => lsns.push(lsn),
            // The background, which is this thread, has synced now.
            Err(error) if error.kind() == ErrorKind::Backpressure => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
                return lsns;
            }
        }
    }
}

/// A log that has rotated, on a disk without a free block, filled.
pub(crate) fn full(options: &WalOptions) -> (SimDisk, Wal, Vec<Lsn>) {
    let disk = SimDisk::new();
    let wal = open(&disk, options);
    while wal.stats().rotations < 2 {
        wal.append(&[0; 1000]).unwrap();
        wal.sync().unwrap();
    }
    disk.set_free_bytes(Some(0));
    fill(&wal);
    let lsns = wal.records(wal.head()).unwrap();
    let lsns = lsns.map(|record| record.unwrap().lsn()).collect();
    (disk, wal, lsns)
}

pub(crate) fn fill_one_segment(wal: &Wal) {
    let before = wal.stats().rotations;
    while wal.stats().rotations == before {
        wal.append(&[1; 1000]).unwrap();
    }
}
