//! The built program, run with arguments and an input.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a helper of tests, of which each file uses a part"
)]

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The program that this package builds.
pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_segwal"))
}

/// Runs it without input.
pub(crate) fn run(arguments: &[&str]) -> Output {
    run_with(arguments, b"")
}

/// Runs it with these bytes as its standard input.
pub(crate) fn run_with(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not read its input.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

/// The exit code.
pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Standard output as text.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error as text.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The lines of a text.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    str::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}
