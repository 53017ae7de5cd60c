//! The limits of the machine: what no log that writes the same bytes can beat.
//!
//! *Copy and checksum*: a record is copied into memory that is in cache or near it, and its CRC-32C is computed. *Raw durable
//! write*: as many blocks of 4 KiB as the record fills are overwritten in place in a file opened with `O_DIRECT` and
//! `O_DSYNC`, which was written through once before, so that no write has to allocate.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::measure::{Load, Measured, on_threads};
use crate::outcome::{Failure, Outcome};

/// The unit of a raw write, and what its memory must be aligned to.
const BLOCK_SIZE: usize = 4096;
/// How much memory a copying thread cycles through: more than the first cache level holds, less than the last.
const WARM_SIZE: usize = 1 << 20;
/// How much file a writing thread cycles through.
const FILE_SIZE: usize = 4 << 20;

pub(super) fn copy_and_checksum(load: &Load<'_>) -> Outcome<Measured> {
    let size = WARM_SIZE.next_multiple_of(load.size);
    on_threads(load, |_| {
        let record = vec![0x5a_u8; load.size];
        let mut room = vec![1_u8; size];
        let mut offset = 0;
        Ok(move || {
            let copy = &mut room[offset..offset + record.len()];
            copy.copy_from_slice(&record);
            black_box(crc32c::crc32c(copy));
            offset = (offset + record.len()) % size;
            Ok(())
        })
    })
}

pub(super) fn raw_write(load: &Load<'_>, dir: &Path) -> Outcome<Measured> {
    let len = load.size.next_multiple_of(BLOCK_SIZE);
    let file_size = FILE_SIZE.next_multiple_of(len);
    on_threads(load, |thread| {
        let path = dir.join(format!("limit-{thread}"));
        let failed = |what| {
            let path = &path;
            move |error| Failure::io(what, path, &error)
        };
        let file = File::create(&path).map_err(failed("cannot create"))?;
        file.write_all_at(&vec![1; file_size], 0)
            .map_err(failed("cannot write"))?;
        file.sync_all().map_err(failed("cannot sync"))?;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
            .open(&path)
            .map_err(failed("no direct writes to"))?;
        let room = vec![0x5a_u8; len + BLOCK_SIZE];
        let start = room.as_ptr().align_offset(BLOCK_SIZE);
        let (mut offset, path) = (0, path.clone());
        Ok(move || {
            let written = file.write_all_at(&room[start..start + len], offset as u64);
            written.map_err(|error| Failure::io("cannot write", &path, &error))?;
            offset = (offset + len) % file_size;
            Ok(())
        })
    })
}
