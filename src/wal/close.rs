//! The end of a log: closed in order, or dropped.
//!
//! # Protocol
//! `close`: sync; end the log, so that every clone answers `Closed` and every sleeper wakes; wait for
//! whoever rotates; stop the tail and wait for the writers that reserved before; join the threads; wait for whoever discards;
//! store the mark of a clean close and sync `COOKIE`; leave what is read of the log to a later life of it; release the lock.
//! The mark is stored only if nothing failed and nothing was appended after the sync, and it is void as soon as a
//! later open writes its epoch frame at that end. While a writer hangs the lock stays, until the last clone is dropped:
//! nobody may recover a log that somebody still writes to.
//!
//! Dropping the last clone does the same without sync and mark: what was published survives the process, and the next
//! open finds it.

use crate::error::{Error, ErrorKind, Result};
use crate::log::Host;
use crate::lsn::Lsn;
use crate::sync::{AtomicU32, Ordering};
use crate::sys::{clock, fork};

use super::reservation::holds_reservation;
use super::shared::{OsHost, Shared, forked};
use super::{Handle, Wal};

/// How long `close` waits for a writer that hangs.
const PATIENCE_NS: u64 = 1_000_000_000;

impl Wal {
    /// Makes everything durable, stops the threads and releases the lock. Every clone then answers
    /// [`Closed`](ErrorKind::Closed); a [`Record`](crate::Record) that was read stays valid, also if this process opens the log
    /// again.
    ///
    /// # Errors
    /// As [`sync`](Self::sync); the lock is released all the same. [`Closed`](ErrorKind::Closed) if it was closed before.
    pub fn close(&self) -> Result<()> {
        let shared = self.shared();
        if shared.generation != fork::generation() {
            return Err(forked());
        }
        if holds_reservation(shared.number) {
            return Err(Error::new(
                ErrorKind::InvalidState,
                "this thread holds a reservation of this log",
            ));
        }
        let Some(_closing) = self.handle.closing.begin() else {
            return Err(self.await_other_closer());
        };
        let deadline_ns = clock::now_ns().saturating_add(PATIENCE_NS);
        let synced = shared.check().and_then(|()| self.sync_finally(deadline_ns));
        let closed = match &synced {
            // A writer hangs; the log ends all the same.
            Err(error) if error.kind() != ErrorKind::TimedOut => Err(error.clone()),
            _ => shared.ending.close(),
        };
        // A rotation would let writers in behind the tail that is stopped.
        shared.room.quiesce();
        shared.core.stop();
        self.handle.stop();
        let idle = self.await_writers(deadline_ns);
        // What a discard stored later would go over what the next life says.
        drop(shared.discarding.lock());
        let marked = closed.and_then(|()| self.mark_clean());
        shared.holds.quiesce();
        idle?;
        shared.leave();
        drop(self.handle.lock.lock().take());
        synced.and(marked)
    }

    /// Somebody else closes the log. Unless that one waits for this very thread, return when it is done.
    fn await_other_closer(&self) -> Error {
        let mut turn = 0;
        while !self.handle.closing.is_done() && !self.shared().hooks.runs_here() {
            OsHost.pause(turn);
            turn += 1;
        }
        let cause = self.shared().ending.cause();
        cause.unwrap_or_else(|| Error::new(ErrorKind::Closed, "the log is being closed"))
    }

    /// A last sync: it waits for writers as long as they are given, and for the disk as long as it takes.
    fn sync_finally(&self, deadline_ns: u64) -> Result<()> {
        let shared = self.shared();
        let end = shared.end();
        let mut turn = 0;
        while shared.core.published() < end {
            shared.ending.check()?;
            if clock::now_ns() > deadline_ns {
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    "a record was still being written when the log was closed",
                )
                .at_lsn(shared.core.published()));
            }
            OsHost.pause(turn);
            turn += 1;
        }
        shared.sync_all(None)
    }

    /// Waits for writers that reserved before the tail was stopped, and for a sync that another thread leads.
    fn await_writers(&self, deadline_ns: u64) -> Result<()> {
        let shared = self.shared();
        let mut turn = 0;
        while shared.gate.is_led() {
            OsHost.pause(turn);
            turn += 1;
        }
        while let Some((bound, _)) = shared.core.slots().lowest() {
            if clock::now_ns() > deadline_ns {
                let error = Error::new(
                    ErrorKind::InvalidState,
                    "a reservation of another thread is still held",
                );
                let error = error.advise(
                    "publish or drop it; the lock is released with the last clone of the log",
                );
                return Err(Lsn::from_word(bound).map_or(error.clone(), |lsn| error.at_lsn(lsn)));
            }
            OsHost.pause(turn);
            turn += 1;
        }
        Ok(())
    }

    /// Notes that the log ends where it is durable, if that is so.
    fn mark_clean(&self) -> Result<()> {
        let shared = self.shared();
        let (durable, end) = (shared.gate.durable(), shared.core.end());
        if durable == end {
            shared.cookie.store_clean(end);
        }
        shared.cookie.sync()
    }
}

/// Whether somebody closes the log, or has.
///
/// # Memory orderings
/// `begin` (`AcqRel`) lets one caller through. The drop of its [`Turn`] (Release) → `is_done` (Acquire): all that closing did.
#[derive(Debug, Default)]
pub(super) struct Closing(AtomicU32);

const BEGUN: u32 = 1;
const DONE: u32 = 2;

/// Held by the one that closes.
#[derive(Debug)]
struct Turn<'a>(&'a Closing);

impl Closing {
    /// `None` for everybody but the first.
    fn begin(&self) -> Option<Turn<'_>> {
        // AcqRel: pairs with itself; Relaxed: who comes second looks at `is_done`.
        let first = self
            .0
            .compare_exchange(0, BEGUN, Ordering::AcqRel, Ordering::Relaxed);
        // Not `then_some`: a turn that is made is also dropped.
        first.is_ok().then(|| Turn(self))
    }

    fn is_done(&self) -> bool {
        // Acquire: pairs with the drop of `Turn`.
        self.0.load(Ordering::Acquire) == DONE
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Release: pairs with `is_done`.
        self.0.0.store(DONE, Ordering::Release);
    }
}

impl Shared {
    /// Reading ends; records that were read stay as they are, whoever opens the log in this process.
    fn leave(&self) {
        self.shelf.close(&self.registry);
    }
}

impl Handle {
    /// Stops the threads; the log has ended.
    fn stop(&self) {
        self.shared.rouse();
        self.shared.signals.join();
        self.shared.hooks.join();
        self.shared.hooks.forget();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // In a forked child the threads, and the log, are the parent's.
        if self.shared.generation != fork::generation() {
            return;
        }
        // An error means that it had ended before.
        drop(self.shared.ending.close());
        self.stop();
        self.shared.leave();
    }
}
