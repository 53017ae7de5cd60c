//! Appending: check, sum, reserve, fill, publish.
//!
//! The payload is summed before the reservation, so that only the copy, and a checksum over the header, lie between
//! reserving and publishing: everybody's commits wait for that window.

use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{BatchLayout, Checksum, FrameKind, batch, frame_size};
use crate::log::{Claim, Patience, Purpose, Seat, Span};
use crate::lsn::{GRAIN, Lsn};
use crate::segment::{FrameFields, Segment};
use crate::sync::thread_hint;

use super::reservation::holds_reservation;
use super::shared::{SLOT_COUNT, Shared};

/// A frame about to be appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) len: u32,
    pub(crate) kind: FrameKind,
    pub(crate) tag: u8,
    pub(crate) count: u16,
    pub(crate) checksum: Checksum,
}

impl Draft {
    fn record(len: u32, tag: u8, checksum: Checksum) -> Self {
        Self {
            len,
            kind: FrameKind::Record,
            tag,
            count: 0,
            checksum,
        }
    }

    fn fields(&self, durable: Lsn) -> FrameFields {
        let Self {
            len,
            kind,
            tag,
            count,
            ..
        } = *self;
        FrameFields {
            len,
            kind,
            tag,
            count,
            durable,
        }
    }

    fn grains(&self) -> u32 {
        grains_of(self.len)
    }
}

/// What a frame with a payload of `len` bytes takes.
pub(super) fn grains_of(len: u32) -> u32 {
    u32::try_from(frame_size(len) / GRAIN).unwrap_or(u32::MAX)
}

impl Shared {
    /// Refuses what cannot be appended, before anything is reserved.
    #[inline]
    pub(crate) fn admit(&self, len: usize) -> Result<u32> {
        self.check()?;
        if holds_reservation(self.number) {
            return Err(Error::new(
                ErrorKind::InvalidState,
                "this thread holds a reservation of this log",
            ));
        }
        match u32::try_from(len) {
            Ok(len) if len <= self.max_record_len => Ok(len),
            _ => Err(too_large(len, self.max_record_len)),
        }
    }

    /// Reserves room for a frame with a payload of `len` bytes.
    #[inline]
    pub(crate) fn claim<'a>(
        &'a self,
        seat: &'a mut Seat<Segment>,
        len: u32,
        patience: Patience,
    ) -> Result<Claim<'a, Segment>> {
        self.room
            .reserve(&self.core, seat, grains_of(len), &self.terms(patience))
            .map_err(|error| self.explain(error))
    }

    /// Appends one frame.
    #[inline]
    pub(crate) fn append_frame(
        &self,
        seat: &mut Seat<Segment>,
        draft: &Draft,
        parts: impl IntoIterator<Item: AsRef<[u8]>>,
        patience: Patience,
    ) -> Result<Range<Lsn>> {
        let durable = self.gate.durable();
        let mut claim = self.claim(seat, draft.len, patience)?;
        let fields = draft.fields(durable);
        claim.fill(|segment, span| segment.write(span, &fields, draft.checksum, parts));
        let end = claim.end();
        let lsn = claim.publish();
        self.appended(end);
        Ok(lsn..end)
    }

    #[inline]
    pub(crate) fn append_record(
        &self,
        seat: &mut Seat<Segment>,
        tag: u8,
        payload: &[u8],
        patience: Patience,
    ) -> Result<Lsn> {
        let len = self.admit(payload.len())?;
        let draft = Draft::record(len, tag, Checksum::of(payload));
        Ok(self.append_frame(seat, &draft, [payload], patience)?.start)
    }

    /// Appends a record that must not wait for space, into the reserve if need be.
    pub(crate) fn append_critical(&self, seat: &mut Seat<Segment>, payload: &[u8]) -> Result<Lsn> {
        let len = self.admit(payload.len())?;
        let draft = Draft::record(len, 0, Checksum::of(payload));
        let fields = draft.fields(self.gate.durable());
        let fill = |segment: &Segment, span: &mut Span| {
            segment.write(span, &fields, draft.checksum, [payload]);
        };
        let terms = self.terms(self.patience);
        let written = self
            .room
            .append_critical(&self.core, seat, draft.grains(), &terms, fill);
        let (range, by_way_of) = written.map_err(|error| self.explain(error))?;
        self.appended(range.end);
        if by_way_of == Purpose::Critical {
            self.counters.critical_appends.add(1);
            // The tail did not move, so whoever dozes on it is called in any case.
            self.signals.sync.raise();
        }
        Ok(range.start)
    }

    pub(crate) fn append_parts(
        &self,
        seat: &mut Seat<Segment>,
        parts: &[IoSlice<'_>],
    ) -> Result<Lsn> {
        let len = parts
            .iter()
            .map(|part| part.len())
            .fold(0_usize, usize::saturating_add);
        let len = self.admit(len)?;
        let checksum = parts
            .iter()
            .fold(Checksum::EMPTY, |sum, part| sum.then(part));
        let draft = Draft::record(len, 0, checksum);
        let parts = parts.iter().map(|part| &**part);
        Ok(self.append_frame(seat, &draft, parts, self.patience)?.start)
    }

    pub(crate) fn append_records<R: AsRef<[u8]>>(
        &self,
        seat: &mut Seat<Segment>,
        records: &[R],
    ) -> Result<Range<Lsn>> {
        let lens = records.iter().map(|record| record.as_ref().len());
        let layout = BatchLayout::of(lens).ok_or_else(|| batch_refused(records.len()))?;
        self.admit(layout.len as usize)?;
        let mut directory = Vec::with_capacity(layout.directory_len());
        let mut end = 0_u32;
        for record in records {
            end += u32::try_from(record.as_ref().len()).unwrap_or(u32::MAX);
            directory.extend_from_slice(&batch::directory_entry(end, 0));
        }
        let parts = || std::iter::once(&directory[..]).chain(records.iter().map(AsRef::as_ref));
        let checksum = parts().fold(Checksum::EMPTY, Checksum::then);
        let draft = Draft {
            len: layout.len,
            kind: FrameKind::Batch,
            tag: 0,
            count: layout.count,
            checksum,
        };
        self.append_frame(seat, &draft, parts(), self.patience)
    }

    /// Lends a seat for one append, with the segment that its last borrower wrote to.
    #[inline]
    pub(crate) fn with_seat<R>(&self, append: impl FnOnce(&mut Seat<Segment>) -> R) -> R {
        let faced = &self.faced[thread_hint() % SLOT_COUNT];
        let mut seat = Seat::borrowed_facing(
            faced
                .take()
                .map(|segment: Arc<Segment>| (segment.id(), segment)),
        );
        let result = append(&mut seat);
        faced.leave(seat.into_facing().map(|(_, segment)| segment));
        result
    }
}

#[cold]
fn too_large(len: usize, max: u32) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!("a record of {len} bytes exceeds the longest that this log takes, {max}"),
    )
}

#[cold]
fn batch_refused(count: usize) -> Error {
    if count == 0 {
        return Error::new(ErrorKind::InvalidState, "a batch of no records")
            .advise("append at least one record");
    }
    Error::new(
        ErrorKind::TooLarge,
        format!("a batch of {count} records exceeds 65,535 records or 4 GiB"),
    )
}
