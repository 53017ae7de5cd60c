//! [`Cursor`]: a place in the log, from which records are read forward. `records` and tails go by it.
//!
//! # Invariants
//! * I1. Between two records it holds no segment, so it keeps none from being reused; what was discarded under it is a typed
//!   error.
//! * I2. A frame's checksum is verified before the first of its records is given out. For the other records of a batch the
//!   segment is held anew: it is in the registry, so it was not discarded since, and published bytes do not change.

use std::ops::Range;

use crate::error::Result;
use crate::format::{FIRST_FRAME, FrameHeader, FrameKind};
use crate::log::Published;
use crate::lsn::Lsn;
use crate::segment::Held;
use crate::sync::Ordering;

use super::frame::{Frame, discarded};
use super::record::Record;
use super::shared::Shared;

/// Whether a frame is known to begin at the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Footing {
    /// It does, or the segment's frames end there.
    Boundary,
    /// Whoever named the place said so.
    Claimed,
}

/// A place in the log.
#[derive(Debug)]
pub(super) struct Cursor {
    at: Lsn,
    footing: Footing,
    /// The batch before the place, and the index of its next record.
    batch: Option<(Checked, u16)>,
}

/// A frame that was checked, without a hold on its segment.
#[derive(Debug)]
struct Checked {
    published: Published,
    header: FrameHeader,
    span: Range<Lsn>,
}

impl Cursor {
    pub(super) fn new(at: Lsn, footing: Footing) -> Self {
        Self {
            at,
            footing,
            batch: None,
        }
    }

    /// Where the frame of the next record begins, or will begin.
    pub(super) fn position(&self) -> Lsn {
        self.batch
            .as_ref()
            .map_or(self.at, |(frame, _)| frame.span.start)
    }

    /// The place up to which everything was read.
    pub(super) fn at(&self) -> Lsn {
        self.at
    }

    /// The next record below the bound; `None` if there is none yet. After an error the place is the same as before.
    ///
    /// # Errors
    /// `Discarded`; `Corrupt`; `NotFound` if a claimed place is no frame's.
    pub(super) fn next(&mut self, shared: &Shared, published: Published) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.next_of_batch(shared)? {
                return Ok(Some(record));
            }
            if self.at >= published.bound() {
                return Ok(None);
            }
            if let Some(record) = self.step(shared, published)? {
                return Ok(Some(record));
            }
        }
    }

    fn next_of_batch(&mut self, shared: &Shared) -> Result<Option<Record>> {
        let Some((checked, index)) = &mut self.batch else {
            return Ok(None);
        };
        let frame = Frame {
            held: hold(shared, checked.span.start)?,
            published: checked.published,
            header: checked.header,
            span: checked.span.clone(),
        };
        let record = frame.record(*index);
        *index = index.saturating_add(1);
        if *index >= checked.header.count {
            self.batch = None;
        }
        Ok(record)
    }

    /// The record at the place, or one step towards it.
    fn step(&mut self, shared: &Shared, published: Published) -> Result<Option<Record>> {
        // Looked up before the head: a discard moves the head, and only then forgets the ranges below it.
        let rewind = shared.rewinds.end_of(self.at);
        if self.at < shared.head() {
            self.at = shared.not_discarded(self.at)?;
            return Ok(None);
        }
        if let Some(rewind) = rewind {
            self.at = rewind;
            return Ok(None);
        }
        let held = hold(shared, self.at)?;
        if self.at.offset() >= held.segment().readable_end(published) {
            // Below the bound, so there is a next segment.
            let next = self.at.segment().saturating_add(1);
            self.at = Lsn::new(next, FIRST_FRAME).unwrap_or(Lsn::MAX);
            return Ok(None);
        }
        let frame = match (shared.check_frame(self.at, held, published), self.footing) {
            (Ok(frame), _) => frame,
            (Err(error), Footing::Claimed) => return Err(error),
            (Err(error), Footing::Boundary) => return Err(shared.missing(self.at, error)),
        };
        self.footing = Footing::Boundary;
        self.at = frame.span.end;
        if frame.header.kind != FrameKind::Batch {
            return Ok(frame.record(0));
        }
        let record = frame.record(0);
        if frame.header.count > 1 {
            self.batch = Some((Checked::of(frame), 1));
        }
        Ok(record)
    }
}

impl Checked {
    fn of(frame: Frame) -> Self {
        let Frame {
            published,
            header,
            span,
            ..
        } = frame;
        Self {
            published,
            header,
            span,
        }
    }
}

impl Shared {
    /// The position itself, unless it is discarded. The end of a segment is as good as the beginning of the next one: the head of
    /// an empty log moves from the one to the other, and nothing is lost between.
    pub(super) fn not_discarded(&self, lsn: Lsn) -> Result<Lsn> {
        let head = self.head();
        // Acquire: pairs with `follow_head`. The window may have forgotten the seal that the head has left.
        let left = || self.left_by_head.load(Ordering::Acquire) == lsn.to_word();
        let is_seal = || left() || self.core.window().seal_of(lsn.segment()) == Some(lsn);
        let next = lsn.segment().saturating_add(1);
        if lsn >= head {
            Ok(lsn)
        } else if Lsn::new(next, FIRST_FRAME) == Some(head) && is_seal() {
            Ok(head)
        } else {
            Err(discarded(lsn, head))
        }
    }
}

/// The segment of `lsn`, kept from being reused.
fn hold(shared: &Shared, lsn: Lsn) -> Result<Held> {
    let size = shared.manifest.segment_size;
    let held = shared
        .registry
        .hold(lsn.segment(), &shared.directory, size)?;
    held.ok_or_else(|| discarded(lsn, shared.head()))
}
