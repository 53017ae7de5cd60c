//! `segwal tail`: the newest records of a log, and those that are still to come.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use segwal::{ErrorKind, Lsn, OwnedRecord, SegmentState, Wal, WalReader};

use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};
use crate::payload::{Data, Line};

const EXAMPLES: &str = "\
Examples:
  segwal tail ./log                         the last ten records: position, index in its batch, tag, length
  segwal tail ./log -n 3 --show-data        the last three with their bytes, control characters escaped
  segwal tail ./log --follow                and those that a writer appends from now on
  segwal tail ./log --follow --from 3:4096 --json --show-data | while read -r line; do ...; done

The log is opened read-only, also while another process appends to it. --follow ends with Ctrl-C, or when nobody reads
standard output any more; a record is shown some milliseconds after it was appended. `-` stands in place of `durable` while
the log does not know the record to be durable.";

/// How long a look for the next record lasts before an interrupt is noticed.
const LOOK: Duration = Duration::from_millis(100);

/// Print the newest records, one a line, and follow the log
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The directory of the log
    dir: PathBuf,
    /// So many records
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 10,
        conflicts_with = "from"
    )]
    lines: usize,
    /// All records from this one on
    #[arg(long, value_name = "LSN")]
    from: Option<Lsn>,
    /// Wait for more records, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Print the bytes of the records
    #[arg(long)]
    show_data: bool,
    #[command(flatten)]
    form: FormOptions,
}

/// How a record becomes a line.
struct Printer<W> {
    out: W,
    form: Form,
    data: Data,
}

impl<W: Write> Printer<W> {
    fn print(&mut self, record: &OwnedRecord) -> Outcome<()> {
        let line = Line::of(record, self.data);
        match self.form {
            Form::Json => output::json_line(&mut self.out, &line),
            Form::Text => {
                let text = line.text(record.payload());
                writeln!(self.out, "{text}").map_err(Failure::output)
            }
        }
    }

    fn flush(&mut self) -> Outcome<()> {
        self.out.flush().map_err(Failure::output)
    }
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let interrupted = Arc::new(AtomicBool::new(false));
    if options.follow {
        let flag = Arc::clone(&interrupted);
        // Relaxed: a lone flag; the loop below looks at it again and again.
        ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))
            .map_err(|error| Failure::internal(format!("cannot wait for interrupts: {error}")))?;
    }
    let reader = Wal::open_read_only(&options.dir)?;
    let mut printer = Printer {
        out: BufWriter::new(io::stdout().lock()),
        form: Form::of(options.form),
        data: if options.show_data {
            Data::Shown
        } else {
            Data::Hidden
        },
    };
    let from = match options.from {
        // Asked for by itself, a position that is no record's is an error rather than no output.
        Some(lsn) => reader.get(lsn)?.lsn(),
        None => print_last(&reader, options.lines, &mut printer)?,
    };
    if options.follow {
        follow(&reader, from, &mut printer, &interrupted)?;
    } else if options.from.is_some() {
        for record in reader.records(from)? {
            match record {
                Ok(record) => printer.print(&record)?,
                Err(error) => {
                    printer.flush()?;
                    return Err(error.into());
                }
            }
        }
    }
    printer.flush()?;
    Ok(Status::Fine)
}

/// Prints the last `count` records; returns where the log goes on behind them.
fn print_last(reader: &WalReader, count: usize, printer: &mut Printer<impl Write>) -> Outcome<Lsn> {
    let head = reader.head()?;
    let starts = starts(reader)?;
    let mut segments = 1;
    loop {
        // Twice as many segments each time, so that no frame is read more than a few times.
        let from = starts.iter().rev().take(segments).next_back();
        let from = from.copied().unwrap_or(head).max(head);
        let (last, end) = last_records(reader, from, count)?;
        if last.len() >= count || from == head {
            for record in &last {
                printer.print(record)?;
            }
            printer.flush()?;
            return Ok(end);
        }
        segments *= 2;
    }
}

/// Where the frames of each segment that holds records begin.
fn starts(reader: &WalReader) -> Outcome<Vec<Lsn>> {
    let held = |state| matches!(state, SegmentState::Sealed | SegmentState::Active);
    let segments = reader.segments()?;
    let held = segments.iter().filter(|segment| held(segment.state()));
    Ok(held
        .filter_map(|segment| Lsn::new(segment.id(), head_block()))
        .collect())
}

/// The bytes of a segment before its first frame, as `docs/format.md` has them.
const fn head_block() -> u64 {
    4096
}

fn last_records(
    reader: &WalReader,
    from: Lsn,
    count: usize,
) -> Outcome<(VecDeque<OwnedRecord>, Lsn)> {
    let mut last = VecDeque::new();
    let mut end = from;
    for record in reader.records(from)? {
        let record = record?;
        end = record.end();
        if last.len() >= count {
            last.pop_front();
        }
        if count > 0 {
            last.push_back(record);
        }
    }
    Ok((last, end))
}

fn follow(
    reader: &WalReader,
    from: Lsn,
    printer: &mut Printer<impl Write>,
    interrupted: &AtomicBool,
) -> Outcome<()> {
    let mut follower = reader.follow(from)?;
    // Relaxed: a lone flag, as its store.
    while !interrupted.load(Ordering::Relaxed) {
        match follower.next_timeout(LOOK) {
            Ok(Some(record)) => {
                printer.print(&record)?;
                // Nobody should wait for a line that is there.
                printer.flush()?;
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Discarded => {
                let (lost, head) = (follower.next_lsn(), reader.head()?);
                drop(writeln!(
                    io::stderr(),
                    "segwal: the records from {lost} to {head} were discarded before they were read"
                ));
                follower = reader.follow(head)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
