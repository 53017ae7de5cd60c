//! What came of a command under a tool: how it ended, what it said, and what the tool reported of it and of its children.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::shown;

use super::tool::Bench;

/// So many lines of a failing command's output are shown, its last ones, and so many of the reports, their first ones.
const SHOWN: usize = 200;

/// A command that has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    succeeded: bool,
    /// Standard output and standard error.
    output: String,
    /// From the files that each watched process writes for itself.
    reports: String,
}

impl Outcome {
    /// Runs `command` to its end.
    pub(super) fn of(bench: &Bench, command: &mut Command) -> Result<Self> {
        bench.clear_reports()?;
        let output = command
            .output()
            .with_context(|| format!("cannot start {}", shown(command)))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let mut reports = String::new();
        for file in fs::read_dir(bench.reports())? {
            reports.push_str(&String::from_utf8_lossy(&fs::read(file?.path())?));
        }
        Ok(Self {
            succeeded: output.status.success(),
            output: text,
            reports,
        })
    }

    /// Whether it ended well and nothing was reported.
    pub(super) fn is_clean(&self) -> bool {
        self.succeeded && self.reports.is_empty()
    }

    /// Whether it failed, or was reported, in these words.
    pub(super) fn says(&self, words: &str) -> bool {
        !self.is_clean() && (self.output.contains(words) || self.reports.contains(words))
    }

    /// The first line that holds these words.
    pub(super) fn line(&self, words: &str) -> Option<&str> {
        let mut lines = self.output.lines().chain(self.reports.lines());
        lines.find(|line| line.contains(words)).map(str::trim)
    }

    /// The tests that passed in all binaries that the command ran.
    pub(super) fn passed_tests(&self) -> usize {
        let passed = |line: &str| {
            let counts = line.trim().strip_prefix("test result: ok. ")?;
            counts.split_once(" passed")?.0.parse::<usize>().ok()
        };
        self.output.lines().filter_map(passed).sum()
    }

    pub(super) fn print(&self) {
        let lines: Vec<&str> = self.output.lines().collect();
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            println!("{line}");
        }
        for line in self.reports.lines().take(SHOWN) {
            println!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(succeeded: bool, output: &str, reports: &str) -> Outcome {
        Outcome {
            succeeded,
            output: output.to_owned(),
            reports: reports.to_owned(),
        }
    }

    #[test]
    fn a_report_counts_whatever_the_command_thinks_of_itself() {
        assert!(outcome(true, "fine", "").is_clean());
        assert!(!outcome(false, "fine", "").is_clean());
        let reported = outcome(true, "fine", "WARNING: data race (pid=1)");
        assert!(!reported.is_clean());
        assert!(reported.says("data race") && !reported.says("leak"));
        assert_eq!(reported.line("race"), Some("WARNING: data race (pid=1)"));
    }

    #[test]
    fn words_in_the_output_of_what_passed_are_no_report() {
        assert!(!outcome(true, "test data_race ... ok", "").says("data_race"));
    }

    #[test]
    fn the_tests_of_all_binaries_count() {
        let output = "test result: ok. 12 passed; 0 failed\ntest result: FAILED. 3 passed\n test result: ok. 5 passed;";
        assert_eq!(outcome(true, output, "").passed_tests(), 17);
    }
}
