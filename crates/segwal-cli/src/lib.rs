//! The command line of segwal as a library, so that it can be tested as one: `segwal VERB …`.
//!
//! One verb, one file. A verb returns the status that the process exits with, or the failure that `segwal: …` reports on
//! standard error. Nothing here ends the process: that is left to the program.
#![deny(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a tool for the terminal reads the clock to say how long its work took"
)]

mod append;
mod arguments;
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
#[doc(hidden)]
pub mod probe;
mod quantity;
mod repair;
mod stats;
mod tail;
mod verify;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

pub use arguments::{Arguments, Refusal};

use crate::arguments::Verb;
use crate::outcome::{Failure, Outcome, Status};

/// Does what a command line asks for, the name of the program first, and returns what the process shall exit with.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    // Without it a file that is cut under a verb kills it without a word; and if it cannot be had, nothing else is worse.
    drop(segwal::report_sigbus());
    let done = match Arguments::parse(arguments) {
        Ok(arguments) => perform(arguments.verb()),
        Err(refusal) => refusal.tell(),
    };
    let status = done.unwrap_or_else(|failure| report(&failure));
    ExitCode::from(status.code())
}

fn perform(verb: &Verb) -> Outcome<Status> {
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
