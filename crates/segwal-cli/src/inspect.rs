//! `segwal inspect`: the map of a log, whatever state it is in, and what to run next.

mod advice;
mod map;
mod table;
mod writer;

use std::io;
use std::path::PathBuf;

use segwal::{Inspection, Lsn, SegmentInfo, SegmentState, Verdict};
use serde::Serialize;

use crate::outcome::{Outcome, Status};
use crate::output::{self, Form, FormOptions, Paint};
use writer::Writer;

const EXAMPLES: &str = "\
Examples:
  segwal inspect ./log
  segwal inspect ./log --json | jq '.segments[] | select(.state == \"sealed\") | .records'
  segwal inspect ./log --all | less

Nothing is written and no lock is taken: a live log can be looked at, and a damaged one shows what can still be read. The
exit code is 0 whatever is found; `segwal verify` judges with its exit code.";

/// Show the map of the log: segments, records, positions, problems, and what to run next
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log
    dir: PathBuf,
    /// Show every segment, also where the table would be long
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    form: FormOptions,
}

/// Everything that was seen, as JSON says it.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    identity: Option<Identity>,
    writer: Option<Writer>,
    head: Option<String>,
    durable: Option<String>,
    end: Option<String>,
    closed_at: Option<String>,
    is_closed: bool,
    totals: Totals,
    segments: Vec<Segment>,
    holds: Vec<Hold>,
    opening: Option<Opening>,
    problems: Vec<String>,
    foreign: Vec<String>,
    unfinished: Vec<String>,
    next: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Identity {
    uuid: String,
    format_version: Option<u32>,
    segment_size: u64,
    user_header_len: usize,
    compatible_features: u32,
    read_only_features: u32,
    incompatible_features: u32,
    is_from_segments: bool,
}

/// Sums over the segments from the head on.
#[derive(Debug, Default, Serialize)]
struct Totals {
    held_segments: u64,
    ready_segments: u64,
    dead_segments: u64,
    damaged_segments: u64,
    records: u64,
    void: u64,
    frame_bytes: u64,
    file_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Segment {
    id: u32,
    state: String,
    bytes: u64,
    seal: Option<u64>,
    salt: Option<String>,
    first: Option<String>,
    end: Option<String>,
    records: Option<u64>,
    void: Option<u64>,
    batches: Option<u64>,
    aborted: Option<u64>,
    epochs: Option<u64>,
    longest: Option<u64>,
    frames_behind: Option<u64>,
    problem: Option<String>,
}

/// What a named hold keeps back.
#[derive(Debug, Serialize)]
struct Hold {
    name: String,
    lsn: Option<String>,
}

/// How an opening for writing would judge the log.
#[derive(Debug, Serialize)]
struct Opening {
    row: char,
    name: String,
    problem: Option<String>,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let bar = output::byte_bar("reading");
    let seen = Inspection::of(&options.dir, |progress| output::advance(&bar, progress));
    bar.finish_and_clear();
    let seen = seen?;
    let report = Report::of(&seen);
    match Form::of(options.form) {
        Form::Json => output::json_line(&mut io::stdout(), &report)?,
        Form::Text => {
            let extent = if options.all {
                table::Extent::All
            } else {
                table::Extent::Short
            };
            output::text(&table::page(&report, &seen, extent, Paint::of_stdout()))?;
        }
    }
    Ok(Status::Fine)
}

impl Report {
    fn of(seen: &Inspection) -> Self {
        let positions = seen.positions();
        let end = seen
            .opening()
            .and_then(Verdict::end)
            .or_else(|| last_end(seen));
        let closed_at = positions.and_then(|positions| positions.closed_at());
        let text = |lsn: Option<Lsn>| lsn.map(|lsn| lsn.to_string());
        let paths =
            |paths: &[PathBuf]| -> Vec<String> { paths.iter().map(|path| name_of(path)).collect() };
        Self {
            path: output::path(seen.path()),
            identity: seen.identity().map(Identity::of),
            writer: Writer::of(seen.path()),
            head: text(positions.and_then(|positions| positions.head())),
            durable: text(positions.and_then(|positions| positions.durable())),
            end: text(end),
            closed_at: text(closed_at),
            is_closed: closed_at.is_some() && closed_at == end,
            totals: Totals::of(seen.segments()),
            segments: seen.segments().iter().map(Segment::of).collect(),
            holds: seen.holds().iter().map(Hold::of).collect(),
            opening: seen.opening().map(Opening::of),
            problems: seen
                .problems()
                .iter()
                .map(|line| output::message(line))
                .collect(),
            foreign: paths(seen.foreign()),
            unfinished: paths(seen.unfinished()),
            next: advice::next(seen),
        }
    }
}

/// Where the frames of the last segment that has any end.
fn last_end(seen: &Inspection) -> Option<Lsn> {
    let contents = seen.segments().iter().rev().find_map(SegmentInfo::contents);
    contents.map(segwal::SegmentContents::end)
}

fn name_of(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    output::escaped(name.as_encoded_bytes())
}

impl Identity {
    fn of(identity: &segwal::Identity) -> Self {
        Self {
            uuid: identity.uuid().to_string(),
            format_version: identity.format_version(),
            segment_size: identity.segment_size(),
            user_header_len: identity.user_header_len(),
            compatible_features: identity.compatible_features(),
            read_only_features: identity.read_only_features(),
            incompatible_features: identity.incompatible_features(),
            is_from_segments: identity.is_from_segments(),
        }
    }
}

impl Totals {
    fn of(segments: &[SegmentInfo]) -> Self {
        let mut totals = Self::default();
        for segment in segments {
            totals.file_bytes += segment.bytes();
            match segment.state() {
                SegmentState::Dead => totals.dead_segments += 1,
                SegmentState::Ready => totals.ready_segments += 1,
                SegmentState::Damaged => totals.damaged_segments += 1,
                _ => totals.held_segments += 1,
            }
            if let Some(contents) = segment.contents() {
                totals.records += contents.records();
                totals.void += contents.void();
                totals.frame_bytes += contents.frame_bytes();
            }
        }
        totals
    }
}

impl Segment {
    fn of(segment: &SegmentInfo) -> Self {
        let contents = segment.contents();
        Self {
            id: segment.id(),
            state: segment.state().to_string(),
            bytes: segment.bytes(),
            seal: segment.seal(),
            salt: segment.salt().map(|salt| format!("{salt:016x}")),
            first: contents.map(|contents| contents.first().to_string()),
            end: contents.map(|contents| contents.end().to_string()),
            records: contents.map(segwal::SegmentContents::records),
            void: contents.map(segwal::SegmentContents::void),
            batches: contents.map(segwal::SegmentContents::batches),
            aborted: contents.map(segwal::SegmentContents::aborted),
            epochs: contents.map(segwal::SegmentContents::epochs),
            longest: contents.map(segwal::SegmentContents::longest),
            frames_behind: contents.map(segwal::SegmentContents::behind),
            problem: segment.problem().map(output::message),
        }
    }
}

impl Hold {
    fn of(hold: &segwal::StoredHold) -> Self {
        Self {
            name: output::escaped(hold.name().as_bytes()),
            lsn: hold.lsn().map(|lsn| lsn.to_string()),
        }
    }
}

impl Opening {
    fn of(verdict: &Verdict) -> Self {
        Self {
            row: verdict.row(),
            name: verdict.name().to_owned(),
            problem: verdict
                .problem()
                .map(|problem| output::message(&problem.to_string())),
        }
    }
}
