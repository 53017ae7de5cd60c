//! `segwal verify`: every byte of a log, read and judged, with an exit code for scripts.

use std::fmt;
use std::io;
use std::path::PathBuf;

use segwal::{ErrorKind, Verdict, VerdictKind, Wal};
use serde::Serialize;

use crate::outcome::{Outcome, Status};
use crate::output::{self, Form, FormOptions};
use crate::quantity;

const EXAMPLES: &str = "\
Exit codes: 0 clean, or being written; 1 a torn tail, which the next opening for writing cuts; 2 corrupt; 3 unreadable.

Examples:
  segwal verify ./log
  segwal verify ./log --json | jq .problem

Nothing is written, and another process may append meanwhile: nothing is said against the log unless a second look finds the same.";

/// Read every frame of the log and say what its end is
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log
    dir: PathBuf,
    #[command(flatten)]
    form: FormOptions,
}

/// The judgement, as JSON says it.
#[derive(Debug, Serialize)]
struct Report {
    kind: &'static str,
    /// The row of the decision table; absent if the log could not be opened at all.
    row: Option<char>,
    name: String,
    segments: u64,
    records: u64,
    /// Records that a truncation made void.
    void: u64,
    frame_bytes: u64,
    end: Option<String>,
    durable: Option<String>,
    problem: Option<Problem>,
    action: &'static str,
    #[serde(skip)]
    status: Status,
}

/// What was found, and where.
#[derive(Debug, Serialize)]
struct Problem {
    message: String,
    path: Option<String>,
    segment: Option<u32>,
    offset: Option<u64>,
    lsn: Option<String>,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let report = match Wal::open_read_only(&options.dir) {
        Ok(reader) => of_verdict(&reader.verify()),
        Err(error) => of_error(&error),
    };
    match Form::of(options.form) {
        Form::Json => output::json_line(&mut io::stdout(), &report)?,
        Form::Text => output::text(&report.to_string())?,
    }
    Ok(report.status)
}

fn of_verdict(verdict: &Verdict) -> Report {
    let (status, kind, action) = judgement(verdict.kind());
    Report {
        kind,
        row: Some(verdict.row()),
        name: verdict.name().to_owned(),
        segments: verdict.segments(),
        records: verdict.records(),
        void: verdict.void(),
        frame_bytes: verdict.bytes(),
        end: verdict.end().map(|lsn| lsn.to_string()),
        durable: verdict.durable().map(|lsn| lsn.to_string()),
        problem: verdict.problem().map(Problem::of),
        action,
        status,
    }
}

/// A log that cannot even be opened has no row in the table.
fn of_error(error: &segwal::Error) -> Report {
    let (status, kind, action) = judgement(match error.kind() {
        ErrorKind::Corrupt => VerdictKind::Corrupt,
        _ => VerdictKind::Unreadable,
    });
    Report {
        kind,
        row: None,
        name: "the log cannot be opened".to_owned(),
        segments: 0,
        records: 0,
        void: 0,
        frame_bytes: 0,
        end: None,
        durable: None,
        problem: Some(Problem::of(error)),
        action,
        status,
    }
}

fn judgement(kind: VerdictKind) -> (Status, &'static str, &'static str) {
    match kind {
        VerdictKind::Clean => (Status::Fine, "clean", "nothing"),
        VerdictKind::BeingWritten => (
            Status::Fine,
            "being written",
            "nothing: what was checked is valid; verify again when nobody writes to be sure of the end",
        ),
        VerdictKind::TornTail => (
            Status::TornTail,
            "torn tail",
            "nothing: the next opening for writing cuts what was never durable",
        ),
        VerdictKind::Corrupt => (
            Status::Corrupt,
            "corrupt",
            "do not change the directory; restore from a backup, or see what `segwal repair` would keep",
        ),
        _ => (
            Status::Unreadable,
            "unreadable",
            "look at the path, its permissions and the device, then verify again",
        ),
    }
}

impl Problem {
    fn of(error: &segwal::Error) -> Self {
        let place = error.place();
        Self {
            message: error.to_string(),
            path: place.path.as_deref().map(output::path),
            segment: place.segment,
            offset: place.offset,
            lsn: place.lsn.map(|lsn| lsn.to_string()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "problem:  {}", output::message(&self.message))?;
        let Some(path) = &self.path else {
            return Ok(());
        };
        write!(f, "where:    {path}")?;
        if let Some(offset) = self.offset {
            write!(f, ", offset {offset}")?;
        }
        if let Some(lsn) = &self.lsn {
            write!(f, ", position {lsn}")?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => writeln!(f, "verdict:  {} (row {row}: {})", self.kind, self.name)?,
            None => writeln!(f, "verdict:  {} ({})", self.kind, self.name)?,
        }
        if let Some((end, durable)) = self.end.as_ref().zip(self.durable.as_ref()) {
            let (segments, records) = (self.segments, self.records);
            let size = quantity::bytes(self.frame_bytes);
            write!(f, "scanned:  segments {segments}, records {records}")?;
            if self.void > 0 {
                write!(f, ", void records {}", self.void)?;
            }
            writeln!(f, ", {size} of frames")?;
            writeln!(f, "end:      {end}, known durable below {durable}")?;
        }
        if let Some(problem) = &self.problem {
            write!(f, "{problem}")?;
        }
        writeln!(f, "to do:    {}", self.action)
    }
}
