//! `segwal demo`: the main job in one command, and its proof by killing.
//!
//! The parent starts its own program again as a child that appends from several threads and syncs each record, kills it at
//! a random moment, recovers the log and holds it against what the child had acknowledged. Three kills, then a run to a
//! clean close.

mod child;
mod corpus;
mod device;
mod ledger;
mod life;
mod message;
mod place;
mod random;
mod report;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use segwal::{Create, EndKind, VerdictKind, Wal};

use crate::outcome::{Failure, Outcome, Status};
use crate::output::{self, Form, FormOptions};
use corpus::Corpus;
use ledger::{Check, Findings, InHand, Ledger};
use life::{Life, Plan};
use place::Place;
use random::Random;
use report::{Report, Row};

pub(crate) use child::{ChildOptions, run_child};

const EXAMPLES: &str = "\
Examples:
  segwal demo
  segwal demo --short --threads 16
  segwal demo --input /var/log/syslog --dir /mnt/disk/demo --records 100000

Without --records each life has a time limit, so that a slow disk only means fewer records. `lost` has to be 0: the
command fails if an acknowledged record is missing, altered or moved, if one is there that nobody appended, or if a
thread's records have a gap. Device bytes are those of the whole device, whoever wrote them, preparation included.";

const KILLS: u32 = 3;

/// Append real lines from several threads, kill the process three times, and check what the log kept
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Append the lines of this file; by default the sources of the repository, or a text inside the program
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The directory of the log: empty, or left by an earlier demo [default: target/segwal-demo]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Append from so many threads
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Append about so many records in all, however long it takes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
    /// Take about five seconds at most
    #[arg(long)]
    short: bool,
    /// Choose the moments of the kills with this seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    form: FormOptions,
}

/// How much a run does.
#[derive(Clone, Copy, Debug)]
struct Budget {
    records: u64,
    /// The longest time of one life.
    life: Option<Duration>,
}

impl Budget {
    fn of(options: &Options) -> Self {
        let (records, life) = if options.short {
            (80_000, Duration::from_secs(1))
        } else {
            (400_000, Duration::from_millis(3_500))
        };
        Self {
            records: options.records.unwrap_or(records),
            life: options.records.is_none().then_some(life),
        }
    }
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let form = Form::of(options.form);
    let corpus = Corpus::find(options.input.as_deref())?;
    let place = Place::prepare(options.dir.as_deref())?;
    let seed = options.seed.unwrap_or_else(random::fresh_seed);
    let mut report = Report::new(&place, &corpus, options.threads, seed)?;
    if form == Form::Text {
        output::text(&report.introduction())?;
    }
    let mut demo = Demo {
        place: &place,
        corpus: &corpus,
        budget: Budget::of(options),
        ledger: Ledger::new(options.threads),
        random: Random::new(seed),
        progress: progress_bar(),
    };
    demo.run(&mut report)?;
    demo.progress.finish_and_clear();
    match form {
        Form::Text => output::text(&report.to_text())?,
        Form::Json => output::json_line(&mut io::stdout(), &report)?,
    }
    report.verdict()
}

/// A run of the demo.
struct Demo<'a> {
    place: &'a Place,
    corpus: &'a Corpus,
    budget: Budget,
    ledger: Ledger,
    random: Random,
    progress: ProgressBar,
}

impl Demo<'_> {
    /// Runs life after life; the first broken promise ends it.
    fn run(&mut self, report: &mut Report) -> Outcome<()> {
        for number in 1..=KILLS + 1 {
            let plan = if number <= KILLS {
                self.plan_kill()
            } else {
                self.plan_close()
            };
            self.progress
                .set_message(format!("life {number} of {}", KILLS + 1));
            let row = self.live(plan, report)?;
            report.rows.push(row);
            if !report.problems.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Between a tenth and a quarter of all records, so that the last life has some left.
    fn plan_kill(&mut self) -> Plan {
        let records = self.budget.records;
        let acks = self.random.between(records / 10 + 1, records / 4 + 2);
        let random = &mut self.random;
        let after = self.budget.life.map(|life| random.part_of(life));
        Plan::Kill { acks, after }
    }

    /// What is left of the budget, but at least a quarter of it.
    fn plan_close(&self) -> Plan {
        let counts = self.ledger.counts();
        let left = self.budget.records.saturating_sub(counts.iter().sum());
        let count = left
            .max(self.budget.records / 4)
            .div_ceil(counts.len() as u64);
        Plan::Close {
            count: count.max(1),
            limit: self.budget.life,
        }
    }

    /// One life, and what the log kept of it.
    fn live(&mut self, plan: Plan, report: &mut Report) -> Outcome<Row> {
        let before: u64 = self.ledger.counts().iter().sum();
        let written_before = self.place.device.written_bytes();
        let dir = &self.place.dir;
        let life = life::run(dir, self.corpus, plan, &mut self.ledger, &self.progress)?;
        let written = self.place.device.written_bytes();
        let written = written.zip(written_before).map(|(now, then)| now - then);
        let recovered = self.recover(plan)?;
        let kept: u64 = recovered.findings.recovered.counts().iter().sum();
        let row = row(
            &life,
            plan,
            &recovered,
            kept.saturating_sub(before),
            written,
        );
        report
            .latency_ns
            .add(&life.latency_ns)
            .map_err(|error| Failure::internal(format!("latencies cannot be added: {error}")))?;
        report.problems.extend(recovered.problems());
        self.ledger = recovered.findings.recovered;
        Ok(row)
    }

    fn recover(&self, plan: Plan) -> Outcome<Recovered> {
        let in_hand = match plan {
            Plan::Kill { .. } => InHand::One,
            Plan::Close { .. } => InHand::None,
        };
        recover(&self.place.dir, &self.ledger, self.corpus, in_hand)
    }
}

/// A log opened again after a child's end.
struct Recovered {
    time: Duration,
    end: String,
    findings: Findings,
    /// What is wrong beside the records.
    others: Vec<String>,
}

impl Recovered {
    fn problems(&self) -> Vec<String> {
        let records = self.findings.problems.iter().map(ToString::to_string);
        records.chain(self.others.iter().cloned()).collect()
    }
}

fn recover(dir: &Path, ledger: &Ledger, corpus: &Corpus, in_hand: InHand) -> Outcome<Recovered> {
    let mut others = Vec::new();
    if in_hand == InHand::None {
        let verdict = Wal::open_read_only(dir)?.verify();
        if verdict.kind() != VerdictKind::Clean {
            others.push(format!(
                "after a clean close the log ends with: {}",
                verdict.name()
            ));
        }
    }
    let mut options = place::options();
    options.create(Create::Never);
    let began = Instant::now();
    let wal = options.open(dir)?;
    let time = began.elapsed();
    let kind = wal.recovery().kind();
    if in_hand == InHand::None && !matches!(kind, EndKind::Closed) {
        others.push(format!("after a clean close the next opening met: {kind}"));
    }
    let end = kind.to_string();
    let mut check = Check::new(ledger, corpus, in_hand);
    for record in wal.records(wal.head())? {
        let record = record?;
        check.record(record.lsn(), record.payload());
    }
    let findings = check.finish();
    wal.close()?;
    Ok(Recovered {
        time,
        end,
        findings,
        others,
    })
}

fn row(life: &Life, plan: Plan, recovered: &Recovered, kept: u64, written: Option<u64>) -> Row {
    let percentile = |percent| Duration::from_nanos(life.latency_ns.value_at_percentile(percent));
    Row {
        ended_by: match plan {
            Plan::Kill { .. } => "SIGKILL",
            Plan::Close { .. } => "close",
        },
        acknowledged: life.acknowledged,
        recovered: kept,
        lost: recovered.findings.lost(),
        bytes: life.bytes,
        span: life.span,
        syncs: life.syncs,
        latencies: [percentile(50.0), percentile(99.0), percentile(99.9)],
        device_bytes: written,
        recovery: Some(recovered.time),
        end: recovered.end.clone(),
    }
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    bar.set_draw_target(ProgressDrawTarget::stderr());
    // A template that does not parse leaves the plain spinner.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}: {pos} records acknowledged") {
        bar.set_style(style);
    }
    bar
}
