//! The command line of segwal: `segwal VERB …`.
//!
//! One verb, one file. A verb returns the status that the process exits with, or the failure that `segwal: …` reports on
//! standard error.
#![deny(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool for the terminal reads the clock to say how long its work took"
)]

mod append;
mod bench;
mod cat;
mod completions;
mod copy;
mod demo;
mod input;
mod inspect;
mod outcome;
mod output;
mod payload;
mod quantity;
mod repair;
mod stats;
mod tail;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::{Failure, Outcome, Status};

const CODES: &str = "\
Exit codes: 0 fine; 64 wrong usage; 70 a defect of segwal; 74 input, output or the log failed; 75 locked or no space,
try again. `verify` also has 1 torn tail, 2 corrupt, 3 unreadable.

Examples:
  segwal demo                                   see records survive three kills
  printf 'one\\ntwo\\n' | segwal append ./log     append two records
  segwal cat ./log                              read them
  segwal verify ./log && echo clean             check every byte of them
  segwal inspect ./log                          see the map of the log, and what to run next

`segwal help VERB` has more.";

/// Append to, read, check and demonstrate segwal write-ahead logs.
#[derive(Debug, Parser)]
#[command(name = "segwal", version, after_help = CODES, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Append(append::Options),
    Cat(cat::Options),
    Tail(tail::Options),
    Inspect(inspect::Options),
    Stats(stats::Options),
    Verify(verify::Options),
    Copy(copy::Options),
    Repair(repair::Options),
    Bench(bench::Options),
    Demo(demo::Options),
    Completions(completions::Options),
    #[command(hide = true)]
    DemoChild(demo::ChildOptions),
}

fn main() -> ExitCode {
    // Without it a file that is cut under a verb kills it without a word; and if it cannot be had, nothing else is worse.
    drop(segwal::report_sigbus());
    let done = match Arguments::try_parse() {
        Ok(arguments) => run(&arguments.verb),
        Err(error) => explain(&error),
    };
    let status = done.unwrap_or_else(|failure| report(&failure));
    ExitCode::from(status.code())
}

fn run(verb: &Verb) -> Outcome<Status> {
    match verb {
        Verb::Append(options) => append::run(options),
        Verb::Cat(options) => cat::run(options),
        Verb::Tail(options) => tail::run(options),
        Verb::Inspect(options) => inspect::run(options),
        Verb::Stats(options) => stats::run(options),
        Verb::Verify(options) => verify::run(options),
        Verb::Copy(options) => copy::run(options),
        Verb::Repair(options) => repair::run(options),
        Verb::Bench(options) => bench::run(options),
        Verb::Completions(options) => completions::run(options),
        Verb::Demo(options) => demo::run(options),
        Verb::DemoChild(options) => demo::run_child(options),
    }
}

/// Prints the help or the version that was asked for; everything else is wrong usage.
fn explain(error: &clap::Error) -> Outcome<Status> {
    if !error.use_stderr() {
        error.print().map_err(Failure::output)?;
        return Ok(Status::Fine);
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    Err(Failure::usage(text.trim_end()))
}

/// Says what failed. A reader that has gone wanted no more, which is no failure.
fn report(failure: &Failure) -> Status {
    match failure {
        Failure::ReaderGone => Status::Fine,
        Failure::Failed { status, message } => {
            // Nobody is left to tell if standard error is closed; the status still tells it.
            let message = output::message(message);
            drop(writeln!(io::stderr(), "segwal: {message}"));
            *status
        }
    }
}
