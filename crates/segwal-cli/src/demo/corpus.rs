//! [`Corpus`]: the lines that the demo appends, and which of them a record carries.
//!
//! What record number `sequence` of a thread carries is a pure function of the two, so that the checking side needs no
//! copy of what the appending side did.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::outcome::{Failure, Outcome};

/// A text for where there is no repository around.
const EMBEDDED: &str = include_str!("prose.txt");
/// Longer lines are cut into pieces, so that each fits into a small segment.
const MAX_LINE_LEN: usize = 4096;
/// What is read of a large input.
const MAX_CORPUS_LEN: usize = 64 << 20;
const SUFFIXES: [&str; 3] = ["rs", "md", "toml"];
/// Thread and sequence stand before the line.
const PREFIX_LEN: usize = 12;

/// Lines without their newlines, at least one.
#[derive(Clone, Debug)]
pub(crate) struct Corpus {
    lines: Vec<Vec<u8>>,
    origin: String,
}

impl Corpus {
    /// The lines of `input`; else of the sources around the current directory; else of a text that is part of the program.
    pub(crate) fn find(input: Option<&Path>) -> Outcome<Self> {
        if let Some(path) = input {
            let bytes = fs::read(path).map_err(|error| Failure::io("cannot read", path, &error))?;
            return Self::cut(&bytes, path.display().to_string());
        }
        let Some(root) = repository() else {
            return Self::cut(EMBEDDED.as_bytes(), "a text inside the program".to_owned());
        };
        let failed = |error| Failure::io("cannot read the sources in", &root, &error);
        let (bytes, files) = read_sources(&root).map_err(failed)?;
        Self::cut(&bytes, format!("{files} sources in {}", root.display()))
    }

    /// What [`joined`](Self::joined) gave, again.
    pub(crate) fn from_joined(bytes: &[u8]) -> Self {
        Self {
            lines: bytes
                .split(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec)
                .collect(),
            origin: String::new(),
        }
    }

    /// All lines in one piece, for another process.
    pub(crate) fn joined(&self) -> Vec<u8> {
        self.lines.join(&b'\n')
    }

    /// Where the lines come from and how many there are, for people.
    pub(crate) fn describe(&self) -> String {
        format!("{}: {} lines", self.origin, self.lines.len())
    }

    /// What record number `sequence`, counted from 1, of this thread carries.
    pub(crate) fn payload(&self, stream: Stream, sequence: u64) -> Vec<u8> {
        let position = (sequence - 1) * u64::from(stream.count) + u64::from(stream.thread);
        let index = usize::try_from(position % self.lines.len() as u64).unwrap_or_default();
        let line = &self.lines[index];
        let mut payload = Vec::with_capacity(PREFIX_LEN + line.len());
        payload.extend(stream.thread.to_le_bytes());
        payload.extend(sequence.to_le_bytes());
        payload.extend(line);
        payload
    }

    fn cut(bytes: &[u8], origin: String) -> Outcome<Self> {
        let bytes = &bytes[..bytes.len().min(MAX_CORPUS_LEN)];
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(Failure::usage(format!(
                "{origin} has no lines; choose an input with some"
            )));
        }
        let mut lines = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                lines.push(Vec::new());
            }
            lines.extend(line.chunks(MAX_LINE_LEN).map(<[u8]>::to_vec));
        }
        Ok(Self { lines, origin })
    }
}

/// One thread of so many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    pub(crate) thread: u32,
    pub(crate) count: u32,
}

/// The thread and the sequence that a payload says it has.
pub(crate) fn identity(payload: &[u8]) -> Option<(u32, u64)> {
    let (thread, rest) = payload.split_first_chunk()?;
    let sequence = rest.first_chunk()?;
    Some((u32::from_le_bytes(*thread), u64::from_le_bytes(*sequence)))
}

/// The root of the repository around the current directory.
pub(crate) fn repository() -> Option<PathBuf> {
    let is_root = |dir: &&Path| {
        fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|text| {
            text.contains("[workspace]") && text.lines().any(|line| line == "name = \"segwal\"")
        })
    };
    let current = env::current_dir().ok()?;
    current.ancestors().find(is_root).map(Path::to_path_buf)
}

/// The contents of all sources and documents below `root`, one after the other, and their number.
fn read_sources(root: &Path) -> io::Result<(Vec<u8>, usize)> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort();
    let mut bytes = Vec::new();
    for path in &paths {
        bytes.extend(fs::read(path)?);
        if !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    Ok((bytes, paths.len()))
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name().to_string_lossy().into_owned();
        let suffix = path.extension().and_then(|suffix| suffix.to_str());
        if kind.is_dir() && !name.starts_with('.') && !name.starts_with("target") {
            collect(&path, paths)?;
        } else if kind.is_file() && suffix.is_some_and(|suffix| SUFFIXES.contains(&suffix)) {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Stream = Stream {
        thread: 0,
        count: 2,
    };
    const SECOND: Stream = Stream {
        thread: 1,
        count: 2,
    };

    fn corpus(text: &str) -> Corpus {
        Corpus::cut(text.as_bytes(), "test".to_owned()).unwrap()
    }

    #[test]
    fn threads_share_the_lines_and_begin_again_at_the_end() {
        let corpus = corpus("a\nb\nc\n");
        let line = |stream, sequence| corpus.payload(stream, sequence)[PREFIX_LEN..].to_vec();
        let lines = [
            line(FIRST, 1),
            line(SECOND, 1),
            line(FIRST, 2),
            line(SECOND, 2),
        ];
        assert_eq!(lines, [b"a", b"b", b"c", b"a"]);
    }

    #[test]
    fn a_payload_says_whose_it_is() {
        let payload = corpus("a\n").payload(SECOND, 9);
        assert_eq!(identity(&payload), Some((1, 9)));
        assert_eq!(identity(&payload[..PREFIX_LEN - 1]), None);
    }

    #[test]
    fn another_process_gets_the_same_lines() {
        let long = format!("one\n\n{}\n", "x".repeat(MAX_LINE_LEN + 1));
        for text in ["\n\n", "a", &long] {
            let corpus = corpus(text);
            let other = Corpus::from_joined(&corpus.joined());
            assert_eq!(corpus.lines, other.lines);
        }
    }

    #[test]
    fn an_empty_input_is_refused() {
        for text in ["", "\n"] {
            assert!(Corpus::cut(text.as_bytes(), "test".to_owned()).is_err());
        }
    }

    #[test]
    fn the_embedded_text_is_long_enough_to_vary() {
        assert!(EMBEDDED.len() > 10 << 10 && EMBEDDED.lines().count() > 200);
    }
}
