//! [`Beat`]: when the background syncs by itself, so that a loss is bounded for those who do not wait for syncs.
//!
//! The sync thread keeps it. As long as something waits for a sync it looks at the clock, or at the bytes; when nothing
//! does, it sleeps until the next append stirs it ([`Doze`](crate::log::Doze)): an idle log wakes nobody up.

use std::time::Duration;

use crate::lsn::Lsn;
use crate::options::SyncEvery;
use crate::sys::clock;

use super::shared::Shared;
use super::signals::{Request, Rest, Staffing};

/// How long a thread rests that finds more bytes unsynced than it may, behind a record that is being written.
const TICK: Duration = Duration::from_millis(2);

/// When the next sync is due.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    due_ns: Option<u64>,
}

/// What the sync thread does for [`SyncEvery`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Sync,
    Wait(Duration),
    /// Nothing waits, or too little.
    Doze,
}

impl Beat {
    /// What to do while `unsynced` bytes wait.
    fn turn(&mut self, every: SyncEvery, now_ns: u64, unsynced: u64) -> Turn {
        match every {
            SyncEvery::Interval(interval) if unsynced > 0 => {
                let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
                let due_ns = *self
                    .due_ns
                    .get_or_insert_with(|| now_ns.saturating_add(interval_ns));
                if now_ns < due_ns {
                    return Turn::Wait(Duration::from_nanos(due_ns - now_ns));
                }
                self.due_ns = None;
                Turn::Sync
            }
            SyncEvery::Bytes(limit) if unsynced >= limit => Turn::Sync,
            _ => {
                self.due_ns = None;
                Turn::Doze
            }
        }
    }
}

impl Shared {
    /// After each append of a frame that ends at `end`.
    #[inline]
    pub(crate) fn appended(&self, end: Lsn) {
        match self.options.sync_every {
            SyncEvery::Never => {}
            SyncEvery::Interval(_) => {
                if self.doze.stir() {
                    self.signals.sync.raise();
                }
            }
            SyncEvery::Bytes(limit) => {
                if self.bytes_up_to(end) >= limit {
                    self.sync_for_bytes();
                }
            }
        }
    }

    #[cold]
    fn sync_for_bytes(&self) {
        if self.signals.staffing() != Staffing::Threads {
            self.request(Request::Sync);
        } else if self.doze.stir() {
            self.signals.sync.raise();
        }
    }

    /// Syncs if that is due, and says how long to rest otherwise.
    pub(crate) fn beat(&self, beat: &mut Beat) -> Rest {
        let every = self.options.sync_every;
        if every == SyncEvery::Never {
            return Rest::UntilRaised;
        }
        let end = self.doze.settle(&self.core);
        let turn = beat.turn(every, clock::now_ns(), self.bytes_up_to(end));
        if turn == Turn::Doze {
            return Rest::UntilRaised;
        }
        self.doze.rouse();
        if let Turn::Wait(rest) = turn {
            return Rest::For(rest);
        }
        let before = self.gate.durable();
        self.counters.background_syncs.add(1);
        // A failure has poisoned the log, which ends the loop.
        drop(self.make_durable(self.core.published(), None));
        if self.gate.durable() == before {
            Rest::For(TICK)
        } else {
            Rest::Not
        }
    }

    /// The bytes of frames from the durable bound up to `end`; a little more if they lie in several segments.
    fn bytes_up_to(&self, end: Lsn) -> u64 {
        let durable = self.gate.durable();
        let segments = u64::from(end.segment().saturating_sub(durable.segment()));
        (segments * self.manifest.segment_size + end.offset()).saturating_sub(durable.offset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_counts_from_the_first_append_and_an_idle_log_rests() {
        let every = SyncEvery::Interval(Duration::from_nanos(100));
        let mut beat = Beat::default();
        assert_eq!(beat.turn(every, 0, 0), Turn::Doze);
        assert_eq!(
            beat.turn(every, 10, 1),
            Turn::Wait(Duration::from_nanos(100))
        );
        assert_eq!(
            beat.turn(every, 60, 8),
            Turn::Wait(Duration::from_nanos(50))
        );
        assert_eq!(beat.turn(every, 110, 8), Turn::Sync);
        assert_eq!(
            beat.turn(every, 115, 8),
            Turn::Wait(Duration::from_nanos(100))
        );
        assert_eq!(beat.turn(every, 120, 0), Turn::Doze, "somebody else synced");
        assert_eq!(
            beat.turn(every, 500, 8),
            Turn::Wait(Duration::from_nanos(100))
        );
    }

    #[test]
    fn bytes_count_from_the_durable_bound() {
        let every = SyncEvery::Bytes(100);
        let mut beat = Beat::default();
        assert_eq!(beat.turn(every, 0, 99), Turn::Doze);
        assert_eq!(beat.turn(every, 0, 100), Turn::Sync);
        assert_eq!(beat.turn(SyncEvery::Never, 0, u64::MAX), Turn::Doze);
    }
}
