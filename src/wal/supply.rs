//! Where the core's segments come from: the shelf, the reserve, and what is done when there are none.
//!
//! # The reserve
//! The last `reserve_segments` entries of the ready queue: ordinary rotation treats a queue of that length as empty. They are
//! no files of their own, so ids stay contiguous. A log whose first segment is hardly used keeps one segment ready in all,
//! which counts as the reserve: the others are asked for when a quarter of that segment is used, long before rotation would
//! want them, and at the latest when an append finds no segment beyond the reserve.
//!
//! # A log that holds no record
//! It can always move: ordinary rotation may take the reserve if everything is discarded. The segment that it leaves lies wholly
//! below the head, but the head stands in it, at its seal; so the background moves the head to the first frame of the next
//! segment, once that one's first page is durable, and the file is reused at once.
//!
//! # Pressure or poison
//! What fails before a segment is published is pressure if it is a want of space: allocating, filling and syncing it.
//! A failed sync of a directory, of `COOKIE`, or over published bytes is poison whatever its number, and so is `EIO` anywhere.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::FIRST_FRAME;
use crate::log::{Purpose, Shortage, Supply};
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::segment::{Preparation, Segment};
use crate::sync::Ordering;
use crate::sys::clock;

use super::pressure::{Audience, not_begun};
use super::shared::{OsHost, Shared};
use super::signals::Request;
use super::space::{SpaceCause, SpacePressure};

impl Shared {
    /// One step of the preparer. `Err` if it must not be tried again.
    pub(crate) fn prepare(&self) -> Result<Preparation> {
        let has_least = self.shelf.ready_count() >= self.least();
        let mut result = self
            .shelf
            .prepare(self.target(), &self.registry, &self.counters);
        if has_least && is_short(&result) {
            // What goes beyond the options is no pressure where it does not fit.
            self.depth.fall_back();
            result = Ok(Preparation::Enough);
        }
        match &result {
            Ok(Preparation::Made) => {
                if self.has_ordinary() {
                    self.ease();
                }
                self.room.announce(&OsHost);
            }
            Ok(Preparation::Enough) => {
                if self.pressure.level() != SpacePressure::None {
                    self.pressure.relieved(self.audience());
                }
            }
            Ok(Preparation::AtLimit) => {
                self.counters.limited_preparations.add(1);
                self.note_failure(SpaceCause::Limit, not_begun(SpaceCause::Limit));
            }
            Ok(Preparation::Exhausted) => {
                self.note_failure(SpaceCause::Positions, not_begun(SpaceCause::Positions));
            }
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                let cause = SpaceCause::of(error);
                self.counters.failed_preparations.add(1);
                match cause {
                    SpaceCause::Quota => self.counters.failed_edquot.add(1),
                    SpaceCause::FileSize => self.counters.failed_efbig.add(1),
                    _ => self.counters.failed_enospc.add(1),
                }
                self.note_failure(cause, error.clone());
            }
            Err(_) => {}
        }
        result
    }

    /// How many segments are to be ready.
    fn target(&self) -> usize {
        // Relaxed: a stale value makes a segment later; whoever changes it asks for a preparation.
        if self.has_grown.load(Ordering::Relaxed) {
            self.depth.value() + self.options.reserve_segments
        } else {
            1
        }
    }

    /// How many are to be ready at the least, once the log has grown.
    fn least(&self) -> usize {
        self.options.preallocate_segments + self.options.reserve_segments
    }

    /// From now on as many segments are kept ready as the options say.
    pub(crate) fn grow(&self) {
        // Relaxed: see `target`.
        if !self.has_grown.swap(true, Ordering::Relaxed) {
            self.depth.excuse(self.core.tail().segment());
            self.request(Request::Prepare);
        }
    }

    /// Asks for more segments if more than a quarter of the first one is used.
    pub(crate) fn look_ahead(&self, tail: Lsn) {
        let used = tail.offset().saturating_sub(FIRST_FRAME);
        if used > (self.manifest.segment_size - FIRST_FRAME) / 4 {
            self.grow();
        }
    }

    fn note_failure(&self, cause: SpaceCause, error: Error) {
        // Until the pressure is over the reserve too must be there.
        // Relaxed: see `target`.
        self.has_grown.store(true, Ordering::Relaxed);
        self.depth.fall_back();
        let error = if error.place().path.is_none() {
            error.at_path(self.directory.path())
        } else {
            error
        };
        self.pressure.failed(cause, error, self.audience());
    }

    /// Says that no ordinary append fits, if that is so: at open, when none was tried.
    pub(crate) fn note_short_at_open(&self) {
        if self.core.is_overrun() && !self.has_ordinary() {
            self.pressure.short(self.audience());
        }
    }

    fn ease(&self) {
        self.pressure.eased(self.audience());
    }

    fn audience(&self) -> Audience<'_> {
        Audience {
            counters: &self.counters,
            hooks: &self.hooks,
        }
    }

    /// Adds what is known of its cause to an error of a reservation.
    #[cold]
    pub(crate) fn explain(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NoSpace {
            return error;
        }
        let error = error.at_path(self.directory.path());
        match self.pressure.failure() {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }

    /// Whether ordinary rotation may take a segment.
    fn has_ordinary(&self) -> bool {
        let ready = self.shelf.ready_count();
        ready > self.options.reserve_segments || (ready > 0 && self.head() >= self.core.end())
    }

    fn has_critical(&self) -> bool {
        self.shelf.ready_count() > 0
    }

    /// How many segments would be unsynced if `id` were the active one, itself left out.
    fn unsynced(&self, id: u32) -> u32 {
        id.saturating_sub(self.gate.durable().segment())
    }
}

impl Shared {
    fn last_rewind(&self) -> Option<Lsn> {
        let last = self.rewinds.last();
        last.filter(|_| !seeded::is(Bug::RewindNotLinked))
    }
}

impl Supply<Segment> for Shared {
    fn is_ready(&self, purpose: Purpose) -> bool {
        let is_ready = || match purpose {
            Purpose::Ordinary => self.has_ordinary(),
            Purpose::Critical => self.has_critical(),
        };
        if !is_ready() {
            // Without threads this makes one ready, here and now.
            self.grow();
            self.request(Request::Prepare);
        }
        is_ready()
    }

    fn is_reserve_whole(&self) -> bool {
        let is_whole = || self.shelf.ready_count() >= self.options.reserve_segments;
        if !is_whole() {
            self.request(Request::Prepare);
        }
        is_whole()
    }

    fn activate(&self, sealed: Lsn) -> Result<Option<Arc<Segment>>> {
        let previous = self.registry.warm(sealed.segment()).ok_or_else(|| {
            Error::new(ErrorKind::Internal, "the active segment is not registered")
                .at_segment(sealed.segment())
        })?;
        let (durable, last_rewind) = (self.gate.durable(), self.last_rewind());
        let Some(segment) = self
            .shelf
            .activate(sealed, &previous, durable, last_rewind)?
        else {
            return Ok(None);
        };
        self.registry.insert(&segment);
        self.counters.rotations.add(1);
        self.depth.rotated(clock::now_ns());
        self.grow();
        self.request(Request::Prepare);
        if self.unsynced(segment.id()) >= self.options.max_unsynced_segments.div_ceil(2) {
            self.request(Request::Sync);
        }
        self.signals.moved();
        self.tell_tails_of_rotation();
        Ok(Some(segment))
    }

    fn may_activate(&self, id: u32) -> bool {
        self.unsynced(id) < self.options.max_unsynced_segments
    }

    fn short_of(&self, shortage: Shortage) {
        match shortage {
            Shortage::NoSegment => {
                self.counters.ready_misses.add(1);
                if self.pressure.level() == SpacePressure::None {
                    let behind = self.core.tail().segment();
                    self.depth.miss(behind, clock::now_ns());
                }
                self.pressure.short(self.audience());
                self.request(Request::Prepare);
            }
            Shortage::Unsynced => {
                self.counters.backpressure.add(1);
                self.request(Request::Sync);
            }
        }
    }

    fn waited(&self, shortage: Shortage, for_ns: u64) {
        if shortage == Shortage::NoSegment {
            self.counters.space_waits.add(1);
            self.counters.space_wait_ns.add(for_ns);
        }
    }

    fn moved_on(&self, sealed: Lsn) {
        self.ease();
        if self.head() >= sealed {
            self.request(Request::FollowHead);
        }
    }
}

/// Whether a preparation came to nothing for want of room.
fn is_short(result: &Result<Preparation>) -> bool {
    match result {
        Ok(preparation) => *preparation == Preparation::AtLimit,
        Err(error) => error.kind() == ErrorKind::NoSpace,
    }
}
