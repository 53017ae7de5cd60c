//! Waiting for a condition by giving way to other threads, without sleep; and how long something took.

use std::thread;
use std::time::{Duration, Instant};

/// Yields until `condition` holds, and says whether it did within `limit`.
#[must_use = "a condition that did not come true in time is a failed check"]
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    while !condition() {
        if started.elapsed() >= limit {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// How long it is since it was started.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Started now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_the_condition_holds() {
        let mut turns = 0;
        assert!(wait_until(Duration::from_secs(60), || {
            turns += 1;
            turns == 3
        }));
        assert_eq!(turns, 3);
    }

    #[test]
    fn it_gives_up_when_time_is_over_but_asks_at_least_once() {
        let mut turns = 0;
        assert!(!wait_until(Duration::ZERO, || {
            turns += 1;
            false
        }));
        assert_eq!(turns, 1);
    }
}
