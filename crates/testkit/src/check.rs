//! A check in a process of its own, for checkers whose broken state must not be unwound: the test binary again, with the one
//! test that asked for it, which reports in a line of its output and ends.

use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, thread};

/// Runs the calling test again with `variable` set to `id`, and returns what `parse` makes of a line of its output.
///
/// # Panics
/// If no line is a report.
pub fn run_again<T>(variable: &str, id: &str, parse: impl FnMut(&str) -> Option<T>) -> T {
    let test = thread::current();
    let test = test.name().expect("the harness names the threads of tests");
    let output = Command::new(env::current_exe().expect("the test binary"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(variable, id)
        .output()
        .expect("the test binary runs again");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .find_map(parse)
        .unwrap_or_else(|| panic!("the check `{id}` ended without a report: {output:?}"))
}

/// What a panic says, and where, on one line without tabs.
#[must_use]
pub fn message_of(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    let text = text.trim().replace(['\n', '\t'], " ");
    match panic.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text,
    }
}

/// Past the capture of the test harness: how long a check takes is worth seeing when all is well.
pub fn say(line: &str) {
    writeln!(io::stdout().lock(), "{line}").ok();
}

/// How often each state of a program was reached, over all runs of it.
#[derive(Clone, Debug)]
pub struct Reached {
    states: &'static [&'static str],
    counts: Arc<[AtomicU64]>,
}

impl Reached {
    /// None yet.
    #[must_use]
    pub fn new(states: &'static [&'static str]) -> Self {
        Self {
            states,
            counts: states.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Counts one visit of `state`.
    ///
    /// # Panics
    /// If the program does not name the state.
    pub fn mark(&self, state: &str) {
        self.add(state, 1);
    }

    /// Counts visits of `state`.
    ///
    /// # Panics
    /// If the program does not name the state.
    pub fn add(&self, state: &str, count: u64) {
        let index = self.states.iter().position(|known| *known == state);
        let index =
            index.unwrap_or_else(|| panic!("the program does not name the state `{state}`"));
        // Relaxed: a count, which is read after the check.
        self.counts[index].fetch_add(count, Ordering::Relaxed);
    }

    /// The states that were not reached, in words.
    #[must_use]
    pub fn missed(&self) -> String {
        let counts = self.counts.iter().zip(self.states);
        // Relaxed: as in `add`.
        let missed = counts.filter(|(count, _)| count.load(Ordering::Relaxed) == 0);
        let missed: Vec<_> = missed.map(|(_, state)| *state).collect();
        missed.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLE: &str = "SEGWAL_TESTKIT_CHECK";

    #[test]
    fn the_test_runs_again_and_its_report_comes_back() {
        if let Ok(id) = env::var(VARIABLE) {
            return say(&format!("report {id}"));
        }
        // The harness writes before it on the same line.
        let parse = |line: &str| Some(line.split_once("report ")?.1.to_owned());
        assert_eq!(run_again(VARIABLE, "of this", parse), "of this");
    }

    #[test]
    fn states_that_were_not_reached_are_named() {
        let reached = Reached::new(&["a", "b", "c"]);
        reached.mark("b");
        reached.add("c", 0);
        assert_eq!(reached.missed(), "a, c");
    }
}
