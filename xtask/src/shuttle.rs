//! `cargo xtask shuttle`: runs the scenarios of `shuttle-tests`: the whole engine, its threads included, in random orders.
//!
//! The flag that selects the scheduler's types changes every crate, so these builds have a target directory of their own. That
//! a scenario fails with each of its mistakes is asserted by the test binary itself.

use std::env;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::command::{cargo, succeed_reading};

/// All scenarios together must have explored so many orders.
const LEAST: u64 = 20_000;

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// A part of test names
    filter: Option<String>,
    /// How many orders each scenario gets
    #[arg(long, default_value_t = 3000)]
    schedules: u64,
}

impl Options {
    /// All scenarios, as often as CI runs them.
    pub(crate) const fn all() -> Self {
        Self {
            filter: None,
            schedules: 3000,
        }
    }
}

/// Builds the scenarios, runs them, and counts the orders in which they held.
pub(crate) fn run(options: &Options) -> Result<()> {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let mut command = cargo(&["test", "--release", "--package", "shuttle-tests", "--quiet"]);
    command
        .args(["--target-dir", "target/shuttle"])
        .args(&options.filter);
    command.env("RUSTFLAGS", format!("{flags} --cfg shuttle").trim());
    command.env("SEGWAL_SCHEDULES", options.schedules.to_string());
    let started = Instant::now();
    let mut explored = 0;
    succeed_reading(&mut command, |line| {
        explored += schedules(line).unwrap_or(0);
    })?;
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "shuttle: {explored} orders explored in which all held, {seconds:.1} s with the build"
    );
    let suffices = explored >= LEAST || options.filter.is_some();
    ensure!(suffices, "{explored} orders are fewer than {LEAST}");
    Ok(())
}

/// The count in the line of a scenario that held.
fn schedules(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(" holds ")?;
    rest.split_once(" schedules ")?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_held_counts() {
        let held = "full disk                        holds   3000 schedules   3.35 s, seed 1";
        assert_eq!(schedules(held), Some(3000));
        let failed = "commit                 fails    105 schedules   0.44 s, seed 1  after Power";
        assert_eq!(schedules(failed), None);
    }
}
