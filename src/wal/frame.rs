//! [`Frame`]: one frame below the published bound, checked where it lies in the mapping.
//!
//! Every read checks the frame's checksum again, under the salt that rules its place.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{FRAME_HEADER_LEN, FrameFault, FrameHeader, FrameKind, batch};
use crate::log::Published;
use crate::lsn::Lsn;
use crate::segment::Held;

use super::record::{Inner, Record};
use super::shared::Shared;

/// A frame that was checked.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) held: Held,
    pub(super) published: Published,
    pub(super) header: FrameHeader,
    pub(super) span: Range<Lsn>,
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
    pub(super) fn record(&self, index: u16) -> Option<Record> {
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
    pub(super) fn frame(&self, lsn: Lsn, published: Published) -> Result<Frame> {
        if lsn < self.head() {
            return Err(discarded(lsn, self.head()));
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
        let held = held.ok_or_else(|| discarded(lsn, self.head()))?;
        self.check_frame(lsn, held, published)
    }

    pub(super) fn check_frame(&self, lsn: Lsn, held: Held, published: Published) -> Result<Frame> {
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
    pub(super) fn missing(&self, lsn: Lsn, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        Error::new(ErrorKind::Corrupt, "a record that was published is damaged")
            .at_path(&self.shelf.path(lsn.segment()))
            .at_lsn(lsn)
            .caused_by(error)
    }
}

#[cold]
pub(super) fn discarded(lsn: Lsn, head: Lsn) -> Error {
    Error::new(ErrorKind::Discarded, "the record was discarded")
        .at_lsn(lsn)
        .advise(format!("read on from the head, {head}"))
}

#[cold]
pub(super) fn no_frame(lsn: Lsn, what: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, what).at_lsn(lsn)
}
