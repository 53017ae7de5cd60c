//! `segwal completions`: a script with which a shell completes verbs and options.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::outcome::{Outcome, Status};
use crate::output;

const EXAMPLES: &str = "\
Examples:
  segwal completions bash > ~/.local/share/bash-completion/completions/segwal
  segwal completions zsh > ~/.zfunc/_segwal
  segwal completions fish > ~/.config/fish/completions/segwal.fish";

/// Print a script with which a shell completes verbs and options
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(options: &Options) -> Outcome<Status> {
    let mut script = Vec::new();
    let mut command = Arguments::command();
    clap_complete::generate(options.shell, &mut command, "segwal", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(Status::Fine)
}
