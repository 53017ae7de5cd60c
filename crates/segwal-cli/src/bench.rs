//! `segwal bench`: how long appends and commits take here, beside the limits of the machine.

mod limit;
mod measure;
mod place;

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use segwal::{Wal, WalOptions};
use serde::Serialize;

use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};
use crate::quantity;
use measure::{Load, Measured, Percentiles, on_threads};
use place::Place;

const EXAMPLES: &str = "\
Examples:
  segwal bench /mnt/data
  segwal bench /mnt/data --sizes 100,4K --threads 1,8,64 --sync each --seconds 60
  segwal bench /mnt/data --json | jq '.runs[] | {size, threads, p50_ns}'

Each combination runs in a log of its own in a new directory below DIR, which is removed at the end. `append` ends when the
record is published, `commit` when it is durable. Beside each run stands what no log can beat: a copy with its checksum into
warm memory, or a write of the same blocks with O_DIRECT and O_DSYNC. Figures of a few seconds on a machine that does other
things are a hint, no measurement.";

/// What the log may take of the disk before its oldest records are discarded.
const KEEP_BYTES: u64 = 256 << 20;
/// How often that is looked at.
const TIDY: Duration = Duration::from_millis(20);

/// Measure latencies of appends and commits, beside the limits of the machine
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Where to measure: a directory without a log on the disk in question
    dir: PathBuf,
    /// The lengths of the records, with K or M
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_value = "256,4K", value_parser = record_len)]
    sizes: Vec<usize>,
    /// How many threads append
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,4", value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: Vec<u16>,
    /// When each thread syncs
    #[arg(
        long,
        value_name = "none|each",
        value_delimiter = ',',
        default_value = "none,each"
    )]
    sync: Vec<Sync>,
    /// How long it shall take in all
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// The size of the segments, with K, M or G
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = quantity::parse_bytes)]
    segment_size: u64,
    #[command(flatten)]
    form: FormOptions,
}

/// Whether a record counts when it is published or when it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sync {
    None,
    Each,
}

fn record_len(text: &str) -> Result<usize, String> {
    let len = quantity::parse_bytes(text)?;
    usize::try_from(len)
        .ok()
        .filter(|len| (1..=16 << 20).contains(len))
        .ok_or_else(|| "a record has 1 byte to 16M here".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    seconds
        .filter(|seconds| (0.01..=3600.0).contains(seconds))
        .ok_or_else(|| "write seconds, from 0.01 to 3600".to_owned())
}

/// Everything that was measured, as JSON says it.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    segment_size: u64,
    seconds_each: f64,
    runs: Vec<Run>,
}

/// One combination and its limit.
#[derive(Debug, Serialize)]
struct Run {
    sync: &'static str,
    size: usize,
    threads: u16,
    #[serde(flatten)]
    latency: Percentiles,
    per_second: f64,
    syncs: u64,
    limit: &'static str,
    /// Absent if the machine cannot do it here.
    limit_latency: Option<Percentiles>,
    limit_problem: Option<String>,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // Relaxed: a lone flag that the measuring threads look at after each operation.
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
        .map_err(|error| Failure::internal(format!("cannot wait for interrupts: {error}")))?;
    let place = Place::make(&options.dir)?;
    let measured = measure_all(options, place.path(), &stop);
    place.remove()?;
    let report = measured?;
    // Relaxed: as above.
    if stop.load(Ordering::Relaxed) {
        return Err(Failure::new(
            Status::TryAgain,
            "interrupted; everything was removed again",
        ));
    }
    match Form::of(options.form) {
        Form::Json => output::json_line(&mut io::stdout(), &report)?,
        Form::Text => output::text(&report.text())?,
    }
    Ok(Status::Fine)
}

fn measure_all(options: &Options, dir: &Path, stop: &AtomicBool) -> Outcome<Report> {
    let mut combinations = Vec::new();
    for sync in &options.sync {
        for size in &options.sizes {
            combinations.extend(
                options
                    .threads
                    .iter()
                    .map(|threads| (*sync, *size, *threads)),
            );
        }
    }
    // Each combination is followed by its limit.
    let parts = u32::try_from(combinations.len() * 2).unwrap_or(u32::MAX);
    let each = Duration::from_secs_f64(options.seconds) / parts.max(1);
    let bar = bar(u64::from(parts));
    let mut runs = Vec::new();
    for (sync, size, threads) in combinations {
        let load = Load {
            threads,
            size,
            length: each,
            stop,
        };
        bar.set_message(format!("{size} B, {threads} threads"));
        let (measured, syncs) = measure_log(options, sync, &load, dir)?;
        bar.inc(1);
        let (limit, beside) = match sync {
            Sync::None => ("copy and checksum", limit::copy_and_checksum(&load)),
            Sync::Each => ("raw durable write", limit::raw_write(&load, dir)),
        };
        bar.inc(1);
        runs.push(Run {
            sync: if sync == Sync::None {
                "append"
            } else {
                "commit"
            },
            size,
            threads,
            latency: measured.percentiles(),
            per_second: quantity::rate(measured.count(), measured.elapsed),
            syncs,
            limit,
            limit_problem: beside.as_ref().err().map(Failure::to_string),
            limit_latency: beside.ok().map(|measured| measured.percentiles()),
        });
    }
    bar.finish_and_clear();
    Ok(Report {
        path: output::path(&options.dir),
        segment_size: options.segment_size,
        seconds_each: each.as_secs_f64(),
        runs,
    })
}

/// One combination in a log of its own, which is removed.
fn measure_log(
    options: &Options,
    sync: Sync,
    load: &Load<'_>,
    dir: &Path,
) -> Outcome<(Measured, u64)> {
    let dir = dir.join("log");
    let wal = WalOptions::new()
        .segment_size(options.segment_size)
        .open(&dir)?;
    let measured = thread::scope(|scope| {
        let (done, ended) = mpsc::channel();
        let log = &wal;
        scope.spawn(move || tidy(log, &ended));
        let measured = on_threads(load, |_| {
            let mut appender = wal.appender()?;
            let (wal, payload) = (&wal, vec![0x5a; load.size]);
            Ok(move || {
                let lsn = appender.append(&payload)?;
                if sync == Sync::Each {
                    wal.sync_to(lsn)?;
                }
                Ok(())
            })
        });
        drop(done);
        measured
    });
    let syncs = wal.stats().syncs;
    let closed = wal.close();
    drop(wal);
    std::fs::remove_dir_all(&dir).map_err(|error| Failure::io("cannot remove", &dir, &error))?;
    closed?;
    Ok((measured?, syncs))
}

/// Discards what is old, so that a long run does not fill the disk, until the measurement is over.
fn tidy(wal: &Wal, ended: &mpsc::Receiver<()>) {
    let keep = u32::try_from(KEEP_BYTES / wal.segment_size()).unwrap_or(u32::MAX);
    while ended.recv_timeout(TIDY) == Err(mpsc::RecvTimeoutError::Timeout) {
        let durable = wal.durable();
        if durable.segment() - wal.head().segment() > keep {
            // The log's own calls will say what is wrong with it.
            drop(wal.discard_before(durable));
        }
    }
}

fn bar(parts: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(parts);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // A template that does not parse leaves the plain bar.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len}  {msg}  {eta} to go") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

impl Report {
    /// Writing to a string cannot fail.
    fn text(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{}, {:.2} s each, segments of {}\n",
            self.path,
            self.seconds_each,
            quantity::bytes(self.segment_size)
        );
        let _ = writeln!(
            text,
            "{:<7} {:>9} {:>8}  {:>9} {:>9} {:>9} {:>9} {:>9}  {:>12}",
            "", "record", "threads", "p50", "p99", "p99.9", "p99.99", "max", "per second"
        );
        for run in &self.runs {
            let size = quantity::bytes(run.size as u64);
            let _ = writeln!(
                text,
                "{:<7} {size:>9} {:>8}  {}  {:>12.0}",
                run.sync,
                run.threads,
                run.latency.row(),
                run.per_second
            );
            let beside = match (&run.limit_latency, &run.limit_problem) {
                (Some(latency), _) => latency.row(),
                (None, problem) => problem.clone().unwrap_or_default(),
            };
            let _ = writeln!(text, "  {:<24}  {beside}", run.limit);
        }
        text
    }
}
