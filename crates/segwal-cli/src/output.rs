//! What verbs write: JSON lines, and payloads as a terminal can show them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

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

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Good,
    Notice,
    Bad,
    Faint,
    Title,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    Coloured,
    Plain,
}

impl Paint {
    /// Colours on a terminal, unless `NO_COLOR` is set or the terminal is a dumb one.
    pub(crate) fn of_stdout() -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb {
            Self::Coloured
        } else {
            Self::Plain
        }
    }

    /// `text` in this colour. It must not hold what a terminal would obey.
    pub(crate) fn text(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Good => "32",
            Colour::Notice => "33",
            Colour::Bad => "1;31",
            Colour::Faint => "2",
            Colour::Title => "1",
        };
        match self {
            Self::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// A bar over bytes on standard error; hidden where that is no terminal.
pub(crate) fn byte_bar(what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    bar.set_draw_target(ProgressDrawTarget::stderr());
    bar.set_message(what);
    let template = "{msg} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} to go";
    // A template that does not parse leaves the plain bar.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Moves a bar to where the log says that its work is.
pub(crate) fn advance(bar: &ProgressBar, progress: segwal::Progress) {
    bar.set_length(progress.total_bytes);
    bar.set_position(progress.done_bytes);
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

/// A path as a terminal can show it.
pub(crate) fn path(path: &Path) -> String {
    escaped(path.as_os_str().as_encoded_bytes())
}

/// A message of several lines as a terminal can show it: names of files and bytes of them may be in it.
pub(crate) fn message(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| escaped(line.as_bytes())).collect();
    lines.join("\n")
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
    fn a_message_keeps_its_lines_and_nothing_else_that_moves_the_cursor() {
        assert_eq!(message("a\n\x1b]0;b\x07\r"), "a\n\\u{1b}]0;b\\u{7}\\r");
        assert_eq!(path(Path::new("a\nb")), "a\\nb");
    }

    #[test]
    fn plain_text_has_no_colour() {
        assert_eq!(Paint::Plain.text(Colour::Bad, "x"), "x");
        assert_eq!(Paint::Coloured.text(Colour::Good, "x"), "\x1b[32mx\x1b[0m");
    }

    #[test]
    fn hex_has_two_digits_for_each_byte() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
