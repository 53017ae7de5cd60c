//! Latencies in nanoseconds, kept so that the tail is as exact as the middle.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Above this a latency is counted as this.
const MAX: Duration = Duration::from_secs(60);
const SIGNIFICANT_DIGITS: u8 = 3;

/// The latencies of one thread, or of several after [`Latencies::absorb`].
#[derive(Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

/// The figures that a report shows, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// All but one in a hundred are below.
    pub p99_ns: u64,
    /// All but one in a thousand.
    pub p99_9_ns: u64,
    /// All but one in ten thousand.
    pub p99_99_ns: u64,
    /// The longest.
    pub max_ns: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are constant and valid.
    #[must_use]
    pub fn new() -> Self {
        let histogram = Histogram::new_with_max(nanoseconds(MAX), SIGNIFICANT_DIGITS);
        Self {
            histogram: histogram.expect("the bounds are constant and valid"),
        }
    }

    /// Adds one.
    #[inline]
    pub fn record(&mut self, latency: Duration) {
        self.histogram.saturating_record(nanoseconds(latency));
    }

    /// Adds what another thread measured.
    ///
    /// # Panics
    /// Never: both have the same bounds.
    pub fn absorb(&mut self, other: &Self) {
        self.histogram
            .add(&other.histogram)
            .expect("both have the same bounds");
    }

    /// The figures that a report shows.
    #[must_use]
    pub fn percentiles(&self) -> Percentiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        Percentiles {
            count: self.histogram.len(),
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p99_9_ns: at(0.999),
            p99_99_ns: at(0.9999),
            max_ns: self.histogram.max(),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_lie_where_the_latencies_do() {
        let mut latencies = Latencies::new();
        let mut other = Latencies::new();
        for nanos in 1..=500 {
            latencies.record(Duration::from_nanos(nanos));
            other.record(Duration::from_nanos(500 + nanos));
        }
        latencies.absorb(&other);
        let found = latencies.percentiles();
        assert_eq!(
            (found.count, found.p50_ns, found.p99_ns, found.max_ns),
            (1_000, 500, 990, 1_000)
        );
    }

    #[test]
    fn a_latency_beyond_the_bound_is_kept_as_the_bound() {
        let mut latencies = Latencies::new();
        latencies.record(MAX * 1_000);
        assert!(latencies.percentiles().max_ns >= nanoseconds(MAX));
    }
}
