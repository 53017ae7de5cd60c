//! [`Claim`]: a reservation that is being filled.
//!
//! # Invariants
//! * K2. A claim ends in exactly one of two ways, `publish` or drop. Dropped, panics included, it is aborted: its bytes
//!   become a frame that readers step over, and only then does its slot go idle.

use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::sync::twin::{self, Twin};

use super::core::Core;
use super::seat::{Body, Seat, Span};

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
        seat.face(core.window(), span.lsn().segment());
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
        self.span.lsn()
    }

    /// Where the next frame begins.
    #[inline]
    pub fn end(&self) -> Lsn {
        Lsn::at(
            self.span.lsn().segment(),
            self.span.lsn().grains() + self.span.grains(),
        )
    }

    /// Lets `fill` write into the range.
    #[inline]
    pub fn fill<R>(&mut self, fill: impl FnOnce(&S, &mut Span) -> R) -> R {
        if seeded::is(Bug::PublishBeforeFill) {
            self.seat.leave(&self.core.slots);
        }
        match self.seat.segment() {
            Some(segment) => fill(segment, &mut self.span),
            None => unreachable!("a claim in a segment that is not in the window (W1, W2)"),
        }
    }

    /// Makes the frame visible: everything that filled it happens before whoever sees the frontier pass it.
    #[inline]
    pub fn publish(mut self) -> Lsn {
        self.state = State::Published;
        self.seat.leave(&self.core.slots);
        self.span.lsn()
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
