//! Results as a table for people, or as one JSON object for records and plots; the environment comes first in both.

use std::fmt::Write;

use anyhow::Result;
use serde::Serialize;

use crate::environment::Environment;
use crate::latency::Percentiles;
use crate::limit::Measured;
use crate::workload::Workload;

/// One measured workload.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    name: &'static str,
    workload: Workload,
    operations_per_second: f64,
    megabytes_per_second: f64,
    latency: Percentiles,
}

/// How a report is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    Table,
    Json,
}

impl Format {
    /// What the flag `--json` chooses.
    pub(crate) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Table }
    }
}

impl Row {
    pub(crate) fn new(name: &'static str, workload: Workload, measured: &Measured) -> Self {
        let latency = measured.latencies.percentiles();
        let seconds = measured.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        Self {
            name,
            workload,
            operations_per_second: latency.count as f64 / seconds,
            megabytes_per_second: measured.bytes as f64 / 1e6 / seconds,
            latency,
        }
    }
}

/// The whole report as text.
pub(crate) fn render(environment: &Environment, rows: &[Row], format: Format) -> Result<String> {
    #[derive(Serialize)]
    struct Report<'a> {
        environment: &'a Environment,
        results: &'a [Row],
    }
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(&Report {
            environment,
            results: rows,
        })?),
        Format::Table => Ok(format!(
            "{}\n{}",
            serde_json::to_string(environment)?,
            table(rows)?
        )),
    }
}

fn table(rows: &[Row]) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{:<18} {:>7} {:>7} {:>8} {:>12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "limit",
        "bytes",
        "threads",
        "sync",
        "per second",
        "MB/s",
        "p50 us",
        "p99",
        "p99.9",
        "p99.99",
        "max"
    )?;
    for Row {
        name,
        workload,
        operations_per_second,
        megabytes_per_second,
        latency,
    } in rows
    {
        write!(
            text,
            "{name:<18} {:>7} {:>7} {:>8} {operations_per_second:>12.0} {megabytes_per_second:>9.1}",
            workload.record_len, workload.thread_count, workload.sync
        )?;
        let Percentiles {
            count: _,
            p50_ns,
            p99_ns,
            p99_9_ns,
            p99_99_ns,
            max_ns,
        } = latency;
        for nanoseconds in [p50_ns, p99_ns, p99_9_ns, p99_99_ns, max_ns] {
            write!(text, " {:>9.2}", *nanoseconds as f64 / 1e3)?;
        }
        writeln!(text)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latencies;
    use crate::workload::SyncPolicy;
    use std::path::Path;
    use std::time::Duration;

    fn row() -> Row {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_micros(8));
        latencies.record(Duration::from_micros(8));
        let measured = Measured {
            latencies,
            elapsed: Duration::from_secs(1),
            bytes: 3_000_000,
        };
        let workload = Workload {
            record_len: 256,
            thread_count: 1,
            sync: SyncPolicy::Each,
            operation_count: 2,
        };
        Row::new("raw", workload, &measured)
    }

    #[test]
    fn a_table_shows_rates_and_latencies() {
        let text = table(&[row()]).unwrap();
        let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(words[..7], ["raw", "256", "1", "each", "2", "3.0", "8.00"]);
    }

    #[test]
    fn json_holds_the_environment_and_every_figure() {
        let environment = Environment::capture(Path::new("/")).unwrap();
        let text = render(&environment, &[row()], Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(value["environment"]["core_count"].as_u64().unwrap() > 0);
        assert_eq!(value["results"][0]["latency"]["count"], 2);
        assert_eq!(value["results"][0]["workload"]["sync"], "each");
    }
}
