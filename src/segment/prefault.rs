//! [`Prefaulter`]: keeps a window of writable pages ahead of the tail.
//!
//! The first store into a page costs a fault, some microseconds, or a disk read where the page was evicted. A background
//! thread pays it ahead, in a window sized by the recent rate. A failure to bring pages in is the early warning of what
//! would otherwise be a `SIGBUS` in a writer.

use std::io;

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
        if self.segment != segment.id() {
            *self = Self {
                segment: segment.id(),
                done: tail.offset().max(FIRST_FRAME),
                last: tail.offset(),
            };
        }
        let moved = tail.offset().saturating_sub(self.last);
        self.last = tail.offset();
        let window = moved.saturating_mul(4).clamp(MIN_WINDOW, MAX_WINDOW);
        let goal = (tail.offset() + window).min(segment.size());
        // Refill only when half of the window is used up, in steps, so that no single call takes long.
        if self.done < tail.offset() + window / 2 {
            let mut start = self.done.max(tail.offset());
            while start < goal {
                let end = (start + STEP).min(goal);
                segment.prefault(start..end)?;
                start = end;
            }
            self.done = goal.max(self.done);
        }
        Ok(if moved == 0 { Tick::Idle } else { Tick::Moved })
    }
}
