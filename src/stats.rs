//! [`Stats`]: what a log has done since it was opened.
//!
//! Nothing is counted on the path of an append: every counter changes at a sync, at a rotation, or in the background.

use crate::lsn::Lsn;
use crate::sync::{AtomicU64, Ordering};

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        // Relaxed: a figure for people; nothing is read through it.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        // Relaxed: as `add`.
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one open log.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        /// What a log has done since it was opened, and what it holds now.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Calls that waited for a sync and got it: divided by `syncs`, the commits for each sync.
            pub commits: u64,
            /// Segments that hold records which were not discarded, the active one included.
            pub retained_segments: u64,
            /// Segments that are ready to be rotated into.
            pub ready_segments: u64,
            /// Segments that are to be ready beyond the reserve: `preallocate_segments`, and more after appends found none.
            pub ready_target: u64,
            /// Segments whose records are discarded, waiting to be reused.
            pub recyclable_segments: u64,
            /// Segments that are discarded and kept only by readers.
            pub pinned_segments: u64,
            /// The lowest of the segments that are discarded and kept only by readers; `None` if there is none.
            pub oldest_pinned_segment: Option<u32>,
            /// Where the oldest record begins that is being written now, at the earliest; `None` if none is. The same position
            /// in several snapshots means a writer that hangs.
            pub oldest_busy: Option<Lsn>,
            /// Tails that wait: threads, and tasks that are to be woken.
            pub waiting_tails: u64,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.value(),)* ..Stats::default() }
            }
        }
    };
}

counters! {
    /// Successful syncs.
    syncs,
    /// Bytes of frames that syncs covered.
    synced_bytes,
    /// Nanoseconds spent in syncs.
    sync_ns,
    /// Syncs that the background began.
    background_syncs,
    /// Segments rotated into.
    rotations,
    /// Segments made by creating a file.
    created_segments,
    /// Segments made by reusing a file whose records were discarded.
    reused_segments,
    /// Bytes of reused segments that were written anew, because the page cache had lost them meanwhile.
    refilled_bytes,
    /// Files removed because they were not needed.
    removed_segments,
    /// Looks at what is published, for tails that wait for it.
    tail_ticks,
    /// Times an append found no segment ready.
    ready_misses,
    /// Times an append found too many segments unsynced.
    backpressure,
    /// Preparations that failed for want of space: the sum of the next three.
    failed_preparations,
    /// Preparations that failed because the file system was full (`ENOSPC`).
    failed_enospc,
    /// Preparations that failed because a quota was used up (`EDQUOT`).
    failed_edquot,
    /// Preparations that failed because of a limit on the size of files (`EFBIG`).
    failed_efbig,
    /// Preparations that were not begun because of `max_wal_bytes`.
    limited_preparations,
    /// Appends that waited for a segment.
    space_waits,
    /// Nanoseconds that they waited.
    space_wait_ns,
    /// Records that [`append_critical`](crate::Wal::append_critical) wrote into the reserve.
    critical_appends,
    /// Times that the log came under pressure because the file system was full.
    enospc_times,
    /// Times that it came under pressure because a quota was used up.
    edquot_times,
    /// Times that it came under pressure because of a limit on the size of files.
    efbig_times,
    /// Times that it came under pressure because of `max_wal_bytes`.
    limit_times,
    /// Nanoseconds under pressure because the file system was full.
    enospc_ns,
    /// Nanoseconds under pressure because a quota was used up.
    edquot_ns,
    /// Nanoseconds under pressure because of a limit on the size of files.
    efbig_ns,
    /// Nanoseconds under pressure because of `max_wal_bytes`.
    limit_ns,
}
