//! The tools: what each needs, and how cargo is called so that what it builds and runs is watched.
//!
//! The sanitizers and Miri are parts of the nightly toolchain. `ThreadSanitizer` needs the standard library built with it, or
//! it would not know what orders the accesses of those who use its locks. valgrind runs what the stable toolchain builds.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use testkit::record::target_directory;

use crate::command::{cargo, program, succeed};

/// The targets for which there are all of the tools.
const TARGETS: [&str; 2] = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"];

/// The deliberate bugs are in the build, asleep.
const SEEDED: &str = "--cfg segwal_seeded";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Tool {
    /// Accesses that nothing orders: `ThreadSanitizer`
    Thread,
    /// Accesses beyond memory, or after its end, and leaks: `AddressSanitizer`
    Address,
    /// Whatever the language leaves undefined: an interpreter
    Miri,
    /// A second opinion on memory, of programs as they are
    Valgrind,
}

impl Tool {
    /// The quick ones last, since nothing depends on the order and the long builds come first.
    pub(super) const ALL: [Self; 4] = [Self::Thread, Self::Address, Self::Miri, Self::Valgrind];

    /// The name in the records of what ran and of what could not.
    pub(super) const fn check(self) -> &'static str {
        match self {
            Self::Thread => "sanitize-thread",
            Self::Address => "sanitize-address",
            Self::Miri => "sanitize-miri",
            Self::Valgrind => "sanitize-valgrind",
        }
    }

    /// What is not there and must be.
    pub(super) fn missing(self) -> Result<Option<String>> {
        if self == Self::Valgrind {
            let absent = !runs(program("valgrind").arg("--version"));
            return Ok(absent.then(|| "valgrind is not installed".to_owned()));
        }
        if !runs(nightly("rustc").arg("--version")) {
            return Ok(Some("there is no nightly toolchain".to_owned()));
        }
        let host = host()?;
        if !TARGETS.contains(&&*host) {
            return Ok(Some(format!("{host} is not among its targets")));
        }
        if self == Self::Miri && !runs(nightly("cargo").args(["miri", "--version"])) {
            return Ok(Some("the nightly toolchain has no miri".to_owned()));
        }
        if self != Self::Address && !library_sources()?.is_dir() {
            return Ok(Some("the nightly toolchain has no rust-src".to_owned()));
        }
        if self == Self::Thread && !runs(nightly("cargo").args(["fetch", "-Zbuild-std"])) {
            return Ok(Some(
                "what the standard library is built from cannot be fetched".to_owned(),
            ));
        }
        Ok(None)
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.check().trim_start_matches("sanitize-"))
    }
}

/// A program of the nightly toolchain.
fn nightly(name: &str) -> Command {
    let mut command = program("rustup");
    command.args(["run", "nightly", name]);
    command
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn printed(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?)
}

/// The target for which the nightly toolchain builds by itself.
fn host() -> Result<String> {
    let version = printed(nightly("rustc").args(["--version", "--verbose"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}

/// Where the component `rust-src` lies.
fn library_sources() -> Result<PathBuf> {
    let sysroot = printed(nightly("rustc").args(["--print", "sysroot"]))?;
    Ok(Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std"))
}

/// Whether the end of a process is searched for allocations that nobody knows any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaks {
    Reported,
    Ignored,
}

/// A tool with its place for builds and reports.
#[derive(Debug)]
pub(super) struct Bench {
    tool: Tool,
    host: String,
    target: PathBuf,
    leaks: Leaks,
}

impl Bench {
    pub(super) fn new(tool: Tool) -> Result<Self> {
        let host = match tool {
            Tool::Valgrind => String::new(),
            _ => host()?,
        };
        let target = target_directory().join("sanitize").join(tool.to_string());
        fs::create_dir_all(target.join("reports"))?;
        Ok(Self {
            tool,
            host,
            target,
            leaks: Leaks::Reported,
        })
    }

    pub(super) const fn tool(&self) -> Tool {
        self.tool
    }

    pub(super) fn looks_for_leaks(&self) -> bool {
        self.leaks == Leaks::Reported
    }

    pub(super) fn ignore_leaks(&mut self) {
        self.leaks = Leaks::Ignored;
    }

    /// Where each watched process writes what the tool has to say of it.
    pub(super) fn reports(&self) -> PathBuf {
        self.target.join("reports")
    }

    pub(super) fn clear_reports(&self) -> Result<()> {
        fs::remove_dir_all(self.reports())?;
        Ok(fs::create_dir(self.reports())?)
    }

    /// Builds the first program, and with it all that it and the tests need of the standard library.
    pub(super) fn build(&self) -> Result<()> {
        if self.tool == Tool::Miri {
            return succeed(nightly("cargo").args(["miri", "setup", "--quiet"]));
        }
        succeed(&mut self.cargo("build", &["--package", "defects"]))
    }

    /// Runs one of the wrong programs.
    pub(super) fn defect(&self, name: &str) -> Command {
        self.cargo("run", &["--package", "defects", "--", name])
    }

    /// A command of cargo's whose programs are watched.
    pub(super) fn cargo(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = match self.tool {
            Tool::Thread | Tool::Address => nightly("cargo"),
            Tool::Miri => {
                let mut command = nightly("cargo");
                command.arg("miri");
                command
            }
            Tool::Valgrind => cargo(&[]),
        };
        command.arg(verb).arg("--quiet");
        self.watch(&mut command);
        command.args(arguments);
        command
    }

    fn thread_options(&self) -> String {
        let reports = self.reports().join("report");
        format!("log_path={}:handle_sigbus=0", reports.display())
    }

    /// Has a process end with the first report of it: where there is one, there may be thousands.
    pub(super) fn end_at_first_report(&self, command: &mut Command) {
        if self.tool == Tool::Thread {
            command.env("TSAN_OPTIONS", self.thread_options() + ":halt_on_error=1");
        }
    }

    fn watch(&self, command: &mut Command) {
        let reports = self.reports().join("report");
        let reports = reports.to_string_lossy();
        // valgrind watches what `cargo test` has built.
        if self.tool != Tool::Valgrind {
            command.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
            command.arg("--target-dir").arg(&self.target);
            command.args(["--target", &self.host]);
        }
        match self.tool {
            Tool::Thread => {
                command.arg("-Zbuild-std");
                flags(
                    command,
                    &format!("-Zsanitizer=thread --cfg segwal_tsan {SEEDED}"),
                );
                command.env("TSAN_OPTIONS", self.thread_options());
            }
            Tool::Address => {
                flags(command, &format!("-Zsanitizer=address {SEEDED}"));
                let leaks = u8::from(self.looks_for_leaks());
                let options = format!("log_path={reports}:handle_sigbus=0:detect_leaks={leaks}");
                command.env("ASAN_OPTIONS", options);
            }
            Tool::Miri => {
                flags(command, SEEDED);
                // The tests ask for the time, the environment and the directory in which they are.
                command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
            }
            Tool::Valgrind => {
                let runner = format!(
                    "valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite \
                     --show-leak-kinds=definite --fair-sched=yes --trace-children=yes --log-file={reports}.%p"
                );
                for target in TARGETS {
                    command.env(runner_variable(target), &runner);
                }
            }
        }
    }
}

/// Adds to the flags of the compiler that the caller's environment has.
fn flags(command: &mut Command, more: &str) {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} {more}").trim());
}

/// Names to cargo what runs the programs of `target`.
fn runner_variable(target: &str) -> OsString {
    let target = target.to_uppercase().replace('-', "_");
    format!("CARGO_TARGET_{target}_RUNNER").into()
}
