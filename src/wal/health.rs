//! [`Health`]: in one call, whether the log does what it should.

use crate::error::{Error, ErrorKind};
use crate::lsn::Lsn;

use super::Wal;
use super::shared::Shared;
use super::space::SpacePressure;

/// Whether the log does what it should, the worst first.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Health {
    /// Appends and syncs go on.
    Ok,
    /// A segment could not be made ready, for this reason. [`space_pressure`](Wal::space_pressure) says whether appends go on
    /// or block and fail.
    Pressure(Error),
    /// A writer has been holding the log up at this position: everything at or behind it cannot become durable.
    Stalled {
        /// Where the oldest unfinished record begins, at the earliest.
        oldest: Lsn,
    },
    /// A sync failed; the cause is the first one.
    Poisoned(Error),
    /// The log was closed.
    Closed,
}

impl Wal {
    /// Whether the log does what it should.
    ///
    /// [`Stalled`](Health::Stalled) is a snapshot: a record that is being written right now looks the same as one whose
    /// writer hangs. Ask twice; the same position both times means trouble.
    pub fn health(&self) -> Health {
        let shared = self.shared();
        if let Some(cause) = shared.ending.cause() {
            return if cause.kind() == ErrorKind::Closed {
                Health::Closed
            } else {
                Health::Poisoned(cause)
            };
        }
        if shared.pressure.level() != SpacePressure::None
            && let Some(failure) = shared.pressure.failure()
        {
            return Health::Pressure(failure);
        }
        match shared.oldest_busy() {
            Some(oldest) => Health::Stalled { oldest },
            None => Health::Ok,
        }
    }
}

impl Shared {
    /// Where the oldest record begins that is being written, at the earliest.
    pub(crate) fn oldest_busy(&self) -> Option<Lsn> {
        // The end first: a slot that became busy since lies beyond it.
        let end = self.core.end();
        let (bound, _) = self.core.slots().lowest()?;
        Lsn::from_word(bound).filter(|oldest| *oldest < end)
    }
}
