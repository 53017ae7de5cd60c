//! `cargo xtask fuzz`: runs the fuzz targets for a time, each beginning with the corpus that is checked in.
//!
//! What a target learns stays in a corpus of its own below the target directory, and comes into the one that is checked in
//! by `--minimise` alone. An input that breaks something is written into the latter at once, as `found-…`, where the test
//! that replays the corpus picks it up. CI does not fuzz: it replays.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testkit::record::{target_directory, workspace_root};

use crate::command::{cargo, program, shown, succeed};

/// An input that takes longer is a finding.
const LONGEST_SECONDS: &str = "-timeout=10";

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Which targets to run; all if none is named
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// First write the seeds anew, which the engine makes
    #[arg(long)]
    seeds: bool,
    /// Afterwards add to the corpus what reaches code that nothing in it reaches
    #[arg(long)]
    minimise: bool,
}

/// A target and the longest input that makes sense.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    name: String,
    max_len: u32,
}

/// What a target did.
#[derive(Debug, Default)]
struct Done {
    executions: Option<u64>,
    time: Duration,
    /// Of the corpus that it learned.
    inputs: usize,
    /// The input that broke something.
    found: Option<String>,
}

/// Runs the targets one after the other and prints what each did.
pub(crate) fn run(options: &Options) -> Result<()> {
    let targets = chosen(known_targets()?, &options.targets)?;
    if options.seeds {
        succeed(&mut cargo(&[
            "run",
            "--quiet",
            "--package",
            "probes",
            "--",
            "seeds",
            "fuzz/corpus",
        ]))?;
    }
    check_tools()?;
    let mut report = vec![format!(
        "{:<10} {:>12} {:>9} {:>10} {:>7}  result",
        "target", "executions", "seconds", "a second", "inputs"
    )];
    let mut broken = Vec::new();
    for target in &targets {
        println!("=== fuzz {}", target.name);
        let done = fuzz(target, options.seconds)?;
        let line = line(&target.name, &done);
        println!("{line}");
        report.push(line);
        if done.found.is_some() {
            broken.push(target.name.as_str());
        } else if options.minimise {
            minimise(target)?;
        }
    }
    println!("{}", report.join("\n"));
    ensure!(
        broken.is_empty(),
        "something is wrong in: {}",
        broken.join(", ")
    );
    Ok(())
}

/// What the crate `probes` has.
fn known_targets() -> Result<Vec<Target>> {
    let mut list = cargo(&["run", "--quiet", "--package", "probes", "--", "list"]);
    let output = list
        .output()
        .with_context(|| format!("cannot start {}", shown(&list)))?;
    ensure!(output.status.success(), "{} failed", shown(&list));
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(target).collect()
}

fn target(line: &str) -> Result<Target> {
    let (name, max_len) = line.split_once(' ').context("a name and a length")?;
    Ok(Target {
        name: name.to_owned(),
        max_len: max_len.parse()?,
    })
}

fn chosen(known: Vec<Target>, names: &[String]) -> Result<Vec<Target>> {
    let names_of = |targets: &[Target]| {
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        names.join(", ")
    };
    let unknown = names
        .iter()
        .find(|name| known.iter().all(|target| target.name != **name));
    if let Some(unknown) = unknown {
        bail!(
            "there is no target {unknown}; the targets are {}",
            names_of(&known)
        );
    }
    let is_wanted = |target: &Target| names.is_empty() || names.contains(&target.name);
    Ok(known.into_iter().filter(is_wanted).collect())
}

/// A nightly compiler, for the instrumentation, and cargo-fuzz.
fn check_tools() -> Result<()> {
    let runs = |arguments: &[&str]| {
        let output = program("rustup").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    let advice = "`cargo xtask setup --fuzz` installs it";
    let nightly = runs(&["run", "nightly", "rustc", "--version"]);
    ensure!(
        nightly,
        "fuzzing needs a nightly toolchain, which is not there; {advice}"
    );
    let fuzz = runs(&["run", "nightly", "cargo", "fuzz", "--version"]);
    ensure!(
        fuzz,
        "fuzzing needs cargo-fuzz, which is not there; {advice}"
    );
    Ok(())
}

fn cargo_fuzz(verb: &str, target: &Target) -> Command {
    let mut command = program("rustup");
    command.args(["run", "nightly", "cargo", "fuzz", verb, "--target-dir"]);
    command
        .arg(target_directory().join("fuzz"))
        .arg(&target.name);
    command
}

fn corpus(target: &Target) -> PathBuf {
    workspace_root().join("fuzz/corpus").join(&target.name)
}

/// Where what the target learns stays.
fn learned(target: &Target) -> PathBuf {
    target_directory().join("fuzz-corpus").join(&target.name)
}

fn fuzz(target: &Target, seconds: u32) -> Result<Done> {
    fs::create_dir_all(learned(target))?;
    // Before the clock runs.
    succeed(&mut cargo_fuzz("build", target))?;
    let mut command = cargo_fuzz("run", target);
    command.arg(learned(target)).arg(corpus(target)).arg("--");
    command.args([
        "-print_final_stats=1",
        "-report_slow_units=3600",
        LONGEST_SECONDS,
    ]);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-max_len={}", target.max_len));
    command.arg(format!(
        "-artifact_prefix={}/found-",
        corpus(target).display()
    ));
    let started = Instant::now();
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(&command)))?;
    let output = child.stderr.take().context("the output is a pipe")?;
    let mut done = Done::default();
    let mut last = Vec::new();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        done.note(&line);
        if !is_progress(&line) {
            last.push(line);
        }
    }
    let status = child.wait()?;
    done.time = started.elapsed();
    done.inputs = fs::read_dir(learned(target))?.count();
    if !status.success() {
        println!("{}", last.join("\n"));
        let found = done.found.as_ref();
        let found = found.with_context(|| format!("{} failed: {status}", shown(&command)))?;
        println!(
            "to replay: cargo run --package probes -- run {} {found}",
            target.name
        );
    }
    Ok(done)
}

impl Done {
    /// Takes from a line of the fuzzer's output what it says.
    fn note(&mut self, line: &str) {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            self.executions = count.trim().parse().ok();
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            self.found = Some(path.trim().to_owned());
        }
    }
}

/// A line for each input that reached something new: too many to be of use.
fn is_progress(line: &str) -> bool {
    line.starts_with('#') && line.contains("cov:")
}

fn line(name: &str, done: &Done) -> String {
    let executions = done
        .executions
        .map_or("-".to_owned(), |count| count.to_string());
    let millis = done.time.as_millis().max(1);
    let rate = u128::from(done.executions.unwrap_or(0)) * 1000 / millis;
    let result = done.found.as_deref().unwrap_or("nothing found");
    format!(
        "{name:<10} {executions:>12} {:>9.1} {rate:>10} {:>7}  {result}",
        done.time.as_secs_f64(),
        done.inputs
    )
}

/// Drops from what was learned what reaches nothing of its own, and adds the rest to the corpus where that reaches less.
fn minimise(target: &Target) -> Result<()> {
    succeed(cargo_fuzz("cmin", target).arg(learned(target)))?;
    let before = count(&corpus(target))?;
    let mut merge = cargo_fuzz("run", target);
    merge.arg(corpus(target)).arg(learned(target));
    // One input for each edge: with counts of edges there would be four times as many.
    merge.args(["--", "-set_cover_merge=1", "-use_counters=0"]);
    merge.stderr(Stdio::null());
    succeed(merge.arg(format!("-max_len={}", target.max_len)))?;
    println!(
        "{}: {} inputs, {before} before",
        target.name,
        count(&corpus(target))?
    );
    Ok(())
}

fn count(dir: &Path) -> Result<usize> {
    Ok(fs::read_dir(dir)?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Target> {
        ["scanner 4096", "open 8192"]
            .map(|line| target(line).unwrap())
            .into()
    }

    #[test]
    fn an_unknown_target_is_refused() {
        let error = chosen(known(), &["opn".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no target opn; the targets are scanner, open"
        );
        assert_eq!(chosen(known(), &["open".to_owned()]).unwrap(), known()[1..]);
        assert_eq!(chosen(known(), &[]).unwrap(), known());
    }

    #[test]
    fn what_the_fuzzer_says_is_understood() {
        let mut done = Done::default();
        done.note("#262144 pulse  cov: 812 ft: 2201 corp: 190/11Kb exec/s: 43690 rss: 88Mb");
        done.note("stat::number_of_executed_units: 1234567");
        assert_eq!((done.executions, &done.found), (Some(1_234_567), &None));
        done.note("artifact_prefix='a/found-'; Test unit written to a/found-crash-0b1c");
        assert_eq!(done.found.as_deref(), Some("a/found-crash-0b1c"));
        done.time = Duration::from_secs(2);
        assert!(
            line("open", &done).contains(" 617283 "),
            "{}",
            line("open", &done)
        );
        assert!(is_progress("#2\tINITED cov: 3 ft: 4") && !is_progress("thread panicked"));
    }
}
