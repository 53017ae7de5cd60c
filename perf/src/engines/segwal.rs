//! [`Segwal`]: this project's log.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use segwal::{Appender, Lsn, Record, SyncEvery, Wal, WalOptions};

use crate::engine::{Engine, Log, Writer};
use crate::workload::{Condition, Extent, SyncPolicy, Workload};

/// The default of the crate; smaller in a short slice.
const SEGMENT_SIZE: RangeInclusive<u64> = 64 << 10..=64 << 20;
/// How many segments a log that is recycled keeps.
const KEPT_SEGMENTS: u32 = 4;

/// This project's log.
#[derive(Clone, Copy, Debug)]
pub struct Segwal;

impl Engine for Segwal {
    fn name(&self) -> &'static str {
        "segwal"
    }

    fn setup(&self) -> &'static str {
        "an Appender for each thread; segments of half a slice's bytes, at most 64 MiB, and as many of them ready as a warm slice \
         can need; of a thirty-second of them, and two ready, where it is recycled; one ready where it is cold; sync_every for \
         intervals"
    }

    fn refusal(&self, _: &Workload) -> Option<&'static str> {
        None
    }

    fn open(&self, directory: &Path, workload: &Workload, extent: &Extent) -> Result<Box<dyn Log>> {
        let (options, ahead) = options(workload, extent);
        let wal = options.open(directory.join("log"))?;
        if workload.condition != Condition::Cold {
            make_ready(&wal, ahead)?;
        }
        let first = wal.head();
        Ok(Box::new(Open {
            wal,
            tailed: Mutex::new(first),
        }))
    }

    fn read_back(&self, directory: &Path, each: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let wal = WalOptions::new().open(directory.join("log"))?;
        for record in wal.records(wal.head())? {
            each(&record?);
        }
        wal.close()?;
        Ok(true)
    }
}

/// The options, and how many segments they have ready.
fn options(workload: &Workload, extent: &Extent) -> (WalOptions, usize) {
    let in_parts = |parts: u64| {
        let size = (extent.bytes / parts).next_power_of_two();
        size.clamp(*SEGMENT_SIZE.start(), *SEGMENT_SIZE.end())
    };
    // A header may be nearly half as long as its record.
    let (segment_size, ahead) = match workload.condition {
        Condition::Warm | Condition::Tailed => {
            let size = in_parts(2);
            (size, (extent.bytes * 3 / 2).div_ceil(size) + 1)
        }
        Condition::Cold => (in_parts(2), 1),
        Condition::Recycled => (in_parts(32), 2),
    };
    let ahead = usize::try_from(ahead).unwrap_or(usize::MAX);
    let mut options = WalOptions::new();
    options
        .segment_size(segment_size)
        .preallocate_segments(ahead);
    if let SyncPolicy::Interval(millis) = workload.sync {
        options.sync_every(SyncEvery::Interval(Duration::from_millis(millis.get())));
    }
    (options, ahead)
}

/// A log makes its segments ready once it is used: uses it, forgets that, and waits.
fn make_ready(wal: &Wal, ahead: usize) -> Result<()> {
    while wal.stats().ready_segments <= 1 {
        wal.append(&[0; 1024])?;
    }
    while wal.stats().ready_segments < ahead as u64 {
        std::thread::yield_now();
    }
    wal.reset()?;
    Ok(())
}

#[derive(Debug)]
struct Open {
    wal: Wal,
    /// Where the reader stands.
    tailed: Mutex<Lsn>,
}

impl Log for Open {
    fn writer(&self, _: usize) -> Result<Box<dyn Writer + '_>> {
        Ok(Box::new(Appending {
            wal: &self.wal,
            appender: self.wal.appender()?,
            last: None,
        }))
    }

    fn discard(&self) -> Result<()> {
        let end = self.wal.durable();
        if let Some(segment) = end.segment().checked_sub(KEPT_SEGMENTS)
            && let Some(first) = Lsn::new(segment, 4096)
            && first > self.wal.head()
        {
            self.wal.discard_before(first)?;
        }
        Ok(())
    }

    fn tail(&self) -> Result<u64> {
        let mut at = self.tailed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        for record in self.wal.records(*at)? {
            let record: Record = record?;
            std::hint::black_box(record.first());
            *at = record.end();
            count += 1;
        }
        Ok(count)
    }

    fn syncs(&self) -> Option<u64> {
        Some(self.wal.stats().syncs)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.wal.close()?;
        ensure!(self.wal.durable() == self.wal.end(), "closed, not durable");
        Ok(())
    }
}

struct Appending<'a> {
    wal: &'a Wal,
    appender: Appender,
    last: Option<Lsn>,
}

impl Writer for Appending<'_> {
    fn append(&mut self, record: &[u8]) -> Result<()> {
        self.last = Some(self.appender.append(record)?);
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        if let Some(last) = self.last.take() {
            self.wal.sync_to(last)?;
        }
        Ok(())
    }
}
