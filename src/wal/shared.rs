//! [`Shared`]: the state of one open log, and how the core's needs are met with it.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{BLOCK_SIZE, FIRST_FRAME, FRAME_HEADER_LEN, Manifest};
use crate::log::{
    Block, Core, Doze, Ending, Gate, Host, Patience, Room, Sleepers, Terms, Waited, Wish, Work,
};
use crate::lsn::{GRAIN, Lsn};
use crate::options::{SyncPadding, WalOptions};
use crate::seeded::{self, Bug};
use crate::segment::{CookieFile, Depth, Directory, Flush, Registry, Segment, Shelf};
use crate::stats::Counters;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, CachePadded, Mutex, Ordering};
use crate::sys::thread::{rest_ns, spin, yield_now};
use crate::sys::{Handoff, clock, fork, futex};

use super::holds::Holds;
use super::hooks::Hooks;
use super::pressure::Pressure;
use super::recovery::Recovery;
use super::rewinds::Rewinds;
use super::signals::{Request, Signals};
use super::tail::Watches;

/// Slots of one log: as many threads can append at the same moment.
pub(crate) const SLOT_COUNT: usize = 128;

/// What `sync_padding` pads to.
const BLOCK: Block = Block {
    size: 512,
    least: 3,
};
const _: () = {
    assert!(BLOCK.size as u64 * GRAIN == BLOCK_SIZE, "in grains");
    assert!(
        BLOCK.least as u64 * GRAIN == FRAME_HEADER_LEN,
        "a frame without a payload"
    );
};

/// The state of one open log.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Tells logs apart within the process.
    pub(crate) number: u64,
    pub(crate) options: WalOptions,
    pub(crate) manifest: Manifest,
    pub(crate) max_record_len: u32,
    /// How long an append waits for a segment; worked out once, since every append needs it.
    pub(crate) patience: Patience,
    pub(crate) directory: Directory,
    pub(crate) core: Core<Segment>,
    pub(crate) gate: Gate,
    /// Whether the sync thread sleeps until somebody appends.
    pub(crate) doze: Doze,
    pub(crate) room: Room,
    pub(crate) ending: Ending,
    pub(crate) shelf: Shelf,
    pub(crate) depth: Depth,
    pub(crate) registry: Registry,
    pub(crate) holds: Holds,
    pub(crate) cookie: CookieFile,
    pub(crate) flush: Box<dyn Flush>,
    pub(crate) head: AtomicU64,
    /// The end of the segment that the head left last without passing a record; as a word, zero for none.
    pub(crate) left_by_head: AtomicU64,
    pub(crate) rewinds: Rewinds,
    /// Held while the head moves.
    pub(crate) discarding: Mutex<()>,
    pub(crate) counters: Counters,
    pub(crate) hooks: Hooks,
    pub(crate) signals: Signals,
    pub(crate) watches: Watches,
    pub(crate) recovery: Recovery,
    /// The segment that the last borrower of each slot wrote to, so that an append looks up none.
    pub(crate) faced: Box<[CachePadded<Handoff<Segment>>]>,
    pub(crate) reservations: AtomicUsize,
    pub(crate) pressure: Pressure,
    /// Whether as many segments are kept ready as the options say.
    pub(crate) has_grown: AtomicBool,
    /// The process that opened the log, as `fork` counts them.
    pub(crate) generation: u32,
}

/// Waiting and time, by the operating system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OsHost;

impl Host for OsHost {
    fn wait(&self, word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Waited {
        let timeout = deadline_ns
            .map(|deadline| Duration::from_nanos(deadline.saturating_sub(clock::now_ns())));
        match futex::wait(word, expected, timeout) {
            futex::Wake::TimedOut => Waited::TimedOut,
            futex::Wake::Woken | futex::Wake::Changed => Waited::Woken,
        }
    }

    fn wake(&self, word: &AtomicU32, sleepers: Sleepers) {
        futex::wake(
            word,
            if sleepers == Sleepers::One {
                1
            } else {
                futex::ALL
            },
        );
    }

    fn now_ns(&self) -> u64 {
        clock::now_ns()
    }

    fn pause(&self, turn: u32) {
        match turn {
            0..16 => (0..8).for_each(|_| spin()),
            16..64 => yield_now(),
            _ => rest_ns((10_000_u64 << ((turn - 64) / 16).min(7)).min(1_000_000)),
        }
    }
}

impl Shared {
    /// An error unless the log runs, in the process that opened it.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.generation != fork::generation() {
            return Err(forked());
        }
        self.ending.check()
    }

    pub(crate) fn head(&self) -> Lsn {
        // Acquire: pairs with the store in `discard_before`.
        Lsn::from_word(self.head.load(Ordering::Acquire)).unwrap_or(Lsn::MAX)
    }

    pub(crate) fn terms(&self, patience: Patience) -> Terms<'_, Segment> {
        Terms {
            host: &OsHost,
            supply: self,
            ending: &self.ending,
            patience,
        }
    }

    /// Waits until everything below `bound`, a frame boundary, is durable.
    pub(crate) fn make_durable(&self, bound: Lsn, deadline_ns: Option<u64>) -> Result<()> {
        match last_below(bound) {
            Some(lsn) => self.pass(lsn, deadline_ns),
            None => Ok(()),
        }
    }

    /// Waits until the frame at `lsn` is durable.
    #[inline]
    pub(crate) fn pass(&self, lsn: Lsn, deadline_ns: Option<u64>) -> Result<()> {
        let result = self.ending.check().and_then(|()| {
            if self.gate.is_durable(lsn) {
                return Ok(());
            }
            let wish = Wish { lsn, deadline_ns };
            self.gate.pass(wish, &self.ending, &OsHost, self)
        });
        result.or_else(|error| self.judge(lsn, error))
    }

    /// A log that was closed keeps what it made durable; after poison nothing is said of anything.
    #[cold]
    fn judge(&self, lsn: Lsn, error: Error) -> Result<()> {
        self.after(&error);
        if error.kind() == ErrorKind::Closed && lsn < self.gate.durable() {
            return Ok(());
        }
        Err(error)
    }

    /// If the error ended the log, tells everybody who waits.
    fn after(&self, error: &Error) {
        if error.kind() == ErrorKind::Poisoned {
            self.rouse();
        }
    }

    /// Ends the log: nothing is reported durable again.
    pub(crate) fn poison(&self, failure: Error) -> Error {
        let error = self.ending.poison(failure);
        self.rouse();
        error
    }

    /// Changes every word that somebody sleeps on.
    pub(crate) fn rouse(&self) {
        self.gate.rouse(&OsHost);
        self.room.announce(&OsHost);
        self.tell_tails_of_end();
        self.signals.rouse();
        self.hooks.rouse(self.ending.cause(), self.gate.durable());
    }

    /// Syncs one range of one segment.
    fn sync_segment(&self, id: u32, from: Lsn, to: Lsn) -> Result<()> {
        let segment = self.core.window().segment(id).ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "a segment left the window before it was synced",
            )
            .at_segment(id)
        })?;
        let start = if id == from.segment() {
            from.offset()
        } else {
            FIRST_FRAME
        };
        let end = if id == to.segment() {
            to.offset()
        } else {
            self.seal(id)?.offset()
        };
        self.counters.synced_bytes.add(end - start);
        let flush = || self.flush.flush(&segment, start..end);
        let mut flushed = flush();
        if flushed.is_err() && seeded::is(Bug::RetryAfterFailedSync) {
            flushed = flush();
        }
        flushed.map_err(|error| {
            Error::io("msync failed", &self.shelf.path(id), error)
                .at_segment(id)
                .at_offset(start)
        })
    }

    fn seal(&self, id: u32) -> Result<Lsn> {
        let seal = self.core.window().seal_of(id);
        seal.ok_or_else(|| {
            Error::new(ErrorKind::Internal, "a segment was left without a seal").at_segment(id)
        })
    }
}

impl Work for Shared {
    /// As published, so that nothing is ever durable and not published.
    fn frontier(&self) -> Lsn {
        self.core.published()
    }

    fn pad(&self) -> Option<Lsn> {
        let is_padded = self.options.sync_padding == SyncPadding::Block;
        is_padded.then(|| self.room.pad(&self.core, BLOCK, &OsHost))
    }

    fn flush(&self, from: Lsn, to: Lsn) -> Result<()> {
        let began_ns = clock::now_ns();
        if seeded::is(Bug::CookieBeforeSync) {
            self.cookie.store_durable(to);
        }
        // Oldest first: a later segment's link must not be durable before what it links to.
        for id in from.segment()..=to.segment() {
            self.sync_segment(id, from, to)?;
        }
        self.cookie.store_durable(to);
        self.counters
            .sync_ns
            .add(clock::now_ns().saturating_sub(began_ns));
        Ok(())
    }

    fn advanced(&self, from: Lsn, to: Lsn, _: u32) {
        self.counters.syncs.add(1);
        if from.segment() < to.segment() {
            for id in from.segment()..to.segment() {
                self.core.window().retire(id);
            }
            self.room.announce(&OsHost);
            self.request(Request::SyncCookie);
        }
        self.signals.moved();
        self.tell_tails_of_sync();
    }
}

/// The highest position that can begin a frame below `bound`; durable exactly when everything below `bound` is.
fn last_below(bound: Lsn) -> Option<Lsn> {
    Lsn::new(bound.segment(), bound.offset().checked_sub(GRAIN)?)
}

#[cold]
pub(crate) fn forked() -> Error {
    Error::new(
        ErrorKind::InvalidState,
        "the log was opened by the parent of this process",
    )
    .advise("open the log after the fork, in one process only")
}
