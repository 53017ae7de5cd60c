//! The chores of this workspace as one program: `cargo xtask setup|tidy|loom|shuttle|seeded|fuzz|sanitize|ci|campaign|skips`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a tool for the terminal prints, and reads the clock to say how long a step took"
)]

mod campaign;
mod ci;
mod command;
mod fuzz;
mod loom;
mod sanitize;
mod seeded;
mod setup;
mod shuttle;
mod skips;
mod targets;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The chores of this workspace")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install what `ci` needs and is not there yet
    Setup(setup::Options),
    /// Check layers, shapes and words of the source tree
    Tidy,
    /// Run the concurrency models under the model checker
    Loom(loom::Options),
    /// Run the whole engine in random orders
    Shuttle(shuttle::Options),
    /// Demand that the general checks find each deliberate bug in the engine
    Seeded(seeded::Options),
    /// Run the fuzz targets for a time
    Fuzz(fuzz::Options),
    /// Run the tests under the sanitizers, Miri and valgrind
    Sanitize(sanitize::Options),
    /// Run every check there is, and print what each took
    Ci(ci::Options),
    /// Run a check at its full length, of which `ci` runs a slice
    Campaign(campaign::Options),
    /// Judge the record of checks that could not run
    Skips,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Setup(options) => setup::run(&options),
        Chore::Tidy => tidy::run(),
        Chore::Loom(options) => loom::run(&options),
        Chore::Shuttle(options) => shuttle::run(&options),
        Chore::Seeded(options) => seeded::run(&options),
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Sanitize(options) => sanitize::run(&options),
        Chore::Ci(options) => ci::run(&options),
        Chore::Campaign(options) => campaign::run(&options),
        Chore::Skips => skips::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
