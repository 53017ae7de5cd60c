//! [`on_threads`]: an operation on several threads for some time, with a clock read on each side of it.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::outcome::{Failure, Outcome};
use crate::quantity;

/// Above this a latency is counted as this.
const MAX_NS: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) threads: u16,
    pub(super) size: usize,
    pub(super) length: Duration,
    /// Set when somebody wants it to end.
    pub(super) stop: &'a AtomicBool,
}

/// What all threads measured together.
#[derive(Debug)]
pub(super) struct Measured {
    latencies: Histogram<u64>,
    /// Until the slowest thread ended.
    pub(super) elapsed: Duration,
}

/// The figures that are shown, in nanoseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Percentiles {
    count: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    p99_9_ns: u64,
    p99_99_ns: u64,
    max_ns: u64,
}

impl Percentiles {
    /// As columns of a table.
    pub(super) fn row(&self) -> String {
        [
            self.p50_ns,
            self.p99_ns,
            self.p99_9_ns,
            self.p99_99_ns,
            self.max_ns,
        ]
        .map(|ns| format!("{:>9}", quantity::fine_time(Duration::from_nanos(ns))))
        .join(" ")
    }
}

impl Measured {
    pub(super) fn count(&self) -> u64 {
        self.latencies.len()
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.latencies.value_at_quantile(quantile);
        Percentiles {
            count: self.latencies.len(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p99_9_ns: at(0.999),
            p99_99_ns: at(0.9999),
            max_ns: self.latencies.max(),
        }
    }
}

fn histogram() -> Outcome<Histogram<u64>> {
    Histogram::new_with_max(MAX_NS, SIGNIFICANT_DIGITS)
        .map_err(|error| Failure::internal(error.to_string()))
}

/// Runs what `prepare` gives on each thread until the time is over.
pub(super) fn on_threads<Operation>(
    load: &Load<'_>,
    prepare: impl Fn(u16) -> Outcome<Operation> + Sync,
) -> Outcome<Measured>
where
    Operation: FnMut() -> Outcome<()>,
{
    let start = Barrier::new(usize::from(load.threads));
    let work = &|thread| {
        let prepared = prepare(thread);
        start.wait();
        timed(load, prepared?)
    };
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..load.threads)
            .map(|thread| scope.spawn(move || work(thread)))
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let panicked = || Failure::internal("a measuring thread panicked");
            thread.join().unwrap_or_else(|_| Err(panicked()))
        });
        joined.collect()
    });
    let mut all = Measured {
        latencies: histogram()?,
        elapsed: Duration::ZERO,
    };
    for result in results {
        let (latencies, elapsed) = result?;
        all.latencies
            .add(&latencies)
            .map_err(|error| Failure::internal(error.to_string()))?;
        all.elapsed = all.elapsed.max(elapsed);
    }
    Ok(all)
}

fn timed(
    load: &Load<'_>,
    mut operation: impl FnMut() -> Outcome<()>,
) -> Outcome<(Histogram<u64>, Duration)> {
    let mut latencies = histogram()?;
    let started = Instant::now();
    loop {
        let before = Instant::now();
        operation()?;
        let after = Instant::now();
        let ns = u64::try_from((after - before).as_nanos()).unwrap_or(u64::MAX);
        latencies.saturating_record(ns);
        // Relaxed: a lone flag.
        if after - started >= load.length || load.stop.load(Ordering::Relaxed) {
            return Ok((latencies, after - started));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(stop: &AtomicBool) -> Load<'_> {
        Load {
            threads: 3,
            size: 1,
            length: Duration::ZERO,
            stop,
        }
    }

    #[test]
    fn every_thread_measures_at_least_once_and_a_failure_is_told() {
        let stop = AtomicBool::new(false);
        let measured = on_threads(&load(&stop), |_| Ok(|| Ok(()))).unwrap();
        assert_eq!(measured.count(), 3);
        let failed = on_threads(&load(&stop), |thread| {
            Ok(move || match thread {
                2 => Err(Failure::internal("no")),
                _ => Ok(()),
            })
        });
        assert_eq!(failed.unwrap_err().to_string(), "no");
    }
}
