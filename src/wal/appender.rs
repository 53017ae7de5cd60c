//! [`Appender`]: the fast path of one thread.

use std::io::IoSlice;
use std::marker::PhantomData;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::log::{Patience, Seat};
use crate::lsn::Lsn;
use crate::segment::Segment;

use super::Wal;
use super::reservation::Reservation;
use super::shared::SLOT_COUNT;

/// So many slots are left to threads without an appender.
const SHARED_SLOTS: usize = SLOT_COUNT / 4;

/// Appends from one thread, faster than [`Wal::append`]: it owns its place among the writers.
///
/// At most 96 appenders of one log can exist at a time. An appender is a handle of the log: it keeps it open.
///
/// ```
/// # fn main() -> segwal::Result<()> {
/// # let dir = std::env::temp_dir().join(format!("segwal-appender-{}", std::process::id()));
/// let wal = segwal::Wal::open(&dir)?;
/// let mut appender = wal.appender()?;
/// let lsn = appender.append(b"hello")?;
/// wal.sync_to(lsn)?;
/// # drop(appender);
/// # wal.close()?;
/// # std::fs::remove_dir_all(&dir).unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Appender {
    wal: Wal,
    seat: Seat<Segment>,
    /// A seat belongs to one thread: reservations are counted by thread.
    not_send: PhantomData<*const ()>,
}

impl Appender {
    pub(crate) fn new(wal: &Wal) -> Result<Self> {
        let shared = wal.shared();
        shared.check()?;
        let slots = shared.core.slots();
        let index = slots.adopt(SLOT_COUNT - SHARED_SLOTS).ok_or_else(|| {
            Error::new(
                ErrorKind::OutOfResources,
                "the log has as many appenders as it can have",
            )
            .advise("drop an appender, or use `Wal::append`")
        })?;
        Ok(Self {
            wal: wal.clone(),
            seat: Seat::owned(index),
            not_send: PhantomData,
        })
    }

    /// The log.
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// As [`Wal::append`].
    ///
    /// # Errors
    /// As [`Wal::append`].
    #[inline]
    pub fn append(&mut self, payload: &[u8]) -> Result<Lsn> {
        self.append_tagged(0, payload)
    }

    /// As [`Wal::append_tagged`].
    ///
    /// # Errors
    /// As [`Wal::append`].
    #[inline]
    pub fn append_tagged(&mut self, tag: u8, payload: &[u8]) -> Result<Lsn> {
        let shared = self.wal.shared();
        shared.append_record(&mut self.seat, tag, payload, shared.patience)
    }

    /// As [`Wal::try_append`].
    ///
    /// # Errors
    /// As [`Wal::try_append`].
    #[inline]
    pub fn try_append(&mut self, payload: &[u8]) -> Result<Lsn> {
        let shared = self.wal.shared();
        shared.append_record(&mut self.seat, 0, payload, Patience::None)
    }

    /// As [`Wal::append_critical`].
    ///
    /// # Errors
    /// As [`Wal::append_critical`].
    pub fn append_critical(&mut self, payload: &[u8]) -> Result<Lsn> {
        self.wal.shared().append_critical(&mut self.seat, payload)
    }

    /// As [`Wal::append_vectored`].
    ///
    /// # Errors
    /// As [`Wal::append`].
    pub fn append_vectored(&mut self, parts: &[IoSlice<'_>]) -> Result<Lsn> {
        self.wal.shared().append_parts(&mut self.seat, parts)
    }

    /// As [`Wal::append_batch`].
    ///
    /// # Errors
    /// As [`Wal::append`].
    pub fn append_batch<I>(&mut self, records: I) -> Result<Range<Lsn>>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let records: Vec<I::Item> = records.into_iter().collect();
        self.wal.shared().append_records(&mut self.seat, &records)
    }

    /// Reserves room for a record of `len` bytes, to be written in place.
    ///
    /// Until it is published or dropped nothing behind it becomes durable, for any thread: fill it at once. This thread
    /// cannot append, sync or close meanwhile; it gets [`InvalidState`](ErrorKind::InvalidState) instead of a hang.
    ///
    /// # Errors
    /// As [`Wal::append`]; [`OutOfResources`](ErrorKind::OutOfResources) if half of the places are held by reservations.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = std::env::temp_dir().join(format!("segwal-reserve-{}", std::process::id()));
    /// use std::io::Write;
    ///
    /// let wal = segwal::Wal::open(&dir)?;
    /// let mut appender = wal.appender()?;
    /// let mut reservation = appender.reserve(11)?;
    /// write!(reservation, "{} {}", "hello", "world")?;
    /// let lsn = reservation.publish();
    /// assert_eq!(&*wal.get(lsn)?, b"hello world");
    /// # drop(appender);
    /// # wal.close()?;
    /// # std::fs::remove_dir_all(&dir)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve(&mut self, len: u32) -> Result<Reservation<'_>> {
        Reservation::new(self.wal.shared(), &mut self.seat, len)
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        if let Some(index) = self.seat.slot() {
            self.wal.shared().core.slots().release(index);
        }
    }
}
