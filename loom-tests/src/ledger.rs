//! [`Ledger`]: a device and a log of words, for models of group commit.
//!
//! A record is one step of a word, filled as it is reserved, so that these models explore the gate and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use segwal::internals::{Ending, Gate, GatherLimits, Wish, Work};
use segwal::{Error, Lsn, Result};

use crate::host::ModelHost;
use crate::world::at;

/// What the device does with a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// Every one succeeds.
    Never,
    /// Every one fails.
    Always,
}

/// So many steps of the clock pass in a sync, so that a gathering leader polls once or twice.
const SYNC_STEPS: u64 = 7;

/// A gate and what it borrows.
#[derive(Debug)]
pub struct Ledger {
    /// Group commit.
    pub gate: Gate,
    /// Poison and close.
    pub ending: Ending,
    /// Waiting and time.
    pub host: ModelHost,
    /// Everything below is filled.
    end: loom::sync::atomic::AtomicU64,
    failing: Failing,
    /// One sync at a time. Not the checker's, like those below: what a device holds is no shared memory.
    syncing: AtomicBool,
    flushed: AtomicU64,
    answered: AtomicU32,
}

impl Ledger {
    /// An empty log.
    #[must_use]
    pub fn new(failing: Failing) -> Arc<Self> {
        Self::beginning(at(1, 0), failing)
    }

    /// An empty log that begins at `first`.
    #[must_use]
    pub fn beginning(first: Lsn, failing: Failing) -> Arc<Self> {
        let limits = GatherLimits {
            max_wait: Duration::from_secs(1),
            max_waiters: u32::MAX,
            max_bytes: u64::MAX,
        };
        Arc::new(Self {
            gate: Gate::new(first, limits),
            ending: Ending::new(),
            host: ModelHost::new(),
            end: loom::sync::atomic::AtomicU64::new(first.to_word()),
            failing,
            syncing: AtomicBool::new(false),
            flushed: AtomicU64::new(first.to_word()),
            answered: AtomicU32::new(0),
        })
    }

    /// Writes a record of one grain.
    ///
    /// # Panics
    /// Never: the word begins in segment 1.
    pub fn append(&self) -> Lsn {
        // AcqRel: as the core's tail.
        let word = self.end.fetch_add(1, Ordering::AcqRel);
        Lsn::from_word(word).expect("segment 1")
    }

    /// Waits until the record at `lsn` is durable, with `work` as the device.
    ///
    /// # Errors
    /// As the gate's.
    ///
    /// # Panics
    /// If the gate says so and it is not.
    #[expect(clippy::panic_in_result_fn, reason = "a false answer fails the model")]
    pub fn pass_with(&self, lsn: Lsn, deadline_ns: Option<u64>, work: &dyn Work) -> Result<()> {
        let wish = Wish { lsn, deadline_ns };
        self.gate.pass(wish, &self.ending, &self.host, work)?;
        assert!(lsn < self.flushed(), "{lsn} is reported but not flushed");
        Ok(())
    }

    /// Waits until the record at `lsn` is durable.
    ///
    /// # Errors
    /// As the gate's.
    pub fn pass(&self, lsn: Lsn) -> Result<()> {
        self.pass_with(lsn, None, self)
    }

    /// The most that one sync answered.
    pub fn most_answered(&self) -> u32 {
        // Relaxed: a number for the states that a model marks.
        self.answered.load(Ordering::Relaxed)
    }

    fn flushed(&self) -> Lsn {
        // Relaxed: the device's state; the order is the gate's affair.
        Lsn::from_word(self.flushed.load(Ordering::Relaxed)).expect("segment 1")
    }
}

impl Work for Ledger {
    fn frontier(&self) -> Lsn {
        // Acquire: as the core's frontier.
        let word = self.end.load(Ordering::Acquire);
        Lsn::from_word(word).expect("segment 1")
    }

    #[expect(clippy::panic_in_result_fn, reason = "a second leader fails the model")]
    fn flush(&self, from: Lsn, to: Lsn) -> Result<()> {
        // Relaxed: the checker runs one thread at a time.
        assert!(!self.syncing.swap(true, Ordering::Relaxed), "two leaders");
        assert_eq!(
            from,
            self.flushed(),
            "a sync begins where the last one ended"
        );
        self.host.spend(SYNC_STEPS);
        // A sync takes long enough for everybody else to do something.
        self.host.sleeping();
        // Relaxed: as above.
        self.syncing.store(false, Ordering::Relaxed);
        match self.failing {
            Failing::Never => {
                // Relaxed: as above.
                self.flushed.store(to.to_word(), Ordering::Relaxed);
                Ok(())
            }
            Failing::Always => Err(some_error()),
        }
    }

    fn advanced(&self, _from: Lsn, _to: Lsn, answered: u32) {
        // Relaxed: as `most_answered`.
        self.answered.fetch_max(answered, Ordering::Relaxed);
    }
}

/// An error for a device to fail with. Errors are made by the crate alone, so this is one that it gives.
///
/// # Panics
/// Never: a log that is closed twice says so.
#[must_use]
pub fn some_error() -> Error {
    let ending = Ending::new();
    ending.close().expect("the first time");
    ending.close().expect_err("the second time")
}
