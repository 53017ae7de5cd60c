//! [`Pin`]: what keeps a segment's bytes from being reused while somebody reads them.
//!
//! A reader takes a [`PinGuard`] from the registry, under the registry's lock; the recycler takes the segment out of the
//! registry, under the same lock, and then asks whether the pin is alone. Counting references, not epochs: disk space
//! needs a definite answer.
//!
//! # Invariants
//! * P1. No guard is made after the segment left the registry.
//! * P2. `try_take` succeeds only when every guard is gone, and everything that readers did with the bytes happened before
//!   (the last guard's drop releases, `get_mut` acquires).

use crate::seeded::{self, Bug};
use crate::sync::Arc;
use crate::sync::twin::{self, Twin};

/// The side of the registry: hands out guards.
#[derive(Debug)]
pub struct Pin(Arc<()>);

/// A reader's hold on a segment.
#[derive(Clone, Debug)]
pub struct PinGuard(#[expect(dead_code, reason = "held for its count alone")] Arc<()>);

impl Pin {
    /// A pin that nobody holds.
    pub fn new() -> Self {
        Self(Arc::new(()))
    }

    /// A guard; the caller holds the registry's lock (P1).
    pub fn hold(&self) -> PinGuard {
        PinGuard(Arc::clone(&self.0))
    }

    /// Gives the segment up for reuse, if no guard is left (P2); the segment is out of the registry.
    pub fn try_take(mut self) -> Result<(), Self> {
        let reckless = twin::is(Twin::ReuseWhilePinned) || seeded::is(Bug::ReuseWhilePinned);
        let alone = Arc::get_mut(&mut self.0).is_some() || reckless;
        if alone { Ok(()) } else { Err(self) }
    }
}
