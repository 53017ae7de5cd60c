//! Moving the head: what the embedder no longer needs becomes room for new segments.
//!
//! # Protocol
//! Under the discard lock: make everything below the new head durable; store the head in `COOKIE`; if it crosses into
//! another segment, sync `COOKIE`; move the head; take the segments below it out of the registry. Only then can their
//! files be reused.
//!
//! A hold that is registered under that lock is seen by every later move.
//!
//! # Invariants
//! * D1. `head ≤ durable`, always.
//! * D2. A segment is given up only when the head beyond it is durable in `COOKIE`.
//! * D3. The head never passes a hold.

use std::sync::atomic::Ordering;

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};

use super::Wal;
use super::shared::Shared;
use super::signals::Request;

impl Wal {
    /// Declares that records below `lsn` are no longer needed. Whole segments below it are reused or removed.
    ///
    /// `lsn` is the position of a record, or [`durable`](Self::durable) or [`end`](Self::end). Makes everything below it
    /// durable first; a position below the head changes nothing. Within one segment the head moves in memory, and is durable
    /// with the next sync of `COOKIE`; when it crosses into another segment it is durable on return.
    ///
    /// A [`Hold`](crate::Hold) below `lsn` stops the head at its position: the call succeeds, [`head`](Self::head) says how
    /// far the head came, and once the hold has moved on or is gone the same call gets the rest.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) if no record begins at `lsn`; otherwise as [`sync_to`](Self::sync_to).
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-discard-{}", std::process::id()));
    /// use segwal::{ErrorKind, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// let old = wal.append(b"checkpointed")?;
    /// let new = wal.append(b"not yet")?;
    /// wal.discard_before(new)?;
    /// assert_eq!(wal.get(old).unwrap_err().kind(), ErrorKind::Discarded);
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn discard_before(&self, lsn: Lsn) -> Result<()> {
        let shared = self.shared();
        shared.may_wait()?;
        if lsn <= shared.head() {
            return Ok(());
        }
        let end = shared.end();
        if lsn > end {
            return Err(
                Error::new(ErrorKind::NotFound, format!("the log ends at {end}")).at_lsn(lsn),
            );
        }
        if lsn > shared.gate.durable() && !seeded::is(Bug::DiscardBeyondDurable) {
            shared.make_durable(lsn, None)?;
        }
        shared.check_boundary(lsn)?;
        shared.move_head(lsn)
    }
}

impl Shared {
    fn move_head(&self, lsn: Lsn) -> Result<()> {
        let _discarding = self.discarding.lock();
        self.check()?;
        let lsn = self.holds.limit(lsn);
        let head = self.head();
        if lsn <= head {
            return Ok(());
        }
        self.cookie.store_head(lsn);
        let crosses = lsn.segment() > head.segment();
        if crosses && !seeded::is(Bug::HeadBeforeDurable) {
            self.cookie.sync().map_err(|error| self.poison(error))?;
        }
        // Release: pairs with `head`.
        self.head.store(lsn.to_word(), Ordering::Release);
        if crosses {
            self.shelf.retire_below(lsn.segment(), &self.registry);
            self.request(Request::Prepare);
        }
        Ok(())
    }
}
