//! [`Reservation`]: a record written in place.
//!
//! # Invariants
//! * X1. A reservation ends by `publish` or by drop; dropped, it becomes an aborted frame (K2).
//! * X2. At most half of the slots are held by reservations, so that appends go on.
//! * X3. The thread that holds one is known, and may not wait for the log: it would wait for itself.

use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;

use crate::error::{Error, ErrorKind, Result};
use crate::format::FrameKind;
use crate::log::{Claim, Seat};
use crate::lsn::Lsn;
use crate::segment::{FrameFields, Segment};
use crate::sync::{Ordering, thread_local};

use super::shared::{SLOT_COUNT, Shared};

thread_local! {
    /// The logs of which this thread holds reservations, one entry for each.
    static HELD: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Whether this thread holds a reservation of the log `number`.
#[inline]
pub(crate) fn holds_reservation(number: u64) -> bool {
    HELD.with(|held| {
        let held = held.borrow();
        !held.is_empty() && held.contains(&number)
    })
}

/// Room for one record, reserved and not yet visible.
///
/// Write with [`write_at`](Self::write_at) or as [`io::Write`]; what is not written is zero. [`publish`](Self::publish)
/// makes the record visible; dropping the reservation, a panic included, gives it up, and readers step over it. Forgetting
/// one (`mem::forget`) stops the progress of the whole log until it is opened again.
#[derive(Debug)]
#[must_use = "a reservation holds up every sync until it is published or dropped"]
pub struct Reservation<'a> {
    /// Dropped before `permit`, so that this thread counts as a holder until the slot is idle.
    claim: Claim<'a, Segment>,
    fields: FrameFields,
    at: usize,
    permit: Permit<'a>,
    not_send: PhantomData<*const ()>,
}

/// The right to hold one of the reservations (X2, X3).
#[derive(Debug)]
struct Permit<'a>(&'a Shared);

impl<'a> Permit<'a> {
    fn take(shared: &'a Shared) -> Result<Self> {
        // Relaxed: only the count matters.
        if shared.reservations.fetch_add(1, Ordering::Relaxed) >= SLOT_COUNT / 2 {
            // Relaxed: as above.
            shared.reservations.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::new(
                ErrorKind::OutOfResources,
                "too many reservations are held at the same time",
            )
            .advise("publish or drop reservations sooner"));
        }
        HELD.with(|held| held.borrow_mut().push(shared.number));
        Ok(Self(shared))
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        HELD.with(|held| {
            let mut held = held.borrow_mut();
            if let Some(index) = held.iter().position(|number| *number == self.0.number) {
                held.swap_remove(index);
            }
        });
        // Relaxed: only the count matters.
        self.0.reservations.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'a> Reservation<'a> {
    pub(crate) fn new(shared: &'a Shared, seat: &'a mut Seat<Segment>, len: u32) -> Result<Self> {
        let len = shared.admit(len as usize)?;
        let fields = FrameFields {
            len,
            kind: FrameKind::Record,
            tag: 0,
            count: 0,
            durable: shared.gate.durable(),
        };
        let permit = Permit::take(shared)?;
        let mut claim = shared.claim(seat, len, shared.patience)?;
        claim.fill(Segment::clear_payload);
        Ok(Self {
            claim,
            fields,
            at: 0,
            permit,
            not_send: PhantomData,
        })
    }

    /// Where the record will stand.
    pub fn lsn(&self) -> Lsn {
        self.claim.lsn()
    }

    /// The length of the record, in bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a length that was asked for, not a container"
    )]
    pub fn len(&self) -> u32 {
        self.fields.len
    }

    /// Sets the tag of the record. Zero unless set.
    pub fn tag(&mut self, tag: u8) -> &mut Self {
        self.fields.tag = tag;
        self
    }

    /// Writes `bytes` at `offset` bytes into the record.
    ///
    /// # Errors
    /// [`TooLarge`](ErrorKind::TooLarge) if they do not fit; nothing is written then.
    pub fn write_at(&mut self, offset: u32, bytes: &[u8]) -> Result<()> {
        let at = offset as usize;
        if at
            .checked_add(bytes.len())
            .is_none_or(|end| end > self.fields.len as usize)
        {
            let what = format!(
                "{} bytes at {offset} exceed a reservation of {}",
                bytes.len(),
                self.fields.len
            );
            return Err(Error::new(ErrorKind::TooLarge, what).at_lsn(self.lsn()));
        }
        self.claim
            .fill(|segment, span| segment.write_payload(span, at, bytes));
        Ok(())
    }

    /// Makes the record visible, and returns its position. It is not yet durable.
    pub fn publish(mut self) -> Lsn {
        let fields = self.fields;
        self.claim
            .fill(|segment, span| segment.finish(span, &fields));
        let Self { claim, permit, .. } = self;
        let (shared, end) = (permit.0, claim.end());
        let lsn = claim.publish();
        drop(permit);
        shared.appended(end);
        lsn
    }
}

impl io::Write for Reservation<'_> {
    /// Writes behind what was written before; `Ok(0)` once the record is full.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.fields.len as usize - self.at);
        let at = self.at;
        self.claim
            .fill(|segment, span| segment.write_payload(span, at, &bytes[..len]));
        self.at += len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
