//! [`ReaderRecords`]: the records of a log that another process may be writing.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{FIRST_FRAME, FrameKind, ScannedFrame, Scanner, Source, Step, batch};
use crate::lsn::Lsn;
use crate::segment::{FileSource, segment_name};
use crate::sys::Access;

use super::WalReader;
use crate::wal::recover::{Header, read_headers};

/// One record, copied out of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    lsn: Lsn,
    end: Lsn,
    index: u16,
    tag: u8,
    payload: Vec<u8>,
    known_durable: Durability,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Durability {
    Known,
    NotKnown,
}

impl OwnedRecord {
    /// The position: its own, or that of the batch it belongs to.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Where the frame that holds it ends.
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Its place in its batch, from 0 on; 0 for a lone record.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// The tag that it was appended with.
    pub fn tag(&self) -> u8 {
        self.tag
    }

    /// The bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether `COOKIE` said, when the reading began, that it is durable. If not, it may be all the same.
    pub fn is_known_durable(&self) -> bool {
        self.known_durable == Durability::Known
    }
}

impl fmt::Debug for OwnedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRecord")
            .field("lsn", &self.lsn)
            .field("index", &self.index)
            .field("tag", &self.tag)
            .field("len", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl WalReader {
    /// The records from `from` on: a record's position, or the head. Ends at the first frame that is not valid, which in a
    /// live log is the one being written.
    ///
    /// # Errors
    /// [`Discarded`](ErrorKind::Discarded) below the head, [`Corrupt`](ErrorKind::Corrupt) without a valid `COOKIE`. The
    /// iterator gives `Discarded` when a segment was recycled while it was being read, and `Corrupt` when it ends below
    /// what `COOKIE` called durable as the reading began.
    pub fn records(&self, from: Lsn) -> Result<ReaderRecords<'_>> {
        if from < self.head()? {
            return Err(discarded(from));
        }
        let durable = self.durable()?;
        Ok(ReaderRecords {
            reader: self,
            from,
            durable,
            segment: None,
            batch: Vec::new(),
            state: State::Reading,
        })
    }

    /// The record at `lsn`; of a batch, its first.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no valid record begins there; otherwise as [`records`](Self::records).
    pub fn get(&self, lsn: Lsn) -> Result<OwnedRecord> {
        let first = self.records(lsn)?.next();
        match first {
            Some(Ok(record)) if record.lsn() == lsn => Ok(record),
            Some(Err(error)) => Err(error),
            _ => {
                Err(Error::new(ErrorKind::NotFound, "no record begins at the position").at_lsn(lsn))
            }
        }
    }

    /// Segment `id`, if it is activated, with a scanner at its first frame.
    fn open_segment(&self, id: u32) -> Result<Option<Segment>> {
        let path = self.directory.segment(id);
        if !self
            .directory
            .list()?
            .iter()
            .any(|name| path.file_name() == Some(name))
        {
            return Ok(None);
        }
        let mut files = read_headers(&self.directory, &[id], &self.manifest)?;
        let Some(found) = files.remove(&id) else {
            return Ok(None);
        };
        let Header::Ours(Ok(activation)) = found.header else {
            return Ok(None);
        };
        let Some(start) = Lsn::new(id, FIRST_FRAME) else {
            return Ok(None);
        };
        let file = self.directory.open(&segment_name(id), Access::Read)?;
        let source = FileSource::new(file, self.manifest.segment_size)
            .map_err(|error| Error::io("cannot read a segment", &path, error))?;
        let scanner = Scanner::new(start, activation.salt, None);
        Ok(Some(Segment {
            id,
            activation,
            source,
            scanner,
        }))
    }
}

#[cold]
fn discarded(lsn: Lsn) -> Error {
    Error::new(ErrorKind::Discarded, "the record was discarded").at_lsn(lsn)
}

#[derive(Debug)]
struct Segment {
    id: u32,
    activation: crate::format::Activation,
    source: FileSource,
    scanner: Scanner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Ended,
}

/// The records of a log, copied. See [`WalReader::records`].
#[derive(Debug)]
pub struct ReaderRecords<'a> {
    reader: &'a WalReader,
    from: Lsn,
    durable: Lsn,
    segment: Option<Segment>,
    /// The rest of a batch, last record first.
    batch: Vec<OwnedRecord>,
    state: State,
}

impl Iterator for ReaderRecords<'_> {
    type Item = Result<OwnedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.batch.pop() {
                return Some(Ok(record));
            }
            if self.state == State::Ended {
                return None;
            }
            if let Err(error) = self.step() {
                self.state = State::Ended;
                // A file that vanished or was emptied under the reader was discarded.
                return Some(Err(self.check_head().err().unwrap_or(error)));
            }
        }
    }
}

impl ReaderRecords<'_> {
    /// One frame, or the step into the next segment, or the end.
    fn step(&mut self) -> Result<()> {
        let Some(segment) = &mut self.segment else {
            return self.enter();
        };
        let path = self.reader.directory.segment(segment.id);
        let fail = |error| Error::io("cannot read a segment", &path, error);
        match segment.scanner.next(&mut segment.source).map_err(fail)? {
            Step::Frame(frame) if frame.lsn < self.from => Ok(()),
            Step::Frame(frame) => {
                let len = frame.header.len as usize;
                let payload = segment
                    .source
                    .bytes(frame.payload_offset, len)
                    .map_err(fail)?
                    .to_vec();
                self.take(frame, payload);
                Ok(())
            }
            Step::Stop(_) => self.turn(),
        }
    }

    fn enter(&mut self) -> Result<()> {
        self.segment = self.reader.open_segment(self.from.segment())?;
        if self.segment.is_some() {
            return Ok(());
        }
        self.end_at(self.from)
    }

    /// Where the frames of a segment stop: on into the next one if it is linked to this very end.
    fn turn(&mut self) -> Result<()> {
        self.check_head()?;
        let Some(segment) = &self.segment else {
            return self.end_at(self.from);
        };
        let at = segment.scanner.at();
        let next = match segment.id.checked_add(1) {
            Some(next_id) => self.reader.open_segment(next_id)?,
            None => None,
        };
        let follows = |next: &Segment| {
            next.activation.previous.is_some_and(|end| {
                end.seal == at.offset()
                    && end.salt == segment.scanner.salt()
                    && end.last_epoch == segment.scanner.last_epoch()
            })
        };
        match next.filter(follows) {
            Some(next) if at >= self.from => {
                self.segment = Some(next);
                Ok(())
            }
            _ => self.end_at(at),
        }
    }

    /// Nothing valid stands at `at`: the end, unless something durable did.
    fn end_at(&mut self, at: Lsn) -> Result<()> {
        self.state = State::Ended;
        // Looked at after whatever was missing: a segment may have been recycled since.
        self.check_head()?;
        if at >= self.durable {
            return Ok(());
        }
        let what = format!(
            "no valid frame, though the log is known to be durable up to {}",
            self.durable
        );
        let path = self.reader.directory.segment(at.segment());
        Err(Error::new(ErrorKind::Corrupt, what)
            .at_path(&path)
            .at_lsn(at))
    }

    /// A stop in a segment that was recycled meanwhile is no end.
    fn check_head(&self) -> Result<()> {
        let at = self
            .segment
            .as_ref()
            .map_or(self.from, |segment| segment.scanner.at());
        if at.segment() < self.reader.head()?.segment() {
            Err(discarded(at))
        } else {
            Ok(())
        }
    }

    fn take(&mut self, frame: ScannedFrame, payload: Vec<u8>) {
        let known_durable = if frame.lsn < self.durable {
            Durability::Known
        } else {
            Durability::NotKnown
        };
        let end = Lsn::new(frame.lsn.segment(), frame.end_offset).unwrap_or(frame.lsn);
        let record = |index, tag, payload| OwnedRecord {
            lsn: frame.lsn,
            end,
            index,
            tag,
            payload,
            known_durable,
        };
        match frame.header.kind {
            FrameKind::Record => self.batch.push(record(0, frame.header.tag, payload)),
            FrameKind::Batch => {
                let count = frame.header.count;
                let located = (0..count)
                    .rev()
                    .filter_map(|index| Some((index, batch::locate(&payload, count, index)?)));
                let bytes = |range: std::ops::Range<u64>| {
                    let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
                    payload[at(range.start)..at(range.end)].to_vec()
                };
                self.batch
                    .extend(located.map(|(index, (range, tag))| record(index, tag, bytes(range))));
            }
            FrameKind::Aborted | FrameKind::Epoch | FrameKind::Rewind => {}
        }
    }
}
