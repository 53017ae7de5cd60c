//! Reading: by position, and forward from one.
//!
//! Every read checks the frame's checksum again, under the salt that rules its place. Bytes at or beyond the published
//! bound are never looked at.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{FIRST_FRAME, FRAME_HEADER_LEN, FrameFault, FrameHeader, FrameKind, batch};
use crate::log::{Host, Published};
use crate::lsn::Lsn;
use crate::segment::Held;

use super::Wal;
use super::record::{Inner, Record};
use super::shared::{OsHost, Shared};

/// A frame that was checked.
#[derive(Debug)]
struct Frame {
    held: Held,
    published: Published,
    header: FrameHeader,
    span: Range<Lsn>,
}

impl Frame {
    fn payload_range(&self) -> Range<u64> {
        let start = self.span.start.offset() + FRAME_HEADER_LEN;
        start..start + u64::from(self.header.len)
    }

    fn payload(&self) -> &[u8] {
        self.held
            .bytes(self.payload_range(), self.published)
            .unwrap_or_default()
    }

    /// The record at `index`, if the frame holds so many.
    fn record(&self, index: u16) -> Option<Record> {
        let base = self.payload_range();
        let inner = match self.header.kind {
            FrameKind::Record if index == 0 => Inner {
                index,
                tag: self.header.tag,
                range: base,
            },
            FrameKind::Batch => {
                let (range, tag) = batch::locate(self.payload(), self.header.count, index)?;
                Inner {
                    index,
                    tag,
                    range: base.start + range.start..base.start + range.end,
                }
            }
            _ => return None,
        };
        Some(Record::new(
            self.held.clone(),
            self.published,
            self.span.clone(),
            inner,
        ))
    }
}

impl Shared {
    /// The frame at `lsn`, checked.
    fn frame(&self, lsn: Lsn, published: Published) -> Result<Frame> {
        if lsn < self.head() {
            return Err(discarded(lsn));
        }
        if lsn >= published.bound() {
            return Err(no_frame(
                lsn,
                "the position is at or beyond the end of the log",
            ));
        }
        let held =
            self.registry
                .hold(lsn.segment(), &self.directory, self.manifest.segment_size)?;
        self.check_frame(lsn, held.ok_or_else(|| discarded(lsn))?, published)
    }

    fn check_frame(&self, lsn: Lsn, held: Held, published: Published) -> Result<Frame> {
        let room = held
            .segment()
            .readable_end(published)
            .saturating_sub(lsn.offset());
        let fail = |fault| self.fault(lsn, fault);
        let stored = held.bytes(lsn.offset()..lsn.offset() + FRAME_HEADER_LEN, published);
        let stored: &[u8; 24] = stored
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| fail(FrameFault::NoRoom))?;
        let header = FrameHeader::decode(stored, lsn, room).map_err(fail)?;
        let start = lsn.offset() + FRAME_HEADER_LEN;
        let payload = held.bytes(start..start + u64::from(header.len), published);
        let payload = payload.ok_or_else(|| fail(FrameFault::TooLong))?;
        header
            .verify(stored, payload, held.segment().salts().at(lsn.offset()))
            .map_err(fail)?;
        if header.kind == FrameKind::Batch && batch::check(payload, header.count).is_err() {
            return Err(fail(FrameFault::BadPayload));
        }
        let end = Lsn::new(lsn.segment(), lsn.offset() + header.size())
            .ok_or_else(|| fail(FrameFault::TooLong))?;
        Ok(Frame {
            held,
            published,
            header,
            span: lsn..end,
        })
    }

    fn fault(&self, lsn: Lsn, fault: FrameFault) -> Error {
        match fault {
            FrameFault::NotThisPosition | FrameFault::NoRoom => {
                no_frame(lsn, "no record begins at the position")
            }
            _ => Error::new(ErrorKind::Corrupt, "a record that was published is damaged")
                .at_path(&self.shelf.path(lsn.segment()))
                .at_lsn(lsn)
                .caused_by(fault),
        }
    }

    /// The error for a frame that is known to begin at `lsn`: that none is found there is damage.
    #[cold]
    fn missing(&self, lsn: Lsn, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        Error::new(ErrorKind::Corrupt, "a record that was published is damaged")
            .at_path(&self.shelf.path(lsn.segment()))
            .at_lsn(lsn)
            .caused_by(error)
    }

    /// Where the record at `lsn`, or the batch there, begins and ends. Waits for records that other threads are writing before
    /// it.
    pub(crate) fn span_of_record(&self, lsn: Lsn) -> Result<Range<Lsn>> {
        let mut turn = 0;
        while lsn >= self.core.published() && lsn < self.end() {
            self.check()?;
            OsHost.pause(turn);
            turn = turn.saturating_add(1);
        }
        let frame = self.frame_of_record(lsn)?;
        Ok(frame.span)
    }

    /// The frame of a record or batch at `lsn` that is not void.
    fn frame_of_record(&self, lsn: Lsn) -> Result<Frame> {
        let frame = self.frame(lsn, self.core.witness())?;
        if self.rewinds.end_of(lsn).is_some() {
            return Err(no_frame(lsn, "the record was made void by a truncation"));
        }
        match frame.header.kind {
            FrameKind::Record | FrameKind::Batch => Ok(frame),
            _ => Err(no_frame(lsn, "no record begins at the position")),
        }
    }

    /// Refuses a position that is neither the end nor the beginning of a frame.
    pub(crate) fn check_boundary(&self, lsn: Lsn) -> Result<()> {
        let published = self.core.witness();
        if lsn == published.bound() || lsn == self.gate.durable() {
            return Ok(());
        }
        let held =
            self.registry
                .hold(lsn.segment(), &self.directory, self.manifest.segment_size)?;
        if held.is_some_and(|held| held.segment().readable_end(published) == lsn.offset()) {
            return Ok(());
        }
        self.frame(lsn, published).map(drop)
    }
}

#[cold]
fn discarded(lsn: Lsn) -> Error {
    Error::new(ErrorKind::Discarded, "the record was discarded").at_lsn(lsn)
}

#[cold]
fn no_frame(lsn: Lsn, what: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, what).at_lsn(lsn)
}

impl Wal {
    /// The record at `lsn`; of a batch, its first.
    ///
    /// Blocks for the disk if the segment is not in memory. Works on a poisoned log.
    ///
    /// # Errors
    /// [`Discarded`](ErrorKind::Discarded) below the head, [`NotFound`](ErrorKind::NotFound) if no record begins there or it
    /// is void, [`Corrupt`](ErrorKind::Corrupt) if its checksum fails.
    pub fn get(&self, lsn: Lsn) -> Result<Record> {
        self.get_in_batch(lsn, 0)
    }

    /// The record at `index` of the batch at `lsn`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_in_batch(&self, lsn: Lsn, index: u16) -> Result<Record> {
        let shared = self.shared();
        self.check_readable()?;
        let frame = shared.frame_of_record(lsn)?;
        frame
            .record(index)
            .ok_or_else(|| no_frame(lsn, "no record begins at the position"))
    }

    /// The records from `from` on, up to what is published now.
    ///
    /// `from` is the position of a record, [`head`](Self::head), or [`end`](Self::end). The iterator holds one segment at a
    /// time, and ends with the first error. It steps over what is void when it comes there; a batch that it has begun it
    /// finishes.
    ///
    /// # Errors
    /// [`Discarded`](ErrorKind::Discarded) below the head, [`NotFound`](ErrorKind::NotFound) beyond the end or within a
    /// record.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-records-{}", std::process::id()));
    /// let wal = segwal::Wal::open(&dir)?;
    /// wal.append(b"one")?;
    /// wal.append_batch([b"two", b"six"])?;
    /// for record in wal.records(wal.head())? {
    ///     let record = record?;
    ///     println!("{} {} {:?}", record.lsn(), record.index(), record.payload());
    /// }
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn records(&self, from: Lsn) -> Result<Records> {
        let shared = self.shared();
        self.check_readable()?;
        let published = shared.core.witness();
        let head = shared.head();
        if from < head {
            return Err(discarded(from));
        }
        if from > published.bound() {
            return Err(no_frame(from, "the position is beyond the end of the log"));
        }
        if from.offset() != FIRST_FRAME && from != head {
            shared.check_boundary(from)?;
        }
        Ok(Records {
            wal: self.clone(),
            published,
            at: Some(from),
            batch: None,
        })
    }

    /// A poisoned log can be read; a closed one, or a parent's, cannot.
    fn check_readable(&self) -> Result<()> {
        match self.shared().check() {
            Err(error) if error.kind() != ErrorKind::Poisoned => Err(error),
            _ => Ok(()),
        }
    }
}

/// The records of a log, in order. See [`Wal::records`].
#[derive(Debug)]
pub struct Records {
    wal: Wal,
    published: Published,
    at: Option<Lsn>,
    /// The batch being read, and the index of its next record.
    batch: Option<(Frame, u16)>,
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.next_of_batch() {
                return Some(Ok(record));
            }
            let at = self.at.filter(|at| *at < self.published.bound())?;
            match self.step(at) {
                Ok(Some(record)) => return Some(Ok(record)),
                Ok(None) => {}
                Err(error) => {
                    self.at = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Records {
    fn next_of_batch(&mut self) -> Option<Record> {
        let (frame, index) = self.batch.as_mut()?;
        let record = frame.record(*index);
        *index = index.saturating_add(1);
        if record.is_none() || *index == u16::MAX {
            self.batch = None;
        }
        record
    }

    /// The record at `at`, or one step towards it.
    fn step(&mut self, at: Lsn) -> Result<Option<Record>> {
        let shared = self.wal.shared();
        if at < shared.head() {
            return Err(discarded(at));
        }
        if let Some(rewind) = shared.rewinds.end_of(at) {
            self.at = Some(rewind);
            return Ok(None);
        }
        let held = shared.registry.hold(
            at.segment(),
            &shared.directory,
            shared.manifest.segment_size,
        )?;
        let held = held.ok_or_else(|| discarded(at))?;
        if at.offset() >= held.segment().readable_end(self.published) {
            self.at = at
                .segment()
                .checked_add(1)
                .and_then(|next| Lsn::new(next, FIRST_FRAME));
            return Ok(None);
        }
        let frame = shared.check_frame(at, held, self.published);
        let frame = frame.map_err(|error| shared.missing(at, error))?;
        self.at = Some(frame.span.end);
        if frame.header.kind == FrameKind::Batch {
            self.batch = Some((frame, 0));
            return Ok(None);
        }
        Ok(frame.record(0))
    }
}
