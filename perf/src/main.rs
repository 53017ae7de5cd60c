//! Measures segwal beside the limits of the machine: `cargo run --release -p perf -- run --few`.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measuring tool prints"
)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use perf::engine::Engine;
use perf::record::{Record, Setup};
use perf::series::{self, Plan};
use perf::workload::{Choice, Extent, Workload, chosen};
use perf::{engines, table};

#[derive(Debug, Parser)]
#[command(
    name = "perf",
    about = "Measures segwal beside the limits of the machine below it"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, print a table, and keep a record
    Run(RunOptions),
    /// Print the table of a record
    Show {
        /// The file that a run has left
        record: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RunOptions {
    /// The few workloads that matter most, in short slices
    #[arg(long)]
    few: bool,
    /// Only workloads whose description contains this, such as `256 B x 8, sync each`
    #[arg(long)]
    only: Option<String>,
    /// How often each engine has its turn at each workload
    #[arg(long, default_value_t = 5)]
    laps: usize,
    /// Milliseconds of a turn, at most
    #[arg(long)]
    millis: Option<u64>,
    /// Payload bytes of a turn, at most
    #[arg(long, default_value_t = 128 << 20)]
    bytes: u64,
    /// Where to write; temporary directories inside it are made and removed
    #[arg(long, default_value = "target/perf")]
    dir: PathBuf,
    /// Where to keep the record
    #[arg(long)]
    record: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => run(&options),
        Command::Show { record } => show(&record),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(path: &std::path::Path) -> Result<()> {
    print!("{}", table::render(&Record::load(path)?)?);
    Ok(())
}

fn run(options: &RunOptions) -> Result<()> {
    let engines = engines::all();
    let workloads = workloads(options)?;
    fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make {}", options.dir.display()))?;
    let mut record = Record::begin(&options.dir)?;
    record.setups = engines.iter().map(|engine| setup(&**engine)).collect();
    let plan = Plan {
        within: &options.dir,
        laps: options.laps,
        extent: extent(options),
    };
    let slices = workloads.len() * engines.len() * options.laps;
    let bar = ProgressBar::new(slices as u64).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len}, {eta} left: {msg}",
    )?);
    for workload in &workloads {
        bar.set_message(workload.to_string());
        let series = series::run(&engines, workload, &plan, |_| bar.inc(1))?;
        record.series.extend(series);
    }
    bar.finish_and_clear();
    print!("{}", table::render(&record)?);
    if let Some(directory) = &options.record {
        println!("kept as {}", record.save(directory)?.display());
    }
    Ok(())
}

fn setup(engine: &dyn Engine) -> Setup {
    Setup {
        engine: engine.name().to_owned(),
        setup: engine.setup().to_owned(),
    }
}

fn extent(options: &RunOptions) -> Extent {
    let millis = options
        .millis
        .unwrap_or(if options.few { 300 } else { 1000 });
    Extent {
        time: Duration::from_millis(millis),
        bytes: options.bytes,
    }
}

fn workloads(options: &RunOptions) -> Result<Vec<Workload>> {
    ensure!(options.laps > 0, "no laps, no figures");
    let choice = if options.few {
        Choice::Few
    } else {
        Choice::All
    };
    let mut workloads = chosen(choice);
    if let Some(part) = &options.only {
        workloads.retain(|workload| workload.to_string().contains(part));
        ensure!(!workloads.is_empty(), "no workload is like `{part}`");
    }
    Ok(workloads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn workloads_are_chosen_by_a_part_of_their_description() {
        let parse = |words: &[&str]| {
            let words = ["perf", "run"].iter().chain(words);
            match Arguments::parse_from(words).command {
                Command::Run(options) => workloads(&options),
                Command::Show { .. } => unreachable!("it runs"),
            }
        };
        let eight = parse(&["--few", "--only", "x 8, sync each"]).unwrap();
        assert!(eight.len() > 1 && eight.iter().all(|workload| workload.thread_count == 8));
        assert!(parse(&["--only", "nothing"]).is_err());
        assert!(parse(&["--laps", "0"]).is_err());
    }
}
