//! [`Limit`]: what no log that writes the same bytes can beat.
//!
//! *Copy and checksum*, where nothing is synced: a record is copied into warm memory of the thread's own, and its CRC-32C is
//! computed. *Raw durable write*, where a thread waits for a sync: as many blocks of 4 KiB as its records fill are overwritten
//! in place in a file of the thread's own, opened with `O_DIRECT` and `O_DSYNC`. The file is written through before the clock
//! starts, so that no write has to allocate or to convert an extent.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::engine::{Engine, Log, Writer};
use crate::workload::{Extent, Workload};

/// The unit of a raw write, and what its memory must be aligned to.
const BLOCK_SIZE: usize = 4096;
/// How much memory a copying thread cycles through: more than the first cache level holds, less than the last.
const WARM_SIZE: usize = 1 << 20;
/// How much file a writing thread cycles through.
const FILE_SIZE: usize = 8 << 20;
/// What a log stores beside a record, at least.
const HEADER_LEN: usize = 24;

/// The limits.
#[derive(Clone, Copy, Debug)]
pub struct Limit;

impl Engine for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn setup(&self) -> &'static str {
        "copy and CRC-32C into 1 MiB of warm memory for each thread, or O_DIRECT|O_DSYNC overwrites of whole blocks in a \
         written file for each thread"
    }

    fn refusal(&self, _: &Workload) -> Option<&'static str> {
        None
    }

    fn open(&self, directory: &Path, workload: &Workload, _: &Extent) -> Result<Box<dyn Log>> {
        Ok(Box::new(Open {
            directory: directory.to_owned(),
            workload: *workload,
        }))
    }

    fn read_back(&self, _: &Path, _: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(false)
    }
}

#[derive(Debug)]
struct Open {
    directory: PathBuf,
    workload: Workload,
}

impl Log for Open {
    fn writer(&self, thread: usize) -> Result<Box<dyn Writer + '_>> {
        let len = self.workload.record_len;
        Ok(match self.workload.sync.records_per_commit() {
            None => Box::new(Copying {
                room: vec![1; WARM_SIZE.next_multiple_of(len)],
                offset: 0,
            }),
            Some(records) => {
                let len = usize::try_from(records)? * (len + HEADER_LEN);
                let path = self.directory.join(format!("limit-{thread}"));
                Box::new(Writing::prepare(&path, len.next_multiple_of(BLOCK_SIZE))?)
            }
        })
    }

    fn discard(&self) -> Result<()> {
        Ok(())
    }

    fn tail(&self) -> Result<u64> {
        Ok(0)
    }

    fn syncs(&self) -> Option<u64> {
        None
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Copies and sums.
struct Copying {
    room: Vec<u8>,
    offset: usize,
}

impl Writer for Copying {
    fn append(&mut self, record: &[u8]) -> Result<()> {
        if self.offset + record.len() > self.room.len() {
            self.offset = 0;
        }
        let copy = &mut self.room[self.offset..self.offset + record.len()];
        copy.copy_from_slice(record);
        black_box(crc32c::crc32c(copy));
        self.offset += record.len();
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Overwrites blocks.
struct Writing {
    file: File,
    file_size: usize,
    room: Vec<u8>,
    start: usize,
    len: usize,
    offset: usize,
}

impl Writing {
    /// Makes a file whose every block is written, and opens it for durable writes past the page cache.
    fn prepare(path: &Path, len: usize) -> Result<Self> {
        let file_size = FILE_SIZE.next_multiple_of(len);
        let file =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all_at(&vec![1; file_size], 0)?;
        file.sync_all()?;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
            .open(path)
            .with_context(|| {
                format!(
                    "cannot open {} with O_DIRECT; choose a --dir on a disk",
                    path.display()
                )
            })?;
        let room = vec![0x5a; len + BLOCK_SIZE];
        let start = room.as_ptr().align_offset(BLOCK_SIZE);
        Ok(Self {
            file,
            file_size,
            room,
            start,
            len,
            offset: 0,
        })
    }
}

impl Writer for Writing {
    fn append(&mut self, record: &[u8]) -> Result<()> {
        black_box(record);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let blocks = &self.room[self.start..self.start + self.len];
        self.file
            .write_all_at(blocks, self.offset as u64)
            .context("raw write")?;
        self.offset = (self.offset + self.len) % self.file_size;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Condition, SyncPolicy};

    fn workload(record_len: usize, sync: SyncPolicy) -> Workload {
        Workload {
            record_len,
            thread_count: 1,
            sync,
            condition: Condition::Warm,
        }
    }

    #[test]
    fn records_of_any_length_are_copied() {
        let dir = testkit::TempDir::in_memory();
        for record_len in [1, 64, WARM_SIZE - 1, WARM_SIZE + 1] {
            let workload = workload(record_len, SyncPolicy::None);
            let log = Limit
                .open(dir.path(), &workload, &Extent::default())
                .unwrap();
            let mut writer = log.writer(0).unwrap();
            for _ in 0..3 {
                writer.append(&vec![7; record_len]).unwrap();
            }
        }
    }

    #[test]
    fn raw_writes_are_whole_blocks_and_cover_the_headers() {
        let dir = testkit::TempDir::on_disk();
        let path = dir.path().join("limit");
        let mut writing = match Writing::prepare(&path, 2 * BLOCK_SIZE) {
            Ok(writing) => writing,
            Err(error) => testkit::skip!("raw-write-limit", "{error:#}"),
        };
        for _ in 0..3 {
            writing.commit().unwrap();
        }
        assert_eq!(writing.offset, 6 * BLOCK_SIZE);
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes[..6 * BLOCK_SIZE].iter().all(|byte| *byte == 0x5a));
        assert!(bytes[6 * BLOCK_SIZE..].iter().all(|byte| *byte == 1));
    }
}
