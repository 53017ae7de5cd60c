//! [`Claim`]: the exclusive right to fill a range of a segment, and the [`Seat`] from which it was reserved.
//!
//! # Invariants
//! * K1. A [`Span`] exists once for each reservation and cannot be copied: who has it mutably is the only one who may
//!   touch its bytes.
//! * K2. A claim ends in exactly one of two ways, `publish` or drop. Dropped, panics included, it is aborted: its bytes
//!   become a frame that readers step over, and only then does its slot go idle.

use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};
use crate::sync::{Arc, thread_hint};

use super::core::Core;
use super::slots::{Slots, Tenure};
use super::tail::TailWord;

/// The exclusive right to a range of one segment (K1).
#[derive(Debug)]
pub struct Span {
    lsn: Lsn,
    grains: u32,
}

impl Span {
    pub(super) fn new(lsn: Lsn, grains: u32) -> Self {
        Self { lsn, grains }
    }

    /// Where the range begins.
    pub fn lsn(&self) -> Lsn {
        self.lsn
    }

    /// Its length, in grains.
    pub fn grains(&self) -> u32 {
        self.grains
    }
}

/// A segment, as far as the core knows it.
pub trait Body: Send + Sync + 'static {
    /// Turns the range into a frame that readers step over.
    fn abort(&self, span: &mut Span);
}

/// A place from which one thread at a time reserves: a slot, and the segment it last reserved in.
#[derive(Debug)]
pub struct Seat<S> {
    index: Option<usize>,
    tenure: Tenure,
    segment: Option<(u32, Arc<S>)>,
}

impl<S: Body> Seat<S> {
    /// A seat that claims a slot anew for each frame, and remembers `segment` with its id.
    pub fn borrowed_facing(segment: Option<(u32, Arc<S>)>) -> Self {
        Self {
            index: None,
            tenure: Tenure::Borrowed,
            segment,
        }
    }

    /// The segment that the seat remembers.
    pub fn into_facing(self) -> Option<(u32, Arc<S>)> {
        self.segment
    }

    /// A seat with the slot `index`, which the caller adopted.
    pub fn owned(index: usize) -> Self {
        Self {
            index: Some(index),
            tenure: Tenure::Owned,
            segment: None,
        }
    }

    /// The slot of an owned seat.
    pub fn slot(&self) -> Option<usize> {
        self.index
    }

    #[inline]
    pub(super) fn enter(&mut self, slots: &Slots, bound: TailWord) -> bool {
        match self.tenure {
            Tenure::Owned => self
                .index
                .into_iter()
                .for_each(|index| slots.enter(index, bound)),
            Tenure::Borrowed => self.index = slots.claim(thread_hint() % slots.count(), bound),
        }
        self.index.is_some()
    }

    #[inline]
    pub(super) fn leave(&mut self, slots: &Slots) {
        match (self.tenure, self.index) {
            (Tenure::Owned, Some(index)) => slots.leave(index, Tenure::Owned),
            (Tenure::Borrowed, Some(index)) => {
                self.index = None;
                slots.leave(index, Tenure::Borrowed);
            }
            (_, None) => {}
        }
    }

    /// Looks the segment up unless the last frame was in the same one.
    #[inline]
    fn face(&mut self, core: &Core<S>, id: u32) {
        if self.segment.as_ref().is_none_or(|(known, _)| *known != id) {
            self.segment = core.window().segment(id).map(|segment| (id, segment));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Published,
}

/// The exclusive right to fill a range; aborts it unless published.
#[derive(Debug)]
pub struct Claim<'a, S: Body> {
    core: &'a Core<S>,
    seat: &'a mut Seat<S>,
    span: Span,
    state: State,
}

impl<'a, S: Body> Claim<'a, S> {
    #[inline]
    pub(super) fn new(core: &'a Core<S>, seat: &'a mut Seat<S>, span: Span) -> Self {
        seat.face(core, span.lsn.segment());
        Self {
            core,
            seat,
            span,
            state: State::Open,
        }
    }

    /// Where the frame begins.
    #[inline]
    pub fn lsn(&self) -> Lsn {
        self.span.lsn
    }

    /// Where the next frame begins.
    #[inline]
    pub fn end(&self) -> Lsn {
        Lsn::at(
            self.span.lsn.segment(),
            self.span.lsn.grains() + self.span.grains,
        )
    }

    /// Lets `fill` write into the range.
    #[inline]
    pub fn fill<R>(&mut self, fill: impl FnOnce(&S, &mut Span) -> R) -> R {
        match &self.seat.segment {
            Some((_, segment)) => fill(segment, &mut self.span),
            None => unreachable!("a claim in a segment that is not in the window (W1, W2)"),
        }
    }

    /// Makes the frame visible: everything that filled it happens before whoever sees the frontier pass it.
    #[inline]
    pub fn publish(mut self) -> Lsn {
        self.state = State::Published;
        self.seat.leave(&self.core.slots);
        self.span.lsn
    }
}

impl<S: Body> Drop for Claim<'_, S> {
    fn drop(&mut self) {
        if self.state == State::Published {
            return;
        }
        if !twin::is(Twin::DropWithoutAbort) {
            self.fill(Body::abort);
        }
        self.seat.leave(&self.core.slots);
    }
}
