//! [`Slice`]: one engine at one workload, on a fresh directory, read back and counted afterwards.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::cost::{Costs, Meter};
use crate::engine::{Engine, Log, Writer};
use crate::latency::{Latencies, Percentiles};
use crate::payload::{Census, Missing, Stamp};
use crate::workload::{Condition, Extent, Workload};

/// How often old records are let go, or a reader looks.
const TICK: Duration = Duration::from_millis(10);

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Records appended, or made durable.
    pub records: u64,
    /// From the common start until the slowest thread ended.
    pub elapsed_s: f64,
    /// Of a record and the wait for it, or of a batch.
    pub latency: Percentiles,
    /// Of the whole process, from the common start until the slowest thread ended.
    pub costs: Costs,
    /// By the log, if it says so.
    pub syncs: Option<u64>,
    /// By the reader beside, if there was one.
    pub tailed: u64,
}

impl Slice {
    /// Records in a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.records as f64 / self.elapsed_s.max(f64::MIN_POSITIVE)
    }
}

/// Runs a workload on an engine, and counts what is left of it.
///
/// # Errors
/// The engine's; and if records are missing.
pub fn run(
    engine: &dyn Engine,
    workload: &Workload,
    extent: &Extent,
    within: &Path,
) -> Result<Slice> {
    let directory = tempfile::tempdir_in(within)?;
    let log = engine.open(directory.path(), workload, extent)?;
    let (slice, counts) = measure(&*log, workload, extent, directory.path())?;
    log.close()?;
    let mut census = Census::new(counts, workload.record_len);
    if engine.read_back(directory.path(), &mut |record| census.count(record))? {
        let missing = match workload.condition {
            Condition::Recycled => Missing::Oldest,
            _ => Missing::Never,
        };
        census
            .judge(missing)
            .with_context(|| format!("{} lost records", engine.name()))?;
    }
    Ok(slice)
}

/// What a thread did.
struct Done {
    latencies: Latencies,
    records: u64,
    elapsed: Duration,
}

/// The slice, and how many records each thread wrote.
fn measure(
    log: &dyn Log,
    workload: &Workload,
    extent: &Extent,
    directory: &Path,
) -> Result<(Slice, Vec<u64>)> {
    let start = Barrier::new(workload.thread_count + 1);
    let stop = AtomicBool::new(false);
    let (end, ended) = mpsc::channel::<()>();
    let (slice, counts) = thread::scope(|scope| {
        let beside = scope.spawn(move || go_beside(log, workload.condition, &ended));
        let threads: Vec<_> = (0..workload.thread_count)
            .map(|thread| {
                let (start, stop) = (&start, &stop);
                scope.spawn(move || {
                    let writer = log.writer(thread);
                    start.wait();
                    write(&mut *writer?, workload, extent, thread, stop)
                })
            })
            .collect();
        let syncs = log.syncs();
        start.wait();
        let meter = Meter::read(directory)?;
        let done: Vec<Result<Done>> = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a writer panicked"))?)
            .collect();
        let costs = Meter::read(directory)?.since(&meter);
        drop(end);
        let tailed = beside.join().map_err(|_| anyhow!("a reader panicked"))??;
        let done = done.into_iter().collect::<Result<Vec<_>>>()?;
        let syncs = log.syncs().zip(syncs).map(|(now, then)| now - then);
        anyhow::Ok(summed(&done, costs, syncs, tailed))
    })?;
    Ok((slice, counts))
}

fn summed(done: &[Done], costs: Costs, syncs: Option<u64>, tailed: u64) -> (Slice, Vec<u64>) {
    let mut latencies = Latencies::new();
    for done in done {
        latencies.absorb(&done.latencies);
    }
    let counts: Vec<u64> = done.iter().map(|done| done.records).collect();
    let elapsed = done
        .iter()
        .map(|done| done.elapsed)
        .max()
        .unwrap_or_default();
    let slice = Slice {
        records: counts.iter().sum(),
        elapsed_s: elapsed.as_secs_f64(),
        latency: latencies.percentiles(),
        costs,
        syncs,
        tailed,
    };
    (slice, counts)
}

/// What one thread does, with a clock read on each side of it.
fn write(
    writer: &mut dyn Writer,
    workload: &Workload,
    extent: &Extent,
    thread: usize,
    stop: &AtomicBool,
) -> Result<Done> {
    let mut stamp = Stamp::new(thread, workload.record_len);
    let mut latencies = Latencies::new();
    let most = extent.bytes / workload.record_len as u64 / workload.thread_count as u64;
    let per_commit = workload.sync.records_per_commit();
    let mut records = 0;
    let started = Instant::now();
    loop {
        let before = Instant::now();
        for _ in 0..per_commit.unwrap_or(1) {
            writer.append(stamp.record())?;
        }
        if per_commit.is_some() {
            writer.commit()?;
        }
        let after = Instant::now();
        latencies.record(after - before);
        records += per_commit.unwrap_or(1);
        // Relaxed: a lone flag. Whoever is through first ends it for all, so that all run beside the same company.
        if records >= most || after - started >= extent.time || stop.load(Ordering::Relaxed) {
            // Relaxed: as above.
            stop.store(true, Ordering::Relaxed);
            return Ok(Done {
                latencies,
                records,
                elapsed: after - started,
            });
        }
    }
}

/// What goes on beside the writers, until they are done. Returns how many records were read.
fn go_beside(log: &dyn Log, condition: Condition, ended: &Receiver<()>) -> Result<u64> {
    let mut tailed = 0;
    while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        match condition {
            Condition::Warm | Condition::Cold => {}
            Condition::Recycled => log.discard()?,
            Condition::Tailed => tailed += log.tail()?,
        }
    }
    Ok(tailed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::{Limit, Segwal};
    use crate::workload::SyncPolicy;

    const EXTENT: Extent = Extent {
        time: Duration::from_secs(60),
        bytes: 64 << 10,
    };

    fn workload(sync: SyncPolicy, condition: Condition) -> Workload {
        Workload {
            record_len: 256,
            thread_count: 2,
            sync,
            condition,
        }
    }

    #[test]
    fn what_segwal_took_comes_back_whatever_goes_on_beside() {
        let dir = testkit::TempDir::in_memory();
        for (sync, condition) in [
            ("none", Condition::Recycled),
            ("each", Condition::Recycled),
            ("batch:10", Condition::Tailed),
            ("interval:1", Condition::Cold),
        ] {
            let workload = workload(sync.parse().unwrap(), condition);
            let slice = run(&Segwal, &workload, &EXTENT, dir.path()).unwrap();
            assert!(slice.records >= 128, "{workload}: {slice:?}");
            assert!(slice.per_second() > 0.0);
        }
    }

    #[test]
    fn the_limit_is_measured_and_keeps_nothing() {
        let dir = testkit::TempDir::in_memory();
        let workload = workload(SyncPolicy::None, Condition::Warm);
        let slice = run(&Limit, &workload, &EXTENT, dir.path()).unwrap();
        assert_eq!(slice.latency.count, slice.records);
    }

    /// A log that forgets one record of each hundred.
    struct Forgetful;

    impl Engine for Forgetful {
        fn name(&self) -> &'static str {
            "forgetful"
        }

        fn setup(&self) -> &'static str {
            "none"
        }

        fn refusal(&self, _: &Workload) -> Option<&'static str> {
            None
        }

        fn open(&self, dir: &Path, workload: &Workload, extent: &Extent) -> Result<Box<dyn Log>> {
            Segwal.open(dir, workload, extent)
        }

        fn read_back(&self, dir: &Path, each: &mut dyn FnMut(&[u8])) -> Result<bool> {
            let mut count = 0;
            Segwal.read_back(dir, &mut |record| {
                count += 1;
                if count % 100 != 0 {
                    each(record);
                }
            })
        }
    }

    #[test]
    fn an_engine_that_loses_records_has_no_figure() {
        let dir = testkit::TempDir::in_memory();
        let workload = workload(SyncPolicy::None, Condition::Cold);
        let error = run(&Forgetful, &workload, &EXTENT, dir.path()).unwrap_err();
        assert!(error.to_string().contains("lost records"), "{error:#}");
    }
}
