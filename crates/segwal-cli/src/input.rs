//! [`Input`]: the lines of a file or of standard input, handed to several threads in chunks.
//!
//! A chunk holds lines that could be had without waiting for more of them, so that a slow source delays no line. A line is
//! any bytes up to a newline; the last one may lack it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::outcome::{Failure, Outcome, Status};

/// No segment is larger, so no record is longer.
const MAX_LINE_LEN: u64 = 1 << 30;
const MAX_CHUNK_LINES: usize = 32;
const READ_SIZE: usize = 64 << 10;

/// A source of lines that threads share.
pub(crate) struct Input {
    name: PathBuf,
    /// The length of the source in bytes, if it has one.
    len: Option<u64>,
    /// None once nothing more is wanted.
    source: Mutex<Option<BufReader<Box<dyn Read + Send>>>>,
}

/// Some lines that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Input {
    /// The lines of the file at `path`, or of standard input.
    pub(crate) fn open(path: Option<&Path>) -> Outcome<Self> {
        let Some(path) = path else {
            let name = PathBuf::from("standard input");
            return Ok(Self::new(name, None, Box::new(io::stdin())));
        };
        let failed = |error| Failure::io("cannot read", path, &error);
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let len = metadata.is_file().then_some(metadata.len());
        Ok(Self::new(path.to_owned(), len, Box::new(file)))
    }

    fn new(name: PathBuf, len: Option<u64>, source: Box<dyn Read + Send>) -> Self {
        let source = BufReader::with_capacity(READ_SIZE, source);
        Self {
            name,
            len,
            source: Mutex::new(Some(source)),
        }
    }

    pub(crate) fn len(&self) -> Option<u64> {
        self.len
    }

    /// The next lines; none at the end, or after [`stop`](Self::stop).
    pub(crate) fn next_chunk(&self) -> Outcome<Option<Chunk>> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(reader) = source.as_mut() else {
            return Ok(None);
        };
        let mut chunk = Chunk::default();
        while chunk.ends.len() < MAX_CHUNK_LINES && chunk.read_line(reader, &self.name)? {
            if !reader.buffer().contains(&b'\n') {
                break;
            }
        }
        Ok((!chunk.ends.is_empty()).then_some(chunk))
    }

    /// Gives no more lines to anybody.
    pub(crate) fn stop(&self) {
        *self.source.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Chunk {
    /// The lines without their newlines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }

    /// Adds the next line; false if there is none.
    fn read_line(&mut self, reader: &mut impl BufRead, name: &Path) -> Outcome<bool> {
        let start = self.bytes.len();
        let mut limited = reader.take(MAX_LINE_LEN);
        let read = limited
            .read_until(b'\n', &mut self.bytes)
            .map_err(|error| Failure::io("cannot read", name, &error))?;
        if read as u64 == MAX_LINE_LEN && !self.bytes.ends_with(b"\n") {
            let message = format!(
                "a line of {} is longer than 1 GiB, which no segment holds; split it",
                name.display()
            );
            return Err(Failure::new(Status::Usage, message));
        }
        if self.bytes.len() > start && self.bytes.ends_with(b"\n") {
            self.bytes.pop();
        }
        if read > 0 {
            self.ends.push(self.bytes.len());
        }
        Ok(read > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(bytes: &'static [u8]) -> Input {
        Input::new(PathBuf::from("test"), None, Box::new(bytes))
    }

    fn lines(input: &Input) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        while let Some(chunk) = input.next_chunk().unwrap() {
            lines.extend(chunk.lines().map(<[u8]>::to_vec));
        }
        lines
    }

    #[test]
    fn lines_are_any_bytes_and_the_last_needs_no_newline() {
        let expected: [&[u8]; 5] = [b"one", b"", b"\xff\0\r", b"", b"last"];
        assert_eq!(lines(&input(b"one\n\n\xff\0\r\n\nlast")), expected);
        assert_eq!(lines(&input(b"one\n")), [b"one"]);
        assert!(lines(&input(b"")).is_empty());
    }

    #[test]
    fn a_chunk_does_not_wait_for_a_line_that_is_not_there_yet() {
        struct Slow(Vec<&'static [u8]>);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let Some(bytes) = self.0.pop() else {
                    return Ok(0);
                };
                buffer[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            }
        }
        let slow = Slow(vec![b"e\n", b"one\ntwo\nthre"]);
        let input = Input::new(PathBuf::from("test"), None, Box::new(slow));
        let first = input.next_chunk().unwrap().unwrap();
        assert_eq!(first.lines().collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(lines(&input), [b"three"]);
    }

    #[test]
    fn a_stopped_input_gives_nothing() {
        let input = input(b"one\ntwo\n");
        input.stop();
        assert!(lines(&input).is_empty());
    }
}
