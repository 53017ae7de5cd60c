//! `segwal repair`: what would make a damaged log open again, and with `--apply` doing it.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use segwal::Repair;
use serde::Serialize;

use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};

const EXAMPLES: &str = "\
Examples:
  segwal repair ./log                 say what is wrong, what would be kept and what lost; change nothing
  segwal copy ./log ./as-it-was --up-to-damage
  segwal repair ./log --apply         do it

A repair gives up records that were durable. It keeps every record up to the damage. Everything that it changes or removes
is first copied beside the log, into DIR.cut-N, with a report. The positions that are lost are given out again, so whoever
remembers positions of this log, such as a replica or an archive, has to be told. A torn tail needs no repair: the next
opening cuts it. To give up old records instead of new ones, where the log still opens, discard up to behind the damage.

Exit codes: 0 nothing to repair, the plan was shown, or it was done; 74 nothing of the log can be kept, or something failed;
75 the log is open for writing, or there is no space for what is cut.";

/// Say what would make a damaged log open again, and with --apply do it
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log
    dir: PathBuf,
    /// Change the log; without this it is only looked at
    #[arg(long)]
    apply: bool,
    /// The segment at which the log begins, where COOKIE is lost and it could be one of several
    #[arg(long, value_name = "SEGMENT")]
    head: Option<u32>,
    #[command(flatten)]
    form: FormOptions,
}

/// The plan, and what became of it, as JSON says it.
#[derive(Debug, Serialize)]
struct Report {
    path: String,
    is_needed: bool,
    is_applied: bool,
    faults: Vec<String>,
    steps: Vec<String>,
    head: String,
    end: String,
    kept_records: u64,
    lost_from: Option<String>,
    lost_to: Option<String>,
    lost_records_readable: u64,
    kept_in: Option<String>,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let dir = named(&options.dir)?;
    let repair = match options.head {
        Some(head) => Repair::plan_from_segment(&dir, head)?,
        None => Repair::plan(&dir)?,
    };
    let mut report = Report::of(&dir, &repair);
    if options.apply && repair.is_needed() {
        let bar = output::byte_bar("keeping");
        let repaired = repair.apply(|progress| output::advance(&bar, progress));
        bar.finish_and_clear();
        report.kept_in = Some(output::path(repaired?.kept()));
        report.is_applied = true;
    }
    match Form::of(options.form) {
        Form::Json => output::json_line(&mut io::stdout(), &report)?,
        Form::Text => output::text(&report.text())?,
    }
    Ok(Status::Fine)
}

/// What is cut is kept under a name beside that of the log: `.` has none.
fn named(dir: &Path) -> Outcome<PathBuf> {
    if dir.file_name().is_some() {
        return Ok(dir.to_owned());
    }
    std::fs::canonicalize(dir).map_err(|error| Failure::io("cannot find", dir, &error))
}

impl Report {
    fn of(dir: &Path, repair: &Repair) -> Self {
        let lines = |lines: Vec<String>| -> Vec<String> {
            lines.iter().map(|line| output::message(line)).collect()
        };
        let lost = repair.lost();
        Self {
            path: output::path(dir),
            is_needed: repair.is_needed(),
            is_applied: false,
            faults: lines(repair.faults().to_vec()),
            steps: lines(repair.steps()),
            head: repair.head().to_string(),
            end: repair.end().to_string(),
            kept_records: repair.kept_records(),
            lost_from: lost.as_ref().map(|lost| lost.start.to_string()),
            lost_to: lost.as_ref().map(|lost| lost.end.to_string()),
            lost_records_readable: repair.lost_records(),
            kept_in: None,
        }
    }

    /// Writing to a string cannot fail.
    fn text(&self) -> String {
        let mut text = String::new();
        if !self.is_needed {
            let _ = writeln!(
                text,
                "nothing to repair: {} records from {} to {}\nan opening for writing cuts a torn tail by itself",
                self.kept_records, self.head, self.end
            );
            return text;
        }
        let _ = writeln!(text, "wrong with {}", self.path);
        for fault in &self.faults {
            let _ = writeln!(text, "  {fault}");
        }
        let _ = writeln!(
            text,
            "kept\n  {} records from {} to {}",
            self.kept_records, self.head, self.end
        );
        if let Some((from, to)) = self.lost_from.as_ref().zip(self.lost_to.as_ref()) {
            let _ = writeln!(
                text,
                "lost\n  the positions from {from} to {to}; they are given out again\n  {} records of them can still be read, and are kept beside",
                self.lost_records_readable
            );
        }
        let _ = writeln!(text, "{}", if self.is_applied { "done" } else { "steps" });
        for step in &self.steps {
            let _ = writeln!(text, "  {step}");
        }
        match &self.kept_in {
            Some(kept) => {
                let _ = writeln!(
                    text,
                    "everything that was changed is in {kept}, as it was before"
                );
            }
            None => {
                let _ = writeln!(text, "nothing was changed; --apply does it");
            }
        }
        text
    }
}
