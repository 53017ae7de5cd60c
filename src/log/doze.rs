//! [`Doze`]: a thread that sleeps as long as nobody appends, although an append makes no call for it.
//!
//! # Protocol
//! The owner says that it dozes, then changes the tail by nothing, then looks at it: [`settle`](Doze::settle). A writer
//! changes the tail by reserving, and then looks whether the owner dozes: [`stir`](Doze::stir).
//!
//! # Invariants
//! * Z1. Of an append and a settling, one sees the other: both change the tail, so one of the two changes comes first, and
//!   the later one acquires what was before the first. A look at the tail that changes nothing would not do: each could
//!   then miss the other.
//! * Z2. Of the writers that see the owner doze one is told so, and raises it.
//!
//! # Memory orderings
//! `settle`: store, then `Tail::confirm` (`AcqRel`) → `Tail::take`, `exchange` (`AcqRel`), then load in `stir`; or the
//! other way round.

use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};
use crate::sync::{AtomicU32, CachePadded, Ordering};

use super::core::Core;
use super::seat::Body;

const AWAKE: u32 = 0;
const DOZING: u32 = 1;

/// Whether the owner sleeps until somebody appends.
#[derive(Debug)]
pub struct Doze(CachePadded<AtomicU32>);

impl Doze {
    /// The owner is awake.
    pub fn new() -> Self {
        Self(CachePadded::new(AtomicU32::new(AWAKE)))
    }

    /// Says that the owner is about to sleep, and returns the end of everything reserved: who reserves behind it stirs.
    pub fn settle<S: Body>(&self, core: &Core<S>) -> Lsn {
        // Release: pairs with `stir`, by way of the tail (Z1).
        self.0.store(DOZING, Ordering::Release);
        if !twin::is(Twin::DozeUnconfirmed) {
            core.tail.confirm();
        }
        core.end()
    }

    /// Says that the owner looks again by itself.
    pub fn rouse(&self) {
        // Release: nothing is read through it; a stale value costs a wake-up.
        self.0.store(AWAKE, Ordering::Release);
    }

    /// After a reservation: whether the caller must wake the owner.
    #[inline]
    pub fn stir(&self) -> bool {
        // Relaxed: ordered behind the reservation, which acquired (Z1).
        self.0.load(Ordering::Relaxed) == DOZING && self.wake()
    }

    #[cold]
    fn wake(&self) -> bool {
        // AcqRel: pairs with itself, so that one is told (Z2).
        self.0.swap(AWAKE, Ordering::AcqRel) == DOZING
    }
}

impl Default for Doze {
    fn default() -> Self {
        Self::new()
    }
}
