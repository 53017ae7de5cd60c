//! [`ModelHost`]: waiting and time for models.
//!
//! Waiting means what a futex means: compare and sleep in one step, with nothing released in that step. A condition
//! variable in the core's place would hide lost wake-ups, because it gives its mutex up as it goes to sleep.
//!
//! * H1. The comparison and the entry into the list of sleepers are one step under the lock, and so is each wake-up.
//! * H2. A wake-up reaches sleepers on its own word only, in the order in which they came, and is not remembered.
//! * H3. A bounded wait polls. It may report a time-out although it was chosen at the same moment, as hosts may.
//! * H4. Each look at the clock and each pause moves it by [`STEP_NS`], so every bounded wait ends.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex, MutexGuard};
use segwal::internals::{Host, Sleepers, Waited};

/// How far the clock moves when somebody looks or pauses.
pub const STEP_NS: u64 = 1_000;

/// A deadline that never comes; a wait for it sleeps, and does not poll.
pub const FOREVER: u64 = u64::MAX;

/// Waiting and time.
#[derive(Debug)]
pub struct ModelHost {
    sleepers: Mutex<Vec<Sleeper>>,
    // Not the checker's, like those below: no part of what is explored.
    now_ns: AtomicU64,
    slept: AtomicU64,
    chosen_alone: AtomicU64,
    paused: AtomicU64,
}

#[derive(Debug)]
struct Sleeper {
    word: usize,
    chosen: bool,
    bell: Arc<Condvar>,
}

type Sleeping<'a> = MutexGuard<'a, Vec<Sleeper>>;

impl Default for ModelHost {
    fn default() -> Self {
        Self::new()
    }
}

impl ModelHost {
    /// Nobody sleeps, at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sleepers: Mutex::new(Vec::new()),
            now_ns: AtomicU64::new(0),
            slept: AtomicU64::new(0),
            chosen_alone: AtomicU64::new(0),
            paused: AtomicU64::new(0),
        }
    }

    /// How often a thread went to sleep.
    pub fn slept(&self) -> u64 {
        // Relaxed: a count for the states that a model marks.
        self.slept.load(Ordering::Relaxed)
    }

    /// How often a wake-up for one reached one.
    pub fn chosen_alone(&self) -> u64 {
        // Relaxed: as `slept`.
        self.chosen_alone.load(Ordering::Relaxed)
    }

    /// How often a thread paused while it polled.
    pub fn paused(&self) -> u64 {
        // Relaxed: as `slept`.
        self.paused.load(Ordering::Relaxed)
    }

    /// Lets `steps` of the clock pass.
    pub fn spend(&self, steps: u64) -> u64 {
        // Relaxed: time orders nothing.
        self.now_ns.fetch_add(steps * STEP_NS, Ordering::Relaxed)
    }

    /// How many sleep, on whatever word.
    pub fn sleeping(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> Sleeping<'_> {
        self.sleepers.lock().expect("no model unwinds")
    }

    fn poll<'a>(
        &'a self,
        mut sleepers: Sleeping<'a>,
        bell: &Arc<Condvar>,
        deadline_ns: u64,
    ) -> Waited {
        loop {
            if self.now_ns() >= deadline_ns {
                sleepers.retain(|sleeper| !Arc::ptr_eq(&sleeper.bell, bell));
                return Waited::TimedOut;
            }
            if leave_if_chosen(&mut sleepers, bell) {
                return Waited::Woken;
            }
            drop(sleepers);
            self.pause(0);
            sleepers = self.lock();
        }
    }
}

impl Host for ModelHost {
    fn wait(&self, word: &AtomicU32, expected: u32, deadline_ns: Option<u64>) -> Waited {
        let mut sleepers = self.lock();
        // Relaxed: whoever woke before changed the word before it took the lock.
        if word.load(Ordering::Relaxed) != expected {
            return Waited::Woken;
        }
        // Relaxed: as `slept`.
        self.slept.fetch_add(1, Ordering::Relaxed);
        let bell = Arc::new(Condvar::new());
        sleepers.push(Sleeper {
            word: address_of(word),
            chosen: false,
            bell: Arc::clone(&bell),
        });
        match deadline_ns {
            None | Some(FOREVER) => sleep(sleepers, &bell),
            Some(deadline_ns) => self.poll(sleepers, &bell, deadline_ns),
        }
    }

    fn wake(&self, word: &AtomicU32, reach: Sleepers) {
        let mut sleepers = self.lock();
        let word = address_of(word);
        let count = match reach {
            Sleepers::One => 1,
            Sleepers::All => usize::MAX,
        };
        let asleep = sleepers
            .iter_mut()
            .filter(|sleeper| sleeper.word == word && !sleeper.chosen);
        for sleeper in asleep.take(count) {
            sleeper.chosen = true;
            sleeper.bell.notify_one();
            if reach == Sleepers::One {
                // Relaxed: as `slept`.
                self.chosen_alone.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn now_ns(&self) -> u64 {
        self.spend(1)
    }

    fn pause(&self, _turn: u32) {
        self.spend(1);
        // Relaxed: as `slept`.
        self.paused.fetch_add(1, Ordering::Relaxed);
        loom::thread::yield_now();
    }
}

fn sleep(mut sleepers: Sleeping<'_>, bell: &Arc<Condvar>) -> Waited {
    while !leave_if_chosen(&mut sleepers, bell) {
        sleepers = bell.wait(sleepers).expect("no model unwinds");
    }
    Waited::Woken
}

fn leave_if_chosen(sleepers: &mut Vec<Sleeper>, bell: &Arc<Condvar>) -> bool {
    let index = sleepers
        .iter()
        .position(|sleeper| sleeper.chosen && Arc::ptr_eq(&sleeper.bell, bell));
    index.map(|index| sleepers.remove(index)).is_some()
}

fn address_of(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}
