//! [`Hooks`]: callbacks of the embedder, on a thread of their own.
//!
//! A callback may call the log, take its time, or panic: it holds up other callbacks, nothing else. Those that wait for a
//! position (`on_durable`, the seam for futures) are served by the sync thread, through the same gate as every caller:
//! as many as one sync covers at a time.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::sync::thread::{JoinHandle, ThreadId, current};
use crate::sync::{AtomicU32, Mutex, Ordering};
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
    standing: Mutex<Standing>,
    reported: Mutex<bool>,
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Callbacks that may be called again and again.
#[derive(Default)]
struct Standing {
    on_error: Vec<OnError>,
    on_pressure: Vec<OnPressure>,
    is_over: bool,
}

/// What the thread does next.
#[derive(Default)]
struct Queue {
    line: Mutex<Line>,
    word: AtomicU32,
    runner: Mutex<Option<ThreadId>>,
}

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    stop: bool,
    /// Whether a thread takes from it.
    is_served: bool,
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
        let mut standing = self.standing.lock();
        if !standing.is_over {
            standing.on_error.push(callback);
        }
    }

    pub(crate) fn add_on_pressure(&self, callback: OnPressure) {
        let mut standing = self.standing.lock();
        if !standing.is_over {
            standing.on_pressure.push(callback);
        }
    }

    /// Has callbacks called with a new level.
    pub(crate) fn tell_pressure(&self, pressure: SpacePressure) {
        let callbacks = self.standing.lock().on_pressure.clone();
        for callback in callbacks {
            self.push(Box::new(move || callback(pressure)));
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
            self.push(Box::new(move || callback(result)));
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
        let callbacks = self.standing.lock().on_error.clone();
        for callback in callbacks {
            let error = error.clone();
            self.push(Box::new(move || callback(&error)));
        }
    }

    /// Has a job done, after the end of the log as well: a thread that was asked for as the log ended, and found nothing to do,
    /// is gone by the time that there is something.
    fn push(&self, job: Job) {
        self.queue.line.lock().jobs.push_back(job);
        self.queue.announce();
        if self.start().is_err() {
            // It had been started once and has ended, so this ends too.
            self.queue.run();
        }
    }

    /// Starts the thread, unless it runs.
    pub(crate) fn start(&self) -> Result<()> {
        let mut line = self.queue.line.lock();
        if !line.is_served {
            let queue = Arc::clone(&self.queue);
            let handle =
                thread::spawn_background("segwal-hooks", move || queue.run()).map_err(|error| {
                    Error::new(
                        ErrorKind::OutOfResources,
                        "cannot start the thread of callbacks",
                    )
                    .caused_by(error)
                })?;
            line.is_served = true;
            *self.thread.lock() = Some(handle);
        }
        Ok(())
    }

    /// Whether the calling thread is the one that runs callbacks.
    pub(crate) fn runs_here(&self) -> bool {
        *self.queue.runner.lock() == Some(current().id())
    }

    /// Ends the thread after what is queued. Not waited for by a callback that closes the log.
    pub(crate) fn join(&self) {
        self.queue.line.lock().stop = true;
        self.queue.announce();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread.filter(|_| !self.runs_here()) {
            drop(thread.join());
        }
    }

    /// Lets go of the callbacks that are never called again: one that has a clone of the log would keep it for ever.
    pub(crate) fn forget(&self) {
        let mut standing = self.standing.lock();
        standing.is_over = true;
        let gone = (
            std::mem::take(&mut standing.on_error),
            std::mem::take(&mut standing.on_pressure),
        );
        // What they drop is not ours, and may call the log.
        drop(standing);
        drop(gone);
    }
}

impl Queue {
    fn announce(&self) {
        // Release: pairs with the load in `run`.
        self.word.fetch_add(1, Ordering::Release);
        futex::wake(&self.word, 1);
    }

    fn run(&self) {
        *self.runner.lock() = Some(current().id());
        loop {
            // Acquire: pairs with `announce`; read before looking, so that nothing is missed.
            let seen = self.word.load(Ordering::Acquire);
            let mut line = self.line.lock();
            let job = line.jobs.pop_front();
            if job.is_none() && line.stop {
                line.is_served = false;
                return;
            }
            drop(line);
            match job {
                // A callback's panic is its own affair.
                Some(job) => drop(catch_unwind(AssertUnwindSafe(job))),
                None => drop(futex::wait(&self.word, seen, None)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// The thread was asked for between the check whether the log runs and its end, and had found nothing to do.
    #[test]
    fn a_callback_that_is_wished_for_after_the_thread_has_ended_is_called() {
        let hooks = Hooks::default();
        hooks.start().unwrap();
        hooks.join();
        let (sender, receiver) = mpsc::channel();
        hooks.start().unwrap();
        hooks.join();
        hooks.wish(
            Lsn::MAX,
            Box::new(move |result| sender.send(result).unwrap()),
        );
        let cause = Error::new(ErrorKind::Closed, "the log was closed");
        hooks.rouse(Some(cause), Lsn::MAX);
        let result = receiver.recv().unwrap();
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Closed);
    }
}
