//! [`Seat`]: the place of one writer - a slot, and the segment it last wrote to - and the [`Span`] that it reserves.
//!
//! # Invariants
//! * K1. A [`Span`] exists once for each reservation and cannot be copied: who has it mutably is the only one who may
//!   touch its bytes.

use crate::lsn::Lsn;
use crate::sync::{Arc, thread_hint};

use super::slots::{Slots, Tenure};
use super::tail::TailWord;
use super::window::Window;

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

    /// The segment that the last claim was in.
    #[inline]
    pub(super) fn segment(&self) -> Option<&S> {
        self.segment.as_ref().map(|(_, segment)| &**segment)
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
    pub(super) fn face(&mut self, window: &Window<S>, id: u32) {
        if self.segment.as_ref().is_none_or(|(known, _)| *known != id) {
            self.segment = window.segment(id).map(|segment| (id, segment));
        }
    }
}
