//! [`Rewinds`]: which stretches of an open log are void, and where its last rewind frame stands.
//!
//! # Invariants
//! * Y1. A range is noted before the rewind frame at its end is published. So whoever may read beyond that frame knows the
//!   range, and no reader sees a void record followed by one that was appended after the rewind.
//! * Y2. The last rewind is noted under the rotation's lock (R4), so each activation names the last one before its segment.
//! * Y3. Rewinds come one at a time: each names the one before it.
//!
//! # Memory orderings
//! `void_below` is stored (Release) under the table's lock and loaded (Acquire) by readers. It only saves them the lock; a
//! reader that must see a range has seen the rewind frame published (Y1), or its own thread was told of it.
//! `last` is read and stored under the rotation's lock.

use std::ops::Range;

use crate::lsn::Lsn;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// Disjoint ranges of positions, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VoidRanges(Vec<Range<Lsn>>);

impl VoidRanges {
    /// Adds a range, which may lie within others or touch them.
    pub(crate) fn add(&mut self, range: Range<Lsn>) {
        if range.is_empty() {
            return;
        }
        let first = self.0.partition_point(|known| known.end < range.start);
        let behind = self.0.partition_point(|known| known.start <= range.end);
        let met = &self.0[first..behind];
        let start = met.first().map_or(range.start, |known| known.start);
        let end = met.last().map_or(range.end, |known| known.end);
        let whole = start.min(range.start)..end.max(range.end);
        self.0.splice(first..behind, [whole]);
    }

    /// Where the range that `lsn` lies in ends; `None` if it is not void.
    pub(crate) fn end_of(&self, lsn: Lsn) -> Option<Lsn> {
        let at = self.0.partition_point(|known| known.end <= lsn);
        let range = self.0.get(at).filter(|range| range.start <= lsn);
        range.map(|range| range.end)
    }

    /// Forgets the ranges that lie wholly below `head`.
    pub(crate) fn prune(&mut self, head: Lsn) {
        self.0.retain(|range| range.end > head);
    }

    /// The ranges.
    pub(crate) fn as_slice(&self) -> &[Range<Lsn>] {
        &self.0
    }

    /// The word of the position from which on nothing is void; zero if nothing is.
    fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end.to_word())
    }
}

/// The rewinds of an open log.
#[derive(Debug, Default)]
pub(crate) struct Rewinds {
    /// Held by the thread that rewinds (Y3).
    turn: Mutex<()>,
    /// The last rewind frame, as a word; zero for none.
    last: AtomicU64,
    /// From here on nothing is void, as a word.
    void_below: AtomicU64,
    ranges: Mutex<VoidRanges>,
}

impl Rewinds {
    /// What open found.
    pub(crate) fn new(last: Option<Lsn>, ranges: VoidRanges) -> Self {
        Self {
            turn: Mutex::new(()),
            last: AtomicU64::new(last.map_or(0, Lsn::to_word)),
            void_below: AtomicU64::new(ranges.end()),
            ranges: Mutex::new(ranges),
        }
    }

    /// The right to rewind (Y3).
    pub(crate) fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// The last rewind frame. Asked by whoever rewinds, or rotates.
    pub(crate) fn last(&self) -> Option<Lsn> {
        // Relaxed: stored under the rotation's lock, or by the holder of the turn, one of which the caller has.
        Lsn::from_word(self.last.load(Ordering::Relaxed))
    }

    /// Notes a rewind frame at `at`, not yet published, that makes everything from `from` on void. Under the rotation's
    /// lock (Y1, Y2).
    pub(crate) fn note(&self, from: Lsn, at: Lsn) {
        self.change(|ranges| ranges.add(from..at));
        // Relaxed: see `last`.
        self.last.store(at.to_word(), Ordering::Relaxed);
    }

    /// Where the void range that `lsn` lies in ends, which is a rewind frame; `None` if it is not void.
    #[inline]
    pub(crate) fn end_of(&self, lsn: Lsn) -> Option<Lsn> {
        // Acquire: pairs with `change`.
        if lsn.to_word() >= self.void_below.load(Ordering::Acquire) {
            return None;
        }
        self.ranges.lock().end_of(lsn)
    }

    /// Forgets what lies below the head.
    pub(crate) fn prune(&self, head: Lsn) {
        // Acquire: pairs with `change`.
        if self.void_below.load(Ordering::Acquire) != 0 {
            self.change(|ranges| ranges.prune(head));
        }
    }

    fn change(&self, change: impl FnOnce(&mut VoidRanges)) {
        let mut ranges = self.ranges.lock();
        change(&mut ranges);
        // Release: pairs with `end_of`.
        self.void_below.store(ranges.end(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(grains: u32) -> Lsn {
        Lsn::at(1, grains)
    }

    fn ranges(all: &[(u32, u32)]) -> VoidRanges {
        let mut ranges = VoidRanges::default();
        for &(from, to) in all {
            ranges.add(at(from)..at(to));
        }
        ranges
    }

    #[test]
    fn ranges_are_merged_in_whatever_order_they_come() {
        let merged = ranges(&[(10, 20), (30, 40)]);
        for order in [
            &[(30, 40), (10, 20)][..],
            &[(30, 35), (10, 20), (12, 12), (33, 40)],
            &[(10, 12), (18, 20), (30, 40), (12, 18), (11, 13)],
            &[(10, 20), (30, 31), (39, 40), (30, 40)],
        ] {
            assert_eq!(ranges(order), merged, "{order:?}");
        }
        assert_eq!(ranges(&[(10, 20), (30, 40), (5, 50)]), ranges(&[(5, 50)]));
    }

    #[test]
    fn a_position_is_void_from_the_start_of_a_range_up_to_its_end() {
        let ranges = ranges(&[(10, 20), (30, 40)]);
        for grains in 0..50 {
            let end = match grains {
                10..20 => Some(at(20)),
                30..40 => Some(at(40)),
                _ => None,
            };
            assert_eq!(ranges.end_of(at(grains)), end, "{grains}");
        }
    }

    #[test]
    fn a_range_is_forgotten_when_the_head_has_passed_all_of_it() {
        let rewinds = Rewinds::new(None, ranges(&[(10, 20), (30, 40)]));
        rewinds.prune(at(19));
        assert_eq!(rewinds.end_of(at(19)), Some(at(20)));
        rewinds.prune(at(20));
        assert_eq!(
            (rewinds.end_of(at(19)), rewinds.end_of(at(30))),
            (None, Some(at(40)))
        );
        rewinds.prune(at(60));
        assert_eq!(rewinds.end_of(at(30)), None);
        rewinds.note(at(60), at(70));
        assert_eq!(
            (rewinds.end_of(at(69)), rewinds.last()),
            (Some(at(70)), Some(at(70)))
        );
    }
}
