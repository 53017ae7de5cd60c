//! [`Watch`]: where those wait who want a bound to advance, or the log to end: tails, as threads and as tasks.
//!
//! # Protocol
//! Who waits: mark the word, and remember the value that it then has; look (for the bound, for the end, for having been called
//! back); sleep only if the word has not changed since. A task leaves its waker before it marks, and looks after.
//!
//! Who changes what is looked at then *announces*: takes the mark off the word, and if there was one, counts the word up,
//! and only then wakes all. Both sides exchange the same word, so one of them comes first: either the announcer
//! finds the mark, or the waiter, which marks later, finds what was changed before.
//!
//! The *ticker* is a thread that looks in the waiters' stead at what nobody announces. It ticks while somebody waits, and
//! sleeps on a word of its own otherwise, which is changed whenever the count of waiters leaves zero.
//!
//! # Invariants
//! * N1. Nobody sleeps through a change that was announced: the word is marked before looking, and changed before waking.
//! * N2. An announcement that nobody waits for is one exchange: no system call, no lock.
//! * N3. While nobody waits the ticker sleeps; while somebody waits it does not sleep for longer than its interval.
//! * N4. A waker that was left is woken once or taken back, and counts as a waiter as long.
//!
//! # Memory orderings
//! * `announce` (`AcqRel`) ↔ `mark` (`AcqRel`), exchanges of one word: what was changed before the one is seen after the other.
//!   A load in the announcer's place would not do: it may be older than a mark whose owner has already looked.
//! * `ring` (Release) → `serve` (Acquire): who counted itself, or wants a task woken.

use std::task::Waker;

use crate::sync::twin::{self, Twin};
use crate::sync::{AtomicU32, CachePadded, Mutex, Ordering};

use super::host::{Host, Sleepers, Waited};

/// Somebody waits for the next announcement.
const MARK: u32 = 1;
/// One announcement.
const STEP: u32 = 2;

/// Waiting for a bound to advance.
#[derive(Debug)]
pub struct Watch {
    word: CachePadded<AtomicU32>,
    /// Threads that wait, and tasks that left a waker.
    waiting: AtomicU32,
    bell: AtomicU32,
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    next: u64,
    left: Vec<(u64, Waker)>,
    /// Those for whom something was announced, on their way to the ticker.
    due: Vec<Waker>,
}

/// A waker that was left, to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// Whether the ticker goes on ticking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vigil {
    /// Somebody waits.
    Kept,
    /// Nobody does.
    Over,
}

/// Who was announced to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nobody, or threads, which are awake.
    Served,
    /// Tasks too, whose wakers are to be had from [`Watch::take_due`].
    TasksDue,
}

impl Watch {
    /// Nobody waits.
    pub fn new() -> Self {
        Self {
            word: CachePadded::new(AtomicU32::new(0)),
            waiting: AtomicU32::new(0),
            bell: AtomicU32::new(0),
            tasks: Mutex::new(Tasks::default()),
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> u32 {
        // Acquire: pairs with `enter` by way of the bell; in the ticker alone something hangs on it.
        self.waiting.load(Ordering::Acquire)
    }

    /// Looks until `look` finds something, or until the deadline; sleeps in between.
    pub fn wait<T>(
        &self,
        host: &dyn Host,
        deadline_ns: Option<u64>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        self.enter(host);
        let found = loop {
            let early = twin::is(Twin::WatchLookFirst).then(&mut look).flatten();
            let seen = self.mark();
            let found = if twin::is(Twin::WatchLookFirst) {
                early
            } else {
                look()
            };
            if found.is_some() {
                break found;
            }
            if host.wait(&self.word, seen, deadline_ns) == Waited::TimedOut {
                break look();
            }
        };
        self.leave(1);
        found
    }

    /// Leaves a task's waker, for `ticket` or anew. The caller then looks, and takes it back if it finds something.
    pub fn leave_waker(&self, host: &dyn Host, ticket: Option<Ticket>, waker: &Waker) -> Ticket {
        let ticket = {
            let mut tasks = self.tasks.lock();
            let kept = |ticket: &Ticket| tasks.left.iter().position(|(id, _)| *id == ticket.0);
            if let Some((ticket, place)) = ticket.and_then(|ticket| Some((ticket, kept(&ticket)?)))
            {
                tasks.left[place].1.clone_from(waker);
                ticket
            } else {
                let ticket = Ticket(tasks.next);
                tasks.next += 1;
                tasks.left.push((ticket.0, waker.clone()));
                drop(tasks);
                self.enter(host);
                ticket
            }
        };
        self.mark();
        ticket
    }

    /// Takes a waker back, unless it was woken (N4).
    pub fn take_back(&self, ticket: Ticket) {
        let taken = {
            let mut tasks = self.tasks.lock();
            let place = tasks.left.iter().position(|(id, _)| *id == ticket.0);
            place.map(|place| tasks.left.swap_remove(place))
        };
        if taken.is_some() {
            self.leave(1);
        }
    }

    /// Says that what waiters look at has changed.
    pub fn announce(&self, host: &dyn Host) -> Audience {
        let before = if twin::is(Twin::WatchGlance) {
            // Acquire: the defect is that this is no exchange.
            self.word.load(Ordering::Acquire)
        } else {
            // AcqRel: pairs with `mark`. What the caller changed is seen by whoever marks after this (N1).
            self.word.fetch_and(!MARK, Ordering::AcqRel)
        };
        if before & MARK == 0 {
            return Audience::Served;
        }
        if !twin::is(Twin::WatchWakeWithoutChange) {
            // AcqRel: as above; another waiter may have put the mark back.
            self.word.fetch_add(STEP, Ordering::AcqRel);
        }
        host.wake(&self.word, Sleepers::All);
        self.call_tasks()
    }

    /// As [`announce`](Self::announce), for the last time. Calls the tasks without a mark, too: another announcer may have taken
    /// it, and not come to call them yet, and nobody would wake them after this.
    pub fn announce_end(&self, host: &dyn Host) -> Audience {
        self.announce(host);
        self.call_tasks()
    }

    fn call_tasks(&self) -> Audience {
        let mut guard = self.tasks.lock();
        let tasks = &mut *guard;
        tasks
            .due
            .extend(tasks.left.drain(..).map(|(_, waker)| waker));
        if tasks.due.is_empty() {
            Audience::Served
        } else {
            Audience::TasksDue
        }
    }

    /// The wakers of the tasks for whom something was announced; the caller wakes them, without a lock.
    pub fn take_due(&self) -> Vec<Waker> {
        let due = std::mem::take(&mut self.tasks.lock().due);
        self.leave(u32::try_from(due.len()).unwrap_or(u32::MAX));
        due
    }

    /// Has the ticker look at once.
    pub fn ring(&self, host: &dyn Host) {
        if !twin::is(Twin::BellWithoutChange) {
            // Release: pairs with `serve`.
            self.bell.fetch_add(1, Ordering::Release);
        }
        host.wake(&self.bell, Sleepers::All);
    }

    /// The ticker: has `look` called when somebody begins to wait or rings, and every `interval_ns` while it says that
    /// somebody waits, until `has_ended`.
    pub fn serve(
        &self,
        host: &dyn Host,
        interval_ns: u64,
        has_ended: impl Fn() -> bool,
        mut look: impl FnMut() -> Vigil,
    ) {
        loop {
            // Acquire: pairs with `ring`. Before looking at anything (N3).
            let seen = self.bell.load(Ordering::Acquire);
            if has_ended() {
                return;
            }
            let deadline_ns = match look() {
                Vigil::Kept => Some(host.now_ns().saturating_add(interval_ns)),
                Vigil::Over => None,
            };
            host.wait(&self.bell, seen, deadline_ns);
        }
    }

    fn mark(&self) -> u32 {
        // AcqRel: pairs with `announce`.
        self.word.fetch_or(MARK, Ordering::AcqRel) | MARK
    }

    fn enter(&self, host: &dyn Host) {
        // AcqRel: who leaves zero rings, and what it saw of the last one to leave comes before.
        if self.waiting.fetch_add(1, Ordering::AcqRel) == 0 {
            self.ring(host);
        }
    }

    fn leave(&self, count: u32) {
        // AcqRel: as in `enter`.
        self.waiting.fetch_sub(count, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody sleeps in these tests.
    #[derive(Debug)]
    struct Awake;

    impl Host for Awake {
        fn wait(&self, _: &AtomicU32, _: u32, _: Option<u64>) -> Waited {
            Waited::Woken
        }

        fn wake(&self, _: &AtomicU32, _: Sleepers) {}

        fn now_ns(&self) -> u64 {
            0
        }

        fn pause(&self, _: u32) {}
    }

    /// The ticker ended between the two steps of whoever announced the end, and the task slept for ever.
    #[test]
    fn the_last_announcement_calls_tasks_whose_mark_another_announcer_took() {
        let watch = Watch::new();
        watch.leave_waker(&Awake, None, Waker::noop());
        // AcqRel: the first step of `announce`.
        watch.word.fetch_and(!MARK, Ordering::AcqRel);
        assert_eq!(watch.announce(&Awake), Audience::Served);
        assert_eq!(watch.announce_end(&Awake), Audience::TasksDue);
        assert_eq!((watch.take_due().len(), watch.waiting()), (1, 0));
    }
}
