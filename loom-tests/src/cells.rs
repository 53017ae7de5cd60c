//! [`Cells`]: a segment whose every grain the checker watches.
//!
//! The cells are not synchronised. Two accesses of one of them, at least one of which writes, must be ordered by the core;
//! otherwise the checker reports a causality violation.
//!
//! # Invariants
//! * M1. The reference that `with` and `with_mut` pass is to a live value for as long as the closure runs, and the checker
//!   stops the program before two closures overlap if one of them writes.
#![expect(unsafe_code, reason = "a checked cell gives a raw pointer")]

use std::sync::atomic::{AtomicU32, Ordering};

use loom::cell::UnsafeCell;
use segwal::Lsn;
use segwal::internals::{Body, Span};

use crate::world::grains_of;

/// What one grain holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Never written in this life of the segment.
    Empty,
    /// A part of the record that begins there.
    Record(Lsn),
    /// Given up, by a reservation that was dropped.
    Aborted,
}

/// Which segment this is, as its activation noted it.
#[derive(Clone, Copy, Debug)]
struct Link {
    id: u32,
    sealed: Option<Lsn>,
}

/// A segment.
#[derive(Debug)]
pub struct Cells {
    first: u32,
    link: UnsafeCell<Link>,
    /// Nothing may be stored below it any more. Not the checker's: what a device holds is no shared memory.
    synced: AtomicU32,
    grains: Box<[UnsafeCell<Content>]>,
}

// SAFETY: M1: the checker itself refuses every pair of accesses that would be a race.
unsafe impl Sync for Cells {}

impl Cells {
    pub(crate) fn new(first: u32, end: u32) -> Self {
        let grains = (first..end).map(|_| UnsafeCell::new(Content::Empty));
        Self {
            first,
            link: UnsafeCell::new(Link {
                id: 1,
                sealed: None,
            }),
            synced: AtomicU32::new(first),
            grains: grains.collect(),
        }
    }

    /// Says that the device has what lies below `end`, in whole blocks.
    pub fn sync_blocks(&self, end: u32) {
        // Relaxed: the checker runs one thread at a time.
        self.synced.fetch_max(end, Ordering::Relaxed);
    }

    /// Notes that this is the segment after the one that ended at `sealed`.
    pub(crate) fn activate(&self, sealed: Lsn) {
        let link = Link {
            id: sealed.segment() + 1,
            sealed: Some(sealed),
        };
        // SAFETY: M1.
        self.link.with_mut(|held| unsafe { *held = link });
    }

    /// The id of the segment, and where the one before it ended.
    pub fn link(&self) -> (u32, Option<Lsn>) {
        // SAFETY: M1.
        let link = self.link.with(|held| unsafe { *held });
        (link.id, link.sealed)
    }

    /// Fills the range with a record.
    ///
    /// # Panics
    /// If the range is in another segment, or something is there already.
    pub fn write(&self, span: &mut Span) {
        self.put(span, Content::Record(span.lsn()));
    }

    /// Forgets everything, as recycling does; the caller believes to be alone.
    pub fn wipe(&self) {
        for cell in &self.grains {
            // SAFETY: M1.
            cell.with_mut(|held| unsafe { *held = Content::Empty });
        }
    }

    /// What the grains from the first up to `end` hold.
    pub fn read(&self, end: u32) -> Vec<Content> {
        let count = (end - self.first) as usize;
        let grains = self.grains[..count].iter();
        // SAFETY: M1.
        grains
            .map(|cell| cell.with(|held| unsafe { *held }))
            .collect()
    }

    /// Asserts that every grain below `end` is filled.
    ///
    /// # Panics
    /// If one is not.
    pub fn assert_filled(&self, end: u32) {
        let held = self.read(end);
        assert!(
            !held.contains(&Content::Empty),
            "a hole below {end}: {held:?}"
        );
    }

    fn put(&self, span: &Span, content: Content) {
        assert_eq!(self.link().0, span.lsn().segment(), "the wrong segment");
        // Relaxed: as in `sync_blocks`.
        let synced = self.synced.load(Ordering::Relaxed);
        assert!(
            grains_of(span.lsn()) >= synced,
            "a store into a synced block"
        );
        let begin = (grains_of(span.lsn()) - self.first) as usize;
        for cell in &self.grains[begin..begin + span.grains() as usize] {
            // SAFETY: M1.
            let before = cell.with_mut(|held| unsafe { held.replace(content) });
            assert_eq!(before, Content::Empty, "two claims of {span:?}");
        }
    }
}

impl Body for Cells {
    fn abort(&self, span: &mut Span) {
        self.put(span, Content::Aborted);
    }
}
