//! [`Readers`]: who keeps a segment's file from being reused, in this life of the log and in earlier ones of the process.
//!
//! A record outlives the log that it was read from: `close` gives up the lock, and the same process, or another, may open
//! the directory again. What was held at that time is remembered here, for the process, by the identity of the file; whoever
//! opens the log finds the file held, whatever its directory is called by then. Another process does not.
//!
//! # Invariants
//! * U1. A log leaves what is held of it before it gives up its lock, and hands out no guard afterwards. So a file that no
//!   earlier life reads when the log is opened is read by none later, and a file that was made ready in this life neither.
//! * U2. A file that is held is neither renamed, written to as a whole, cut, nor removed by a later life: it is retired like
//!   any other, and `try_take` succeeds when the readers of all lives are gone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::log::{Pin, PinGuard};
use crate::sys::FileId;

/// What logs of this process left behind. Of the standard library in every build: it is held over nothing that waits.
static LEFT: Mutex<Vec<(FileId, Pin)>> = Mutex::new(Vec::new());

/// The readers of one segment.
#[derive(Debug)]
pub(super) struct Readers {
    pin: Pin,
    /// The file, if earlier lives of the log had readers of it when it was opened (U1).
    left: Option<FileId>,
}

impl Readers {
    /// Of a segment that was activated in this life.
    pub(super) fn none() -> Self {
        Self {
            pin: Pin::new(),
            left: None,
        }
    }

    /// Of a file that was there when the log was opened.
    pub(super) fn of_found(file: FileId) -> Self {
        Self {
            pin: Pin::new(),
            left: is_read(file).then_some(file),
        }
    }

    /// A guard; the caller holds the registry's lock (P1).
    pub(super) fn hold(&self) -> PinGuard {
        self.pin.hold()
    }

    /// Gives the file up for reuse, if no reader is left; the segment is out of the registry.
    pub(super) fn try_take(self) -> Result<(), Self> {
        let Self { pin, left } = self;
        if left.is_some_and(is_read) {
            return Err(Self { pin, left });
        }
        let left = None;
        pin.try_take().map_err(|pin| Self { pin, left })
    }

    /// The log has ended: remembers those who still read the file.
    pub(super) fn leave(self, file: FileId) {
        if let Err(pin) = self.pin.try_take() {
            left().push((file, pin));
        }
    }
}

/// Whether a log that ended in this process has left readers of the file.
pub(crate) fn is_read(file: FileId) -> bool {
    left().iter().any(|(held, _)| *held == file)
}

/// What is held of what was left.
fn left() -> MutexGuard<'static, Vec<(FileId, Pin)>> {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    let held = left.drain(..).filter_map(|(file, pin)| {
        let pin = pin.try_take().err()?;
        Some((file, pin))
    });
    *left = held.collect();
    left
}
