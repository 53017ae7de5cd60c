//! [`Room`]: rotation, and waiting for a segment to rotate into.
//!
//! # Protocol
//! Whoever needs the next segment rotates, under a lock that is taken once a segment:
//! 1. If the log has ended, or the tail has moved on, there is nothing to do.
//! 2. If critical records lie behind this segment (`emergency`), move the tail behind them once the reserve is whole again.
//! 3. Wait for the seal: the straddler is between two instructions.
//! 4. The next place of the window must be free and the count of segments that no sync has covered below its limit;
//!    otherwise the disk is behind.
//! 5. Take a ready segment, which writes into it where this one ended. None beyond the reserve: no space, and nothing was
//!    reserved. A log without a record may take the last one: the segment that it leaves refills the reserve.
//! 6. Put it into the window, then move the tail.
//!
//! Waiting is on one word, [`Room::word`]: read it, look for a segment, sleep only if it has not changed since. A ready
//! segment, a retired one, a discard, a rotation and the end of the log change it.
//!
//! # Invariants
//! * R1. A segment is sealed once and left once: the lock, and step 1.
//! * R2. A failed rotation leaves everything as it was: an over-run tail is not a reservation.
//! * R3. Nobody sleeps while a segment is ready, or once the log has ended: the word is read before looking for either,
//!   and changed after making ready, and after ending.
//! * R4. What [`reserve_before_rotation`](Room::reserve_before_rotation) notes of its position, the activation of every later
//!   segment knows: both happen under the lock.
//! * R5. Once the log has ended and [`quiesce`](Room::quiesce) returned, the tail does not move to another segment and no
//!   critical record is being written: both happen under the lock, after a look whether the log has ended.
//!
//! # Memory orderings
//! `announce` (`AcqRel`) → `wait` (Acquire): the ready segment, which a queue hands over anyway.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::lsn::Lsn;
use crate::sync::twin::{self, Twin};
use crate::sync::{Arc, AtomicU32, Mutex, Ordering};

use super::claim::Claim;
use super::core::{Attempt, Core, Sealing};
use super::ending::Ending;
use super::host::{Host, Sleepers, Waited};
use super::seat::{Body, Seat};

/// Why there is no segment to rotate into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// None is ready.
    NoSegment,
    /// Too many wait for a sync.
    Unsynced,
}

/// Who wants a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Any append; the reserve is not for it.
    Ordinary,
    /// An append that leads to space being freed.
    Critical,
}

/// Where segments come from.
pub trait Supply<S>: Send + Sync {
    /// Whether a segment is ready: for ordinary appends one beyond the reserve, or any if the log holds no record.
    fn is_ready(&self, purpose: Purpose) -> bool;

    /// Whether as many segments are ready as the reserve is to have.
    fn is_reserve_whole(&self) -> bool;

    /// Takes a ready segment, makes it segment `sealed.segment() + 1`, and notes in it that the one before ended at `sealed`.
    ///
    /// # Errors
    /// The log cannot go on: ids are used up, or the store failed.
    fn activate(&self, sealed: Lsn) -> Result<Option<Arc<S>>>;

    /// Whether segment `id` may be activated although older ones wait for a sync.
    fn may_activate(&self, id: u32) -> bool;

    /// An append is about to wait, or to fail.
    fn short_of(&self, shortage: Shortage);

    /// An append has waited.
    fn waited(&self, shortage: Shortage, for_ns: u64);

    /// The tail has left a segment, and stands behind `sealed` now. No lock is held.
    fn moved_on(&self, sealed: Lsn);
}

/// How long an append may wait for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Not at all.
    None,
    /// So many nanoseconds from the first sleep on: an append that need not wait reads no clock.
    ForNs(u64),
}

/// Rotation, and waiting for it.
#[derive(Debug)]
pub struct Room {
    pub(super) rotating: Mutex<()>,
    word: AtomicU32,
}

impl Room {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self {
            rotating: Mutex::new(()),
            word: AtomicU32::new(0),
        }
    }

    /// Says that something changed for those who wait for a segment.
    pub fn announce(&self, host: &dyn Host) {
        if !twin::is(Twin::ReadyWithoutChange) {
            // AcqRel: pairs with the load in `wait_for_room`.
            self.word.fetch_add(1, Ordering::AcqRel);
        }
        host.wake(&self.word, Sleepers::All);
    }

    /// Waits for whoever rotates or writes a critical record, after the log has ended (R5).
    pub fn quiesce(&self) {
        drop(self.rotating.lock());
    }

    /// Reserves `grains`, rotating and waiting as needed.
    ///
    /// # Errors
    /// `NoSpace`, `Backpressure` (nothing is reserved then), or the error that ended the log.
    #[inline]
    pub fn reserve<'a, S: Body>(
        &self,
        core: &'a Core<S>,
        seat: &'a mut Seat<S>,
        grains: u32,
        terms: &Terms<'_, S>,
    ) -> Result<Claim<'a, S>> {
        let mut attempt = core.reserve(seat, grains, Sealing::Refused);
        let mut turn = 0;
        loop {
            attempt = match attempt {
                Attempt::Reserved(span) => return Ok(Claim::new(core, seat, span)),
                Attempt::NoRoom(segment) => {
                    self.wait_until_ready(core, segment, terms)?;
                    core.reserve(seat, grains, Sealing::Allowed)
                }
                Attempt::Rotate(segment) => {
                    self.rotate_or_wait(core, segment, terms)?;
                    core.reserve(seat, grains, Sealing::Refused)
                }
                Attempt::NoSlot => {
                    terms.ending.check()?;
                    terms.host.pause(turn);
                    turn = turn.saturating_add(1);
                    core.reserve(seat, grains, Sealing::Refused)
                }
            };
        }
    }

    /// As [`reserve`](Self::reserve), and lets `finish` fill and publish before anybody rotates: what it notes, the
    /// activation of the next segment knows (R4).
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn reserve_before_rotation<S: Body, R>(
        &self,
        core: &Core<S>,
        seat: &mut Seat<S>,
        grains: u32,
        terms: &Terms<'_, S>,
        finish: impl FnOnce(Claim<'_, S>) -> R,
    ) -> Result<R> {
        let mut sealing = Sealing::Refused;
        let mut turn = 0;
        loop {
            let mut guard = Some(self.rotating.lock());
            let attempt = core.reserve(seat, grains, sealing);
            if twin::is(Twin::NoteAfterRotation) {
                guard = None;
            }
            let refused = match attempt {
                Attempt::Reserved(span) => return Ok(finish(Claim::new(core, seat, span))),
                refused => refused,
            };
            drop(guard);
            sealing = self.make_room(core, &refused, &mut turn, terms)?;
        }
    }

    /// Does what stands between a reservation that was refused and the next try.
    fn make_room<S: Body>(
        &self,
        core: &Core<S>,
        attempt: &Attempt,
        turn: &mut u32,
        terms: &Terms<'_, S>,
    ) -> Result<Sealing> {
        match *attempt {
            Attempt::NoRoom(segment) => {
                self.wait_until_ready(core, segment, terms)?;
                return Ok(Sealing::Allowed);
            }
            Attempt::Rotate(segment) => self.rotate_or_wait(core, segment, terms)?,
            Attempt::Reserved(_) | Attempt::NoSlot => {
                terms.ending.check()?;
                terms.host.pause(*turn);
                *turn = turn.saturating_add(1);
            }
        }
        Ok(Sealing::Refused)
    }

    /// Waits until a segment after `segment` could be rotated into, or the tail has left `segment`.
    #[cold]
    fn wait_until_ready<S: Body>(
        &self,
        core: &Core<S>,
        segment: u32,
        terms: &Terms<'_, S>,
    ) -> Result<()> {
        self.wait(terms, || {
            // Under the lock: in the midst of a rotation the place of the next segment is taken, and the disk seemed behind.
            let _rotating = self.rotating.lock();
            let tail = core.tail.peek();
            if tail.segment() != segment || tail.grains() > core.shape().end {
                return Ok(());
            }
            shortage(core, segment, terms).map_or(Ok(()), Err)
        })
    }

    /// Rotates out of `segment`, or waits until somebody did.
    #[cold]
    fn rotate_or_wait<S: Body>(
        &self,
        core: &Core<S>,
        segment: u32,
        terms: &Terms<'_, S>,
    ) -> Result<()> {
        let mut failure = None;
        self.wait(terms, || match self.rotate(core, segment, terms) {
            Ok(None) => Ok(()),
            Ok(Some(shortage)) => Err(shortage),
            Err(error) => {
                failure = Some(error);
                Ok(())
            }
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Looks until `look` succeeds; sleeps on the word in between.
    pub(super) fn wait<S>(
        &self,
        terms: &Terms<'_, S>,
        mut look: impl FnMut() -> Result<(), Shortage>,
    ) -> Result<()> {
        let mut began = None;
        let result = self.wait_from(terms, &mut look, &mut began);
        if let Some((shortage, began_ns)) = began {
            let for_ns = terms.host.now_ns().saturating_sub(began_ns);
            terms.supply.waited(shortage, for_ns);
        }
        result
    }

    /// As `wait`; `began` becomes what the first sleep was for, and when it began.
    fn wait_from<S>(
        &self,
        terms: &Terms<'_, S>,
        look: &mut impl FnMut() -> Result<(), Shortage>,
        began: &mut Option<(Shortage, u64)>,
    ) -> Result<()> {
        loop {
            if twin::is(Twin::WordAfterEnding) {
                terms.ending.check()?;
            }
            // Acquire: pairs with `announce`. R3: before looking, for a segment and for the end.
            let mut seen = self.word.load(Ordering::Acquire);
            if !twin::is(Twin::WordAfterEnding) {
                terms.ending.check()?;
            }
            let Err(shortage) = look() else { return Ok(()) };
            if twin::is(Twin::WordAfterLook) {
                // Acquire: the defect is the place of this load.
                seen = self.word.load(Ordering::Acquire);
            }
            terms.supply.short_of(shortage);
            let Patience::ForNs(patience_ns) = terms.patience else {
                // What was done about the shortage may have ended the log.
                terms.ending.check()?;
                return Err(refuse(shortage));
            };
            let (_, began_ns) = began.get_or_insert_with(|| (shortage, terms.host.now_ns()));
            let deadline_ns = began_ns.saturating_add(patience_ns);
            if terms.host.wait(&self.word, seen, Some(deadline_ns)) == Waited::TimedOut {
                terms.ending.check()?;
                return look().map_err(refuse);
            }
        }
    }

    /// Installs the segment after `segment`, unless somebody did (R1).
    fn rotate<S: Body>(
        &self,
        core: &Core<S>,
        segment: u32,
        terms: &Terms<'_, S>,
    ) -> Result<Option<Shortage>> {
        let guard = (!twin::is(Twin::RotateUnlocked)).then(|| self.rotating.lock());
        if !twin::is(Twin::RotateAfterEnd) {
            terms.ending.check()?;
        }
        let tail = core.tail.observe();
        if tail.segment() != segment || tail.grains() <= core.shape().end {
            return Ok(None);
        }
        let left = match core.emergency.behind(segment) {
            Some(position) if !twin::is(Twin::ActivateOverEmergency) => {
                if !terms.supply.is_reserve_whole() {
                    return Ok(Some(Shortage::NoSegment));
                }
                catch_up(core, position);
                position
            }
            _ => {
                let sealed = await_seal(core, segment, terms.host);
                if let Some(shortage) = shortage(core, segment, terms) {
                    return Ok(Some(shortage));
                }
                let Some(next) = terms.supply.activate(sealed)? else {
                    return Ok(Some(Shortage::NoSegment));
                };
                install(core, segment + 1, next)?;
                sealed
            }
        };
        drop(guard);
        self.announce(terms.host);
        terms.supply.moved_on(left);
        Ok(None)
    }
}

/// Moves the tail behind the critical records; their segment is in the window.
fn catch_up<S: Body>(core: &Core<S>, position: Lsn) {
    if twin::is(Twin::CatchUpToFirst) {
        let first = Lsn::at(position.segment(), core.shape().first);
        core.tail.install(first);
    } else {
        core.tail.install(position);
    }
}

/// What a reservation needs beyond the core.
#[derive(Clone, Copy)]
pub struct Terms<'a, S> {
    /// Waiting and time.
    pub host: &'a dyn Host,
    /// Where segments come from.
    pub supply: &'a dyn Supply<S>,
    /// Whether the log has ended.
    pub ending: &'a Ending,
    /// How long to wait.
    pub patience: Patience,
}

/// What stands in the way of an ordinary segment after `segment`.
pub(super) fn shortage<S: Body>(
    core: &Core<S>,
    segment: u32,
    terms: &Terms<'_, S>,
) -> Option<Shortage> {
    // Past the last id activation is an error of its own.
    let next = segment.saturating_add(1);
    if !terms.supply.may_activate(next) || !core.window.has_room(next) {
        return Some(Shortage::Unsynced);
    }
    let purpose = if twin::is(Twin::ReserveForAll) {
        Purpose::Critical
    } else {
        Purpose::Ordinary
    };
    (!terms.supply.is_ready(purpose)).then_some(Shortage::NoSegment)
}

impl<S> fmt::Debug for Terms<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// The straddler stores the seal right after the addition that others have seen.
pub(super) fn await_seal<S: Body>(core: &Core<S>, segment: u32, host: &dyn Host) -> Lsn {
    let mut turn = 0;
    loop {
        if let Some(seal) = core.window.seal_of(segment) {
            return seal;
        }
        host.pause(turn);
        turn = turn.saturating_add(1);
    }
}

/// Window first, then tail (W1).
fn install<S: Body>(core: &Core<S>, id: u32, segment: Arc<S>) -> Result<()> {
    let first = Lsn::at(id, core.shape().first);
    if twin::is(Twin::TailBeforeInstall) {
        core.tail.install(first);
    }
    core.put_in_window(id, segment)?;
    core.tail.install(first);
    Ok(())
}

pub(super) fn refuse(shortage: Shortage) -> Error {
    match shortage {
        Shortage::NoSegment => Error::new(
            ErrorKind::NoSpace,
            "no segment could be made ready; nothing was appended",
        ),
        Shortage::Unsynced => Error::new(
            ErrorKind::Backpressure,
            "too many segments wait to be synced; nothing was appended",
        ),
    }
}
