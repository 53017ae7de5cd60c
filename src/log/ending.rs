//! [`Ending`]: the one word that says that a log has ended, and why.
//!
//! The first cause wins and stays. Every entry point and every loop that waits looks at the word; whoever sets it then
//! changes the words that sleepers compare (`Gate::rouse`, `Room::rouse`), so that nobody sleeps through the end.
//!
//! # Memory orderings
//! `end` (Release) → `check` (Acquire): the cause, which is read under its own lock anyway.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::{AtomicU32, Mutex, Ordering};

const RUNNING: u32 = 0;
const ENDED: u32 = 1;

/// Whether the log has ended, and the error that every call then gets.
#[derive(Debug)]
pub struct Ending {
    word: AtomicU32,
    cause: Mutex<Option<Error>>,
}

impl Ending {
    /// A log that runs.
    pub fn new() -> Self {
        Self {
            word: AtomicU32::new(RUNNING),
            cause: Mutex::new(None),
        }
    }

    /// An error once the log has ended.
    #[inline]
    pub fn check(&self) -> Result<()> {
        // Acquire: pairs with `end`, so that the cause is there.
        if self.word.load(Ordering::Acquire) == RUNNING {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// Whether the log has ended.
    pub fn has_ended(&self) -> bool {
        self.check().is_err()
    }

    /// The error, once the log has ended.
    pub fn cause(&self) -> Option<Error> {
        self.cause.lock().clone()
    }

    /// Ends the log because of `failure`: nothing is reported durable again. Returns the error that callers get, which is
    /// the first one's if the log had ended before.
    pub fn poison(&self, failure: Error) -> Error {
        let error = if failure.kind() == ErrorKind::Poisoned {
            failure
        } else {
            failure.poison()
        };
        self.end(error)
    }

    /// Ends the log because its owner closed it. `Err` with the first cause if it had ended before.
    pub fn close(&self) -> Result<()> {
        let mut cause = self.cause.lock();
        if let Some(first) = &*cause {
            return Err(first.clone());
        }
        *cause = Some(Error::new(ErrorKind::Closed, "the log is closed"));
        // Release: pairs with `check`.
        self.word.store(ENDED, Ordering::Release);
        Ok(())
    }

    fn end(&self, error: Error) -> Error {
        let mut cause = self.cause.lock();
        let first = cause.get_or_insert(error).clone();
        // Release: pairs with `check`.
        self.word.store(ENDED, Ordering::Release);
        first
    }

    #[cold]
    fn error(&self) -> Error {
        self.cause()
            .unwrap_or_else(|| Error::new(ErrorKind::Internal, "the log ended without a cause"))
    }
}
