//! Reading: by position, and forward from one.
//!
//! Bytes at or beyond the published bound are never looked at.

use std::ops::Range;

use crate::error::{ErrorKind, Result};
use crate::format::{FIRST_FRAME, FrameKind};
use crate::log::{Host, Published};
use crate::lsn::Lsn;

use super::Wal;
use super::cursor::{Cursor, Footing};
use super::frame::{Frame, discarded, no_frame};
use super::record::Record;
use super::shared::{OsHost, Shared};

impl Shared {
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
    /// `from` is the position of a record, [`head`](Self::head), or [`end`](Self::end). Between two records the iterator holds no
    /// segment: one that was discarded meanwhile is the error [`Discarded`](ErrorKind::Discarded). It ends with the first error.
    /// It steps over what is void when it comes there; a batch that it has begun it finishes.
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
            return Err(discarded(from, head));
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
            cursor: Some(Cursor::new(from, Footing::Boundary)),
        })
    }

    /// A poisoned log can be read; a closed one, or a parent's, cannot.
    pub(super) fn check_readable(&self) -> Result<()> {
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
    /// `None` after an error.
    cursor: Option<Cursor>,
}

impl Iterator for Records {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let cursor = self.cursor.as_mut()?;
        let next = cursor.next(self.wal.shared(), self.published);
        if next.is_err() {
            self.cursor = None;
        }
        next.transpose()
    }
}
