//! [`Opened`]: what a new log and one that was there have in common, and how it is set going.

use std::sync::Arc;

use crate::error::Result;
use crate::format::{FIRST_FRAME, Manifest};
use crate::log::{Core, Doze, Ending, Gate, GatherLimits, Patience, Room, Shape};
use crate::lsn::{GRAIN, Lsn};
use crate::options::{OnFull, WalOptions, record_capacity};
use crate::segment::{
    CookieFile, Depth, Directory, MsyncRange, QUEUE_SIZE, Registry, Segment, Shelf,
};
use crate::stats::Counters;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, CachePadded, Mutex};
use crate::sys::{Lock, fork};

use super::close::Closing;
use super::holds::Holds;
use super::hooks::Hooks;
use super::pressure::Pressure;
use super::recover::Room as Remaining;
use super::recovery::Recovery;
use super::rewinds::Rewinds;
use super::shared::{SLOT_COUNT, Shared};
use super::signals::{Request, Signals, Staffing};
use super::tail::Watches;
use super::{Handle, Wal, background};

/// A log about to run.
pub(crate) struct Opened {
    /// The segment of the tail.
    pub(crate) segment: Arc<Segment>,
    pub(crate) end: Lsn,
    pub(crate) room: Remaining,
    pub(crate) head: Lsn,
    pub(crate) cookie: CookieFile,
    pub(crate) shelf: Shelf,
    pub(crate) registry: Registry,
    pub(crate) holds: Holds,
    pub(crate) rewinds: Rewinds,
    pub(crate) recovery: Recovery,
}

/// What of a log does not depend on how it was found.
pub(crate) struct Basis {
    pub(crate) options: WalOptions,
    pub(crate) manifest: Manifest,
    pub(crate) directory: Directory,
    pub(crate) counters: Counters,
    pub(crate) staffing: Staffing,
    pub(crate) lock: Box<dyn Lock>,
}

impl Opened {
    /// Sets the log going.
    pub(crate) fn run(self, basis: Basis) -> Result<Wal> {
        let Basis {
            options,
            manifest,
            directory,
            counters,
            staffing,
            lock,
        } = basis;
        let room = self.room;
        let longest = record_capacity(manifest.segment_size);
        let queue_room = QUEUE_SIZE - options.reserve_segments;
        let depth = Depth::new(options.preallocate_segments, queue_room);
        let shared = Arc::new(Shared {
            number: next_number(),
            max_record_len: options.max_record_len.unwrap_or(longest),
            patience: patience(&options),
            core: self.core(&options, manifest.segment_size),
            gate: Gate::new(self.end, limits(&options)),
            doze: Doze::new(),
            options,
            manifest,
            directory,
            room: Room::new(),
            ending: Ending::new(),
            shelf: self.shelf,
            depth,
            registry: self.registry,
            holds: self.holds,
            cookie: self.cookie,
            flush: Box::new(MsyncRange),
            head: AtomicU64::new(self.head.to_word()),
            left_by_head: AtomicU64::new(0),
            rewinds: self.rewinds,
            discarding: Mutex::new(()),
            counters,
            hooks: Hooks::default(),
            watches: Watches::new(),
            signals: Signals::new(staffing),
            recovery: self.recovery,
            faced: (0..SLOT_COUNT).map(|_| CachePadded::default()).collect(),
            reservations: AtomicUsize::new(0),
            pressure: Pressure::new(),
            has_grown: AtomicBool::new(false),
            generation: fork::generation(),
        });
        let handle = Handle {
            shared: Arc::clone(&shared),
            lock: Mutex::new(Some(lock)),
            closing: Closing::default(),
        };
        let wal = Wal {
            handle: Arc::new(handle),
        };
        if room == Remaining::Sealed {
            // The next append needs a segment: open returns when there is one, or known to be none.
            shared.prepare_now();
        }
        background::start(&shared)?;
        shared.request(Request::Prepare);
        Ok(wal)
    }

    fn core(&self, options: &WalOptions, segment_size: u64) -> Core<Segment> {
        let grains = |bytes: u64| u32::try_from(bytes / GRAIN).unwrap_or(u32::MAX);
        let shape = Shape {
            first: grains(FIRST_FRAME),
            end: grains(segment_size),
        };
        let places = (options.max_unsynced_segments as usize + 2).next_power_of_two();
        let core = Core::new(shape, self.end, SLOT_COUNT, places);
        let taken = core
            .window()
            .install(self.segment.id(), Arc::clone(&self.segment))
            .is_err();
        debug_assert!(!taken, "a new window is empty");
        if self.room == Remaining::Sealed {
            core.seal_at_open(self.end);
        }
        core
    }
}

fn limits(options: &WalOptions) -> GatherLimits {
    let gather = options.gather;
    GatherLimits {
        max_wait: gather.max_wait,
        max_waiters: gather.max_waiters,
        max_bytes: gather.max_bytes,
    }
}

fn patience(options: &WalOptions) -> Patience {
    match options.on_full {
        OnFull::Fail => Patience::None,
        OnFull::Block { timeout } => {
            Patience::ForNs(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX))
        }
    }
}

/// Tells the logs of a process apart.
fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};

    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Relaxed: only a number.
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
