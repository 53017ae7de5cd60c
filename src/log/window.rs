//! [`Window`]: the segments that writers may be filling or that no sync has covered, by id.
//!
//! A ring: segment `id` has place `id mod places`. A place is locked to install, look up and retire, each of which
//! happens once for a writer and a segment, never once for a record. Seals are words beside the locks, because the
//! frontier needs them and takes no lock.
//!
//! # Invariants
//! * W1. A segment is installed before the tail can name it.
//! * W2. A segment is retired only when the durable bound, and with it the frontier, lies in a later one: then no writer
//!   holds a claim in it, and none can get one.
//! * W3. A place is never overwritten: an install into a taken place is refused, and its rotation waits.
//! * W4. A seal is stored once for each life of a place, by the straddler, while its slot is busy.
//!
//! # Memory orderings
//! `seal` (Release) → `last_seal` (Acquire): a look that finds the seal of a later segment then finds the tail that moved
//! there, at the latest after a few more looks; the models do not show that the pair is needed for more than that. The
//! frontier gets the seal of its own segment by way of the straddler's slot.

use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};
use crate::sync::{Arc, AtomicU64, CachePadded, Mutex, Ordering};

const UNSEALED: u64 = 0;

/// The segments in flight.
#[derive(Debug)]
pub struct Window<S> {
    places: Box<[CachePadded<Place<S>>]>,
}

#[derive(Debug)]
struct Place<S> {
    held: Mutex<Option<(u32, Arc<S>)>>,
    /// The seal as a position, so that a value of an earlier life of the place is never taken for this one's.
    seal: AtomicU64,
}

impl<S> Window<S> {
    /// A window of `places` segments.
    pub fn new(places: usize) -> Self {
        let place = || {
            CachePadded::new(Place {
                held: Mutex::new(None),
                seal: AtomicU64::new(UNSEALED),
            })
        };
        Self {
            places: (0..places).map(|_| place()).collect(),
        }
    }

    fn place(&self, id: u32) -> &Place<S> {
        &self.places[id as usize % self.places.len()]
    }

    /// Puts segment `id` in; gives it back if the place is still taken.
    pub fn install(&self, id: u32, segment: Arc<S>) -> Result<(), Arc<S>> {
        let mut held = self.place(id).held.lock();
        if held.is_some() && !twin::is(Twin::WindowOverwrite) {
            return Err(segment);
        }
        *held = Some((id, segment));
        Ok(())
    }

    /// Whether segment `id` could be put in.
    pub fn has_room(&self, id: u32) -> bool {
        self.place(id).held.lock().is_none() || twin::is(Twin::WindowOverwrite)
    }

    /// The segment `id`, which the caller holds a claim in (W1, W2).
    pub fn segment(&self, id: u32) -> Option<Arc<S>> {
        let held = self.place(id).held.lock();
        held.as_ref()
            .filter(|(held, _)| *held == id)
            .map(|(_, segment)| Arc::clone(segment))
    }

    /// Takes segment `id` out, if it is there.
    pub fn retire(&self, id: u32) -> Option<Arc<S>> {
        let mut held = self.place(id).held.lock();
        if held.as_ref().is_none_or(|(held, _)| *held != id) {
            return None;
        }
        held.take().map(|(_, segment)| segment)
    }

    /// Records that `at` is where its segment ends.
    pub fn seal(&self, at: Lsn) {
        // Release: pairs with `last_seal`.
        self.place(at.segment())
            .seal
            .store(at.to_word(), Ordering::Release);
    }

    /// Where segment `id` ends, once the straddler has recorded it.
    pub fn seal_of(&self, id: u32) -> Option<Lsn> {
        self.last_seal(id).filter(|seal| seal.segment() == id)
    }

    /// The seal that was recorded last in the place of segment `id`, for that segment or an older or later one.
    pub fn last_seal(&self, id: u32) -> Option<Lsn> {
        // Acquire: pairs with `seal`.
        Lsn::from_word(self.place(id).seal.load(Ordering::Acquire))
    }
}
