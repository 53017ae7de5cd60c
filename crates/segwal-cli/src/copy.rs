//! `segwal copy`: a backup of a log, alive or dead.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use segwal::{CopyReport, OnDamage, Wal};
use serde::Serialize;

use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};

const EXAMPLES: &str = "\
Examples:
  segwal copy ./log /backup/log-2024-05-01
  segwal copy ./log /backup/log --json | jq .end
  segwal copy ./damaged ./rescued --up-to-damage

The log may be open for writing meanwhile. The copy holds at least what was durable when the command began, is durable
itself when it ends, and is a log of its own: `segwal verify` checks it, and it opens. It is built beside DST and gets that
name when it is whole. Do not copy a log with cp: it takes files at different times, and on XFS it shares their blocks,
so that the writer dies of SIGBUS when the disk is full.

Exit codes: 0 copied; 74 the log is damaged and nothing was copied, or something failed; 75 no space.";

/// Copy the log, alive or dead, into a new directory
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// The directory of the copy, which must not exist
    #[arg(value_name = "DST")]
    target: PathBuf,
    /// Copy a damaged log as well: the records up to the damage
    #[arg(long)]
    up_to_damage: bool,
    #[command(flatten)]
    form: FormOptions,
}

/// What was copied, as JSON says it.
#[derive(Debug, Serialize)]
struct Report {
    target: String,
    head: String,
    end: String,
    segments: u64,
    records: u64,
    restarts: u32,
    damage: Option<String>,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let reader = Wal::open_read_only(&options.source)?;
    refuse_within(&options.source, &options.target)?;
    let on_damage = if options.up_to_damage {
        OnDamage::CopyUpToIt
    } else {
        OnDamage::Refuse
    };
    let bar = output::byte_bar("copying");
    let copied = reader.copy_to(&options.target, on_damage, |progress| {
        output::advance(&bar, progress);
    });
    bar.finish_and_clear();
    let report = Report::of(&options.target, &copied?);
    match Form::of(options.form) {
        Form::Json => output::json_line(&mut io::stdout(), &report)?,
        Form::Text => output::text(&report.text())?,
    }
    Ok(Status::Fine)
}

/// A copy within the log's own directory would be taken for somebody else's files, and copied by the next tool.
fn refuse_within(source: &Path, target: &Path) -> Outcome<()> {
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let absolute = |path: &Path| {
        fs::canonicalize(path).map_err(|error| Failure::io("cannot find", path, &error))
    };
    if absolute(parent)?.starts_with(absolute(source)?) {
        return Err(Failure::usage(format!(
            "{} lies within the log; copy to another place",
            target.display()
        )));
    }
    Ok(())
}

impl Report {
    fn of(target: &Path, copied: &CopyReport) -> Self {
        Self {
            target: output::path(target),
            head: copied.head().to_string(),
            end: copied.end().to_string(),
            segments: copied.segments(),
            records: copied.records(),
            restarts: copied.restarts(),
            damage: copied
                .damage()
                .map(|damage| output::message(&damage.to_string())),
        }
    }

    /// Writing to a string cannot fail.
    fn text(&self) -> String {
        let mut text = format!(
            "copied {} records in {} segments, from {} to {}, to {}\n",
            self.records, self.segments, self.head, self.end, self.target
        );
        if self.restarts > 0 {
            let _ = writeln!(
                text,
                "begun {} times anew, because the writer discarded what was being copied",
                self.restarts
            );
        }
        if let Some(damage) = &self.damage {
            let _ = writeln!(text, "damaged from there on: {damage}");
        }
        text
    }
}
