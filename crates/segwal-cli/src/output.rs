//! What verbs write: JSON lines, and payloads as a terminal can show them.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use crate::outcome::{Failure, Outcome};

/// How a verb reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Json,
}

impl Form {
    /// As the flag `--json` asks.
    pub(crate) fn of(options: FormOptions) -> Self {
        if options.json { Self::Json } else { Self::Text }
    }
}

/// The flag that every verb has.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct FormOptions {
    /// Write JSON for programs instead of text for people
    #[arg(long)]
    json: bool,
}

/// Writes `value` as one line of JSON.
pub(crate) fn json_line(out: &mut impl Write, value: &impl Serialize) -> Outcome<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::internal(format!("a report does not fit JSON: {error}")))?;
    writeln!(out, "{text}").map_err(Failure::output)
}

/// Writes text to standard output.
pub(crate) fn text(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Failure::output)
}

/// Bytes as a terminal can show them: control characters and what is not UTF-8 are escaped, tabs stay.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && character != '\t' {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    shown
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let bytes = b"caf\xc3\xa9\t\x1b[31m\xff\r\xc2\x9b";
        assert_eq!(escaped(bytes), "caf\u{e9}\t\\u{1b}[31m\\xff\\r\\u{9b}");
    }

    #[test]
    fn hex_has_two_digits_for_each_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
