//! Inputs of the command line: words that zero bytes end.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use segwal::probe::Reached;

/// More of them would only take longer.
const MAX_WORDS: usize = 24;

pub(crate) fn arguments(input: &[u8]) -> Reached {
    let words = input.split(|byte| *byte == 0).take(MAX_WORDS);
    let words: Vec<_> = words
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    Reached::from([segwal_cli::probe::arguments(&words)])
}
