//! `segwal stats`: what a log holds and which files it takes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use segwal::{Verdict, Wal, WalReader};
use serde::Serialize;

use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};
use crate::quantity;

const EXAMPLES: &str = "\
Examples:
  segwal stats ./log
  segwal stats ./log --json | jq .records

Nothing is written, and another process may append meanwhile. Every record is read to count it.";

/// The unit in which a file's allocation is counted, whatever the file system's block is.
const SECTOR_SIZE: u64 = 512;

/// Print identity, positions, counts and files of the log
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log
    dir: PathBuf,
    #[command(flatten)]
    form: FormOptions,
}

/// What a log holds, as JSON says it.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    uuid: String,
    segment_size: u64,
    head: String,
    durable: String,
    /// Absent if the log is refused; the counts are zero then.
    end: Option<String>,
    end_name: String,
    records: u64,
    frame_bytes: u64,
    segments: BTreeMap<String, u64>,
    files: Vec<File>,
}

/// One entry of the directory.
#[derive(Debug, Serialize)]
struct File {
    name: String,
    bytes: u64,
    allocated: u64,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let reader = Wal::open_read_only(&options.dir)?;
    let verdict = reader.verify();
    let report = gather(&reader, &verdict)?;
    match Form::of(options.form) {
        Form::Json => output::json_line(&mut io::stdout(), &report)?,
        Form::Text => output::text(&report.to_string())?,
    }
    verdict
        .problem()
        .map_or(Ok(Status::Fine), |problem| Err(problem.clone().into()))
}

fn gather(reader: &WalReader, verdict: &Verdict) -> Outcome<Report> {
    let mut segments = BTreeMap::new();
    for segment in reader.segments()? {
        *segments.entry(segment.state().to_string()).or_default() += 1;
    }
    let failed = |error| Failure::io("cannot list", reader.path(), &error);
    Ok(Report {
        path: output::path(reader.path()),
        uuid: reader.uuid().to_string(),
        segment_size: reader.segment_size(),
        head: reader.head()?.to_string(),
        durable: reader.durable()?.to_string(),
        end: verdict.end().map(|lsn| lsn.to_string()),
        end_name: verdict.name().to_owned(),
        records: verdict.records(),
        frame_bytes: verdict.bytes(),
        segments,
        files: files(reader.path()).map_err(failed)?,
    })
}

fn files(dir: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            // The writer removed it since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        files.push(File {
            name: output::escaped(entry.file_name().as_encoded_bytes()),
            bytes: metadata.len(),
            allocated: metadata.blocks() * SECTOR_SIZE,
        });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<String> = self
            .segments
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let end = self.end.as_deref().unwrap_or("unknown");
        let rows = [
            ("log", self.path.clone()),
            ("uuid", self.uuid.clone()),
            ("segment size", quantity::bytes(self.segment_size)),
            ("head", self.head.clone()),
            ("durable", format!("below {}", self.durable)),
            ("end", format!("{end} ({})", self.end_name)),
            ("records", self.records.to_string()),
            ("frames", quantity::bytes(self.frame_bytes)),
            ("segments", states.join(", ")),
        ];
        for (name, value) in rows {
            writeln!(f, "{name:<13} {value}")?;
        }
        writeln!(f, "files")?;
        for file in &self.files {
            let (size, allocated) = (quantity::bytes(file.bytes), quantity::bytes(file.allocated));
            writeln!(f, "  {:<26} {size:>10}, {allocated} allocated", file.name)?;
        }
        Ok(())
    }
}
