//! [`Prefaulter`]: keeps a window of writable pages ahead of the tail.
//!
//! The first store into a page costs a fault, some microseconds, or a disk read where the page was evicted. A background
//! thread pays it ahead, in a window that follows the recent rate, up to [`MAX_WINDOW`]: what a burst made it bring in is there
//! for the next one. A failure to bring pages in is the early warning of what would otherwise be a `SIGBUS` in a writer.

use std::io;
use std::ops::Range;

use crate::format::FIRST_FRAME;
use crate::lsn::Lsn;

use super::Segment;

const MIN_WINDOW: u64 = 64 << 10;
const MAX_WINDOW: u64 = 4 << 20;
const STEP: u64 = 256 << 10;

/// What has been brought in, and how fast the tail moves.
#[derive(Debug, Default)]
pub(crate) struct Prefaulter {
    segment: u32,
    done: u64,
    last: u64,
}

/// Whether there was anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// The tail moved since the last tick.
    Moved,
    /// It did not.
    Idle,
}

impl Prefaulter {
    /// Brings in what is missing ahead of `tail`, which lies in `segment`.
    pub(crate) fn tick(&mut self, tail: Lsn, segment: &Segment) -> io::Result<Tick> {
        let (tick, mut missing) = self.look(tail, segment.id(), segment.size());
        // In steps, so that no single call takes long.
        while !missing.is_empty() {
            let end = (missing.start + STEP).min(missing.end);
            segment.prefault(missing.start..end)?;
            self.done = end;
            missing.start = end;
        }
        Ok(tick)
    }

    /// Whether the tail moved, and what is missing of a window of four times as far, once half of that is used up.
    fn look(&mut self, tail: Lsn, id: u32, size: u64) -> (Tick, Range<u64>) {
        if self.segment != id {
            *self = Self {
                segment: id,
                done: tail.offset().max(FIRST_FRAME),
                last: tail.offset(),
            };
        }
        let moved = tail.offset().saturating_sub(self.last);
        self.last = tail.offset();
        let window = moved.saturating_mul(4).clamp(MIN_WINDOW, MAX_WINDOW);
        let is_due = self.done < tail.offset() + window / 2;
        let goal = (tail.offset() + window).min(size);
        let missing = if is_due {
            self.done.max(tail.offset())..goal
        } else {
            goal..goal
        };
        (if moved == 0 { Tick::Idle } else { Tick::Moved }, missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 64 << 20;
    const KIB: u64 = 1 << 10;

    /// What a prefaulter brings in when the tail of segment 1 is at these offsets, one look after the other.
    fn brought_in(offsets: &[u64]) -> Vec<Option<Range<u64>>> {
        let mut prefaulter = Prefaulter::default();
        let look = |offset: &u64| {
            let tail = Lsn::new(1, *offset).unwrap();
            let (_, missing) = prefaulter.look(tail, 1, SIZE);
            (!missing.is_empty()).then(|| {
                prefaulter.done = missing.end;
                missing
            })
        };
        offsets.iter().map(look).collect()
    }

    #[test]
    fn the_window_is_four_times_what_the_tail_moved_within_limits() {
        let start = FIRST_FRAME;
        let seen = brought_in(&[
            start,
            start + 8 * KIB,
            start + 72 * KIB,
            start + 72 * KIB,
            start + 8264 * KIB,
        ]);
        let expected = [
            Some(start..start + 64 * KIB),
            None,
            Some(start + 72 * KIB..start + (72 + 256) * KIB),
            None,
            Some(start + 8264 * KIB..start + (8264 + 4096) * KIB),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn each_page_is_brought_in_once_and_none_beyond_the_segment() {
        let offsets: Vec<u64> = (1..=64).map(|index| index * SIZE / 64).collect();
        let seen: Vec<_> = brought_in(&offsets).into_iter().flatten().collect();
        assert!(seen.len() > 10, "{seen:?}");
        assert!(
            seen.windows(2).all(|pair| pair[0].end <= pair[1].start),
            "{seen:?}"
        );
        assert_eq!(seen.last().unwrap().end, SIZE);
    }

    #[test]
    fn a_tail_that_stands_still_is_idle_and_one_in_another_segment_begins_anew() {
        let mut prefaulter = Prefaulter::default();
        let mut look = |id, offset| {
            let (tick, missing) = prefaulter.look(Lsn::new(id, offset).unwrap(), id, SIZE);
            prefaulter.done = prefaulter.done.max(missing.end);
            (tick, missing)
        };
        look(1, 1 << 20);
        assert_eq!(look(1, 1 << 20).0, Tick::Idle);
        assert_eq!(look(1, 2 << 20).0, Tick::Moved);
        let (tick, missing) = look(2, FIRST_FRAME);
        assert_eq!(tick, Tick::Idle);
        assert_eq!(missing, FIRST_FRAME..FIRST_FRAME + MIN_WINDOW);
    }
}
