//! [`Course`]: the way of a reader through a log that another process may be writing, frame after frame.
//!
//! # Protocol
//! 1. Note what `COOKIE` calls durable, and only then read bytes: whatever it calls durable can be read by then.
//! 2. Look ahead ([`Ahead`]): where the log ends now, and what is void. The course goes so far and no further.
//! 3. Frame by frame, each checked under the salt of its segment's life, which `live::LiveSource` holds.
//! 4. Where no valid frame stands, look at the next segment; it follows if its activation was linked to this very place.
//! 5. If it does not follow: look at the head. A segment is used again only after the head beyond it was stored in `COOKIE`,
//!    so whoever missed a frame because of that finds it out here, *after* missing it. Otherwise this is the end, unless it
//!    lies below what was durable.
//!
//! # Invariants
//! * F1. What is given out was valid in its place, follows the frame before without a gap, and was read after the durable
//!   bound that it is compared with.
//! * F2. A stop changes nothing: the course goes on from the same place when it is asked again.

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;

use super::ahead::Ahead;
use super::record::OwnedRecord;
use super::stretch::Stretch;
use super::{WalReader, discarded};

/// Where a reader is, and what it has read ahead.
#[derive(Debug)]
pub(super) struct Course<'a> {
    reader: &'a WalReader,
    /// Frames before it are stepped over.
    from: Lsn,
    durable: Lsn,
    /// What was seen ahead; `None` before the first look.
    ahead: Option<Ahead>,
    sight: Sight,
    segment: Option<Stretch>,
    /// The rest of a batch, last record first.
    batch: Vec<OwnedRecord>,
}

/// Whether a look ahead is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Due,
    Taken,
}

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stepped {
    On,
    /// Nothing valid stands at the place yet.
    Stopped,
}

impl<'a> Course<'a> {
    /// A course that begins at `from`.
    ///
    /// # Errors
    /// `Discarded` below the head; `Corrupt` without a valid `COOKIE`.
    pub(super) fn begin(reader: &'a WalReader, from: Lsn) -> Result<Self> {
        let head = reader.head()?;
        if from < head {
            return Err(discarded(from, head));
        }
        Ok(Self {
            reader,
            from,
            durable: reader.durable()?,
            ahead: None,
            sight: Sight::Due,
            segment: None,
            batch: Vec::new(),
        })
    }

    /// The next record; `None` at a place where no valid frame stands, as far as is known.
    ///
    /// # Errors
    /// `Discarded` when the place was used again; `Corrupt` if it lies below what was known durable; `Io`.
    pub(super) fn next(&mut self) -> Result<Option<OwnedRecord>> {
        loop {
            if let Some(record) = self.batch.pop() {
                return Ok(Some(record));
            }
            match self.look().and_then(|end| self.step(end)) {
                Ok(Stepped::On) => {}
                Ok(Stepped::Stopped) => return Ok(None),
                // A file that vanished, was emptied or used again under the reader was discarded.
                Err(error) => return Err(self.check_head().err().unwrap_or(error)),
            }
        }
    }

    /// Has `COOKIE` and the log read again: the writer may have gone on.
    ///
    /// # Errors
    /// As [`begin`](Self::begin), without `Discarded`.
    pub(super) fn refresh(&mut self) -> Result<()> {
        self.durable = self.reader.durable()?;
        self.sight = Sight::Due;
        if let Some(segment) = &mut self.segment {
            segment.source.forget();
        }
        Ok(())
    }

    /// The position of the next record, if it is there already; otherwise where it is looked for.
    pub(super) fn position(&self) -> Lsn {
        if let Some(record) = self.batch.last() {
            return record.lsn();
        }
        self.place().max(self.from)
    }

    /// The end of the last frame that was checked.
    fn place(&self) -> Lsn {
        let segment = self.segment.as_ref();
        segment.map_or(self.from, Stretch::at)
    }

    /// How far the course may go.
    fn look(&mut self) -> Result<Lsn> {
        let place = self.place();
        if self.sight == Sight::Due {
            match (&mut self.ahead, &self.segment) {
                (Some(ahead), Some(segment)) if ahead.end() == place => {
                    ahead.extend(self.reader, segment)?;
                }
                (ahead, _) => *ahead = Some(Ahead::of(self.reader, place, self.durable)?),
            }
            self.sight = Sight::Taken;
        }
        Ok(self.ahead.as_ref().map_or(place, Ahead::end))
    }

    /// One frame, or the step into the next segment, or the end.
    fn step(&mut self, end: Lsn) -> Result<Stepped> {
        if self.place() >= end {
            return self.stop_at(self.place());
        }
        let Some(segment) = &mut self.segment else {
            self.segment = self.reader.stretch(self.from.segment())?;
            return match self.segment {
                Some(_) => Ok(Stepped::On),
                None => self.stop_at(self.from),
            };
        };
        match segment.next()? {
            Some((frame, _)) if frame.lsn < self.from || self.is_void(frame.lsn) => Ok(Stepped::On),
            Some((frame, payload)) => {
                self.batch = OwnedRecord::all_of(frame, payload, self.durable);
                Ok(Stepped::On)
            }
            None => self.turn(),
        }
    }

    fn is_void(&self, lsn: Lsn) -> bool {
        self.ahead.as_ref().is_some_and(|ahead| ahead.is_void(lsn))
    }

    /// Where the frames of a segment stop: on into the next one if it is linked to this very place.
    fn turn(&mut self) -> Result<Stepped> {
        let Some(segment) = &self.segment else {
            return self.stop_at(self.from);
        };
        let at = segment.at();
        let next = match segment.id().checked_add(1) {
            Some(id) => self.reader.stretch(id)?,
            None => None,
        };
        match next.filter(|next| next.follows(segment)) {
            Some(next) if at >= self.from => {
                self.segment = Some(next);
                Ok(Stepped::On)
            }
            _ => self.stop_at(at),
        }
    }

    /// Nothing valid stands at `at`: the end, unless something durable did.
    fn stop_at(&self, at: Lsn) -> Result<Stepped> {
        // Looked at after whatever was missing: a segment may have been used again since.
        self.check_head()?;
        if at >= self.durable {
            return Ok(Stepped::Stopped);
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

    /// A stop in a segment that was used again meanwhile is no end.
    fn check_head(&self) -> Result<()> {
        let (at, head) = (self.place(), self.reader.head()?);
        if at.segment() < head.segment() {
            Err(discarded(at, head))
        } else {
            Ok(())
        }
    }
}
