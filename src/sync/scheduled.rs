//! Synchronisation of a test scheduler in place of the standard library's: every operation on these types is a point at
//! which another thread may go on.
//!
//! The threads of an execution are run by one thread of the system, so what is not named here, such as the queues of
//! `crossbeam`, is one step to the scheduler. There is no time: a clock that goes on with each look, a timed sleep that ends
//! when the others had many turns, and then the clock stands where the sleeper wanted it.

use std::cell::Cell;
use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use shuttle::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
pub(crate) use shuttle::{hint, thread_local};
pub(crate) use std::sync::Arc;

/// As the standard library's here: a holder's panic is not an error of the next one.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) type MutexGuard<'a, T> = shuttle::sync::MutexGuard<'a, T>;

/// A schedule has no time to lose.
pub(crate) const PATIENT_TURNS: u32 = 2;

/// The number of the thread in its execution.
pub(crate) fn thread_hint() -> usize {
    usize::from(thread::current().id())
}

/// Threads; one that sleeps by time alone lets the others go on.
pub(crate) mod thread {
    pub(crate) use shuttle::thread::*;

    use super::{Duration, clock};

    /// Lets time pass.
    pub(crate) fn sleep(time: Duration) {
        clock::reach(clock::after(time));
        yield_now();
    }
}

/// Time, as far as an execution has any.
pub(crate) mod clock {
    use super::{Cell, Duration};

    /// How far a look at the clock moves it on.
    const STEP_NS: u64 = 1_000_000;

    // Only differences are used, so that it need not begin anew with each execution.
    std::thread_local!(static NOW_NS: Cell<u64> = const { Cell::new(1) });

    /// Nanoseconds since some moment.
    pub(crate) fn now_ns() -> u64 {
        reach(after(Duration::from_nanos(STEP_NS)));
        NOW_NS.get()
    }

    /// The moment after so much time.
    pub(crate) fn after(time: Duration) -> u64 {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        NOW_NS.get().saturating_add(nanoseconds)
    }

    /// Lets time pass up to a moment.
    pub(crate) fn reach(moment_ns: u64) {
        NOW_NS.set(NOW_NS.get().max(moment_ns));
    }
}

/// Waiting on a word with the meaning of the system's: the word is compared and the thread put to sleep under a lock that a
/// waker takes too, so a wake-up which did not change the word first can be lost here as it can there.
pub(crate) mod futex {
    use super::{Arc, AtomicU32, Duration, Mutex, Ordering, clock, thread};

    /// Why [`wait`] returned.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Wake {
        /// A waker called.
        Woken,
        /// The word did not have the expected value.
        Changed,
        /// The time is over.
        TimedOut,
    }

    /// As many sleepers as there are.
    pub(crate) const ALL: u32 = u32::MAX;

    /// A timed sleep may end after so many turns of others, the shortest first.
    const TURNS: u32 = 100;

    /// One that is so long that only somebody who was forgotten reaches its end gives way to others, and what they have to do
    /// yet, for longer.
    const LONG: Duration = Duration::from_secs(10_000);
    const LONG_TURNS: u32 = 50 * TURNS;

    struct Sleeper {
        word: usize,
        deadline_ns: u64,
        thread: thread::Thread,
        is_woken: Arc<AtomicU32>,
    }

    shuttle::lazy_static! {
        static ref SLEEPERS: Mutex<Vec<Sleeper>> = Mutex::new(Vec::new());
    }

    fn address(word: &AtomicU32) -> usize {
        std::ptr::from_ref(word).addr()
    }

    /// Sleeps while `word` is `expected`, at most for `timeout`.
    pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wake {
        let mut sleepers = SLEEPERS.lock();
        // Relaxed: as the system's, the comparison orders nothing.
        if word.load(Ordering::Relaxed) != expected {
            return Wake::Changed;
        }
        let is_woken = Arc::new(AtomicU32::new(0));
        let deadline_ns = timeout.map(|timeout| clock::after(timeout));
        sleepers.push(Sleeper {
            word: address(word),
            deadline_ns: deadline_ns.unwrap_or(u64::MAX),
            thread: thread::current(),
            is_woken: Arc::clone(&is_woken),
        });
        drop(sleepers);
        match deadline_ns {
            None => {
                while !is_set(&is_woken) {
                    thread::park();
                }
                Wake::Woken
            }
            Some(deadline_ns) => {
                let is_long = timeout.is_some_and(|timeout| timeout >= LONG);
                let turns = if is_long { LONG_TURNS } else { TURNS };
                doze(&is_woken, deadline_ns, turns)
            }
        }
    }

    fn is_set(is_woken: &AtomicU32) -> bool {
        // Acquire: pairs with the store in `wake`.
        is_woken.load(Ordering::Acquire) == 1
    }

    /// Lets others go on until one of them wakes this thread, or its time has come.
    fn doze(is_woken: &Arc<AtomicU32>, deadline_ns: u64, turns: u32) -> Wake {
        loop {
            for _ in 0..turns {
                if is_set(is_woken) {
                    return Wake::Woken;
                }
                thread::yield_now();
            }
            let mut sleepers = SLEEPERS.lock();
            if is_set(is_woken) {
                return Wake::Woken;
            }
            let is_first = sleepers
                .iter()
                .all(|other| deadline_ns <= other.deadline_ns);
            if is_first {
                sleepers.retain(|sleeper| !Arc::ptr_eq(&sleeper.is_woken, is_woken));
                clock::reach(deadline_ns);
                return Wake::TimedOut;
            }
        }
    }

    /// Wakes at most `count` threads that wait on `word`, the longest sleeping first; returns how many.
    pub(crate) fn wake(word: &AtomicU32, count: u32) -> u32 {
        let mut woken = 0;
        SLEEPERS.lock().retain(|sleeper| {
            let chosen = sleeper.word == address(word) && woken < count;
            if chosen {
                woken += 1;
                // Release: pairs with the load in `is_set`.
                sleeper.is_woken.store(1, Ordering::Release);
                sleeper.thread.unpark();
            }
            !chosen
        });
        woken
    }
}
