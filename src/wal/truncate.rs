//! Taking back the end of the log: a rewind frame makes everything from a position up to itself void.
//!
//! Nothing is overwritten or cut: a frame is appended, and what it voids stays on disk until it is discarded. So it is durable
//! as every other frame is, and a crash keeps it whole or not at all.

use crate::error::Result;
use crate::format::{Checksum, FrameKind, Rewind};
use crate::lsn::Lsn;
use crate::seeded::{self, Bug};
use crate::segment::FrameFields;

use super::Wal;
use super::append::grains_of;
use super::shared::Shared;

impl Wal {
    /// Keeps the record at `lsn`, or the whole batch there, and makes everything behind it void. Returns the position of the
    /// rewind frame that says so: sync to it to make the truncation durable.
    ///
    /// Void records are `NotFound` for [`get`](Self::get), and iterators step over them. What other threads append at the same
    /// time is void if its position is below the one returned, and kept otherwise. Positions of void records are not used
    /// again, and their space comes back when they are discarded like others. A [`Record`](crate::Record) that was handed
    /// out before can still be read.
    ///
    /// The truncation is as durable as a record at the returned position: it survives the death of the process at
    /// once and power loss after a sync. If it is lost, the records that it would have voided are not void, as far as they
    /// survived.
    ///
    /// # Errors
    /// [`Discarded`](crate::ErrorKind::Discarded) below the head, [`NotFound`](crate::ErrorKind::NotFound) if no record
    /// begins at `lsn` or it is void; otherwise as [`append`](Self::append). Nothing is void then.
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-truncate-{}", std::process::id()));
    /// use segwal::{ErrorKind, Wal};
    ///
    /// let wal = Wal::open(&dir)?;
    /// let agreed = wal.append(b"term 1, entry 1")?;
    /// let conflicting = wal.append(b"term 1, entry 2")?;
    /// let rewound = wal.truncate_after(agreed)?;
    /// assert_eq!(wal.get(conflicting).unwrap_err().kind(), ErrorKind::NotFound);
    /// wal.append(b"term 2, entry 2")?;
    /// wal.sync()?;
    /// assert!(rewound < wal.durable());
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn truncate_after(&self, lsn: Lsn) -> Result<Lsn> {
        let shared = self.shared();
        shared.rewind(|| shared.span_of_record(lsn).map(|span| span.end))
    }

    /// As [`truncate_after`](Self::truncate_after), the record at `lsn` included.
    ///
    /// `lsn` may be [`head`](Self::head), whatever begins there: then every record is void.
    ///
    /// # Errors
    /// As [`truncate_after`](Self::truncate_after).
    ///
    /// ```
    /// # fn main() -> segwal::Result<()> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-truncate-from-{}", std::process::id()));
    /// let wal = segwal::Wal::open(&dir)?;
    /// wal.append(b"from a leader that lost")?;
    /// wal.truncate_from(wal.head())?;
    /// assert_eq!(wal.records(wal.head())?.count(), 0);
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn truncate_from(&self, lsn: Lsn) -> Result<Lsn> {
        let shared = self.shared();
        shared.rewind(|| {
            if lsn == shared.head() {
                return Ok(lsn);
            }
            shared.span_of_record(lsn).map(|span| span.start)
        })
    }
}

impl Shared {
    /// Appends the rewind frame that makes everything from the position that `first` gives void.
    fn rewind(&self, first: impl FnOnce() -> Result<Lsn>) -> Result<Lsn> {
        self.may_wait()?;
        let _turn = self.rewinds.take_turn();
        let from = first()?;
        let previous = self.rewinds.last();
        let payload = Rewind { from, previous }.encode();
        let fields = FrameFields {
            len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            kind: FrameKind::Rewind,
            tag: 0,
            count: 0,
            durable: self.gate.durable(),
        };
        let checksum = Checksum::of(&payload);
        let grains = grains_of(fields.len);
        let terms = self.terms(self.patience);
        let rewound = self.with_seat(|seat| {
            self.room
                .reserve_before_rotation(&self.core, seat, grains, &terms, |mut claim| {
                    claim.fill(|segment, span| segment.write(span, &fields, checksum, [payload]));
                    let noted = if seeded::is(Bug::VoidNotNoted) {
                        claim.lsn()
                    } else {
                        from
                    };
                    self.rewinds.note(noted, claim.lsn());
                    let end = claim.end();
                    (claim.publish(), end)
                })
        });
        let (lsn, end) = rewound.map_err(|error| self.explain(error))?;
        self.appended(end);
        Ok(lsn)
    }
}
