//! `segwal cat`: the records of a log, to read or to pipe on.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use segwal::{Lsn, OwnedRecord, Wal};

use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};
use crate::payload::{Data, Line};

const EXAMPLES: &str = "\
Examples:
  segwal cat ./log
  segwal cat ./log --from 3:4096 --json | jq .lsn
  segwal cat ./log | head -n 1

The log is opened read-only, also while another process appends to it; the records end where the writer is. In JSON a
payload is `text` if it is UTF-8 and `hex` otherwise, and `durable` says whether the log knows the record to be durable.";

/// Print the payloads of the records, one a line
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log
    dir: PathBuf,
    /// Begin at this record instead of the head of the log
    #[arg(long, value_name = "LSN")]
    from: Option<Lsn>,
    #[command(flatten)]
    form: FormOptions,
}

/// How a payload becomes a line.
#[derive(Clone, Copy)]
enum Style {
    Raw,
    Escaped,
    Json,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let reader = Wal::open_read_only(&options.dir)?;
    let stdout = io::stdout();
    let style = match Form::of(options.form) {
        Form::Json => Style::Json,
        Form::Text if stdout.is_terminal() => Style::Escaped,
        Form::Text => Style::Raw,
    };
    let mut out = BufWriter::new(stdout.lock());
    let from = match options.from {
        // Asked for by itself, a position that is no record's is an error rather than no output.
        Some(lsn) => reader.get(lsn)?.lsn(),
        None => reader.head()?,
    };
    for record in reader.records(from)? {
        match record {
            Ok(record) => print(&mut out, style, &record)?,
            Err(error) => {
                out.flush().map_err(Failure::output)?;
                return Err(error.into());
            }
        }
    }
    out.flush().map_err(Failure::output)?;
    Ok(Status::Fine)
}

fn print(out: &mut impl Write, style: Style, record: &OwnedRecord) -> Outcome<()> {
    let payload = record.payload();
    match style {
        Style::Json => return output::json_line(out, &Line::of(record, Data::Shown)),
        Style::Escaped => writeln!(out, "{}", output::escaped(payload)),
        Style::Raw => out.write_all(payload).and_then(|()| out.write_all(b"\n")),
    }
    .map_err(Failure::output)
}
