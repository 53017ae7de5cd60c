//! The harness that measures segwal and the limits of the machine below it: `cargo run --release -p perf -- limit`.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a measuring tool prints, reads the clock, and rounds its figures"
)]

mod environment;
mod latency;
mod limit;
mod report;
mod workload;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use environment::Environment;
use report::Row;
use workload::{SyncPolicy, Workload};

#[derive(Debug, Parser)]
#[command(
    name = "perf",
    about = "Measures segwal and the limits of the machine below it"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure copy and checksum into warm memory, and raw durable writes
    Limit(LimitOptions),
}

#[derive(Debug, clap::Args)]
struct LimitOptions {
    /// Bytes in a record
    #[arg(long, default_value_t = 256)]
    record_len: usize,
    /// Threads that work at the same time
    #[arg(long, default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// What one raw write makes durable: each, batch:N, or none to leave raw writes out
    #[arg(long, default_value_t = SyncPolicy::Each)]
    sync: SyncPolicy,
    /// Records that each thread copies
    #[arg(long, default_value_t = 1_000_000)]
    copies: u64,
    /// Raw writes of each thread
    #[arg(long, default_value_t = 2_000)]
    writes: u64,
    /// Where to write; a temporary directory inside it is made and removed
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Limit(options) => measure_limits(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_limits(options: &LimitOptions) -> Result<()> {
    let dir = &options.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let environment = Environment::capture(dir)?;
    let workload = |sync, operation_count| Workload {
        record_len: options.record_len,
        thread_count: options.threads,
        sync,
        operation_count,
    };
    let copies = workload(SyncPolicy::None, options.copies);
    let mut rows = vec![Row::new(
        "copy + CRC-32C",
        copies,
        &limit::copy_and_checksum(&copies)?,
    )];
    if options.sync != SyncPolicy::None {
        let temporary = tempfile::tempdir_in(dir)?;
        let writes = workload(options.sync, options.writes);
        rows.push(Row::new(
            "raw durable write",
            writes,
            &limit::raw_write(&writes, temporary.path())?,
        ));
    }
    println!(
        "{}",
        report::render(&environment, &rows, report::Format::of(options.json))?
    );
    Ok(())
}

fn positive(text: &str) -> Result<usize> {
    let count: std::num::NonZeroUsize = text.parse()?;
    Ok(count.get())
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
    fn no_threads_at_all_are_refused() {
        assert!(positive("0").is_err());
        assert_eq!(positive("3").unwrap(), 3);
    }
}
