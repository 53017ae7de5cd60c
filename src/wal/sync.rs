//! Durability: `sync`, `sync_to`, and callbacks.

use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::log::Host;
use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};
use crate::sys::clock;

use super::Wal;
use super::reservation::holds_reservation;
use super::shared::{OsHost, Shared};
use super::signals::Request;

impl Shared {
    /// Refuses to wait where the wait could never end.
    pub(crate) fn may_wait(&self) -> Result<()> {
        self.check()?;
        if holds_reservation(self.number) {
            return Err(Error::new(
                ErrorKind::InvalidState,
                "this thread holds a reservation of this log",
            ));
        }
        Ok(())
    }

    fn check_below_end(&self, lsn: Lsn) -> Result<()> {
        let end = self.end();
        if lsn < end {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NotFound,
            format!("the position is at or beyond the end of the log, {end}"),
        )
        .at_lsn(lsn))
    }

    #[inline]
    fn sync_to(&self, lsn: Lsn, deadline_ns: Option<u64>) -> Result<()> {
        self.may_wait()?;
        if self.gate.is_durable(lsn) {
            return Ok(());
        }
        self.check_below_end(lsn)?;
        self.pass(lsn, deadline_ns)
    }
}

impl Shared {
    /// Makes every record durable whose append has returned.
    ///
    /// The published bound would not do: it stands before the record of another thread that is being written right now,
    /// and the caller's own may stand behind that.
    pub(crate) fn sync_all(&self, deadline_ns: Option<u64>) -> Result<()> {
        let end = self.end();
        if end <= self.gate.durable() {
            return self.ending.check();
        }
        self.make_durable(end, deadline_ns)
    }

    /// The end of everything reserved. A straddler is between two instructions.
    pub(crate) fn end(&self) -> Lsn {
        let mut turn = 0;
        loop {
            if let Some(end) = self.core.boundary() {
                return end;
            }
            OsHost.pause(turn);
            turn = turn.saturating_add(1);
        }
    }
}

impl Wal {
    /// Makes every record durable whose append had returned when this was called, and returns the new durable bound.
    ///
    /// Blocks for one or two syncs of the disk; callers that wait at the same time share them.
    ///
    /// # Errors
    /// [`Poisoned`](ErrorKind::Poisoned) if the sync failed, or an earlier one had: nothing is known of records at or
    /// beyond [`durable`](Self::durable) then, and the log must be opened again.
    /// [`InvalidState`](ErrorKind::InvalidState) if this thread holds a reservation; [`Closed`](ErrorKind::Closed).
    pub fn sync(&self) -> Result<Lsn> {
        let shared = self.shared();
        shared.may_wait()?;
        shared.sync_all(None)?;
        Ok(shared.gate.durable())
    }

    /// Returns once the record at `lsn`, and every record before it, is durable.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) at or beyond the end; otherwise as [`sync`](Self::sync).
    pub fn sync_to(&self, lsn: Lsn) -> Result<()> {
        self.shared().sync_to(lsn, None)
    }

    /// As [`sync_to`](Self::sync_to), for at most `timeout`.
    ///
    /// A sync that this call itself began is not cut short.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut): the record may become durable later; otherwise as [`sync_to`](Self::sync_to).
    pub fn sync_to_timeout(&self, lsn: Lsn, timeout: Duration) -> Result<()> {
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        self.shared()
            .sync_to(lsn, Some(clock::now_ns().saturating_add(timeout)))
    }

    /// Calls `callback` once the record at `lsn` is durable, or can never be known to be.
    ///
    /// The background syncs for it, as many positions at a time as one sync covers: one thread can have thousands of
    /// records in flight. The callback runs on a thread of its own, may call the log, and should be short. This is the seam
    /// for futures: let it wake a task.
    ///
    /// # Errors
    /// As [`sync_to`](Self::sync_to), at once; the callback then is not called.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-callback-{}", std::process::id()));
    /// let wal = segwal::Wal::open(&dir)?;
    /// let lsn = wal.append(b"in flight")?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// wal.on_durable(lsn, move |result| sender.send(result).unwrap())?;
    /// receiver.recv()??;
    /// assert!(lsn < wal.durable());
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_durable(
        &self,
        lsn: Lsn,
        callback: impl FnOnce(Result<()>) + Send + 'static,
    ) -> Result<()> {
        let shared = self.shared();
        shared.check()?;
        shared.check_below_end(lsn)?;
        shared.hooks.start()?;
        shared.hooks.wish(lsn, Box::new(callback));
        // An end between the check and the wish has not seen it.
        if shared.ending.has_ended() && !twin::is(Twin::WishAtTheEnd) {
            shared.rouse();
        }
        shared.request(Request::Wishes);
        Ok(())
    }

    /// Calls `callback` when the log is poisoned, with the first cause; also for a failure that no caller waits for.
    ///
    /// It runs on a thread of its own and may call the log. If it has a clone of it, dropping the other handles does not end
    /// the log: [`close`](Self::close) does, and lets go of the callback.
    ///
    /// # Errors
    /// [`OutOfResources`](ErrorKind::OutOfResources) if the thread cannot be started; once the log has ended, its error.
    pub fn on_error(&self, callback: impl Fn(&Error) + Send + Sync + 'static) -> Result<()> {
        let shared = self.shared();
        shared.check()?;
        shared.hooks.start()?;
        shared.hooks.add_on_error(std::sync::Arc::new(callback));
        Ok(())
    }
}
