//! The program `segwal`.
#![deny(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    segwal_cli::run(std::env::args_os())
}
