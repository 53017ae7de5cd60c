//! `cargo xtask sanitize`: the tests under tools that watch memory and threads: two sanitizers, Miri, and valgrind.
//!
//! Each tool goes through the same steps, each in a target directory of its own:
//! 1. What it needs and is not there is a skip on record, with the reason.
//! 2. A program that is right must pass under it, and each wrong program of `xtask/defects` that is its affair must be
//!    reported. So must an engine with a deliberate bug (`src/seeded.rs`): the builds have these bugs in them, asleep.
//! 3. The tests run, and any report fails the step, also one of a process that a test started and killed.
//!
//! What runs under which tool, and what does not, is `suites.rs`; how a tool is called is `tool.rs`.

mod outcome;
mod probes;
mod suites;
mod tool;

use std::time::Instant;

use anyhow::{Result, ensure};
use testkit::record;

use outcome::Outcome;
use suites::Suite;
use tool::{Bench, Tool};

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Only these tools
    tools: Vec<Tool>,
    /// What CI runs: without the tests that take minutes
    #[arg(long)]
    slice: bool,
}

impl Options {
    /// All tools, as far as CI uses them.
    pub(crate) const fn slice() -> Self {
        Self {
            tools: Vec::new(),
            slice: true,
        }
    }
}

/// How much of the tests runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Slice,
    All,
}

/// Runs the chosen tools, one after the other.
pub(crate) fn run(options: &Options) -> Result<()> {
    let extent = if options.slice {
        Extent::Slice
    } else {
        Extent::All
    };
    for tool in Tool::ALL {
        if options.tools.is_empty() || options.tools.contains(&tool) {
            match tool.missing()? {
                Some(reason) => record::skip(tool.check(), &reason),
                None => watch(tool, extent)?,
            }
        }
    }
    Ok(())
}

/// One tool, from its probes to the last test.
fn watch(tool: Tool, extent: Extent) -> Result<()> {
    let started = Instant::now();
    let mut bench = Bench::new(tool)?;
    println!("--- {tool}: build");
    bench.build()?;
    if let Some(reason) = probes::refusal(&bench)? {
        record::skip(tool.check(), &reason);
        return Ok(());
    }
    if tool == Tool::Address && !probes::sees_leaks(&bench)? {
        record::skip("sanitize-address-leaks", "the search for leaks must trace");
        bench.ignore_leaks();
    }
    println!("--- {tool}: what it must report");
    let reported = probes::must_report(&bench)?;
    suites::print_excluded(tool, extent);
    let mut passed = 0;
    for suite in suites::suites(tool) {
        println!("--- {tool}: {}", suite.name);
        passed += clean(&bench, suite, extent)?;
    }
    println!(
        "sanitize {tool}: {reported} faults reported that are there, none in {passed} tests, {:.1} s with the build",
        started.elapsed().as_secs_f64()
    );
    record::ran(tool.check());
    Ok(())
}

/// Runs the tests of a suite, of which the tool may report nothing; counts them.
fn clean(bench: &Bench, suite: &Suite, extent: Extent) -> Result<usize> {
    let outcome = Outcome::of(bench, &mut suite.command(bench, extent))?;
    let passed = outcome.passed_tests();
    if !outcome.is_clean() {
        outcome.print();
    }
    ensure!(outcome.is_clean(), "{} under {}", suite.name, bench.tool());
    ensure!(
        passed > 0 || !suite.counts_tests(),
        "{} ran no test under {}",
        suite.name,
        bench.tool()
    );
    Ok(passed)
}
