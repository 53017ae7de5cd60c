//! [`Report`]: what the demo saw, as a table for people and as JSON.

use std::path::PathBuf;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use super::corpus::Corpus;
use super::life;
use super::place::Place;
use crate::outcome::{Failure, Outcome, Status};
use crate::quantity;

/// How many broken promises are told one by one.
const MAX_TOLD: usize = 10;
const NOT_SHOWN: &str = "not shown";

/// Everything the demo says.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    dir: PathBuf,
    file_system: String,
    input: String,
    threads: u32,
    seed: u64,
    #[serde(rename = "lives")]
    pub(crate) rows: Vec<Row>,
    pub(crate) problems: Vec<String>,
    #[serde(skip)]
    pub(crate) latency_ns: Histogram<u64>,
    #[serde(skip)]
    place: String,
}

/// One life.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) ended_by: &'static str,
    pub(crate) acknowledged: u64,
    pub(crate) recovered: u64,
    pub(crate) lost: u64,
    pub(crate) bytes: u64,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(crate) span: Duration,
    pub(crate) syncs: u64,
    /// At 50, 99 and 99.9 percent.
    #[serde(rename = "latency_us_p50_p99_p999", serialize_with = "microseconds")]
    pub(crate) latencies: [Duration; 3],
    /// Written by the whole device meanwhile.
    pub(crate) device_bytes: Option<u64>,
    #[serde(rename = "recovery_seconds", serialize_with = "optional_seconds")]
    pub(crate) recovery: Option<Duration>,
    pub(crate) end: String,
}

impl Report {
    pub(crate) fn new(place: &Place, corpus: &Corpus, threads: u32, seed: u64) -> Outcome<Self> {
        Ok(Self {
            dir: place.dir.clone(),
            file_system: place.file_system().to_owned(),
            input: corpus.describe(),
            threads,
            seed,
            rows: Vec::new(),
            problems: Vec::new(),
            latency_ns: life::latencies()?,
            place: place.describe(),
        })
    }

    /// What is said before the first life.
    pub(crate) fn introduction(&self) -> String {
        let Self {
            input,
            place,
            threads,
            seed,
            ..
        } = self;
        format!(
            "input      {input}\nlog        {place}\nthreads    {threads}, each record synced before the next of its thread\n\
             seed       {seed}\n\n"
        )
    }

    /// The table and the verdict.
    pub(crate) fn to_text(&self) -> String {
        let mut text = self.table();
        if self.rows.iter().any(|row| row.device_bytes.is_none()) {
            text += "\nDevice bytes: not shown by this kernel for this file system.\n";
        }
        if self.problems.is_empty() {
            text += &self.conclusion();
        }
        text
    }

    fn conclusion(&self) -> String {
        let all = self.all();
        let (acknowledged, lost) = (all.acknowledged, all.lost);
        let in_hand = all.recovered - acknowledged;
        format!(
            "\nAll {acknowledged} acknowledged records were recovered, each with its bytes and in the order of its thread,\n\
             and {in_hand} that were in hand when a kill came. Records lost: {lost}.\n"
        )
    }

    /// Fine, or the broken promises.
    pub(crate) fn verdict(&self) -> Outcome<Status> {
        if self.problems.is_empty() {
            return Ok(Status::Fine);
        }
        let told: Vec<&str> = self
            .problems
            .iter()
            .take(MAX_TOLD)
            .map(String::as_str)
            .collect();
        let more = self.problems.len() - told.len();
        let more = if more > 0 {
            format!("\n  and {more} more")
        } else {
            String::new()
        };
        Err(Failure::internal(format!(
            "the log broke its promises; keep {} as it is and report this as a defect, with the seed {}\n  {}{more}",
            self.dir.display(),
            self.seed,
            told.join("\n  ")
        )))
    }

    /// All lives as one.
    fn all(&self) -> Row {
        let sum = |field: fn(&Row) -> u64| self.rows.iter().map(field).sum();
        let percentile =
            |percent| Duration::from_nanos(self.latency_ns.value_at_percentile(percent));
        Row {
            acknowledged: sum(|row| row.acknowledged),
            recovered: sum(|row| row.recovered),
            lost: sum(|row| row.lost),
            bytes: sum(|row| row.bytes),
            span: self.rows.iter().map(|row| row.span).sum(),
            syncs: sum(|row| row.syncs),
            latencies: [percentile(50.0), percentile(99.0), percentile(99.9)],
            device_bytes: self.rows.iter().map(|row| row.device_bytes).sum(),
            ..Row::default()
        }
    }

    /// A line for each figure, a column for each life and one for all.
    fn table(&self) -> String {
        let mut columns: Vec<Vec<String>> = vec![NAMES.iter().map(ToString::to_string).collect()];
        for (number, row) in (1..).zip(&self.rows) {
            columns.push(row.cells(&format!("life {number}")));
        }
        columns.push(self.all().cells("all"));
        let width = |column: &Vec<String>| column.iter().map(String::len).max().unwrap_or_default();
        let widths: Vec<usize> = columns.iter().map(width).collect();
        let line = |number: usize| {
            let cells = columns.iter().zip(&widths).enumerate();
            let padded = cells.map(|(index, (column, width))| match index {
                0 => format!("{:<width$}", column[number]),
                _ => format!("  {:>width$}", column[number]),
            });
            padded.collect::<String>().trim_end().to_owned() + "\n"
        };
        (0..NAMES.len()).map(line).collect()
    }
}

/// The lines of the table; [`Row::cells`] has the same order.
const NAMES: [&str; 14] = [
    "",
    "ended by",
    "records acknowledged",
    "records recovered",
    "records lost",
    "records/s",
    "MB/s",
    "commits per sync",
    "latency p50",
    "latency p99",
    "latency p99.9",
    "device bytes per commit",
    "recovery time",
    "end found",
];

impl Row {
    fn cells(&self, heading: &str) -> Vec<String> {
        let [p50, p99, p999] = self.latencies.map(quantity::time);
        let per_sync = quantity::ratio(self.acknowledged, self.syncs);
        let per_commit = self
            .device_bytes
            .and_then(|bytes| quantity::ratio(bytes, self.acknowledged));
        vec![
            heading.to_owned(),
            self.ended_by.to_owned(),
            self.acknowledged.to_string(),
            self.recovered.to_string(),
            self.lost.to_string(),
            format!("{:.0}", quantity::rate(self.acknowledged, self.span)),
            format!("{:.2}", quantity::rate(self.bytes, self.span) / 1e6),
            per_sync.map_or_else(|| "-".to_owned(), |count| format!("{count:.2}")),
            p50,
            p99,
            p999,
            per_commit.map_or_else(|| NOT_SHOWN.to_owned(), |bytes| format!("{bytes:.0}")),
            self.recovery.map(quantity::time).unwrap_or_default(),
            self.end.clone(),
        ]
    }
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[expect(clippy::ref_option, reason = "it is what the derived code hands over")]
fn optional_seconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

fn microseconds<S: Serializer>(times: &[Duration; 3], serializer: S) -> Result<S::Ok, S::Error> {
    times
        .map(|time| time.as_secs_f64() * 1e6)
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = Row {
            ended_by: "SIGKILL",
            acknowledged: 100,
            recovered: 102,
            bytes: 10_000,
            span: Duration::from_millis(10),
            syncs: 50,
            device_bytes: Some(409_600),
            end: "torn tail".to_owned(),
            ..Row::default()
        };
        Report {
            dir: PathBuf::from("dir"),
            file_system: "ext4".to_owned(),
            input: "text".to_owned(),
            threads: 4,
            seed: 1,
            rows: vec![row.clone(), row],
            problems: Vec::new(),
            latency_ns: life::latencies().unwrap(),
            place: "dir".to_owned(),
        }
    }

    #[test]
    fn the_table_has_a_column_for_each_life_and_one_for_all() {
        let text = report().to_text();
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
        let cells = |name| {
            line(name)[name.len()..]
                .split_whitespace()
                .collect::<Vec<_>>()
        };
        assert_eq!(cells("records acknowledged"), ["100", "100", "200"]);
        assert_eq!(cells("records lost"), ["0", "0", "0"]);
        assert_eq!(cells("MB/s"), ["1.00", "1.00", "1.00"]);
        assert_eq!(cells("commits per sync"), ["2.00", "2.00", "2.00"]);
        assert_eq!(cells("device bytes per commit"), ["4096", "4096", "4096"]);
    }

    #[test]
    fn what_the_kernel_does_not_show_is_said() {
        let mut report = report();
        report.rows[1].device_bytes = None;
        assert!(report.to_text().contains("not shown by this kernel"));
    }

    #[test]
    fn a_broken_promise_is_a_failure_that_is_told() {
        let mut report = report();
        report.verdict().unwrap();
        report.problems = (0..12).map(|number| format!("broken {number}")).collect();
        let failure = report.verdict().unwrap_err();
        let Failure::Failed { status, message } = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(status, Status::Internal);
        assert!(message.contains("broken 9\n  and 2 more"), "{message}");
        assert!(!report.to_text().contains("was recovered"));
    }
}
