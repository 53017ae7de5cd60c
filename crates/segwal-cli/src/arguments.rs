//! [`Arguments`]: what a command line asks for, or why it asks for nothing that could be done.

use std::ffi::OsString;
use std::fmt;

use clap::{Parser, Subcommand};

use crate::outcome::{Failure, Outcome, Status};
use crate::{
    append, bench, cat, completions, copy, demo, inspect, output, repair, stats, tail, verify,
};

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
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
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

impl Arguments {
    /// Reads a command line, the name of the program first. Does nothing else: no file is looked at.
    ///
    /// # Errors
    /// It asks for help or for the version, or for something that does not exist or does not fit.
    ///
    /// ```
    /// use segwal_cli::Arguments;
    ///
    /// let words = |line: &str| line.split(' ').map(Into::into).collect::<Vec<_>>();
    /// assert!(Arguments::parse(words("segwal verify ./log --json")).is_ok());
    /// let refusal = Arguments::parse(words("segwal verify")).unwrap_err();
    /// assert_eq!(refusal.exit_code(), 64);
    /// ```
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Refusal> {
        Self::try_parse_from(arguments).map_err(Refusal)
    }

    pub(crate) fn verb(&self) -> &Verb {
        &self.verb
    }
}

/// Why a command line asks for nothing that could be done.
#[derive(Debug)]
pub struct Refusal(clap::Error);

impl Refusal {
    /// Whether help or the version was asked for, which is no mistake.
    pub fn is_wanted(&self) -> bool {
        !self.0.use_stderr()
    }

    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        let status = if self.is_wanted() {
            Status::Fine
        } else {
            Status::Usage
        };
        status.code()
    }

    pub(crate) fn kind(&self) -> clap::error::ErrorKind {
        self.0.kind()
    }

    /// Prints the help or the version that was asked for; everything else is wrong usage.
    pub(crate) fn tell(&self) -> Outcome<Status> {
        if self.is_wanted() {
            self.0.print().map_err(Failure::output)?;
            return Ok(Status::Fine);
        }
        let text = self.0.render().to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        Err(Failure::usage(text.trim_end()))
    }
}

/// The help, the version or the message, as a terminal can show it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&output::message(&self.0.render().to_string()))
    }
}

impl std::error::Error for Refusal {}
