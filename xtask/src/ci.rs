//! `cargo xtask ci`: every check there is, as one table of steps, with a table of results at the end.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use testkit::record::workspace_root;

use crate::command::{cargo, succeed};
use crate::{loom, sanitize, seeded, shuttle, targets, tidy};

#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Run the later steps too when one has failed
    #[arg(long)]
    keep_going: bool,
    /// Run only the steps of these names
    steps: Vec<String>,
}

/// One step of the run.
struct Step {
    name: &'static str,
    action: Action,
}

enum Action {
    Cargo {
        arguments: &'static [&'static str],
        environment: &'static [(&'static str, &'static str)],
    },
    Chore(fn() -> Result<()>),
}

const fn cargo_step(name: &'static str, arguments: &'static [&'static str]) -> Step {
    Step {
        name,
        action: Action::Cargo {
            arguments,
            environment: &[],
        },
    }
}

const fn chore(name: &'static str, run: fn() -> Result<()>) -> Step {
    Step {
        name,
        action: Action::Chore(run),
    }
}

/// The steps, the quick ones first.
static STEPS: [Step; 14] = [
    cargo_step("fmt", &["fmt", "--all", "--check"]),
    chore("tidy", tidy::run),
    cargo_step(
        "clippy",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
    ),
    Step {
        name: "rustdoc",
        action: Action::Cargo {
            arguments: &[
                "doc",
                "--no-deps",
                "--workspace",
                "--document-private-items",
            ],
            environment: &[("RUSTDOCFLAGS", "--deny warnings")],
        },
    },
    cargo_step("doc-tests", &["test", "--doc", "--workspace"]),
    chore("loom", || loom::run(&loom::Options::all())),
    chore("shuttle", || shuttle::run(&shuttle::Options::all())),
    chore("examples", run_examples),
    cargo_step(
        "crash-states",
        &["test", "--release", "--test", "crash", "--", "--nocapture"],
    ),
    chore("seeded", || seeded::run(&seeded::Options::all())),
    chore("sanitize", || sanitize::run(&sanitize::Options::slice())),
    cargo_step(
        "failing-calls",
        &["test", "--release", "--test", "sweep", "--", "--nocapture"],
    ),
    cargo_step(
        "hostile-bytes",
        &[
            "test",
            "--release",
            "--test",
            "hostile",
            "--",
            "--nocapture",
        ],
    ),
    cargo_step(
        "demo",
        &[
            "run",
            "--release",
            "--package",
            "segwal-cli",
            "--",
            "demo",
            "--short",
        ],
    ),
];

/// Runs the chosen steps and prints the table.
pub(crate) fn run(options: &Options) -> Result<()> {
    let steps = chosen(&options.steps)?;
    let mut report = Report::default();
    for step in steps {
        println!("=== {}", step.name);
        let started = Instant::now();
        let result = perform(&step.action);
        if let Err(error) = &result {
            println!("{error:#}");
        }
        report
            .lines
            .push((step.name, started.elapsed(), result.is_ok()));
        if result.is_err() && !options.keep_going {
            break;
        }
    }
    println!("{report}");
    report.verdict()
}

fn chosen(names: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = names
        .iter()
        .find(|name| STEPS.iter().all(|step| step.name != **name))
    {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!(
            "there is no step {unknown}; the steps are {}",
            known.join(", ")
        );
    }
    let wanted = |step: &&Step| names.is_empty() || names.iter().any(|name| name == step.name);
    Ok(STEPS.iter().filter(wanted).collect())
}

fn perform(action: &Action) -> Result<()> {
    match action {
        Action::Cargo {
            arguments,
            environment,
        } => succeed(cargo(arguments).envs(environment.iter().copied())),
        Action::Chore(chore) => chore(),
    }
}

/// Runs every example of the root package; each makes the directory it needs by itself.
fn run_examples() -> Result<()> {
    for name in targets::names(&workspace_root().join("examples"))? {
        println!("example {name}");
        succeed(&mut cargo(&["run", "--quiet", "--example", &name]))?;
    }
    Ok(())
}

/// What ran, for how long, and whether it passed.
#[derive(Default)]
struct Report {
    lines: Vec<(&'static str, Duration, bool)>,
}

impl Report {
    fn verdict(&self) -> Result<()> {
        let failed: Vec<&str> = self
            .lines
            .iter()
            .filter(|line| !line.2)
            .map(|line| line.0)
            .collect();
        if failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", failed.join(", "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<14} {:>8}  result", "step", "seconds")?;
        for (name, time, passed) in &self.lines {
            let result = if *passed { "passed" } else { "FAILED" };
            writeln!(f, "{name:<14} {:>8.1}  {result}", time.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_run() {
        let line = |name, passed| (name, Duration::from_millis(1_250), passed);
        let mut report = Report {
            lines: vec![line("fmt", true)],
        };
        report.verdict().unwrap();
        report.lines.push(line("loom", false));
        assert_eq!(report.verdict().unwrap_err().to_string(), "failed: loom");
        assert!(
            report
                .to_string()
                .contains("loom                1.2  FAILED"),
            "{report}"
        );
    }

    #[test]
    fn an_unknown_step_is_refused() {
        assert!(chosen(&["lom".to_owned()]).is_err());
        assert_eq!(chosen(&["loom".to_owned()]).unwrap().len(), 1);
        assert_eq!(chosen(&[]).unwrap().len(), STEPS.len());
    }

    #[test]
    fn a_failing_action_is_an_error() {
        assert!(perform(&Action::Chore(|| bail!("no"))).is_err());
        perform(&Action::Chore(|| Ok(()))).unwrap();
    }
}
