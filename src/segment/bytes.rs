//! The bridge from claims to bytes: the one file beside `sys/` that touches mapped memory.
//!
//! [`Mapping::store`] asks its caller for exclusive bytes, [`Mapping::bytes`] for bytes that nobody writes. Three types here
//! carry the proof, so that everything above is safe code:
//!
//! # Invariants
//! * B1. [`Exclusive`] is the only value that stores into its mapping: it is made from a file that nobody else reads, or from
//!   a retired segment whose last reader is gone, and storing takes it mutably. Recovery alone makes one of a file with records
//!   that an earlier life of the log may have lent out: it stores behind them, or the very bytes that stand there. Whoever still has a handle to an
//!   earlier life of the mapping, such as an idle appender, holds no claim and no pin there, and so never touches it.
//! * B2. [`Frames::fill`] stores within a [`Span`] that it borrows mutably. Spans of one segment are disjoint and cannot be
//!   forged or copied (K1), they begin behind the first block, and an `Exclusive` of the same mapping was given up for the
//!   `Frames`.
//! * B3. [`Held::bytes`] reads below a [`Published`] bound only, where every span is filled and given up (C2), and while a
//!   guard keeps the segment from becoming an `Exclusive` again (P2).

#![expect(
    unsafe_code,
    reason = "turns a claim into bytes; see the invariants above"
)]

use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::format::FIRST_FRAME;
use crate::log::{PinGuard, Published, Span};
use crate::lsn::GRAIN;
use crate::sys::{DiskFile, FileId, Mapping};

use super::Segment;

/// Mapped bytes that nobody else stores into or reads.
#[derive(Debug)]
pub(crate) struct Exclusive {
    mapping: Arc<Mapping>,
    file: FileId,
}

impl Exclusive {
    /// Maps the first `size` bytes of a file that nobody else stores into.
    pub(crate) fn map(file: &dyn DiskFile, size: u64) -> io::Result<Self> {
        let mapping = file.map(usize_of(size))?;
        Ok(Self {
            mapping: Arc::new(mapping),
            file: file.id()?,
        })
    }

    /// The mapping of a segment that left the registry and that no reader holds; the caller has taken its pin.
    pub(super) fn of_retired(frames: &Frames) -> Self {
        Self {
            mapping: Arc::clone(&frames.mapping),
            file: frames.file,
        }
    }

    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Stores `bytes` at `offset`.
    pub(crate) fn store(&mut self, offset: usize, bytes: &[u8]) {
        // SAFETY: nobody else accesses the mapping (B1), and this takes it mutably.
        unsafe { self.mapping.store(offset, bytes) }
    }

    /// Stores what `range` holds over itself, so that its pages are written to the device by the next sync whatever the
    /// page cache believes.
    pub(crate) fn store_again(&mut self, range: Range<usize>) {
        // SAFETY: nobody stores while this is borrowed (B1); the copy ends the borrow.
        let bytes = unsafe { self.mapping.bytes(range.clone()) }.to_vec();
        self.store(range.start, &bytes);
    }

    /// Gives exclusivity up: from now on claims decide who stores.
    pub(crate) fn share(self) -> Frames {
        Frames {
            mapping: self.mapping,
            file: self.file,
        }
    }
}

/// The frames of one segment.
#[derive(Debug)]
pub(crate) struct Frames {
    mapping: Arc<Mapping>,
    file: FileId,
}

impl Frames {
    /// Stores `bytes` at `at` bytes into the span.
    ///
    /// # Panics
    /// If they do not fit into it.
    #[inline]
    pub(super) fn fill(&self, span: &mut Span, at: usize, bytes: &[u8]) {
        let base = check(span, at, bytes.len());
        // SAFETY: the bytes lie within the span, which is borrowed mutably (B2).
        unsafe { self.mapping.store(base + at, bytes) }
    }

    /// What the span holds from `range` on, as far as its owner has filled it.
    pub(super) fn filled<'a>(&'a self, span: &'a mut Span, range: Range<usize>) -> &'a [u8] {
        let base = check(span, range.start, range.len());
        // SAFETY: the bytes lie within the span, which stays borrowed as long as they are (B2).
        unsafe { self.mapping.bytes(base + range.start..base + range.end) }
    }

    /// Makes the pages that the range touches durable.
    pub(super) fn sync(&self, range: Range<u64>) -> io::Result<()> {
        self.mapping
            .sync(usize_of(range.start)..usize_of(range.end))
    }

    pub(super) fn file(&self) -> FileId {
        self.file
    }

    pub(super) fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }
}

/// Where the span begins, if `len` bytes at `at` lie in it.
#[inline]
fn check(span: &Span, at: usize, len: usize) -> usize {
    let room = usize_of(u64::from(span.grains()) * GRAIN);
    assert!(at <= room && len <= room - at, "a store beyond its claim");
    let base = span.lsn().offset();
    assert!(base >= FIRST_FRAME, "a claim on a segment's first block");
    usize_of(base)
}

/// A segment that is kept from being reused.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    segment: Arc<Segment>,
    _guard: PinGuard,
}

impl Held {
    /// The registry makes these, under its lock.
    pub(super) fn new(segment: Arc<Segment>, guard: PinGuard) -> Self {
        Self {
            segment,
            _guard: guard,
        }
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The bytes in `range`, as far as they lie behind the first block and below `published`.
    pub(crate) fn bytes(&self, range: Range<u64>, published: Published) -> Option<&[u8]> {
        let end = self.segment.readable_end(published);
        if range.start < FIRST_FRAME || range.start > range.end || range.end > end {
            return None;
        }
        // SAFETY: below the published bound nothing is stored while the guard lives (B3).
        Some(unsafe {
            self.segment
                .frames()
                .mapping
                .bytes(usize_of(range.start)..usize_of(range.end))
        })
    }
}

/// Offsets are below 2³⁰ and this crate needs a 64-bit system for its mappings.
fn usize_of(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
