//! [`World`]: a log of a few grains, for models of reserving, filling and rotating.

use std::sync::Arc;

use loom::thread::JoinHandle;
use segwal::internals::{Claim, Core, Ending, Patience, Room, Seat, Shape, Terms, set_thread_hint};
use segwal::{Lsn, Result};

use crate::cells::Cells;
use crate::host::{FOREVER, ModelHost};
use crate::shelf::Shelf;

const GRAIN: u64 = 8;

/// The size of a model's log.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many grains a segment has room for, at most three.
    pub grains: u32,
    /// How frames reserve.
    pub take: Take,
    /// How many writers at once.
    pub slots: usize,
    /// How many segments in flight.
    pub places: usize,
    /// How many segments are ready at the beginning, beside the first.
    pub ready: usize,
}

/// How frames reserve: the core decides by their length in eighths of the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// By addition: a segment ends at 16 grains, so frames of up to two are small.
    Addition,
    /// By exchange: a segment begins at 1, so every frame is large.
    Exchange,
}

/// A log and what it borrows.
#[derive(Debug)]
pub struct World {
    /// Reserve, publish, frontier.
    pub core: Core<Cells>,
    /// Rotation.
    pub room: Room,
    /// Poison and close.
    pub ending: Ending,
    /// Waiting and time.
    pub host: ModelHost,
    /// Ready segments.
    pub shelf: Shelf,
    /// Every segment there is; the last is the one that the log begins in, the others are ready from the back.
    bodies: Vec<loom::sync::Arc<Cells>>,
}

impl World {
    /// A log at the beginning of segment 1.
    ///
    /// # Panics
    /// Never: a new window is empty.
    #[must_use]
    pub fn new(plan: Plan) -> Arc<Self> {
        Self::with_reserve(plan, 0)
    }

    /// As [`new`](Self::new); ordinary rotation leaves the last `reserve` ready segments alone.
    ///
    /// # Panics
    /// Never: a new window is empty.
    #[must_use]
    pub fn with_reserve(plan: Plan, reserve: usize) -> Arc<Self> {
        let shape = match plan.take {
            Take::Addition => Shape {
                first: 16 - plan.grains,
                end: 16,
            },
            Take::Exchange => Shape {
                first: 1,
                end: 1 + plan.grains,
            },
        };
        let body = || loom::sync::Arc::new(Cells::new(shape.first, shape.end));
        let bodies: Vec<_> = (0..=plan.ready).map(|_| body()).collect();
        let core = Core::new(shape, at(1, shape.first), plan.slots, plan.places);
        let (active, ready) = bodies.split_last().expect("at least the first");
        let active = loom::sync::Arc::clone(active);
        core.window().install(1, active).expect("an empty window");
        let shelf = Shelf::new(ready.iter().map(loom::sync::Arc::clone).collect(), reserve);
        Arc::new(Self {
            core,
            room: Room::new(),
            ending: Ending::new(),
            host: ModelHost::new(),
            shelf,
            bodies,
        })
    }

    /// What a reservation borrows.
    pub fn terms(&self, patience: Patience) -> Terms<'_, Cells> {
        Terms {
            host: &self.host,
            supply: &self.shelf,
            ending: &self.ending,
            patience,
        }
    }

    /// Reserves.
    ///
    /// # Errors
    /// As the core's.
    pub fn reserve<'a>(
        &'a self,
        seat: &'a mut Seat<Cells>,
        grains: u32,
        patience: Patience,
    ) -> Result<Claim<'a, Cells>> {
        self.room
            .reserve(&self.core, seat, grains, &self.terms(patience))
    }

    /// Reserves, fills and publishes, waiting for a segment if there is none.
    ///
    /// # Errors
    /// As the core's.
    pub fn append(&self, seat: &mut Seat<Cells>, grains: u32) -> Result<Lsn> {
        self.append_within(seat, grains, Patience::ForNs(FOREVER))
    }

    /// Reserves, fills and publishes.
    ///
    /// # Errors
    /// As the core's.
    pub fn append_within(
        &self,
        seat: &mut Seat<Cells>,
        grains: u32,
        patience: Patience,
    ) -> Result<Lsn> {
        let mut claim = self.reserve(seat, grains, patience)?;
        claim.fill(Cells::write);
        Ok(claim.publish())
    }

    /// Appends a record that does not wait for space.
    ///
    /// # Errors
    /// As the core's.
    pub fn append_critical(&self, seat: &mut Seat<Cells>, grains: u32) -> Result<Lsn> {
        let terms = self.terms(Patience::ForNs(FOREVER));
        let written = self
            .room
            .append_critical(&self.core, seat, grains, &terms, Cells::write);
        Ok(written?.0.start)
    }

    /// The segment `id`, in a log that never reuses one.
    #[must_use]
    pub fn body(&self, id: u32) -> &Cells {
        &self.bodies[self.bodies.len() - id as usize]
    }

    /// Asserts that everything below `bound` is filled and visible to the caller, in a log that never reuses a segment.
    ///
    /// # Panics
    /// If a grain is not.
    pub fn assert_filled(&self, bound: Lsn) {
        for id in 1..bound.segment() {
            let (_, sealed) = self.body(id + 1).link();
            let sealed = sealed.expect("an activated segment knows where the one before ended");
            self.body(id).assert_filled(grains_of(sealed));
        }
        self.body(bound.segment()).assert_filled(grains_of(bound));
    }

    /// Where the first frame of a segment begins.
    #[must_use]
    pub fn first(&self) -> u32 {
        self.core.shape().first
    }
}

/// The position `grains` into `segment`.
///
/// # Panics
/// If `segment` is zero.
#[must_use]
pub fn at(segment: u32, grains: u32) -> Lsn {
    Lsn::new(segment, u64::from(grains) * GRAIN).expect("segment ids begin at 1")
}

/// The offset of a position, in grains.
///
/// # Panics
/// Never: offsets have 32 bits.
#[must_use]
pub fn grains_of(lsn: Lsn) -> u32 {
    u32::try_from(lsn.offset() / GRAIN).expect("offsets have 32 bits")
}

/// Starts a thread of a model; `hint` is the slot that it tries first.
pub fn spawn<W, R, F>(hint: usize, world: &Arc<W>, run: F) -> JoinHandle<R>
where
    W: Send + Sync + 'static,
    R: 'static,
    F: FnOnce(&W) -> R + 'static,
{
    let world = Arc::clone(world);
    loom::thread::spawn(move || {
        set_thread_hint(hint);
        run(&world)
    })
}
