//! `segwal append`: each line of the input becomes one record.
//!
//! Threads take chunks of lines, append them with an appender of their own, and sync as the policy says. A record counts as
//! acknowledged once the sync that covers it has returned; without syncs, once it was appended.

mod acks;

use std::fs;
use std::io;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use segwal::{Appender, Lsn, Wal, WalOptions};
use serde::Serialize;

use crate::input::Input;
use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};
use crate::quantity;
use acks::{Acks, Printer};

const EXAMPLES: &str = "\
Examples:
  seq 1000 | segwal append ./log --threads 4
  segwal append ./log --input events.txt --sync batch:100
  tail -f events.txt | segwal append ./log --print-acks

With one thread the records have the order of the lines. Several threads take lines in chunks, and the order between
chunks is open. With --print-acks the closing report goes to standard error, and a reader that closes standard output
ends the printing, not the appending.";

/// Append the lines of standard input or of a file, one record each
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log; created if there is none
    dir: PathBuf,
    /// Read lines from this file instead of standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Append from so many threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// When each thread syncs: after each record, after every N records, or never (records are then acknowledged when
    /// they are appended, and durable when the command has ended)
    #[arg(long, value_name = "each|batch:N|none", default_value = "each")]
    sync: SyncPolicy,
    /// The size of the segments of a new log, with K, M or G; an existing log keeps its own
    #[arg(long, value_name = "BYTES", value_parser = quantity::parse_bytes)]
    segment_size: Option<u64>,
    /// Print the position of each record on a line of its own as soon as the record is acknowledged
    #[arg(long)]
    print_acks: bool,
    #[command(flatten)]
    form: FormOptions,
}

impl Options {
    fn printer(&self) -> Printer {
        if self.print_acks {
            Printer::Wanted
        } else {
            Printer::Silent
        }
    }
}

/// When a thread syncs what it appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SyncPolicy {
    Every(usize),
    Never,
}

impl SyncPolicy {
    /// After how many records a thread acknowledges them.
    fn batch_count(self) -> usize {
        match self {
            Self::Every(count) => count,
            Self::Never => 1,
        }
    }
}

impl FromStr for SyncPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let batch = |count: &str| count.parse().ok().filter(|count| *count > 0);
        match text {
            "each" => Ok(Self::Every(1)),
            "none" => Ok(Self::Never),
            _ => text
                .strip_prefix("batch:")
                .and_then(batch)
                .map(Self::Every)
                .ok_or_else(|| "write each, none, or batch:N with N of at least 1".to_owned()),
        }
    }
}

/// What the threads share.
struct Job<'a> {
    wal: &'a Wal,
    input: &'a Input,
    policy: SyncPolicy,
    acks: Acks,
    progress: ProgressBar,
}

/// What was appended, as the report says it.
#[derive(Debug, Serialize)]
struct Summary {
    acknowledged: u64,
    bytes: u64,
    last_lsn: Option<String>,
    seconds: f64,
    syncs: u64,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    if let Some(input) = &options.input {
        refuse_own(&options.dir, input)?;
    }
    let input = Input::open(options.input.as_deref())?;
    let mut settings = WalOptions::new();
    if let Some(bytes) = options.segment_size {
        settings.segment_size(bytes);
    }
    let wal = settings.open(&options.dir)?;
    let started = Instant::now();
    let job = Job {
        wal: &wal,
        input: &input,
        policy: options.sync,
        acks: Acks::new(options.printer()),
        progress: progress_bar(&input),
    };
    let appended = append_all(&job, options.threads);
    job.progress.finish_and_clear();
    let closed = wal.close().map_err(Failure::from);
    let summary = summarize(&job, started.elapsed());
    if let Err(failure) = appended.and(closed) {
        return Err(failure.after(&progress_made(&summary)));
    }
    report(options, &summary)?;
    Ok(Status::Fine)
}

/// A file of the log as its own input would never end.
fn refuse_own(dir: &Path, input: &Path) -> Outcome<()> {
    let parent = match input.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let place = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    // Through a link, too, the file itself lies in a directory.
    let real = fs::canonicalize(input).ok();
    let real = real.as_deref().and_then(Path::parent);
    let own = place(dir);
    if own.is_some() && (place(parent) == own || real.and_then(place) == own) {
        return Err(Failure::usage(format!(
            "{} lies within the log that it would be appended to",
            input.display()
        )));
    }
    Ok(())
}

/// Appends from all threads; the first failure stops them all.
fn append_all(job: &Job<'_>, threads: u16) -> Outcome<()> {
    let run_thread = || {
        let done = append_chunks(job);
        if done.is_err() {
            job.input.stop();
        }
        done
    };
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(run_thread)).collect();
        let ended = started.into_iter().map(|thread| {
            let panicked = || Failure::internal("an appending thread panicked");
            thread.join().unwrap_or_else(|_| Err(panicked()))
        });
        // All of them are joined before the first failure is returned.
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

fn append_chunks(job: &Job<'_>) -> Outcome<()> {
    let mut appender = job.wal.appender()?;
    let mut batch = Batch::default();
    while let Some(chunk) = job.input.next_chunk()? {
        for line in chunk.lines() {
            batch.append(&mut appender, line)?;
            if batch.lsns.len() >= job.policy.batch_count() {
                batch.acknowledge(job)?;
            }
        }
        let read: usize = chunk.lines().map(|line| line.len() + 1).sum();
        job.progress.inc(read as u64);
    }
    batch.acknowledge(job)
}

/// What one thread appended since it last acknowledged.
#[derive(Debug, Default)]
struct Batch {
    lsns: Vec<Lsn>,
    bytes: u64,
}

impl Batch {
    fn append(&mut self, appender: &mut Appender, line: &[u8]) -> Outcome<()> {
        self.lsns.push(appender.append(line)?);
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn acknowledge(&mut self, job: &Job<'_>) -> Outcome<()> {
        let Some(last) = self.lsns.last() else {
            return Ok(());
        };
        if job.policy != SyncPolicy::Never {
            job.wal.sync_to(*last)?;
        }
        job.acks.acknowledge(&self.lsns, self.bytes)?;
        *self = Self::default();
        Ok(())
    }
}

/// Bytes read against the length of the file, or only bytes read.
fn progress_bar(input: &Input) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match input.len() {
        Some(len) => (
            ProgressBar::new(len),
            "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {bytes} read, {bytes_per_sec}",
        ),
    };
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // A template that does not parse leaves the plain bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn summarize(job: &Job<'_>, elapsed: Duration) -> Summary {
    let tally = job.acks.tally();
    Summary {
        acknowledged: tally.records,
        bytes: tally.bytes,
        last_lsn: tally.last.map(|lsn| lsn.to_string()),
        seconds: elapsed.as_secs_f64(),
        syncs: job.wal.stats().syncs,
    }
}

fn progress_made(summary: &Summary) -> String {
    let last = summary.last_lsn.as_deref().unwrap_or("none");
    format!(
        "after {} acknowledged records, the last at {last}",
        summary.acknowledged
    )
}

fn report(options: &Options, summary: &Summary) -> Outcome<()> {
    let mut text = Vec::new();
    match Form::of(options.form) {
        Form::Json => output::json_line(&mut text, summary)?,
        Form::Text => {
            let last = summary.last_lsn.as_deref().unwrap_or("none");
            let size = quantity::bytes(summary.bytes);
            writeln!(
                text,
                "acknowledged {} records ({size}), the last at {last}, in {:.3} s",
                summary.acknowledged, summary.seconds
            )
            .map_err(Failure::output)?;
        }
    }
    let written = if options.print_acks {
        io::stderr().write_all(&text)
    } else {
        let mut out = io::stdout();
        out.write_all(&text).and_then(|()| out.flush())
    };
    written.map_err(Failure::output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_spelled_in_three_ways() {
        assert_eq!("each".parse(), Ok(SyncPolicy::Every(1)));
        assert_eq!("batch:7".parse(), Ok(SyncPolicy::Every(7)));
        assert_eq!("none".parse(), Ok(SyncPolicy::Never));
        for text in ["", "batch", "batch:", "batch:0", "batch:-1", "all"] {
            assert!(text.parse::<SyncPolicy>().is_err(), "{text}");
        }
    }
}
