//! The limits of the machine: what no log that writes the same bytes can beat.
//!
//! Two of them. *Copy and checksum*: a record is copied into memory that is already mapped and in cache or near it, and
//! its CRC-32C is computed, with one clock read on each side. *Raw write*: blocks of 4 KiB are overwritten in place in a
//! file opened with `O_DIRECT` and `O_DSYNC`, one durable write after the other.
//!
//! # Limits
//!
//! The file is written through once before the clock starts, so that no write has to allocate or to convert an extent.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::latency::Latencies;
use crate::workload::Workload;

/// The unit of a raw write, and what its memory must be aligned to.
const BLOCK_SIZE: usize = 4096;
/// How much memory a copying thread cycles through: more than the first cache level holds, less than the last.
const WARM_SIZE: usize = 1 << 20;
/// How much file a writing thread cycles through.
const FILE_SIZE: usize = 16 << 20;

/// What the threads of a workload measured together.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) latencies: Latencies,
    /// From the common start to the end of the slowest thread.
    pub(crate) elapsed: Duration,
    pub(crate) bytes: u64,
}

/// Copies records into warm memory and computes their checksum.
pub(crate) fn copy_and_checksum(workload: &Workload) -> Result<Measured> {
    let size = WARM_SIZE.next_multiple_of(workload.record_len.max(1));
    on_threads(workload, workload.record_len, |_| {
        let record = vec![0x5a_u8; workload.record_len];
        let mut room = vec![1_u8; size];
        let mut offset = 0;
        Ok(move || {
            if offset + record.len() > room.len() {
                offset = 0;
            }
            let copy = &mut room[offset..offset + record.len()];
            copy.copy_from_slice(&record);
            black_box(crc32c::crc32c(copy));
            offset += record.len();
            Ok(())
        })
    })
}

/// Overwrites as many blocks as the records of one sync fill, durably, in a file of each thread's own.
pub(crate) fn raw_write(workload: &Workload, directory: &Path) -> Result<Measured> {
    let records = usize::try_from(workload.sync.records_per_sync().unwrap_or(1))?;
    let len = (workload.record_len * records)
        .max(1)
        .next_multiple_of(BLOCK_SIZE);
    on_threads(workload, len, |thread| {
        let file_size = FILE_SIZE.next_multiple_of(len);
        let file = prepared_file(&directory.join(format!("limit-{thread}")), file_size)?;
        let blocks = Aligned::new(len);
        let mut offset = 0;
        Ok(move || {
            file.write_all_at(blocks.bytes(), offset as u64)
                .context("raw write")?;
            offset = (offset + len) % file_size;
            Ok(())
        })
    })
}

/// Runs an operation on every thread of the workload, after one round to warm up, with a clock read on each side.
fn on_threads<Operation>(
    workload: &Workload,
    bytes_per_operation: usize,
    prepare: impl Fn(usize) -> Result<Operation> + Sync,
) -> Result<Measured>
where
    Operation: FnMut() -> Result<()>,
{
    let start = Barrier::new(workload.thread_count);
    let measure = &|thread| {
        let prepared = prepare(thread).and_then(|operation| warm_up(workload, operation));
        start.wait();
        timed(workload.operation_count, prepared?)
    };
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workload.thread_count)
            .map(|thread| scope.spawn(move || measure(thread)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a measuring thread does not panic"))
            .collect()
    });
    let mut latencies = Latencies::new();
    let mut elapsed = Duration::ZERO;
    for result in results {
        let (measured, time) = result?;
        latencies.absorb(&measured);
        elapsed = elapsed.max(time);
    }
    let operations = workload.operation_count * workload.thread_count as u64;
    Ok(Measured {
        latencies,
        elapsed,
        bytes: operations * bytes_per_operation as u64,
    })
}

fn warm_up<Operation>(workload: &Workload, mut operation: Operation) -> Result<Operation>
where
    Operation: FnMut() -> Result<()>,
{
    for _ in 0..workload.operation_count / 10 {
        operation()?;
    }
    Ok(operation)
}

fn timed(count: u64, mut operation: impl FnMut() -> Result<()>) -> Result<(Latencies, Duration)> {
    let mut latencies = Latencies::new();
    let started = Instant::now();
    for _ in 0..count {
        let before = Instant::now();
        operation()?;
        latencies.record(before.elapsed());
    }
    Ok((latencies, started.elapsed()))
}

/// A file whose every block has been written, reopened for durable writes past the page cache.
fn prepared_file(path: &Path, size: usize) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    file.write_all_at(&vec![1; size], 0)?;
    file.sync_all()?;
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
        .open(path)
        .with_context(|| {
            format!(
                "cannot open {} with O_DIRECT; choose a --dir on a disk",
                path.display()
            )
        })
}

/// Memory at an address that `O_DIRECT` accepts.
struct Aligned {
    room: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize) -> Self {
        let room = vec![0x5a; len + BLOCK_SIZE];
        let start = room.as_ptr().align_offset(BLOCK_SIZE);
        Self { room, start, len }
    }

    fn bytes(&self) -> &[u8] {
        &self.room[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::SyncPolicy;

    fn workload(record_len: usize, thread_count: usize, sync: SyncPolicy) -> Workload {
        Workload {
            record_len,
            thread_count,
            sync,
            operation_count: 20,
        }
    }

    #[test]
    fn every_operation_of_every_thread_is_measured() {
        let measured = copy_and_checksum(&workload(256, 2, SyncPolicy::None)).unwrap();
        assert_eq!(measured.latencies.percentiles().count, 40);
        assert_eq!(measured.bytes, 40 * 256);
        assert!(measured.elapsed > Duration::ZERO);
    }

    #[test]
    fn records_of_any_length_are_copied() {
        for record_len in [0, 1, WARM_SIZE - 1, WARM_SIZE + 1] {
            copy_and_checksum(&workload(record_len, 1, SyncPolicy::None)).unwrap();
        }
    }

    #[test]
    fn raw_writes_are_whole_blocks() {
        let dir = testkit::TempDir::on_disk();
        let batch = "batch:17".parse().unwrap();
        let measured = match raw_write(&workload(256, 2, batch), dir.path()) {
            Ok(measured) => measured,
            Err(error) => testkit::skip!("raw-write-limit", "{error:#}"),
        };
        assert_eq!(measured.bytes, 40 * 2 * BLOCK_SIZE as u64);
    }

    #[test]
    fn aligned_memory_is_aligned_and_as_long_as_asked() {
        let aligned = Aligned::new(3 * BLOCK_SIZE);
        assert_eq!(aligned.bytes().as_ptr().align_offset(BLOCK_SIZE), 0);
        assert_eq!(aligned.bytes().len(), 3 * BLOCK_SIZE);
    }
}
