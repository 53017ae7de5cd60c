//! `cargo xtask loom`: runs the models of `loom-tests` under the model checker, one test binary after the other.
//!
//! The flag that selects the model checker's types changes every crate, so these builds have a target directory of
//! their own. That each must-fail twin fails is asserted by the model binaries themselves.

use std::env;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use testkit::record::workspace_root;

use crate::command::{cargo, succeed, succeed_reading};
use crate::targets;

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// The name of a model binary, or a part of test names
    filter: Option<String>,
    /// How many times the checker may preempt a thread in one execution
    #[arg(long, default_value_t = 2)]
    bound: u32,
}

impl Options {
    /// All models at the bound that CI uses.
    pub(crate) fn all() -> Self {
        Self {
            filter: None,
            bound: 2,
        }
    }
}

/// Builds the models, runs them, and prints how long each binary took.
pub(crate) fn run(options: &Options) -> Result<()> {
    let binaries = targets::names(&workspace_root().join("loom-tests/tests"))?;
    let (chosen, filter) = choose(binaries, options.filter.as_deref());
    succeed(&mut checker(options.bound, &["--no-run", "--quiet"]))?;
    let mut passed_in_all = 0;
    for binary in &chosen {
        let started = Instant::now();
        let passed = models(options.bound, binary, filter)?;
        let bound = options.bound;
        println!(
            "loom {binary}: {passed} models at bound {bound} in {:.1} s",
            started.elapsed().as_secs_f64()
        );
        ensure!(
            passed > 0 || filter.is_some(),
            "loom-tests/tests/{binary}.rs ran no model"
        );
        passed_in_all += passed;
    }
    ensure!(
        passed_in_all > 0,
        "no model ran; the filter matches none of {}",
        chosen.join(", ")
    );
    Ok(())
}

/// The binaries to run and what is left of the filter for their tests.
fn choose(binaries: Vec<String>, filter: Option<&str>) -> (Vec<String>, Option<&str>) {
    match filter {
        Some(name) if binaries.iter().any(|binary| binary == name) => (vec![name.to_owned()], None),
        filter => (binaries, filter),
    }
}

/// Runs one binary, showing its output, and counts the tests that passed.
fn models(bound: u32, binary: &str, filter: Option<&str>) -> Result<usize> {
    let mut command = checker(bound, &["--quiet", "--test", binary]);
    command.args(filter);
    let mut passed = 0;
    succeed_reading(&mut command, |line| {
        passed += passed_tests(line).unwrap_or(0);
    })?;
    Ok(passed)
}

/// The count in the line with which a test binary ends.
fn passed_tests(line: &str) -> Option<usize> {
    let counts = line.trim().strip_prefix("test result: ok. ")?;
    counts.split_once(" passed")?.0.parse().ok()
}

fn checker(bound: u32, arguments: &[&str]) -> Command {
    let mut command = cargo(&[
        "test",
        "--release",
        "--package",
        "loom-tests",
        "--target-dir",
        "target/loom",
    ]);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg loom").trim());
    command.env("LOOM_MAX_PREEMPTIONS", bound.to_string());
    command.args(arguments);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_test_binary_is_understood() {
        assert_eq!(
            passed_tests("test result: ok. 12 passed; 0 failed; 0 ignored"),
            Some(12)
        );
        assert_eq!(
            passed_tests("test result: FAILED. 1 passed; 2 failed"),
            None
        );
        assert_eq!(passed_tests("test tail ... ok"), None);
    }

    #[test]
    fn a_filter_names_a_binary_or_else_tests() {
        let names = || vec!["gate".to_owned(), "tail".to_owned()];
        assert_eq!(
            choose(names(), Some("tail")),
            (vec!["tail".to_owned()], None)
        );
        assert_eq!(choose(names(), Some("tai")), (names(), Some("tai")));
        assert_eq!(choose(names(), None), (names(), None));
    }
}
