//! [`page`]: what was seen as a page of text: who, where, the map, the totals, the problems, what next.

use std::fmt::Write as _;

use segwal::{Inspection, SegmentInfo, SegmentState};

use super::Report;
use super::map::{LEGEND, Marks, bar};
use crate::output::{Colour, Paint};
use crate::quantity;

/// How many segments the table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    All,
    /// The first and the last ones, and those with a problem.
    Short,
}

/// A longer table is shortened to so many segments at each end.
const ENDS: usize = 12;

pub(super) fn page(report: &Report, seen: &Inspection, extent: Extent, paint: Paint) -> String {
    let mut page = String::new();
    head(&mut page, report, paint);
    segments(&mut page, seen, extent, paint);
    totals(&mut page, report);
    tail(&mut page, report, paint);
    page
}

/// Writing to a string cannot fail.
macro_rules! line {
    ($page:expr, $($text:tt)*) => {{ let _ = writeln!($page, $($text)*); }};
}

fn head(page: &mut String, report: &Report, paint: Paint) {
    let row = |name: &str| paint.text(Colour::Title, &format!("{name:<9}"));
    line!(page, "{}{}", row("log"), report.path);
    match &report.identity {
        Some(identity) => line!(
            page,
            "{}{}, {}, segments of {}, user header of {} bytes",
            row("uuid"),
            identity.uuid,
            match identity.format_version {
                Some(version) => format!("format {version}"),
                None => "by its segments, for MANIFEST cannot say".to_owned(),
            },
            quantity::bytes(identity.segment_size),
            identity.user_header_len
        ),
        None => line!(page, "{}unknown", row("uuid")),
    }
    match &report.writer {
        Some(writer) => {
            let command = writer.command.as_deref().unwrap_or("?");
            line!(
                page,
                "{}process {} ({command}) has the log open",
                row("writer"),
                writer.pid
            );
        }
        None => line!(page, "{}none that can be seen", row("writer")),
    }
    let or_unknown = |position: &Option<String>| {
        position
            .clone()
            .unwrap_or_else(|| paint.text(Colour::Bad, "unknown"))
    };
    let (head, durable) = (or_unknown(&report.head), or_unknown(&report.durable));
    line!(
        page,
        "{}{head:<18} below it everything is discarded",
        row("head")
    );
    line!(
        page,
        "{}{durable:<18} below it everything is durable",
        row("durable")
    );
    let mut end = match &report.opening {
        Some(opening) => format!("row {}: {}", opening.row, opening.name),
        None => "not judged: the identity is unknown".to_owned(),
    };
    if report.is_closed {
        end += ", closed in order";
    }
    line!(page, "{}{:<18} {end}", row("end"), or_unknown(&report.end));
    for hold in &report.holds {
        let lsn = or_unknown(&hold.lsn);
        line!(
            page,
            "{}{lsn:<18} kept back by the hold {}",
            row("hold"),
            hold.name
        );
    }
}

fn segments(page: &mut String, seen: &Inspection, extent: Extent, paint: Paint) {
    let size = seen
        .identity()
        .map_or(0, segwal::Identity::segment_size)
        .max(1);
    let positions = seen.positions();
    let marks = Marks {
        head: positions.and_then(|positions| positions.head()),
        durable: positions.and_then(|positions| positions.durable()),
    };
    let title = format!(
        "{:>10}  {:<7}  {:<24}  {:>5}  {:>10}  {:>10}  {:>6}  {:<16}",
        "segment", "state", "map", "full", "frames", "records", "epochs", "salt"
    );
    line!(page, "\n{}", paint.text(Colour::Title, title.trim_end()));
    let all = seen.segments();
    let mut before: Option<u32> = None;
    let mut left_out = Vec::new();
    for (index, segment) in all.iter().enumerate() {
        if let Some(before) = before.filter(|before| before + 1 < segment.id()) {
            leave_out(page, &mut left_out, paint);
            missing(page, before + 1, segment.id() - 1, marks, paint);
        }
        before = Some(segment.id());
        let is_shown = extent == Extent::All
            || all.len() <= 2 * ENDS + 1
            || index < ENDS
            || index >= all.len() - ENDS
            || segment.problem().is_some();
        if is_shown {
            leave_out(page, &mut left_out, paint);
            row(page, segment, size, marks, paint);
        } else {
            left_out.push(segment);
        }
    }
    leave_out(page, &mut left_out, paint);
    let legend: Vec<String> = LEGEND
        .iter()
        .map(|(cell, name)| format!("{} {name}", cell.shown(paint)))
        .collect();
    line!(page, "{:>10}  {:<7}  {}", "", "", legend.join("  "));
}

fn row(page: &mut String, segment: &SegmentInfo, size: u64, marks: Marks, paint: Paint) {
    let contents = segment.contents();
    let state = format!("{:<7}", segment.state());
    let state = match segment.state() {
        SegmentState::Damaged => paint.text(Colour::Bad, &state),
        SegmentState::Active => paint.text(Colour::Good, &state),
        _ => state,
    };
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let full = contents.and_then(|contents| {
        let percent = 100 * contents.end().offset() / size;
        Some(format!("{percent}%")).filter(|_| segment.bytes() > 0)
    });
    let frames = contents.map(|contents| quantity::bytes(contents.frame_bytes()));
    let records = contents.map(|contents| contents.records().to_string());
    let epochs = contents.map(|contents| contents.epochs().to_string());
    let salt = segment.salt().map(|salt| format!("{salt:016x}"));
    line!(
        page,
        "{:>10}  {state}  {}  {:>5}  {:>10}  {:>10}  {:>6}  {}",
        segment.id(),
        bar(segment, size, marks, paint),
        shown(full),
        shown(frames),
        shown(records),
        shown(epochs),
        shown(salt)
    );
}

/// Ids without a file: damage from the head on, nothing below it.
fn missing(page: &mut String, first: u32, last: u32, marks: Marks, paint: Paint) {
    if marks.head.is_some_and(|head| last < head.segment()) {
        return;
    }
    let ids = if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    };
    let text = format!("{ids:>10}  missing");
    line!(page, "{}", paint.text(Colour::Bad, &text));
}

fn leave_out(page: &mut String, segments: &mut Vec<&SegmentInfo>, paint: Paint) {
    let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
        return;
    };
    let contents = segments.iter().filter_map(|segment| segment.contents());
    let records: u64 = contents.map(segwal::SegmentContents::records).sum();
    let text = format!(
        "{:>10}  {} segments from {} to {} with {records} records and no problem; --all shows them",
        "...",
        segments.len(),
        first.id(),
        last.id()
    );
    line!(page, "{}", paint.text(Colour::Faint, &text));
    segments.clear();
}

fn totals(page: &mut String, report: &Report) {
    let totals = &report.totals;
    let void = match totals.void {
        0 => String::new(),
        void => format!(" and {void} void ones"),
    };
    line!(
        page,
        "\n{} records{void} in {} of frames; {} segments held, {} ready, {} for reuse; {} of files",
        totals.records,
        quantity::bytes(totals.frame_bytes),
        totals.held_segments,
        totals.ready_segments,
        totals.dead_segments,
        quantity::bytes(totals.file_bytes)
    );
}

fn tail(page: &mut String, report: &Report, paint: Paint) {
    for (name, files) in [
        ("not the log's", &report.foreign),
        ("unfinished", &report.unfinished),
    ] {
        if !files.is_empty() {
            line!(page, "{name}: {}", files.join(", "));
        }
    }
    if !report.problems.is_empty() {
        line!(page, "\n{}", paint.text(Colour::Bad, "problems"));
        for problem in &report.problems {
            line!(page, "  {problem}");
        }
    }
    line!(page, "\n{}", paint.text(Colour::Title, "what next"));
    for line in &report.next {
        line!(page, "  {line}");
    }
}
