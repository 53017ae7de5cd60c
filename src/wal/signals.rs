//! [`Signals`]: how work reaches the threads of a log.
//!
//! # Memory orderings
//! A request is a bit, set (Release) and then announced on the thread's word; the thread takes all bits (Acquire) after it
//! read the word, so none is lost.

use std::time::Duration;

use crate::sync::thread::{self, JoinHandle};
use crate::sync::{AtomicBool, AtomicU32, Mutex, Ordering};
use crate::sys::futex;

/// Something to do in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Make segments ready.
    Prepare,
    /// Sync what is published.
    Sync,
    /// Make `COOKIE` durable.
    SyncCookie,
    /// Make durable what callbacks wait for.
    Wishes,
    /// Move the head out of a segment that holds no record any more.
    FollowHead,
}

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staffing {
    /// Threads of the log's own.
    Threads,
    /// Whoever asks, at once.
    #[cfg(feature = "fault")]
    Inline,
}

/// How the prefaulter sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// For a tick: the tail moves.
    Ticking,
    /// Until the tail moves.
    Resting,
}

/// A word to sleep on.
#[derive(Debug, Default)]
pub(crate) struct Signal(AtomicU32);

impl Signal {
    fn read(&self) -> u32 {
        // Acquire: pairs with `raise`.
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self) {
        // Release: pairs with `read`.
        self.0.fetch_add(1, Ordering::Release);
        futex::wake(&self.0, futex::ALL);
    }

    /// Works until `has_ended`, resting as each step says.
    ///
    /// The word is read before anything is looked at, the end included: whoever ends the log raises the signal after, and
    /// what was read before that does not put the thread to sleep.
    pub(crate) fn serve(&self, has_ended: impl Fn() -> bool, mut step: impl FnMut() -> Rest) {
        loop {
            let seen = self.read();
            if has_ended() {
                return;
            }
            let timeout = match step() {
                Rest::Not => continue,
                Rest::UntilRaised => None,
                Rest::For(timeout) => Some(timeout),
            };
            futex::wait(&self.0, seen, timeout);
        }
    }
}

/// What a thread does after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The next step.
    Not,
    /// Sleep until the signal is raised.
    UntilRaised,
    /// The same, for so long at most.
    For(Duration),
}

impl Rest {
    /// The shorter of two.
    pub(crate) fn at_most(self, other: Self) -> Self {
        match (self, other) {
            (Self::Not, _) | (_, Self::Not) => Self::Not,
            (Self::For(a), Self::For(b)) => Self::For(a.min(b)),
            (Self::For(timeout), Self::UntilRaised) | (Self::UntilRaised, Self::For(timeout)) => {
                Self::For(timeout)
            }
            (Self::UntilRaised, Self::UntilRaised) => Self::UntilRaised,
        }
    }
}

/// What the sync thread is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked(u32);

const SYNC: u32 = 1;
const COOKIE: u32 = 2;
const WISHES: u32 = 4;
const HEAD: u32 = 8;

impl Asked {
    pub(crate) fn is_nothing(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn sync(self) -> bool {
        self.0 & SYNC != 0
    }

    pub(crate) fn cookie(self) -> bool {
        self.0 & COOKIE != 0
    }

    pub(crate) fn wishes(self) -> bool {
        self.0 & WISHES != 0
    }

    pub(crate) fn head(self) -> bool {
        self.0 & HEAD != 0
    }
}

/// The words of a log's threads, and the threads.
#[derive(Debug)]
pub(crate) struct Signals {
    staffing: Staffing,
    pub(crate) prepare: Signal,
    pub(crate) sync: Signal,
    pub(crate) prefault: Signal,
    asked: AtomicU32,
    prefault_rests: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Signals {
    pub(crate) fn new(staffing: Staffing) -> Self {
        Self {
            staffing,
            prepare: Signal::default(),
            sync: Signal::default(),
            prefault: Signal::default(),
            asked: AtomicU32::new(0),
            prefault_rests: AtomicBool::new(false),
            threads: Mutex::new(Vec::new()),
        }
    }

    pub(crate) fn staffing(&self) -> Staffing {
        self.staffing
    }

    /// Asks a thread for something.
    pub(crate) fn ask(&self, request: Request) {
        let bit = match request {
            Request::Prepare => return self.prepare.raise(),
            Request::Sync => SYNC,
            Request::SyncCookie => COOKIE,
            Request::Wishes => WISHES,
            Request::FollowHead => HEAD,
        };
        // Release: pairs with the swap in `take_asked`.
        self.asked.fetch_or(bit, Ordering::Release);
        self.sync.raise();
    }

    /// What the sync thread was asked for since it last took it.
    pub(crate) fn take_asked(&self) -> Asked {
        // Acquire: pairs with `ask`.
        Asked(self.asked.swap(0, Ordering::Acquire))
    }

    /// Says that the tail moves.
    pub(crate) fn moved(&self) {
        // Relaxed: only saves a wake-up; a stale value costs some faults.
        if self.prefault_rests.load(Ordering::Relaxed) {
            self.prefault.raise();
        }
    }

    /// Says how the prefaulter sleeps.
    pub(crate) fn set_pace(&self, pace: Pace) {
        // Relaxed: see `moved`.
        self.prefault_rests
            .store(pace == Pace::Resting, Ordering::Relaxed);
    }

    /// Wakes all threads, because the log has ended.
    pub(crate) fn rouse(&self) {
        for signal in [&self.prepare, &self.sync, &self.prefault] {
            signal.raise();
        }
    }

    pub(crate) fn add_thread(&self, thread: JoinHandle<()>) {
        self.threads.lock().push(thread);
    }

    /// Waits for the threads to end, except for the one that calls.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        let me = thread::current().id();
        for thread in threads
            .into_iter()
            .filter(|thread| thread.thread().id() != me)
        {
            // A panic was turned into poison by the thread itself.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The end comes right after it was looked for: a thread that read the word later slept for ever.
    #[test]
    fn an_end_between_the_look_and_the_sleep_is_not_missed() {
        let signal = Signal::default();
        let (looks, steps) = (Cell::new(0), Cell::new(0));
        let has_ended = || {
            looks.set(looks.get() + 1);
            if looks.get() == 1 {
                signal.raise();
            }
            looks.get() > 1
        };
        signal.serve(has_ended, || {
            steps.set(steps.get() + 1);
            Rest::UntilRaised
        });
        assert_eq!((looks.get(), steps.get()), (2, 1));
    }
}
