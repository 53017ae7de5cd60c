//! A run as a table for people: medians over the laps, with the ratio to the limit in every row.

use std::fmt::Write;

use anyhow::Result;

use crate::record::Record;
use crate::series::{Middle, Series};
use crate::slice::Slice;

const HEADINGS: [&str; 14] = [
    "engine",
    "bytes",
    "threads",
    "sync",
    "condition",
    "records/s",
    "spread",
    "MB/s",
    "p50 us",
    "p99",
    "p99.9",
    "p99.99",
    "x limit",
    "per sync",
];

/// The table, in Markdown.
///
/// # Errors
/// None in practice: it writes into memory.
pub fn render(record: &Record) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "| {} |", HEADINGS.join(" | "))?;
    writeln!(text, "|{}", "---|".repeat(HEADINGS.len()))?;
    for (series, limit) in record.beside_limit() {
        if let Some(row) = row(series, limit) {
            writeln!(text, "| {} |", row.join(" | "))?;
        }
    }
    Ok(text)
}

fn row(series: &Series, limit: Option<&Series>) -> Option<Vec<String>> {
    let workload = series.workload;
    let rate = series.figures(Slice::per_second)?;
    let micros = |of: fn(&Slice) -> u64| {
        let ns = series.figures(|slice| of(slice) as f64)?.median;
        Some(format!("{:.2}", ns / 1e3))
    };
    let to_limit = limit.and_then(|limit| series.ratio(limit, |slice| slice.latency.p50_ns as f64));
    let per_sync = series.figures(|slice| {
        let syncs = slice.syncs.filter(|syncs| *syncs > 0);
        syncs.map_or(f64::NAN, |syncs| slice.records as f64 / syncs as f64)
    })?;
    Some(vec![
        series.engine.clone(),
        workload.record_len.to_string(),
        workload.thread_count.to_string(),
        workload.sync.to_string(),
        workload.condition.to_string(),
        count(rate.median),
        spread(rate),
        format!("{:.1}", rate.median * workload.record_len as f64 / 1e6),
        micros(|slice| slice.latency.p50_ns)?,
        micros(|slice| slice.latency.p99_ns)?,
        micros(|slice| slice.latency.p99_9_ns)?,
        micros(|slice| slice.latency.p99_99_ns)?,
        to_limit.map_or("-".to_owned(), |ratio| format!("{:.2}", ratio.median)),
        if per_sync.median.is_nan() {
            "-".to_owned()
        } else {
            format!("{:.1}", per_sync.median)
        },
    ])
}

/// How far the laps lie apart, in parts of their median.
fn spread(middle: Middle) -> String {
    let apart = (middle.most - middle.least) / middle.median.max(f64::MIN_POSITIVE);
    format!("{:.0} %", apart * 100.0)
}

/// With as many digits as mean something.
fn count(figure: f64) -> String {
    match figure {
        f if f >= 1e6 => format!("{:.2} M", f / 1e6),
        f if f >= 1e4 => format!("{:.1} k", f / 1e3),
        f => format!("{f:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Costs;
    use crate::latency::Latencies;
    use crate::workload::{Condition, SyncPolicy, Workload};
    use std::time::Duration;

    fn series(engine: &str, micros: u64) -> Series {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_micros(micros));
        let slice = Slice {
            records: 2_000_000,
            elapsed_s: 1.0,
            latency: latencies.percentiles(),
            costs: Costs {
                cpu_s: 0.5,
                minor_faults: 1,
                major_faults: 0,
                device: None,
            },
            syncs: (engine != "limit").then_some(1_000_000),
            tailed: 0,
        };
        Series {
            engine: engine.to_owned(),
            workload: Workload {
                record_len: 256,
                thread_count: 1,
                sync: SyncPolicy::Each,
                condition: Condition::Warm,
            },
            slices: vec![slice; 3],
        }
    }

    #[test]
    fn a_row_has_the_ratio_to_the_limit_of_its_workload() {
        let dir = testkit::TempDir::in_memory();
        let mut record = Record::begin(dir.path()).unwrap();
        record.series = vec![series("limit", 4), series("segwal", 8)];
        let text = render(&record).unwrap();
        let lines: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            lines[1],
            "| segwal | 256 | 1 | each | warm | 2.00 M | 0 % | 512.0 | 8.00 | 8.00 | 8.00 | 8.00 | 2.00 | 2.0 |"
        );
        assert!(lines[0].ends_with("| 1.00 | - |"), "{}", lines[0]);
    }
}
