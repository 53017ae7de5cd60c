//! [`Emergency`]: where the records go that must not wait for space.
//!
//! The protocol of those records is `critical`'s.
//!
//! # Invariants
//! * V1. The position changes under the rotation lock alone, and only grows.
//! * V2. Every frame between the first one of the segment after the tail's and the position is filled, as long as the tail stands
//!   in its segment: who finds a position behind the tail's segment looks at the tail again. If the tail has moved meanwhile
//!   ordinary frames, filled or not, may lie below the position.
//! * V3. A position in the tail's segment or before it is an old one and means nothing.
//!
//! # Memory orderings
//! `store` (Release) → `behind` (Acquire): the bytes of the frame before the position, the seals of the segments that it
//! left, and the move of the tail that lies between two emergencies.

use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};
use crate::sync::{AtomicU64, CachePadded, Ordering};

/// No segment has the id zero.
const NEVER: u64 = 0;

/// The position of the next record that must not wait.
#[derive(Debug)]
pub struct Emergency(CachePadded<AtomicU64>);

impl Emergency {
    pub(super) fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(NEVER)))
    }

    /// The position, if it lies in a segment after `segment` (V3).
    pub(super) fn behind(&self, segment: u32) -> Option<Lsn> {
        // Acquire: pairs with `store`.
        let order = twin::unless(Twin::EmergencySeenRelaxed, Ordering::Acquire);
        let position = Lsn::from_word(self.0.load(order))?;
        (position.segment() > segment || twin::is(Twin::OldEmergency)).then_some(position)
    }

    pub(super) fn store(&self, position: Lsn) {
        // Release: pairs with `behind`.
        let order = twin::unless(Twin::EmergencyRelaxed, Ordering::Release);
        self.0.store(position.to_word(), order);
    }
}
