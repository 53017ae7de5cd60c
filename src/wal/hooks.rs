//! [`Hooks`]: callbacks of the embedder, on a thread of their own.
//!
//! A callback may call the log, take its time, or panic: it holds up other callbacks, nothing else. Those that wait for a
//! position (`on_durable`, the seam for futures) are served by the sync thread, through the same gate as every caller:
//! as many as one sync covers at a time.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{JoinHandle, ThreadId};

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::sync::Mutex;
use crate::sys::{futex, thread};

use super::space::SpacePressure;

/// Called once, with the result.
pub(crate) type OnDurable = Box<dyn FnOnce(Result<()>) + Send>;
/// Called for each failure in the background, and when the log is poisoned.
pub(crate) type OnError = Arc<dyn Fn(&Error) + Send + Sync>;

/// Called with each new level.
pub(crate) type OnPressure = Arc<dyn Fn(SpacePressure) + Send + Sync>;

type Job = Box<dyn FnOnce() + Send>;

/// The callbacks of one log.
#[derive(Default)]
pub(crate) struct Hooks {
    wishes: Mutex<Vec<(Lsn, OnDurable)>>,
    on_error: Mutex<Vec<OnError>>,
    on_pressure: Mutex<Vec<OnPressure>>,
    reported: Mutex<bool>,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread does next.
#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    word: AtomicU32,
    stop: Mutex<bool>,
    runner: Mutex<Option<ThreadId>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.wishes.lock().len();
        f.debug_struct("Hooks")
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

impl Hooks {
    /// Notes a wish; the caller then asks the sync thread to grant it.
    pub(crate) fn wish(&self, lsn: Lsn, callback: OnDurable) {
        self.wishes.lock().push((lsn, callback));
    }

    pub(crate) fn add_on_error(&self, callback: OnError) {
        self.on_error.lock().push(callback);
    }

    pub(crate) fn add_on_pressure(&self, callback: OnPressure) {
        self.on_pressure.lock().push(callback);
    }

    /// Has callbacks called with a new level.
    pub(crate) fn tell_pressure(&self, pressure: SpacePressure) {
        for callback in self.on_pressure.lock().iter().cloned() {
            self.queue.push(Box::new(move || callback(pressure)));
        }
    }

    /// The wishes that nobody has taken up.
    pub(crate) fn take_wishes(&self) -> Vec<(Lsn, OnDurable)> {
        std::mem::take(&mut *self.wishes.lock())
    }

    /// Keeps wishes for another time.
    pub(crate) fn give_back(&self, wishes: Vec<(Lsn, OnDurable)>) {
        self.wishes.lock().extend(wishes);
    }

    /// Has callbacks called with `result`.
    pub(crate) fn answer(
        &self,
        wishes: impl Iterator<Item = (Lsn, OnDurable)>,
        result: &Result<()>,
    ) {
        for (_, callback) in wishes {
            let result = result.clone();
            self.queue.push(Box::new(move || callback(result)));
        }
    }

    /// Tells everybody that the log has ended. What a closed log made durable is durable; of a poisoned one nothing is said.
    pub(crate) fn rouse(&self, cause: Option<Error>, durable: Lsn) {
        let Some(cause) = cause else { return };
        let (kept, lost): (Vec<_>, Vec<_>) = self
            .take_wishes()
            .into_iter()
            .partition(|(lsn, _)| cause.kind() == ErrorKind::Closed && *lsn < durable);
        self.answer(kept.into_iter(), &Ok(()));
        self.answer(lost.into_iter(), &Err(cause.clone()));
        let first = !std::mem::replace(&mut *self.reported.lock(), true);
        if first && cause.kind() != ErrorKind::Closed {
            self.report(&cause);
        }
        self.queue.announce();
    }

    fn report(&self, error: &Error) {
        for callback in self.on_error.lock().iter().cloned() {
            let error = error.clone();
            self.queue.push(Box::new(move || callback(&error)));
        }
    }

    /// Starts the thread, unless it runs.
    pub(crate) fn start(&self) -> Result<()> {
        let mut running = self.thread.lock();
        if running.is_none() {
            let queue = Arc::clone(&self.queue);
            let handle =
                thread::spawn_background("segwal-hooks", move || queue.run()).map_err(|error| {
                    Error::new(
                        ErrorKind::OutOfResources,
                        "cannot start the thread of callbacks",
                    )
                    .caused_by(error)
                })?;
            *running = Some(handle);
        }
        Ok(())
    }

    /// Whether the calling thread is the one that runs callbacks.
    pub(crate) fn runs_here(&self) -> bool {
        *self.queue.runner.lock() == Some(std::thread::current().id())
    }

    /// Ends the thread after what is queued. Not waited for by a callback that closes the log.
    pub(crate) fn join(&self) {
        *self.queue.stop.lock() = true;
        self.queue.announce();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|_| !self.runs_here()) {
            drop(thread.join());
        }
    }
}

impl Queue {
    fn push(&self, job: Job) {
        self.jobs.lock().push_back(job);
        self.announce();
    }

    fn announce(&self) {
        // Release: pairs with the load in `run`.
        self.word.fetch_add(1, Ordering::Release);
        futex::wake(&self.word, 1);
    }

    fn run(&self) {
        *self.runner.lock() = Some(std::thread::current().id());
        loop {
            // Acquire: pairs with `announce`; read before looking, so that nothing is missed.
            let seen = self.word.load(Ordering::Acquire);
            let job = self.jobs.lock().pop_front();
            match job {
                // A callback's panic is its own affair.
                Some(job) => drop(catch_unwind(AssertUnwindSafe(job))),
                None if *self.stop.lock() => return,
                None => drop(futex::wait(&self.word, seen, None)),
            }
        }
    }
}
