//! [`Slots`]: who is between reserving and publishing, and from where on.
//!
//! A writer makes its slot busy with a lower bound of the position that it will get, reserves, fills, and makes the
//! slot idle. The lowest busy bound, or the tail, is the frontier: everything below is filled. Looking costs one load
//! for each slot in use, not one for each record.
//!
//! # State of a slot
//! | value | meaning |
//! |---|---|
//! | `IDLE` | free for any thread to claim |
//! | `OWNED` | idle, and claimed by its [`Appender`](crate::Appender) alone |
//! | anything else | busy: a position at or below that of the frame being filled |
//!
//! # Invariants
//! * S1. A slot is busy from before its writer touches the tail until the writer's bytes are filled, or it reserved nothing.
//! * S2. The bound is a frame boundary: a value of the tail that was not over-run.
//! * S3. `used` is above the index of every slot that is or was busy.
//! * S4. A writer makes its slot idle before it waits for anything.
//!
//! # Memory orderings
//! * `claim` (`AcqRel`), `enter` (Release), `leave` (Release) → `lowest` (Acquire): the bytes of every earlier frame of the
//!   slot. `enter` too, because who sees the *next* busy value has not seen the idle value before it, and a relaxed
//!   store would not carry the bytes. `claim` acquires for the same reason: the next owner passes on what the last one filled.
//! * `used` raised (`AcqRel`) before the claim, and so before the addition → loaded (Acquire) after the tail: a writer whose
//!   addition the tail shows is within the count. It is the tail that orders the two; their own orderings are a reserve.

use crate::sync::twin::{self, Twin};
use crate::sync::{AtomicU64, AtomicUsize, CachePadded, Ordering};

use super::tail::TailWord;

const IDLE: u64 = u64::MAX;
const OWNED: u64 = u64::MAX - 1;

/// How a slot is held while idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// For one frame.
    Borrowed,
    /// For as long as its appender lives.
    Owned,
}

impl Tenure {
    const fn rest(self) -> u64 {
        match self {
            Self::Borrowed => IDLE,
            Self::Owned => OWNED,
        }
    }
}

/// The slots of one log.
#[derive(Debug)]
pub struct Slots {
    slots: Box<[CachePadded<AtomicU64>]>,
    used: CachePadded<AtomicUsize>,
}

impl Slots {
    /// `count` idle slots.
    pub fn new(count: usize) -> Self {
        let slots = (0..count)
            .map(|_| CachePadded::new(AtomicU64::new(IDLE)))
            .collect();
        Self {
            slots,
            used: CachePadded::new(AtomicUsize::new(0)),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// Takes one of the first `limit` slots for good; `None` if none of them is idle.
    pub fn adopt(&self, limit: usize) -> Option<usize> {
        (0..limit).find(|&index| {
            self.raise_used(index);
            // AcqRel: as `claim`. Relaxed: a lost exchange tells nothing.
            self.slots[index]
                .compare_exchange(IDLE, OWNED, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// Gives an owned slot back.
    pub fn release(&self, index: usize) {
        // Release: pairs with `claim` of the next owner.
        self.slots[index].store(IDLE, Ordering::Release);
    }

    /// Makes an idle slot busy from `bound` on; the search begins at `hint`. `None` if all are taken.
    #[inline]
    pub fn claim(&self, hint: usize, bound: TailWord) -> Option<usize> {
        let count = self.count();
        (hint..hint + count)
            .map(|index| index % count)
            .find(|&index| self.try_claim(index, bound))
    }

    #[inline]
    fn try_claim(&self, index: usize, bound: TailWord) -> bool {
        self.raise_used(index);
        // AcqRel: pairs with `leave` (acquire: what the last owner filled) and with `lowest` (release).
        let order = if twin::is(Twin::ClaimWithoutAcquire) {
            // Release: the defect is the want of an acquire.
            Ordering::Release
        } else {
            twin::unless(Twin::BusyRelaxed, Ordering::AcqRel)
        };
        // Relaxed: a lost exchange tells nothing.
        self.slots[index]
            .compare_exchange(IDLE, bound.to_word(), order, Ordering::Relaxed)
            .is_ok()
    }

    /// Makes an owned slot busy from `bound` on.
    #[inline]
    pub fn enter(&self, index: usize, bound: TailWord) {
        // Release: pairs with `lowest`.
        self.slots[index].store(
            bound.to_word(),
            twin::unless(Twin::BusyRelaxed, Ordering::Release),
        );
    }

    /// Makes a busy slot idle: what it covered is filled, or nothing was reserved.
    #[inline]
    pub fn leave(&self, index: usize, tenure: Tenure) {
        if twin::is(Twin::UsedAfterTake) {
            self.note_used(index);
        }
        // Release: pairs with `lowest` and `claim`.
        self.slots[index].store(
            tenure.rest(),
            twin::unless(Twin::IdleRelaxed, Ordering::Release),
        );
    }

    /// The lowest bound of a busy slot, and its index. The caller has loaded the tail before.
    #[inline]
    pub fn lowest(&self) -> Option<(u64, usize)> {
        // Acquire: pairs with `raise_used`.
        let used = self.used.load(Ordering::Acquire);
        let mut lowest = None;
        for (index, slot) in self.slots[..used].iter().enumerate() {
            // Acquire: pairs with `claim`, `enter` and `leave`.
            let value = slot.load(twin::unless(Twin::SlotsRelaxed, Ordering::Acquire));
            if value < OWNED && lowest.is_none_or(|(bound, _)| value < bound) {
                lowest = Some((value, index));
            }
        }
        lowest
    }

    #[inline]
    fn raise_used(&self, index: usize) {
        if !twin::is(Twin::UsedAfterTake) {
            self.note_used(index);
        }
    }

    #[inline]
    fn note_used(&self, index: usize) {
        // Relaxed: a stale count only costs the exchange below.
        if self.used.load(Ordering::Relaxed) <= index {
            // AcqRel: pairs with `lowest`, by way of the tail.
            self.used.fetch_max(index + 1, Ordering::AcqRel);
        }
    }
}
