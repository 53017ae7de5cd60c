//! [`Depth`]: how many segments are kept ready beyond the reserve.
//!
//! The options say the least. An append that finds no segment ready although there is room for one is a miss: the preparer
//! began too late, and a deeper queue is the head start that it needs. So each miss adds one, up to [`GROWTH`] times the
//! least. After [`CALM_ROTATIONS`] rotations, or after [`CALM_NS`], without a miss it is one less: the depth goes up within a
//! burst, comes down over many, and a log that stands still keeps nothing more for reuse than the options say.
//!
//! Ready segments are never removed, since their ids come next. When the depth falls those beyond it are used without being
//! replaced, and the files that discards give back are removed.
//!
//! # Invariants
//! * Q1. `least ≤ value ≤ most`.
//! * Q2. Behind each segment a miss counts once, however many appends wait there and however often they look.

use crate::sync::Mutex;

/// The most, in multiples of the least.
const GROWTH: usize = 4;
/// So many rotations without a miss take one segment off.
const CALM_ROTATIONS: u32 = 64;
/// And so does a minute.
const CALM_NS: u64 = 60_000_000_000;

/// How many segments are kept ready.
#[derive(Debug)]
pub(crate) struct Depth {
    least: usize,
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    value: usize,
    /// Since the last miss, or since the value last fell.
    calm_rotations: u32,
    /// The same, as a time.
    calm_since_ns: u64,
    /// The segment behind which nothing was ready last.
    missed_behind: Option<u32>,
}

impl State {
    fn begin_calm(&mut self, now_ns: u64) {
        self.calm_rotations = 0;
        self.calm_since_ns = now_ns;
    }
}

impl Depth {
    /// From `least`, which the options say, to [`GROWTH`] times as many, but not beyond `room`.
    pub(crate) fn new(least: usize, room: usize) -> Self {
        let state = State {
            value: least,
            calm_rotations: 0,
            calm_since_ns: 0,
            missed_behind: None,
        };
        Self {
            least,
            most: (GROWTH * least).min(room).max(least),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn value(&self) -> usize {
        self.state.lock().value
    }

    /// Nothing was ready behind segment `id`.
    pub(crate) fn miss(&self, id: u32, now_ns: u64) {
        let mut state = self.state.lock();
        if state.missed_behind.replace(id) == Some(id) {
            return;
        }
        state.begin_calm(now_ns);
        state.value = (state.value + 1).min(self.most);
    }

    /// What is missing behind segment `id` was not asked for before: no deeper queue would have it.
    pub(crate) fn excuse(&self, id: u32) {
        self.state.lock().missed_behind = Some(id);
    }

    /// A segment was rotated into.
    pub(crate) fn rotated(&self, now_ns: u64) {
        let mut state = self.state.lock();
        state.calm_rotations += 1;
        if state.calm_rotations >= CALM_ROTATIONS {
            self.fall(&mut state, now_ns);
        }
    }

    /// Lets the depth fall if it is time for that; how long until it may fall again, if it may.
    pub(crate) fn settle(&self, now_ns: u64) -> Option<u64> {
        let mut state = self.state.lock();
        if state.value == self.least {
            return None;
        }
        let calm_ns = now_ns.saturating_sub(state.calm_since_ns);
        if calm_ns < CALM_NS {
            return Some(CALM_NS - calm_ns);
        }
        self.fall(&mut state, now_ns);
        (state.value > self.least).then_some(CALM_NS)
    }

    /// There is no room for more than the least.
    pub(crate) fn fall_back(&self) {
        self.state.lock().value = self.least;
    }

    fn fall(&self, state: &mut State, now_ns: u64) {
        state.begin_calm(now_ns);
        state.value = (state.value - 1).max(self.least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_miss_adds_one_segment_up_to_a_limit() {
        let depth = Depth::new(2, 64);
        let values = (1..=8).map(|id| {
            depth.miss(id, 0);
            depth.value()
        });
        assert_eq!(values.collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 8, 8]);
        let narrow = Depth::new(2, 3);
        (1..=8).for_each(|id| narrow.miss(id, 0));
        assert_eq!(narrow.value(), 3, "the queue has no more room");
    }

    #[test]
    fn a_miss_counts_once_for_each_segment_and_never_behind_an_excused_one() {
        let depth = Depth::new(1, 64);
        depth.excuse(1);
        (0..100).for_each(|_| depth.miss(1, 0));
        assert_eq!(depth.value(), 1);
        (0..100).for_each(|_| depth.miss(2, 0));
        assert_eq!(depth.value(), 2);
        depth.miss(3, 0);
        assert_eq!(depth.value(), 3);
        depth.fall_back();
        assert_eq!(depth.value(), 1);
    }

    #[test]
    fn rotations_without_a_miss_take_segments_off_slowly() {
        let depth = Depth::new(2, 64);
        (1..=3).for_each(|id| depth.miss(id, 0));
        let rotate = |count| (0..count).for_each(|_| depth.rotated(0));
        rotate(CALM_ROTATIONS - 1);
        assert_eq!(depth.value(), 5);
        depth.miss(4, 0);
        rotate(CALM_ROTATIONS - 1);
        assert_eq!(depth.value(), 6, "a miss ends the calm");
        rotate(1);
        assert_eq!(depth.value(), 5);
        rotate(100 * CALM_ROTATIONS);
        assert_eq!(depth.value(), 2, "no less than the least");
    }

    #[test]
    fn time_without_a_miss_takes_segments_off_slowly() {
        let depth = Depth::new(2, 64);
        assert_eq!(depth.settle(u64::MAX), None, "nothing to take off");
        depth.miss(1, 1000);
        depth.miss(2, 2000);
        assert_eq!(depth.settle(2000), Some(CALM_NS));
        assert_eq!(depth.settle(1999 + CALM_NS), Some(1));
        assert_eq!(depth.value(), 4);
        assert_eq!(depth.settle(2000 + CALM_NS), Some(CALM_NS));
        assert_eq!(depth.value(), 3);
        assert_eq!(depth.settle(2000 + 2 * CALM_NS), None);
        assert_eq!(depth.value(), 2);
    }
}
