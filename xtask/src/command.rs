//! Other programs, run from the root of the workspace, with errors that name the whole command line.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use testkit::record::workspace_root;

/// The cargo that runs this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments);
    command
}

/// Any program, at the root of the workspace.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.current_dir(workspace_root());
    command
}

/// Runs `command`; anything but exit status zero is an error.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// Runs `command`, shows its output as it comes, and hands each line to `each`; anything but exit status zero is an error.
pub(crate) fn succeed_reading(command: &mut Command, mut each: impl FnMut(&str)) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let output = child.stdout.take().context("its output is a pipe")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        each(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// The command line, as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_an_error_that_shows_it() {
        let error = succeed(program("false").arg("word")).unwrap_err();
        assert!(
            error.to_string().starts_with("false word failed"),
            "{error}"
        );
        succeed(&mut program("true")).unwrap();
    }

    #[test]
    fn lines_of_a_command_are_read_and_its_failure_is_an_error() {
        let mut lines = Vec::new();
        let mut read = |line: &str| lines.push(line.to_owned());
        let mut command = program("sh");
        command.args(["-c", "echo one; echo two; exit 3"]);
        succeed_reading(&mut command, &mut read).unwrap_err();
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_missing_command_is_an_error_that_shows_it() {
        let error = succeed(&mut program("no-such-program-here")).unwrap_err();
        assert_eq!(error.to_string(), "cannot start no-such-program-here");
    }
}
