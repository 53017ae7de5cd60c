//! Moving the head: what the embedder no longer needs becomes room for new segments.
//!
//! # Protocol
//! Under the discard lock: make everything below the new head durable; store the head in `COOKIE`; if it crosses into
//! another segment, sync `COOKIE`; move the head; take the segments below it out of the registry. Only then can their
//! files be reused. Each move is told to whoever waits for space, and to the preparer. A head at the end of a segment that
//! was left is moved on by the background.
//!
//! A hold that is registered under that lock is seen by every later move.
//!
//! # Invariants
//! * D1. `head ≤ durable`, always.
//! * D2. A segment is given up only when the head beyond it is durable in `COOKIE`.
//! * D3. The head never passes a hold.

use crate::error::{Error, ErrorKind, Result};
use crate::format::FIRST_FRAME;
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::sync::Ordering;

use super::Wal;
use super::shared::{OsHost, Shared};
use super::signals::Request;

impl Wal {
    /// Declares that records below `lsn` are no longer needed. Whole segments below it are reused or removed.
    ///
    /// `lsn` is the position of a record, or [`durable`](Self::durable) or [`end`](Self::end). Makes everything below it
    /// durable first; a position below the head changes nothing. Within one segment the head moves in memory, and is durable
    /// with the next sync of `COOKIE`; when it crosses into another segment it is durable on return. A void position counts
    /// as that of the rewind frame that made it void.
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
        shared.move_head(shared.settled(lsn)?, Crossing::Enough)
    }

    /// Discards every record, and is durable on return. Returns the new head, where the next records go.
    ///
    /// Every record whose append had returned when this was called is discarded; one that is appended at the same time is
    /// discarded or kept. The space of whole segments comes back. An embedder that installs a snapshot in the place of its
    /// log calls this.
    ///
    /// # Errors
    /// [`InvalidState`](ErrorKind::InvalidState) if a [`Hold`](crate::Hold) keeps records; nothing is discarded then.
    /// Otherwise as [`sync`](Self::sync). After `Poisoned` the records are discarded or all kept; opening the log again tells.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-reset-{}", std::process::id()));
    /// let wal = segwal::Wal::open(&dir)?;
    /// wal.append(b"replaced by a snapshot")?;
    /// let head = wal.reset()?;
    /// assert_eq!(wal.records(head)?.count(), 0);
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn reset(&self) -> Result<Lsn> {
        let shared = self.shared();
        shared.may_wait()?;
        let end = shared.end();
        if end > shared.gate.durable() {
            shared.make_durable(end, None)?;
        }
        shared.move_head(end, Crossing::Always)?;
        Ok(shared.head())
    }
}

/// When a new head is made durable at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crossing {
    /// If it lies in another segment than the one before.
    Enough,
    /// Whatever it is, and if it does not move, too: who moved it before need not have synced it.
    Always,
}

impl Shared {
    /// Where the head goes instead of `lsn`: a void position counts as that of the rewind frame that made it so. What it
    /// discards is gone for good, so the truncation before it must not get lost.
    fn settled(&self, lsn: Lsn) -> Result<Lsn> {
        let Some(rewind) = self.rewinds.end_of(lsn) else {
            return Ok(lsn);
        };
        if !seeded::is(Bug::DiscardBeforeRewind) {
            self.pass(rewind, None)?;
        }
        Ok(rewind)
    }

    fn move_head(&self, lsn: Lsn, crossing: Crossing) -> Result<()> {
        self.place_head(lsn, crossing)?;
        let head = self.head();
        if self.registry.seal_of(head.segment()) == Some(head.offset()) {
            self.request(Request::FollowHead);
        }
        Ok(())
    }

    /// Moves the head out of a segment that was left and holds no record any more, so that its file can be reused.
    pub(crate) fn follow_head(&self) -> Result<()> {
        let head = self.head();
        if self.registry.seal_of(head.segment()) != Some(head.offset()) {
            return Ok(());
        }
        let next = head.segment().checked_add(1);
        let Some(first) = next.and_then(|id| Lsn::new(id, FIRST_FRAME)) else {
            return Ok(());
        };
        // D1: which makes the first page of that segment durable.
        self.make_durable(first, None)?;
        // Release: pairs with `not_discarded`; before the head, so that who sees the new head knows where it came from.
        self.left_by_head.store(head.to_word(), Ordering::Release);
        self.place_head(first, Crossing::Enough)
    }

    fn place_head(&self, lsn: Lsn, crossing: Crossing) -> Result<()> {
        self.store_head(lsn, crossing)?;
        // A log without a record may rotate into the reserve, and its preparer may try again.
        self.room.announce(&OsHost);
        self.request(Request::Prepare);
        Ok(())
    }

    fn store_head(&self, lsn: Lsn, crossing: Crossing) -> Result<()> {
        let _discarding = self.discarding.lock();
        self.check()?;
        let limit = self.holds.limit(lsn);
        if limit < lsn && crossing == Crossing::Always {
            return Err(held_back(limit));
        }
        let head = self.head();
        let lsn = limit.max(head);
        if lsn == head && crossing == Crossing::Enough {
            return Ok(());
        }
        let crosses = lsn.segment() > head.segment();
        self.cookie.store_head(lsn);
        let due = crosses || crossing == Crossing::Always;
        if due && !seeded::is(Bug::HeadBeforeDurable) {
            self.cookie.sync().map_err(|error| self.poison(error))?;
        }
        // Release: pairs with `head`.
        self.head.store(lsn.to_word(), Ordering::Release);
        self.rewinds.prune(lsn);
        if crosses {
            self.shelf.retire_below(lsn.segment(), &self.registry);
        }
        Ok(())
    }
}

#[cold]
fn held_back(lsn: Lsn) -> Error {
    Error::new(ErrorKind::InvalidState, "a hold keeps records of the log")
        .at_lsn(lsn)
        .advise("advance or release the holds first")
}
