//! [`Core`]: reserve, publish, and the frontier.
//!
//! # Protocol
//! 1. Look at the tail. If it is over-run, the segment must be rotated first (`Attempt::Rotate`). If the frame does not
//!    fit, say so without adding (`Attempt::NoRoom`), unless the caller has seen that a next segment exists.
//! 2. Make a slot busy with that value of the tail, and look again. Nothing else happens between this and the addition.
//! 3. Add the frame's length. The returned word decides: it fits, and the bytes are the caller's ([`Span`]); or this
//!    is the straddler, which records the seal; or somebody else over-ran the segment before.
//! 4. Fill, then make the slot idle: published.
//!
//! A frame longer than an eighth of a segment exchanges instead of adding, so that over-runs stay bounded (T3).
//!
//! # Invariants
//! * C1. The bytes of two claims never overlap (T2, T4).
//! * C2. Every frame below [`frontier`](Core::frontier) is filled, and what filled it happened before the return.
//! * C3. The frontier is a frame boundary: an over-run tail counts as its segment's seal. While the seal is not visible,
//!   the straddler's slot still is busy and bounds the frontier (it stores the seal before it goes idle). If its place shows
//!   the seal of a later segment instead, the tail has long moved on, and so the look begins anew.
//! * C3a. An over-run tail with an emergency position behind its segment counts as that position (`emergency`, V2, V3).
//! * C4. The frontier of one observer may go back (a writer with an old view of the tail claims a slot), the published
//!   bound, a maximum, does not.

use std::cmp;

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};
use crate::sync::{Arc, AtomicU64, CachePadded, Ordering, raise};

use super::emergency::Emergency;
use super::seat::{Body, Seat, Span};
use super::slots::Slots;
use super::tail::{Tail, TailWord};
use super::window::Window;

/// The shape of a segment, in grains of eight bytes.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Where the first frame begins.
    pub first: u32,
    /// Where the segment ends.
    pub end: u32,
}

impl Shape {
    /// Frames longer than this exchange the tail instead of adding to it.
    const fn large(self) -> u32 {
        self.end / 8
    }

    /// The longest frame.
    pub const fn capacity(self) -> u32 {
        self.end - self.first
    }
}

/// Whether an append may seal the segment that it does not fit into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// Not before it is known that a next segment exists.
    Refused,
    /// A next segment was seen.
    Allowed,
}

/// What came of trying to reserve.
#[derive(Debug)]
pub enum Attempt {
    /// The bytes are the caller's, and the seat's slot is busy until they are filled.
    Reserved(Span),
    /// The frame does not fit into this segment, which is not sealed.
    NoRoom(u32),
    /// This segment is sealed; the next one must be installed.
    Rotate(u32),
    /// Every slot is busy.
    NoSlot,
}

/// A witness that everything below its bound is filled (C2). What lies below is not written again while its segment is
/// held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published(Lsn);

impl Published {
    /// The exclusive bound.
    pub fn bound(self) -> Lsn {
        self.0
    }

    /// The same for what lies below `bound`, if that is lower.
    #[must_use]
    pub fn up_to(self, bound: Lsn) -> Self {
        Self(self.0.min(bound))
    }
}

/// The state that writers and the leader share.
#[derive(Debug)]
pub struct Core<S> {
    pub(super) tail: Tail,
    pub(super) slots: Slots,
    pub(super) window: Window<S>,
    pub(super) emergency: Emergency,
    shape: Shape,
    published: CachePadded<AtomicU64>,
}

impl<S: Body> Core<S> {
    /// A log whose next frame goes to `tail`. The caller installs the segment of `tail` into the window.
    pub fn new(shape: Shape, tail: Lsn, slots: usize, places: usize) -> Self {
        Self {
            tail: Tail::new(tail),
            slots: Slots::new(slots),
            window: Window::new(places),
            emergency: Emergency::new(),
            shape,
            published: CachePadded::new(AtomicU64::new(tail.to_word())),
        }
    }

    /// The shape of every segment.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The segments in flight.
    pub fn window(&self) -> &Window<S> {
        &self.window
    }

    /// The writers' slots.
    pub fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Records, while nobody appends, that the tail's segment has no room for even the smallest frame.
    pub fn seal_at_open(&self, at: Lsn) {
        self.window.seal(at);
        self.tail.install(Lsn::at(at.segment(), self.shape.end + 1));
    }

    /// Tries to reserve `grains`, with the slot that `seat` holds or claims.
    #[inline]
    pub fn reserve(&self, seat: &mut Seat<S>, grains: u32, sealing: Sealing) -> Attempt {
        debug_assert!(grains <= self.shape.capacity(), "longer than a segment");
        loop {
            let seen = self.tail.peek();
            if let Some(refusal) = self.refusal(seen, grains, sealing) {
                return refusal;
            }
            if !seat.enter(&self.slots, seen) {
                return Attempt::NoSlot;
            }
            if let Some(refusal) = self.refusal(self.tail.peek(), grains, sealing) {
                seat.leave(&self.slots);
                return refusal;
            }
            match self.take(grains, sealing) {
                Ok(word) if word.grains() <= self.shape.end - grains => {
                    return Attempt::Reserved(Span::new(
                        Lsn::at(word.segment(), word.grains()),
                        grains,
                    ));
                }
                Ok(word) => return self.overrun(seat, word),
                Err(_) => seat.leave(&self.slots),
            }
        }
    }

    #[inline]
    fn refusal(&self, seen: TailWord, grains: u32, sealing: Sealing) -> Option<Attempt> {
        if seen.grains() <= self.shape.end - grains {
            return None;
        }
        if seen.grains() > self.shape.end {
            return Some(Attempt::Rotate(seen.segment()));
        }
        (sealing == Sealing::Refused).then(|| Attempt::NoRoom(seen.segment()))
    }

    /// Where the frame begins, or would have begun; `Err` to look again.
    #[inline]
    fn take(&self, grains: u32, sealing: Sealing) -> Result<TailWord, TailWord> {
        if grains <= self.shape.large() {
            return Ok(self.tail.take(grains));
        }
        let seen = self.tail.peek();
        if seen.grains() <= self.shape.end - grains {
            return self.tail.exchange(seen, grains);
        }
        if sealing == Sealing::Refused {
            return Err(seen);
        }
        // The smallest over-run there is, from wherever the tail stands; none if it is over-run already.
        let step = (self.shape.end + 1).saturating_sub(seen.grains());
        if step == 0 {
            Ok(seen)
        } else {
            self.tail.exchange(seen, step)
        }
    }

    /// The addition went beyond the end; the first to do so records where the segment really ends.
    #[cold]
    fn overrun(&self, seat: &mut Seat<S>, word: TailWord) -> Attempt {
        let record = || {
            if word.grains() <= self.shape.end {
                self.window.seal(Lsn::at(word.segment(), word.grains()));
            }
        };
        if twin::is(Twin::SealAfterIdle) {
            seat.leave(&self.slots);
            record();
        } else {
            // C3: the seal first, then idle.
            record();
            seat.leave(&self.slots);
        }
        Attempt::Rotate(word.segment())
    }

    /// The bound below which every frame is filled, as seen now.
    pub fn frontier(&self) -> Lsn {
        loop {
            if let Some(bound) = self.look() {
                return Lsn::from_word(bound).unwrap_or(Lsn::at(1, self.shape.first));
            }
        }
    }

    /// One look at the frontier; `None` if the ring went round in its midst (C3).
    fn look(&self) -> Option<u64> {
        let (tail, lowest) = if twin::is(Twin::SlotsBeforeTail) {
            let lowest = self.slots.lowest();
            (self.tail.observe(), lowest)
        } else {
            let tail = self.tail.observe();
            (tail, self.slots.lowest())
        };
        let bound = self.bound_of(tail)?;
        Some(lowest.map_or(bound, |(lowest, _)| lowest.min(bound)))
    }

    /// The tail as a position: an over-run one is its segment's seal, or the emergency position. Read after the slots (C3).
    fn bound_of(&self, tail: TailWord) -> Option<u64> {
        if tail.grains() <= self.shape.end {
            return Some(tail.to_word());
        }
        if let Some(position) = self.emergency.behind(tail.segment()) {
            return self.is_still(tail).then(|| position.to_word());
        }
        let end = Lsn::at(tail.segment(), self.shape.end);
        if twin::is(Twin::OverrunIsEnd) {
            return Some(end.to_word());
        }
        let seal = self.window.last_seal(tail.segment()).unwrap_or(end);
        match seal.segment().cmp(&tail.segment()) {
            cmp::Ordering::Equal => Some(seal.to_word()),
            cmp::Ordering::Greater if !twin::is(Twin::LaterSealIsNone) => None,
            // Not sealed yet: the straddler's slot is the lower bound.
            _ => Some(end.to_word()),
        }
    }

    /// Whether the tail still stands in the segment of `tail` (V2).
    fn is_still(&self, tail: TailWord) -> bool {
        twin::is(Twin::EmergencyUnconfirmed) || self.tail.observe().segment() == tail.segment()
    }

    /// The bound below which every frame is filled; never goes back.
    pub fn published(&self) -> Lsn {
        let frontier = self.frontier().to_word();
        // AcqRel: pairs with itself, so that who is told a bound that another observed also sees the bytes below it.
        let order = twin::unless(Twin::PublishedRelaxed, Ordering::AcqRel);
        let before = raise(&self.published, frontier, order);
        Lsn::from_word(before.max(frontier)).unwrap_or(Lsn::at(1, self.shape.first))
    }

    /// The published bound, as a witness for reading below it.
    pub fn witness(&self) -> Published {
        Published(self.published())
    }

    /// The greatest published bound that anybody has observed so far. It looks at no writer's slot, and may lag behind.
    pub fn observed(&self) -> Published {
        // Acquire: pairs with `published`, and so with all that its caller saw.
        let bound = self.published.load(Ordering::Acquire);
        Published(Lsn::from_word(bound).unwrap_or(Lsn::at(1, self.shape.first)))
    }

    /// The end of everything reserved so far: the tail, or the seal of a full segment, or the emergency position.
    pub fn end(&self) -> Lsn {
        let bound = loop {
            if let Some(bound) = self.bound_of(self.tail.observe()) {
                break bound;
            }
        };
        Lsn::from_word(bound).unwrap_or(Lsn::at(1, self.shape.first))
    }

    /// As [`end`](Self::end), and a frame boundary: `None` while a straddler is about to record where its segment ends, or
    /// the tail moves.
    pub fn boundary(&self) -> Option<Lsn> {
        let tail = self.tail.observe();
        if tail.grains() <= self.shape.end {
            return Lsn::from_word(tail.to_word());
        }
        if let Some(position) = self.emergency.behind(tail.segment()) {
            return self.is_still(tail).then_some(position);
        }
        let seal = self.window.last_seal(tail.segment());
        seal.filter(|seal| seal.segment() == tail.segment())
    }

    /// Where the next frame goes, for looking ahead of it: the tail, or the emergency position.
    pub fn tail(&self) -> Lsn {
        let tail = self.tail.observe();
        let at = Lsn::at(tail.segment(), tail.grains().min(self.shape.end));
        if tail.grains() <= self.shape.end {
            return at;
        }
        self.emergency.behind(tail.segment()).unwrap_or(at)
    }

    /// Whether no frame at all fits where the tail stands.
    pub fn is_overrun(&self) -> bool {
        self.tail.observe().grains() > self.shape.end
    }

    /// Puts an activated segment into its place, which is free.
    pub(super) fn put_in_window(&self, id: u32, segment: Arc<S>) -> Result<()> {
        self.window.install(id, segment).map_err(|_| {
            let what = "a segment was activated into a place that is taken";
            Error::new(ErrorKind::Internal, what).at_segment(id)
        })
    }

    /// Lets nobody reserve again: the tail becomes over-run where it stands. Who reserved before holds a busy slot.
    ///
    /// Whoever stops the tail is a straddler of no bytes, with a slot of its own until the seal is recorded (C3).
    pub fn stop(&self) {
        let mut seat: Seat<S> = Seat::borrowed_facing(None);
        loop {
            let seen = self.tail.observe();
            if seen.grains() > self.shape.end {
                return;
            }
            let slotless = twin::is(Twin::StopWithoutSlot);
            if !slotless && !seat.enter(&self.slots, seen) {
                // Every slot belongs to a writer, for an instant.
                continue;
            }
            let step = self.shape.end + 1 - seen.grains();
            let stopped = self.tail.exchange(seen, step).is_ok();
            if stopped {
                self.window.seal(Lsn::at(seen.segment(), seen.grains()));
            }
            seat.leave(&self.slots);
            if stopped {
                return;
            }
        }
    }
}
