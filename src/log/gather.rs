//! [`Gather`]: how long a leader waits for those who are on their way back.
//!
//! Those whom one round wakes come back with their next record just after the next leader began its sync, miss it, and
//! from then on half of the writers miss every sync. So a leader first waits for as many as returned within the last
//! two rounds and have not come back: at most a quarter of the median of the last sixteen syncs, and never beyond its
//! limit. A lone writer is back the moment it calls, so it waits for nobody.
//!
//! Only the holder of the gate's lock changes this; the count of those missing is a word beside it, which the polling
//! leader reads.

use std::time::Duration;

/// Limits of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "each is a maximum, and the options have these names"
)]
pub struct GatherLimits {
    /// Never wait longer.
    pub max_wait: Duration,
    /// Stop waiting once so many wait for this sync.
    pub max_waiters: u32,
    /// Stop waiting once so many bytes would be synced.
    pub max_bytes: u64,
}

const REMEMBERED: usize = 16;

/// What the gate remembers for its next leader.
#[derive(Debug, Default)]
pub struct Gather {
    /// Returned by the last round and by the one before, and not back yet.
    away: [u32; 2],
    syncs_ns: [u64; REMEMBERED],
    rounds: u64,
}

impl Gather {
    /// Somebody came: one fewer is missing, the longest missing first.
    pub fn arrive(&mut self) -> u32 {
        if self.away[1] > 0 {
            self.away[1] -= 1;
        } else {
            self.away[0] = self.away[0].saturating_sub(1);
        }
        self.missing()
    }

    /// A round of `count` threads, its leader included, returned after a sync of `sync_ns`.
    pub fn depart(&mut self, count: u32, sync_ns: u64) -> u32 {
        self.away = [count, self.away[0]];
        let slot = usize::try_from(self.rounds % REMEMBERED as u64).unwrap_or(0);
        self.syncs_ns[slot] = sync_ns;
        self.rounds += 1;
        self.missing()
    }

    /// How many are missing.
    pub fn missing(&self) -> u32 {
        self.away[0] + self.away[1]
    }

    /// How long to wait for them.
    pub fn patience_ns(&self, limits: &GatherLimits) -> u64 {
        let limit = u64::try_from(limits.max_wait.as_nanos()).unwrap_or(u64::MAX);
        (self.median_ns() / 4).min(limit)
    }

    fn median_ns(&self) -> u64 {
        let count = usize::try_from(self.rounds)
            .unwrap_or(REMEMBERED)
            .min(REMEMBERED);
        let mut known = self.syncs_ns;
        let known = &mut known[..count];
        known.sort_unstable();
        known.get(count / 2).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GatherLimits = GatherLimits {
        max_wait: Duration::from_micros(200),
        max_waiters: u32::MAX,
        max_bytes: u64::MAX,
    };

    #[test]
    fn a_lone_writer_waits_for_nobody() {
        let mut gather = Gather::default();
        for _ in 0..3 {
            gather.arrive();
            assert_eq!(gather.missing(), 0);
            gather.depart(1, 100_000);
        }
    }

    #[test]
    fn two_halves_become_one_round() {
        let mut gather = Gather::default();
        gather.depart(4, 100_000);
        assert_eq!(gather.missing(), 4);
        (0..4).for_each(|_| {
            gather.arrive();
        });
        assert_eq!(gather.missing(), 0);
    }

    #[test]
    fn who_never_comes_back_is_forgotten_after_two_rounds() {
        let mut gather = Gather::default();
        gather.depart(8, 1);
        gather.depart(1, 1);
        assert_eq!(gather.missing(), 9);
        gather.arrive();
        gather.depart(1, 1);
        assert_eq!(gather.missing(), 2);
    }

    #[test]
    fn one_stalled_sync_does_not_lengthen_the_wait() {
        let mut gather = Gather::default();
        for sync_ns in [100_000, 100_000, 5_000_000_000, 100_000] {
            gather.depart(1, sync_ns);
        }
        assert_eq!(gather.patience_ns(&LIMITS), 25_000);
        (0..16).for_each(|_| {
            gather.depart(1, 2_000_000_000);
        });
        assert_eq!(gather.patience_ns(&LIMITS), 200_000);
    }
}
