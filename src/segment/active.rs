//! [`Segment`]: one activated segment, from its first frame until it is retired.

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::format::{
    Checksum, DurableDistance, FIRST_FRAME, FRAME_HEADER_LEN, FrameHeader, FrameKind,
};
use crate::log::{Body, Published, Span};
use crate::lsn::{GRAIN, Lsn};
use crate::sys::{FileId, Populated};

use super::bytes::Frames;
use super::salts::Salts;

/// Where a frame's payload begins in its claim.
const PAYLOAD: usize = 24;
const _: () = assert!(
    PAYLOAD as u64 == FRAME_HEADER_LEN,
    "the payload follows the header"
);

const PADDING: [u8; 8] = [0; 8];

/// What a writer says of its frame; position and checksum follow from the claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameFields {
    pub(crate) len: u32,
    pub(crate) kind: FrameKind,
    pub(crate) tag: u8,
    pub(crate) count: u16,
    /// The durable bound that the frame states; anything that was once true may be stated.
    pub(crate) durable: Lsn,
}

impl FrameFields {
    fn header_at(&self, lsn: Lsn) -> FrameHeader {
        let Self {
            len,
            kind,
            tag,
            count,
            durable,
        } = *self;
        FrameHeader {
            len,
            lsn,
            kind,
            tag,
            count,
            distance: DurableDistance::between(lsn, durable),
        }
    }
}

/// One activated segment.
#[derive(Debug)]
pub(crate) struct Segment {
    id: u32,
    size: u64,
    frames: Frames,
    salts: Salts,
    /// Where the frames end, once the next segment is activated.
    seal: OnceLock<u64>,
}

impl Segment {
    pub(crate) fn new(id: u32, size: u64, frames: Frames, salts: Salts) -> Arc<Self> {
        Arc::new(Self {
            id,
            size,
            frames,
            salts,
            seal: OnceLock::new(),
        })
    }

    /// Notes where the frames end; before the tail moves on.
    pub(crate) fn seal(&self, offset: u64) {
        let _ = self.seal.set(offset);
    }

    /// Where the frames end, if the next segment is activated.
    pub(crate) fn sealed_at(&self) -> Option<u64> {
        self.seal.get().copied()
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn salts(&self) -> &Salts {
        &self.salts
    }

    pub(super) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// The file that was mapped.
    pub(crate) fn file(&self) -> FileId {
        self.frames.file()
    }

    /// Writes a whole frame into the span. `checksum` sums the parts in order.
    #[inline]
    pub(crate) fn write(
        &self,
        span: &mut Span,
        fields: &FrameFields,
        checksum: Checksum,
        parts: impl IntoIterator<Item: AsRef<[u8]>>,
    ) {
        let mut at = PAYLOAD;
        for part in parts {
            let part = part.as_ref();
            self.frames.fill(span, at, part);
            at += part.len();
        }
        // Nothing of an earlier life stays behind the payload.
        self.frames
            .fill(span, at, &PADDING[..at.next_multiple_of(8) - at]);
        self.write_header(span, &fields.header_at(span.lsn()), checksum);
    }

    #[inline]
    fn write_header(&self, span: &mut Span, header: &FrameHeader, checksum: Checksum) {
        let header = header.encode(checksum, self.salts.last());
        self.frames.fill(span, 0, &header);
    }

    /// Makes the payload of the span zero, so that what a reservation leaves out is nobody's old data.
    pub(crate) fn clear_payload(&self, span: &mut Span) {
        const ZEROS: [u8; 4096] = [0; 4096];
        let len = span_len(span);
        let mut at = PAYLOAD;
        while at < len {
            let step = (len - at).min(ZEROS.len());
            self.frames.fill(span, at, &ZEROS[..step]);
            at += step;
        }
    }

    /// Writes `bytes` at `at` bytes into the payload.
    pub(crate) fn write_payload(&self, span: &mut Span, at: usize, bytes: &[u8]) {
        self.frames.fill(span, PAYLOAD + at, bytes);
    }

    /// Completes a frame whose payload was written piece by piece.
    pub(crate) fn finish(&self, span: &mut Span, fields: &FrameFields) {
        let end = PAYLOAD + usize::try_from(fields.len).unwrap_or(usize::MAX);
        let checksum = Checksum::of(self.frames.filled(span, PAYLOAD..end));
        self.write_header(span, &fields.header_at(span.lsn()), checksum);
    }

    /// Makes the frames from `range.start` up to `range.end` durable, and the first block with the first frame.
    pub(crate) fn sync(&self, range: Range<u64>) -> io::Result<()> {
        let start = if range.start <= FIRST_FRAME {
            0
        } else {
            range.start
        };
        self.frames.sync(start..range.end)
    }

    /// Brings the pages of the range in for writing, ahead of the writers.
    pub(crate) fn prefault(&self, range: Range<u64>) -> io::Result<Populated> {
        let end = usize::try_from(range.end.min(self.size)).unwrap_or(usize::MAX);
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
        self.frames.mapping().populate_write(start..end)
    }

    /// Where readable bytes end.
    pub(crate) fn readable_end(&self, published: Published) -> u64 {
        let bound = published.bound();
        match self.id.cmp(&bound.segment()) {
            std::cmp::Ordering::Less => self.seal.get().copied().unwrap_or(self.size),
            std::cmp::Ordering::Equal => bound.offset(),
            std::cmp::Ordering::Greater => 0,
        }
    }
}

fn span_len(span: &Span) -> usize {
    usize::try_from(u64::from(span.grains()) * GRAIN).unwrap_or(usize::MAX)
}

impl Body for Segment {
    fn abort(&self, span: &mut Span) {
        let len = u32::try_from(span_len(span) - PAYLOAD).unwrap_or(u32::MAX);
        let header = FrameHeader::aborted(span.lsn(), len);
        self.write_header(span, &header, Checksum::EMPTY);
    }
}
