//! [`Tail`]: the word from which positions are reserved.
//!
//! The word is an LSN: segment id above, offset in grains of eight bytes below. One `fetch_add` reserves; intervals
//! that it hands out are disjoint. An offset beyond the segment's end is an *over-run*: not a reservation, only the
//! sign that the segment is full. So a log without space has no hole.
//!
//! # Invariants
//! * T1. A value whose offset is not beyond the end is the first byte of a frame, or of the next one to come.
//! * T2. Of all additions to one segment at most one has `offset ≤ end < offset + length`: the straddler's.
//! * T3. An over-run never carries into the segment id. Only the holder of a slot adds, once for each claim and after
//!   looking again; it adds at most an eighth of a segment; there are 128 slots. 128 × 2²⁴ + 2²⁷ < 2³².
//! * T4. The segment id only grows, so a word never means two things.
//!
//! # Memory orderings
//! * `take`, `exchange` (`AcqRel`) → `observe` (Acquire): the slot that the reserver made busy before it, because every later
//!   change of the word continues the release sequence.
//! * `install` (`AcqRel`) → `observe`, `take` (Acquire): the segment that was put into the window before it.

use std::fmt;

use crate::lsn::{Lsn, low_half};
use crate::sync::twin::{self, Twin};
use crate::sync::{AtomicU64, CachePadded, Ordering};

/// A value of the tail: a position, or an over-run of its segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TailWord(u64);

impl TailWord {
    /// The segment.
    pub const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The offset in grains; beyond the segment's end if the tail is over-run.
    pub const fn grains(self) -> u32 {
        low_half(self.0)
    }

    /// The word itself, which orders as positions do.
    pub const fn to_word(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for TailWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:+{}", self.segment(), self.grains())
    }
}

/// The word from which positions are reserved.
#[derive(Debug)]
pub struct Tail(CachePadded<AtomicU64>);

impl Tail {
    /// A tail at `lsn`.
    pub fn new(lsn: Lsn) -> Self {
        Self(CachePadded::new(AtomicU64::new(lsn.to_word())))
    }

    /// A glance, for deciding what to try.
    #[inline]
    pub fn peek(&self) -> TailWord {
        // Relaxed: a stale value costs a retry; what is reserved comes from the word that `take` returns.
        TailWord(self.0.load(Ordering::Relaxed))
    }

    /// The value that begins a look at the frontier.
    #[inline]
    pub fn observe(&self) -> TailWord {
        // Acquire: pairs with `take`, `exchange` and `install`.
        TailWord(
            self.0
                .load(twin::unless(Twin::TailRelaxed, Ordering::Acquire)),
        )
    }

    /// Changes the tail by nothing: whoever reserves later sees what the caller did before, and the caller's next look sees
    /// whoever reserved earlier.
    pub fn confirm(&self) {
        // AcqRel: pairs with `take` and `exchange`, either way round.
        self.0.fetch_add(0, Ordering::AcqRel);
    }

    /// Adds `grains` and returns what was there: where the reservation begins, if it fits.
    #[inline]
    pub fn take(&self, grains: u32) -> TailWord {
        if twin::is(Twin::TakeInTwoSteps) {
            // Acquire: the defect is the step between this and the store.
            let word = self.0.load(Ordering::Acquire);
            // Release: as above.
            self.0.store(word + u64::from(grains), Ordering::Release);
            return TailWord(word);
        }
        // AcqRel: pairs with `observe` (release) and with `install` (acquire).
        let order = twin::unless(Twin::TakeRelaxed, Ordering::AcqRel);
        TailWord(self.0.fetch_add(u64::from(grains), order))
    }

    /// Moves the tail from `from` by `grains`, if it still is there.
    #[inline]
    pub fn exchange(&self, from: TailWord, grains: u32) -> Result<TailWord, TailWord> {
        let to = from.0 + u64::from(grains);
        // AcqRel: pairs with `observe` (release) and with `install` (acquire). Relaxed: a lost exchange is only a hint.
        let order = twin::unless(Twin::TakeRelaxed, Ordering::AcqRel);
        let result = self
            .0
            .compare_exchange(from.0, to, order, Ordering::Relaxed);
        result.map(TailWord).map_err(TailWord)
    }

    /// Moves the tail to the first frame of the next segment.
    pub fn install(&self, lsn: Lsn) {
        // AcqRel: pairs with `observe` and `take`; an exchange rather than a store, so that reservations lost to the
        // old segment are part of its history.
        let order = twin::unless(Twin::InstallRelaxed, Ordering::AcqRel);
        self.0.swap(lsn.to_word(), order);
    }
}
