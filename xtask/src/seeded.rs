//! `cargo xtask seeded`: puts one deliberate bug after the other into the engine and demands that a general check finds it.
//!
//! The bugs are the variants of `Bug` in `src/seeded.rs`, asleep in one build of the checks, which has a target directory
//! of its own. The checks are those of every day, each as a short slice with a fixed seed; without a bug they must pass. With
//! one they run in order until one of them fails, ends, or hangs beyond its time. That counts only if the engine has said that it
//! came by it. None of the checks was written for a bug: `mended`, which holds such tests, is left out.

use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testkit::record::workspace_root;

use crate::command::{cargo, shown};

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Only the bugs of these names
    bugs: Vec<String>,
}

impl Options {
    /// All of them.
    pub(crate) const fn all() -> Self {
        Self { bugs: Vec::new() }
    }
}

/// A slice of a test binary.
#[derive(Debug)]
struct Check {
    name: &'static str,
    binary: &'static str,
    arguments: &'static [&'static str],
    /// How small a part of the crash states it explores.
    part: &'static str,
}

/// In the order in which they are tried: glances first.
static CHECKS: [Check; 10] = [
    crash(
        "10",
        "power_cut_at_every_operation_of_short_workloads_loses_nothing_acknowledged",
    ),
    crash(
        "10",
        "failed_sync_poisons_and_what_is_seen_afterwards_is_kept",
    ),
    crash(
        "10",
        "power_cut_between_calls_of_long_workloads_loses_nothing_acknowledged",
    ),
    crash(
        "10",
        "crash_at_every_operation_of_creation_leaves_a_log_that_opens",
    ),
    crash("10", "failed_operation_of_any_other_kind_loses_nothing"),
    crash(
        "10",
        "damage_below_the_known_durable_position_is_never_cut_off_in_silence",
    ),
    Check {
        name: "model: random calls",
        binary: "model",
        arguments: &[],
        part: "1",
    },
    crash(
        "2",
        "power_cut_between_calls_of_long_workloads_loses_nothing_acknowledged",
    ),
    Check {
        name: "it: processes that are killed",
        binary: "it",
        arguments: &["kill::"],
        part: "1",
    },
    Check {
        name: "it: the integration tests",
        binary: "it",
        arguments: &[
            "--skip", "kill::", "--skip", "mended::", "--skip", "device::",
        ],
        part: "1",
    },
];

const fn crash(part: &'static str, test: &'static str) -> Check {
    Check {
        name: test,
        binary: "crash",
        arguments: &[],
        part,
    }
}

impl Check {
    fn command(&self, binaries: &[String]) -> Result<Command> {
        let is_mine = |path: &&String| {
            let file = path.rsplit('/').next().unwrap_or(path);
            file.rsplit_once('-')
                .is_some_and(|(name, _)| name == self.binary)
        };
        let binary = binaries.iter().find(is_mine);
        let mut command = Command::new(binary.with_context(|| format!("no binary of {self}"))?);
        command.current_dir(workspace_root()).arg("--nocapture");
        if self.binary == "crash" {
            command.args(["--exact", self.name]);
        }
        command.args(self.arguments);
        // The same slice every time.
        command
            .env("SEGWAL_SEED", "1")
            .env("SEGWAL_CRASH_PART", self.part);
        command.env_remove("SEGWAL_SKIPS").env_remove(CHOICE);
        Ok(command)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// Names the bug to the engine.
const CHOICE: &str = "SEGWAL_SEEDED";

/// A check that takes longer hangs; without a bug the longest takes seconds.
const LIMIT: Duration = Duration::from_secs(40);

/// Builds the checks, runs them without a bug and with each, and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let bugs = chosen(&bugs()?, &options.bugs)?;
    let started = Instant::now();
    let binaries = build()?;
    println!("built in {:.1} s", started.elapsed().as_secs_f64());
    for check in &CHECKS {
        let run = observe(&mut check.command(&binaries)?)?;
        ensure!(
            run.end == End::Passed && run.counts_tests(),
            "without a bug {check} ends as {:?}:\n{}",
            run.end,
            run.output
        );
        println!("without a bug {:>6.1} s  {check}", run.seconds);
    }
    let found = in_parallel(bugs, |bug| find(bug, &binaries))?;
    let missed: Vec<&str> = found.iter().filter_map(Found::fault).collect();
    let count = found.len();
    println!("{:<24} {:>7}  found by", "bug", "seconds");
    for found in &found {
        println!("{found}");
    }
    ensure!(missed.is_empty(), "not found: {}", missed.join(", "));
    println!("{count} bugs, each found by a general check");
    Ok(())
}

/// The variants of `Bug`.
fn bugs() -> Result<Vec<String>> {
    let path = workspace_root().join("src/seeded.rs");
    let text = std::fs::read_to_string(&path);
    variants(&text.with_context(|| format!("cannot read {}", path.display()))?)
}

fn variants(source: &str) -> Result<Vec<String>> {
    let body = source
        .split_once("enum Bug {")
        .and_then(|(_, rest)| rest.split_once("\n}"));
    let (body, _) = body.context("src/seeded.rs has no `enum Bug`")?;
    let variants = body
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','));
    let variants: Vec<_> = variants
        .filter(|line| !line.starts_with("//"))
        .map(str::to_owned)
        .collect();
    ensure!(!variants.is_empty(), "`enum Bug` in src/seeded.rs is empty");
    Ok(variants)
}

fn chosen(all: &[String], names: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = names.iter().find(|name| !all.contains(name)) {
        bail!("there is no bug {unknown}; there are {}", all.join(", "));
    }
    let names = if names.is_empty() { all } else { names };
    Ok(names.to_vec())
}

/// The paths of the checks' binaries.
fn build() -> Result<Vec<String>> {
    let mut command = cargo(&["test", "--release", "--package", "segwal", "--no-run"]);
    command.args(["--target-dir", "target/seeded", "--message-format", "json"]);
    command.args(["--test", "crash", "--test", "model", "--test", "it"]);
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg segwal_seeded").trim());
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", shown(&command)))?;
    ensure!(output.status.success(), "{} failed", shown(&command));
    let executable = |line: &str| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(executable)
        .collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
    Hung,
}

/// What a process did.
struct Run {
    end: End,
    output: String,
    seconds: f64,
}

impl Run {
    /// Whether a test ran at all.
    fn counts_tests(&self) -> bool {
        let result = self
            .output
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("test result: ok. "));
        result.is_some_and(|counts| !counts.starts_with("0 "))
    }

    /// The rest of the last line that begins like this.
    fn after(&self, beginning: &str) -> Option<&str> {
        self.output
            .lines()
            .rev()
            .find_map(|line| line.trim().strip_prefix(beginning))
    }

    /// The first test in the list with which a failed test binary ends.
    fn culprit(&self) -> Option<&str> {
        let (_, list) = self.output.rsplit_once("\nfailures:\n")?;
        list.lines().next().map(str::trim)
    }
}

/// Runs a command to its end, or to the end of its time.
fn observe(command: &mut Command) -> Result<Run> {
    let started = Instant::now();
    let (mut reader, writer) = io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    // The parent's own ends of the pipe.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = Vec::new();
        let read = reader.read_to_end(&mut output);
        drop(sender.send(read.map(|_| output)));
    });
    let mut end = None;
    let output = receiver.recv_timeout(LIMIT).or_else(|_| {
        end = Some(End::Hung);
        child
            .kill()
            .and_then(|()| child.wait())
            .context("cannot kill a check")?;
        receiver
            .recv()
            .context("the reader of a check's output ended")
    })??;
    let passed = child.wait()?.success();
    Ok(Run {
        end: end.unwrap_or(if passed { End::Passed } else { End::Failed }),
        output: String::from_utf8_lossy(&output).into_owned(),
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// What came of one bug.
struct Found {
    bug: String,
    seconds: f64,
    by: Result<String, String>,
}

impl Found {
    fn fault(&self) -> Option<&str> {
        self.by.is_err().then_some(&self.bug)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Ok(by) | Err(by)) = &self.by;
        write!(f, "{:<24} {:>7.1}  {by}", self.bug, self.seconds)
    }
}

fn find(bug: String, binaries: &[String]) -> Result<Found> {
    let mut seconds = 0.0;
    let mut is_met = false;
    for check in &CHECKS {
        let run = observe(check.command(binaries)?.env(CHOICE, &bug))?;
        seconds += run.seconds;
        let met_here = run.after("seeded bug met: ") == Some(&bug);
        is_met |= met_here;
        let how = match run.end {
            End::Passed => continue,
            End::Failed => run
                .after("found after ")
                .map(|count| format!(" after {count}")),
            End::Hung => Some(format!(", which hangs for {} s", LIMIT.as_secs())),
        };
        let test = run.culprit().filter(|_| check.binary == "it");
        let test = test.map(|test| format!(" ({test})")).unwrap_or_default();
        let by = format!("{check}{test}{}", how.unwrap_or_default());
        if !met_here {
            let by = Err(format!("{by}; but the engine did not come by the bug"));
            return Ok(Found { bug, seconds, by });
        }
        return Ok(Found {
            bug,
            seconds,
            by: Ok(by),
        });
    }
    let met = if is_met { "met" } else { "not even met" };
    let by = Err(format!("NOT FOUND: {met} by any check"));
    Ok(Found { bug, seconds, by })
}

/// Does all of the work, on as many threads as there are processors; the results are in the order of `work`.
fn in_parallel<T: Send, R: Send>(
    work: Vec<T>,
    act: impl Fn(T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let count = thread::available_parallelism()?.get();
    let queue = Mutex::new(work.into_iter().enumerate().collect::<VecDeque<_>>());
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = next() {
            done.push((index, act(item)?));
            print!(".");
            io::stdout().flush()?;
        }
        Ok(done)
    };
    let mut done = thread::scope(|scope| {
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        let mut done = Vec::new();
        for worker in workers {
            let part: Result<Vec<_>> = worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))?;
            done.extend(part?);
        }
        anyhow::Ok(done)
    })?;
    println!();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bugs_are_read_from_their_source() {
        let source = "/// x\npub(crate) enum Bug {\n    /// One, two.\n    One,\n    Two,\n}\nenum Other { Three, }";
        assert_eq!(variants(source).unwrap(), ["One", "Two"]);
        assert!(variants("enum Bag {}").is_err());
        assert!(bugs().unwrap().len() >= 13);
    }

    #[test]
    fn an_unknown_bug_is_refused() {
        let all = ["One".to_owned(), "Two".to_owned()];
        assert_eq!(chosen(&all, &[]).unwrap(), all);
        assert_eq!(chosen(&all, &all[1..]).unwrap(), all[1..]);
        assert!(chosen(&all, &["Three".to_owned()]).is_err());
    }

    #[test]
    fn a_process_passes_or_fails_and_its_output_is_kept() {
        let shell = |script: &str| observe(Command::new("sh").args(["-c", script])).unwrap();
        let run = shell("echo found after 3 states; echo 'test result: ok. 2 passed'");
        assert_eq!((run.end, run.counts_tests()), (End::Passed, true));
        assert_eq!(run.after("found after "), Some("3 states"));
        let run = shell(
            "echo 'test result: ok. 0 passed'; printf '\\nfailures:\\n    a::b\\n' >&2; exit 1",
        );
        assert_eq!((run.end, run.counts_tests()), (End::Failed, false));
        assert_eq!(run.culprit(), Some("a::b"));
    }

    #[test]
    fn work_done_in_parallel_keeps_its_order() {
        let doubled = in_parallel((0..50).collect(), |number| Ok(2 * number)).unwrap();
        assert!(doubled.into_iter().eq((0..50).map(|number| 2 * number)));
        assert!(in_parallel(vec![1], |_: i32| -> Result<()> { bail!("no") }).is_err());
    }
}
